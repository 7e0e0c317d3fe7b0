"""Land transactions of a study: cleaned, located, measured to their CBD, and turned into the regulation index."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd

from gistools.checks import closest, listed
from gistools.errors import ConfigError, TableError
from gistools.io.record_chunks import open_records
from gistools.parcels.cleaning import RULES, CleaningRules, cleaning_funnel, require_rule_columns
from gistools.parcels.dates import years_of
from gistools.parcels.distance import funnel, locate_parcels, parcels_by_city_year
from gistools.parcels.records import STANDARD, Column, HeaderMapping, bare_header, column_meanings
from gistools.parcels.regulation_records import USED
from gistools.parcels.status import LOCATED, passing
from gistools.study.config import CleaningConfig, GeocodingConfig, ParcelsConfig, RegulationConfig
from gistools.study.geocoding import GeocodeOptions, geocode_parcels, read_gazetteer
from gistools.study.parcel_cleaning import clean_parcels, read_header_mapping
from gistools.study.parcels import ParcelResult, measure_distance, read_parcels
from gistools.study.regulation import RegulationPanel, measure_regulation

# Columns that parcels bring into the panel.
COUNT_COLUMNS = ("parcels", "parcel_distance_km")
INDEX_COLUMNS = (
    *("farr", "farr_se", "ln_farr", "farr_parcels", "few_parcels", "farr_mean", "ln_farr_mean"),
    *("farr_realised", "ln_farr_realised"),
)


@dataclass(frozen=True)
class ParcelPlan:
    """What will be done with a parcel table, judged by its headers.

    Attributes
    ----------
    path : Path
    config : ParcelsConfig
    mapping : HeaderMapping
        The study's own headers.
    columns : tuple of str
        Standard names of the table's columns.
    rules : CleaningRules or None
        None: the table is taken as it is.
    regulation : RegulationConfig or None
        None: no index.
    notes : tuple of str
        What is not done for want of a column.
    """

    path: Path
    config: ParcelsConfig
    mapping: HeaderMapping
    columns: tuple[str, ...]
    rules: CleaningRules | None
    regulation: RegulationConfig | None
    notes: tuple[str, ...]

    def __str__(self) -> str:
        steps = ["cleaned"] if self.rules else []
        steps += ["geocoded"] if self.config.geocode else []
        steps += ["measured", *(["regulation index"] if self.regulation else [])]
        return f"{self.path.name}: {', '.join(steps)}"

    @property
    def panel_columns(self) -> tuple[str, ...]:
        """Columns the panel will have from the parcels."""
        dated = {"year", "contract_date"} & set(self.columns)
        if not dated:
            return ()
        return COUNT_COLUMNS + (INDEX_COLUMNS if self.regulation else ())


@dataclass(frozen=True)
class ParcelChain:
    """Parcels at the end of their way, and the index where there is one."""

    parcels: ParcelResult
    regulation: RegulationPanel | None

    def panel_table(self) -> pd.DataFrame | None:
        """City-years for the panel: counts, mean distance and the index; None where no record has a year."""
        if "year" not in self.parcels.parcels:
            return None
        table = parcels_by_city_year(self.parcels.parcels)
        if table.empty:
            return None
        units = {"parcels": "records", "parcel_distance_km": "km"}
        labels = {
            "parcels": "located land transactions",
            "parcel_distance_km": "their mean geodesic distance to the city's CBD",
        }
        if self.regulation is not None:
            index = self.regulation.panel.rename(columns={"parcels": "farr_parcels"})
            known = {**self.regulation.panel.attrs["labels"], "farr_parcels": "parcels behind farr"}
            scale = {**self.regulation.panel.attrs["units"], "farr_parcels": "records"}
            shown = [name for name in INDEX_COLUMNS if name in index]
            table = table.merge(index[["city_code", "year", *shown]], on=["city_code", "year"], how="outer")
            units |= {name: scale[name] for name in shown}
            labels |= {name: known[name] for name in shown}
        table.attrs = {"units": units, "labels": labels}
        return table


def plan_parcels(config: ParcelsConfig) -> ParcelPlan:
    """Judge a parcel table by its headers: which rules apply, and whether there can be an index.

    Parameters
    ----------
    config : ParcelsConfig

    Returns
    -------
    ParcelPlan

    Raises
    ------
    InputError
        If the table cannot be opened, has no coordinates, or lacks a column that an option demands.
    """
    path = Path(config.file)
    file = open_records(path, encoding=config.encoding)
    mapping = _mapping(config)
    own = {name for name in config.columns if name not in file.columns}
    if own:
        raise TableError(f"{path.name} has no column {listed(map(repr, own))}; it has {listed(file.columns, 12)}")
    names = tuple(column.name for column in column_meanings(file.columns, mapping=mapping, what=path.name).values())
    geocoded = config.geocode is not None and "address" in names
    lacking = [] if geocoded else [name for name in ("lon", "lat") if name not in names]
    if lacking:
        raise TableError(
            f"{path.name} has no column {' or '.join(lacking)} (经度, 纬度); name the columns that hold them"
        )
    if config.geocode is not None and config.geocode.gazetteer:
        read_gazetteer(Path(config.geocode.gazetteer))  # that it can be read, and has its columns
    if config.geocode is not None and not geocoded:
        raise TableError(f"{path.name} has no column of addresses (项目位置), which parcels: geocode needs")
    notes: list[str] = []
    rules = _rules(config.clean, names, path.name, notes)
    regulation = _index_options(config.regulation, names, path.name, notes)
    return ParcelPlan(path, config, mapping, names, rules, regulation, tuple(notes))


def _mapping(config: ParcelsConfig) -> HeaderMapping:
    given = read_header_mapping(config.mapping) if config.mapping else HeaderMapping()
    for header, name in config.columns.items():
        if name not in (*STANDARD, "year", "status"):
            raise ConfigError(
                f"parcels: columns: {header}: '{name}' is not a standard column{closest(name, STANDARD)}; they are "
                f"{', '.join(STANDARD)}"
            )
    own = {bare_header(header, brackets=True): Column(name) for header, name in config.columns.items()}
    return HeaderMapping({**given.columns, **own}, given.other)


def _rules(clean: CleaningConfig | bool, names: tuple[str, ...], what: str, notes: list[str]) -> CleaningRules | None:
    if clean is False or (clean is True and "status" in names):
        return None  # a table with a status has been cleaned
    if isinstance(clean, CleaningConfig):
        unknown = [rule for rule in clean.skip if rule not in RULES]
        if unknown:
            raise ConfigError(f"parcels: clean: skip names {listed(unknown)}; rules are {listed(RULES)}")
        options = {name: getattr(clean, name) for name in ("modes", "uses", "far_limit")}
        given = {name: value for name, value in options.items() if value is not None}
        wanted = tuple(rule for rule in RULES if rule not in clean.skip)
        rules = CleaningRules(rules=wanted, mixed_use=clean.mixed_use, **given)
        require_rule_columns(names, rules, what)
        return rules
    rules = CleaningRules()
    lacking = {
        rule: [name for name in needed if name not in names and not (rule == "date" and "year" in names)]
        for rule, needed in rules.needed().items()
    }
    numbers = tuple(name for name in rules.numbers if name in names)
    if numbers:
        lacking["numbers"] = []
    for rule, columns in lacking.items():
        if columns:
            notes.append(f"{what} has no column {listed(columns)}: its records are not judged by the rule '{rule}'")
    kept = tuple(rule for rule in RULES if not lacking[rule])
    return replace(rules, rules=kept, numbers=numbers or rules.numbers) if kept else None


def _index_options(
    wanted: RegulationConfig | bool, names: tuple[str, ...], what: str, notes: list[str]
) -> RegulationConfig | None:
    if wanted is False:
        return None
    options = wanted if isinstance(wanted, RegulationConfig) else RegulationConfig()
    if options.bootstrap == 1:
        raise ConfigError("parcels: regulation: bootstrap is 1, but a standard error needs 2 or more draws")
    transfer = {"mode": ["transfer_mode"], "price": ["price_10k_yuan"], "none": []}[options.transfer]
    needed = ["far_max", "area_ha", *transfer, *([options.grade] if options.grade else [])]
    lacking = [name for name in needed if name not in names]
    if not {"contract_date", "year"} & set(names):
        lacking.append("contract_date")
    if not lacking:
        return options
    said = f"{what} has no column {listed(lacking)}"
    if wanted is not True:
        raise TableError(f"{said}, which parcels: regulation needs; leave 'regulation' out, or name the columns")
    notes.append(f"{said}: there is no regulation index")
    return None


def follow_parcels(
    plan: ParcelPlan,
    cbds: pd.DataFrame,
    boundaries: gpd.GeoDataFrame,
    *,
    seed: int = 0,
    note: Callable[[str], None] = lambda _: None,
) -> ParcelChain:
    """Clean the records of a study, find their city, measure them to its CBD, and estimate the index.

    Parameters
    ----------
    plan : ParcelPlan
    cbds : DataFrame
        ``city_code``, ``cbd_lon``, ``cbd_lat``; a panel will do.
    boundaries : GeoDataFrame
    seed : int
        Of the bootstrap.
    note : callable, optional
        Told what a reader of the run should know.

    Returns
    -------
    ParcelChain
        Its funnel counts every record from the file to the index.

    Raises
    ------
    TableError
        If no record can be used.
    """
    steps = []
    if plan.rules is not None:
        cleaned = clean_parcels(plan.path, mapping=plan.mapping, encoding=plan.config.encoding, rules=plan.rules)
        assert isinstance(cleaned.parcels, pd.DataFrame)  # no file was asked for
        records = cleaned.parcels
        steps.append(cleaning_funnel(cleaned.counts, plan.rules))
    else:
        records = read_parcels(plan.path, encoding=plan.config.encoding, mapping=plan.mapping)
    judged = passing(records)
    if plan.config.geocode is not None:
        records = _geocoded(records, plan.config.geocode, boundaries)
    elif "city_code" not in plan.columns:
        records = locate_parcels(records, boundaries)
    located = measure_distance(records, cbds, boundaries)
    measured = located.parcels
    for text in (*located.notes, *_undated(measured)):
        note(f"parcels: {text}")
    if steps:  # cleaning has counted what it set aside; what is set aside after it is counted here
        left = funnel(measured[judged]).iloc[1:]
        steps.append(left.replace({"step": {"passed the earlier steps": "geocoded"}}))
    else:
        steps.append(funnel(measured))
    index = None
    if plan.regulation is not None:
        options: dict[str, Any] = plan.regulation.model_dump()
        index = measure_regulation(measured, seed=seed, **options)
        for text in index.notes:
            note(f"regulation index: {text}")
        steps.append(_index_step(index, measured["status"] == LOCATED))
    return ParcelChain(ParcelResult(measured, pd.concat(steps, ignore_index=True), located.notes), index)


def _geocoded(records: pd.DataFrame, config: GeocodingConfig, boundaries: gpd.GeoDataFrame) -> pd.DataFrame:
    """Give records without coordinates a point from their address, and every record the city that holds it."""
    options = GeocodeOptions(min_precision=config.min_precision)
    if config.tolerance_km is not None:
        options = replace(options, tolerance_km=config.tolerance_km)
    places = read_gazetteer(Path(config.gazetteer)) if config.gazetteer else None
    found = geocode_parcels(records, options, gazetteer=places, boundaries=boundaries).parcels
    return locate_parcels(found.drop(columns="city_code"), boundaries)


def _undated(measured: pd.DataFrame) -> list[str]:
    """Say how many parcels with a distance have no year, and so count in no city-year."""
    if "year" not in measured:
        return []
    number = int(((measured["status"] == LOCATED).to_numpy() & np.isnan(years_of(measured["year"]))).sum())
    return [f"{number:,} located parcels have no year and count in no city-year"] if number else []


def _index_step(index: RegulationPanel, located: pd.Series) -> pd.DataFrame:
    """Of the records with a distance, those the index rests on."""
    counts = index.result.status[located].value_counts()
    used = int(counts.get(USED, 0))
    said = "; ".join(f"{why}: {number}" for why, number in counts.items() if why != USED)
    removed = int(located.sum()) - used
    return pd.DataFrame([{"step": "regulation index", "removed": removed, "kept": used, "reason": said}])
