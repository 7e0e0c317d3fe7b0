"""Floor-area-ratio regulation: the legal cap at each city's CBD, year by year, by a hedonic of the parcels' caps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import pandas as pd

from gistools.checks import listed, require_choice, require_columns
from gistools.econometrics.results import Fit
from gistools.errors import InputError, TableError
from gistools.parcels.hedonic import (
    COVARIANCES,
    Covariance,
    GroupEffects,
    Uncertainty,
    fit_group_effects,
    prediction_errors,
)
from gistools.parcels.regulation_records import (
    LOW_CAP,
    NO_AREA,
    NO_CAP,
    NO_CITY,
    NO_DISTANCE,
    NO_GRADE,
    NO_MODE,
    NO_PRICE,
    NO_YEAR,
    USED,
    categories_of,
    city_years,
    first_status,
    judge_units,
    numbers_of,
    require_regulation_columns,
    set_aside,
)
from gistools.parcels.values import code_text

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]
    IntArray = NDArray[np.int64]

Transfer = Literal["mode", "price", "none"]
TRANSFERS: tuple[Transfer, ...] = get_args(Transfer)

# More values than these are no modes or grades; a cap above this is worth a word.
_MOST_CATEGORIES, _HIGH_CAP = 100, 20.0

# Columns of the index: unit and meaning.
COLUMNS: dict[str, tuple[str, str]] = {
    "farr": ("FAR", "legal cap of the floor-area ratio at the CBD, at the sample's mean area, mode and grade"),
    "farr_se": ("FAR", "standard error of farr"),
    "ln_farr": ("ln", "logarithm of farr; missing where farr is not above zero"),
    "ln_farr_se": ("ln", "standard error of ln_farr: farr_se / farr"),
    "precision": ("1 / FAR2", "1 / farr_se2, a weight"),
    "parcels": ("parcels", "parcels behind farr, a weight"),
    "few_parcels": ("0 or 1", "1 where parcels are fewer than the minimum"),
    "farr_mean": ("FAR", "plain mean of the legal cap"),
    "farr_mean_se": ("FAR", "standard error of farr_mean"),
    "farr_mean_parcels": ("parcels", "parcels behind farr_mean"),
    "ln_farr_mean": ("ln", "logarithm of farr_mean"),
    "farr_realised": ("FAR", "mean of the realised floor-area ratio"),
    "farr_realised_se": ("FAR", "standard error of farr_realised"),
    "farr_realised_parcels": ("parcels", "parcels behind farr_realised"),
    "ln_farr_realised": ("ln", "logarithm of farr_realised"),
}


@dataclass(frozen=True, eq=False)
class RegulationResult:
    """The regulation index of city-years, the hedonic behind it, and the account of the records.

    Attributes
    ----------
    table : DataFrame
        ``city_code``, ``year`` and :data:`COLUMNS`, ordered by them; ``attrs`` hold units and labels.
    fit : Fit
        Slopes of the hedonic.
    evaluation : dict of str to float
        Where the index is evaluated: distance 0, means, and the shares of every mode and grade.
    status : Series
        Of every record: ``used``, the word an earlier step gave it, or why it cannot be used here.
    min_parcels : int
    effects : GroupEffects
        The fitted arrays; its groups are the rows of `table` that have parcels.
    city : array of int
        City of each of their rows, numbered in the order of `table`.
    point : array
        `evaluation` for the slopes of `effects`.
    notes : tuple of str
        What a reader should know.
    """

    table: pd.DataFrame
    fit: Fit
    evaluation: Mapping[str, float]
    status: pd.Series
    min_parcels: int
    effects: GroupEffects
    city: IntArray
    point: FloatArray
    notes: tuple[str, ...]

    def records(self) -> dict[str, int]:
        """How many records were used, and how many not, by reason."""
        return {str(word): int(number) for word, number in self.status.value_counts().items()}

    def to_dict(self) -> dict[str, Any]:
        """Return the fit and the counts as the JSON of the command line."""
        records = self.records()
        return {
            **self.fit.to_dict(),
            "evaluation": dict(self.evaluation),
            "records": len(self.status),
            "used": records.pop(USED),
            "unused": records,
            "city_years": len(self.table),
            "without_parcels": int((self.table["parcels"] == 0).sum()),
            "few_parcels": int(self.table["few_parcels"].sum()),
            "min_parcels": self.min_parcels,
            "not_positive": int((self.table["farr"] <= 0).sum()),
            "notes": list(self.notes),
        }

    def summary(self) -> str:
        """Return the hedonic, the counts and the notes as text."""
        lines = [self.fit.summary()]
        lines += [f"{word}: {number}" for word, number in self.records().items()]
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])


def far_regulation(
    parcels: pd.DataFrame,
    *,
    outcome: str = "far_max",
    distance: str = "distance_km",
    area: str = "area_ha",
    transfer: Transfer = "mode",
    grade: str | None = "land_grade",
    realised: str = "far_realised",
    min_parcels: int = 5,
    cov: Covariance = "city",
) -> RegulationResult:
    """Estimate the floor-area-ratio regulation index of every city and year.

    Parameters
    ----------
    parcels : DataFrame
        One row a parcel: ``city_code``, ``year`` and the columns named below, as numbers or text. Of a table with
        ``status`` the records that no step has set aside are used.
    outcome : str
        Legal upper limit of the floor-area ratio.
    distance : str
        Kilometres to the city's CBD.
    area : str
        Hectares.
    transfer : {"mode", "price", "none"}
        What stands for the transfer: ``transfer_mode`` as categories, ``price_10k_yuan`` as a number, or nothing.
    grade : str or None
        Land grade, as categories; None leaves it out.
    realised : str
        Realised floor-area ratio; of a table without ``far_realised`` its mean is left out.
    min_parcels : int
        City-years with fewer parcels are flagged in ``few_parcels``; they keep their index.
    cov : {"city", "classical", "hc1", "hc2"}
        Covariance, see :func:`gistools.parcels.hedonic.prediction_errors`.

    Returns
    -------
    RegulationResult

    Raises
    ------
    TableError
        If columns lack or hold other things, no record can be used, all are of one city-year, distance does not
        vary within city-years, or caps are in percent and distances in metres.
    InputError
        If an option is not allowed, or ``cov="city"`` meets a single city.

    Notes
    -----
    ``cap = effect of the city-year + b1 area + b2 distance + mode + grade + error``, by least squares. The index is
    the predicted cap at distance 0, at the mean area (and price) and the shares of modes and grades of all records
    used: ``ybar + (point - xbar)' b`` [1]_. It does not hang on which mode or grade is the base. The plain means are
    over all records with a value above zero, with the usual standard error, missing for a single parcel. A city-year
    with one parcel is fitted exactly and keeps its index; with ``city`` and ``classical`` errors it has the standard
    error of the pooled residuals, with ``hc1`` and ``hc2`` none.

    References
    ----------
    .. [1] Combes, P.-P., Duranton, G. and Gobillon, L. (2019), The costs of agglomeration: house and land prices in
       French cities, Review of Economic Studies 86, 1556-1589.

    Examples
    --------
    >>> parcels = pd.DataFrame({
    ...     "city_code": list("aaabbb"), "year": 2010, "area_ha": [1, 2, 3, 1, 3, 5],
    ...     "distance_km": [0, 2, 1, 1, 3, 2], "transfer_mode": "auction", "land_grade": "1",
    ... })
    >>> parcels["far_max"] = [3.0, 2.8, 2.9, 1.9, 1.7, 1.8]
    >>> far_regulation(parcels).table[["city_code", "year", "farr", "parcels"]].round(6).values.tolist()
    [['a', 2010, 3.0, 3], ['b', 2010, 2.0, 3]]
    """
    require_choice(transfer, TRANSFERS, "transfer")
    require_choice(cov, COVARIANCES, "cov")
    if min_parcels < 1:
        raise InputError(f"min_parcels is {min_parcels}, but must be 1 or more")
    numbers, categories = {area: NO_AREA, distance: NO_DISTANCE}, dict[str, str]()
    if transfer == "price":
        numbers["price_10k_yuan"] = NO_PRICE
    elif transfer == "mode":
        categories["transfer_mode"] = NO_MODE
    if grade is not None:
        categories[grade] = NO_GRADE
    priced = ["price_10k_yuan"] if transfer == "price" else []
    _require_roles([outcome, distance, area, *priced, *categories])
    require_regulation_columns(parcels, outcome, distance, numbers, categories)
    values = {name: numbers_of(parcels, name) for name in ("year", outcome, *numbers)}
    levels = {name: categories_of(parcels[name]) for name in categories}
    city, codes = categories_of(code_text(parcels["city_code"]))
    year, cap = values["year"], values[outcome]
    status = first_status(parcels)
    set_aside(status, city < 0, NO_CITY)
    set_aside(status, ~np.isfinite(year), NO_YEAR)
    keys = city_years(city, codes, year, np.flatnonzero(status == USED))
    set_aside(status, ~np.isfinite(cap), NO_CAP)
    set_aside(status, cap <= 0, LOW_CAP)
    capped = status == USED
    for name, why in numbers.items():
        bad = ~np.isfinite(values[name])
        set_aside(status, bad | ~(values[name] > 0) if name == area else bad, why)
    for name, why in categories.items():
        set_aside(status, levels[name][0] < 0, why)
    used = np.flatnonzero(status == USED)
    if not len(used):
        reasons = listed(f"{word}: {number}" for word, number in pd.Series(status).value_counts().items())
        raise TableError(f"no record of the parcel table can be used ({reasons or 'it has no rows'})")
    judge_units(cap[used], values[distance][used], outcome, distance)
    groups, group = np.unique(keys.group[used], return_inverse=True)
    if len(groups) == 1:
        raise TableError(
            f"all {len(used)} records that can be used are of city {keys.table['city_code'][groups[0]]} and the year "
            f"{keys.table['year'][groups[0]]}: an index compares city-years; give a table of several"
        )
    X, names, point, shares, base = _design({name: values[name][used] for name in numbers}, levels, used, distance)
    fit = fit_group_effects(cap[used], X, group, names)
    _judge_fit(fit, distance)
    owner = np.unique(city[used], return_inverse=True)[1][fit.order]
    if cov == "city" and owner.max() == 0:
        raise InputError(
            f"all records that can be used are of city {codes[city[used[0]]]}, and errors cannot be clustered by one "
            "city; choose --cov classical or hc2"
        )
    at = point[fit.kept]
    errors = prediction_errors(fit, at, cov, owner)
    table = keys.table.assign(farr=np.nan, farr_se=np.nan, parcels=0)
    table.loc[groups, "farr"], table.loc[groups, "farr_se"] = fit.predicted(at), errors.std_error
    table.loc[groups, "parcels"] = fit.size
    table = table.join(_means(cap[capped], keys.group[capped], "farr_mean"))
    if realised != "far_realised":
        require_columns(parcels, [realised], "the parcel table")
    if realised in parcels:
        built = numbers_of(parcels, realised)
        rows = (keys.group >= 0) & (built > 0)
        table = table.join(_means(built[rows], keys.group[rows], "farr_realised"))
    table = _finished(table, min_parcels)
    described = {
        "distance": distance,
        "area": area,
        "transfer": transfer,
        "grade": grade,
        "min_parcels": min_parcels,
        "cov": cov,
        "base": base,
    }
    return RegulationResult(
        table=table,
        fit=_as_fit(fit, errors, outcome, described),
        evaluation=shares,
        status=pd.Series(status, index=parcels.index, name="status"),
        min_parcels=min_parcels,
        effects=fit,
        city=owner,
        point=at,
        notes=tuple(_notes(table, cap[used], fit, min_parcels, cov, parcels, used)),
    )


def _require_roles(columns: list[str]) -> None:
    """Refuse a column that is named for two things."""
    twice = next((name for name in columns if columns.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"the column '{twice}' is named for two parts of the hedonic; name a column for each")


def _design(
    numbers: dict[str, FloatArray], levels: dict[str, tuple[IntArray, list[str]]], used: IntArray, distance: str
) -> tuple[FloatArray, list[str], FloatArray, dict[str, float], dict[str, str]]:
    """Regressors, their names, the point of the index, that point with every category, and the base categories."""
    columns, names = list(numbers.values()), list(numbers)
    point = [0.0 if name == distance else float(column.mean()) for name, column in numbers.items()]
    shares, base = dict(zip(names, point, strict=True)), {}
    for name, (level, labels) in levels.items():
        count = np.bincount(level[used], minlength=len(labels))
        present = np.flatnonzero(count)
        if len(present) > _MOST_CATEGORIES:
            raise TableError(
                f"the parcel table, column '{name}', holds {len(present)} different values "
                f"({listed((labels[k] for k in present), 3)}), too many to be categories; name another column"
            )
        most = int(count.argmax())
        base[name] = labels[most]
        for k in present:
            term = f"{name}: {labels[k]}"
            shares[term] = float(count[k] / len(used))
            if k != most:
                columns.append((level[used] == k).astype(np.float64))
                names.append(term)
                point.append(shares[term])
    return np.column_stack(columns), names, np.array(point), shares, base


def _judge_fit(fit: GroupEffects, distance: str) -> None:
    if distance in fit.dropped:
        raise TableError(
            f"the parcel table, column '{distance}', does not vary by itself inside any city-year "
            f"({fit.dropped[distance]}), so the cap at the CBD cannot be told; check how it was measured"
        )
    if fit.df < 1:
        raise TableError(
            f"{len(fit.y)} records in {len(fit.size)} city-years are too few to estimate {len(fit.slopes)} slopes "
            "beside the effects of city-years; give more parcels or leave out the land grade"
        )


def _means(values: FloatArray, group: IntArray, name: str) -> pd.DataFrame:
    """Mean, standard error and count of each city-year's values."""
    found = pd.Series(values).groupby(group).agg(["mean", "sem", "size"])
    return found.set_axis([name, f"{name}_se", f"{name}_parcels"], axis=1)


