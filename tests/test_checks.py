"""What public functions ask at their door: each refusal is one sentence with what was seen and the mend."""

import numpy as np
import pandas as pd
import pytest

from gistools.checks import (
    closest,
    listed,
    require_balanced,
    require_choice,
    require_columns,
    require_numeric,
    require_positive,
    require_unique,
)
from gistools.errors import (
    ConvergenceError,
    CrsError,
    FileMissingError,
    GistoolsError,
    InputError,
    OutputError,
    PanelError,
    TableError,
)

PANEL = pd.DataFrame({"city_code": ["1", "1", "2"], "year": [2001, 2002, 2001], "gdp": [1.0, 2.0, np.nan]})


@pytest.mark.parametrize(
    ("items", "most", "text"),
    [
        ([], 5, ""),
        (["a"], 5, "a"),
        (["a", "b"], 2, "a, b"),
        (["a", "b", "c"], 2, "a, b and 1 more"),
        ([1, 2], 5, "1, 2"),
    ],
)
def test_listed(items, most, text):
    assert listed(items, most) == text


def test_closest_only_suggests_what_is_near():
    assert closest("min_ligth", ["min_light", "min_density"]) == "; did you mean 'min_light'?"
    assert closest("banana", ["min_light"]) == ""


def test_lacking_columns_are_named_with_a_near_spelling_or_what_there_is():
    require_columns(PANEL, ["year", "gdp"], "the panel")
    with pytest.raises(TableError, match=r"^the panel has no column 'yaer'; did you mean 'year'\?$"):
        require_columns(PANEL, ["yaer"], "the panel")
    with pytest.raises(TableError, match=r"no column 'wage', 'xyz'; it has city_code, year, gdp$"):
        require_columns(PANEL, ["wage", "xyz"], "the panel")


def test_doubled_keys_are_named():
    require_unique(PANEL, ["city_code", "year"], "the panel")
    with pytest.raises(TableError, match=r"more than one row for city_code 1; keep one"):
        require_unique(PANEL, ["city_code"], "the panel")
    doubled = pd.concat([PANEL, PANEL.iloc[[0]]])
    with pytest.raises(TableError, match=r"city_code and year 1/2001"):
        require_unique(doubled, ["city_code", "year"], "the panel")


def test_choices_are_closed():
    require_choice("mean", ["mean", "nearest"], "align")
    with pytest.raises(
        InputError, match=r"align is 'neerest', but must be one of mean, nearest; did you mean 'nearest'"
    ):
        require_choice("neerest", ["mean", "nearest"], "align")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -1e-9])
def test_numbers_that_are_not_finite_or_negative_are_refused(value):
    for zero in (True, False):
        with pytest.raises(InputError, match="radius"):
            require_positive(value, "radius", zero=zero)


def test_zero_is_positive_only_where_it_is_allowed():
    require_positive(0.0, "min_light", zero=True)
    require_positive(1e-9, "radius")
    with pytest.raises(InputError, match=r"radius is 0.0, but must be above zero"):
        require_positive(0.0, "radius")


def test_text_where_numbers_are_needed_is_shown():
    require_numeric(PANEL, ["year", "gdp"], "the panel")
    require_numeric(pd.DataFrame({"d": [True, False], "n": ["1", None]}), ["d", "n"], "the panel")
    with pytest.raises(TableError, match=r"the panel, column 'gdp', holds 'n/a' where a number is needed"):
        require_numeric(PANEL.assign(gdp=["1", "n/a", "3"]), ["gdp"], "the panel")


def test_gaps_of_a_panel_are_listed():
    require_balanced(PANEL.iloc[:2][["city_code", "year"]], "the panel")
    with pytest.raises(PanelError, match=r"1 of 4 city-years are missing \(2/2002\)"):
        require_balanced(PANEL[["city_code", "year"]], "the panel")


@pytest.mark.parametrize(
    ("error", "parents"),
    [
        (CrsError, (InputError, ValueError)),
        (FileMissingError, (InputError, FileNotFoundError)),
        (PanelError, (TableError, InputError)),
        (OutputError, (OSError,)),
        (ConvergenceError, (RuntimeError,)),
    ],
)
def test_errors_are_also_built_ins_and_print_their_sentence(error, parents):
    assert issubclass(error, (GistoolsError, *parents))
    for parent in parents:
        assert issubclass(error, parent)
    assert str(error("one sentence")) == "one sentence"


def test_what_is_an_input_error_decides_the_exit_code():
    assert not issubclass(OutputError, InputError)
    assert not issubclass(ConvergenceError, InputError)
