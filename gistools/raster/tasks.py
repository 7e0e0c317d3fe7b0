"""Run independent tasks by Dask: threads in this process, or the workers of a cluster given by its address."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from gistools.errors import GistoolsError, InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Execution:
    """Where tasks run.

    Parameters
    ----------
    workers : int or None
        Threads in this process; None takes the processors this process may use.
    scheduler : str or None
        Address of a Dask cluster (``tcp://host:8786``); its workers run the tasks and must see the same files.
    """

    workers: int | None = None
    scheduler: str | None = None

    @property
    def threads(self) -> int:
        """Number of threads in this process."""
        if self.workers is not None:
            return self.workers
        available = getattr(os, "sched_getaffinity", None)
        return len(available(0)) if available else os.cpu_count() or 1


def run_tasks(
    function: Callable[[T], R],
    tasks: Sequence[T],
    *,
    execution: Execution | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[R]:
    """Apply a function to each task; results come in the order of the tasks.

    Parameters
    ----------
    function : callable
        Takes one task; a module-level function, so that a cluster can import it.
    tasks : sequence
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
    """
    execution = execution or Execution()
    if progress:
        progress(0, len(tasks))
    if not tasks:
        return []
    if execution.scheduler:
        return _on_cluster(function, tasks, execution.scheduler, progress)
    return _in_threads(function, tasks, execution.threads, progress)


def _in_threads(
    function: Callable[[T], R], tasks: Sequence[T], threads: int, progress: Callable[[int, int], None] | None
) -> list[R]:
    import dask.threaded
    from dask.callbacks import Callback

    class Report(Callback):
        done = 0

        def _posttask(self, *_: Any) -> None:
            self.done += 1
            if progress:
                progress(self.done, len(tasks))

    # tasks hold arrays and sources that Dask must not look into: they are looked up inside the call
    graph = {("task", k): (lambda k=k: function(tasks[k]),) for k in range(len(tasks))}
    keys = [("task", k) for k in range(len(tasks))]
    with Report():
        return list(dask.threaded.get(graph, keys, num_workers=threads))


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
