"""Moran's I of a column, by year: global with three kinds of inference, and local with false-discovery control."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

import numpy as np
import pandas as pd
from scipy import sparse, stats

from gistools.checks import listed, require_choice
from gistools.errors import InputError, PanelError, TableError
from gistools.weights.graph import as_codes, is_row_standardised, standardised_rows, weights_matrix

if TYPE_CHECKING:
    from libpysal.graph import Graph
    from libpysal.weights import W as PysalW
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

Alternative = Literal["two-sided", "greater", "less"]
ALTERNATIVES: tuple[Alternative, ...] = get_args(Alternative)

GLOBAL_COLUMNS = (
    "year", "n", "moran_i", "expected", "variance_norm", "z_norm", "p_norm", "variance_rand", "z_rand", "p_rand",
    "p_sim", "alternative",
)  # fmt: skip
QUADRANTS = ("HH", "LH", "LL", "HL")
# Values drawn at a time: bounds the memory of permutations.
CELLS = 2**22


@dataclass(frozen=True, eq=False)
class MoranResult:
    """Moran's I by year.

    Attributes
    ----------
    rows : DataFrame
        One row a year: ``year`` (missing in a cross-section), ``n`` cities, ``moran_i``, ``expected``; variance, z
        and p under normality (``_norm``) and randomisation (``_rand``); ``p_sim`` by permutation; ``alternative``.
    local : DataFrame or None
        One row a city and year, if asked: ``local_i``, its ``expected`` value and ``z`` under conditional
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
        lines = [
            f"Moran's I of {self.options['column']}, {self.options['alternative']} p-values, "
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
    local: bool = False,
    permutations: int = 999,
    seed: int = 0,
    alternative: Alternative = "two-sided",
    alpha: float = 0.05,
    row_standardise: bool = False,
) -> MoranResult:
    """Return Moran's I of a panel's column for each year, or of a cross-section.

    ``I = n / S0  z'Wz / z'z`` with ``z`` the deviations from the mean and ``S0`` the sum of the weights.

    Parameters
    ----------
    values : Series
        Indexed by city code and year, or by city code alone, as
        :func:`gistools.econometrics.fixed_effects.panel_column` takes it from a panel. A city whose value is missing
        is left out of that year; it is counted, and the weights of the others are standardised again if they were.
    w : Graph or W
        Weights between the cities of `values`, keyed by their codes.
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
    in n. The moments do not hold for residuals.

    Examples
    --------
    >>> from gistools.weights import graph_from_matrix
    >>> line = graph_from_matrix(np.eye(5, k=1) + np.eye(5, k=-1), "abcde")
    >>> result = moran_by_year(pd.Series([1.0, 2, 3, 4, 5], index=list("abcde")), line)
    >>> result.rows[["moran_i", "expected"]].values.tolist()
    [[0.5, -0.25]]
    """
    require_choice(alternative, ALTERNATIVES, "alternative")
    if permutations < 0 or not 0 < alpha < 1:
        raise InputError("permutations must be zero or more, and alpha between 0 and 1")
    table = _by_year(values)
    W = weights_matrix(w, table.index)
    W = standardised_rows(W) if row_standardise else W
    options = {
        "column": str(values.name), "permutations": permutations, "seed": seed, "alternative": alternative,
        "alpha": alpha, "row_standardised": is_row_standardised(W, islands=True),
    }  # fmt: skip
    alone = np.diff(W.indptr) == 0
    notes = [f"{alone.sum()} cities have no neighbour: {listed(table.index[alone])}"] if alone.any() else []
    rows, parts = [], []
    for year, part in table.items():
        sample = _sample(part, W, year)
        if sample.left_out:
            notes.append(f"{_in(year)}{len(sample.left_out)} cities have no value: {listed(sample.left_out)}")
            lost = sample.codes[(np.diff(sample.W.indptr) == 0) & ~alone[part.notna().to_numpy()]]
            if len(lost):
                notes.append(f"{_in(year)}{len(lost)} cities are left without a neighbour by that: {listed(lost)}")
        if not sample.squares > 0:
            notes.append(f"{_in(year)}all values are equal, so Moran's I is not defined")
        rows.append({"year": year, "n": sample.n} | _global(sample, permutations, seed, alternative))
        if local:
            parts.append(_local(sample, year, permutations, seed, alternative, alpha))
    return MoranResult(
        rows=pd.DataFrame(rows, columns=list(GLOBAL_COLUMNS)),
        local=_joined(parts, values) if local else None,
        options=options,
        warnings=tuple(notes),
    )