def _finished(table: pd.DataFrame, min_parcels: int) -> pd.DataFrame:
    """Logarithms, weights and flags; columns in their order, with units and meanings."""
    with np.errstate(divide="ignore"):
        table["precision"] = 1 / table["farr_se"] ** 2
    table["ln_farr_se"] = (table["farr_se"] / table["farr"]).where(table["farr"] > 0)
    table["few_parcels"] = (table["parcels"] < min_parcels).astype("int64")
    for name in ("farr", "farr_mean", "farr_realised"):
        if name in table:
            table[f"ln_{name}"] = np.log(table[name].where(table[name] > 0))
        count = f"{name}_parcels"
        if count in table:
            table[count] = table[count].fillna(0).astype("int64")
    shown = [name for name in COLUMNS if name in table]
    table = table[["city_code", "year", *shown]]
    table.attrs = {
        "units": {name: COLUMNS[name][0] for name in shown},
        "labels": {name: COLUMNS[name][1] for name in shown},
    }
    table.attrs["labels"]["few_parcels"] = f"1 where parcels are fewer than {min_parcels}"
    return table


def _as_fit(fit: GroupEffects, errors: Uncertainty, outcome: str, options: Mapping[str, Any]) -> Fit:
    n, left = len(fit.y), float(fit.residuals @ fit.residuals)
    within = fit.y - fit.y_mean[fit.group]
    total, inside = float(((fit.y - fit.y.mean()) ** 2).sum()), float(within @ within)
    with np.errstate(divide="ignore", invalid="ignore"):
        return Fit(
            model="hedonic",
            outcome=outcome,
            terms=fit.names,
            estimates=fit.slopes,
            covariance=errors.covariance,
            n=n,
            effects="city-year",
            clusters=errors.clusters,
            small_sample=errors.small_sample,
            df=errors.df,
            loglik=float(-n / 2 * (np.log(2 * np.pi * np.float64(left) / n) + 1)),
            r2=float(1 - np.float64(left) / total),
            r2_within=float(1 - np.float64(left) / inside),
            r2_adjusted=float(1 - np.float64(left) / fit.df * (n - 1) / total),
            errors=errors.errors,
            options=options,
            dropped=fit.dropped,
        )


