"""Asking a service for many queries: cache first, then one pace for all threads, back-off, quota, and an honest end.

geopy's ``RateLimiter`` spaces requests too, but waits a fixed time after an error, does not know ``Retry-After`` or a
quota, and logs the error with its URL; what is here is what it lacks.
"""

from __future__ import annotations

import datetime
import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import numpy as np

from gistools.checks import require_positive
from gistools.parcels.providers.base import (
    BadQuery,
    Exhausted,
    Provider,
    Refused,
    TooFast,
    Transient,
)

LONGEST_HOLD = 900.0  # seconds; a service that asks for a longer pause is left for another day
_IN_A_ROW = 10  # queries without any answer after which the service is taken as out of order


class AnswerStore(Protocol):
    """Where answers are kept between runs; every method commits before it returns."""

    def known(self, provider: str, options: str, queries: Sequence[str]) -> dict[str, str | None]:
        """Answers there are, as JSON; None where the service had said that it knows no such place."""

    def keep(self, provider: str, options: str, query: str, said: str | None) -> None:
        """Keep an answer."""

    def requests(self, provider: str, day: str) -> int:
        """Requests sent on a day."""

    def count_request(self, provider: str, day: str) -> None:
        """Count a request that is about to be sent."""


class MemoryStore:
    """Answers kept as long as the process lives."""

    def __init__(self) -> None:
        self._answers: dict[tuple[str, str, str], str | None] = {}
        self._requests: dict[tuple[str, str], int] = {}

    def known(self, provider: str, options: str, queries: Sequence[str]) -> dict[str, str | None]:
        """Answers there are."""
        keys = ((query, (provider, options, query)) for query in queries)
        return {query: self._answers[key] for query, key in keys if key in self._answers}

    def keep(self, provider: str, options: str, query: str, said: str | None) -> None:
        """Keep an answer."""
        self._answers[provider, options, query] = said

    def requests(self, provider: str, day: str) -> int:
        """Requests sent on a day."""
        return self._requests.get((provider, day), 0)

    def count_request(self, provider: str, day: str) -> None:
        """Count a request."""
        self._requests[provider, day] = self.requests(provider, day) + 1


@dataclass(frozen=True)
class Limits:
    """How a service is asked.

    Attributes
    ----------
    per_second : float
        Requests a second, of all threads together.
    per_day : int or None
        Requests a day, counted across runs in the cache.
    threads : int
        Requests under way at a time.
    tries : int
        Requests for one query before it is set aside.
    first_wait, longest_wait : float
        Seconds of the first pause after a failure and of the longest: each pause is up to twice the one before.
    seed : int or None
        Of the random part of the pauses.
    """

    per_second: float
    per_day: int | None = None
    threads: int = 4
    tries: int = 6
    first_wait: float = 1.0
    longest_wait: float = 60.0
    seed: int | None = None

    def __post_init__(self) -> None:
        for option in ("per_second", "threads", "tries", "longest_wait"):
            require_positive(getattr(self, option), option)
        if self.per_day is not None:
            require_positive(self.per_day, "per_day", zero=True)

    @classmethod
    def of(cls, provider: Provider, **changed: Any) -> Limits:
        """A service's own limits, but for those that are changed (None changes nothing)."""
        own = {"per_second": provider.per_second, "per_day": provider.per_day, "threads": provider.threads}
        return cls(**{**own, **{name: value for name, value in changed.items() if value is not None}})


@dataclass
class Account:
    """What asking came to.

    Attributes
    ----------
    provider : str
    queries, cached, answered, not_found : int
        Queries given; of those answered before; answered and not found now.
    requests, retries : int
        Requests sent now, and those of them that repeated a failed one.
    failures : dict of str to str
        Queries the service did not answer, and why; another run asks them again.
    left : int
        Queries not asked, because of `stopped`.
    stopped : str
        Why asking ended before the last query; empty if it did not.
    refused : bool
        It ended because the service accepts no request at all.
    seconds : float
    """

    provider: str
    queries: int = 0
    cached: int = 0
    answered: int = 0
    not_found: int = 0
    requests: int = 0
    retries: int = 0
    failures: dict[str, str] = field(default_factory=dict)
    left: int = 0
    stopped: str = ""
    refused: bool = False
    seconds: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """Counts for ``--json``; failures by reason."""
        reasons: dict[str, int] = {}
        for why in self.failures.values():
            reasons[why] = reasons.get(why, 0) + 1
        return {**asdict(self), "failures": reasons}


class Pace:
    """One pace for all threads: turns a fixed time apart, and pauses that hold for everyone.

    Parameters
    ----------
    per_second : float
    """

    def __init__(self, per_second: float) -> None:
        self.apart = 1 / per_second
        self._next = 0.0
        self._lock = threading.Lock()

    def hold(self, seconds: float) -> None:
        """Let nobody have a turn for some seconds."""
        with self._lock:
            self._next = max(self._next, time.monotonic() + seconds)

    def wait(self, stop: threading.Event) -> bool:
        """Wait for a turn; false if `stop` came first."""
        while not stop.is_set():
            with self._lock:
                now = time.monotonic()
                wait = self._next - now
                if wait <= 0:
                    self._next = now + self.apart
                    return True
            stop.wait(wait)
        return False


