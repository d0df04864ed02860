"""Makes the documentation's pictures from a real run: `python -m tools.pictures`.

The data of a made-up shop goes to a local Import API, which is down for a while. The terminal's
output becomes an animated SVG, and Chromium takes the pictures of the two pages.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, TYPE_CHECKING, Any
from xml.sax.saxutils import escape

from target_stitch_import.local import ImportApi
from tests.report.screen import Screen
from tests.support.browser import Browser, chromium

if TYPE_CHECKING:
    from collections.abc import Iterator

IMAGES = Path(__file__).resolve().parent.parent / "docs" / "img"
COLUMNS = 118
COMMAND = "tap-shop --config tap.json | target-stitch-import --config config.json > states.jsonl"
SECONDS = 24
OUTAGE = range(9, 14)
"""The frames in which the service is down."""
DOWN = {"kind": "down", "times": "always"}
SAMPLE_SECONDS = 1.0
FRAME_SECONDS = 0.5
"""How long the animation shows a sample: it is faster than the run."""
LAST_FRAME_SECONDS = 8.0
STREAMS = {"orders": 5, "order_lines": 8, "customers": 2, "products": 1}
"""The streams of the shop, and their relative numbers of rows."""
_ROW, _CHARACTER, _MARGIN = 18, 7.8, 16
_STYLE = """text { font: 13px ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace;
  fill: #e6edf3; white-space: pre }
.prompt { fill: #7ee787 }
.live { fill: #ffd580 }
"""


def shop(seconds: float) -> Iterator[bytes]:
    """Yield the output of the shop's tap, for `seconds`, at the pace of a real tap."""
    chance = random.Random(7)  # noqa: S311 - no secret
    text, number = {"type": ["null", "string"]}, {"type": "integer"}
    columns = {"id": number, "name": text, "note": text, "at": text | {"format": "date-time"}}
    for name in STREAMS:
        yield _line(
            type="SCHEMA", stream=name, schema={"properties": columns}, key_properties=["id"]
        )
    end, written = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        [name] = chance.choices(list(STREAMS), list(STREAMS.values()))
        rows = range(written, written + chance.randrange(200, 900))
        written = rows.stop
        for row in rows:
            data: dict[str, Any] = {"id": row, "name": f"{name} {row}", "note": "x" * 80}
            data["at"] = "2026-11-30T12:00:00Z"
            if row % 40_000 == 39_999:
                data["at"] = "yesterday"
            yield _line(type="RECORD", stream=name, record=data)
        yield _line(type="STATE", value={"bookmark": written})
        time.sleep(0.04)


def _line(**message: Any) -> bytes:
    return json.dumps(message).encode() + b"\n"


def run(folder: Path, api: ImportApi) -> tuple[list[str], list[str]]:
    """Run the target on the shop; return the live line of each sample, and the final screen."""
    config = {
        "api_url": api.url,
        "token": "T1",
        "batch_delay_seconds": 1,
        "max_buffer_bytes": 4_000_000,
        "on_invalid_record": "dead_letter",
        "dead_letter_path": "dead-letters.jsonl",
        "summary_path": "summary.json",
    }
    (folder / "config.json").write_text(json.dumps(config))
    screen = Screen(COLUMNS)
    process = subprocess.Popen(
        [sys.executable, "-m", "target_stitch_import", "--config", "config.json"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=screen.follower,
        cwd=folder,
        env=os.environ | {"TERM": "xterm"},
    )
    feeder = threading.Thread(target=_feed, args=(process.stdin,))
    feeder.start()
    lives: list[str] = []
    while process.poll() is None:
        time.sleep(SAMPLE_SECONDS)
        lives += screen.drawn[-1:]
        api.set_faults([DOWN] if len(lives) in OUTAGE else [])
    feeder.join()
    assert process.returncode == 0, screen.written
    return lives, screen.close()


def _feed(stdin: IO[bytes] | None) -> None:
    assert stdin
    with stdin:
        stdin.writelines(shop(SECONDS))


def animation(lives: list[str], final: list[str]) -> str:
    """Return a terminal as an animated SVG: a command, then each of `lives`, and at last `final`.

    Where animations are turned off, only `final` is shown.
    """
    whole = len(lives) * FRAME_SECONDS + LAST_FRAME_SECONDS
    shown = 100 * FRAME_SECONDS / whole
    ends = shown * len(lives)
    rows = len(final) + 1
    height, width = rows * _ROW + 2 * _MARGIN, COLUMNS * _CHARACTER + 2 * _MARGIN
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}">',
            f"<style>{_STYLE}.frame {{ opacity: 0; animation: frame {whole}s step-end infinite }}",
            f"@keyframes frame {{ 0% {{ opacity: 1 }} {shown:.3f}% {{ opacity: 0 }} }}",
            f".final {{ animation: final {whole}s step-end infinite }}",
            f"@keyframes final {{ 0% {{ opacity: 0 }} {ends:.3f}% {{ opacity: 1 }} }}",
            "@media (prefers-reduced-motion) { .frame, .final { animation: none } }</style>",
            '<rect width="100%" height="100%" rx="8" fill="#0d1117"/>',
            _text(0, f"$ {COMMAND}", "prompt"),
            *(
                f'<g class="frame" style="animation-delay: {number * FRAME_SECONDS}s">'
                f"{_text(1, line, 'live')}</g>"
                for number, line in enumerate(lives)
            ),
            f'<g class="final">{"".join(_text(at, row) for at, row in enumerate(final, 1))}</g>',
            "</svg>\n",
        ]
    )


def _text(row: int, text: str, kind: str = "") -> str:
    if not text:
        return ""
    down = _MARGIN + (row + 1) * _ROW - 5
    return f'<text x="{_MARGIN}" y="{down}" class="{kind}">{escape(text)}</text>'


def main() -> None:
    """Make all pictures."""
    program = chromium()
    if program is None:
        sys.exit("There is no Chromium on PATH.")
    with TemporaryDirectory() as name, ImportApi(port=8087) as api:
        folder = Path(name)
        lives, rows = run(folder, api)
        # The log is the same on any machine; the picture shows the final table.
        final = rows[next(at for at, row in enumerate(rows) if row.startswith("stream ")) : -1]
        (IMAGES / "run.svg").write_text(animation(lives, final))
        report = ["report", "summary.json"]
        subprocess.run(
            [sys.executable, "-m", "target_stitch_import.toolbox", *report], cwd=folder, check=True
        )
        with Browser(program) as browser:
            browser.size(1280, 1120)
            browser.open(api.url)
            browser.screenshot(IMAGES / "local-page.webp")
            browser.size(1240, 900)
            browser.open((folder / "summary.html").as_uri())
            height = browser.run("document.documentElement.scrollHeight")
            browser.size(1240, int(height))
            browser.screenshot(IMAGES / "report-page.webp")


if __name__ == "__main__":
    main()
