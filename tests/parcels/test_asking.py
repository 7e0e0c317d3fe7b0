"""Many queries: the cache first, one pace, back-off, the quota, and an honest end."""

import itertools
import json
import threading
import time

import numpy as np
import pytest
from geocoding_server import KEY, GeocodingServer

from gistools.errors import InputError
from gistools.parcels.providers import PROVIDERS, make_provider
from gistools.parcels.providers.asking import Limits, MemoryStore, Pace, ask_all

QUERIES = [f"湖北省武汉市江汉路{k}号" for k in range(40)]
FAST = {"per_second": 2000.0, "first_wait": 0.01, "seed": 1}


@pytest.fixture
def server(monkeypatch):
    for name in ("BAIDU", "AMAP", "GOOGLE"):
        monkeypatch.setenv(f"GISTOOLS_{name}_KEY", KEY)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with GeocodingServer(lambda query: None if "无" in query else (114.3, 30.5)) as running:
        yield running


def ask(server, queries=QUERIES, *, name="baidu", store=None, timeout=5.0, stop=None, progress=None, **limits):
    store = MemoryStore() if store is None else store
    provider = make_provider(name, endpoint=server.url, timeout=timeout)
    account = ask_all(provider, queries, store, Limits(**FAST | limits), stop=stop, progress=progress)
    return account, store.known(name, provider.options, list(queries))


@pytest.mark.parametrize("name", list(PROVIDERS))
def test_every_query_is_asked_once_and_kept(server, name):
    store, queries = MemoryStore(), [*QUERIES, *QUERIES, "武汉市无此路"]
    account, known = ask(server, queries, name=name, store=store)
    assert (account.queries, account.answered, account.not_found, account.requests) == (41, 40, 1, 41)
    assert server.count(name) == dict.fromkeys([*QUERIES, "武汉市无此路"], 1)
    assert known["武汉市无此路"] is None
    assert json.loads(known[QUERIES[0]])
    again, same = ask(server, queries, name=name, store=store)
    assert (again.cached, again.requests) == (41, 0)  # an honest "not found" is not asked again either
    assert same == known
    assert sum(server.count(name).values()) == 41


def test_the_cache_stands_before_the_limiter(server, monkeypatch):
    store = MemoryStore()
    ask(server, store=store)
    monkeypatch.setattr(Pace, "wait", lambda *_: pytest.fail("a query with an answer waited for a turn"))
    account, _ = ask(server, store=store)
    assert account.cached == 40


@pytest.mark.parametrize("fault", ["500", "reset", "malformed", "odd", "busy", "429", "fast", "429:0", "503:0"])
def test_passing_faults_are_tried_again(server, fault):
    server.faults = {QUERIES[3]: [fault, fault], QUERIES[7]: [fault]}
    account, known = ask(server)
    assert len(known) == 40
    assert (account.retries, account.requests) == (3, 43)
    assert not account.stopped
    assert not account.failures
    assert server.count("baidu")[QUERIES[3]] == 3


def test_a_timeout_is_tried_again(server):
    server.faults = {QUERIES[0]: ["hang"]}
    account, known = ask(server, QUERIES[:3], timeout=0.2)
    assert (account.retries, len(known)) == (1, 3)


@pytest.mark.parametrize(("wait", "least"), [("429:1", 0.95), ("503:1", 0.95), ("429:date", 0.4)])
def test_retry_after_is_obeyed(server, wait, least):
    server.faults = {QUERIES[0]: [wait]}
    account, _ = ask(server, QUERIES[:3], threads=1)
    assert np.diff(server.times["baidu"])[0] >= least
    assert server.count("baidu") == {QUERIES[0]: 2, QUERIES[1]: 1, QUERIES[2]: 1}
    assert account.answered == 3


