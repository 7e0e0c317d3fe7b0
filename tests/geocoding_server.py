"""A local HTTP server that answers as Baidu, Amap, Google and Nominatim do, counts its requests, and fails at will.

A fault is a word: ``429:2`` (HTTP 429, Retry-After 2 s), ``429:date`` (Retry-After as a date), ``429``, ``500``,
``503:1``, ``404``, ``hang``, ``reset``, ``malformed``, ``odd`` (JSON of another shape), ``fast`` (too many a second),
``quota``, ``key``, ``empty`` (not found), ``wrong`` (a point in another city), ``country``, ``busy``, ``bad``
(a query that is not taken), ``echo`` (the whole URL in the body of a 500).
"""

from __future__ import annotations

import email.utils
import json
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from gistools.parcels.datum import wgs84_to_bd09, wgs84_to_gcj02

WRONG = (121.47, 31.23)  # Shanghai
PATHS = {
    "/geocoding/v3/": ("baidu", "address", "ak"),
    "/v3/geocode/geo": ("amap", "address", "key"),
    "/maps/api/geocode/json": ("google", "address", "key"),
    "/search": ("nominatim", "q", None),
}
KEY = "s3cret+key/of=mine"


class GeocodingServer:
    """Run the server in a thread of this process.

    Parameters
    ----------
    where : callable
        Longitude and latitude (WGS 84) of a query, or None.
    delay : float
        Seconds until an answer.
    """

    def __init__(self, where: Callable[[str], tuple[float, float] | None], *, delay: float = 0.0) -> None:
        self.where, self.delay = where, delay
        self.asked: Counter[tuple[str, str]] = Counter()  # requests by provider and query
        self.answered: Counter[tuple[str, str]] = Counter()  # of those, with an answer or an honest "not found"
        self.times: dict[str, list[float]] = defaultdict(list)
        self.agents: set[str] = set()
        self.faults: dict[str, list[str]] = {}  # by query (or provider): one fault a request, until none are left
        self.always: dict[str, str] = {}  # by query or provider: for every request
        self.quota: dict[str, int] = {}  # requests of a provider that get an answer before "quota"
        self.granted: Counter[str] = Counter()
        self.on_request: Callable[[int], None] | None = None
        self.under_way = 0
        self.most_under_way = 0
        self.lock = threading.Lock()
        self.release = threading.Event()
        handler = type("Handler", (_Handler,), {"owner": self})
        self.http = _Quiet(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"
        self.thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.thread.start()

    def count(self, provider: str) -> Counter[str]:
        return Counter({query: n for (name, query), n in self.asked.items() if name == provider})

    def fault(self, provider: str, query: str) -> str:
        for key in (query, provider):
            if self.faults.get(key):
                return self.faults[key].pop(0)
        self.granted[provider] += 1
        if self.granted[provider] > self.quota.get(provider, self.granted[provider]):
            return "quota"
        return self.always.get(query) or self.always.get(provider, "")

    def close(self) -> None:
        self.release.set()
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()

    def __enter__(self) -> GeocodingServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def handle_error(self, request: object, client_address: object) -> None:
        pass  # clients are killed here


class _Handler(BaseHTTPRequestHandler):
    owner: GeocodingServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        owner = self.owner
        parts = urlsplit(self.path)
        if parts.path not in PATHS:
            return self.send(404, "no such path")
        provider, name, key = PATHS[parts.path]
        given = {k: v[0] for k, v in parse_qs(parts.query).items()}
        query = given[name]
        with owner.lock:
            owner.asked[provider, query] += 1
            owner.times[provider].append(time.monotonic())
            owner.agents.add(self.headers.get("User-Agent", ""))
            total = sum(owner.asked.values())
            fault = owner.fault(provider, query)
            owner.under_way += 1
            owner.most_under_way = max(owner.most_under_way, owner.under_way)
        try:
            if owner.on_request is not None:
                owner.on_request(total)
            if owner.delay:
                time.sleep(owner.delay)
            if key is not None and given.get(key) != KEY:
                fault = "key"
            self.reply(provider, query, fault)
        finally:
            with owner.lock:
                owner.under_way -= 1
        return None

    def reply(self, provider: str, query: str, fault: str) -> None:
        status, _, wait = fault.partition(":")
        if status.isdigit():
            headers = {}
            if wait:
                headers["Retry-After"] = (
                    email.utils.formatdate(time.time() + 1.5, usegmt=True) if wait == "date" else wait
                )
            return self.send(int(status), "busy", headers)
        if fault == "echo":
            return self.send(500, f"failed: {self.path}")
        if fault == "hang":
            self.owner.release.wait(30)
            return None
        if fault == "reset":
            self.close_connection = True
            self.connection.close()
            return None
        if fault == "malformed":
            return self.send(200, '{"status": 0, "result": {"loca')
        if fault == "odd":
            return self.send(200, '{"colour": ["green"]}')
        point = None if fault == "empty" else WRONG if fault == "wrong" else self.owner.where(query)
        page = PAGES[provider](query, point, fault)
        if fault in ("", "empty", "wrong", "country"):
            with self.owner.lock:
                self.owner.answered[provider, query] += 1
        return self.send(200, json.dumps(page, ensure_ascii=False))

    def send(self, status: int, text: str, headers: dict[str, str] | None = None) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json;charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def baidu(query: str, point: tuple[float, float] | None, fault: str) -> object:
    bad = {
        "key": (200, "APP不存在，AK有误请检查再重试"),
        "quota": (302, "天配额超限，限制访问"),
        "fast": (401, "当前并发量已经超过约定并发配额，限制访问"),
        "busy": (1, "Internal Service Error"),
        "bad": (2, "Parameter Invalid"),
    }.get(fault)
    if bad:
        return {"status": bad[0], "message": bad[1]}
    if point is None:
        return {"status": 1, "msg": "Internal Service Error:无相关结果", "results": []}
    lon, lat = wgs84_to_bd09(*point)
    level = "国家" if fault == "country" else "门址" if query.endswith("号") else "道路"
    place = {"lng": float(lon), "lat": float(lat)}
    return {
        "status": 0,
        "result": {"location": place, "precise": 1, "confidence": 80, "comprehension": 95, "level": level},
    }


def amap(query: str, point: tuple[float, float] | None, fault: str) -> object:
    bad = {
        "key": ("10001", "INVALID_USER_KEY"),
        "quota": ("10044", "USER_DAILY_QUERY_OVER_LIMIT"),
        "fast": ("10021", "CUQPS_HAS_EXCEEDED_THE_LIMIT"),
        "busy": ("10016", "SERVER_IS_BUSY"),
        "bad": ("30001", "ENGINE_RESPONSE_DATA_ERROR"),
    }.get(fault)
    if bad:
        return {"status": "0", "infocode": bad[0], "info": bad[1]}
    if point is None:
        return {"status": "1", "info": "OK", "infocode": "10000", "count": "0", "geocodes": []}
    lon, lat = wgs84_to_gcj02(*point)
    first = {
        "formatted_address": query,
        "country": "中国",
        "province": "上海市" if fault == "wrong" else [],
        "city": "上海市" if fault == "wrong" else [],
        "district": [],
        "location": f"{float(lon):.6f},{float(lat):.6f}",
        "level": "国家" if fault == "country" else "门牌号" if query.endswith("号") else "兴趣点",
    }
    return {"status": "1", "info": "OK", "infocode": "10000", "count": "1", "geocodes": [first]}


def google(query: str, point: tuple[float, float] | None, fault: str) -> object:
    bad = {
        "key": ("REQUEST_DENIED", "The provided API key is invalid."),
        "quota": ("OVER_DAILY_LIMIT", "You have exceeded your daily request quota for this API."),
        "fast": ("OVER_QUERY_LIMIT", "You have exceeded your rate-limit for this API."),
        "busy": ("UNKNOWN_ERROR", ""),
        "bad": ("INVALID_REQUEST", "Invalid request. Missing the 'address' parameter."),
    }.get(fault)
    if bad:
        return {"status": bad[0], "error_message": bad[1], "results": []}
    if point is None:
        return {"status": "ZERO_RESULTS", "results": []}
    lon, lat = wgs84_to_gcj02(*point)
    address = query.endswith("号")
    result = {
        "formatted_address": query,
        "address_components": [{"long_name": "朝阳区", "types": ["political", "sublocality", "sublocality_level_1"]}],
        "geometry": {
            "location": {"lng": float(lon), "lat": float(lat)},
            "location_type": "ROOFTOP" if address else "GEOMETRIC_CENTER",
            "viewport": {},
        },
        "types": ["country", "political"] if fault == "country" else ["street_address"] if address else ["route"],
        "place_id": "x",
    }
    return {"status": "OK", "results": [result]}


def nominatim(query: str, point: tuple[float, float] | None, fault: str) -> object:
    if fault == "bad":
        return {"error": "Bad query"}
    if point is None:
        return []
    rank, kind = (4, "country") if fault == "country" else (30, "house") if query.endswith("号") else (26, "road")
    first = {
        "lon": str(point[0]),
        "lat": str(point[1]),
        "display_name": query,
        "addresstype": kind,
        "place_rank": rank,
        "importance": 0.1,
        "address": {"state": "上海市"} if fault == "wrong" else {},
    }
    return [first]


PAGES = {"baidu": baidu, "amap": amap, "google": google, "nominatim": nominatim}
