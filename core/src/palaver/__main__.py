"""The command `palaver`."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line, or say how to get it."""
    try:
        from palaver.cli.commands import palaver
    except ModuleNotFoundError as error:
        if error.name != "click":
            raise
        sys.exit("The command line is not installed. Install it with: pip install 'palaver-core[cli]'")
    palaver()


if __name__ == "__main__":
    main()
