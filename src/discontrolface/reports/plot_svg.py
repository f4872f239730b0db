"""A line plot as SVG, drawn by hand: axes with round numbers, confidence bands, lines with markers, a legend."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from discontrolface.reports.content import Plot, Series

WIDTH, HEIGHT = 640, 360  # of the drawing, in its own units
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 16, 48  # margins around the axes
LEGEND_ROW = 20
LETTER = 6.6  # mean width of a letter of 12 units
MARKERS = ("M-4 0a4 4 0 1 0 8 0a4 4 0 1 0 -8 0z", "M-3.5 -3.5h7v7h-7z", "M0 -4.5l4.5 8h-9z", "M0 -5l5 5l-5 5l-5 -5z")
COLOURS = 6  # classes c0 to c5 of STYLE
MANY = 30  # a line of more points has no markers

STYLE = """
.plot { --ink: #1c2430; --soft: #5b6675; --line: #d9dee5;
  --c0: #1f6fd0; --c1: #c2571a; --c2: #16845b; --c3: #8a4fc0; --c4: #b3870a; --c5: #b8336a; }
@media (prefers-color-scheme: dark) { .plot { --ink: #e6eaf0; --soft: #9aa5b4; --line: #333c48;
  --c0: #6aa9f7; --c1: #f0955c; --c2: #52c495; --c3: #c094ee; --c4: #e0bb4a; --c5: #ef7fac; } }
@media print { .plot { --ink: #000; --soft: #444; --line: #ccc;
  --c0: #1f6fd0; --c1: #c2571a; --c2: #16845b; --c3: #8a4fc0; --c4: #b3870a; --c5: #b8336a; } }
.plot text { font: 12px system-ui, -apple-system, "Segoe UI", sans-serif; fill: var(--soft); }
.plot .label { fill: var(--ink); }
.plot .grid { stroke: var(--line); stroke-width: 1; }
.plot .axis { stroke: var(--soft); stroke-width: 1; }
.plot .curve { fill: none; stroke-width: 2; stroke-linejoin: round; }
.plot .band { stroke: none; opacity: 0.16; }
.plot .c0 { stroke: var(--c0); fill: var(--c0); } .plot .c1 { stroke: var(--c1); fill: var(--c1); }
.plot .c2 { stroke: var(--c2); fill: var(--c2); } .plot .c3 { stroke: var(--c3); fill: var(--c3); }
.plot .c4 { stroke: var(--c4); fill: var(--c4); } .plot .c5 { stroke: var(--c5); fill: var(--c5); }
.plot .curve { fill: none; }
"""
"""Colours for light, dark and paper. A page that shows plots has this once; a file of its own carries it."""


@dataclass(frozen=True)
class Axis:
    """Numbers from `low` to `high` on a line from `start` to `end` of the drawing."""

    low: float
    high: float
    start: float
    end: float

    def place(self, value: float) -> float:
        """Where a number lies."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


def tick_step(span: float, count: int) -> float:
    """The smallest of 1, 2, 5 times a power of ten that gives at most `count` steps over `span` > 0."""
    power = 10.0 ** math.floor(math.log10(span / count))
    return next(step * power for step in (1, 2, 5, 10, 20) if span / (step * power) <= count + 1e-9)


def ticks(low: float, high: float, count: int = 6) -> list[float]:
    """Round numbers from the last at or below `low` to the first at or above `high`."""
    step = tick_step(high - low, count)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [k * step for k in range(first, last + 1)]


def tick_text(value: float) -> str:
    """As short as it can be said: 0, 0.25, 15000, 2e+06."""
    return f"{value + 0.0:.6g}"


def value_range(values: Iterable[float]) -> tuple[float, float]:
    """Lowest and highest of the finite values; one apart where they are all the same, 0 to 1 without any."""
    finite = [v for v in values if math.isfinite(v)]
    if not finite:
        return 0.0, 1.0
    low, high = min(finite), max(finite)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def y_range(series: Sequence[Series]) -> tuple[float, float]:
    """Of lines and bands; from 0 where nothing is negative and the values do not lie close together far from 0."""
    low, high = value_range(v for s in series for v in (*s.y, *s.low, *s.high))
    return (0.0, high) if 0 <= low < 0.6 * high else (low, high)


def runs(points: Iterable[tuple[float, ...]]) -> Iterator[list[tuple[float, ...]]]:
    """Consecutive points without a gap: a value that is not finite ends a line."""
    run: list[tuple[float, ...]] = []
    for point in points:
        if all(map(math.isfinite, point)):
            run.append(point)
        elif run:
            yield run
            run = []
    if run:
        yield run


def pairs(points: Iterable[tuple[float, float]]) -> str:
    """`x,y x,y`, as SVG's points."""
    return " ".join(f"{x:.2f},{y:.2f}" for x, y in points)


def draw_series(series: Series, colour: int, x: Axis, y: Axis) -> list[str]:
    """Band, line, markers with the value as a tooltip."""
    out = []
    if series.low and series.high:
        for run in runs(zip(series.x, series.low, series.high, strict=True)):
            there = [(x.place(a), y.place(high)) for a, _, high in run]
            back = [(x.place(a), y.place(low)) for a, low, _ in reversed(run)]
            out.append(f'<polygon class="band c{colour % COLOURS}" points="{pairs(there + back)}"/>')
    for run in runs(zip(series.x, series.y, strict=True)):
        places = [(x.place(a), y.place(b)) for a, b in run]
        out.append(f'<polyline class="curve c{colour % COLOURS}" points="{pairs(places)}"/>')
        for (a, b), (px, py) in zip(run, places, strict=True) if len(series.x) <= MANY or len(run) == 1 else ():
            said = html.escape(f"{series.name}: {a:.6g}, {b:.6g}")
            shape = MARKERS[colour % len(MARKERS)]
            out.append(
                f'<path class="c{colour % COLOURS}" transform="translate({px:.2f} {py:.2f})" d="{shape}"><title>{said}</title></path>'
            )
    return out


def draw_axes(plot: Plot, x: Axis, y: Axis, x_ticks: Sequence[float], y_ticks: Sequence[float]) -> list[str]:
    """Grid, numbers and labels."""
    out = []
    for value in y_ticks:
        at = y.place(value)
        out.append(f'<line class="grid" x1="{x.start:.2f}" x2="{x.end:.2f}" y1="{at:.2f}" y2="{at:.2f}"/>')
        out.append(f'<text class="y-tick" x="{x.start - 8:.2f}" y="{at + 4:.2f}" text-anchor="end">{tick_text(value)}</text>')
    for value in x_ticks:
        at = x.place(value)
        out.append(f'<line class="axis" x1="{at:.2f}" x2="{at:.2f}" y1="{y.start:.2f}" y2="{y.start + 4:.2f}"/>')
        out.append(f'<text class="x-tick" x="{at:.2f}" y="{y.start + 18:.2f}" text-anchor="middle">{tick_text(value)}</text>')
    out.append(f'<line class="axis" x1="{x.start:.2f}" x2="{x.end:.2f}" y1="{y.start:.2f}" y2="{y.start:.2f}"/>')
    middle_x, middle_y = (x.start + x.end) / 2, (y.start + y.end) / 2
    out.append(f'<text class="label" x="{middle_x:.2f}" y="{y.start + 38:.2f}" text-anchor="middle">{html.escape(plot.x_label)}</text>')
    turned = f'transform="translate(14 {middle_y:.2f}) rotate(-90)" text-anchor="middle"'
    out.append(f'<text class="label" {turned}>{html.escape(plot.y_label)}</text>')
    return out


def draw_legend(series: Sequence[Series], top: float) -> tuple[list[str], float]:
    """Names with their markers, as many in a row as fit; and the height they take."""
    out, at, row = [], float(LEFT), 0
    for k, one in enumerate(series):
        width = 26 + LETTER * len(one.name)
        if at > LEFT and at + width > WIDTH - RIGHT:
            at, row = float(LEFT), row + 1
        y = top + LEGEND_ROW * row
        out.append(f'<path class="c{k % COLOURS}" transform="translate({at + 6:.2f} {y:.2f})" d="{MARKERS[k % len(MARKERS)]}"/>')
        out.append(f'<text class="label" x="{at + 16:.2f}" y="{y + 4:.2f}">{html.escape(one.name)}</text>')
        at += width
    return out, LEGEND_ROW * (row + 1) if series else 0


def plot_svg(plot: Plot, standalone: bool = False) -> str:
    """The plot as an <svg> element for a page that has STYLE; standalone: as a file of its own."""
    legend, legend_height = draw_legend(plot.series, TOP)
    x_values = sorted({v for s in plot.series for v in s.x if math.isfinite(v)})
    x_low, x_high = value_range(x_values)
    # Few numbers, as sizes and steps are, are written themselves, unless they are too close together to be read.
    few = 1 < len(x_values) <= 8 and min(b - a for a, b in pairwise(x_values)) >= 0.04 * (x_high - x_low)
    x_ticks = x_values if few else ticks(x_low, x_high)
    y_ticks = ticks(*y_range(plot.series))
    x = Axis(x_ticks[0], x_ticks[-1], LEFT, WIDTH - RIGHT - 8)
    y = Axis(y_ticks[0], y_ticks[-1], HEIGHT - BOTTOM, TOP + legend_height)
    parts = draw_axes(plot, x, y, x_ticks, y_ticks) + legend
    for k, series in enumerate(plot.series):
        parts += draw_series(series, k, x, y)
    name = html.escape(plot.title)
    first = f'<svg class="plot" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{name}"'
    if not standalone:
        return "\n".join([f"{first}>", *parts, "</svg>"])
    space = ' xmlns="http://www.w3.org/2000/svg"'
    return "\n".join([f'{first}{space} width="{WIDTH}" height="{HEIGHT}">', f"<style>{STYLE}</style>", *parts, "</svg>\n"])
