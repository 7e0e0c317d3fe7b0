"""Google Maps: answers lie in GCJ-02 on the mainland, where its streets do, and in WGS 84 elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gistools.parcels.providers.base import Answer, BadQuery, Exhausted, Provider, TooFast, Transient, word

# Google's `types`, looked up in this order: an answer has several.
_TYPES = (
    ("street_address", "address"),
    ("premise", "address"),
    ("subpremise", "address"),
    ("route", "road"),
    ("intersection", "road"),
    ("establishment", "place"),
    ("point_of_interest", "place"),
    ("neighborhood", "place"),
    ("administrative_area_level_4", "street"),
    ("postal_code", "street"),
    ("administrative_area_level_3", "district"),
    ("sublocality", "district"),
    ("administrative_area_level_2", "city"),
    ("locality", "city"),
    ("administrative_area_level_1", "province"),
    ("country", ""),
)
_UNITS = {
    "province": ("administrative_area_level_1",),
    "city": ("locality", "administrative_area_level_2"),
    "district": ("sublocality_level_1", "administrative_area_level_3", "sublocality"),
}


class Google(Provider):
    """Google's Geocoding API (through geopy's ``GoogleV3``)."""

    name = "google"
    title = "Google"
    datum = "gcj02"
    key_variable = "GISTOOLS_GOOGLE_KEY"
    home = "https://maps.googleapis.com"
    api_path = "/maps/api/geocode/json"
    per_second = 20.0
    day_begins = -8

    def _client(self, **common: Any) -> Any:
        from geopy.geocoders import GoogleV3

        return GoogleV3(self._key, **common)

    def _geocode(self, geocoder: Any, query: str) -> Any:
        return geocoder.geocode(query, exactly_one=False, language="zh-CN", region="cn")

    def _judge(self, page: Any) -> dict[str, Any] | None:
        status, said = str(page["status"]), self.scrub(word(page.get("error_message")))
        why = f"{status}{': ' + said if said else ''}"
        if status in ("OK", "ZERO_RESULTS"):
            found = page["results"]
            if not found:
                return None
            kept = ("formatted_address", "address_components", "types", "partial_match")
            first = {name: found[0][name] for name in kept if name in found[0]}
            point = {name: found[0]["geometry"].get(name) for name in ("location", "location_type")}
            return {**first, "geometry": point, "answers": len(found)}
        if status == "OVER_DAILY_LIMIT" or (status == "OVER_QUERY_LIMIT" and "daily" in said.lower()):
            raise Exhausted(why)
        if status == "OVER_QUERY_LIMIT":
            raise TooFast(why)
        if status == "REQUEST_DENIED":
            raise self._wrong_key(why)
        if status == "INVALID_REQUEST":
            raise BadQuery(why)
        raise Transient(why)

    def read(self, said: Mapping[str, Any]) -> Answer:
        """Read the first result; confidence is one over the number of results, halved for a partial match."""
        types = said.get("types") or []
        level = next((name for name, _ in _TYPES if name in types), "")
        precision = dict(_TYPES).get(level, "place")
        if precision == "address" and said["geometry"].get("location_type") == "APPROXIMATE":
            precision = "road"
        units = {name: _component(said.get("address_components") or [], kinds) for name, kinds in _UNITS.items()}
        return Answer(
            lon=float(said["geometry"]["location"]["lng"]),
            lat=float(said["geometry"]["location"]["lat"]),
            precision=precision,
            confidence=(0.5 if said.get("partial_match") else 1.0) / int(said["answers"]),
            datum=self.datum,
            text=word(said.get("formatted_address")),
            level=level,
            **units,
        )


def _component(components: list[Mapping[str, Any]], kinds: tuple[str, ...]) -> str:
    for kind in kinds:
        for part in components:
            if kind in part.get("types", ()):
                return word(part.get("long_name"))
    return ""
