"""Ids already seen, kept as 128-bit hashes, so that millions of records can be cleaned piece by piece."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from gistools.parcels.values import text_values

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Hashes = NDArray[np.uint64]

FIRST, IDENTICAL, CONFLICTING = range(3)
BYTES_PER_ID = 24
_KEYS = ("gistools parcels", "16 bytes for key")  # pandas wants 16 bytes


class SeenIds:
    """Ids of records seen so far and what stood in the first record of each.

    An id takes 24 bytes: a hash of 128 bits and one of 64 bits of the record's content. Two different ids share 128
    bits with probability about $n^2 / 2^{129}$: 4e-26 for five million. The hashes stand in a few sorted runs, each
    at least twice as long as the next, so that `n` ids are looked up and added in about `n log n` steps.

    Examples
    --------
    >>> seen = SeenIds()
    >>> seen.judge(pd.Series(["a", "b", "a", None, None]), np.array([1, 2, 1, 3, 3], np.uint64)).tolist()
    [0, 0, 1, 0, 0]
    >>> seen.judge(pd.Series(["b", "c"]), np.array([9, 4], np.uint64)).tolist()
    [2, 0]
    >>> len(seen), seen.nbytes
    (3, 72)
    """

    def __init__(self) -> None:
        self._runs: list[tuple[Hashes, Hashes, Hashes]] = []

    def __len__(self) -> int:
        return sum(len(run[0]) for run in self._runs)

    @property
    def nbytes(self) -> int:
        """Bytes the ids take."""
        return sum(part.nbytes for run in self._runs for part in run)

    def judge(self, ids: pd.Series, content: Hashes) -> NDArray[np.int8]:
        """Tell first records of an id from further ones, and remember the first.

        Parameters
        ----------
        ids : Series of text
            Blanks around an id, capitals and full-width letters do not count. Empty ids are nobody's copies.
        content : array of uint64
            A hash of each record's content, as :func:`content_hashes` gives it.

        Returns
        -------
        array of int8
            `FIRST`, `IDENTICAL` (a further record of the same content) or `CONFLICTING` (of other content).
        """
        text = pc.utf8_upper(pc.utf8_normalize(text_values(ids), form="NFKC"))
        given = text.is_valid().to_numpy(zero_copy_only=False)
        out = np.full(len(ids), FIRST, np.int8)
        if not given.any():
            return out
        names = text.drop_null().to_numpy(zero_copy_only=False)
        content = content[given]
        high, low = (pd.util.hash_array(names, hash_key=key, categorize=False) for key in _KEYS)
        known, before = self._find(high, low)
        # within the piece: the first record of each id, in the order of the table
        order = np.lexsort((low, high))
        starts = np.r_[True, (high[order][1:] != high[order][:-1]) | (low[order][1:] != low[order][:-1])]
        leader = np.empty(len(order), np.int64)
        leader[order] = order[starts][np.cumsum(starts) - 1]  # lexsort is stable: the first of the table leads
        reference = np.where(known, before, content[leader])
        further = known | (leader != np.arange(len(leader)))
        out[given] = np.where(~further, FIRST, np.where(content == reference, IDENTICAL, CONFLICTING))
        new = order[starts & ~known[order]]
        self._add(high[new], low[new], content[new])
        return out

    def _find(self, high: Hashes, low: Hashes) -> tuple[NDArray[np.bool_], Hashes]:
        """Which ids are known, and the content of their first record."""
        known = np.zeros(len(high), bool)
        content = np.zeros(len(high), np.uint64)
        for run_high, run_low, run_content in self._runs:
            place = np.searchsorted(run_high, high)
            waiting = np.flatnonzero(place < len(run_high))
            while len(waiting):  # once, but for ids that share 64 bits
                here = place[waiting]
                same = run_high[here] == high[waiting]
                waiting, here = waiting[same], here[same]
                hit = run_low[here] == low[waiting]
                known[waiting[hit]] = True
                content[waiting[hit]] = run_content[here[hit]]
                waiting = waiting[~hit]
                place[waiting] += 1
                waiting = waiting[place[waiting] < len(run_high)]
        return known, content

    def _add(self, high: Hashes, low: Hashes, content: Hashes) -> None:
        """Add new ids, sorted; runs of like length become one."""
        if not len(high):
            return
        self._runs.append((high, low, content))
        while len(self._runs) > 1 and len(self._runs[-2][0]) < 2 * len(self._runs[-1][0]):
            a, b = self._runs.pop(-2), self._runs.pop()
            order = np.argsort(np.concatenate([a[0], b[0]]), kind="stable")
            merged = [np.concatenate([x, y])[order] for x, y in zip(a, b, strict=True)]
            self._runs.append((merged[0], merged[1], merged[2]))


def content_hashes(table: pd.DataFrame) -> Hashes:
    """Hash what stands in each row: the same for rows that hold the same, whatever piece of a table they are in.

    Parameters
    ----------
    table : DataFrame
        Numbers, dates and text.

    Returns
    -------
    array of uint64
        64 bits a row.

    Examples
    --------
    >>> a, b, c = content_hashes(pd.DataFrame({"far_max": [2.5, 2.5, 2.6], "land_use": ["x", "x", "x"]}))
    >>> bool(a == b), bool(a == c)
    (True, False)
    """
    out = np.zeros(len(table), np.uint64)
    for name in table.columns:
        values = table[name]
        if pd.api.types.is_datetime64_any_dtype(values):
            part = pd.util.hash_array(values.to_numpy().astype("datetime64[s]").view(np.int64))
        elif pd.api.types.is_numeric_dtype(values):
            part = pd.util.hash_array(values.to_numpy(np.float64, na_value=np.nan) + 0.0)  # -0 is 0
        else:
            text = pc.fill_null(pa.array(values, type=pa.string(), from_pandas=True), "")
            part = pd.util.hash_array(text.to_numpy(zero_copy_only=False), categorize=True)
        out ^= part + np.uint64(0x9E3779B97F4A7C15) + (out << np.uint64(6)) + (out >> np.uint64(2))
    return out
