"""Geocoding services asked by a process of its own, so that a killed run loses no answer that was on its way.

A run that is killed cannot write down an answer it was waiting for, and would ask for it again. The process that asks
therefore outlives the run for a moment: it notices that the run is gone, finishes the requests under way, keeps their
answers and ends. The cache is held by one process at a time, so the next run waits for it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from gistools.errors import GistoolsError, InputError
from gistools.io.geocode_cache import GeocodeCache
from gistools.parcels.providers import Provider, make_provider
from gistools.parcels.providers.asking import Account, Limits, ask_all

_REPORT_EVERY = 0.1  # seconds between two words about progress


def ask_service(
    provider: Provider,
    queries: Sequence[str],
    cache: Path,
    limits: Limits,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[dict[str, str | None], Account]:
    """Ask a service for the queries that the cache does not answer, in a process of its own.

    Parameters
    ----------
    provider : Provider
    queries : sequence of str
    cache : Path
    limits : Limits
    progress : callable, optional
        Called with the queries done and all there are.

    Returns
    -------
    answers : dict of str to str or None
        As :meth:`gistools.io.geocode_cache.GeocodeCache.known` gives them, those of earlier runs included.
    account : Account

    Raises
    ------
    InputError
        If the service accepts no request, or the cache cannot be used.
    """
    wanted = list(dict.fromkeys(queries))
    with GeocodeCache(cache) as store:
        known = store.known(provider.name, provider.options, wanted)
    if len(known) == len(wanted):
        return known, Account(provider.name, queries=len(wanted), cached=len(known))
    job = {
        "provider": provider.name,
        "endpoint": None if provider.endpoint == provider.home else provider.endpoint,
        "timeout": provider.timeout,
        "cache": str(cache),
        "limits": asdict(limits),
        "queries": wanted,
    }
    account = _run(job, progress)
    if account.refused:
        raise InputError(account.stopped)
    with GeocodeCache(cache) as store:
        return store.known(provider.name, provider.options, wanted), account


def _run(job: Mapping[str, Any], progress: Callable[[int, int], None] | None) -> Account:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONUTF8": "1"}
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "gistools.study.asking"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        encoding="utf-8",
        env=environment,
        start_new_session=True,  # neither Ctrl-C nor a kill of the whole group takes it along
    )
    assert process.stdin is not None
    assert process.stdout is not None
    last: dict[str, Any] = {}
    try:
        with suppress(BrokenPipeError):  # it ended early; why is said below
            process.stdin.write(json.dumps(job) + "\n")
            process.stdin.flush()
        for line in process.stdout:
            last = json.loads(line)
            if progress is not None and "done" in last:
                progress(last["done"], last["of"])
    finally:
        with suppress(BrokenPipeError):
            process.stdin.close()  # after Ctrl-C, what tells it to stop
        process.wait()
        process.stdout.close()
    if "account" in last:
        return Account(**last["account"])
    kind = InputError if last.get("input") else GistoolsError
    raise kind(
        last.get("error") or f"the process that asks {job['provider']} ended early; run the same command again"
    )


def main(stdin: IO[str] = sys.stdin, stdout: IO[str] = sys.stdout) -> None:
    """Do the job that the first line of standard input describes; stop when its other end is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    line = stdin.readline()
    if not line.endswith("\n"):  # the run is gone before it could say what to do
        return
    job = json.loads(line)

    def watch() -> None:
        stdin.read()
        stop.set()

    threading.Thread(target=watch, daemon=True).start()
    said = 0.0

    def tell(**what: Any) -> None:
        with suppress(BrokenPipeError):  # nobody listens any more: what is under way is finished all the same
            stdout.write(json.dumps(what) + "\n")
            stdout.flush()

    def progress(done: int, of: int) -> None:
        nonlocal said
        if time.monotonic() - said > _REPORT_EVERY or done == of:
            said = time.monotonic()
            tell(done=done, of=of)

    scrub: Callable[[str], str] = str
    try:
        provider = make_provider(job["provider"], endpoint=job["endpoint"], timeout=job["timeout"])
        scrub = provider.scrub
        with GeocodeCache(Path(job["cache"])) as store:
            account = ask_all(provider, job["queries"], store, Limits(**job["limits"]), progress=progress, stop=stop)
        tell(account=asdict(account))
    except GistoolsError as error:
        tell(error=scrub(str(error)), input=isinstance(error, InputError))
    except Exception as error:
        tell(error=scrub(f"{type(error).__name__}: {error}"), input=False)
    with suppress(OSError):  # the pipe may be gone; Python would complain at its end
        stdout.close()


if __name__ == "__main__":
    main()
    os._exit(0)  # the thread that watches standard input may still wait for it