def test_a_pause_holds_for_all_threads():
    pace, turns = Pace(1000), []
    pace.hold(0.3)
    pace.hold(0.1)  # a shorter one does not cut it
    begun = time.monotonic()
    workers = [
        threading.Thread(target=lambda: pace.wait(threading.Event()) and turns.append(time.monotonic()))
        for _ in range(4)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(turns) == 4
    assert min(turns) - begun >= 0.29


def test_a_long_pause_is_for_another_day(server):
    server.faults = {QUERIES[0]: ["429:86400"]}
    account, known = ask(server, QUERIES[:5], threads=1)
    assert "a pause of 1440 minutes" in account.stopped
    assert (account.left, known) == (5, {})


def test_the_pauses_grow_and_are_seeded(server):
    def gaps(seed):
        server.times.clear()
        server.faults = {QUERIES[0]: ["500"] * 4}
        ask(server, QUERIES[:1], store=MemoryStore(), first_wait=0.1, seed=seed)
        return np.diff(server.times["baidu"])

    found = gaps(3)
    expected = 0.1 * 2.0 ** np.arange(4) * np.random.default_rng(3).uniform(0.5, 1.0, 4)
    assert (found >= expected).all()
    assert (expected[1:] > expected[:-1]).all()


@pytest.mark.parametrize("fault", ["malformed", "500"])
def test_what_fails_always_is_set_aside_and_not_kept(server, fault):
    server.always = {QUERIES[2]: fault, QUERIES[5]: "bad"}
    store = MemoryStore()
    account, known = ask(server, store=store, tries=3)
    assert set(account.failures) == {QUERIES[2], QUERIES[5]}
    assert "3 times" in account.failures[QUERIES[2]]
    assert "not taken" in account.failures[QUERIES[5]]
    assert server.count("baidu")[QUERIES[2]] == 3
    assert server.count("baidu")[QUERIES[5]] == 1
    assert len(known) == 38
    assert account.left == 0
    assert account.to_dict()["failures"] == dict.fromkeys(account.failures.values(), 1)
    server.always = {}
    again, known = ask(server, store=store)
    assert (again.requests, len(known)) == (2, 40)


def test_a_service_out_of_order_is_left_alone(server):
    server.always = {"baidu": "500"}
    account, _ = ask(server, tries=2)
    assert "10 queries in a row got no answer (HTTP 500)" in account.stopped
    assert account.requests <= 2 * 14
    assert account.left == 40 - len(account.failures)


@pytest.mark.parametrize("name", ["baidu", "amap", "google"])
def test_a_spent_quota_stops_cleanly(server, name):
    server.quota = {name: 12}
    store = MemoryStore()
    account, known = ask(server, name=name, store=store, threads=3)
    assert "the quota is spent" in account.stopped
    assert (len(known), account.left) == (12, 28)
    assert account.requests <= 12 + 3
    server.quota = {}
    again, known = ask(server, name=name, store=store)
    assert (again.requests, len(known)) == (28, 40)


def test_too_fast_forever_is_taken_as_a_spent_quota(server):
    server.always = {"google": "fast"}
    account, _ = ask(server, name="google", tries=3, threads=1)
    assert "however long the pauses" in account.stopped
    assert (account.requests, account.left) == (3, 40)


def test_the_days_quota_counts_across_runs_and_with_retries(server):
    store = MemoryStore()
    server.faults = {QUERIES[0]: ["500"]}
    first, _ = ask(server, store=store, per_day=10, threads=1)
    assert (first.requests, first.answered) == (10, 9)
    assert "the 10 requests of the day are used" in first.stopped
    second, _ = ask(server, store=store, per_day=15, threads=1)
    assert (second.requests, second.cached) == (5, 9)
    assert sum(server.count("baidu").values()) == 15


def test_the_day_begins_at_the_services_midnight(server, monkeypatch):
    import datetime

    from gistools.parcels.providers import asking

    class Late(datetime.datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.datetime(2024, 3, 1, 17, 0, tzinfo=datetime.UTC)

    monkeypatch.setattr(asking.datetime, "datetime", Late)
    days = {}
    for name in PROVIDERS:
        store = MemoryStore()
        ask(server, QUERIES[:1], name=name, store=store)
        days[name] = next(day for _, day in store._requests)
    assert days == {"baidu": "2024-03-02", "amap": "2024-03-02", "google": "2024-03-01", "nominatim": "2024-03-01"}


@pytest.mark.parametrize("name", ["baidu", "amap", "google"])
def test_a_wrong_key_stops_at_once(server, name):
    server.always = {name: "key"}
    account, known = ask(server, name=name, threads=4)
    assert account.refused
    assert f"GISTOOLS_{name.upper()}_KEY" in account.stopped
    assert KEY not in account.stopped
    assert account.requests <= 4
    assert known == {}


def test_threads_work_side_by_side_within_one_pace(server):
    server.delay = 0.05
    account, _ = ask(server, threads=4, per_second=40)
    times = np.sort(server.times["baidu"])
    assert server.most_under_way >= 2  # one thread alone could not keep 40 a second with answers of 50 ms
    assert server.most_under_way <= 4
    assert times[-1] - times[0] >= 39 / 40 * 0.8  # without a pace it were half of that
    assert account.answered == 40


def test_pace_keeps_turns_apart_among_threads():
    pace, turns, stop = Pace(200), [], threading.Event()

    def work():
        for _ in range(10):
            assert pace.wait(stop)
            turns.append(time.monotonic())

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert max(turns) - min(turns) >= 39 / 200 * 0.8
    stop.set()
    assert not pace.wait(stop)


def test_stopping_finishes_what_is_under_way(server):
    server.delay, stop = 0.1, threading.Event()
    server.on_request = lambda total: stop.set() if total == 6 else None
    account, known = ask(server, threads=3, stop=stop)
    assert account.answered == len(known) == sum(server.asked.values())
    assert account.left == 40 - account.answered > 30


def test_progress_counts_every_query(server):
    seen = []
    ask(server, progress=lambda done, of: seen.append((done, of)))
    assert seen == list(zip(range(1, 41), itertools.repeat(40)))


def test_a_fault_of_the_store_is_raised(server):
    class Full(MemoryStore):
        def keep(self, *_):
            raise InputError("the disk is full")

    with pytest.raises(InputError, match="the disk is full"):
        ask(server, store=Full())
    assert sum(server.asked.values()) <= 8


@pytest.mark.parametrize("option", [{"per_second": 0}, {"threads": 0}, {"tries": 0}, {"per_day": -1}])
def test_limits_are_positive(option):
    with pytest.raises(InputError, match=next(iter(option))):
        Limits(**{"per_second": 1} | option)


def test_a_services_own_limits_hold_unless_changed(server):
    own = Limits.of(make_provider("nominatim"))
    assert (own.per_second, own.threads, own.per_day) == (1.0, 1, None)
    assert Limits.of(make_provider("baidu"), per_day=100, threads=None).per_day == 100
