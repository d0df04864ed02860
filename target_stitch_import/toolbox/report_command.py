"""The command `report`: renders a run's summary as an HTML page."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import IO

import click

from target_stitch_import.toolbox.common import (
    INPUT,
    check_files,
    examples,
    lines_of,
    reporting_errors,
    show,
)

_STDOUT = Path("-")


@click.command(
    epilog=examples(
        "stitch-import report summary.json",
        "stitch-import report summary.json --output run.html",
        "stitch-import report summary.json --output - > run.html",
    )
)
@click.argument("summary", type=INPUT)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    help="Output file, or - for stdout; default: next to the summary.",
)
def report(summary: IO[bytes], output: Path | None) -> None:
    """Render a run's summary as an HTML page with plots.

    SUMMARY is what a run wrote to `summary_path`. The page needs no network and no other file.
    """
    from target_stitch_import.file_contents import PAGE  # noqa: PLC0415 - not for --help
    from target_stitch_import.files import FileUse, descriptor_of  # noqa: PLC0415
    from target_stitch_import.report.page.document import page  # noqa: PLC0415
    from target_stitch_import.report.summary import read_summary  # noqa: PLC0415

    path = output or _beside(summary)
    with reporting_errors():
        target = None if path == _STDOUT else str(path)
        check_files(
            FileUse("SUMMARY", descriptor_of(summary)), FileUse("option `--output`", target, PAGE)
        )
        text = page(read_summary(b"".join(lines_of(summary)), summary.name))
        if path == _STDOUT:
            show(text.rstrip())
            return
        _write(path, text)
        show(f"The page is {path}: open it in a browser.")


def _beside(summary: IO[bytes]) -> Path:
    """Return the default path of a summary's page."""
    # A process may be started without stdin or stdout.
    if sys.stdin and summary is sys.stdin.buffer:
        if sys.stdout and sys.stdout.isatty():
            raise click.UsageError("Give a path for the page: --output FILE.")
        return _STDOUT
    path = Path(summary.name)
    if path.suffix == ".html":
        raise click.UsageError(f"{path} would be overwritten. Give another path: --output FILE.")
    return path.with_suffix(".html")


def _write(path: Path, text: str) -> None:
    """Write the page; like the summary, only its owner may read it."""
    from target_stitch_import.errors import (  # noqa: PLC0415 - not for --help
        OutputError,
        why_it_cannot_be_written,
    )
    from target_stitch_import.private_files import open_private  # noqa: PLC0415

    try:
        with os.fdopen(open_private(str(path), os.O_WRONLY | os.O_TRUNC), "wb") as file:
            file.write(text.encode())
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {why_it_cannot_be_written(error)}") from None
