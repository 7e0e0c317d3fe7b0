"""What every geocoding service has: a name, a datum, a key's variable, limits, and `lookup`."""

from __future__ import annotations

import logging
import os
import re
import threading
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar
from urllib.parse import quote, quote_plus, urlsplit
from urllib.request import proxy_bypass

from gistools.errors import InputError
from gistools.parcels.datum import convert_datum
from gistools.version import __version__

# What a point stands for, the finest first.
PRECISIONS = ("address", "road", "place", "street", "district", "city", "province")


def as_fine_as(precision: str, limit: str) -> bool:
    """Tell whether a precision is the limit or finer.

    Examples
    --------
    >>> as_fine_as("road", "district"), as_fine_as("city", "district"), as_fine_as("", "province")
    (True, False, False)
    """
    return precision in PRECISIONS and PRECISIONS.index(precision) <= PRECISIONS.index(limit)


def query_key(text: str) -> str:
    """Return a query as it is sent and remembered: compatibility forms, and no blanks between Chinese characters.

    Examples
    --------
    >>> query_key("北京市　朝阳区建国路８８号 ")
    '北京市朝阳区建国路88号'
    >>> query_key("88  Jianguo Road")
    '88 Jianguo Road'
    """
    plain = " ".join(unicodedata.normalize("NFKC", text).split())
    return re.sub(r"(?<=[^\x00-\x7f]) | (?=[^\x00-\x7f])", "", plain)


@dataclass(frozen=True)
class Answer:
    """One answer of a service.

    Attributes
    ----------
    lon, lat : float
        Degrees, in `datum`.
    precision : str
        One of :data:`PRECISIONS`, or empty where the service does not say or the point stands for the country.
    confidence : float
        0 to 1, by the service's own rule: comparable within a service, no probability.
    datum : str
        "wgs84" as :meth:`Provider.lookup` gives it.
    text : str
        What was matched, as the service writes it.
    province, city, district : str
        Where the service says the point lies; empty where it does not say.
    level : str
        The service's own word for what the point stands for.
    """

    lon: float
    lat: float
    precision: str
    confidence: float
    datum: str = "wgs84"
    text: str = ""
    province: str = ""
    city: str = ""
    district: str = ""
    level: str = ""


class Transient(Exception):  # noqa: N818  (what happened, not a fault of the program)
    """No answer this time: a timeout, a busy server. Worth another try, after `retry_after` seconds if known."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class TooFast(Transient):
    """Asked too often in a short time. Where waiting does not help, the quota is taken as spent."""


class Unreadable(Transient):
    """An answer that is not what the service's documentation describes."""


class BadQuery(Exception):  # noqa: N818
    """The service does not take this query; another try would end alike."""


class Exhausted(Exception):  # noqa: N818
    """The day's quota is spent."""


class Refused(Exception):  # noqa: N818
    """The service does not serve this key, or this machine, at all."""


class _Scrub(logging.Filter):
    """Take keys out of what the HTTP libraries log: their debug messages hold whole URLs."""

    def __init__(self) -> None:
        super().__init__()
        self.keys: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        clean = _without(message, self.keys)
        if clean != message:
            record.msg, record.args = clean, None
        return True


_SCRUB = _Scrub()


def _without(text: str, keys: Iterable[str]) -> str:
    """A text in which keys, bare or as URLs write them, are stars."""
    forms = {form for key in keys for form in (key, quote(key), quote_plus(key))}
    for form in sorted(forms, key=len, reverse=True):  # a short key may be part of a longer one
        text = text.replace(form, "***")
    return text


