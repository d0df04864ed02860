"""`python -m target_stitch_import.local`: `stitch-import serve`, for a parent process."""

from __future__ import annotations

import sys

import click

from target_stitch_import.local.command import serve
from target_stitch_import.local.options import EX_CONFIG


def main() -> None:
    """Read the options and serve; a command line that cannot be used ends with 78."""
    try:
        serve.main(prog_name="python -m target_stitch_import.local", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(EX_CONFIG)


if __name__ == "__main__":
    main()
