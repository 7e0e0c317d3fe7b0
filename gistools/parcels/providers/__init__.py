"""Geocoding services behind one small interface: a query in, an answer in WGS 84 or an honest "not found" out.

A service is asked through geopy, whose classes know each one's URLs and whose adapters know HTTP; geopy has none for
Amap, which is a small class on geopy's base. The pages are read here rather than by geopy, which drops what is needed
most: the status codes that tell a wrong key from a spent quota, and the level a point stands for.
"""

from __future__ import annotations

from gistools.checks import require_choice
from gistools.parcels.providers.amap import Amap
from gistools.parcels.providers.baidu import Baidu
from gistools.parcels.providers.base import (
    PRECISIONS,
    Answer,
    BadQuery,
    Exhausted,
    Provider,
    Refused,
    TooFast,
    Transient,
    Unreadable,
    as_fine_as,
    query_key,
)
from gistools.parcels.providers.google import Google
from gistools.parcels.providers.nominatim import Nominatim

__all__ = [
    "OFFLINE",
    "PRECISIONS",
    "PROVIDERS",
    "Amap",
    "Answer",
    "BadQuery",
    "Baidu",
    "Exhausted",
    "Google",
    "Nominatim",
    "Provider",
    "Refused",
    "TooFast",
    "Transient",
    "Unreadable",
    "as_fine_as",
    "make_provider",
    "query_key",
]

OFFLINE = "offline"
PROVIDERS: dict[str, type[Provider]] = {kind.name: kind for kind in (Baidu, Amap, Google, Nominatim)}


def make_provider(name: str, *, endpoint: str | None = None, timeout: float = 10.0) -> Provider:
    """Return a geocoding service by its name, with its key from the environment.

    Parameters
    ----------
    name : {"baidu", "amap", "google", "nominatim"}
    endpoint : str, optional
        Scheme and host of a server that answers as the service does: one's own Nominatim, or a test.
    timeout : float
        Seconds to wait for an answer.

    Returns
    -------
    Provider

    Raises
    ------
    InputError
        If there is no such service, or its key is not in the environment.

    Examples
    --------
    >>> make_provider("nominatim").datum
    'wgs84'
    """
    require_choice(name, list(PROVIDERS), "a geocoding provider")
    return PROVIDERS[name](endpoint=endpoint, timeout=timeout)
