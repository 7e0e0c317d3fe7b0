"""Figures: series over years, funnels of records, Moran scatter plots, estimates, gradients, sensitivity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from gistools.checks import listed, require_columns, require_numeric
from gistools.errors import InputError, TableError
from gistools.output._fonts import city_labels, count_undrawable, drawable, province_labels
from gistools.output._numbers import number
from gistools.output._style import GREY, INK, PALETTE, figure_png, finish, save_figure, style
from gistools.output.tables import term_order
from gistools.weights.graph import from_adjacency_table, standardised_rows, weights_matrix

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

__all__ = [
    "city_labels",
    "count_undrawable",
    "figure_png",
    "moran_points",
    "plot_coefficients",
    "plot_effects",
    "plot_funnel",
    "plot_gradients",
    "plot_moran",
    "plot_sensitivity",
    "plot_series",
    "save_figure",
]

_BAND = "#cfe0ee"
EFFECTS = ("direct", "indirect", "total")


def plot_series(
    panel: pd.DataFrame,
    column: str,
    *,
    title: str,
    unit: str = "",
    weight: str | None = None,
    by_province: bool = False,
) -> Figure:
    """Draw a column over the years: the mean of cities and their spread, or a small panel for each province.

    Parameters
    ----------
    panel : DataFrame
        ``city_code``, ``year``, the column; ``province`` (and ``province_en``) for provinces.
    column : str
    title : str
    unit : str
        Names the vertical axis.
    weight : str, optional
        A column whose values weight a second mean, for example ``urban_area_km2``.
    by_province : bool
        One panel a province: its mean in colour, the other provinces' in grey.

    Returns
    -------
    Figure
        Years keep their true distances. Below it stands how many city-years have no value.

    Raises
    ------
    TableError
        If a column lacks.
    InputError
        If no city has a value.
    """
    needed = ["city_code", "year", column, *([weight] if weight else []), *(["province"] if by_province else [])]
    require_columns(panel, needed, "the panel")
    require_numeric(panel, [column], "the panel")
    values = panel.assign(_value=panel[column].astype(np.float64))
    if not np.isfinite(values["_value"]).any():
        raise InputError(f"no city has a value of {column}, so there is no series to draw")
    with style():
        missing = int(values["_value"].isna().sum())
        note = f"{missing} of {len(values)} city-years have no value and do not count." if missing else ""
        figure = _provinces(values, unit, note) if by_province else _nation(values, column, unit, weight, note)
        figure.suptitle(drawable(title), x=0.01, ha="left")
        return finish(figure)


def _nation(values: pd.DataFrame, column: str, unit: str, weight: str | None, note: str) -> Figure:
    figure = Figure(figsize=(7.2, 3.6))
    axes = figure.subplots()
    years = sorted(values["year"].unique())
    by_year = values.groupby("year")["_value"]
    low, high, middle, mean = (
        by_year.quantile(0.25).reindex(years),
        by_year.quantile(0.75).reindex(years),
        by_year.median().reindex(years),
        by_year.mean().reindex(years),
    )
    axes.fill_between(years, low, high, color=_BAND, linewidth=0, label="middle half of the cities")
    axes.plot(years, middle, color=GREY, linewidth=1.2, linestyle=(0, (4, 2)), label="median")
    axes.plot(years, mean, color=PALETTE[0], linewidth=2, marker="o", markersize=4, label="mean of cities")
    if weight:
        known = values[np.isfinite(values["_value"]) & (values[weight].astype(np.float64) > 0)]
        product = known["_value"] * known[weight].astype(np.float64)
        weighted = product.groupby(known["year"]).sum() / known.groupby("year")[weight].sum()
        axes.plot(
            years,
            weighted.reindex(years),
            color=PALETTE[1],
            linewidth=2,
            marker="s",
            markersize=4,
            label=drawable(f"mean weighted by {weight.removesuffix('_km2').replace('_', ' ')}"),
        )
    _years_axis(axes, years)
    axes.set_ylabel(drawable(unit or column.replace("_", " ")))
    axes.set_xlabel(note, loc="left", fontsize=8)
    axes.grid(visible=True, axis="y")
    figure.legend(loc="outside lower left", ncols=4, columnspacing=1.4)
    return figure


def _provinces(values: pd.DataFrame, unit: str, note: str) -> Figure:
    means = values.dropna(subset=["province"]).pivot_table("_value", "province", "year", aggfunc="mean", dropna=False)
    means = means.loc[means.notna().any(axis=1)]
    if means.empty:
        raise InputError("no city with a value has a province, so there are no provinces to draw")
    names = province_labels(values)
    cities = values.groupby("province")["city_code"].nunique()
    across = min(len(means), 4 if len(means) <= 12 else 6)
    down = -(-len(means) // across)
    figure = Figure(figsize=(10.5 if across > 3 else 3.2 * across + 0.8, 1.75 * down + 0.8))
    grid = figure.subplots(down, across, squeeze=False, sharex=True, sharey=True)
    years = [int(year) for year in means.columns]
    for axes, province in zip(grid.flat, means.index, strict=False):
        for other in means.index:
            axes.plot(years, means.loc[other], color="#d4d4d4", linewidth=0.7, zorder=1)
        axes.plot(years, means.loc[province], color=PALETTE[0], linewidth=2, marker="o", markersize=2.5, zorder=3)
        axes.set_title(drawable(f"{names[str(province)]} ({cities[province]})"), fontsize=9, fontweight="normal")
        axes.grid(visible=True, axis="y")
        _years_axis(axes, years, most=3)
    for axes in grid.flat[len(means) :]:
        axes.set_visible(False)
    for axes in grid.flat[max(len(means) - across, 0) : len(means)]:
        axes.tick_params(labelbottom=True)  # the lowest of its column, even above an empty place
    figure.supylabel(drawable(unit), fontsize=9)
    figure.supxlabel(note, x=0.01, ha="left", fontsize=8)
    return figure


def _years_axis(axes: Axes, years: Sequence[int], most: int = 12) -> None:
    """Label years that are there, all of them or evenly chosen ones."""
    chosen = (
        list(years) if len(years) <= most else [years[i] for i in np.linspace(0, len(years) - 1, most).astype(int)]
    )
    axes.set_xticks(chosen, labels=[str(int(year)) for year in chosen])
    if len(years) == 1:
        axes.set_xlim(years[0] - 1, years[0] + 1)


def plot_funnel(funnel: pd.DataFrame, *, title: str) -> Figure:
    """Draw how many records each step kept and removed, and why.

    Parameters
    ----------
    funnel : DataFrame
        ``step``, ``removed``, ``kept``, ``reason``, in the order of the steps.
    title : str

    Returns
    -------
    Figure
        One bar a step; what it removed is hatched at the end of its bar.

    Examples
    --------
    >>> steps = pd.DataFrame({"step": ["read", "priced"], "removed": [0, 20], "kept": [100, 80],
    ...                       "reason": ["", "no price"]})
    >>> len(plot_funnel(steps, title="Parcels").axes[0].patches)
    4
    """
    require_columns(funnel, ["step", "removed", "kept", "reason"], "the funnel")
    if funnel.empty:
        raise InputError("the funnel has no steps, so there is nothing to draw")
    kept, removed = (funnel[name].to_numpy(np.float64) for name in ("kept", "removed"))
    most = float((kept + removed).max()) or 1.0
    with style():
        figure = Figure(figsize=(8.4, 0.42 * len(funnel) + 0.9))
        axes = figure.subplots()
        place = np.arange(len(funnel))
        axes.barh(place, kept, color=PALETTE[0], height=0.66)
        axes.barh(
            place, removed, left=kept, color="#f6ddcc", edgecolor=PALETTE[1], hatch="////", height=0.66, linewidth=0.6
        )
        for i, reason in enumerate(funnel["reason"]):
            text = f"{kept[i]:,.0f} kept"
            if removed[i]:
                text += f", {removed[i]:,.0f} removed"
                text += f": {_cut(reason, 60)}" if _said(reason) else ""
            axes.text(kept[i] + removed[i] + 0.012 * most, i, drawable(text), va="center", fontsize=8)
        axes.set_yticks(place, labels=[drawable(_cut(step, 34)) for step in funnel["step"]])
        axes.invert_yaxis()
        axes.set_xlim(0, most * 1.02)
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axes.set_xlabel("records")
        axes.tick_params(axis="y", length=0)
        figure.suptitle(drawable(title), x=0.01, ha="left")
        return finish(figure)


def _said(text: object) -> bool:
    return isinstance(text, str) and bool(text.strip())


def _cut(text: object, most: int) -> str:
    text = " ".join(str(text).split())
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def moran_points(values: pd.Series, weights: pd.DataFrame) -> pd.DataFrame:
    """Standardised values and the weighted mean of their neighbours.

    Parameters
    ----------
    values : Series
        Indexed by city code, without missing values.
    weights : DataFrame
        Links: ``focal``, ``neighbor``, ``weight``, for the same cities. Rows are divided by their sums.

    Returns
    -------
    DataFrame
        By city: ``z`` and ``lag``. Over all cities, ``sum(z lag) / sum(z^2)`` is Moran's I of row-standardised
        weights.

    Raises
    ------
    InputError
        If a value is missing or all are equal.
    WeightsError
        If values and weights do not hold the same cities.

    Examples
    --------
    >>> links = pd.DataFrame({"focal": list("abbc"), "neighbor": list("bacb"), "weight": 1.0})
    >>> moran_points(pd.Series({"a": 1.0, "b": 2.0, "c": 3.0}), links).round(3).values.tolist()
    [[-1.225, 0.0], [0.0, 0.0], [1.225, 0.0]]
    """
    y = values.to_numpy(np.float64)
    if not np.isfinite(y).all():
        raise InputError(f"{int((~np.isfinite(y)).sum())} of {len(y)} cities have no value; leave them out of both")
    if not y.std():
        raise InputError("all values are equal, so they have no spatial pattern")
    codes = values.index.astype(str)
    matrix = standardised_rows(weights_matrix(from_adjacency_table(weights), codes))
    z = (y - y.mean()) / y.std()
    return pd.DataFrame({"z": z, "lag": matrix @ z}, index=codes)


def plot_moran(values: pd.Series, weights: pd.DataFrame, *, title: str, label: str) -> Figure:
    """Draw Moran's scatter plot: each city's value against the weighted mean of its neighbours.

    Parameters
    ----------
    values : Series
        Indexed by city code, without missing values.
    weights : DataFrame
        Links: ``focal``, ``neighbor``, ``weight``.
    title : str
    label : str
        What the values are.

    Returns
    -------
    Figure
        The line's slope is Moran's I of row-standardised weights.

    Raises
    ------
    InputError, WeightsError
        As :func:`moran_points`.
    """
    points = moran_points(values, weights)
    z, lag = points["z"].to_numpy(), points["lag"].to_numpy()
    slope = float(z @ lag / (z @ z))
    with style():
        figure = Figure(figsize=(4.9, 4.5))
        axes = figure.subplots()
        quadrants = {
            "high among high": ((z > 0) & (lag > 0), PALETTE[1]),
            "low among low": ((z < 0) & (lag < 0), PALETTE[0]),
            "high among low": ((z > 0) & (lag <= 0), PALETTE[4]),
            "low among high": ((z <= 0) & (lag >= 0), PALETTE[5]),
        }
        for name, (chosen, colour) in quadrants.items():
            axes.scatter(
                z[chosen],
                lag[chosen],
                s=16,
                color=colour,
                alpha=0.8,
                linewidth=0,
                label=f"{name} ({int(chosen.sum())})",
            )
        axes.axhline(0, color=GREY, linewidth=0.8)
        axes.axvline(0, color=GREY, linewidth=0.8)
        ends = np.array([z.min(), z.max()])
        axes.plot(ends, slope * ends, color=INK, linewidth=1.6, label=f"slope: Moran's I = {slope:.3f}")
        axes.set_xlabel(drawable(f"{label} (standard deviations from the mean)"))
        axes.set_ylabel("weighted mean of the neighbours")
        figure.legend(loc="outside lower left", ncols=2, markerscale=1.3)
        figure.suptitle(drawable(title), x=0.01, ha="left")
        return finish(figure)


def plot_coefficients(
    fits: Sequence[Mapping[str, Any]],
    *,
    names: Sequence[str],
    title: str,
    terms: Sequence[str] | None = None,
    labels: Mapping[str, str] | None = None,
) -> Figure:
    """Draw the estimates of several models with their 95 % confidence intervals.

    Parameters
    ----------
    fits : sequence of mappings
        Fits as their ``to_dict()`` gives them.
    names : sequence of str
        Of the models.
    title : str
    terms : sequence of str, optional
        By default every term but the constant.
    labels : mapping of str to str, optional
        How terms are written.

    Returns
    -------
    Figure

    Raises
    ------
    TableError
        If no model has such a term.
    """
    _require_names(fits, names)
    rows = [
        {"group": str(term["term"]), "model": name, **_interval(term)}
        for name, fit in zip(names, fits, strict=True)
        for term in fit["terms"]
        if (term["term"] in terms if terms is not None else term["term"] != "const")
    ]
    if not rows:
        raise TableError(f"no model has the term {listed(terms or ['(none)'])}")
    table = pd.DataFrame(rows)
    order = term_order(list(table["group"]))
    table = table.sort_values("group", key=lambda column: column.map(order.index), kind="stable")
    return _whiskers(table, list(names), title, "estimate and 95 % confidence interval", labels or {})


def plot_effects(
    fits: Sequence[Mapping[str, Any]],
    *,
    names: Sequence[str],
    title: str,
    terms: Sequence[str] | None = None,
    labels: Mapping[str, str] | None = None,
) -> Figure:
    """Draw direct, indirect and total effects of several models with their 95 % confidence intervals.

    Parameters
    ----------
    fits : sequence of mappings
        Fits with ``effects_decomposition``; those without it are left out.
    names : sequence of str
        Of the models.
    title : str
    terms : sequence of str, optional
        By default every term.
    labels : mapping of str to str, optional
        How terms are written.

    Returns
    -------
    Figure

    Raises
    ------
    TableError
        If no model has effects.
    """
    _require_names(fits, names)
    rows = [
        {"group": f"{(labels or {}).get(row['term'], row['term'])}: {row['effect']}", "model": name, **_interval(row)}
        for name, fit in zip(names, fits, strict=True)
        for row in fit.get("effects_decomposition") or ()
        if terms is None or row["term"] in terms
    ]
    if not rows:
        raise TableError("no model has an effects decomposition; fit a SAR or SDM model")
    table = pd.DataFrame(rows)
    shown = [name for name in names if name in set(table["model"])]
    return _whiskers(table, shown, title, "effect and 95 % confidence interval", {})


def _require_names(fits: Sequence[Mapping[str, Any]], names: Sequence[str]) -> None:
    if not len(fits) or len(fits) != len(names):
        raise InputError(f"there are {len(fits)} fits and {len(names)} names; give one name for each fit")


def _interval(row: Mapping[str, Any]) -> dict[str, float]:
    """Estimate and confidence limits; limits from the standard error where none are given."""
    value = row.get("estimate")
    estimate = np.nan if value is None else float(value)
    error = row.get("std_error")
    reach = np.nan if error is None else 1.959963984540054 * float(error)
    limits = [row.get("ci_low"), row.get("ci_high")]
    low, high = (
        float(limit) if limit is not None else estimate + sign * reach
        for limit, sign in zip(limits, (-1, 1), strict=True)
    )
    return {"estimate": estimate, "low": low, "high": high}


def _whiskers(table: pd.DataFrame, models: Sequence[str], title: str, axis: str, labels: Mapping[str, str]) -> Figure:
    groups = list(dict.fromkeys(table["group"]))
    step = 0.8 / max(len(models), 1)
    with style():
        figure = Figure(figsize=(7.2, 0.3 * len(groups) * max(len(models), 1.4) + 1.4))
        axes = figure.subplots()
        axes.axvline(0, color=INK, linewidth=0.8)
        for k, model in enumerate(models):
            rows = table[table["model"] == model]
            place = np.array([groups.index(group) for group in rows["group"]]) + (k - (len(models) - 1) / 2) * step
            estimate = rows["estimate"].to_numpy()
            axes.errorbar(
                estimate,
                place,
                xerr=np.abs(np.stack([estimate - rows["low"], rows["high"] - estimate])),
                fmt="osD^vP"[k % 6],
                color=PALETTE[k % len(PALETTE)],
                markersize=5,
                linewidth=1.5,
                capsize=2.5,
                label=_legend_text(model),
            )
        for k in range(1, len(groups)):
            axes.axhline(k - 0.5, color="#e3e3e3", linewidth=0.7)
        axes.set_yticks(range(len(groups)), labels=[drawable(_cut(labels.get(g, g), 60)) for g in groups])
        axes.set_ylim(len(groups) - 0.5, -0.5)
        axes.tick_params(axis="y", length=0)
        axes.set_xlabel(axis)
        axes.grid(visible=True, axis="x")
        figure.legend(loc="outside lower left", ncols=3)
        figure.suptitle(drawable(title), x=0.01, ha="left")
        return finish(figure)


def _legend_text(text: object) -> str:
    """A label for a legend, which would leave out one that begins with an underscore."""
    label = drawable(text)
    return f" {label}" if label.startswith("_") else label


def plot_gradients(
    cells: Mapping[str, pd.DataFrame],
    gradients: Mapping[str, float],
    *,
    names: Mapping[str, str],
    title: str,
) -> Figure:
    """Draw how density falls with the distance from the CBD: urban cells and the fitted line of each city.

    Parameters
    ----------
    cells : mapping of city code to DataFrame
        Urban cells: ``distance_km`` from the CBD, ``density`` (persons per km2).
    gradients : mapping of city code to float
        Fitted slope of ln density on kilometres; a city without one gets no line.
    names : mapping of city code to str
    title : str

    Returns
    -------
    Figure
        One panel a city, all to one scale of density, and of distance too unless one city reaches more than three
        times as far as another; the axis then says that scales differ. The line has the fitted slope and runs, as a
        least-squares line does, through the means.

    Raises
    ------
    InputError
        If there is no cell.
    """
    shown = [code for code, table in cells.items() if len(table)]
    if not shown:
        raise InputError("there is no urban cell to draw a gradient of")
    across = min(len(shown), 4)
    down = -(-len(shown) // across)
    reach = [float(cells[code]["distance_km"].max()) for code in shown]
    alike = max(reach) <= 3 * min(reach)
    with style():
        figure = Figure(figsize=(max(2.7 * across, 4.4), 2.5 * down + 0.8))
        grid = figure.subplots(down, across, squeeze=False, sharex=alike, sharey=True)
        for axes, code in zip(grid.flat, shown, strict=False):
            distance = cells[code]["distance_km"].to_numpy(np.float64)
            density = np.log(cells[code]["density"].to_numpy(np.float64))
            few = len(distance) < 200
            axes.scatter(
                distance, density, s=14 if few else 6, color=PALETTE[5], alpha=0.9 if few else 0.55, linewidth=0
            )
            slope = float(gradients.get(code, np.nan))
            name = drawable(names.get(code), code)
            if np.isfinite(slope):
                ends = np.array([0.0, distance.max()])
                axes.plot(ends, density.mean() + slope * (ends - distance.mean()), color=PALETTE[1], linewidth=1.8)
                axes.set_title(f"{name}\n{slope:+.3f} per km", fontsize=9, fontweight="normal")
            else:
                axes.set_title(f"{name}\nno gradient", fontsize=9, fontweight="normal")
            axes.grid(visible=True)
        for axes in grid.flat[len(shown) :]:
            axes.set_visible(False)
        for axes in grid.flat[max(len(shown) - across, 0) : len(shown)]:
            axes.tick_params(labelbottom=True)
        figure.supxlabel(f"distance from the CBD, km{'' if alike else ' (scales differ)'}", fontsize=9)
        figure.supylabel("ln density (persons per km2)", fontsize=9)
        figure.suptitle(drawable(title), x=0.01, ha="left")
        return finish(figure)


def plot_sensitivity(table: pd.DataFrame, column: str, *, labels: Sequence[str], title: str, unit: str) -> Figure:
    """Draw how a figure moves with the rules it rests on, beside the figure under the study's own rules.

    Parameters
    ----------
    table : DataFrame
        One row a set of rules; the first row holds the study's own.
    column : str
        The figure drawn, for example the mean sprawl index.
    labels : sequence of str
        One for each row: which rule differs.
    title, unit : str

    Returns
    -------
    Figure

    Raises
    ------
    InputError
        If the table is empty or labels do not match.
    """
    require_columns(table, [column], "the sensitivity table")
    require_numeric(table, [column], "the sensitivity table")
    if table.empty or len(labels) != len(table):
        raise InputError(
            f"the sensitivity table has {len(table)} rows and {len(labels)} labels; give one label a row"
        )
    values: NDArray = table[column].to_numpy(np.float64)
    with style():
        figure = Figure(figsize=(7.2, 0.3 * len(table) + 1.0))
        axes = figure.subplots()
        place = np.arange(len(table))
        axes.axvline(values[0], color=GREY, linewidth=1, linestyle=(0, (4, 2)))
        axes.hlines(place, values[0], values, color="#bdbdbd", linewidth=1.4)
        axes.scatter(values[1:], place[1:], color=PALETTE[0], s=34, zorder=3)
        axes.scatter(values[:1], place[:1], color=PALETTE[1], s=52, marker="D", zorder=4)
        for y, value in zip(place, values, strict=True):
            if np.isfinite(value):
                side = -1 if value < values[0] else 1
                axes.annotate(
                    number(value),
                    (value, y),
                    xytext=(8 * side, 0),
                    textcoords="offset points",
                    ha="left" if side > 0 else "right",
                    va="center",
                    fontsize=8,
                )
        axes.set_yticks(place, labels=[drawable(label) for label in labels])
        axes.invert_yaxis()
        axes.margins(x=0.15)
        axes.tick_params(axis="y", length=0)
        axes.set_xlabel(drawable(unit))
        axes.grid(visible=True, axis="x")
        figure.suptitle(drawable(title), x=0.01, ha="left")
        return finish(figure)
