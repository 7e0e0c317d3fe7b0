"""The rules of cleaning: what each record says, why it is set aside, and how many each rule removed."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from gistools.checks import closest, listed, require_choice, require_positive
from gistools.errors import InputError, TableError
from gistools.parcels import categories
from gistools.parcels.duplicates import CONFLICTING, IDENTICAL, SeenIds, content_hashes
from gistools.parcels.readings import NUMBERS, read_records, text_column
from gistools.parcels.records import STANDARD, HeaderMapping, column_meanings
from gistools.parcels.status import KEPT

if TYPE_CHECKING:
    from numpy.typing import NDArray

MISSING_NUMBER = "number missing"
UNREADABLE_NUMBER = "unreadable number"
NO_AREA = "area not above zero"
NO_DATE = "no contract date"
UNREADABLE_DATE = "unreadable date"
IMPLAUSIBLE_DATE = "implausible date"
NO_MODE = "no transfer mode"
OTHER_MODE = "other transfer mode"
NO_USE = "no land use"
OTHER_USE = "other land use"
MIXED_USE = "mixed use"
NO_DISTRICT = "no district"
OUTSIDE_DISTRICTS = "outside municipal districts"
UNKNOWN_DISTRICT = "unknown kind of district"
IMPLAUSIBLE_FAR = "implausible floor-area ratio"
REVERSED_FAR = "upper limit below lower limit"
DUPLICATE = "duplicate"
CONFLICTING_DUPLICATE = "duplicate with other content"
RAGGED = "ragged row"

# The rules in the order in which they are applied, with the reasons each may give.
REASONS: dict[str, tuple[str, ...]] = {
    "numbers": (MISSING_NUMBER, UNREADABLE_NUMBER, NO_AREA),
    "date": (NO_DATE, UNREADABLE_DATE, IMPLAUSIBLE_DATE),
    "mode": (NO_MODE, OTHER_MODE),
    "use": (NO_USE, OTHER_USE, MIXED_USE),
    "district": (NO_DISTRICT, OUTSIDE_DISTRICTS, UNKNOWN_DISTRICT),
    "far": (IMPLAUSIBLE_FAR, REVERSED_FAR),
    "duplicates": (DUPLICATE, CONFLICTING_DUPLICATE),
}
RULES = tuple(REASONS)
_STEPS = {
    "numbers": "readable numbers",
    "date": "readable date",
    "mode": "transfer mode",
    "use": "land use",
    "district": "municipal districts",
    "far": "plausible floor-area ratio",
    "duplicates": "first of its id",
}
_HEADERS = {
    "parcel_id": "电子监管号",
    "area_ha": "面积",
    "far_max": "约定容积率上限",
    "contract_date": "签订日期",
    "transfer_mode": "供地方式",
    "land_use": "土地用途",
    "district": "行政区",
}

# A cap on a residential plot above this is a slip of the point or a percentage.
FAR_LIMIT = 10.0
# The first use right of state land was sold in 1987.
EARLIEST = datetime.date(1987, 1, 1)


@dataclass(frozen=True)
class CleaningRules:
    """Which records are kept.

    Parameters
    ----------
    rules : tuple of str
        The rules that are applied, of `RULES`; their order is always that of `RULES`.
    numbers : tuple of str
        Columns whose numbers must be readable.
    modes, uses : tuple of str
        Words of the transfer modes and of the land uses to keep.
    mixed_use : bool
        Keep land for housing and other uses (商住用地). By default it is set aside: its cap is for both uses.
    far_limit : float
        The largest plausible limit of the floor-area ratio.
    earliest, latest : date
        The first and the last plausible day of a contract; without `latest`, the day of the run.

    Examples
    --------
    >>> CleaningRules(rules=("far", "mode")).rules
    ('mode', 'far')
    """

    rules: tuple[str, ...] = RULES
    numbers: tuple[str, ...] = ("area_ha", "far_max")
    modes: tuple[str, ...] = categories.MODES
    uses: tuple[str, ...] = categories.USES
    mixed_use: bool = False
    far_limit: float = FAR_LIMIT
    earliest: datetime.date = EARLIEST
    latest: datetime.date | None = None

    def __post_init__(self) -> None:
        for rule in self.rules:
            require_choice(rule, RULES, "a rule of cleaning")
        for column in self.numbers:
            require_choice(column, NUMBERS, "a column of numbers")
        require_positive(self.far_limit, "the largest floor-area ratio")
        for words, what in ((self.modes, "transfer modes"), (self.uses, "land uses")):
            if not any(word.strip() for word in words):
                raise InputError(f"no {what} to keep are named; name at least one word, or skip the rule")
        object.__setattr__(self, "rules", tuple(rule for rule in RULES if rule in self.rules))
        if self.latest is None:
            object.__setattr__(self, "latest", datetime.date.today())
        if self.latest is not None and self.latest < self.earliest:
            raise InputError(f"the last plausible day, {self.latest}, is before the first, {self.earliest}")

    def needed(self) -> dict[str, tuple[str, ...]]:
        """Columns each rule needs."""
        needs = {
            "numbers": self.numbers,
            "date": ("contract_date",),
            "mode": ("transfer_mode",),
            "use": ("land_use",),
            "district": ("district",),
            "far": ("far_max",),
            "duplicates": ("parcel_id",),
        }
        return {rule: needs[rule] for rule in self.rules}

    def to_dict(self) -> dict[str, Any]:
        """The options, for ``--json``."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        return {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}


