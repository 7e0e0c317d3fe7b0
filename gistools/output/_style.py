"""One restrained style for every figure, set for the time of drawing only, and PNG files that never differ."""

from __future__ import annotations

import io
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib.style
import numpy as np
from matplotlib import colormaps
from matplotlib.colors import to_hex
from matplotlib.rcsetup import cycler

from gistools.checks import listed
from gistools.errors import InputError
from gistools.io.atomic import atomic_path
from gistools.output._fonts import font_families, title_weight

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours, which the colour-blind can tell apart (Wong 2011, Nature Methods 8, 441), in an order
# that keeps neighbours far apart; yellow, too pale for lines, is left out.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
INK, GREY, PALE = "#222222", "#8a8a8a", "#ececec"
MISSING_HATCH = "/////"
DPI = 144
FORMATS = (".png", ".svg")


def style() -> AbstractContextManager[None]:
    """Matplotlib's defaults with this package's choices, whatever the user's own settings are.

    Returns
    -------
    context manager
        Draw within it; the settings before it come back at its end.
    """
    choices: dict[str, Any] = {
        # a list of families is kept by every text, so that a figure may also be saved outside this context
        "font.family": list(font_families()),
        "font.size": 9.0,
        "text.color": INK,
        "text.parse_math": False,  # a city may be called $x$
        "axes.labelcolor": INK,
        "axes.edgecolor": GREY,
        "axes.linewidth": 0.8,
        "axes.titlesize": 10.5,
        "axes.titleweight": title_weight(),
        "axes.titlelocation": "left",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "axes.prop_cycle": cycler(color=PALETTE),
        "xtick.color": INK,
        "ytick.color": INK,
        "grid.color": "#e3e3e3",
        "grid.linewidth": 0.7,
        "legend.frameon": False,
        "legend.fontsize": 8.5,
        "hatch.linewidth": 0.5,
        "hatch.color": "#9a9a9a",
        "figure.constrained_layout.use": True,
        "figure.constrained_layout.h_pad": 0.07,  # inches; a title keeps off what stands below it
        "figure.titlesize": 12.5,
        "figure.titleweight": title_weight(),
        "savefig.facecolor": "white",
    }
    return matplotlib.style.context(["default", choices])


def figure_png(figure: Figure, *, dpi: int = DPI) -> bytes:
    """Draw a figure as PNG.

    Parameters
    ----------
    figure : Figure
    dpi : int
        Dots per inch.

    Returns
    -------
    bytes
        The same for the same figure: neither time nor version is written into it.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> figure_png(Figure(figsize=(1, 1)))[1:4]
    b'PNG'
    """
    buffer = io.BytesIO()
    with style():
        figure.savefig(
            buffer, format="png", dpi=dpi, bbox_inches="tight", pad_inches=0.08, metadata={"Software": None}
        )
    return buffer.getvalue()


def save_figure(figure: Figure, path: str | Path, *, dpi: int = DPI) -> None:
    """Write a figure, whole or not at all.

    Parameters
    ----------
    figure : Figure
    path : path
        ``.png``, or ``.svg`` for print (letters become outlines, so that no font is needed to show them).
    dpi : int
        Dots per inch of a PNG.

    Raises
    ------
    InputError
        If the extension is neither.
    OutputError
        If the file cannot be written.
    """
    path = Path(path)
    if path.suffix not in FORMATS:
        raise InputError(f"{path}: figures are written as {listed(FORMATS)}, by extension")
    drawn = figure_png(figure, dpi=dpi) if path.suffix == ".png" else _svg(figure)
    with atomic_path(path) as temporary:
        temporary.write_bytes(drawn)


def _svg(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    with style(), matplotlib.rc_context({"svg.hashsalt": "gistools", "svg.fonttype": "path"}):
        figure.savefig(buffer, format="svg", bbox_inches="tight", pad_inches=0.08, metadata={"Date": None})
    return buffer.getvalue()


def finish(figure: Figure) -> Figure:
    """Make the first ticks of every axis while the style holds; Matplotlib makes the others late, as copies."""
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            axis.get_ticklabels()
    return figure


def ramp(count: int, name: str = "YlGnBu") -> list[str]:
    """Colours of ordered classes, from pale to dark.

    Parameters
    ----------
    count : int
    name : str
        A colour map of Matplotlib's; the default reads in grey and for the colour-blind.

    Returns
    -------
    list of str
        Hexadecimal.

    Examples
    --------
    >>> len(ramp(5)), ramp(1)
    (5, ['#40b5c4'])
    """
    places = np.linspace(0.15, 0.95, count) if count > 1 else [0.5]
    return [to_hex(colormaps[name](float(place))) for place in places]


def bare(axes: Axes) -> None:
    """Take ticks and frame off an axes that holds a map; its two directions share one scale."""
    axes.set_aspect("equal")
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
