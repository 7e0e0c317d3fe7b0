"""Amap (Gaode): answers in GCJ-02."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any
from urllib.parse import urlencode

from gistools.parcels.providers.base import Answer, BadQuery, Exhausted, Provider, TooFast, Transient, word

_LEVELS = {
    "省": "province",
    "市": "city",
    "区县": "district",
    "开发区": "district",
    "乡镇": "street",
    "村庄": "place",
    "热点商圈": "place",
    "兴趣点": "place",
    "住宅区": "place",
    "公交地铁站点": "place",
    "道路": "road",
    "道路交叉路口": "road",
    "门牌号": "address",
    "单元号": "address",
    "楼层": "address",
    "房间": "address",
}
_UNKNOWN = ("", "未知", "国家")
_EXHAUSTED = {10003, 10010, 10029, 10044, 10045, 40000, 40003}
_TOO_FAST = {10004, 10014, 10019, 10020, 10021}
_BUSY = {10015, 10016, 10017, 20003}


class Amap(Provider):
    """Amap's web service, geocoding v3; geopy has no class for it."""

    name = "amap"
    title = "Amap"
    datum = "gcj02"
    key_variable = "GISTOOLS_AMAP_KEY"
    home = "https://restapi.amap.com"
    api_path = "/v3/geocode/geo"
    per_second = 3.0
    per_day = 5000
    day_begins = 8

    def _client(self, **common: Any) -> Any:
        return amap_geocoder()(self._key, **common)

    def _judge(self, page: Any) -> dict[str, Any] | None:
        if str(page["status"]) == "1":
            found = page["geocodes"]
            return {**found[0], "answers": len(found)} if found else None
        code = int(page["infocode"])
        why = self.scrub(f"{code} {word(page.get('info'))}".strip())
        if code in _EXHAUSTED:
            raise Exhausted(why)
        if code in _TOO_FAST:
            raise TooFast(why)
        if code in _BUSY:
            raise Transient(why)
        if code >= 20000 and code not in (20011, 40002):
            raise BadQuery(why)
        raise self._wrong_key(why)

    def read(self, said: Mapping[str, Any]) -> Answer:
        """Read the first answer; confidence, which Amap does not give, is one over the number of answers."""
        lon, lat = said["location"].split(",")
        level = word(said.get("level"))
        return Answer(
            lon=float(lon),
            lat=float(lat),
            precision="" if level in _UNKNOWN else _LEVELS.get(level, "place"),
            confidence=1 / int(said["answers"]),
            datum=self.datum,
            text=word(said.get("formatted_address")),
            province=word(said.get("province")),
            city=word(said.get("city")),
            district=word(said.get("district")),
            level=level,
        )


@cache
def amap_geocoder() -> type:
    """Return a client of Amap on geopy's base class, made when it is first used: geopy is slow to import."""
    from geopy.geocoders.base import Geocoder

    class AmapGeocoder(Geocoder):  # type: ignore[misc]
        """Amap's geocoding."""

        def __init__(self, api_key: str, **common: Any) -> None:
            super().__init__(**common)
            self.api_key = api_key
            self.api = Amap.home + Amap.api_path

        def geocode(self, query: str, *, exactly_one: bool = False) -> Any:  # noqa: ARG002
            url = f"{self.api}?{urlencode({'key': self.api_key, 'address': query, 'output': 'JSON'})}"
            return self._call_geocoder(url, self._parse_json)

    return AmapGeocoder
