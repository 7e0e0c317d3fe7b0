"""Calibrated lights: published coefficients and their known effects, and consistency against a loop over cells."""

import csv

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from raster_factory import lonlat_grid, source

from gistools.errors import GridError, InputError, TableError
from gistools.grid import Window
from gistools.raster.calibration import (
    CITATIONS,
    MODELS,
    CalibratedSource,
    Calibration,
    calibration_table,
    calibration_tags,
    choose_calibration,
    consistent_years,
    moved_threshold_note,
    own_coefficients,
    published_coefficients,
    satellite_year,
    tagged_calibrations,
)
from gistools.raster.lights import CompositeSource


def published(satellite, year, model="elvidge2014"):
    return choose_calibration(published_coefficients(model), satellite, year, model=model)


# ---------------------------------------------------------------- published coefficients


def test_the_tables_are_those_that_were_published():
    assert set(CITATIONS) == set(MODELS)
    sizes = {model: len(published_coefficients(model)) for model in MODELS}
    assert sizes == {"elvidge2009": 27, "elvidge2014": 33, "liu2012": 30}
    for model, reference in (
        ("elvidge2009", ("F12", 1999)),
        ("elvidge2014", ("F12", 1999)),
        ("liu2012", ("F16", 2007)),
    ):
        table = published_coefficients(model)
        assert not table.duplicated(["satellite", "year"]).any()
        row = table.set_index(["satellite", "year"]).loc[reference]
        assert row.tolist() == [0, 1, 0, 1]
        assert table["r2"].between(0.8, 1).all()  # the source's slip, -0.959 for F15 2001 in 2009, is mended
    with pytest.raises(InputError, match="model is 'elvidge2015', but must be one of"):
        published_coefficients("elvidge2015")


@pytest.mark.real
def test_the_tables_agree_with_their_sources(data_dir):
    folder = data_dir / "dmsp_intercalibration"
    with (folder / "dmsp_intercalibration_coefficients.csv").open() as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        table = published_coefficients(row["model"].lower()).set_index(["satellite", "year"])
        ours = table.loc[(row["satellite"], int(row["year"]))]
        assert ours.tolist() == [float(row["c0"]), float(row["c1"]), float(row["c2"]), abs(float(row["r2"]))]
    bank = pd.read_csv(folder / "elvidge2014_worldbank.csv").set_index(["satellite", "year"]).sort_index()
    ours = published_coefficients("elvidge2014").set_index(["satellite", "year"]).sort_index()
    pd.testing.assert_frame_equal(ours[["c0", "c1", "c2"]], bank, check_exact=True)


def test_the_dark_stays_dark_though_the_constant_would_light_or_drop_it():
    for satellite, year, c0 in (("F18", 2010, 2.343), ("F10", 1992, -2.057)):
        one = published(satellite, year)
        assert one.c0 == c0
        assert one.apply(np.array([0], np.uint8))[0] == 0
        assert one.apply(np.array([0.0]))[0] == 0


def test_levels_end_at_63():
    assert published("F18", 2010).levels[63] == pytest.approx(60.2841, abs=1e-4)
    f15 = published("F15", 2007)
    assert f15.c0 + f15.c1 * 63 + f15.c2 * 63**2 == pytest.approx(65.2363, abs=1e-4)  # would be, unclipped
    assert f15.levels[63] == 63
    for model in MODELS:
        for row in published_coefficients(model).itertuples():
            levels = published(row.satellite, row.year, model).levels
            assert levels.dtype == np.float32
            assert levels[0] == 0
            assert levels.min() >= 0
            assert levels.max() <= 63


@pytest.mark.parametrize(
    ("satellite", "year", "lowest"),
    [
        ("F14", 1997, 7),
        ("F15", 2007, 7),
        ("F10", 1992, 8),
        ("F16", 2009, 9),
        ("F18", 2010, 13),
        ("F18", 2012, 12),
        ("F12", 1999, 11),
    ],
)
def test_a_threshold_of_10_moves_to_another_raw_number(satellite, year, lowest):
    one = published(satellite, year)
    assert one.lowest_above(10) == lowest
    raw = np.arange(64)
    by_hand = [dn for dn in raw[1:] if min(63, one.c0 + one.c1 * dn + one.c2 * dn**2) > 10]
    assert by_hand[0] == lowest
    assert one.lowest_above(63) is None


@given(
    st.floats(-3, 3), st.floats(-2, 2), st.floats(-0.02, 0.02), st.lists(st.integers(0, 63), min_size=1, max_size=50)
)
@settings(max_examples=50, deadline=None)
def test_looked_up_and_computed_levels_are_the_same(c0, c1, c2, dn):
    one = Calibration("F15", 2000, c0, c1, c2, "table")
    whole = one.apply(np.array(dn, np.uint8))
    np.testing.assert_array_equal(whole, one.apply(np.array(dn, np.float32)))
    np.testing.assert_array_equal(whole, one.apply(np.array(dn, np.int16)))
    want = [0 if d == 0 else min(max(c0 + c1 * d + c2 * d * d, 0), 63) for d in dn]
    np.testing.assert_allclose(whole, np.array(want), rtol=1e-6, atol=1e-7)


