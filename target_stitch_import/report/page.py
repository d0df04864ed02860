"""A run's summary as one HTML page that needs nothing else: no script, no network, no other file.

Law: whatever text comes from the summary is escaped; names are other people's.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from itertools import pairwise
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from target_stitch_import.errors import InputError, quoted
from target_stitch_import.report.live import elapsed
from target_stitch_import.report.summary import Summary, size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_WIDTH, _HEIGHT = 560, 170
_LEFT, _TOP, _BOTTOM = 62, 10, 24
_RATES = 50
_STATE_CHARACTERS = 2_000

_STYLE = """
:root { --paper: #f6f7f7; --card: #fff; --ink: #17211f; --quiet: #5c6966; --line: #e0e6e5;
  --accent: #0f766e; --soft: #0f766e22; --good: #15803d; --bad: #b91c1c; color-scheme: light dark; }
@media (prefers-color-scheme: dark) { :root { --paper: #0e1413; --card: #161e1d; --ink: #e5eceb;
  --quiet: #93a19e; --line: #273331; --accent: #2dd4bf; --soft: #2dd4bf2b; --good: #4ade80;
  --bad: #f87171; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif; }
main { max-width: 1240px; margin: 0 auto; padding: 28px 28px 64px; }
h1 { margin: 0; font-size: 26px; }
h2 { margin: 0 0 10px; font-size: 15px; }
.lead { margin: 2px 0 20px; color: var(--quiet); }
.good { color: var(--good); }
.bad, .error { color: var(--bad); }
.error { margin: 0 0 20px; overflow-wrap: anywhere; white-space: pre-wrap; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(165px, 1fr)); gap: 14px; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 480px), 1fr));
  gap: 16px; margin: 16px 0; }
.card { padding: 14px 18px; background: var(--card); border: 1px solid var(--line);
  border-radius: 12px; break-inside: avoid; }
.tiles .card { color: var(--quiet); font-size: 13px; }
.tiles b { display: block; color: var(--ink); font-size: 24px; line-height: 1.3;
  font-variant-numeric: tabular-nums; }
