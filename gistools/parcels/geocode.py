"""Addresses to points: sources asked in order, and every answer held against its record before it is used."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pandas as pd

from gistools.checks import require_choice, require_columns
from gistools.errors import InputError
from gistools.parcels.datum import convert_datum
from gistools.parcels.providers import OFFLINE, PRECISIONS, Provider, query_key
from gistools.parcels.status import LOCATED, passing
from gistools.parcels.validation import (
    OUTSIDE_CITY,
    OUTSIDE_PROVINCE,
    TOLERANCE_KM,
    UNCHECKED,
    CityPolygons,
    bare_names,
    check_points,
    same_city,
)
from gistools.parcels.values import as_numbers

if TYPE_CHECKING:
    import geopandas as gpd
    from numpy.typing import NDArray

    from gistools.parcels.providers.asking import Account

NO_ADDRESS = "no address"
AMBIGUOUS = "ambiguous address"
DISPUTED = "address and record name different cities"
NOT_GEOCODED = "not geocoded"
NOT_ANSWERED = "not answered yet"
TOO_COARSE = "too coarse"
GIVEN = "given"

# Rows of these statuses have a point that was not used; it stands in rejected_lon, rejected_lat.
FLAGGED = (OUTSIDE_CITY, OUTSIDE_PROVINCE)

_NO_ANSWER: dict[str, Any] = {
    **dict.fromkeys(("lon", "lat", "confidence"), np.nan),
    **dict.fromkeys(("precision", "note", "datum", "province", "city"), ""),
    "pending": False,
}
_UNITS = ["province", "city", "district_name", "city_code", "district_code"]


class Source(Protocol):
    """Something that turns parsed addresses into points."""

    @property
    def name(self) -> str:
        """How the column ``geocode_provider`` calls it."""

    def locate(self, parsed: pd.DataFrame) -> pd.DataFrame:
        """Return ``lon, lat`` (WGS 84), ``precision, confidence, note``, and what is known of the rest.

        That is ``datum`` (of the answer itself), ``province, city`` (as the answer states them), ``pending`` (true
        where there is no answer yet).
        """


@dataclass(frozen=True)
class OfflineSource:
    """A gazetteer on this machine.

    Parameters
    ----------
    gazetteer : object with ``locate(parsed)``
        As :class:`gistools.parcels.gazetteer.OfflineGazetteer`.
    """

    gazetteer: Any
    name: str = OFFLINE

    def locate(self, parsed: pd.DataFrame) -> pd.DataFrame:
        """Return the gazetteer's points."""
        found: pd.DataFrame = self.gazetteer.locate(parsed)
        return found


@dataclass(frozen=True)
class OnlineSource:
    """A geocoding service.

    Parameters
    ----------
    provider : Provider
    ask : callable
        Given the service and queries, returns the answers there are (as JSON; None for "not found") and the account
        of asking. What is in neither the answers nor the account's failures was not asked.
    """

    provider: Provider
    ask: Callable[[Provider, Sequence[str]], tuple[Mapping[str, str | None], Account]]

    @property
    def name(self) -> str:
        """The service's name."""
        return self.provider.name

    def locate(self, parsed: pd.DataFrame) -> pd.DataFrame:
        """Ask for every distinct address whose city is known, and bring the answers to WGS 84."""
        texts = query_texts(parsed)
        said, account = self.ask(self.provider, [text for text in dict.fromkeys(texts) if text])
        rows: list[dict[str, Any]] = []
        for text in dict.fromkeys(texts):
            if not text:
                rows.append({"note": f"{self.name}: not asked, for the address names no city"})
            elif text not in said:
                why = account.failures.get(text, "not asked yet")
                rows.append({"note": f"{self.name}: {why}", "pending": True})
            else:
                rows.append(self._row(said[text]))
        found = pd.DataFrame([_NO_ANSWER | row for row in rows], index=pd.Index(list(dict.fromkeys(texts))))
        known = found["lon"].notna()
        if known.any():
            lon, lat = convert_datum(found.loc[known, "lon"], found.loc[known, "lat"], self.provider.datum, "wgs84")
            found.loc[known, "lon"], found.loc[known, "lat"] = lon, lat
        return found.loc[texts.to_numpy()].set_axis(parsed.index, axis=0)

    def _row(self, text: str | None) -> dict[str, Any]:
        if text is None:
            return {"note": f"{self.name}: not found"}
        try:
            answer = self.provider.read(json.loads(text))
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError):
            raise InputError(
                f"the cache holds an answer of {self.provider.title} that cannot be read; name another --cache"
            ) from None
        if not answer.precision:
            return {"note": f"{self.name}: no more than the country"}
        return {
            "lon": answer.lon,
            "lat": answer.lat,
            "precision": answer.precision,
            "confidence": answer.confidence,
            "note": f"{self.name}: {answer.level}" if answer.level else "",
            "datum": answer.datum,
            "province": answer.province,
            "city": answer.city,
        }