def test_a_source_keeps_its_place_and_its_missing_cells():
    raw = source(np.array([[0, 5, 255, 63]], np.uint8), valid=[[1, 1, 0, 1]], name="F152007.tif")
    seen = CalibratedSource(raw, published("F15", 2007))
    block = seen.read(raw.grid.whole)
    assert (seen.grid, seen.name) == (raw.grid, "F152007.tif")
    assert block.values[0, [0, 3]].tolist() == [0, 63]
    assert block.values[0, 1] == np.float32(1.3606 + 1.2974 * 5 - 0.0045 * 25)
    assert block.valid.tolist() == [[True, True, False, True]]
    assert seen.read(Window(0, 1, 1, 2)).values[0, 0] == block.values[0, 1]


def test_a_source_of_more_than_63_is_refused():
    raw = source(np.array([[64.0, 1.0]]), name="F152007.tif")
    with pytest.raises(GridError, match=r"F152007.tif holds a value of 64"):
        CalibratedSource(raw, published("F15", 2007)).read(raw.grid.whole)
    empty = source(np.array([[200.0]]), valid=[[0]])
    assert not CalibratedSource(empty, published("F15", 2007)).read(empty.grid.whole).valid.any()


def test_composite_of_calibrated_satellites_by_hand():
    f15 = source(np.array([[1, 10, 0, 20]], np.uint8), name="F15")
    f16 = source(np.array([[1, 12, 9, 24]], np.uint8), name="F16")
    half = Calibration("F15", 2007, -1.0, 1.0, 0.0, "table")  # a number of 1 becomes dark
    same = Calibration("F16", 2007, 0.0, 1.0, 0.0, "table")
    both = CompositeSource((CalibratedSource(f15, half), CalibratedSource(f16, same)))
    assert both.read(f15.grid.whole).values.tolist() == [[0.0, 10.5, 0.0, 21.5]]


# ---------------------------------------------------------------- choosing


def test_a_missing_coefficient_is_an_error_that_names_the_satellite_year_and_the_mend():
    with pytest.raises(InputError) as error:
        published("F18", 2013)
    said = str(error.value)
    assert "elvidge2014 has no coefficient for F18 2013 (of F18 it has 2010, 2011, 2012)" in said
    for mend in (
        "borrow that of F18 2012 (--missing borrow)",
        "--missing raw",
        "--coefficients FILE.csv",
        "--region",
    ):
        assert mend in said


def test_borrowed_and_raw_coefficients_say_so():
    table = published_coefficients("elvidge2014")
    borrowed = choose_calibration(table, "F18", 2013, model="elvidge2014", missing="borrow")
    assert (borrowed.year, borrowed.borrowed_from, borrowed.c0) == (2013, 2012, 1.875)
    assert choose_calibration(table, "F15", 2008, model="elvidge2014", missing="borrow").borrowed_from == 2007
    raw = choose_calibration(table, "F18", 2013, model="elvidge2014", missing="raw")
    assert (raw.model, raw.borrowed_from) == ("raw", None)
    np.testing.assert_array_equal(raw.levels, np.arange(64))
    # between two years that are as near, the earlier one
    gap = table[~((table["satellite"] == "F16") & (table["year"] == 2006))]
    assert choose_calibration(gap, "F16", 2006, model="m", missing="borrow").borrowed_from == 2005


def test_nothing_can_be_borrowed_from_another_satellite():
    table = published_coefficients("elvidge2009")
    with pytest.raises(InputError, match=r"no coefficient for F10 1992 \(of F10 it has none\): leave that year raw"):
        choose_calibration(table, "F10", 1992, model="elvidge2009", missing="borrow")
    with pytest.raises(InputError, match="missing is 'guess'"):
        choose_calibration(table, "F10", 1992, model="elvidge2009", missing="guess")


def own(**columns):
    return pd.DataFrame({"satellite": ["F18"], "year": [2013], "c0": [0.5], "c1": [0.9], "c2": [0.001]} | columns)


def test_own_coefficients_are_judged():
    table = own_coefficients(own(satellite=[" f18 "]), "mine.csv")
    assert table[["satellite", "year"]].values.tolist() == [["F18", 2013]]
    assert choose_calibration(table, "F18", 2013, model="mine.csv").c1 == 0.9
    assert own_coefficients(own(satellite=["16"]), "mine.csv")["satellite"].tolist() == ["F16"]
    for bad, words in (
        (own(satellite=["F19"]), "names the satellite F19, but DMSP's are F10 to F18"),
        (own(c1=[np.nan]), "mine.csv, row 1: year"),
        (own(year=[2013.5]), "mine.csv, row 1: year"),
        (own(c2=["x"]), "column 'c2', holds 'x'"),
        (own().drop(columns="c0"), "mine.csv has no column 'c0'"),
        (pd.concat([own(), own()]), "more than one row for satellite and year F18/2013"),
    ):
        with pytest.raises(TableError, match=words.replace("(", r"\(")):
            own_coefficients(bad, "mine.csv")


