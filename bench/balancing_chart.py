"""The chart of the balancing simulation, ``docs/images/balancing.svg``; the same bytes for the same figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from .balancing import Result

FILE = Path(__file__).parent.parent / "docs" / "images" / "balancing.svg"

_WITHOUT, _WITH = "#9aa5b8", "#3f51b5"
_INK, _FAINT, _GRID = "#1f2733", "#5d6878", "#e3e7ee"
_PATCH = {"facecolor": "white", "edgecolor": "none", "pad": 1.0}  # labels interrupt the grid
_STYLE: dict[Any, object] = {
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "svg.hashsalt": "homeport",
    "text.color": _INK,
    "axes.labelcolor": _FAINT,
    "xtick.color": _FAINT,
    "ytick.color": _INK,
}


def draw(results: Mapping[str, tuple[Result, Result]], file: Path = FILE) -> None:
    """Draw the figures of each policy without and with ejection."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    names = list(results)
    with mpl.rc_context(_STYLE):
        figure, axes = pyplot.subplots(1, 2, figsize=(9.2, 4.1), sharey=True)
        figure.subplots_adjust(left=0.195, right=0.975, top=0.74, bottom=0.12, wspace=0.1)
        _panel(axes[0], [tuple(one.p99 * 1000 for one in results[name]) for name in names], _milliseconds, (13, 2300))
        _panel(axes[1], [tuple(one.errors * 100 for one in results[name]) for name in names], _percent, (0.12, 28))
        axes[0].set_title("99 of 100 calls end within", loc="left", fontsize=10, color=_INK, pad=10)
        axes[1].set_title("Calls that fail", loc="left", fontsize=10, color=_INK, pad=10)
        axes[0].set_yticks(range(len(names)), names, fontfamily="DejaVu Sans Mono")
        axes[0].set_ylim(len(names) - 0.4, -0.5)
        left = 0.02
        figure.text(
            left, 0.935, "Ten instances: one slow, one failing, one hanging", fontsize=13, fontweight="bold", color=_INK
        )
        figure.text(left, 0.868, "Less is better; the scales are logarithmic.", fontsize=9.5, color=_FAINT)
        for place, colour, text in ((0.545, _WITHOUT, "without ejection"), (0.745, _WITH, "with outlier ejection")):
            figure.text(place, 0.868, "●", color=colour, fontsize=12, va="baseline")
            figure.text(place + 0.02, 0.87, text, color=_INK, fontsize=9.5, va="baseline")
        file.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(file, facecolor="white", metadata={"Date": None} if file.suffix == ".svg" else None, dpi=150)
        pyplot.close(figure)


def _panel(
    axes: Axes, pairs: list[tuple[float, ...]], text: Callable[[float], str], limits: tuple[float, float]
) -> None:
    axes.set_xscale("log")
    axes.set_xlim(*limits)
    for row, (without, with_ejection) in enumerate(pairs):
        axes.plot([with_ejection, without], [row, row], color=_GRID, linewidth=5, solid_capstyle="round", zorder=1)
        axes.plot(without, row, "o", color=_WITHOUT, markersize=8, zorder=2)
        axes.plot(with_ejection, row, "o", color=_WITH, markersize=8, zorder=3)
        axes.annotate(
            text(without),
            (without, row),
            (9, 0),
            textcoords="offset points",
            va="center",
            color=_FAINT,
            fontsize=8.5,
            bbox=_PATCH,
        )
        axes.annotate(
            text(with_ejection),
            (with_ejection, row),
            (-9, 0),
            textcoords="offset points",
            va="center",
            ha="right",
            color=_WITH,
            fontsize=8.5,
            fontweight="bold",
            bbox=_PATCH,
        )
    axes.tick_params(which="both", length=0)
    axes.xaxis.set_major_formatter(lambda value, _position: text(value))
    axes.xaxis.set_minor_formatter(lambda _value, _position: "")
    axes.grid(axis="x", color=_GRID, linewidth=0.8, zorder=0)
    axes.set_axisbelow(True)
    for side in axes.spines.values():
        side.set_visible(False)


def _milliseconds(value: float) -> str:
    return f"{value / 1000:.3g} s" if value >= 999 else f"{value:.0f} ms"


def _percent(value: float) -> str:
    return f"{value:.2g} %" if value < 10 else f"{value:.0f} %"