def query_texts(parsed: pd.DataFrame) -> pd.Series:
    """Write the queries that a service is sent: the units that were understood, then the rest of the address.

    Parameters
    ----------
    parsed : DataFrame
        As :func:`gistools.parcels.address.parse_addresses` gives it.

    Returns
    -------
    Series of str
        Empty where no city is known: the service would have to guess one.

    Examples
    --------
    >>> query_texts(pd.DataFrame({"province": ["北京市", ""], "city": ["北京市", ""], "district_name": ["朝阳区", ""],
    ...                           "place": ["建国路 88号", "建国路88号"]})).tolist()
    ['北京市朝阳区建国路88号', '']
    """
    city = parsed["city"].where(parsed["city"] != parsed["province"], "")
    district = parsed["district_name"].where(parsed["district_name"] != parsed["city"], "")
    text = parsed["province"] + city + district + parsed["place"]
    distinct = {value: query_key(value) for value in text.unique()}
    return text.map(distinct).where(parsed["city"] != "", "").astype("str")


def geocode(
    records: pd.DataFrame,
    parsed: pd.DataFrame,
    sources: Sequence[Source],
    *,
    boundaries: gpd.GeoDataFrame | None = None,
    min_precision: str = "district",
    tolerance_km: float = TOLERANCE_KM,
    check_coordinates: bool = False,
) -> pd.DataFrame:
    """Give records points from the first source whose answer is fine enough and lies where the record says.

    Parameters
    ----------
    records : DataFrame
        ``address``; ``status``, ``city_code``, ``lon`` and ``lat`` where known. Rows that an earlier step has set
        aside are left alone, and so are points that came with the records.
    parsed : DataFrame
        The addresses as :func:`gistools.parcels.address.parse_addresses` gives them, by the index of `records`.
    sources : sequence of Source
        In the order in which they are asked.
    boundaries : GeoDataFrame, optional
        ``city_code``, ``city_name``, ``province`` and polygons, to hold every point against.
    min_precision : str
        One of :data:`gistools.parcels.providers.PRECISIONS`; a coarser answer sends the record to the next source.
    tolerance_km : float
        How far outside its city a point may lie.
    check_coordinates : bool
        Hold points that came with the records against the boundaries too; those outside are geocoded.

    Returns
    -------
    DataFrame
        A copy, no row dropped, with ``lon, lat`` (WGS 84; empty where no point is used), ``province, city,
        district_name, city_code, district_code, precision, confidence, geocode_provider, geocode_datum, geocode_note,
        km_outside, rejected_lon, rejected_lat, status``.

    Raises
    ------
    TableError, InputError
        If columns lack, or coordinates are to be checked and there are no boundaries.
    """
    require_columns(records, ["address"], "the parcel table")
    require_choice(min_precision, PRECISIONS, "the least precision")
    if check_coordinates and boundaries is None:
        raise InputError("coordinates can only be checked against polygons; give --boundaries")
    work = _Work(
        records, parsed, None if boundaries is None else CityPolygons(boundaries), min_precision, tolerance_km
    )
    work.take_given(check_coordinates)
    work.set_aside_unclear()
    for source in sources:
        work.ask(source)
    return work.result()


