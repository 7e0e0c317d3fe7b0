"""The sprawl index: its formula, its range, and what is missing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gistools.city.sprawl import sprawl_index

POSITIVE = st.floats(1e-3, 1e6)


def test_by_hand():
    # a quarter of the area and a sixteenth of the people in low cells: sqrt(1/4 * 1/16) = 1/8
    assert float(sprawl_index(1, 3, 100, 1500)) == pytest.approx(0.125, rel=1e-14)


@given(POSITIVE, POSITIVE, POSITIVE, POSITIVE)
def test_it_is_the_geometric_mean_of_the_low_shares(la, ha, lp, hp):
    index = float(sprawl_index(la, ha, lp, hp))
    assert index == pytest.approx(np.sqrt(la / (la + ha) * lp / (lp + hp)), rel=1e-6)
    assert 0 <= index <= 1
    # units cancel
    assert float(sprawl_index(7 * la, 7 * ha, 9 * lp, 9 * hp)) == pytest.approx(index, rel=1e-6)


def test_extremes():
    assert float(sprawl_index(5, 0, 100, 0)) == 1.0
    assert float(sprawl_index(0, 5, 0, 100)) == 0.0


@given(POSITIVE, POSITIVE, POSITIVE, POSITIVE, POSITIVE)
def test_more_low_area_is_more_sprawl(la, ha, lp, hp, more):
    assert sprawl_index(la + more, ha, lp, hp) >= sprawl_index(la, ha, lp, hp)


def test_without_urban_area_or_people_it_is_missing_not_zero():
    got = sprawl_index([0.0, 1.0, np.nan], [0.0, 1.0, 1.0], [0.0, 0.0, 1.0], [0.0, 0.0, 1.0])
    assert np.isnan(got).all()


def test_many_cities_at_once():
    assert sprawl_index([1, 5, 0], [3, 0, 5], [100, 1, 0], [1500, 0, 1]).tolist() == [0.125, 1.0, 0.0]
