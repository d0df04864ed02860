"""`python -m target_stitch_import.local`: serve, for a parent process or by hand."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from target_stitch_import.local.extra import LocalExtraMissingError, require_extra

SWITCHES = (
    "--public-page",
    "--strict-keys",
    "--strict-datetime",
    "--no-data-points",
    "--live-messages",
)


def main() -> int:
    """Read the options and serve."""
    parser = argparse.ArgumentParser(
        prog="python -m target_stitch_import.local",
        description="Serve a local Import API; the options are those of `stitch-import serve`.",
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8087)
    parser.add_argument("--database", type=Path)
    parser.add_argument("--accounts", type=Path)
    parser.add_argument("--region", choices=["us", "eu"])
    parser.add_argument("--destination", default="postgresql")
    parser.add_argument("--nested", choices=["flatten", "json"])
    parser.add_argument("--keep-bytes", type=int, default=64_000_000)
    parser.add_argument("--max-body-bytes", type=int, default=20_000_000)
    for switch in SWITCHES:
        parser.add_argument(switch, action="store_true")
    parser.add_argument(
        "--stop-with-stdin", action="store_true", help="end when stdin does, as a parent's child"
    )
    given = parser.parse_args()
    try:
        require_extra()
    except LocalExtraMissingError as error:
        print(error, file=sys.stderr)  # noqa: T201 - a command's way to speak
        return 69
    from target_stitch_import.local.server.serving import run, usable_options  # noqa: PLC0415 - heavy

    try:
        options = usable_options(vars(given))
    except ValueError as error:
        parser.error(str(error))
    return run(options, stop_with_stdin=given.stop_with_stdin)


if __name__ == "__main__":
    sys.exit(main())
