"""Run independent tasks by Dask: threads in this process, or the workers of a cluster given by its address."""

from __future__ import annotations

import itertools
import os
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from gistools.checks import require_positive
from gistools.errors import GistoolsError, InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Execution:
    """Where tasks run, and with how much memory.

    Parameters
    ----------
    workers : int or None
        How many tasks are computed at a time in threads of this process, while as many more are read ahead; None
        takes the processors this process may use.
    scheduler : str or None
        Address of a Dask cluster (``tcp://host:8786``); its workers run the tasks and must see the same files.
    memory_gb : float or None
        What blocks in flight may take, in GB, besides what the program itself needs (about 0.4 GB). Blocks become
        smaller, and if need be fewer at a time.
    read_ahead : bool
        Whether a worker's next task is read while one is computed; of no use where other work fills the processors.
    """

    workers: int | None = None
    scheduler: str | None = None
    memory_gb: float | None = None
    read_ahead: bool = True

    def __post_init__(self) -> None:
        if self.memory_gb is not None:
            require_positive(self.memory_gb, "memory")

    @property
    def threads(self) -> int:
        """Number of tasks computed at a time in this process."""
        if self.workers is not None:
            return self.workers
        available = getattr(os, "sched_getaffinity", None)
        return len(available(0)) if available else os.cpu_count() or 1

    def in_flight(self, task_bytes: float) -> int:
        """How many tasks of a size may be held at a time: each worker computes one, and may read one ahead."""
        wanted = (1 + self.read_ahead) * self.threads
        if self.memory_gb is None or not task_bytes:
            return wanted
        return max(1, min(wanted, int(self.memory_gb * 1e9 / task_bytes)))


def run_tasks(
    function: Callable[..., R],
    tasks: Sequence[T],
    *,
    read: Callable[[T], Any] | None = None,
    task_bytes: float = 0.0,
    execution: Execution | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[R]:
    """Apply a function to each task; results come in the order of the tasks.

    Parameters
    ----------
    function : callable
        Takes one task, and what `read` gives for it; a module-level function, so that a cluster can import it.
    tasks : sequence
    read : callable, optional
        Reads what a task needs. In threads the next task is read while one is computed.
    task_bytes : float
        Memory one task takes; with a limit on memory it bounds how many are held at a time.
    execution : Execution, optional
        Threads by default.
    progress : callable, optional
        Called with the tasks done and the tasks in all, at the start and after each.

    Returns
    -------
    list

    Raises
    ------
    InputError
        If no cluster answers at the address.

    Examples
    --------
    >>> run_tasks(abs, [-2, 3], execution=Execution(workers=2))
    [2, 3]
    >>> run_tasks(lambda task, data: task + data, [1, 2], read=lambda task: 10 * task)
    [11, 22]
    """
    execution = execution or Execution()
    if progress:
        progress(0, len(tasks))
    if not tasks:
        return []
    if execution.scheduler:
        return _on_cluster(partial(_read_and_run, function, read), tasks, execution.scheduler, progress)
    if read is None:
        return _in_threads(function, tasks, execution.threads, progress)
    held = execution.in_flight(task_bytes)
    reading, computing = threading.Semaphore(execution.threads), threading.Semaphore(execution.threads)

    def pipelined(task: T) -> R:
        # while one thread computes, another reads ahead: decoding and NumPy both let go of the interpreter
        with reading:
            data = read(task)
        with computing:
            return function(task, data)

    return _in_threads(pipelined, tasks, held, progress)


def _read_and_run(function: Callable[..., R], read: Callable[[T], Any] | None, task: T) -> R:
    return function(task) if read is None else function(task, read(task))


def _in_threads(
    function: Callable[[T], R], tasks: Sequence[T], threads: int, progress: Callable[[int, int], None] | None
) -> list[R]:
    import dask.threaded

    done, counting = itertools.count(1), threading.Lock()

    def one(k: int) -> R:
        result = function(tasks[k])
        if progress:
            with counting:  # Dask's own callbacks are shared by all that runs in this process
                progress(next(done), len(tasks))
        return result

    # tasks hold arrays and sources that Dask must not look into: they are looked up inside the call
    graph = {("task", k): (partial(one, k),) for k in range(len(tasks))}
    return list(dask.threaded.get(graph, list(graph), num_workers=threads))


@contextmanager
def local_processes(workers: int | None = None, *, memory_gb: float | None = None) -> Iterator[Execution]:
    """Start worker processes on this machine, a Dask cluster of its own, for as long as the context lasts.

    Parameters
    ----------
    workers : int, optional
        How many; by default the processors this process may use.
    memory_gb : float, optional
        What the blocks of all of them may take together.

    Yields
    ------
    Execution
    """
    from distributed import LocalCluster

    count = Execution(workers).threads
    with LocalCluster(
        n_workers=count,
        threads_per_worker=1,
        processes=True,
        dashboard_address=None,
        # without a dashboard too the scheduler listens for HTTP, on 8787 unless told: two runs would quarrel over it
        scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
        memory_limit=0,
    ) as cluster:
        share = None if memory_gb is None else memory_gb / count
        yield Execution(scheduler=cluster.scheduler_address, memory_gb=share)


def _on_cluster(
    function: Callable[[T], R], tasks: Sequence[T], address: str, progress: Callable[[int, int], None] | None
) -> list[R]:
    from distributed import Client, as_completed

    try:
        _require_address(address)
        client = Client(address, timeout="10s", set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise InputError(
            f"no Dask scheduler answers at {address}: {error}; start one with `dask scheduler`"
        ) from error
    with client:
        futures = client.map(partial(_carried, function), list(tasks), pure=False)
        for done, _ in enumerate(as_completed(futures, loop=client.loop, raise_errors=False), start=1):
            if progress:
                progress(done, len(tasks))
        results = client.gather(futures)
    for result in results:
        if isinstance(result, _Failure):
            raise result.kind(result.message)
    return list(results)


def _require_address(address: str) -> None:
    """Refuse what is no address: a client that was never begun complains once more when it is collected."""
    from distributed.comm.addressing import normalize_address, parse_address, parse_host_port
    from distributed.comm.registry import get_backend

    scheme, place = parse_address(normalize_address(address))
    get_backend(scheme)
    if scheme in ("tcp", "tls"):
        parse_host_port(place)


class _Failure(NamedTuple):
    """An error of ours on its way back from a worker: what caused it (GDAL's errors) cannot always travel."""

    kind: type[GistoolsError]
    message: str


def _carried(function: Callable[[T], R], task: T) -> R | _Failure:
    try:
        return function(task)
    except GistoolsError as error:
        return _Failure(type(error), str(error))
