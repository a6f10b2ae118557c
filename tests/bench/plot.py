"""Draws the results: a panel for each figure, and the two curves."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl

mpl.use("svg")
mpl.rcParams["svg.hashsalt"] = "rebound"  # the same figures give the same file

from matplotlib import pyplot as plt  # noqa: E402
from matplotlib.axes import Axes  # noqa: E402
from matplotlib.figure import Figure as Picture  # noqa: E402

from tests.bench.contest import Results  # noqa: E402
from tests.bench.contestants import C_LOOP, FILE, PACKAGE, PYTHON, PYTHON_LOOP  # noqa: E402
from tests.bench.report import amount, quartiles  # noqa: E402
from tests.bench.rows import Figure  # noqa: E402

_CURVES = {"crowd": "restart beside N orphans", "endurance": "private dirty memory, by restarts"}
_COLOURS = {PACKAGE: "tab:red", FILE: "tab:orange"}
_COLOURS |= dict.fromkeys((C_LOOP, PYTHON_LOOP, PYTHON), "tab:gray")
_OTHERS = "tab:blue"
_COLUMNS = 3
_OF_CRASHES = ("crash", "listening", "stored")
"""The rows that have a picture of their own."""
_KEPT = ", socket kept"


def draw(results: Results, order: Sequence[str], path: Path) -> None:
    """Write all panels but those of crashes into one SVG file."""
    bars = [
        figure
        for figure in results.values
        if not _is_of_curve(figure) and results.row_of[figure] not in _OF_CRASHES
    ]
    curves = [
        (title, figures)
        for name, title in _CURVES.items()
        if (figures := [one for one in results.values if one.name.startswith(f"{name}_")])
    ]
    count = len(bars) + len(curves)
    lines = max(1, -(-count // _COLUMNS))
    picture, axes = plt.subplots(
        lines, _COLUMNS, figsize=(5 * _COLUMNS, 2.8 * lines), layout="constrained", squeeze=False
    )
    panels = iter(axes.flat)
    for figure in bars:
        _draw_bars(next(panels), figure, results.values[figure], order)
    for title, figures in curves:
        _draw_curve(next(panels), title, figures, results, order)
    for panel in panels:
        panel.set_axis_off()
    _save(picture, path)


def draw_crashes(results: Results, order: Sequence[str], path: Path) -> None:
    """Write what clients notice of crashes into one SVG file: with a socket kept, and without."""
    labels = [label for name in order for label in (name + _KEPT, name)]
    lost: dict[str, list[float]] = {}
    waits: dict[str, list[float]] = {}
    for row, suffix in (("crash", ""), ("listening", _KEPT)):
        for name in order:
            kinds = [results.of(f"{row}_{kind}", name) for kind in ("refused", "reset", "late")]
            if all(kinds):
                lost[name + suffix] = [sum(each) for each in zip(*kinds, strict=True)]
                waits[name + suffix] = results.of(f"{row}_wait", name)
    picture, axes = plt.subplots(1, 2, figsize=(15, 4.2), layout="constrained")
    if lost:
        title = "refused, reset, or not answered in 1 s, per crash"
        _draw_bars(axes[0], Figure("lost", title, ""), lost, labels)
        axes[0].set_xscale("symlog", linthresh=1)
        axes[0].set_xlim(0, 10 * max(1, *map(max, lost.values())))
        title = "longest wait at a crash, median"
        _draw_bars(axes[1], Figure("wait", title, "ns"), waits, labels)
    _save(picture, path)


def _save(picture: Picture, path: Path) -> None:
    picture.savefig(path, metadata={"Date": None})
    path.write_text(re.sub(r"[ \t]+$", "", path.read_text(), flags=re.MULTILINE))


def _is_of_curve(figure: Figure) -> bool:
    return figure.name.startswith(tuple(f"{name}_" for name in _CURVES)) or figure.name == "growth"


def _draw_bars(
    panel: Axes, figure: Figure, values: dict[str, list[float]], order: Sequence[str]
) -> None:
    """Draw the medians, with the quartiles as whiskers; times by powers of ten."""
    names = [name for name in reversed(order) if name in values]
    spread = [quartiles(values[name]) for name in names]
    medians = [middle for _, middle, _ in spread]
    whiskers = [[m - low for low, m, _ in spread], [high - m for _, m, high in spread]]
    colours = [_COLOURS.get(name.removesuffix(_KEPT), _OTHERS) for name in names]
    bars = panel.barh(names, medians, xerr=whiskers, color=colours, ecolor="black")
    panel.bar_label(bars, [amount(middle, figure.unit) for middle in medians], padding=3)
    panel.set_title(figure.title)
    panel.margins(x=0.3)
    panel.spines[["top", "right"]].set_visible(False)
    if figure.unit == "ns":
        panel.set_xscale("log")
        panel.set_xlim(min(medians) / 3, max(medians) * 10)
    panel.xaxis.set_major_formatter(lambda value, _: amount(value, figure.unit))
    panel.tick_params(axis="x", labelsize=7)


def _draw_curve(
    panel: Axes, title: str, figures: Sequence[Figure], results: Results, order: Sequence[str]
) -> None:
    """Draw the medians over the number in the figures' names."""
    numbers = [figure.name.partition("_")[2] for figure in figures]
    for name in order:
        if name in results.values[figures[0]]:
            medians = [quartiles(results.values[figure][name])[1] for figure in figures]
            panel.plot(numbers, medians, "o-", label=name, color=_COLOURS.get(name, _OTHERS))
    panel.set_ylim(bottom=0)
    unit = figures[0].unit
    panel.yaxis.set_major_formatter(lambda value, _: amount(value, unit))
    panel.set_title(title)
    panel.set_xlabel("N" if figures[0].name.startswith("crowd") else "%")
    panel.spines[["top", "right"]].set_visible(False)
    panel.legend(frameon=False, fontsize=8)
