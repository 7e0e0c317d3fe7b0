"""Answers of geocoding services on disk: one SQLite file, committed answer by answer."""

from __future__ import annotations

import datetime
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from gistools.errors import InputError, OutputError

# Marks the file as this package's; SQLite keeps the number in the file's header.
_APPLICATION = 0x67697374
_VERSION = 1
_TABLES = """
CREATE TABLE IF NOT EXISTS answers (
    provider TEXT NOT NULL, options TEXT NOT NULL, query TEXT NOT NULL, said TEXT, asked_at TEXT NOT NULL,
    PRIMARY KEY (provider, options, query)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS requests (
    provider TEXT NOT NULL, day TEXT NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (provider, day)
) WITHOUT ROWID;
"""
_AT_A_TIME = 500


class GeocodeCache:
    """Answers and counts of requests in a SQLite file.

    Parameters
    ----------
    path : Path
        Made, with its folder, if it is not there.
    patience : float
        Seconds to wait for another run that uses the file.

    Raises
    ------
    InputError
        If the file is damaged, is no cache of this package, or is used by another run.
    OutputError
        If it cannot be written.

    Notes
    -----
    The file is held by one process at a time, so that two runs never ask the same query. Every change is committed at
    once, to the write-ahead log: a killed process loses nothing it had committed, a power cut at most the last few.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, GeocodeCache(Path(folder) / "c.sqlite") as cache:
    ...     cache.keep("baidu", "", "北京市", None)
    ...     cache.known("baidu", "", ["北京市", "武汉市"])
    {'北京市': None}
    """

    def __init__(self, path: Path, *, patience: float = 60.0) -> None:
        self.path = Path(path)
        self._lock = threading.RLock()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"{self.path} cannot be written: {error.strerror}; choose another with --cache"
            ) from None
        if self.path.is_dir():
            raise InputError(f"{self.path} is a folder; --cache names a file")
        self._connection: sqlite3.Connection | None = None
        with self._explained():
            self._connection = sqlite3.connect(
                self.path, timeout=patience, isolation_level=None, check_same_thread=False
            )
            self._prepare()

    def _prepare(self) -> None:
        run = self._run
        run("PRAGMA locking_mode = EXCLUSIVE")
        tables = {name for (name,) in run("SELECT name FROM sqlite_master WHERE type = 'table'")}
        ((application,),) = run("PRAGMA application_id")
        ((version,),) = run("PRAGMA user_version")
        if tables and application != _APPLICATION:
            raise InputError(
                f"{self.path} is a database of another program; name a file of its own with --cache, which is made "
                "if it is not there"
            )
        if version > _VERSION:
            raise InputError(
                f"{self.path} was written by a newer gistools; upgrade gistools, or name another --cache"
            )
        run("PRAGMA journal_mode = WAL")
        run("PRAGMA synchronous = NORMAL")
        run("BEGIN IMMEDIATE")  # from here on the file is this process's
        run(f"PRAGMA application_id = {_APPLICATION}")
        run(f"PRAGMA user_version = {_VERSION}")
        for statement in filter(str.strip, _TABLES.split(";")):
            run(statement)
        run("COMMIT")
        ((state,),) = run("PRAGMA quick_check(1)")
        if state != "ok":
            raise sqlite3.DatabaseError(state)

    def _run(self, statement: str, values: Sequence[object] = ()) -> list[tuple]:
        if self._connection is None:
            raise InputError(f"{self.path} has been closed")
        with self._lock:
            return self._connection.execute(statement, values).fetchall()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn SQLite's errors into sentences."""
        try:
            yield
        except InputError:
            self.close()
            raise
        except sqlite3.OperationalError as error:
            text = str(error)
            self.close()
            if "locked" in text or "busy" in text:
                raise InputError(
                    f"{self.path} is in use by another run; wait until it is done, or name another with --cache"
                ) from error
            raise OutputError(f"{self.path} cannot be written: {text}; choose another with --cache") from error
        except sqlite3.DatabaseError as error:
            self.close()
            raise InputError(
                f"{self.path} is no geocoding cache, or a damaged one ({error}); move it away, or name another with "
                "--cache"
            ) from error

    def known(self, provider: str, options: str, queries: Sequence[str]) -> dict[str, str | None]:
        """Return the answers there are.

        Parameters
        ----------
        provider, options : str
        queries : sequence of str

        Returns
        -------
        dict of str to str or None
            JSON by query; None where the service had said that it knows no such place. Others are not in it.
        """
        found: dict[str, str | None] = {}
        with self._explained():
            for begin in range(0, len(queries), _AT_A_TIME):
                some = list(queries[begin : begin + _AT_A_TIME])
                marks = ",".join("?" * len(some))
                found |= dict(
                    self._run(
                        f"SELECT query, said FROM answers WHERE provider = ? AND options = ? AND query IN ({marks})",  # noqa: S608
                        (provider, options, *some),
                    )
                )
        return found

    def keep(self, provider: str, options: str, query: str, said: str | None) -> None:
        """Keep an answer, or None for an honest "not found", with the present time."""
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        with self._explained():
            self._run("INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?)", (provider, options, query, said, now))

    def requests(self, provider: str, day: str) -> int:
        """Return how many requests were sent on a day, by all runs."""
        with self._explained():
            rows = self._run("SELECT count FROM requests WHERE provider = ? AND day = ?", (provider, day))
        return int(rows[0][0]) if rows else 0

    def count_request(self, provider: str, day: str) -> None:
        """Count a request that is about to be sent."""
        with self._explained():
            self._run(
                "INSERT INTO requests VALUES (?, ?, 1) ON CONFLICT (provider, day) DO UPDATE SET count = count + 1",
                (provider, day),
            )

    def close(self) -> None:
        """Give the file free."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def __enter__(self) -> GeocodeCache:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
