"""Moran's I of columns of a panel: by year, under several weights, bivariate, of residuals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from gistools.checks import listed, require_balanced, require_choice, require_columns
from gistools.errors import InputError, PanelError
from gistools.spatial import moran_sample as ms
from gistools.spatial.global_moran import GLOBAL_COLUMNS, global_moran
from gistools.spatial.local_moran import QUADRANTS, local_moran
from gistools.spatial.moran_sample import ALTERNATIVES, Alternative
from gistools.weights.graph import is_row_standardised, standardised_rows, weights_matrix

if TYPE_CHECKING:
    from libpysal.graph import Graph
    from libpysal.weights import W as PysalW
    from numpy.typing import NDArray
    from scipy import sparse

    FloatArray = NDArray[np.float64]

OF_RESIDUALS = (
    "of residuals the moments under normality and of free permutations do not hold; here cities change places with "
    "their whole histories, which holds but for what the regressors took out of them: test a model with LM tests"
)


@dataclass(frozen=True, eq=False)
class MoranResult:
    """Moran's I by year.

    Attributes
    ----------
    rows : DataFrame
        One row a year: ``year`` (missing in a cross-section), ``n`` cities, ``moran_i``, ``expected``; variance, z
        and p under normality (``_norm``) and randomisation (``_rand``); ``p_sim`` by permutation; ``alternative``.
        With several columns or weights, ``weights`` and ``column`` come first.
    local : DataFrame or None
        One row a city and year, if asked: ``local_i``, its ``expected`` value, ``z`` and ``p_rand`` under conditional
        randomisation, ``p_sim``, ``p_fdr``, ``quadrant`` (HH, LH, LL, HL: the city, then its neighbours, high or
        low), and ``cluster``, the quadrant where ``p_fdr`` is at most `alpha`, else ``none``.
    options : dict
        Column, permutations, seed, alternative, alpha.
    warnings : tuple of str
        Cities left out, islands, years without variation.
    """

    rows: pd.DataFrame
    local: pd.DataFrame | None = None
    options: dict[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def to_frame(self) -> pd.DataFrame:
        """Return the global statistics, one row a year."""
        return self.rows

    def to_dict(self) -> dict[str, Any]:
        """Return the result as the JSON of the command line."""
        rows = self.rows.astype(object).where(self.rows.notna(), None)
        out: dict[str, Any] = {"rows": rows.to_dict("records")}
        if self.local is not None:
            out["local"] = self.local.astype(object).where(self.local.notna(), None).to_dict("records")
        return out | {"options": self.options, "warnings": list(self.warnings)}

    def summary(self) -> str:
        """Return the global statistics as text."""
        shown = self.rows.drop(columns=["variance_norm", "variance_rand", "alternative"])
        if shown["year"].isna().all():
            shown = shown.drop(columns="year")
        shown = shown.drop(columns=[name for name in ("z_norm", "p_norm") if shown[name].isna().all()])
        about = str(self.options["column"])
        if self.options.get("lagged"):
            about += f" with {self.options['lagged']} among the neighbours"
        lines = [
            f"Moran's I of {about}, {self.options['alternative']} p-values, "
            f"{self.options['permutations']} permutations (seed {self.options['seed']})",
            shown.to_string(index=False, float_format=lambda value: f"{value:.5g}"),
        ]
        if self.local is not None:
            counts = self.local["cluster"].value_counts()
            named = ", ".join(f"{counts.get(q, 0)} {q}" for q in QUADRANTS)
            lines.append(f"local clusters at a false-discovery rate of {self.options['alpha']:g}: {named}")
        return "\n".join(lines + [f"note: {text}" for text in self.warnings])


def moran_by_year(
    values: pd.Series,
    w: Graph | PysalW,
    *,
    lagged: pd.Series | None = None,
    local: bool = False,
    permutations: int = 999,
    seed: int = 0,
    alternative: Alternative = "two-sided",
    alpha: float = 0.05,
    row_standardise: bool = False,
) -> MoranResult:
    """Return Moran's I of a panel's column for each year, or of a cross-section.

    ``I = n / S0  z'Wz / z'z`` with ``z`` the deviations from the mean and ``S0`` the sum of the weights; with another
    column among the neighbours ``I = n / S0  x'Wy / sqrt(x'x y'y)``.

    Parameters
    ----------
    values : Series
        Indexed by city code and year, or by city code alone, as
        :func:`gistools.econometrics.fixed_effects.panel_column` takes it from a panel. A city whose value is missing
        is left out of that year; it is counted, and the weights of the others are standardised again if they were.
    w : Graph or W
        Weights between the cities of `values`, keyed by their codes.
    lagged : Series, optional
        Another column with the same index, whose spatial lag is taken: bivariate statistics.
    local : bool
        Compute local statistics too.
    permutations : int
        Random permutations of the values; 0 for none.
    seed : int
        Of the permutations; every year is permuted alike.
    alternative : {"two-sided", "greater", "less"}
        Of all p-values. By permutation, two-sided counts values at least as far from the expectation on either side.
    alpha : float
        False-discovery rate (Benjamini and Hochberg) at which local clusters are named, within a year.
    row_standardise : bool
        Divide each row of the weights by its sum first.

    Returns
    -------
    MoranResult

    Raises
    ------
    WeightsError
        If values and weights do not hold the same cities.
    PanelError
        If a year has fewer than four cities.

    Notes
    -----
    Moments after Cliff and Ord (1981), Spatial Processes; conditional moments of local I after Sokal, Oden and
    Thomson (1998), with ``m2 = z'z / n``, so that the local statistics sum to S0 I. Cities without neighbours count
    in n. The moments do not hold for residuals, see :func:`residual_moran`.

    For two columns, a city keeps its pair of values when cities change places: the association of the two within
    cities is no evidence of one between them. With the same column twice the statistics are the univariate ones.

    Examples
    --------
    >>> from gistools.weights import graph_from_matrix
    >>> line = graph_from_matrix(np.eye(5, k=1) + np.eye(5, k=-1), "abcde")
    >>> result = moran_by_year(pd.Series([1.0, 2, 3, 4, 5], index=list("abcde")), line)
    >>> result.rows[["moran_i", "expected"]].values.tolist()
    [[0.5, -0.25]]
    """
    _require_options(alternative, permutations, alpha)
    own = ms.by_year(values)
    other = own if lagged is None else _like(ms.by_year(lagged), own, lagged)
    W = _matrix(w, own.index, row_standardise)
    options = _options(values, lagged, permutations, seed, alternative, W) | {"alpha": alpha}
    alone = np.diff(W.indptr) == 0
    said: dict[str, list[Any]] = {}
    rows, parts = [], []
    for year in own.columns:
        sample = ms.moran_sample(own[year], other[year], W, year)
        for text in _notes(sample, own.index[alone]):
            said.setdefault(text, []).append(year)
        x, y = sample.x[:, None], sample.y[:, None]
        row = global_moran(
            x,
            x if lagged is None else y,
            sample.W,
            permutations=permutations,
            seed=seed,
            alternative=alternative,
            normality=lagged is None,
        )
        rows.append({"year": year, "n": sample.n} | row)
        if local:
            parts.append(
                local_moran(sample, year, permutations=permutations, seed=seed, alternative=alternative, alpha=alpha)
            )
    return MoranResult(
        rows=pd.DataFrame(rows, columns=list(GLOBAL_COLUMNS)),
        local=_joined(parts, values) if local else None,
        options=options,
        warnings=(*_islands(alone, own.index), *(f"{_when(years)}{text}" for text, years in said.items())),
    )


def residual_moran(
    residuals: pd.Series,
    w: Graph | PysalW,
    *,
    permutations: int = 999,
    seed: int = 0,
    alternative: Alternative = "two-sided",
    row_standardise: bool = False,
) -> MoranResult:
    """Return one Moran's I of a panel model's residuals, over all years together.

    ``I = n / S0  sum_t e_t'W e_t / sum_t e_t'e_t``. Residuals of effects sum to zero within cities and years, so that
    values of different years are no separate evidence and moments for independent values do not hold. Here cities
    change places with their whole histories, which leaves such sums as they are: ``expected``, ``variance_rand``,
    ``z_rand`` and ``p_rand`` are exact moments over all such orders, ``p_sim`` draws them.

    Parameters
    ----------
    residuals : Series
        Indexed by city code and year, every city in every year.
    w, permutations, seed, alternative, row_standardise
        As in :func:`moran_by_year`.

    Returns
    -------
    MoranResult
        One row; nothing under normality.

    Raises
    ------
    PanelError
        If the panel has gaps, or fewer than four cities.

    Notes
    -----
    What the regressors took out of the residuals is not in these moments, which is little with few regressors; the LM
    tests of a model allow for it. Moments after Mantel (1967), see
    :func:`gistools.spatial.global_moran.exchange_moments`.

    Examples
    --------
    >>> from gistools.weights import graph_from_matrix
    >>> line = graph_from_matrix(np.eye(5, k=1) + np.eye(5, k=-1), "abcde")
    >>> index = pd.MultiIndex.from_product([list("abcde"), [1, 2]], names=["city_code", "year"])
    >>> e = pd.Series([-2.0, 2, -1, 1, 0, 0, 1, -1, 2, -2], index=index)
    >>> residual_moran(e, line).rows[["moran_i", "expected"]].values.tolist()
    [[0.5, -0.25]]
    """
    _require_options(alternative, permutations, 0.5)
    table = ms.by_year(residuals)
    if table.isna().to_numpy().any():
        known = table.stack().dropna()  # noqa: PD013
        require_balanced(known.index.to_frame(index=False), "the panel of residuals")
    if len(table) < 4:
        raise PanelError(f"the panel has only {len(table)} cities; Moran's I needs at least four")
    W = _matrix(w, table.index, row_standardise)
    alone = np.diff(W.indptr) == 0
    e = ms.deviations(table.to_numpy().ravel()).reshape(table.shape)
    row = global_moran(e, e, W, permutations=permutations, seed=seed, alternative=alternative, normality=False)
    notes = [OF_RESIDUALS, *_islands(alone, table.index)]
    if not e.any():
        notes.append("all residuals are equal, so Moran's I is not defined")
    options = _options(residuals, None, permutations, seed, alternative, W) | {"years": table.shape[1]}
    rows = pd.DataFrame([{"year": None, "n": len(table)} | row], columns=list(GLOBAL_COLUMNS))
    return MoranResult(rows=rows, options=options, warnings=tuple(notes))


def moran_of_columns(
    table: pd.DataFrame,
    weights: Mapping[str, Graph | PysalW],
    *,
    columns: Sequence[str] | None = None,
    lagged: str | None = None,
    residuals: bool = False,
    local: bool = False,
    permutations: int = 999,
    seed: int = 0,
    alternative: Alternative = "two-sided",
    alpha: float = 0.05,
    row_standardise: bool = False,
) -> MoranResult:
    """Return Moran's I of several columns under several weights.

    Parameters
    ----------
    table : DataFrame
        Indexed by city code and year, or by city code alone.
    weights : mapping of str to Graph or W
        Named weights between the cities.
    columns : sequence of str, optional
        By default every column but `lagged`.
    lagged : str, optional
        The column whose lag is taken, of bivariate statistics.
    residuals : bool
        The columns are residuals of panel models, see :func:`residual_moran`.
    local, permutations, seed, alternative, alpha, row_standardise
        As in :func:`moran_by_year`.

    Returns
    -------
    MoranResult
        Tables begin with ``weights`` and ``column`` where there are several of either; warnings then say which they
        are about.

    Raises
    ------
    InputError
        If there are no weights or no column, or options do not go together.

    Examples
    --------
    >>> from gistools.weights import graph_from_matrix, row_standardise
    >>> line = graph_from_matrix(np.eye(5, k=1) + np.eye(5, k=-1), "abcde")
    >>> table = pd.DataFrame({"y": [1.0, 2, 3, 4, 5]}, index=list("abcde"))
    >>> found = moran_of_columns(table, {"line": line, "line-r": row_standardise(line)}).rows
    >>> found[["weights", "column", "moran_i"]].round(9).values.tolist()
    [['line', 'y', 0.5], ['line-r', 'y', 0.6]]
    """
    columns = [name for name in table.columns if name != lagged] if columns is None else columns
    if not weights or not columns:
        raise InputError("Moran's I needs a column and weights")
    require_columns(table, [*columns, *([] if lagged is None else [lagged])], "the table")
    if residuals and (lagged is not None or local):
        raise InputError("of residuals there is one statistic over all years; lagged and local are not for them")
    drawn: dict[str, Any] = {
        "permutations": permutations, "seed": seed, "alternative": alternative, "row_standardise": row_standardise,
    }  # fmt: skip
    several = len(columns) * len(weights) > 1
    rows: list[pd.DataFrame] = []
    parts: list[pd.DataFrame] = []
    notes: list[str] = []
    found: list[MoranResult] = []
    for name, w in weights.items():
        for column in columns:
            if residuals:
                result = residual_moran(table[column], w, **drawn)
            else:
                other = None if lagged is None else table[lagged]
                result = moran_by_year(table[column], w, lagged=other, local=local, alpha=alpha, **drawn)
            found.append(result)
            for result_table, kept in ((result.rows, rows), (result.local, parts)):
                if result_table is not None and several:
                    result_table.insert(0, "weights", name)
                    result_table.insert(1, "column", str(column))
                if result_table is not None:
                    kept.append(result_table)
            notes += [f"{column} under {name}: {text}" if several else text for text in result.warnings]
    if not several:
        return found[0]
    notes = [OF_RESIDUALS] * residuals + [text for text in notes if not text.endswith(OF_RESIDUALS)]
    standard = {name: found[k * len(columns)].options["row_standardised"] for k, name in enumerate(weights)}
    return MoranResult(
        rows=pd.concat(rows, ignore_index=True),
        local=pd.concat(parts, ignore_index=True) if parts else None,
        options=found[0].options | {"column": ", ".join(columns), "row_standardised": standard},
        warnings=tuple(notes),
    )


def _require_options(alternative: str, permutations: int, alpha: float) -> None:
    require_choice(alternative, ALTERNATIVES, "alternative")
    if permutations < 0 or not 0 < alpha < 1:
        raise InputError("permutations must be zero or more, and alpha between 0 and 1")


def _matrix(w: Graph | PysalW, codes: pd.Index, row_standardise: bool) -> sparse.csr_array:
    W = weights_matrix(w, codes)
    return standardised_rows(W) if row_standardise else W


def _like(other: pd.DataFrame, own: pd.DataFrame, lagged: pd.Series) -> pd.DataFrame:
    if set(other.index) != set(own.index) or list(other.columns) != list(own.columns):
        raise InputError(f"'{lagged.name}', whose lag is taken, must be indexed as the other column is")
    return other.reindex(own.index)


def _options(
    values: pd.Series,
    lagged: pd.Series | None,
    permutations: int,
    seed: int,
    alternative: str,
    W: sparse.csr_array,
) -> dict[str, Any]:
    return {
        "column": str(values.name), "lagged": None if lagged is None else str(lagged.name),
        "permutations": permutations, "seed": seed, "alternative": alternative,
        "row_standardised": is_row_standardised(W, islands=True),
    }  # fmt: skip


def _islands(alone: NDArray[np.bool_], codes: pd.Index) -> list[str]:
    return [f"{alone.sum()} cities have no neighbour: {listed(codes[alone])}"] if alone.any() else []


def _notes(sample: ms.MoranSample, alone: pd.Index) -> list[str]:
    notes = []
    if sample.left_out:
        notes.append(f"{len(sample.left_out)} cities have no value: {listed(sample.left_out)}")
        lost = sample.codes[~sample.linked].difference(alone, sort=False)
        if len(lost):
            notes.append(f"{len(lost)} cities are left without a neighbour by that: {listed(lost)}")
    if not sample.varies:
        notes.append("all values are equal, so Moran's I is not defined")
    return notes


def _when(years: Sequence[Any]) -> str:
    """Begin a sentence that holds for some years."""
    if len(years) == 1:
        return ms.in_year(years[0])
    return f"in {len(years)} years ({years[0]} to {years[-1]}) "


def _joined(parts: list[pd.DataFrame], values: pd.Series) -> pd.DataFrame:
    """Return the local statistics of all years under the names of the keys of `values`."""
    table = pd.concat(parts, ignore_index=True)
    names = values.index.names
    table = table.rename(columns={"city_code": names[0] or "city_code"})
    if values.index.nlevels == 1:
        return table.drop(columns="year")
    return table.rename(columns={"year": names[1] or "year"})
