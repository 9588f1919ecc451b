"""The command line as ``python -m anynet``."""

import sys

from anynet.cli import main

if __name__ == "__main__":
    sys.exit(main())
