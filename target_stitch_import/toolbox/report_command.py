"""`report`: a run's summary as a page to look at."""

from __future__ import annotations

from pathlib import Path
from typing import IO

import click

from target_stitch_import.toolbox.common import INPUT, check_files, examples, show, telling_errors


@click.command(
    epilog=examples(
        "stitch-import report summary.json --output run.html",
        "stitch-import report summary.json > run.html",
    )
)
@click.argument("summary", type=INPUT)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File to write the page to; without it, stdout.",
)
def report(summary: IO[bytes], output: Path | None) -> None:
    """Make one HTML page of a run's summary, with plots.

    SUMMARY is what a run wrote to `summary_path`. The page needs no network and no other file.
    """
    from target_stitch_import.errors import OutputError  # noqa: PLC0415 - not for --help
    from target_stitch_import.files import PAGE, Use, descriptor_of  # noqa: PLC0415
    from target_stitch_import.report.page import page, read  # noqa: PLC0415

    with telling_errors():
        target = None if output is None else str(output)
        check_files(Use("SUMMARY", descriptor_of(summary)), Use("option `--output`", target, PAGE))
        text = page(read(summary.read(), summary.name))
        if output is None:
            show(text.rstrip())
            return
        try:
            output.write_text(text, encoding="utf-8")
        except OSError as error:
            raise OutputError(f"{output} cannot be written: {error.strerror}.") from None
