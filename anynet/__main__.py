"""``python -m anynet info``: what can run on this machine."""

from __future__ import annotations

import argparse

from anynet.backends import info


def main() -> None:
    """Run a command."""
    parser = argparse.ArgumentParser(prog="python -m anynet", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("info", help="backends, versions, devices, threads and advice")
    parser.parse_args()

    print(info())


if __name__ == "__main__":
    main()