class Provider(ABC):
    """A geocoding service.

    Parameters
    ----------
    endpoint : str, optional
        Scheme and host of a server that answers as the service does.
    timeout : float
        Seconds to wait for an answer.

    Raises
    ------
    InputError
        If the key's variable is empty, or the endpoint is no URL.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    datum: ClassVar[str]
    key_variable: ClassVar[str | None] = None
    home: ClassVar[str]
    api_path: ClassVar[str]
    per_second: ClassVar[float]
    per_day: ClassVar[int | None] = None
    threads: ClassVar[int] = 4
    day_begins: ClassVar[int] = 0  # hours ahead of UTC at which the service's day begins

    def __init__(self, *, endpoint: str | None = None, timeout: float = 10.0) -> None:
        self.timeout = timeout
        self.endpoint = _checked_endpoint(endpoint) if endpoint else self.home
        self._key = self._key_from_environment()
        self._local = threading.local()
        if self._key:
            _SCRUB.keys.add(self._key)
            for logger in ("geopy", "urllib3.connectionpool"):
                logging.getLogger(logger).addFilter(_SCRUB)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(endpoint={self.endpoint!r})"

    @property
    def options(self) -> str:
        """What besides the query decides the answer; part of the cache's key."""
        return "" if self.endpoint == self.home else self.endpoint

    def lookup(self, query: str) -> Answer | None:
        """Ask the service once, without retries, limits or a cache.

        Parameters
        ----------
        query : str
            An address.

        Returns
        -------
        Answer or None
            In WGS 84. None if the service knows no such place.

        Raises
        ------
        Transient, BadQuery, Exhausted, Refused
            Why there is no answer. No message holds the key.
        """
        said = self.ask(query)
        if said is None:
            return None
        answer = self.read(said)
        lon, lat = convert_datum(answer.lon, answer.lat, answer.datum, "wgs84")
        return replace(answer, lon=float(lon), lat=float(lat), datum="wgs84")

    def ask(self, query: str) -> dict[str, Any] | None:
        """Send a query; return the part of the service's answer that is kept, or None if nothing was found."""
        from geopy.exc import GeopyError

        try:
            page = self._geocode(self._geocoder(), query)
        except GeopyError as error:
            raise self._refusal(error) from None  # geopy's own messages may hold the URL, and with it the key
        try:
            said = self._judge(page)
            point = None if said is None else self.read(said)
            if point and not (abs(point.lon) <= 180 and abs(point.lat) <= 90 and 0 <= point.confidence <= 1):
                raise ValueError
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError):
            raise Unreadable("an answer that cannot be read") from None
        return said

    @abstractmethod
    def read(self, said: Mapping[str, Any]) -> Answer:
        """Read what :meth:`ask` returned, now or in an earlier run; coordinates stay in the service's datum."""

    @abstractmethod
    def _client(self, **common: Any) -> Any:
        """Return geopy's client of the service."""

    @abstractmethod
    def _judge(self, page: Any) -> dict[str, Any] | None:
        """Return what is kept of a page, None if nothing was found; raise what its status means."""

    def _geocode(self, geocoder: Any, query: str) -> Any:
        return geocoder.geocode(query, exactly_one=False)

    def scrub(self, text: str) -> str:
        """Take the key out of a text."""
        return _without(text, [self._key] if self._key else [])

    def _key_from_environment(self) -> str:
        if self.key_variable is None:
            return ""
        key = os.environ.get(self.key_variable, "").strip()
        if not key:
            raise InputError(
                f"{self.title} asks for a key: put yours into the environment variable {self.key_variable}, or leave "
                f"{self.name} out of --providers"
            )
        return key

    def _geocoder(self) -> Any:
        """One client a thread: sessions of `requests` are not promised to be safe among threads."""
        if not hasattr(self._local, "geocoder"):
            from geopy.adapters import RequestsAdapter, URLLibAdapter

            # retries are counted and paced in one place, so the adapter makes none of its own
            adapter = partial(RequestsAdapter, max_retries=0) if RequestsAdapter.is_available else URLLibAdapter
            host = urlsplit(self.endpoint).hostname or ""
            geocoder = self._client(
                timeout=self.timeout,
                user_agent=f"gistools/{__version__}",
                adapter_factory=adapter,
                proxies={} if proxy_bypass(host) else None,
            )
            geocoder.api = self.endpoint + self.api_path
            geocoder._parse_json = lambda page, **_: page  # the whole page is read by `_judge`
            self._local.geocoder = geocoder
        return self._local.geocoder

    def _refusal(self, error: Exception) -> Exception:
        """What a fault of HTTP means, in words that hold no URL."""
        from geopy.adapters import AdapterHTTPError, get_retry_after
        from geopy.exc import GeocoderParseError, GeocoderTimedOut

        cause = error.__cause__
        if isinstance(cause, AdapterHTTPError):
            return self._http_refusal(int(cause.status_code), get_retry_after(cause.headers))
        if isinstance(error, GeocoderParseError):
            return Unreadable("an answer that is no JSON")
        if isinstance(error, GeocoderTimedOut):
            return Transient(f"no answer within {self.timeout:g} s")
        return Transient("no connection")

    def _http_refusal(self, status: int, wait: float | None) -> Exception:
        why = f"HTTP {status}"
        if status == 429:
            return TooFast(f"too many requests ({why})", wait)
        if status in (408, 425) or status >= 500:
            return Transient(why, wait)
        if status == 402:
            return Exhausted(why)
        if status in (401, 403, 407):
            return self._wrong_key(why)
        if status in (400, 412, 413, 414, 422):
            return BadQuery(why)
        return Refused(f"{self.title} answers {why} at {self.endpoint}; is the endpoint right?")

    def _wrong_key(self, why: str) -> Refused:
        if self.key_variable is None:
            return Refused(f"{self.title} refuses to serve this machine ({why}); see its usage policy")
        return Refused(
            f"{self.title} does not accept the key in {self.key_variable} ({self.scrub(why)}); check the key, and "
            "that it may be used for geocoding and from this machine"
        )


def _checked_endpoint(endpoint: str) -> str:
    parts = urlsplit(endpoint)
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port == 0 or parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
        raise InputError(
            "an endpoint is written http://host:port or https://host, without a user's name or a query, "
            f"not {endpoint.rpartition('@')[2]!r}"
        )
    return endpoint.rstrip("/")


def word(value: Any) -> str:
    """A text of an answer; the services write an empty one as null, [] or ''."""
    return value.strip() if isinstance(value, str) else ""