def _notes(
    table: pd.DataFrame,
    cap: FloatArray,
    fit: GroupEffects,
    min_parcels: int,
    cov: Covariance,
    parcels: pd.DataFrame,
    used: IntArray,
) -> list[str]:
    """What a reader should know before believing the numbers."""
    notes = []
    many = f"of {len(table)} city-years"
    few, empty = int(table["few_parcels"].sum()), int((table["parcels"] == 0).sum())
    if few:
        notes.append(f"{few} {many} have fewer than {min_parcels} parcels (few_parcels)")
    if empty:
        notes.append(f"{empty} {many} have no parcel that can be used, and no index")
    single = int((fit.size == 1).sum())
    if single:
        said = f"with {cov} they have no" if cov.startswith("hc") else "the pooled residuals give their"
        notes.append(f"{single} {many} have one parcel and are fitted exactly; {said} standard error")
    low = int((table["farr"] <= 0).sum())
    if low:
        notes.append(f"{low} {many} have an index not above zero, and no ln_farr")
    high = int((cap > _HIGH_CAP).sum())
    if high:
        notes.append(
            f"{high} caps are above {_HIGH_CAP:g} (the highest {cap.max():.6g}); gistools parcels clean sets "
            "implausible ones aside"
        )
    if "parcel_id" in parcels:
        ids = parcels["parcel_id"].iloc[used]
        doubled = int(ids[ids.notna()].duplicated().sum())
        if doubled:
            notes.append(f"{doubled} records repeat a parcel_id; gistools parcels clean sets doubles aside")
    notes += [f"{name} is left out: {why}" for name, why in fit.dropped.items()]
    return notes