class _Work:
    """The records on their way through the sources."""

    def __init__(
        self,
        records: pd.DataFrame,
        parsed: pd.DataFrame,
        polygons: CityPolygons | None,
        min_precision: str,
        tolerance_km: float,
    ) -> None:
        self.records, self.parsed, self.polygons = records, parsed, polygons
        self.limit, self.tolerance_km = PRECISIONS.index(min_precision), tolerance_km
        n = len(records)
        self.open = passing(records).copy()
        self.judged = self.open.copy()
        self.status = records["status"].to_numpy(object).copy() if "status" in records else np.full(n, "", object)
        self.lon, self.lat, self.confidence, self.km = (np.full(n, np.nan) for _ in range(4))
        self.precision, self.provider, self.datum = (np.full(n, "", object) for _ in range(3))
        self.rank = np.full(n, len(PRECISIONS))  # of the finest answer that fits
        self.flag = np.full(n, "", object)  # why the first answer that does not fit was not used
        self.flagged = np.full((n, 2), np.nan)
        self.pending = np.zeros(n, bool)
        self.notes: dict[int, list[str]] = defaultdict(list)
        self.expected = self._expected()

    def _expected(self) -> pd.DataFrame:
        """The units each record states: its own code first, then the address."""
        units = self.parsed[["province", "city", "city_code"]].copy()
        if "city_code" in self.records:
            own = self.records["city_code"].fillna("").astype("str").str.strip()
            units["city_code"] = own.where(own != "", units["city_code"])
        self.position = np.full(len(units), -1) if self.polygons is None else self.polygons.positions(units)
        return units

    def take_given(self, check: bool) -> None:
        """Keep the points that came with the records."""
        if not {"lon", "lat"} <= set(self.records.columns):
            return
        lon, lat = as_numbers(self.records["lon"]), as_numbers(self.records["lat"])
        stated = self.open & np.isfinite(lon) & np.isfinite(lat)
        usable = stated & (np.abs(lon) <= 180) & (np.abs(lat) <= 90) & ~((lon == 0) & (lat == 0))
        self._note(stated & ~usable, "given: impossible coordinates")
        verdict, km = np.full(len(lon), "", object), np.full(len(lon), np.nan)
        if check:
            verdict[usable], km[usable] = self._judge(usable, lon[usable], lat[usable])
        fits = usable & ~np.isin(verdict, FLAGGED)
        self.lon[fits], self.lat[fits], self.provider[fits] = lon[fits], lat[fits], GIVEN
        self.km[fits] = km[fits]
        self._close(fits, LOCATED)
        self._flag(usable & ~fits, GIVEN, lon, lat, verdict, km)

    def set_aside_unclear(self) -> None:
        """Close records whose city is not settled: no source is asked to guess."""
        note = self.parsed["note"]
        text = self.records["address"].fillna("").astype("str").str.strip()
        empty = ((text == "") & (self.parsed["level"] == "")).to_numpy()
        unclear = note.str.startswith("ambiguous").to_numpy(bool)
        disputed = note.str.startswith("conflict").to_numpy(bool)
        if "city_code" in self.records:
            disputed = disputed | ~same_city(
                self.records["city_code"].fillna("").astype("str"), self.parsed["city_code"]
            )
        for rows, status in ((empty, NO_ADDRESS), (unclear, AMBIGUOUS), (disputed, DISPUTED)):
            closing = self.open & rows
            for row in np.flatnonzero(closing).tolist():
                self.notes[row] += [part for part in (note.iloc[row], self.parsed["candidates"].iloc[row]) if part]
            self._close(closing, status)

    def ask(self, source: Source) -> None:
        """Ask a source for the records that are still open, and judge its answers."""
        rows = np.flatnonzero(self.open)
        if not len(rows):
            return
        found = source.locate(self.parsed.iloc[rows])
        lon, lat = found["lon"].to_numpy(np.float64), found["lat"].to_numpy(np.float64)
        has = np.isfinite(lon) & np.isfinite(lat)
        for row, note, answer in zip(rows.tolist(), found["note"], has, strict=True):
            if note or not answer:
                self.notes[row].append(note or f"{source.name}: not found")
        if "pending" in found:
            self.pending[rows[found["pending"].to_numpy(bool)]] = True
        answered = np.zeros(len(self.open), bool)
        answered[rows[has]] = True
        wide_lon, wide_lat, km = (np.full(len(self.open), np.nan) for _ in range(3))
        wide_lon[rows], wide_lat[rows] = lon, lat
        verdict = np.full(len(self.open), "", object)
        verdict[answered], km[answered] = self._judge(answered, lon[has], lat[has], found[has])
        fits = answered & ~np.isin(verdict, FLAGGED)
        rank = np.full(len(self.open), len(PRECISIONS))
        rank[rows[has]] = [PRECISIONS.index(word) for word in found.loc[has, "precision"]]
        better = fits & (rank < self.rank)
        pick = pd.Series(np.arange(len(rows)), index=rows).reindex(np.flatnonzero(better)).to_numpy()
        self.rank[better], self.km[better] = rank[better], km[better]
        self.lon[better], self.lat[better] = wide_lon[better], wide_lat[better]
        self.precision[better] = found["precision"].to_numpy(object)[pick]
        self.confidence[better] = found["confidence"].to_numpy(np.float64)[pick]
        self.datum[better] = found["datum"].to_numpy(object)[pick] if "datum" in found else "wgs84"
        self.provider[better] = source.name
        self._flag(answered & ~fits, source.name, wide_lon, wide_lat, verdict, km)
        self._close(self.open & (self.rank <= self.limit), LOCATED)

    def _judge(
        self, rows: NDArray[np.bool_], lon: NDArray, lat: NDArray, said: pd.DataFrame | None = None
    ) -> tuple[NDArray, NDArray[np.float64]]:
        """Hold points against the polygons, and where there is none against what the answer itself states."""
        units = self.expected[rows].assign(lon=lon, lat=lat)
        if self.polygons is None:
            verdict, km = np.full(len(units), UNCHECKED, object), np.full(len(units), np.nan)
        else:
            checked = check_points(units, self.polygons, tolerance_km=self.tolerance_km)
            verdict, km = checked["verdict"].to_numpy(object), checked["km_outside"].to_numpy(np.float64)
        if said is not None and {"province", "city"} <= set(said.columns):
            for unit, word in (("city", OUTSIDE_CITY), ("province", OUTSIDE_PROVINCE)):
                stated, wanted = bare_names(said[unit]).to_numpy(object), bare_names(units[unit]).to_numpy(object)
                other = (stated != wanted) & (stated != "") & (wanted != "")
                verdict = np.where((verdict == UNCHECKED) & other, word, verdict)
        return verdict, km

    def _flag(
        self, rows: NDArray[np.bool_], name: str, lon: NDArray, lat: NDArray, verdict: NDArray, km: NDArray
    ) -> None:
        for row in np.flatnonzero(rows).tolist():
            far = f" by {km[row]:.1f} km" if np.isfinite(km[row]) else ""
            self.notes[row].append(f"{name}: {lon[row]:.6f}, {lat[row]:.6f} is {verdict[row]}{far}")
        first = rows & (self.flag == "")
        self.flag[first] = verdict[first]
        self.flagged[first] = np.column_stack([lon, lat])[first]

    def _note(self, rows: NDArray[np.bool_], text: str) -> None:
        for row in np.flatnonzero(rows).tolist():
            self.notes[row].append(text)

    def _close(self, rows: NDArray[np.bool_], status: str) -> None:
        self.status[rows] = status
        self.open &= ~rows

    def result(self) -> pd.DataFrame:
        """Close what is still open and put the columns together."""
        coarse = self.rank < len(PRECISIONS)
        self._close(self.open & self.pending, NOT_ANSWERED)
        self._close(self.open & coarse, TOO_COARSE)
        for word in FLAGGED:
            self._close(self.open & (self.flag == word), word)
        self._close(self.open, NOT_GEOCODED)
        used = self.judged & (self.status == LOCATED)
        unused = ~used & coarse
        rejected = np.where(unused[:, None], np.column_stack([self.lon, self.lat]), self.flagged)
        rejected[used] = np.nan
        code = self.expected["city_code"].to_numpy(object)
        if self.polygons is not None:
            code = np.where(self.position >= 0, self.polygons.codes.to_numpy(object)[self.position], code)
        given = np.full((len(used), 2), np.nan)  # rows that were set aside before keep what they had
        if {"lon", "lat"} <= set(self.records.columns):
            given[~self.judged] = np.column_stack([as_numbers(self.records[name]) for name in ("lon", "lat")])[
                ~self.judged
            ]
        units: dict[str, Any] = {name: self.parsed[name] for name in _UNITS}
        return self.records.assign(
            lon=np.where(used, self.lon, given[:, 0]),
            lat=np.where(used, self.lat, given[:, 1]),
            **units | {"city_code": pd.Series(code, index=self.records.index).astype("str")},
            precision=np.where(used | unused, self.precision, ""),
            confidence=np.where(used | unused, self.confidence, np.nan),
            geocode_provider=np.where(used | unused, self.provider, ""),
            geocode_datum=np.where(used | unused, self.datum, ""),
            geocode_note=["; ".join(self.notes.get(row, ())) for row in range(len(used))],
            km_outside=np.where(used, self.km, np.nan),
            rejected_lon=rejected[:, 0],
            rejected_lat=rejected[:, 1],
            status=self.status,
        )