def _in(year: Any) -> str:
    return "" if year is None else f"in {year} "


def _by_year(values: pd.Series) -> pd.DataFrame:
    """Return cities by years; one column named None for a cross-section."""
    if values.index.has_duplicates:
        doubled = values.index[values.index.duplicated()].unique()
        raise TableError(f"'{values.name}' has several values for {listed(map(_key, doubled))}; name the time column")
    numbers = pd.Series(pd.to_numeric(values, errors="coerce").to_numpy(float), index=values.index)
    unread = numbers.isna() & values.notna().to_numpy()
    if unread.any():
        raise TableError(f"'{values.name}' holds {values[unread.to_numpy()].iloc[0]!r} where a number is needed")
    numbers[~np.isfinite(numbers)] = np.nan
    if values.index.nlevels == 1:
        table = numbers.to_frame()
        table.columns = pd.Index([None])
        return table
    order = values.index.get_level_values(0).unique()
    return numbers.unstack().reindex(order).sort_index(axis=1)  # noqa: PD010


def _key(key: Any) -> str:
    return "/".join(map(str, key)) if isinstance(key, tuple) else str(key)


class _Sample(NamedTuple):
    """The cities of one year that have a value, and the weights between them."""

    codes: pd.Index
    z: FloatArray  # deviations from the mean
    W: sparse.csr_array
    left_out: list[str]

    @property
    def n(self) -> int:
        return len(self.z)

    @property
    def squares(self) -> float:
        return float(self.z @ self.z)


def _sample(part: pd.Series, W: sparse.csr_array, year: Any) -> _Sample:
    there = part.notna().to_numpy()
    if there.sum() < 4:
        raise PanelError(f"{_in(year)}only {there.sum()} cities have a value; Moran's I needs at least four")
    if not there.all():
        kept = W[there][:, there]
        W = standardised_rows(kept) if is_row_standardised(W, islands=True) else kept
    x = part.to_numpy()[there]
    z = x - x.mean()
    if float(z @ z) <= 1e-24 * float(x @ x):
        z = np.zeros_like(z)  # what is left of equal values is rounding
    return _Sample(part.index[there], z, W, as_codes(part.index[~there]))


def _p_value(z: FloatArray | float, alternative: Alternative) -> Any:
    law = stats.norm
    return {"two-sided": lambda: 2 * law.sf(np.abs(z)), "greater": lambda: law.sf(z), "less": lambda: law.cdf(z)}[
        alternative
    ]()


def _global(sample: _Sample, permutations: int, seed: int, alternative: Alternative) -> dict[str, Any]:
    n, z, W = sample.n, sample.z, sample.W
    s0 = float(W.sum())
    expected = -1.0 / (n - 1)
    out: dict[str, Any] = dict.fromkeys(GLOBAL_COLUMNS[2:], np.nan) | {"expected": expected}
    out["alternative"] = alternative
    if not sample.squares > 0 or not s0 > 0:
        return out
    scale = n / s0 / sample.squares
    moran = scale * float(z @ (W @ z))
    both = W + W.T
    s1 = 0.5 * float((both * both).sum())
    s2 = float(np.sum((W.sum(axis=1) + W.sum(axis=0)) ** 2))
    kurtosis = n * float(np.sum(z**4)) / sample.squares**2
    norm = (n**2 * s1 - n * s2 + 3 * s0**2) / ((n**2 - 1) * s0**2) - expected**2
    rand = (
        n * ((n**2 - 3 * n + 3) * s1 - n * s2 + 3 * s0**2) - kurtosis * ((n**2 - n) * s1 - 2 * n * s2 + 6 * s0**2)
    ) / ((n - 1) * (n - 2) * (n - 3) * s0**2) - expected**2
    out["moran_i"] = moran
    for name, variance in (("norm", norm), ("rand", rand)):
        z_value = (moran - expected) / np.sqrt(variance) if variance > 0 else np.nan
        out |= {
            f"variance_{name}": variance,
            f"z_{name}": z_value,
            f"p_{name}": float(_p_value(z_value, alternative)),
        }
    if permutations:
        drawn = np.concatenate(
            [scale * np.sum(some * (W @ some), axis=0) for some in _permuted(z, permutations, seed)]
        )
        out["p_sim"] = float(_share(drawn - expected, np.array(moran - expected), alternative, permutations))
    return out


