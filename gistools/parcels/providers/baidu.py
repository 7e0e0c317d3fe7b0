"""Baidu Maps: answers in BD-09."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gistools.parcels.providers.base import (
    Answer,
    BadQuery,
    Exhausted,
    Provider,
    TooFast,
    Transient,
    word,
)

# Baidu's `level`; its many kinds of points of interest are places.
_LEVELS = {
    "省": "province",
    "城市": "city",
    "区县": "district",
    "乡镇": "street",
    "街道": "street",
    "村庄": "place",
    "道路": "road",
    "交叉路口": "road",
    "门址": "address",
}
_UNKNOWN = ("", "UNKNOWN", "未知", "国家")
_NOTHING = "无相关结果"  # how status 1, a fault of the server, says that nothing was found


class Baidu(Provider):
    """Baidu Maps, geocoding v3 (through geopy's ``BaiduV3``)."""

    name = "baidu"
    title = "Baidu"
    datum = "bd09"
    key_variable = "GISTOOLS_BAIDU_KEY"
    home = "https://api.map.baidu.com"
    api_path = "/geocoding/v3/"
    per_second = 3.0
    per_day = 5000
    day_begins = 8

    def _client(self, **common: Any) -> Any:
        from geopy.geocoders import BaiduV3

        return BaiduV3(self._key, **common)

    def _judge(self, page: Any) -> dict[str, Any] | None:
        status = int(page["status"])
        said = self.scrub(word(page.get("msg")) or word(page.get("message")))
        why = f"status {status}{': ' + said if said else ''}"
        if status == 0:
            result = page.get("result")
            return result if result else None
        if status == 1 and _NOTHING in said:
            return None
        if status in (4, 301, 302):
            raise Exhausted(why)
        if status in (401, 402):
            raise TooFast(why)
        if status in (3, 5, 9, 101, 102) or 200 <= status < 300:
            raise self._wrong_key(why)
        if status in (2, 8):
            raise BadQuery(why)
        raise Transient(why)

    def read(self, said: Mapping[str, Any]) -> Answer:
        """Read a result; confidence is `comprehension`, how much of the text was understood, or else `confidence`."""
        level = word(said.get("level"))
        place = said["location"]
        share = said.get("comprehension", said.get("confidence", 0))
        return Answer(
            lon=float(place["lng"]),
            lat=float(place["lat"]),
            precision="" if level in _UNKNOWN else _LEVELS.get(level, "place"),
            confidence=float(share) / 100,
            datum=self.datum,
            level=level,
        )
