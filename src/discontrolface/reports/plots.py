"""Plots by Matplotlib as SVG: the same numbers give the same bytes, and no state of the process is left changed (no pyplot)."""

from __future__ import annotations

import io
import math
import textwrap
import threading
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from discontrolface.common.statistics import Estimate
from discontrolface.reports.content import IntervalPlot, Plot

if TYPE_CHECKING:
    from matplotlib.axes import Axes

STYLE: Any = {
    "svg.hashsalt": "discontrolface",
    "svg.fonttype": "none",
    "font.size": 9,
    "text.parse_math": False,
    "axes.titlesize": 9,
    "xtick.labelsize": 8,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#5b6675",
    "grid.color": "#d9dee5",
    "legend.frameon": False,
}
COLOURS = ("#1f6fd0", "#c2571a", "#16845b", "#8a4fc0", "#b3870a", "#b8336a")
MARKERS = "os^Dvp"
MANY = 30  # a line of more points has no markers
FEW = 8  # values on the horizontal axis of which each is written, unless they lie too close together
PANELS = 4  # side by side
PIXELS = 100  # an inch

_settings = threading.Lock()  # Matplotlib's settings belong to the process: they are ours only while one plot is drawn


def plot_svg(plot: Plot | IntervalPlot) -> tuple[bytes, int, int]:
    """(SVG, width, height in pixels)."""
    import matplotlib
    from matplotlib.figure import Figure

    with _settings, matplotlib.rc_context(STYLE):
        size = (5.8, 3.4) if isinstance(plot, Plot) else interval_size(plot)
        figure, out = Figure(size, layout="constrained"), io.BytesIO()
        if isinstance(plot, Plot):
            draw_lines(figure.subplots(), plot)
            if plot.series:
                figure.legend(loc="outside upper left", ncols=3)
        else:
            draw_intervals(figure, plot)
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    return out.getvalue(), round(size[0] * PIXELS), round(size[1] * PIXELS)


def draw_lines(axes: Axes, plot: Plot) -> None:
    """Lines with markers, confidence bands; a value that is not finite is a gap."""
    for k, one in enumerate(plot.series):
        colour = COLOURS[k % len(COLOURS)]
        marker = MARKERS[k % len(MARKERS)] if len(one.x) <= MANY else ""
        axes.plot(one.x, one.y, label=label(one.name), color=colour, marker=marker, markersize=4, gid=f"line{k}")
        if one.low and one.high:
            axes.fill_between(one.x, one.low, one.high, color=colour, alpha=0.16, linewidth=0)
    axes.set_xlabel(plot.x_label)
    axes.set_ylabel(plot.y_label)
    x = sorted({v for s in plot.series for v in s.x if math.isfinite(v)})
    if 1 < len(x) <= FEW and min(b - a for a, b in pairwise(x)) >= 0.04 * (x[-1] - x[0]):
        axes.set_xticks(x, [f"{v:g}" for v in x])
    y = [v for s in plot.series for v in (*s.y, *s.low, *s.high) if math.isfinite(v)]
    if y and 0 <= min(y) < 0.6 * max(y):  # from 0, unless the values lie close together far from it
        axes.set_ylim(bottom=0)


def interval_size(plot: IntervalPlot) -> tuple[float, float]:
    """(width, height) in inches."""
    return 11.8, (0.7 + 0.3 * len(plot.table.rows)) * max(1, math.ceil(len(plot.panels) / PANELS))


def draw_intervals(figure: Any, plot: IntervalPlot) -> None:
    """A panel an estimate, PANELS side by side."""
    panels, names = plot.panels, [textwrap.shorten(str(row[0]), 44, placeholder=" …") for row in plot.table.rows]
    for k, (title, estimates) in enumerate(panels):
        axes = figure.add_subplot(math.ceil(len(panels) / PANELS), min(PANELS, len(panels)), k + 1, title=title)
        axes.set_yticks(range(len(names)), names if k % PANELS == 0 else [])
        axes.set_ylim(max(len(names), 1) - 0.5, -0.5)
        draw_estimates(axes, estimates)
        if plot.reference is not None:
            axes.axvline(plot.reference, color="#5b6675", linewidth=1)


def draw_estimates(axes: Axes, estimates: Sequence[Estimate]) -> None:
    """Points with their intervals; a row without an estimate stays empty."""
    for place, e in enumerate(estimates):
        if e.value is not None and math.isfinite(e.value):
            axes.plot([e.value if end is None else end for end in (e.low, e.high)], [place, place], color=COLOURS[0])
            axes.plot(e.value, place, "o", color=COLOURS[0], markersize=4)


def label(text: str) -> str:
    """A name that begins with an underscore would hide its line from the legend."""
    return "\u200b" + text if text.startswith("_") else text