def require_rule_columns(names: Iterable[str], rules: CleaningRules, what: str = "the parcel table") -> None:
    """Refuse a table that lacks a column a rule needs, before any record is read.

    Parameters
    ----------
    names : iterable of str
        Standard names of the table's columns.
    rules : CleaningRules
    what : str
        How messages name the table.

    Raises
    ------
    TableError
        Naming the column, the rule and how to go on.

    Examples
    --------
    >>> require_rule_columns(["land_use"], CleaningRules(rules=("use",)))
    """
    names = list(names)
    if "status" in names:
        raise TableError(f"{what} has a column 'status': it has been cleaned already; give the records as they came")
    if not set(names) & set(STANDARD):
        raise TableError(
            f"{what} has no header of a land-market table in its first row, which is {listed(map(repr, names), 6)}; "
            "name its headers in a mapping, and check its encoding if they look garbled"
        )
    for rule, columns in rules.needed().items():
        for column in columns:
            if column in names or (column == "contract_date" and "year" in names):
                continue
            header = f" ({_HEADERS[column]})" if column in _HEADERS else ""
            raise TableError(
                f"{what} has no column '{column}'{header}, which the rule '{rule}' needs{closest(column, names)}; "
                f"name its header in a mapping or skip the rule; it has {listed(names, 12)}"
            )


def judge_records(records: pd.DataFrame, rules: CleaningRules, seen: SeenIds | None = None) -> NDArray[np.object_]:
    """Give every record the reason of the first rule it fails, or "kept".

    Parameters
    ----------
    records : DataFrame
        As :func:`read_records` gives it.
    rules : CleaningRules
    seen : SeenIds, optional
        Ids of the records before, where a table comes in pieces. Only records that pass all other rules are
        remembered, so that a faulty record does not set aside the good one of the same id.

    Returns
    -------
    array of object

    Examples
    --------
    >>> records = read_records(pd.DataFrame({"far_max": ["2.5", "250", "", "0.8"], "far_min": ["", "", "", "1"]}))
    >>> judge_records(records, CleaningRules(rules=("numbers", "far"), numbers=("far_max",))).tolist()
    ['kept', 'implausible floor-area ratio', 'number missing', 'upper limit below lower limit']
    """
    status = np.full(len(records), KEPT, object)
    for rule in rules.rules:
        for reason, rows in _faults(rule, records, rules):
            status[rows & (status == KEPT)] = reason
    if "duplicates" in rules.rules:
        left = np.flatnonzero(status == KEPT)
        kept = records.iloc[left]
        names = [name for name in STANDARD if name != "parcel_id" and name in kept.columns]
        copies = (seen if seen is not None else SeenIds()).judge(kept["parcel_id"], content_hashes(kept[names]))
        status[left[copies == IDENTICAL]] = DUPLICATE
        status[left[copies == CONFLICTING]] = CONFLICTING_DUPLICATE
    return status


