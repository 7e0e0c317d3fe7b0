"""The offline gazetteer: parsed addresses to the finest point that is known without asking anyone."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import NamedTuple

import numpy as np
import pandas as pd

from gistools.checks import listed, require_choice, require_columns, require_numeric
from gistools.errors import TableError
from gistools.grid import geodesic_km
from gistools.parcels.divisions import Divisions, as_text

# How fine a point is, the finest first.
PLACE_PRECISIONS = ("road", "place", "street")
UNIT_PRECISIONS = ("district", "city", "province")

# Share of addresses of the reference list whose finest unit was right, by what it was read from; n right of n gives
# (n + 1) / (n + 2). benchmarks/geocoding_offline.py prints them.
CONFIDENCE: dict[tuple[str, str], float] = {
    ("full", "district"): 0.99,
    ("full", "city"): 0.96,
    ("full", "province"): 0.86,
    ("short", "district"): 0.96,
    ("short", "city"): 0.94,
    ("short", "province"): 0.50,  # none in the list
    ("record", "district"): 0.83,
    ("record", "city"): 0.75,
    ("record", "province"): 0.75,
}
BY_NAME_ALONE = 0.9  # factor where a place without a code is taken for the city's because it is near
NEAR_KM = 100.0  # how far from its city's centre such a place may be
SAME_KM = 1.0  # places of one name no farther apart than this are one

_KIND = re.compile(r"(?P<road>路|街|大道|大街|巷|弄|胡同|公路)$|(?P<street>镇|乡|街道|苏木|办事处)$")
# A name in a longer text begins at its start or behind one of these: 山路 is not found in 中山路.
_BEFORE = frozenset("路街道巷弄号镇乡村区县市旗、,;/()（）以与和及跟至交叉口处侧东西南北边旁的近 ")


class _Place(NamedTuple):
    lon: float
    lat: float
    precision: str
    city: str
    district: str


class OfflineGazetteer:
    """Points of administrative units, and of named places of the user's own.

    Parameters
    ----------
    divisions : Divisions
        Units with `lon`, `lat` (WGS 84); those without give way to the unit above.
    places : DataFrame, optional
        `name`, `lon`, `lat` (degrees, WGS 84) and where known `city_code`, `district_code`, `aliases` (other names,
        separated by "|") and `precision` ("road", "place" or "street", a township; else read off the name's end). A
        place without a code is only taken where it lies within 100 km of the address's city.

    Raises
    ------
    TableError
        If a column lacks, or a place has no coordinates on Earth.

    Examples
    --------
    >>> from gistools.parcels.address import parse_addresses
    >>> from gistools.parcels.divisions import china_divisions
    >>> roads = pd.DataFrame({"name": ["珞喻路"], "lon": [114.36], "lat": [30.52], "city_code": ["420100"]})
    >>> gazetteer = OfflineGazetteer(china_divisions(), roads)
    >>> parsed = parse_addresses(pd.Series(["武汉市珞喻路129号", "武汉市洪山区", "朝阳区"]))
    >>> gazetteer.locate(parsed)[["lon", "lat", "precision"]].round(2).values.tolist()
    [[114.36, 30.52, 'road'], [114.34, 30.5, 'district'], [nan, nan, '']]
    """

    def __init__(self, divisions: Divisions, places: pd.DataFrame | None = None) -> None:
        self.divisions = divisions
        self._named: dict[tuple[str, str], list[_Place]] = defaultdict(list)
        self._lengths: dict[str, list[int]] = {}
        if places is not None:
            self._add(places)

    def locate(self, parsed: pd.DataFrame) -> pd.DataFrame:
        """Find the finest known point of each address.

        Parameters
        ----------
        parsed : DataFrame
            As :func:`gistools.parcels.address.parse_addresses` gives it.

        Returns
        -------
        DataFrame
            The index of `parsed`: `lon`, `lat` (degrees, WGS 84; missing where nothing is settled), `precision`
            ("road", "place", "street", "district", "city", "province", or empty), `confidence` and `note`.

        Notes
        -----
        `confidence` estimates the probability that the unit named by the address was read rightly: the share measured
        on the reference list for the kind of reading (full names, a short one, only the record's district) and level.
        It does not say how far a parcel lies from the point, which `precision` does. An ambiguous address has none.
        """
        require_columns(parsed, ["province_code", "city_code", "district_code", "level", "place"], "the addresses")
        points = pd.DataFrame(
            {"lon": np.nan, "lat": np.nan, "precision": "", "confidence": np.nan, "note": ""}, index=parsed.index
        )
        basis = parsed["basis"] if "basis" in parsed else pd.Series("full", index=parsed.index)
        remark = parsed["note"] if "note" in parsed else pd.Series("", index=parsed.index)
        settled = (parsed["city_code"] != "") | ((parsed["level"] == "province") & (remark == ""))
        points["note"] = remark.where(remark != "", "")
        for precision in UNIT_PRECISIONS:
            codes = parsed[f"{precision}_code"]
            known = {code: self._point(code) for code in codes.unique() if code}
            lon = codes.map({code: place[0] for code, place in known.items()}).astype("float64")
            lat = codes.map({code: place[1] for code, place in known.items()}).astype("float64")
            here = settled & (points["precision"] == "") & lon.notna()
            points.loc[here, "lon"], points.loc[here, "lat"] = lon[here], lat[here]
            points.loc[here, "precision"] = precision
        kinds = zip(basis, parsed["level"], strict=True)
        confidence = pd.Series([CONFIDENCE.get(kind, np.nan) for kind in kinds], index=parsed.index, dtype="float64")
        coarser = (points["precision"] != "") & (points["precision"] != parsed["level"])
        points.loc[coarser, "note"] = [
            "; ".join(part for part in (said, f"no point of the {level} is known") if part)
            for said, level in zip(points.loc[coarser, "note"], parsed.loc[coarser, "level"], strict=True)
        ]
        points["confidence"] = confidence.where(points["precision"] != "")
        return self._refined(parsed, points) if self._named else points

    def _point(self, code: str) -> tuple[float, float]:
        unit = self.divisions.unit_of(code)
        return (unit.lon, unit.lat) if unit else (np.nan, np.nan)

    # --- named places ---

    def _add(self, places: pd.DataFrame) -> None:
        what = "the gazetteer of places"
        require_columns(places, ["name", "lon", "lat"], what)
        require_numeric(places, ["lon", "lat"], what)
        texts = ["city_code", "district_code", "aliases", "precision"]
        table = as_text(places, ["name", *texts])
        lon, lat = (pd.to_numeric(places[name], errors="coerce").to_numpy(np.float64) for name in ("lon", "lat"))
        wrong = table[~(np.abs(lon) <= 180) | ~(np.abs(lat) <= 90)]
        if len(wrong):
            raise TableError(
                f"{what} has no coordinates in degrees for {listed(wrong['name'])}; give lon and lat in WGS 84"
            )
        for precision in table["precision"].unique():
            if precision:
                require_choice(precision, PLACE_PRECISIONS, f"precision of {what}")
        lengths: dict[str, set[int]] = defaultdict(set)
        for (name, city, district, aliases, precision), x, y in zip(
            table.itertuples(index=False, name=None), lon, lat, strict=True
        ):
            home = city or self._city_of(district)
            for one in dict.fromkeys([name, *aliases.split("|")]):
                if len(one) > 1:
                    kind = _KIND.search(one)
                    fine = precision or (kind.lastgroup if kind else None) or "place"
                    self._named[home, one].append(_Place(float(x), float(y), fine, home, district))
                    lengths[home].add(len(one))
        self._lengths = {home: sorted(sizes, reverse=True) for home, sizes in lengths.items()}

    def _city_of(self, district: str) -> str:
        unit = self.divisions.unit_of(district) if district else None
        if unit is None:
            return ""
        above = self.divisions.unit_of(unit.parent)
        return unit.parent if above is not None and (above.level == 1 or district[2:4] != "90") else district

    def _refined(self, parsed: pd.DataFrame, points: pd.DataFrame) -> pd.DataFrame:
        """Put points of named places where the text after the units holds their names."""
        asked = parsed.loc[
            (parsed["city_code"] != "") & (parsed["place"] != ""), ["city_code", "district_code", "place"]
        ]
        rows = (
            parsed.index.get_indexer_for(asked.index)
            if parsed.index.is_unique
            else np.flatnonzero(((parsed["city_code"] != "") & (parsed["place"] != "")).to_numpy())
        )
        groups = asked.groupby(list(asked.columns), sort=False).ngroup().to_numpy()
        answers = [self._find(*key) for key in asked.drop_duplicates().itertuples(index=False, name=None)]
        lon, lat = points["lon"].to_numpy().copy(), points["lat"].to_numpy().copy()
        confidence = points["confidence"].to_numpy().copy()
        precision, note = points["precision"].to_numpy(object).copy(), points["note"].to_numpy(object).copy()
        for row, group in zip(rows, groups, strict=True):
            found, remark = answers[group]
            if remark:
                note[row] = "; ".join(part for part in (note[row], remark) if part)
            if found is not None:
                lon[row], lat[row], precision[row] = found.lon, found.lat, found.precision
                confidence[row] *= 1.0 if found.city else BY_NAME_ALONE
        return points.assign(lon=lon, lat=lat, precision=precision, confidence=confidence, note=note)

    def _find(self, city: str, district: str, text: str) -> tuple[_Place | None, str]:
        """The finest place a text names: roads before estates before townships, then the longest, then the first."""
        best: tuple[tuple[int, int, int], _Place] | None = None
        doubtful = ""
        for home in (city, ""):
            for start in range(len(text)):
                if start and text[start - 1] not in _BEFORE and not text[start - 1].isdigit():
                    continue
                for length in self._lengths.get(home, ()):
                    name = text[start : start + length]
                    if len(name) < length or (home, name) not in self._named:
                        continue
                    place, remark = self._choice(self._named[home, name], city, district, name)
                    doubtful = doubtful or remark
                    if place is not None:
                        rank = (PLACE_PRECISIONS.index(place.precision), -length, start)
                        if best is None or rank < best[0]:
                            best = (rank, place)
            if best is not None:
                return best[1], ""
        return None, doubtful

    def _choice(self, places: list[_Place], city: str, district: str, name: str) -> tuple[_Place | None, str]:
        """The one place meant by a name, if that is plain."""
        fitting = [place for place in places if not (district and place.district and place.district != district)]
        fitting = [place for place in fitting if place.district == district and district] or fitting
        near = [place for place in fitting if place.city or self._is_near(place, city)]
        if not near:
            return None, ""
        first = near[0]
        apart = geodesic_km(first.lon, first.lat, [p.lon for p in near], [p.lat for p in near])
        if np.max(apart) > SAME_KM:
            return None, f"{len(near)} places named {name}"
        return first, ""

    def _is_near(self, place: _Place, city: str) -> bool:
        lon, lat = self._point(city)
        return bool(np.isfinite(lon) and geodesic_km(lon, lat, place.lon, place.lat) <= NEAR_KM)
