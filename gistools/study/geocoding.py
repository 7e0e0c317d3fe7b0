"""Parcel tables geocoded from files to files: the verb behind ``gistools parcels geocode``."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import geopandas as gpd
import pandas as pd

from gistools.checks import listed, require_choice, require_columns, require_positive
from gistools.errors import InputError, TableError
from gistools.grid import WGS84
from gistools.io.atomic import require_writable
from gistools.io.tables import EXTENSIONS, read_table, write_table
from gistools.io.vectors import read_boundaries, read_vector
from gistools.parcels.geocode import FLAGGED, OfflineSource, OnlineSource, Source, geocode
from gistools.parcels.providers import OFFLINE, PRECISIONS, PROVIDERS, Provider, make_provider
from gistools.parcels.providers.asking import Account, Limits
from gistools.parcels.status import LOCATED
from gistools.parcels.validation import TOLERANCE_KM
from gistools.study.asking import ask_service
from gistools.study.parcel_tables import read_parcel_table

if TYPE_CHECKING:
    from gistools.parcels.divisions import Divisions

DIVISIONS = ("auto", "china", "boundaries")


@dataclass(frozen=True)
class GeocodeOptions:
    """How addresses become points.

    Attributes
    ----------
    providers : tuple of str
        In the order in which they are asked: "offline" and names of services.
    min_precision : str, optional
        A coarser answer sends the record on. By default "district" offline, and "place" where a service is named.
    tolerance_km : float
        How far outside its city a point may lie.
    check_coordinates : bool
        Hold points that came with the records against the boundaries too.
    as_of : int, optional
        Year of the division codes that are answered; by default the latest of the shipped table.
    divisions : {"auto", "china", "boundaries"}
        Which units addresses are read by: China's, those the boundaries name, or whichever of the two knows the
        boundaries' provinces.
    cache : Path, optional
        Answers of services; needed where one is named.
    per_second, per_day, threads : float, int, int, optional
        Limits in place of the services' own.
    timeout : float
        Seconds to wait for an answer.
    endpoints : mapping of str to str
        Servers that answer in place of a service's own.
    """

    providers: tuple[str, ...] = (OFFLINE,)
    min_precision: str | None = None
    tolerance_km: float = TOLERANCE_KM
    check_coordinates: bool = False
    as_of: int | None = None
    divisions: str = "auto"
    cache: Path | None = None
    per_second: float | None = None
    per_day: int | None = None
    threads: int | None = None
    timeout: float = 10.0
    endpoints: Mapping[str, str] = field(default_factory=dict)

    @property
    def precision(self) -> str:
        """The least precision that is used."""
        return self.min_precision or ("district" if set(self.providers) <= {OFFLINE} else "place")


@dataclass
class GeocodingResult:
    """Geocoded parcels, and the account of how they were found."""

    parcels: pd.DataFrame
    options: GeocodeOptions
    services: list[Account]
    seconds: float

    @property
    def flagged(self) -> pd.DataFrame:
        """Records whose point lies outside its city or province."""
        return self.parcels[self.parcels["status"].isin(FLAGGED)]

    @property
    def failures(self) -> list[str]:
        """What a later run has still to do, one sentence a service."""
        said = []
        for account in self.services:
            if account.stopped:
                left = account.left + len(account.failures)
                said.append(
                    f"{account.provider}: {account.stopped}; {left:,} addresses have no answer yet, the same "
                    "command goes on with them (tomorrow, if the quota is spent)"
                )
            elif account.failures:
                reasons = listed(f"{why} ({n:,})" for why, n in account.to_dict()["failures"].items())
                said.append(
                    f"{account.provider}: {len(account.failures):,} addresses got no answer: {reasons}; the same "
                    "command asks for them again"
                )
        return said

    def counts(self) -> pd.DataFrame:
        """Records by status, the located ones by provider and precision."""
        columns = ["status", "geocode_provider", "precision"]
        table = self.parcels[columns].copy()
        table.loc[table["status"] != LOCATED, columns[1:]] = ""
        return table.value_counts(sort=False).rename("records").reset_index().sort_values(columns)

    def to_dict(self) -> dict[str, Any]:
        """Counts for ``--json``."""
        located = self.parcels[self.parcels["status"] == LOCATED]
        services = [account.to_dict() for account in self.services]
        return {
            "records": len(self.parcels),
            "status": self.parcels["status"].value_counts().to_dict(),
            "provider": located["geocode_provider"].value_counts().to_dict(),
            "precision": located["precision"].replace("", "given").value_counts().to_dict(),
            "flagged": len(self.flagged),
            "outside_but_within_tolerance": int((located["km_outside"] > 0).sum()),
            "not_checked": int(located["km_outside"].isna().sum()),
            "min_precision": self.options.precision,
            "tolerance_km": self.options.tolerance_km,
            **{name: sum(account[name] for account in services) for name in ("requests", "cached", "retries")},
            "services": services,
            "seconds": round(self.seconds, 3),
            "left": self.failures,
        }


class AskingProgress:
    """One line about a service: rewritten on a terminal, now and then a new one elsewhere.

    Parameters
    ----------
    name : str
    stream : text stream, optional
        Standard error by default.
    every : float
        Seconds between lines where there is no terminal.
    """

    def __init__(self, name: str, *, stream: TextIO | None = None, every: float = 10.0) -> None:
        self.name, self.stream = name, stream or sys.stderr
        self.live = self.stream.isatty()
        self.every = 0.2 if self.live else every
        self.begun = self.said = time.monotonic()
        self.first: int | None = None

    def __call__(self, done: int, of: int) -> None:
        """Say how far it is."""
        now = time.monotonic()
        if self.first is None:
            self.first = done - 1
        if now - self.said < self.every and done < of:
            return
        self.said = now
        seconds = (now - self.begun) / max(done - self.first, 1) * (of - done)
        left = f", about {seconds:.0f} s left" if seconds < 90 else f", about {seconds / 60:.0f} min left"
        text = f"{self.name}: {done:,} of {of:,} addresses{left if done < of else ''}"
        self.stream.write(f"\r\x1b[K{text}" if self.live else f"{text}\n")
        if self.live and done == of:
            self.stream.write("\n")
        self.stream.flush()


def read_records(
    path: Path, *, encoding: str | None = None, columns: Mapping[str, str] | None = None
) -> pd.DataFrame:
    """Read a parcel table for geocoding.

    Parameters
    ----------
    path : Path
    encoding : str, optional
        Of a CSV file; UTF-8 or GB18030 are found by themselves.
    columns : mapping of str to str, optional
        The table's own headers to standard names.

    Returns
    -------
    DataFrame
        As :func:`gistools.study.parcel_tables.read_parcel_table` gives it.

    Raises
    ------
    TableError
        If there is no column of addresses.
    """
    table, _ = read_parcel_table(path, encoding=encoding, columns=columns)
    if "address" not in table.columns:
        raise TableError(f"{path.name} has no column of addresses (address, 项目位置); name it with --address")
    return table


def read_gazetteer(path: Path) -> pd.DataFrame:
    """Read points with names, from a table or a vector file.

    Parameters
    ----------
    path : Path
        A table with ``name, lon, lat`` (degrees, WGS 84), or any vector file with ``name``: of lines and polygons a
        point on them is taken.

    Returns
    -------
    DataFrame
        ``name, lon, lat`` and, where given, ``city_code, district_code, aliases, precision``.

    Raises
    ------
    TableError
        If a column lacks.
    """
    if path.suffix.lower() in EXTENSIONS:
        places = read_table(path, text=("city_code", "district_code", "name"))
    else:
        shapes = read_vector(path)
        points = shapes.geometry.representative_point().to_crs(WGS84)
        places = pd.DataFrame(shapes.drop(columns=shapes.geometry.name)).assign(lon=points.x, lat=points.y)
    require_columns(places, ["name", "lon", "lat"], path.name)
    return places


def make_services(options: GeocodeOptions) -> dict[str, Provider]:
    """Make the services that are named, before any other work: their keys may lack.

    Parameters
    ----------
    options : GeocodeOptions

    Returns
    -------
    dict of str to Provider

    Raises
    ------
    InputError
        If a name is not known or stands twice, a key lacks, or there is no cache.
    """
    names = [name for name in options.providers if name != OFFLINE]
    if not options.providers or len(set(options.providers)) < len(options.providers):
        raise InputError(f"--providers names {listed(options.providers) or 'nothing'}; name each source once")
    for name in [*options.providers, *options.endpoints]:
        require_choice(name, [OFFLINE, *PROVIDERS], "a geocoding provider")
    require_choice(options.precision, PRECISIONS, "--min-precision")
    require_choice(options.divisions, DIVISIONS, "--divisions")
    require_positive(options.timeout, "--timeout")
    require_positive(options.tolerance_km, "--tolerance-km", zero=True)
    unused = [name for name in options.endpoints if name not in names]
    if unused:
        raise InputError(f"--endpoint names {listed(unused)}, which is not among --providers")
    if names and options.cache is None:
        raise InputError(
            "answers of services are kept in a cache, so that none is asked for twice; name it with --cache"
        )
    return {
        name: make_provider(name, endpoint=options.endpoints.get(name), timeout=options.timeout) for name in names
    }


def geocode_parcels(
    records: pd.DataFrame,
    options: GeocodeOptions,
    *,
    gazetteer: pd.DataFrame | None = None,
    boundaries: gpd.GeoDataFrame | None = None,
    progress: Callable[[str], Callable[[int, int], None]] | None = None,
) -> GeocodingResult:
    """Find the points of parcel records.

    Parameters
    ----------
    records : DataFrame
        As :func:`read_records` gives it.
    options : GeocodeOptions
    gazetteer : DataFrame, optional
        The user's own places, as :func:`read_gazetteer` gives them.
    boundaries : GeoDataFrame, optional
        As :func:`gistools.io.vectors.read_boundaries` gives it; without it no point is held against its city.
    progress : callable, optional
        Given a service's name, returns what is called with the queries done and all there are.

    Returns
    -------
    GeocodingResult

    Raises
    ------
    InputError
        If an option is wrong, a service accepts no request, or the cache cannot be used.
    """
    from gistools.parcels.address import parse_addresses
    from gistools.parcels.divisions import LATEST_YEAR, china_divisions, divisions_of_boundaries

    begun = time.monotonic()
    services = make_services(options)
    divisions = china_divisions(options.as_of or LATEST_YEAR)
    if options.divisions == "boundaries" and boundaries is None:
        raise InputError("--divisions boundaries reads the units' names from the boundaries; give --boundaries")
    if boundaries is not None and options.divisions != "china":
        named = boundaries["province"].notna().all() and boundaries["city_name"].notna().all()
        foreign = named and not boundaries["province"].isin(divisions.table["name"]).any()
        if options.divisions == "boundaries" or foreign:
            divisions = divisions.extended(divisions_of_boundaries(boundaries), replace=True)
    parsed = parse_addresses(
        records["address"], district=records.get("district"), year=records.get("year"), divisions=divisions
    )
    accounts: list[Account] = []

    def ask(provider: Provider, queries: Sequence[str]) -> tuple[dict[str, str | None], Account]:
        limits = Limits.of(provider, per_second=options.per_second, per_day=options.per_day, threads=options.threads)
        assert options.cache is not None  # make_services asked for it
        report = None if progress is None else progress(provider.name)
        answers, account = ask_service(provider, queries, options.cache, limits, progress=report)
        accounts.append(account)
        return answers, account

    sources: list[Source] = [
        _offline(divisions, gazetteer) if name == OFFLINE else OnlineSource(services[name], ask)
        for name in options.providers
    ]
    found = geocode(
        records,
        parsed,
        sources,
        boundaries=boundaries,
        min_precision=options.precision,
        tolerance_km=options.tolerance_km,
        check_coordinates=options.check_coordinates,
    )
    return GeocodingResult(found, options, accounts, time.monotonic() - begun)


def _offline(divisions: Divisions, places: pd.DataFrame | None) -> OfflineSource:
    from gistools.parcels.gazetteer import OfflineGazetteer

    return OfflineSource(OfflineGazetteer(divisions, places))


def geocode_table(
    table: Path,
    out: Path,
    options: GeocodeOptions,
    *,
    gazetteer: Path | None = None,
    boundaries: Path | None = None,
    names: Mapping[str, str | None] | None = None,
    columns: Mapping[str, str] | None = None,
    encoding: str | None = None,
    page: Path | None = None,
    figure: Path | None = None,
    progress: Callable[[str], Callable[[int, int], None]] | None = None,
) -> GeocodingResult:
    """Geocode a file of records into another, with maps of the flagged points on request.

    Parameters
    ----------
    table, out : Path
    options : GeocodeOptions
    gazetteer, boundaries : Path, optional
    names : mapping, optional
        ``code``, ``name``, ``province``: columns of the boundaries.
    columns : mapping of str to str, optional
        The table's own headers to standard names.
    encoding : str, optional
        Of a CSV file.
    page, figure : Path, optional
        An interactive map (.html) and a drawn one (.png, .svg) of points outside their city or province.
    progress : callable, optional
        As for :func:`geocode_parcels`.

    Returns
    -------
    GeocodingResult

    Raises
    ------
    InputError, OutputError
    """
    make_services(options)  # a missing key is said before a long table is read
    if (page or figure) and boundaries is None:
        raise InputError("a map of flagged points needs the cities' polygons; give --boundaries")
    for path in (page, figure):
        if path is not None:
            require_writable(path.parent)
    records = read_records(table, encoding=encoding, columns=columns)
    named: dict[str, Any] = {key: value for key, value in (names or {}).items() if value is not None}
    cities = None if boundaries is None else read_boundaries(boundaries, **named)
    places = None if gazetteer is None else read_gazetteer(gazetteer)
    result = geocode_parcels(records, options, gazetteer=places, boundaries=cities, progress=progress)
    write_table(result.parcels, out)
    if cities is not None and figure is not None:
        from gistools.output.parcel_maps import plot_flagged, save_figure

        save_figure(plot_flagged(cities, result.flagged, title=_title(result)), figure)
    if cities is not None and page is not None:
        from gistools.io.atomic import write_text
        from gistools.output.parcel_maps import flagged_map

        write_text(page, flagged_map(cities, result.flagged, title=_title(result)))
    return result


def _title(result: GeocodingResult) -> str:
    many = len(result.flagged)
    return f"{many:,} point{'' if many == 1 else 's'} outside the stated city or province"