def _faults(rule: str, records: pd.DataFrame, rules: CleaningRules) -> list[tuple[str, NDArray[np.bool_]]]:
    """Reasons of one rule and the records they concern, the first that concerns a record first."""
    if rule == "numbers":
        return _number_faults(records, rules.numbers)
    if rule == "date":
        return _date_faults(records, rules)
    if rule == "mode":
        kinds, _ = categories.transfer_modes(records["transfer_mode"], rules.modes)
        return [(NO_MODE, kinds == categories.NOTHING), (OTHER_MODE, kinds == categories.OTHER)]
    if rule == "use":
        kinds = categories.land_uses(records["land_use"], rules.uses)
        mixed = [] if rules.mixed_use else [(MIXED_USE, kinds == categories.MIXED)]
        return [(NO_USE, kinds == categories.NOTHING), (OTHER_USE, kinds == categories.OTHER), *mixed]
    if rule == "district":
        kinds = categories.municipal_districts(records["district"])
        return [
            (NO_DISTRICT, kinds == categories.NOTHING),
            (OUTSIDE_DISTRICTS, kinds == categories.OTHER),
            (UNKNOWN_DISTRICT, kinds == categories.UNKNOWN),
        ]
    if rule == "far":
        upper, lower = (records[name].to_numpy(np.float64) for name in ("far_max", "far_min"))
        return [
            (IMPLAUSIBLE_FAR, (upper <= 0) | (upper > rules.far_limit) | (lower < 0) | (lower > rules.far_limit)),
            (REVERSED_FAR, upper < lower),
        ]
    return []  # duplicates are judged last, among the records that are left


def _number_faults(records: pd.DataFrame, columns: tuple[str, ...]) -> list[tuple[str, NDArray[np.bool_]]]:
    notes = records["cleaning_note"]
    noted = notes.notna().to_numpy(bool)
    unreadable, missing = np.zeros(len(records), bool), np.zeros(len(records), bool)
    for column in columns:
        empty = np.isnan(records[column].to_numpy(np.float64))
        said = np.zeros(len(records), bool)
        said[noted] = notes[noted].astype(str).str.contains(rf"(?:^|; ){column}: ", regex=True)
        unreadable |= empty & said
        missing |= empty & ~said
    faults = [(UNREADABLE_NUMBER, unreadable), (MISSING_NUMBER, missing)]
    if "area_ha" in columns:
        faults.append((NO_AREA, records["area_ha"].to_numpy(np.float64) <= 0))
    return faults


def _date_faults(records: pd.DataFrame, rules: CleaningRules) -> list[tuple[str, NDArray[np.bool_]]]:
    noted = records["cleaning_note"].notna().to_numpy(bool)
    name = "contract_date" if "contract_date" in records.columns else "year"
    empty = records[name].isna().to_numpy(bool)
    said = np.zeros(len(records), bool)
    said[noted] = records["cleaning_note"][noted].astype(str).str.contains(rf"(?:^|; ){name}: ", regex=True)
    if rules.latest is None:  # for the type checker: __post_init__ fills it in
        raise InputError("the last plausible day is not known")
    if name == "year":
        years = records["year"].to_numpy(np.float64, na_value=np.nan)
        beyond = (years < rules.earliest.year) | (years > rules.latest.year)
    else:
        days = records[name].to_numpy().astype("datetime64[D]")
        beyond = (days < np.datetime64(rules.earliest)) | (days > np.datetime64(rules.latest))
    return [(UNREADABLE_DATE, empty & said), (NO_DATE, empty), (IMPLAUSIBLE_DATE, beyond)]


