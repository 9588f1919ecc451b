"""Command line of anynet: ``python -m anynet info`` reports the backends of this machine."""

from __future__ import annotations

import argparse

from anynet.backends import info


def main() -> None:
    """Parse the command line and run its command."""
    parser = argparse.ArgumentParser(prog="python -m anynet", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("info", help="backends, versions, devices, threads and advice")
    parser.parse_args()
    print(info())


if __name__ == "__main__":
    main()
