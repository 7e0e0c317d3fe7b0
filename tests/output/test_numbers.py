"""Numbers for reading and classes for maps."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gistools.errors import InputError
from gistools.output._numbers import SCHEMES, classify, number

VALUES = st.lists(st.floats(-1e6, 1e6, allow_nan=False), min_size=1, max_size=60)


@settings(deadline=None)
@given(VALUES, st.sampled_from(SCHEMES), st.integers(2, 9))
def test_every_value_lies_in_its_class_and_labels_differ(values, scheme, k):
    classes = classify([*values, np.nan], scheme=scheme, k=k)
    of = classes.of([*values, np.nan])
    assert of[-1] == -1
    assert 1 <= len(classes) <= k
    for value, place in zip(values, of[:-1], strict=True):
        assert classes.edges[place] <= value <= classes.edges[place + 1]
        assert place == 0 or value > classes.edges[place] or classes.distinct
    labels = classes.labels()
    assert len(labels) == len(classes)


def test_quantiles_hold_equal_counts():
    counts = np.bincount(classify(np.arange(100.0), k=5).of(np.arange(100.0)))
    assert counts.tolist() == [20] * 5


def test_few_values_are_classes_of_their_own():
    classes = classify([0.0, 1.0, 1.0, np.nan], k=5)
    assert classes.labels() == ["0", "1"]
    assert classes.of([1, 0, np.nan]).tolist() == [1, 0, -1]


def test_breaks_reach_over_all_values():
    classes = classify([0.0, 10.0], breaks=[2, 4])
    assert classes.edges.tolist() == [0, 2, 4, 10]
    assert classify([3.0], breaks=[2, 4]).edges.tolist() == [2, 2, 4, 4]


def test_labels_have_as_many_decimals_as_tell_edges_apart():
    assert classify([0.11111, 0.11112, 0.11113], k=2).labels()[0].startswith("0.11111 – 0.1111")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"values": [np.nan]}, "every one is missing"),
        ({"values": [1, 2], "k": 1}, "2 to 9"),
        ({"values": [1, 2], "scheme": "quantile"}, "did you mean 'quantiles'"),
        ({"values": [1, 2], "breaks": [3, 2]}, "ascending"),
        ({"values": [1, 2], "breaks": []}, "ascending"),
    ],
)
def test_impossible_classes_are_refused(options, words):
    values = options.pop("values")
    with pytest.raises(InputError, match=words):
        classify(values, **options)


@given(st.floats(-1e12, 1e12, allow_nan=False))
def test_a_number_is_written_close_to_its_value(value):
    read = float(number(value).replace(",", ""))
    assert read == pytest.approx(value, rel=0.006, abs=1e-300)
