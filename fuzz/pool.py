"""Worker processes under a watchdog and a memory limit: a crash or a hang is an outcome, not the end."""

from __future__ import annotations

import multiprocessing
import os
import resource
import time
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

_SPAWN = multiprocessing.get_context("spawn")


def _memory_now() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmSize:"):
            return int(line.split()[1]) * 1024
    return 0


def _serve(
    pipe: Connection, start: Callable[[Path], Callable[[Any], Any]], folder: Path, room: int, log: Path
) -> None:
    # what libraries write past Python goes to a file that is looked at
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(handle, 2)
    work = start(folder)
    limit = _memory_now() + room
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    pipe.send(None)
    while True:
        pipe.send(work(pipe.recv()))


class _Worker:
    def __init__(self, start: Callable[[Path], Callable[[Any], Any]], folder: Path, room: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.log = folder / "libraries.log"
        self.pipe, theirs = _SPAWN.Pipe()
        self.process = _SPAWN.Process(target=_serve, args=(theirs, start, folder, room, self.log), daemon=True)
        self.process.start()
        theirs.close()
        self.pipe.recv()  # ready
        self.task: Any = None
        self.began = 0.0

    def give(self, task: Any) -> None:
        self.task, self.began = task, time.monotonic()
        self.pipe.send(task)

    def end(self) -> int:
        self.process.kill()
        self.process.join()
        return int(self.process.exitcode or 0)


def run_all(
    tasks: Iterable[Any],
    start: Callable[[Path], Callable[[Any], Any]],
    folder: Path,
    *,
    workers: int = 2,
    seconds: float = 60.0,
    room: int = 2 << 30,
) -> Iterator[tuple[Any, str, Any]]:
    """Run tasks in worker processes, each of which `start(folder)` makes ready.

    Yields
    ------
    (task, outcome, answer)
        Outcome ``done`` with the answer, ``crash`` with the exit code, or ``hang`` with the seconds waited.
    """
    waiting = iter(tasks)
    names = iter(range(10_000))
    team: list[_Worker] = []

    def hire() -> None:
        task = next(waiting, None)
        if task is not None:
            worker = _Worker(start, folder / f"worker{next(names)}", room)
            worker.give(task)
            team.append(worker)

    for _ in range(workers):
        hire()
    while team:
        ready = wait([worker.pipe for worker in team], timeout=0.5)
        for worker in list(team):
            if worker.pipe in ready:
                try:
                    answer = worker.pipe.recv()
                except EOFError:
                    worker.process.join(5)
                    yield worker.task, "crash", worker.process.exitcode
                    team.remove(worker)
                    hire()
                    continue
                yield worker.task, "done", answer
                task = next(waiting, None)
                if task is None:
                    worker.end()
                    team.remove(worker)
                else:
                    worker.give(task)
            elif time.monotonic() - worker.began > seconds:
                worker.end()
                team.remove(worker)
                yield worker.task, "hang", seconds
                hire()
