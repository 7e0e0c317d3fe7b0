"""Draws of the index: the same as fitting each draw from its rows, and as wide as the standard errors."""

import numpy as np
import pandas as pd
import pytest

from gistools.errors import InputError
from gistools.parcels.regulation import far_regulation
from gistools.parcels.regulation_bootstrap import regulation_draws


def parcels(seed=0, cities=12, years=3, most=20, within=0.0):
    """Parcels; `within` is the spread of a city's own slope of distance, which makes its parcels depend."""
    rng = np.random.default_rng(seed)
    size = rng.integers(2, most, cities * years)
    cell = np.repeat(np.arange(cities * years), size)
    n = len(cell)
    table = pd.DataFrame(
        {
            "city_code": (110000 + cell // years).astype(str),
            "year": 2007 + cell % years,
            "area_ha": rng.lognormal(1, 0.6, n),
            "distance_km": rng.exponential(6, n),
            "land_grade": rng.choice(["1", "2"], n),
        }
    )
    slope = -0.03 + rng.normal(0, within, cities)[cell // years]
    cap = 3 + rng.normal(0, 0.3, cities * years)[cell] + slope * table["distance_km"] + rng.normal(0, 0.2, n)
    return table.assign(far_max=cap)


def fitted(table, **options):
    return far_regulation(table, transfer="none", **options)


def test_a_draw_of_parcels_is_the_index_of_the_drawn_rows():
    """Each draw is checked by fitting its rows anew; the draws' own random numbers are taken again."""
    table = parcels()
    result = fitted(table)
    drawn = regulation_draws(result, 5, resample="parcels", seed=3)
    effects, rng = result.effects, np.random.default_rng(3)
    first = (np.cumsum(effects.size) - effects.size)[effects.group]
    used = table.iloc[effects.order].reset_index(drop=True)
    point = result.point
    for b in range(5):
        rows = first + (rng.random(len(used)) * effects.size[effects.group]).astype(int)
        rng.choice(1, 0)  # no city-year has a single parcel
        again = fitted(used.iloc[rows]).effects
        slopes = dict(zip(again.names, again.slopes, strict=True))
        base = "land_grade: 1" if "land_grade: 1" in slopes else "land_grade: 2"
        mine = base if base in effects.names else next(n for n in effects.names if n.startswith("land"))
        want = np.array([slopes["area_ha"], slopes["distance_km"], slopes[base] * (1 if mine == base else -1)])
        np.testing.assert_allclose(drawn.slopes[:, b], want, rtol=1e-9)
        # the drawn mean at these slopes, its distance from the sample's stretched by sqrt(n / (n - 1))
        X, y = effects.X[rows], effects.y[rows]
        own = effects.sums(y - X @ want) / effects.size
        mean = effects.y_mean - effects.X_mean @ want
        stretched = mean + np.sqrt(effects.size / (effects.size - 1)) * (own - mean) + point @ want
        np.testing.assert_allclose(drawn.farr[:, b], stretched, rtol=1e-9)


def test_a_draw_of_cities_has_the_slopes_of_these_cities():
    table = parcels(within=0.01)
    result = fitted(table)
    drawn = regulation_draws(result, 4, seed=1)
    codes = table["city_code"].unique()
    for b in range(4):
        times = dict(zip(drawn.keys["city_code"], drawn.times[:, b], strict=True))
        assert sum(times.values()) == len(codes)
        copies = [
            table[table["city_code"] == code].assign(city_code=f"{code}-{k}")
            for code in codes
            for k in range(times[code])
        ]
        again = fitted(pd.concat(copies), cov="classical").effects
        for name, slope in zip(again.names, again.slopes, strict=True):
            if not name.startswith("land"):
                assert drawn.slopes[result.effects.names.index(name), b] == pytest.approx(slope, rel=1e-9)


@pytest.mark.parametrize(("resample", "cov", "within"), [("parcels", "classical", 0.0), ("cities", "city", 0.02)])
def test_draws_are_as_wide_as_the_standard_errors(resample, cov, within):
    result = fitted(parcels(seed=2, cities=250, most=40, within=within), cov=cov)
    drawn = regulation_draws(result, 600, resample=resample, seed=4)
    ratio = drawn.std_error() ** 2 / result.table["farr_se"] ** 2
    large = result.table["parcels"] >= 20
    assert ratio[large].mean() == pytest.approx(1, abs=0.05)
    # of two or three parcels the spread of one sample says little
    assert ratio[~large & (result.table["parcels"] >= 5)].mean() == pytest.approx(1, abs=0.1)
    slopes = drawn.slopes.std(axis=1) / result.fit.to_frame()["std_error"].to_numpy()
    assert slopes == pytest.approx(np.ones(3), abs=0.12)
    np.testing.assert_allclose(drawn.farr.mean(axis=1), result.table["farr"], atol=0.05)
    assert drawn.failed == 0


def test_cities_whose_parcels_depend_need_cities_drawn():
    result = fitted(parcels(seed=5, cities=60, most=40, within=0.05))
    by_city = regulation_draws(result, 200).slopes.std(axis=1)
    by_parcel = regulation_draws(result, 200, resample="parcels").slopes.std(axis=1)
    at = result.effects.names.index("distance_km")
    assert by_city[at] > 2 * by_parcel[at]


def test_a_single_parcel_borrows_a_residual():
    table = parcels(seed=6, most=15)
    table = pd.concat([table, table.iloc[:1].assign(city_code="119999")])
    result = fitted(table, cov="classical")
    drawn = regulation_draws(result, 800, resample="parcels")
    single = (result.table["parcels"] == 1).to_numpy()
    assert single.sum() == 1
    assert drawn.std_error()[single] == pytest.approx(result.table.loc[single, "farr_se"], rel=0.08)


def test_the_seed_makes_the_draws_and_the_frame_holds_them():
    table = parcels()
    table.loc[table["city_code"].eq("110003") & table["year"].eq(2008), "distance_km"] = np.nan
    result = fitted(table)
    said = []
    one, two = (regulation_draws(result, 3, seed=7, progress=said.append) for _ in range(2))
    assert said == [1, 2, 3, 1, 2, 3]
    np.testing.assert_array_equal(one.farr, two.farr)
    assert not np.array_equal(one.farr, regulation_draws(result, 3, seed=8).farr)
    frame = one.to_frame()
    assert [*frame] == ["draw", "city_code", "year", "farr", "times"]
    assert frame["draw"].value_counts().to_dict() == {1: 35, 2: 35, 3: 35}
    second = frame[frame["draw"] == 2]
    assert not (second["city_code"].eq("110003") & second["year"].eq(2008)).any()
    np.testing.assert_array_equal(second["farr"], one.farr[:, 1])
    np.testing.assert_array_equal(second["times"], one.times[:, 1])


def test_draws_that_cannot_tell_slopes_apart_are_missing():
    table = parcels(cities=4)
    table["land_grade"] = "1"
    table.loc[table["city_code"].eq("110002") & (table.index % 2 == 0), "land_grade"] = "2"
    result = fitted(table)
    drawn = regulation_draws(result, 200)
    without = (drawn.times[(drawn.keys["city_code"] == "110002").to_numpy()][0] == 0).sum()
    assert drawn.failed == without > 30
    assert np.isfinite(drawn.std_error()).all()


def test_what_is_refused():
    result = fitted(parcels())
    with pytest.raises(InputError, match="draws is 1, but a standard error needs 2"):
        regulation_draws(result, 1)
    with pytest.raises(InputError, match="the seed is -1, but must be zero or more"):
        regulation_draws(fitted(parcels()), 2, seed=-1)
    with pytest.raises(InputError, match="resample is 'city', but must be one of cities, parcels; did you mean"):
        regulation_draws(result, 5, resample="city")
    one = fitted(parcels(cities=1, most=40), cov="classical")
    with pytest.raises(InputError, match="are of one city, so cities cannot be drawn"):
        regulation_draws(one, 5)
    assert np.isfinite(regulation_draws(one, 5, resample="parcels").farr).all()