def clean_records(
    table: pd.DataFrame, rules: CleaningRules | None = None, *, mapping: HeaderMapping | None = None
) -> pd.DataFrame:
    """Clean a table of land transactions: every record keeps its row and gets a ``status``.

    Parameters
    ----------
    table : DataFrame
        Records as they came, with Chinese or English headers.
    rules : CleaningRules, optional
        All rules with their defaults.
    mapping : HeaderMapping, optional
        The user's own headers; they go before the shipped ones.

    Returns
    -------
    DataFrame
        Standard columns in standard units first, other columns as they came, then ``year``, ``cleaning_note`` and
        ``status``: "kept" or the reason of the first rule the record fails.

    Raises
    ------
    TableError
        If a column lacks that a rule needs, two columns would be one, or there are no records.

    Examples
    --------
    >>> raw = pd.DataFrame({"电子监管号": ["1", "2", "1"], "行政区": ["武汉市江岸区", "长沙县", "武汉市江岸区"],
    ...     "面积(公顷)": ["2.5", "1", "2.5"], "土地用途": "城镇住宅用地", "供地方式": "挂牌出让",
    ...     "约定容积率上限": "≤2.5", "签订日期": "2009年3月5日"})
    >>> clean_records(raw)["status"].tolist()
    ['kept', 'outside municipal districts', 'duplicate']
    """
    rules = rules or CleaningRules()
    meanings = column_meanings(table.columns, mapping=mapping)
    require_rule_columns((column.name for column in meanings.values()), rules)
    if table.empty:
        raise TableError("the parcel table has no records, only headers")
    renamed = table.rename(columns={header: column.name for header, column in meanings.items()})
    units = {column.name: column.unit for column in meanings.values()}
    return clean_piece(renamed, rules, units=units)


def clean_piece(
    table: pd.DataFrame,
    rules: CleaningRules,
    *,
    units: Mapping[str, str | None] | None = None,
    seen: SeenIds | None = None,
) -> pd.DataFrame:
    """Clean one piece of a table whose columns have their standard names.

    Parameters
    ----------
    table : DataFrame
    rules : CleaningRules
    units : mapping of str to str, optional
        Units of bare numbers, by column.
    seen : SeenIds, optional
        Ids of the pieces before; those of this piece are added.

    Returns
    -------
    DataFrame
        As :func:`clean_records` gives it, whatever the pieces.

    Examples
    --------
    >>> seen = SeenIds()
    >>> only = CleaningRules(rules=("duplicates",))
    >>> [clean_piece(pd.DataFrame({"parcel_id": ["a"]}), only, seen=seen)["status"][0] for _ in range(2)]
    ['kept', 'duplicate']
    """
    records = read_records(table, units)
    status = judge_records(records, rules, seen)
    last = ("year", "cleaning_note")
    standard = [name for name in STANDARD if name in records.columns]
    other = [name for name in records.columns if name not in STANDARD and name not in last]
    order = [*standard, *other, *(name for name in last if name in records.columns)]
    return records[order].assign(status=text_column(status, records))


def cleaning_funnel(counts: Mapping[str, int], rules: CleaningRules) -> pd.DataFrame:
    """How many records each rule set aside, and why.

    Parameters
    ----------
    counts : mapping of str to int
        Records of each status.
    rules : CleaningRules

    Returns
    -------
    DataFrame
        ``step``, ``removed``, ``kept``, ``reason``, from all records to those kept, in the order of the rules.

    Examples
    --------
    >>> cleaning_funnel({"kept": 7, "other transfer mode": 3}, CleaningRules(rules=("mode",))).values.tolist()
    [['records', 0, 10, ''], ['transfer mode', 3, 7, 'other transfer mode: 3']]
    """
    left = sum(counts.values())
    rows = [{"step": "records", "removed": 0, "kept": left, "reason": ""}]
    ragged = [("whole rows", (RAGGED,))] if counts.get(RAGGED) else []
    for step, reasons in [*ragged, *((_STEPS[rule], REASONS[rule]) for rule in rules.rules)]:
        removed = {reason: int(counts.get(reason, 0)) for reason in reasons}
        left -= sum(removed.values())
        said = "; ".join(f"{reason}: {number}" for reason, number in removed.items() if number)
        rows.append({"step": step, "removed": sum(removed.values()), "kept": left, "reason": said})
    return pd.DataFrame(rows)
