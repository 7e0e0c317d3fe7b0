"""Random cities and grids that property tests draw."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray
from raster_factory import ARC30, lonlat_grid

from gistools.grid import Grid


@st.composite
def city_labels(draw: Any) -> tuple[np.random.Generator, int, NDArray]:
    """A generator of numbers, how many cities there are, and the city of each cell: -1 where there is none."""
    shape = draw(st.tuples(st.integers(1, 14), st.integers(1, 16)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    number = draw(st.integers(1, 4))
    labels = rng.integers(-1, number, shape)
    if draw(st.booleans()):  # blocks instead of noise
        labels = np.sort(labels, axis=draw(st.integers(0, 1)))
    return rng, number, labels


@st.composite
def countries(draw: Any) -> tuple[NDArray, NDArray, NDArray, Grid, NDArray | None]:
    """Labels, lights with few levels (so that cells tie), counts about the thresholds, a grid, fractions or None."""
    shape = draw(st.tuples(st.integers(2, 12), st.integers(2, 12)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    number = draw(st.integers(1, 4))
    labels = rng.integers(-1, number, shape)
    if draw(st.booleans()):  # each city has a cell
        labels.ravel()[:number] = np.arange(number)[: labels.size]
    if draw(st.booleans()):
        labels = np.sort(labels, axis=1)
    grid = lonlat_grid(shape, cell=draw(st.sampled_from([ARC30, ARC30 / 2, 0.03, 0.05])))
    light = rng.integers(0, draw(st.sampled_from([12, 14, 16, 64])), shape).astype(float)
    light[rng.random(shape) < draw(st.sampled_from([0, 0.3, 1.0]))] = np.nan
    area = grid.cell_area_km2(grid.whole)
    count = rng.choice([0, 900, 1100, 1500, 4000], shape) * area * rng.choice([1.0, rng.uniform(0.8, 1.2)], shape)
    count[rng.random(shape) < draw(st.sampled_from([0, 0.3, 1.0]))] = np.nan
    fractions = None
    if draw(st.booleans()):
        fractions = np.stack([(labels == k).astype(float) for k in range(number)])
        shares = np.moveaxis(rng.dirichlet(np.ones(number + 1), shape), -1, 0)[:number]
        # the city of the centre has a part of the cell
        fractions = np.where((rng.random(shape) < 0.4) & (labels >= 0), shares, fractions)
    return labels, light, count, grid, fractions
