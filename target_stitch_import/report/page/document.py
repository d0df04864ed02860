"""Renders the report page: outcome, figures, what was not delivered, charts, streams, details."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files
from signal import Signals
from typing import TYPE_CHECKING

import msgspec

from target_stitch_import.errors import FAILURES
from target_stitch_import.interrupts import INTERRUPTED_STATUSES
from target_stitch_import.report.page import tables
from target_stitch_import.report.page.charts import charts
from target_stitch_import.report.page.tables import safe
from target_stitch_import.report.page.time_axis import moment
from target_stitch_import.report.words import counted, duration, rate, size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from target_stitch_import.report.summary import Summary

_STATE_CHARACTERS = 2_000
_ERROR_CHARACTERS = 4_000


def page(summary: Summary) -> str:
    """Return the report page as HTML."""
    script = _file("sort.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    started = safe(_shown_time(summary.started_at))
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Run of {started}, exit status {summary.exit_status}</title>
<style>{_style()}</style>
</head>
<body>
<main>
<h1>Run of <time>{started}</time></h1>
<p class="quiet">{safe(summary.program)} {safe(summary.version)}</p>
{_outcome(summary)}
<dl class="tiles">{"".join(_tiles(summary))}</dl>
{tables.set_aside(summary)}
{tables.rejected(summary)}
{tables.repaired(summary)}
{charts(summary)}
{tables.streams(summary)}
<section class="card" aria-labelledby="details"><h2 id="details">Details</h2>
<dl class="facts">{"".join(_facts(summary))}</dl></section>
</main>
<script>{script}</script>
</body>
</html>
"""


def _file(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _style() -> str:
    cards = _file("cards.css")
    conditions = ("narrow (max-width: 520px)", "wide (max-width: 860px)")
    return _file("style.css") + "".join(f"@container {each} {{\n{cards}}}\n" for each in conditions)


def _shown_time(text: str) -> str:
    time = moment(text)
    return f"{time:%Y-%m-%d %H:%M:%S} UTC" if time else text


def _meaning(status: int) -> str:
    if status == 0:
        return "Everything was delivered or set aside, and the last state was written."
    if status in INTERRUPTED_STATUSES:
        name = Signals(status - 128).name
        return f"Stopped by {name}. What had been read was delivered as far as possible. Run again."
    if status in FAILURES:
        texts = FAILURES[status].meaning, FAILURES[status].remedy
        return " ".join(f"{each[0].upper()}{each[1:]}." for each in texts)
    return ""


def _outcome(summary: Summary) -> str:
    """Return how the run ended, with words and a symbol, not by colour alone."""
    status = summary.exit_status
    undelivered = summary.set_aside + summary.rejected_rows
    if status in INTERRUPTED_STATUSES:
        kind, sign, title = "care", "!", "Interrupted"
    elif status:
        kind, sign, title = "bad", "✕", "Failed"
    elif undelivered:
        kind, sign, title = "care", "!", "Delivered, but not all of it"
    else:
        kind, sign, title = "good", "✓", "Delivered" if summary.read else "Nothing to deliver"
    error = (
        f'<p class="error">{safe(summary.error, _ERROR_CHARACTERS)}</p>' if summary.error else ""
    )
    meaning = _meaning(status)
    return (
        f'<section class="outcome {kind}" aria-labelledby="outcome">'
        f'<span class="sign" aria-hidden="true">{sign}</span>'
        f'<div><h2 id="outcome">{title}</h2>{error}'
        f"<p><b>Exit status {status}</b>{': ' * bool(meaning)}{meaning}</p></div></section>"
    )


def _tiles(summary: Summary) -> Iterator[str]:
    """Yield the key figures; repaired and rejected ones only if there are any."""
    records, took = summary.records, summary.seconds
    delivered = records.acknowledged
    read = f"of {records.read:,} read"
    versions = summary.activations.acknowledged
    per_second = ""
    if delivered and took:
        per_second = f"{rate(delivered / took)} records, {size(summary.bytes / took)} a second"
    yield _tile(
        "Records delivered",
        f"{delivered:,}",
        read + (f", {counted(versions, 'version')} activated" if versions else ""),
        "good" if delivered else "",
    )
    activations = summary.activations.set_aside
    yield _tile(
        "Set aside",
        f"{records.set_aside:,}",
        (f"and {counted(activations, 'activation')}, " if activations else "")
        + ("in the dead-letter file, not delivered" if summary.set_aside else ""),
        "care" if summary.set_aside else "",
    )
    if summary.rejected_rows:
        yield _tile("Rejected", f"{summary.rejected_rows:,}", "while loading, in no table", "bad")
    if summary.repaired:
        yield _tile("Repaired", f"{summary.repaired:,}", "values, as set in `repairs`", "care")
    yield _tile("Duration", duration(took), per_second)


def _tile(title: str, figure: str, words: str, kind: str = "") -> str:
    return (
        f'<div class="card {kind}"><dt>{title}</dt><dd class="figure">{figure}</dd>'
        f'<dd class="quiet">{words}</dd></div>'
    )


def _facts(summary: Summary) -> Iterator[str]:
    """Yield the details, without those that did not happen."""
    latency = summary.latency_seconds
    state = msgspec.json.format(bytes(summary.last_state), indent=-1).decode(errors="replace")
    unsettled = summary.read - summary.acknowledged - summary.set_aside
    yield _fact("Started", safe(_shown_time(summary.started_at)))
    yield _fact("Ended", safe(_shown_time(summary.ended_at)))
    written = "none" if state == "null" else f"<code>{safe(state, _STATE_CHARACTERS)}</code>"
    yield _fact("Last state written", written)
    if unsettled:
        yield _fact("Read, neither acknowledged nor set aside", f"{unsettled:,}")
    if summary.requests:
        yield _fact("Requests", f"{summary.requests:,}, {size(summary.bytes_sent)} in total")
        yield _fact(
            "Responses",
            f"half within {duration(latency.median)}, 95 of 100 within {duration(latency.p95)}, "
            f"99 of 100 within {duration(latency.p99)}, the slowest in {duration(latency.slowest)}",
        )
    for title, count in (
        ("Requests retried", summary.retries),
        ("Requests with an unclear outcome", summary.possible_duplicates),
        ("Changes of the concurrency limit", summary.throttle_changes),
    ):
        if count:
            yield _fact(title, f"{count:,}")
    for title, seconds in (
        ("The Import API was unavailable for", summary.unavailable_seconds),
        ("Reading paused because the buffer was full", summary.seconds_without_room),
    ):
        if seconds:
            yield _fact(title, duration(seconds))


def _fact(title: str, words: str) -> str:
    return f"<div><dt>{title}</dt><dd>{words}</dd></div>"
