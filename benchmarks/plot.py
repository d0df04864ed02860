"""Draws line plots as SVG text: axes, units and a legend, readable on light and dark pages.

A figure is a row of panels with one logarithmic x axis each. Colours follow the reader's own
`prefers-color-scheme`; lines also differ by their markers, for readers who do not see colours.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape
from typing import Final

PANEL_WIDTH: Final = 300
PANEL_HEIGHT: Final = 220
LEFT, RIGHT, TOP, BOTTOM = 62, 14, 78, 46
_STYLE: Final = """
  text { font: 12px system-ui, sans-serif; fill: #1f2328; }
  .title { font-size: 14px; font-weight: 600; }
  .small { font-size: 11px; fill: #59636e; }
  .page { fill: #ffffff; } .grid { stroke: #d1d9e0; } .axis { stroke: #59636e; fill: none; }
  .line { fill: none; stroke-width: 2; }
  .s0 { stroke: #0b62c4; fill: #0b62c4; } .s1 { stroke: #b35900; fill: #b35900; }
  .s2 { stroke: #59636e; fill: #59636e; } .s3 { stroke: #1a7f37; fill: #1a7f37; }
  .line { fill: none; } .s2.line { stroke-dasharray: 5 4; }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc; } .small { fill: #9198a1; } .page { fill: #0d1117; }
    .grid { stroke: #2f3742; } .axis { stroke: #9198a1; }
    .s0 { stroke: #58a6ff; fill: #58a6ff; } .s1 { stroke: #f0883e; fill: #f0883e; }
    .s2 { stroke: #9198a1; fill: #9198a1; } .s3 { stroke: #3fb950; fill: #3fb950; }
    .line { fill: none; }
  }
"""


@dataclass(frozen=True, slots=True)
class Line:
    """One series: its name in the legend, and its points with positive coordinates."""

    name: str
    points: list[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Panel:
    """One pair of axes. A y axis that is not logarithmic begins at zero."""

    y_label: str
    lines: list[Line]
    is_logarithmic: bool = True


@dataclass(frozen=True, slots=True)
class Axis:
    """Maps values to pixels."""

    low: float
    high: float
    start: float
    end: float
    is_logarithmic: bool

    def place(self, value: float) -> float:
        """Return the pixel of a value."""
        low, high, at = self.low, self.high, value
        if self.is_logarithmic:
            low, high, at = math.log10(low), math.log10(high), math.log10(value)
        return self.start + (at - low) / ((high - low) or 1) * (self.end - self.start)

    def ticks(self) -> list[float]:
        """Return the values to label: powers of ten with 2 and 5 between where there is room."""
        if not self.is_logarithmic:
            step = _nice_step(self.high)
            return [step * at for at in range(int(self.high / step + 1e-9) + 1)]
        powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        steps = (1, 2, 5) if len(powers) <= 3 else (1,)
        ticks = [step * 10.0**power for power in powers for step in steps]
        inside = [tick for tick in ticks if self.low * 0.999 <= tick <= self.high * 1.001]
        return inside[:: 2 if len(inside) > 7 else 1]


def figure(title: str, x_label: str, panels: list[Panel]) -> str:
    """Return the SVG text of a row of panels below a title and a legend."""
    width = len(panels) * (LEFT + PANEL_WIDTH + RIGHT)
    height = TOP + PANEL_HEIGHT + BOTTOM
    names = list(dict.fromkeys(line.name for panel in panels for line in panel.lines))
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{escape(title)}">',
        f"<style>{_STYLE}</style>",
        f'<rect class="page" width="{width}" height="{height}"/>',
        _text(LEFT, 22, title, "title"),
        *_legend(names),
    ]
    for at, panel in enumerate(panels):
        left = LEFT + at * (LEFT + PANEL_WIDTH + RIGHT)
        parts += _panel(panel, left, x_label, names)
    return "\n".join([*parts, "</svg>", ""])


def _legend(names: list[str]) -> list[str]:
    parts, x = [], LEFT
    for at, name in enumerate(names):
        parts.append(f'<path class="line s{at}" d="M{x} 40 h26"/>')
        parts.append(_marker(at, x + 13, 40))
        parts.append(_text(x + 32, 44, name))
        x += 52 + 7 * len(name)
    return parts


def _panel(panel: Panel, left: float, x_label: str, names: list[str]) -> list[str]:
    xs = [x for line in panel.lines for x, _ in line.points]
    ys = [y for line in panel.lines for _, y in line.points]
    right, bottom = left + PANEL_WIDTH, TOP + PANEL_HEIGHT
    across = Axis(min(xs), max(xs), left + 8, right - 8, is_logarithmic=True)
    if panel.is_logarithmic:
        up = Axis(min(ys) / 1.3, max(ys) * 1.3, bottom, TOP, is_logarithmic=True)
    else:
        up = Axis(0.0, max(ys) * 1.1, bottom, TOP, is_logarithmic=False)
    parts = [_text(left - 46, TOP - 8, panel.y_label, "small")]
    for tick in up.ticks():
        y = up.place(tick)
        parts.append(f'<path class="grid" d="M{left} {y:.1f} H{right}"/>')
        parts.append(_text(left - 6, y + 4, _short(tick), anchor="end"))
    for tick in across.ticks():
        x = across.place(tick)
        parts.append(f'<path class="grid" d="M{x:.1f} {TOP} V{bottom}"/>')
        parts.append(_text(x, bottom + 17, _short(tick), anchor="middle"))
    parts.append(f'<path class="axis" d="M{left} {TOP} V{bottom} H{right}"/>')
    parts.append(_text((left + right) / 2, bottom + 36, x_label, "small", "middle"))
    for line in panel.lines:
        series = names.index(line.name)
        places = [(across.place(x), up.place(y)) for x, y in sorted(line.points)]
        path = " L".join(f"{x:.1f} {y:.1f}" for x, y in places)
        parts.append(f'<path class="line s{series}" d="M{path}"/>')
        parts += [_marker(series, x, y) for x, y in places]
    return parts


def _marker(series: int, x: float, y: float) -> str:
    shapes = (
        f'<circle class="s{series}" cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>',
        f'<rect class="s{series}" x="{x - 3.5:.1f}" y="{y - 3.5:.1f}" width="7" height="7"/>',
        "",
        f'<path class="s{series}" d="M{x:.1f} {y - 4:.1f} l4.5 8 h-9 z"/>',
    )
    return shapes[series % len(shapes)]


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    attribute = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{attribute}>{escape(text)}</text>'


def _nice_step(high: float) -> float:
    """Return a step of 1, 2 or 5 times a power of ten that divides the axis in four to nine."""
    power = 10.0 ** math.floor(math.log10(high / 4))
    return max(step * power for step in (1, 2, 5) if step * power <= high / 4)


def _short(value: float) -> str:
    for unit, suffix in ((1e6, "M"), (1e3, "k")):
        if value >= unit:
            return f"{value / unit:g}{suffix}"
    return f"{value:.4g}"
