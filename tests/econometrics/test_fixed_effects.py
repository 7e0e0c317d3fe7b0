"""Balanced panels as arrays: layout, within transforms, columns that effects absorb."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gistools.econometrics.fixed_effects import (
    EFFECTS,
    as_effects,
    balanced_panel,
    effect_count,
    independent_columns,
    panel_column,
    within,
)
from gistools.errors import InputError, TableError


def dummies(effects, n, years):
    parts = [np.ones((n * years, 1))] if effects == "none" else []
    if "city" in effects:
        parts.append(np.kron(np.eye(n), np.ones((years, 1))))
    if "year" in effects:
        parts.append(np.kron(np.ones((n, 1)), np.eye(years)))
    return np.column_stack(parts)


@pytest.mark.parametrize("effects", EFFECTS)
def test_within_is_what_regression_on_dummies_leaves(effects):
    rng = np.random.default_rng(0)
    values = rng.normal(size=(7, 5, 3))
    D = dummies(effects, 7, 5) if effects != "none" else np.zeros((35, 1))
    flat = values.reshape(35, 3)
    left = flat - D @ np.linalg.lstsq(D, flat, rcond=None)[0]
    assert within(values, effects).reshape(35, 3) == pytest.approx(left, abs=1e-12)
    assert within(values[..., 0], effects) == pytest.approx(within(values, effects)[..., 0], abs=1e-15)
    assert effect_count(effects, 7, 5) == np.linalg.matrix_rank(dummies(effects, 7, 5))


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000), n=st.integers(1, 6), years=st.integers(1, 5))
def test_layout_does_not_depend_on_the_order_of_rows(seed, n, years):
    table = pd.DataFrame({"city_code": np.repeat(np.arange(n), years), "year": np.tile(np.arange(years), n)})
    table["y"] = table["city_code"] * 100 + table["year"]
    panel = balanced_panel(table.sample(frac=1, random_state=seed), ["y"])
    assert panel.shape == (n, years)
    assert np.array_equal(panel.values["y"], panel.codes.to_numpy()[:, None] * 100.0 + panel.years.to_numpy())
    indexed = balanced_panel(table.set_index(["city_code", "year"]), ["y"])
    assert np.array_equal(indexed.values["y"], table["y"].to_numpy().reshape(n, years))


def test_without_a_time_column_it_is_a_cross_section():
    panel = balanced_panel(pd.DataFrame({"id": ["a", "b"], "y": [1, 2]}), ["y"], unit="id")
    assert panel.shape == (2, 1)
    assert panel.years.tolist() == [None]


def test_a_column_by_its_keys():
    table = pd.DataFrame({"id": ["a", "a"], "t": [1, 2], "y": [3, 4]})
    assert panel_column(table, "y", unit="id", time="t").to_dict() == {("a", 1): 3, ("a", 2): 4}
    assert panel_column(table.set_index(["id", "t"]), "y", unit="id", time="t")["a", 2] == 4
    with pytest.raises(TableError, match="name its time column"):
        panel_column(table, "y", unit="id")
    with pytest.raises(TableError, match="1 rows without id or t"):
        panel_column(table.assign(t=[1, np.nan]), "y", unit="id", time="t")
    with pytest.raises(TableError, match="no column 'city_code'"):
        panel_column(table, "y", time="t")


def test_names_of_effects():
    assert [as_effects(e) for e in ("none", "city", "year, city", ("city",), None, [])] == [
        "none", "city", "city,year", "city", "none", "none"
    ]  # fmt: skip
    with pytest.raises(InputError, match="effects is 'province', but must be one of city, year, none"):
        as_effects("city,province")


def test_columns_that_cannot_be_told_apart_are_named_with_the_reason():
    rng = np.random.default_rng(1)
    raw = rng.normal(size=(40, 3))
    trend = np.tile(np.arange(5.0), 8)[:, None]
    columns = np.column_stack([raw[:, :2], raw[:, 0] - 3 * raw[:, 1], trend + 2001, np.zeros(40), raw[:, 2] * 1e-9])
    left = within(columns.reshape(8, 5, -1), "year").reshape(40, -1)
    kept, dropped = independent_columns(left, columns, ["a", "b", "mix", "year", "empty", "small"])
    assert kept == [0, 1, 5]
    assert dropped == {
        "mix": "collinear with a, b",
        "year": "absorbed by the effects",
        "empty": "zero throughout",
    }


def test_a_large_level_does_not_hide_a_small_variation():
    rng = np.random.default_rng(2)
    raw = 1e6 + 1e-2 * rng.normal(size=(40, 1))
    left = within(raw.reshape(8, 5, 1), "city,year").reshape(40, 1)
    assert independent_columns(left, raw, ["level"]) == ([0], {})


@pytest.mark.parametrize("column", ["city_code", "year"])
def test_a_key_is_no_column_of_values(column):
    table = pd.DataFrame({"city_code": ["a"], "year": [2001], "y": [1.0]})
    with pytest.raises(TableError, match=f"'{column}' is a key of the panel"):
        panel_column(table, column)
