"""Ids seen before, told from new ones whatever the pieces."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gistools.parcels import duplicates
from gistools.parcels.duplicates import BYTES_PER_ID, CONFLICTING, FIRST, IDENTICAL, SeenIds, content_hashes


def plainly(ids, content):
    """The definition, with a dictionary."""
    first, out = {}, []
    for name, value in zip(ids, content, strict=True):
        if name is None:
            out.append(FIRST)
        elif name not in first:
            first[name] = value
            out.append(FIRST)
        else:
            out.append(IDENTICAL if first[name] == value else CONFLICTING)
    return out


RECORDS = st.lists(st.tuples(st.sampled_from([None, *"abcdefg"]), st.integers(0, 2)), max_size=60)


@given(RECORDS, st.integers(1, 20))
def test_pieces_give_what_a_dictionary_gives(records, size):
    ids = pd.Series([name for name, _ in records], dtype=object)
    content = np.array([value for _, value in records], np.uint64)
    seen = SeenIds()
    found = [seen.judge(ids[k : k + size], content[k : k + size]) for k in range(0, len(ids), size)]
    assert [int(x) for part in found for x in part] == plainly(ids, content)
    assert len(seen) == ids.nunique()


def test_ids_that_share_64_bits_are_still_told_apart(monkeypatch):
    real = pd.util.hash_array

    def poor(values, hash_key, categorize):
        good = real(values, hash_key=hash_key, categorize=categorize)
        return good % np.uint64(3) if hash_key == duplicates._KEYS[0] else good

    monkeypatch.setattr(duplicates.pd.util, "hash_array", poor)
    rng = np.random.default_rng(1)
    ids = pd.Series(rng.integers(0, 300, 1000)).astype(str)
    seen, content = SeenIds(), rng.integers(0, 2, 1000).astype(np.uint64)
    found = np.concatenate([seen.judge(ids[k : k + 90], content[k : k + 90]) for k in range(0, 1000, 90)])
    assert found.tolist() == plainly(ids, content)


def test_an_id_takes_24_bytes_and_runs_stay_few():
    seen = SeenIds()
    for k in range(40):
        ids = pd.Series(np.arange(1000 * k, 1000 * (k + 1))).astype(str)
        assert (seen.judge(ids, np.zeros(1000, np.uint64)) == FIRST).all()
    assert seen.nbytes == BYTES_PER_ID * len(seen) == 24 * 40_000
    assert len(seen._runs) <= 7
    assert (seen.judge(pd.Series(np.arange(40_000)).astype(str), np.zeros(40_000, np.uint64)) == IDENTICAL).all()


def test_spelling_of_an_id_does_not_count_and_empty_ids_are_nobodys_copies():
    ids = pd.Series(["4201b1", " 4201B1 ", "４２０１Ｂ１", "'4201B1", "", "", None, "—"], dtype=object)
    assert SeenIds().judge(ids, np.zeros(8, np.uint64)).tolist() == [FIRST, *[IDENTICAL] * 3, *[FIRST] * 4]


def test_content_is_the_same_in_any_piece_and_tells_rows_apart():
    table = pd.DataFrame(
        {
            "far_max": [2.5, 2.5, 2.6, np.nan, np.nan, 0.0, -0.0],
            "project": ["甲", "甲", "甲", None, "", "x", "x"],
            "contract_date": pd.to_datetime(["2009-03-05"] * 4 + [None, "2010-01-01", "2010-01-01"]),
        }
    )
    hashes = content_hashes(table)
    assert (hashes == np.concatenate([content_hashes(table[:3]), content_hashes(table[3:])])).all()
    assert hashes[0] == hashes[1]
    assert hashes[5] == hashes[6]
    assert len(set(hashes.tolist())) == 5
    # values that change places change the content
    swapped = content_hashes(pd.DataFrame({"a": [1.0, 2.0], "b": [2.0, 1.0]}))
    assert swapped[0] != swapped[1]
    assert content_hashes(table.assign(contract_date=table["contract_date"].astype("datetime64[ms]"))).tolist() == (
        pytest.approx(hashes.tolist(), abs=0)
    )
