"""Coefficients fitted on a region: known ones are recovered, and all numbers agree with the textbook's formulas."""

import numpy as np
import pytest
import shapely
from raster_factory import cell_box, cities, lonlat_grid, source, zones_of

from gistools.errors import GridError, InputError
from gistools.raster.calibration import Calibration
from gistools.raster.calibration_fit import fit_calibration
from gistools.raster.tasks import Execution
from gistools.raster.zones import label_zones

GRID = lonlat_grid((700, 40))  # more rows than a slab has


def satellites(seed=0, noise=0.0, c=(3.0, 0.5, 0.004)):
    """A satellite's digital numbers and the reference's, which follow a known polynomial of them."""
    rng = np.random.default_rng(seed)
    dn = rng.integers(0, 64, GRID.shape)
    reference = c[0] + c[1] * dn + c[2] * dn**2 + noise * rng.normal(size=dn.shape)
    return dn.astype(np.uint8), np.clip(np.rint(reference), 0, 63).astype(np.uint8)


def ordinary(x, y):
    """Least squares cell by cell, with classical errors: the textbook's formulas."""
    X = np.column_stack([np.ones(len(x)), x, x**2])
    beta = np.linalg.lstsq(X, y, rcond=None)[0]
    residual = y - X @ beta
    cov = residual @ residual / (len(y) - 3) * np.linalg.inv(X.T @ X)
    return beta, np.sqrt(np.diag(cov)), 1 - residual @ residual / ((y - y.mean()) ** 2).sum()


def whole():
    return zones_of(np.zeros(GRID.shape, int), GRID)


def test_known_coefficients_are_recovered_to_the_last_digits():
    dn = np.tile(np.arange(0, 64, 2, dtype=np.uint8), (700, 2))[:, :40]
    reference = (dn.astype(int) // 2 + 5).astype(np.uint8)  # exactly 5 + DN / 2
    fit = fit_calibration(source(dn, GRID), source(reference, GRID), whole(), satellite="F15", year=2003)
    assert (fit.c0, fit.c1, fit.c2) == pytest.approx((5, 0.5, 0), abs=1e-12)
    assert fit.r2 == pytest.approx(1, abs=1e-14)
    assert (fit.satellite, fit.year, fit.model) == ("F15", 2003, "fit")
    assert max(fit.errors) < 1e-12


def test_fit_against_least_squares_cell_by_cell_in_a_region():
    dn, reference = satellites(noise=2.0)
    region = label_zones(cities([cell_box(GRID, 30, 610, 5.5, 33)]), GRID)
    lit = np.zeros(GRID.shape, bool)
    lit[30:610, 5:33] = True  # centres on the box's western side belong to it
    lit &= region.labels(GRID.whole) >= 0
    lit &= (dn > 0) & (reference > 0)
    fit = fit_calibration(
        source(dn, GRID),
        source(reference, GRID),
        region,
        satellite="F15",
        year=2003,
        execution=Execution(workers=2),
    )
    beta, errors, r2 = ordinary(dn[lit].astype(float), reference[lit].astype(float))
    assert fit.cells == lit.sum()
    np.testing.assert_allclose((fit.c0, fit.c1, fit.c2), beta, rtol=1e-8)
    np.testing.assert_allclose(fit.errors, errors, rtol=1e-8)
    assert fit.r2 == pytest.approx(r2, abs=1e-12)
    # the truth lies within four standard errors
    for got, truth, error in zip((fit.c1, fit.c2), (0.5, 0.004), fit.errors[1:], strict=True):
        assert abs(got - truth) < 4 * error


def test_cells_without_data_and_dark_cells_do_not_count():
    dn, reference = satellites()
    valid = np.ones(GRID.shape, bool)
    valid[:, :10] = False
    fit = fit_calibration(source(dn, GRID, valid), source(reference, GRID), whole(), satellite="F15", year=2003)
    assert fit.cells == ((dn > 0) & (reference > 0) & valid).sum()
    # floats that hold whole numbers are as good, even beside cells without data
    dirty = np.where(valid, dn, np.nan).astype(np.float32)
    again = fit_calibration(source(dirty, GRID), source(reference, GRID), whole(), satellite="F15", year=2003)
    assert again == fit


def test_what_cannot_be_fitted_is_refused():
    dn, reference = satellites()
    one = {"satellite": "F15", "year": 2003}
    moved = lonlat_grid(GRID.shape, west=105)
    with pytest.raises(GridError, match="are not on one lattice"):
        fit_calibration(source(dn, GRID), source(reference, moved), whole(), **one)
    with pytest.raises(GridError, match=r"array holds 10.5, but coefficients are fitted on whole digital numbers"):
        fit_calibration(source(np.full(GRID.shape, 10.5), GRID), source(reference, GRID), whole(), **one)
    with pytest.raises(GridError, match="holds a value of 1"):
        fit_calibration(source(dn, GRID), source(reference + np.uint8(64), GRID), whole(), **one)
    with pytest.raises(InputError, match=r"the region has 28000 cells of 1 levels of light.*F15 2003"):
        fit_calibration(
            source(np.full(GRID.shape, 9, np.uint8), GRID),
            source(np.full(GRID.shape, 9, np.uint8), GRID),
            whole(),
            **one,
        )
    far = label_zones(cities([shapely.box(104.01, 29.99, 104.0101, 29.9901)]), GRID)
    with pytest.raises(InputError, match="the region has 0 cells"):
        fit_calibration(source(dn, GRID), source(reference, GRID), far, **one)


def test_a_fit_brings_a_satellite_to_the_reference():
    dn, reference = satellites()
    fit = fit_calibration(source(dn, GRID), source(reference, GRID), whole(), satellite="F15", year=2003)
    lit = dn > 0
    # the reference was rounded, by half a number at the most, and the fit follows its roundings a little
    np.testing.assert_allclose(fit.apply(dn)[lit], reference[lit], atol=0.6)
    assert np.abs(dn[lit] - reference[lit].astype(float)).max() > 10
    assert isinstance(fit, Calibration)