def _permuted(z: FloatArray, permutations: int, seed: int) -> Iterator[FloatArray]:
    """Yield permutations of `z` as columns, a bounded number at a time."""
    rng = np.random.default_rng(seed)
    step = max(1, CELLS // len(z))
    for start in range(0, permutations, step):
        count = min(step, permutations - start)
        yield rng.permuted(np.repeat(z[None, :], count, axis=0), axis=1).T


def _share(drawn: FloatArray, seen: FloatArray, alternative: Alternative, permutations: int) -> FloatArray:
    """Return the share of draws (first axis) at least as extreme as what was seen, itself counted among them."""
    slack = 1e-12 * np.maximum(np.abs(seen), np.abs(drawn).max(axis=0))  # permutations that change nothing are ties
    extreme = {
        "two-sided": lambda: np.abs(drawn) >= np.abs(seen) - slack,
        "greater": lambda: drawn >= seen - slack,
        "less": lambda: drawn <= seen + slack,
    }[alternative]()
    return np.asarray((extreme.sum(axis=0) + 1) / (permutations + 1), float)


def _local(
    sample: _Sample, year: Any, permutations: int, seed: int, alternative: Alternative, alpha: float
) -> pd.DataFrame:
    n, z, W = sample.n, sample.z, sample.W
    m2 = sample.squares / n
    lag = np.asarray(W @ z)
    linked = np.diff(W.indptr) > 0
    with np.errstate(divide="ignore", invalid="ignore"):
        local = z * lag / m2
        sums, squares = W.sum(axis=1), (W * W).sum(axis=1)
        expected = -(z**2) * sums / ((n - 1) * m2)
        variance = (z / m2) ** 2 * n / (n - 2) * (squares - sums**2 / (n - 1)) * (m2 - z**2 / (n - 1))
        score = (local - expected) / np.sqrt(np.where(variance > 0, variance, np.nan))
    valid = linked & (sample.squares > 0)
    p_sim = np.full(n, np.nan)
    if permutations and sample.squares > 0:
        p_sim[valid] = _conditional(sample, np.flatnonzero(valid), permutations, seed, alternative)
    p_fdr = np.full(n, np.nan)
    if valid.any() and permutations and sample.squares > 0:
        p_fdr[valid] = stats.false_discovery_control(p_sim[valid])
    code = np.where(z > 0, np.where(lag > 0, "HH", "HL"), np.where(lag > 0, "LH", "LL")).astype(object)
    code[~valid] = None
    cluster = np.where(p_fdr <= alpha, code, "none")
    undefined = np.where(valid, 1.0, np.nan)
    return pd.DataFrame(
        {
            "city_code": sample.codes, "year": year, "local_i": local * undefined, "expected": expected * undefined,
            "z": score * undefined, "p_sim": p_sim, "p_fdr": p_fdr, "quadrant": code, "cluster": cluster,
        }
    )  # fmt: skip


def _conditional(
    sample: _Sample, cities: NDArray[np.intp], permutations: int, seed: int, alternative: Alternative
) -> FloatArray:
    """Return p-values when a city keeps its value and the others are permuted among its neighbours.

    The lag is compared with its expectation; a negative deviation from the mean turns the tails of I round. The same
    random orders serve every city.
    """
    n, z, W = sample.n, sample.z, sample.W
    most = int(np.diff(W.indptr).max())
    orders = np.random.default_rng(seed).permuted(np.tile(np.arange(n - 1), (permutations, 1)), axis=1)[:, :most]
    out = np.empty(len(cities))
    for position, city in enumerate(cities):
        weights = W.data[W.indptr[city] : W.indptr[city + 1]]
        others = np.delete(z, city)
        lags = others[orders[:, : len(weights)]] @ weights
        mean = -z[city] / (n - 1) * weights.sum()
        lag = float(weights @ z[W.indices[W.indptr[city] : W.indptr[city + 1]]])
        sign = np.sign(z[city]) or 1.0
        out[position] = _share(sign * (lags - mean), np.array(sign * (lag - mean)), alternative, permutations)
    return out


def _joined(parts: list[pd.DataFrame], values: pd.Series) -> pd.DataFrame:
    """Return the local statistics of all years under the names of the keys of `values`."""
    table = pd.concat(parts, ignore_index=True)
    names = values.index.names
    table = table.rename(columns={"city_code": names[0] or "city_code"})
    if values.index.nlevels == 1:
        return table.drop(columns="year")
    return table.rename(columns={"year": names[1] or "year"})