def test_satellite_and_year():
    assert satellite_year("F121999") == ("F12", 1999)
    assert satellite_year(" f16-2007") == ("F16", 2007)
    with pytest.raises(InputError, match="'1999' is not a satellite and its year"):
        satellite_year("1999")


def test_a_polynomial_that_turns_back_is_seen():
    assert Calibration("F15", 2000, 0, 1.27, -0.01, "table").turning_point() is None  # at 63.5
    assert Calibration("F15", 2000, 0, 1.2, -0.02, "table").turning_point() == pytest.approx(30)
    assert Calibration("F15", 2000, 0, 1, 0, "table").turning_point() is None
    for model in MODELS:
        for row in published_coefficients(model).itertuples():
            assert published(row.satellite, row.year, model).turning_point() is None


# ---------------------------------------------------------------- what is recorded


def test_table_and_tags_hold_every_coefficient():
    table = published_coefficients("elvidge2014")
    borrowed = choose_calibration(table, "F18", 2013, model="elvidge2014", missing="borrow")
    rows = calibration_table([published("F10", 1992), borrowed])
    assert rows["raw_above_10"].tolist() == [8, 12]
    assert rows["borrowed_from"].tolist() == [pd.NA, 2012]
    assert rows["r2"].tolist() == [0.9075, 0.9392]
    (back,) = tagged_calibrations(calibration_tags([borrowed]))
    np.testing.assert_array_equal(back.levels, borrowed.levels)
    assert (back.name, back.borrowed_from, back.model) == ("F18 2013", 2012, "elvidge2014")
    assert tagged_calibrations({}) == tagged_calibrations({"coefficients": "1, 2"}) == []


def test_the_note_of_a_threshold_names_what_it_means_raw():
    ones = [published("F14", 1997), published("F18", 2010)]
    assert moved_threshold_note(ones, 10) == (
        "lights are calibrated: those above 10 begin at a raw digital number of 7 (F14 1997), 13 (F18 2010)"
    )
    assert "none (F18 2010)" in str(moved_threshold_note(ones[1:], 62))
    assert moved_threshold_note([published("F12", 1999)], 10) is None
    assert moved_threshold_note([], 10) is None


# ---------------------------------------------------------------- consistency


def cell_by_cell(stack):
    """The rule of Liu et al. (2012), one cell and year after another."""
    out = stack.tolist()
    years, rows, cols = stack.shape
    for r in range(rows):
        for c in range(cols):
            for n in range(years - 1):
                now, after = out[n][r][c], stack[n + 1, r, c]
                before = out[n - 1][r][c] if n > 0 else float("nan")
                if np.isnan(now):
                    continue
                if after == 0:
                    out[n][r][c] = 0.0
                elif after > 0 and before > now:
                    out[n][r][c] = before
    return np.array(out, stack.dtype)


@given(st.integers(1, 6), st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_consistency_against_a_loop_over_cells(years, seed):
    rng = np.random.default_rng(seed)
    stack = rng.integers(0, 6, (years, 4, 5)).astype(np.float32)
    stack[rng.random(stack.shape) < 0.15] = np.nan
    kept = stack.copy()
    got = consistent_years(stack)
    np.testing.assert_array_equal(stack, kept)  # what is given is left as it was
    np.testing.assert_array_equal(got, cell_by_cell(stack))
    np.testing.assert_array_equal(np.isnan(got), np.isnan(stack))
    np.testing.assert_array_equal(got[-1], stack[-1])  # the last year has none after it


@pytest.mark.parametrize(
    ("years", "becomes"),
    [
        ([5, 8, 9], [5, 8, 9]),  # grows: nothing changes
        ([5, 0, 9], [0, 0, 9]),  # a first year before a dark one becomes dark, and cannot light the next
        ([3, 5, 0, 9], [3, 0, 0, 9]),
        ([4, 5, 6, 0], [4, 5, 0, 0]),  # lights that go out
        ([5, 6, 4, 7], [5, 6, 6, 7]),  # a dip is filled with the year before
        ([9, 8, 7, 6], [9, 9, 9, 6]),  # with the corrected one; the last stays
        ([0, 0, 3, 0], [0, 0, 0, 0]),
        ([5], [5]),
    ],
)
def test_consistency_by_hand(years, becomes):
    stack = np.array(years, np.float32)[:, None, None]
    assert consistent_years(stack)[:, 0, 0].tolist() == becomes


def test_a_dark_year_darkens_the_year_before_and_a_missing_one_does_not():
    assert consistent_years(np.array([6, 7, 0, 8.0])[:, None, None])[:, 0, 0].tolist() == [6, 0, 0, 8]
    with_gap = consistent_years(np.array([6, 7, np.nan, 8.0])[:, None, None])[:, 0, 0]
    np.testing.assert_array_equal(with_gap, [6, 7, np.nan, 8])


def test_grid_of_a_composite_stays_the_lattice():
    grid = lonlat_grid((2, 2))
    raw = source(np.ones((2, 2), np.uint8), grid)
    assert CompositeSource((CalibratedSource(raw, published("F12", 1999)),)).grid is grid
