"""Coefficients fitted on a region whose lights do not change: one satellite-year against a reference."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gistools.errors import GridError, InputError
from gistools.grid import GridSource, Window
from gistools.raster.calibration import LEVELS, Calibration
from gistools.raster.lights import DMSP
from gistools.raster.tasks import Execution, run_tasks
from gistools.raster.zones import Zones

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SLAB_ROWS = 512


class _Pairs(NamedTuple):
    """A slab of a region in which the digital numbers of two satellite-years are compared."""

    target: GridSource
    reference: GridSource
    region: Zones
    window: Window


def fit_calibration(
    target: GridSource,
    reference: GridSource,
    region: Zones,
    *,
    satellite: str,
    year: int,
    execution: Execution | None = None,
) -> Calibration:
    """Fit a calibration on a region whose lights are taken not to have changed.

    Least squares of the reference's digital numbers on this satellite-year's and their squares, over the region's
    cells that are lit in both. Cells are counted by pairs of digital numbers, so that any size of region is one
    table of 64 x 64.

    Parameters
    ----------
    target, reference : GridSource
        Whole digital numbers 0 to 63, on one lattice.
    region : Zones
        On that lattice; every labelled cell counts.
    satellite : str
    year : int
        Of the target.
    execution : Execution, optional

    Returns
    -------
    Calibration
        With R2, the number of cells and classical standard errors.

    Raises
    ------
    GridError
        If the lattices differ, or numbers are not whole.
    InputError
        If fewer than four cells, or fewer than three levels of light, are lit in both.

    References
    ----------
    Elvidge et al. (2009), in `gistools.raster.calibration.CITATIONS`.

    Examples
    --------
    >>> from affine import Affine
    >>> from gistools.grid import WGS84, ArraySource, Grid
    >>> grid = Grid(WGS84, Affine(1, 0, 0, 0, -1, 1), (1, 6))
    >>> target = ArraySource(grid, np.array([[0, 4, 8, 16, 32, 48]], np.uint8))
    >>> reference = ArraySource(grid, np.array([[9, 2, 4, 8, 16, 24]], np.uint8))
    >>> region = Zones(grid, ("region",), *(np.array([v]) for v in (0, 0, 6, 0)), np.zeros(1))
    >>> fit = fit_calibration(target, reference, region, satellite="F15", year=2003)
    >>> [round(c, 12) + 0.0 for c in (fit.c0, fit.c1, fit.c2)], fit.cells, round(fit.r2, 12)
    ([0.0, 0.5, 0.0], 5, 1.0)
    """
    for other in (reference.grid, region.grid):
        if not other.same_as(target.grid):
            raise GridError(
                f"{target.name} ({target.grid.describe()}) and {reference.name} ({reference.grid.describe()}) are "
                "not on one lattice; clip both to one window"
            )
    whole = region.window
    tasks: list[_Pairs] = []
    if whole is not None:
        for row0 in range(whole.row0, whole.row1, _SLAB_ROWS):
            window = whole._replace(row0=row0, row1=min(row0 + _SLAB_ROWS, whole.row1))
            tasks.append(_Pairs(target, reference, region.slab(window.row0, window.row1), window))
    none = np.zeros((LEVELS, LEVELS), np.int64)
    counts: NDArray = sum(run_tasks(_count_pairs, tasks, execution=execution), none)
    x, y = np.nonzero(counts)
    weight = counts[x, y].astype(np.float64)
    cells, levels = int(weight.sum()), len(np.unique(x))
    if cells < 4 or levels < 3:
        raise InputError(
            f"the region has {cells} cells of {levels} levels of light that are lit in both {satellite} {year} and "
            "the reference, but a fit needs at least 4 cells of 3 levels; give a larger region with stable lights"
        )
    design = np.column_stack([np.ones(len(x)), x, x.astype(np.float64) ** 2])
    root = np.sqrt(weight)
    q, r = np.linalg.qr(design * root[:, None])
    beta = np.linalg.solve(r, q.T @ (y * root))
    residual = y - design @ beta
    rss = float(weight @ residual**2)
    tss = float(weight @ (y - weight @ y / cells) ** 2)
    inverse = np.linalg.inv(r)
    errors = np.sqrt(np.diag(inverse @ inverse.T) * rss / (cells - 3))
    return Calibration(
        satellite,
        year,
        float(beta[0]),
        float(beta[1]),
        float(beta[2]),
        "fit",
        r2=1 - rss / tss if tss else float("nan"),
        cells=cells,
        errors=(float(errors[0]), float(errors[1]), float(errors[2])),
    )


def _count_pairs(task: _Pairs) -> NDArray:
    """Count the cells of each pair of digital numbers, lit in both, that lie in the region."""
    inside = task.region.labels(task.window) >= 0
    read = []
    for source in (task.target, task.reference):
        block = source.read(task.window)
        if block.valid is not None:
            inside &= block.valid
        read.append((source.name, block.values))
    levels = []
    for name, values in read:
        dn = values[inside]
        if dn.size:
            DMSP.refuse_above(float(dn.max()), name)
        whole = dn.astype(np.int64)
        if (whole != dn).any():
            raise GridError(
                f"{name} holds {float(dn[whole != dn][0]):g}, but coefficients are fitted on whole digital numbers 0 "
                "to 63; give the product as it is published, neither resampled nor calibrated"
            )
        levels.append(whole)
    x, y = levels
    lit = (x > 0) & (y > 0)
    counted = np.bincount(x[lit] * LEVELS + y[lit], minlength=LEVELS * LEVELS)
    return counted.reshape(LEVELS, LEVELS)
