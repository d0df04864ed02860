"""`python -m target_stitch_import.local`: serve, for a parent process or by hand."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from target_stitch_import.local.extra import LocalExtraMissingError, require_extra


def main() -> int:
    """Read the options and serve."""
    parser = argparse.ArgumentParser(prog="python -m target_stitch_import.local")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8087)
    parser.add_argument("--database", type=Path)
    parser.add_argument("--accounts", type=Path)
    parser.add_argument("--region", default="us", choices=["us", "eu"])
    parser.add_argument("--keep-bytes", type=int, default=64_000_000)
    parser.add_argument("--stop-with-stdin", action="store_true")
    given = parser.parse_args()
    try:
        require_extra()
    except LocalExtraMissingError as error:
        print(error, file=sys.stderr)  # noqa: T201 - a command's way to speak
        return 69
    from target_stitch_import.local import runtime, serving  # noqa: PLC0415 - heavy

    options = runtime.Options(
        database=given.database,
        accounts=given.accounts,
        host=given.host,
        port=given.port,
        region=given.region,
        kept_bytes=given.keep_bytes,
    )
    return serving.run(options, stop_with_stdin=given.stop_with_stdin)


if __name__ == "__main__":
    sys.exit(main())
