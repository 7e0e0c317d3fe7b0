"""Nominatim, the geocoder of OpenStreetMap: answers in WGS 84, no key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gistools.parcels.providers.base import Answer, BadQuery, Provider, word

# Where OpenStreetMap's word is surer than the rank: a city may be mapped as a point, whose rank is a town's.
_TYPES = {
    "country": "",
    "state": "province",
    "province": "province",
    "region": "city",
    "state_district": "city",
    "city": "city",
    "county": "district",
    "city_district": "district",
    "road": "road",
    "house": "address",
    "building": "address",
}
# Nominatim's `place_rank`, twice OpenStreetMap's admin_level for a boundary: up to this rank, this precision.
_RANKS = ((5, ""), (8, "province"), (11, "city"), (15, "district"), (18, "street"), (25, "place"), (27, "road"))
_DISTRICTS = ("city_district", "county", "district")
_MOST = 5  # answers asked for, so that a name borne by several places is seen to be


class Nominatim(Provider):
    """A Nominatim server: one's own, or the public one within its usage policy (through geopy's ``Nominatim``)."""

    name = "nominatim"
    title = "Nominatim"
    datum = "wgs84"
    home = "https://nominatim.openstreetmap.org"
    api_path = "/search"
    per_second = 1.0  # the public server's limit
    threads = 1

    def _client(self, **common: Any) -> Any:
        from geopy.geocoders import Nominatim as Client

        return Client(**common)

    def _geocode(self, geocoder: Any, query: str) -> Any:
        return geocoder.geocode(
            query, exactly_one=False, limit=_MOST, addressdetails=True, language="zh-CN", country_codes="cn"
        )

    def _judge(self, page: Any) -> dict[str, Any] | None:
        if isinstance(page, Mapping):
            raise BadQuery(str(page["error"])[:80])
        if not page:
            return None
        kept = ("lon", "lat", "display_name", "addresstype", "type", "place_rank", "address")
        return {**{name: page[0][name] for name in kept if name in page[0]}, "answers": len(page)}

    def read(self, said: Mapping[str, Any]) -> Answer:
        """Read the first place; confidence, which Nominatim does not give, is one over the number of places."""
        address = said.get("address") or {}
        kind, rank = word(said.get("addresstype")) or word(said.get("type")), int(said.get("place_rank", 0))
        by_rank = next((precision for most, precision in _RANKS if rank <= most), "place")
        if rank > 27 and "house_number" in address:
            by_rank = "address"
        return Answer(
            lon=float(said["lon"]),
            lat=float(said["lat"]),
            precision=_TYPES.get(kind, by_rank),
            confidence=1 / int(said["answers"]),
            datum=self.datum,
            text=word(said.get("display_name")),
            province=word(address.get("state")) or word(address.get("province")),
            city=word(address.get("city")),
            district=next((word(address[name]) for name in _DISTRICTS if name in address), ""),
            level=kind,
        )
