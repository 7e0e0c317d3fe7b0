"""Independent tasks: results in the order of the tasks, progress after each, errors as they are."""

import os
import threading
import time

import numpy as np
import pytest

from gistools.errors import GridError, InputError
from gistools.raster.tasks import Execution, run_tasks


def slow_first(k):
    time.sleep(0.02 if k == 0 else 0)
    return k * k


@pytest.mark.parametrize("workers", [1, 2, 5, None])
def test_results_come_in_the_order_of_the_tasks(workers):
    calls = []
    got = run_tasks(
        slow_first, range(12), execution=Execution(workers), progress=lambda done, of: calls.append((done, of))
    )
    assert got == [k * k for k in range(12)]
    assert calls == [(k, 12) for k in range(13)]


def test_tasks_are_not_looked_into():
    # tuples with callables and keys of the graph would be taken for tasks by Dask
    tasks = [(len, [1, 2]), ("task", 1), np.arange(3), {"task": ("task", 0)}]
    got = run_tasks(lambda task: task, tasks)
    assert got[0] == (len, [1, 2])
    assert got[1] == ("task", 1)
    assert got[3] == {"task": ("task", 0)}


def test_no_task_is_no_work():
    calls = []
    assert run_tasks(abs, [], progress=lambda *c: calls.append(c)) == []
    assert calls == [(0, 0)]


def test_threads_share_the_work():
    names = set()
    barrier = threading.Barrier(2, timeout=20)  # both threads must be there at once

    def meet(_):
        barrier.wait()
        names.add(threading.get_ident())

    run_tasks(meet, range(2), execution=Execution(workers=2))
    assert len(names) == 2


def test_an_error_is_raised_as_it_is():
    def fail(k):
        if k == 3:
            raise GridError("the file is damaged")
        return k

    with pytest.raises(GridError, match=r"^the file is damaged$"):
        run_tasks(fail, range(6), execution=Execution(2))


def test_workers_default_to_the_processors_of_this_process():
    assert Execution().threads == len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert Execution(3).threads == 3


@pytest.mark.parametrize("address", ["nowhere", "tcp://127.0.0.1:1"])
def test_no_cluster_at_the_address_is_an_input_error(address, monkeypatch):
    import distributed

    real = distributed.Client
    monkeypatch.setattr(distributed, "Client", lambda a, **options: real(a, **(options | {"timeout": "1s"})))
    with pytest.raises(
        InputError, match=f"no Dask scheduler answers at {address}: .*start one with `dask scheduler`"
    ):
        run_tasks(abs, [1], execution=Execution(scheduler=address))


def test_what_is_no_address_is_refused_before_a_client_is_made(monkeypatch):
    """A client that was never begun waits 20 s and prints a traceback when it is collected."""
    import distributed

    monkeypatch.setattr(distributed, "Client", lambda *_, **__: pytest.fail("a client was made"))
    for address in ("garbage", "tcp://host", "smoke://host:1"):
        with pytest.raises(InputError, match=f"no Dask scheduler answers at {address}: "):
            run_tasks(abs, [1], execution=Execution(scheduler=address))