class _Asking:
    """The state the threads share."""

    def __init__(self, provider: Provider, store: AnswerStore, limits: Limits, stop: threading.Event) -> None:
        self.provider, self.store, self.limits, self.stop = provider, store, limits, stop
        self.pace = Pace(limits.per_second)
        self.lock = threading.Lock()
        self.rng = np.random.default_rng(limits.seed)
        self.in_a_row = 0
        self.fault: BaseException | None = None
        self.account = Account(provider.name)

    def day(self) -> str:
        """The service's day: its quota begins anew at its own midnight."""
        ahead = datetime.timedelta(hours=self.provider.day_begins)
        return (datetime.datetime.now(datetime.UTC) + ahead).date().isoformat()

    def end(self, why: str, *, refused: bool = False) -> None:
        with self.lock:
            if not self.account.stopped:
                self.account.stopped, self.account.refused = why, refused
        self.stop.set()

    def send(self, query: str, attempt: int) -> dict[str, Any] | None:
        """Count a request and send it."""
        day = self.day()
        with self.lock:
            most = self.limits.per_day
            if most is not None and self.store.requests(self.provider.name, day) >= most:
                raise Exhausted(f"the {most:,} requests of the day are used")
            self.store.count_request(self.provider.name, day)  # before it is sent: a kill does not lose the count
            self.account.requests += 1
            self.account.retries += attempt > 0
        return self.provider.ask(query)

    def pause(self, attempt: int, error: Transient) -> None:
        """Wait after a failure: as long as the service says, else longer each time, at random within limits."""
        if error.retry_after is not None:
            if error.retry_after > LONGEST_HOLD:
                raise Exhausted(f"it asks for a pause of {error.retry_after / 60:.0f} minutes")
            self.pace.hold(error.retry_after)
            return
        with self.lock:
            part = self.rng.uniform(0.5, 1.0)
        seconds = part * min(self.limits.first_wait * 2**attempt, self.limits.longest_wait)
        if isinstance(error, TooFast):
            self.pace.hold(seconds)
        else:
            self.stop.wait(seconds)

    def one(self, query: str) -> bool:
        """Ask for one query until there is an answer; false if asking was stopped before."""
        for attempt in range(self.limits.tries):
            if not self.pace.wait(self.stop):
                return False
            try:
                said = self.send(query, attempt)
            except Transient as error:
                last = error
                if attempt + 1 < self.limits.tries:
                    self.pause(attempt, error)
                continue
            except BadQuery as error:
                self.set_aside(query, f"query not taken: {error}")
                return True
            kept = None if said is None else self.provider.scrub(json.dumps(said, ensure_ascii=False))
            with self.lock:
                self.store.keep(self.provider.name, self.provider.options, query, kept)
                self.account.answered += said is not None
                self.account.not_found += said is None
                self.in_a_row = 0
            return True
        if isinstance(last, TooFast):
            raise Exhausted(f"{last}, however long the pauses")
        self.set_aside(query, f"{last}, {self.limits.tries} times")
        with self.lock:
            self.in_a_row += 1
        if self.in_a_row >= _IN_A_ROW:
            self.end(f"{_IN_A_ROW} queries in a row got no answer ({last})")
        return True

    def set_aside(self, query: str, why: str) -> None:
        with self.lock:
            self.account.failures[query] = why

    def work(self, queue: Iterator[str], done: Callable[[], None]) -> None:
        """Take queries until there are none left; one such loop a thread."""
        while not self.stop.is_set():
            with self.lock:
                query = next(queue, None)
            if query is None:
                return
            try:
                asked = self.one(query)
            except Exhausted as error:
                self.end(f"the quota is spent ({error})")
                return
            except Refused as error:
                self.end(str(error), refused=True)
                return
            except BaseException as error:  # raised again by the thread that waits
                self.fault = error
                self.stop.set()
                return
            if asked:
                done()


def ask_all(
    provider: Provider,
    queries: Iterable[str],
    store: AnswerStore,
    limits: Limits | None = None,
    *,
    progress: Callable[[int, int], None] | None = None,
    stop: threading.Event | None = None,
) -> Account:
    """Ask a service for every query that has no answer yet, and keep the answers.

    Parameters
    ----------
    provider : Provider
    queries : iterable of str
        Each is asked once, however often it stands there.
    store : AnswerStore
        Read before any request, whatever the pace; written after each answer, before the next query is taken.
        Errors are not kept.
    limits : Limits, optional
        By default the service's own.
    progress : callable, optional
        Called with the queries done and all there are.
    stop : Event, optional
        When it is set, requests under way are finished and kept, and no other is sent.

    Returns
    -------
    Account

    Examples
    --------
    >>> from gistools.parcels.providers import Nominatim
    >>> class Nowhere(Nominatim):
    ...     def ask(self, query):
    ...         return None
    >>> store = MemoryStore()
    >>> ask_all(Nowhere(), ["北京市", "武汉市", "北京市"], store, Limits(per_second=1000)).requests
    2
    >>> ask_all(Nowhere(), ["北京市"], store).requests
    0
    """
    begun = time.monotonic()
    limits = limits or Limits.of(provider)
    stop = stop or threading.Event()
    asking = _Asking(provider, store, limits, stop)
    account = asking.account
    wanted = list(dict.fromkeys(queries))
    known = store.known(provider.name, provider.options, wanted)
    missing = [query for query in wanted if query not in known]
    account.queries, account.cached = len(wanted), len(known)
    finished = len(known)
    report = threading.Lock()

    def done() -> None:
        nonlocal finished
        with report:
            finished += 1
            if progress is not None:
                progress(finished, len(wanted))

    queue = iter(missing)
    threads = [
        threading.Thread(target=asking.work, args=(queue, done), daemon=True)
        for _ in range(min(limits.threads, len(missing)))
    ]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            thread.join()
    except BaseException:  # Ctrl-C: what is under way is finished and kept
        stop.set()
        for thread in threads:
            thread.join()
        raise
    if asking.fault is not None:
        raise asking.fault
    account.left = len(missing) - account.answered - account.not_found - len(account.failures)
    account.seconds = time.monotonic() - begun
    return account
