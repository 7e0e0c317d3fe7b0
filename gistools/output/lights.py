"""The figure of a calibrated light series: the sum of lights of every satellite-year, before and after."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from gistools.checks import require_columns, require_numeric
from gistools.output._fonts import drawable
from gistools.output._style import INK, PALETTE, finish, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MARKERS = "osD^vPX"


def plot_calibration(satellites: pd.DataFrame, years: pd.DataFrame | None = None, *, title: str) -> Figure:
    """Draw the sum of lights of every satellite-year before and after calibration, side by side.

    Parameters
    ----------
    satellites : DataFrame
        ``satellite, year, sum_before, sum_after``: one row a satellite-year.
    years : DataFrame, optional
        ``year, light_sum``: the series as it was written, drawn in black beside the satellites after calibration.
    title : str

    Returns
    -------
    Figure
        One colour and marker a satellite; both panels share their axes.

    Raises
    ------
    TableError
        If a column lacks.

    Examples
    --------
    >>> table = pd.DataFrame({"satellite": ["F15", "F16"], "year": [2007, 2007], "sum_before": [90.0, 120.0],
    ...                       "sum_after": [101.0, 104.0]})
    >>> [axes.get_title("left") for axes in plot_calibration(table, title="Lights").axes]
    ['before', 'after']
    """
    require_columns(satellites, ["satellite", "year", "sum_before", "sum_after"], "the calibration")
    require_numeric(satellites, ["year", "sum_before", "sum_after"], "the calibration")
    with style():
        figure = Figure(figsize=(9.2, 3.8))
        panels = figure.subplots(1, 2, sharex=True, sharey=True)
        names = sorted(satellites["satellite"].astype(str).unique())
        for axes, column in zip(panels, ("sum_before", "sum_after"), strict=True):
            for k, name in enumerate(names):
                own = satellites[satellites["satellite"].astype(str) == name].sort_values("year")
                axes.plot(
                    own["year"],
                    own[column],
                    color=PALETTE[k % (len(PALETTE) - 1)],  # black is the series
                    marker=_MARKERS[k % len(_MARKERS)],
                    markersize=4.5,
                    linewidth=1.4,
                    label=drawable(name or "unknown satellite") if column == "sum_before" else None,
                )
            axes.set_title(column.removeprefix("sum_"))
            _axes(axes, satellites["year"].to_numpy(np.int64))
        if years is not None:
            require_columns(years, ["year", "light_sum"], "the series")
            series = years.sort_values("year")
            panels[1].plot(
                series["year"],
                series["light_sum"],
                color=INK,
                linewidth=1.1,
                linestyle=(0, (4, 2)),
                marker="_",
                label="as written",
                zorder=3,
            )
        panels[0].set_ylabel("sum of digital numbers")
        panels[0].set_ylim(bottom=0)
        figure.legend(loc="outside lower left", ncols=8, columnspacing=1.4)
        figure.suptitle(drawable(title), x=0.01, ha="left")
        return finish(figure)


def _axes(axes: Axes, years: np.ndarray) -> None:
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    if years.min() == years.max():
        axes.set_xlim(years[0] - 1, years[0] + 1)
    axes.grid(visible=True, axis="y")