svg { display: block; width: 100%; height: auto; }
svg text { fill: var(--quiet); font-size: 12px; }
.grid { stroke: var(--line); }
.area { fill: var(--soft); }
.curve { fill: none; stroke: var(--accent); stroke-width: 2; stroke-linejoin: round; }
.scroll { overflow-x: auto; }
table { width: 100%; border-collapse: collapse; font-size: 14px; }
th { color: var(--quiet); font-weight: 500; font-size: 12px; text-align: left; }
th, td { padding: 6px 22px 6px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
tr:last-child td { border-bottom: 0; }
td:first-child { overflow-wrap: anywhere; min-width: 160px; }
td { font-variant-numeric: tabular-nums; }
.n { text-align: right; white-space: nowrap; }
th:last-child, td:last-child { padding-right: 0; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 4px 22px; margin: 0; }
dt { color: var(--quiet); }
dd { margin: 0; overflow-wrap: anywhere; }
@media (max-width: 700px) { dl { display: block; } dd { margin-bottom: 8px; } }
@media print { body { background: none; font-size: 12px; } main { padding: 0; max-width: none; }
  .plots { grid-template-columns: 1fr 1fr; } .scroll { overflow: visible; }
  .area { print-color-adjust: exact; } }
"""


def read(text: bytes, name: str) -> Summary:
    """Return the summary in the file `name`.

    Raises:
        InputError: It is none.
    """
    try:
        return msgspec.json.decode(text, type=Summary)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(
            f"{name} is no summary of a run: {error}. Give the file that `summary_path` names."
        ) from None


def page(summary: Summary) -> str:
    """Return the page."""
    failed = summary.exit_status != 0
    outcome = f"exit status {summary.exit_status}"
    error = f'<p class="error">{_safe(summary.error, 4_000)}</p>' if summary.error else ""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Run of {_safe(summary.started_at)}, {outcome}</title>
<style>{_STYLE}</style>
</head>
<body>
<main>
<h1>Run of {_safe(_moment(summary.started_at))}</h1>
<p class="lead">{_safe(summary.program)} {_safe(summary.version)},
<strong class="{"bad" if failed else "good"}">{outcome}</strong></p>
{error}
<section class="tiles">{"".join(_tiles(summary))}</section>
<section class="plots">{"".join(_plots(summary))}</section>
<section class="card scroll"><h2>Streams</h2>{_streams(summary)}</section>
<section class="card" style="margin-top: 16px"><h2>More</h2>{_more(summary)}</section>
</main>
</body>
</html>
"""


def _safe(text: str, limit: int = 300) -> str:
    """Return text of the summary as HTML; what does not print, or turns writing round, is spelt."""
    return escape(quoted(text, mark="", limit=limit))


def _moment(text: str) -> str:
    return text[:19].replace("T", " ") + " UTC"


def _tiles(summary: Summary) -> Iterator[str]:
    latency = summary.latency_seconds
    for number, words in (
        (f"{summary.acknowledged:,}", "messages acknowledged"),
        (f"{summary.set_aside:,}", "set aside"),
        (_duration(summary.seconds), "from start to end"),
        (f"{summary.messages_per_second:,.0f}", "messages a second"),
        (size(summary.bytes_per_second), "a second"),
        (f"{summary.requests:,}", "requests"),
        (f"{summary.retries:,}", "of them repeated"),
        (_duration(latency.median), "half of the answers took at most"),
        (_duration(latency.p95), "95 of 100 answers took at most"),
        (_duration(latency.p99), "99 of 100 answers took at most"),
        (_duration(latency.slowest), "the slowest answer took"),
        (_duration(summary.seconds_without_room), "reading waited for room"),
    ):
        yield f'<div class="card"><b>{number}</b>{words}</div>'


_Points: TypeAlias = "Sequence[tuple[float, float]]"


@dataclass(frozen=True, slots=True)
class _Plot:
    """What one drawing shows, by the second; `steps` where a value holds until the next."""

    title: str
    points: _Points
    label: Callable[[float], str]
    steps: bool = False


def _plots(summary: Summary) -> Iterator[str]:
    series = summary.series

    def over_time(values: Sequence[float]) -> _Points:
        return [(0.0, 0.0), *zip(series.seconds, values, strict=False)]

    acknowledged = over_time(series.acknowledged)
    for plot in (
        _Plot("Messages acknowledged", acknowledged, _count),
        _Plot("Messages a second", _rates(acknowledged), _count),
        _Plot("Bytes acknowledged", over_time(series.bytes), size),
        _Plot("Requests in flight", over_time(series.in_flight), _count, steps=True),
        _Plot("Bytes buffered and in flight", over_time(series.held_bytes), size),
        _Plot("Requests repeated", over_time(series.retries), _count, steps=True),
    ):
        yield f'<figure class="card" style="margin: 0"><h2>{plot.title}</h2>{_svg(plot)}</figure>'


def _rates(totals: _Points) -> _Points:
    """Return what came in a second, over stretches long enough to hold several batches."""
    ends = totals[:: len(totals) // _RATES + 1]
    ends = [*ends, totals[-1]] if ends[-1] != totals[-1] else ends
    return [
        ends[0],
        *(
            (now, (total - before) / (now - earlier))
            for (earlier, before), (now, total) in pairwise(ends)
            if now > earlier
        ),
    ]


def _svg(plot: _Plot) -> str:
    points = plot.points
    end = points[-1][0] or 1.0
    top = _ceiling(max(value for _, value in points))
    floor = _HEIGHT - _BOTTOM

    def x(seconds: float) -> float:
        return round(_LEFT + (_WIDTH - _LEFT - 8) * seconds / end, 1)

    def y(value: float) -> float:
        return round(floor - (floor - _TOP) * value / top, 1)

    curve = f"M{x(0)},{y(0)}"
    for seconds, value in points[1:]:
        curve += f"H{x(seconds)}V{y(value)}" if plot.steps else f"L{x(seconds)},{y(value)}"
    grid = "".join(
        f'<path class="grid" d="M{_LEFT},{y(value)}H{_WIDTH - 8}"/>'
        f'<text x="{_LEFT - 8}" y="{y(value) + 4}" text-anchor="end">{plot.label(value)}</text>'
        for value in (0, top / 2, top)
    )
    times = "".join(
        f'<text x="{x(seconds)}" y="{_HEIGHT - 6}" text-anchor="{anchor}">{words}</text>'
        for seconds, anchor, words in (
            (0, "start", "0"),
            (end / 2, "middle", _duration(end / 2)),
            (end, "end", _duration(end)),
        )
    )
    said = f"{plot.title}, up to {plot.label(max(value for _, value in points))}"
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{said}">{grid}{times}'
        f'<path class="area" d="{curve}V{floor}H{_LEFT}Z"/><path class="curve" d="{curve}"/></svg>'
    )


def _ceiling(value: float) -> float:
    """Round up to 2, 4, 6, 8 or 10 times a power of ten, so that half of it is round too."""
    power = 1
    while power * 10 < value:
        power *= 10
    return next((each * power for each in (2, 4, 6, 8) if each * power >= value), 10 * power)


def _count(number: float) -> str:
    for power, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= power:
            return f"{number / power:.3g} {letter}"
    return f"{number:.3g}"


def _duration(seconds: float) -> str:
    if seconds >= 60:
        return elapsed(seconds)
    return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"


def _streams(summary: Summary) -> str:
    head = "".join(
        f'<th class="n">{words}</th>'
        for words in ("Read", "Acknowledged", "Set aside", "Batches", "Size", "Repeated")
    )
    rows = "".join(
        f"<tr><td>{_safe(name)}</td>"
        + "".join(
            f'<td class="n">{text}</td>'
            for text in (
                f"{each.read:,}",
                f"{each.acknowledged:,}",
                f'<span class="bad">{each.set_aside:,}</span>' if each.set_aside else "0",
                f"{each.batches:,}",
                size(each.bytes),
                f"{each.retries:,}",
            )
        )
        + "</tr>"
        for name, each in sorted(summary.streams.items(), key=lambda item: -item[1].read)
    )
    return f"<table><tr><th>Stream</th>{head}</tr>{rows}</table>"


def _more(summary: Summary) -> str:
    state = msgspec.json.format(bytes(summary.last_state), indent=-1).decode(errors="replace")
    facts = {
        "Started": _safe(summary.started_at),
        "Ended": _safe(summary.ended_at),
        "Last state written": f"<code>{_safe(state, _STATE_CHARACTERS)}</code>",
        "Read, neither acknowledged nor set aside": (
            f"{summary.read - summary.acknowledged - summary.set_aside:,}"
        ),
        "Requests repeated after an unclear answer": f"{summary.possible_duplicates:,}",
        "Changes of how many requests go out at once": f"{summary.throttle_changes:,}",
        "Sent in all, repeated requests included": size(summary.bytes_sent),
    }
    return (
        "<dl>"
        + "".join(f"<dt>{name}</dt><dd>{text}</dd>" for name, text in facts.items())
        + ("</dl>")
    )
