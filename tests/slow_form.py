"""Urban form by definition, cell by cell and city by city: slow, whole arrays, no label runs, no slabs, no scan.

It shares with the package only cell areas and coordinates (tested on their own) and geodesic distances (PROJ).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gistools.grid import GEOD, Grid

NEIGHBOURS = [(dr, dc) for dr in (-1, 0, 1) for dc in (-1, 0, 1) if dr or dc]
NAN = float("nan")
Cell = tuple[int, int]


def clusters(cells: list[Cell]) -> list[list[Cell]]:
    """8-connected groups of cells, by flooding from each."""
    left, found = set(cells), []
    for seed in cells:
        if seed not in left:
            continue
        left.remove(seed)
        group, frontier = [seed], [seed]
        while frontier:
            r, c = frontier.pop()
            for dr, dc in NEIGHBOURS:
                if (r + dr, c + dc) in left:
                    left.remove((r + dr, c + dc))
                    group.append((r + dr, c + dc))
                    frontier.append((r + dr, c + dc))
        found.append(sorted(group))
    return found


def brightest(cells: list[Cell], light: NDArray, density: NDArray) -> dict[str, Any]:
    """The CBD: brightest cell; ties by largest clusters together, density, row, column."""
    lit = [cell for cell in cells if light[cell] > 0]
    if not lit:
        return {"cell": None, "ties": NAN, "light": NAN}
    top = max(light[cell] for cell in lit)
    tied = [cell for cell in lit if light[cell] == top]
    groups = clusters(tied)
    size = max(map(len, groups))
    candidates = [cell for group in groups if len(group) == size for cell in group]
    # densities that agree to nine digits are equal: areas of cells have their noise
    best = min(candidates, key=lambda c: (-float(f"{density[c]:.8e}") if math.isfinite(density[c]) else math.inf, c))
    return {"cell": best, "ties": len(tied), "light": top}


def distance_km(grid: Grid, a: Cell, cells: list[Cell]) -> NDArray:
    lon, lat = grid.lonlat(np.array([a[0], *(r for r, _ in cells)]), np.array([a[1], *(c for _, c in cells)]))
    n = len(cells)
    return np.asarray(GEOD.inv(np.full(n, lon[0]), np.full(n, lat[0]), lon[1:], lat[1:])[2]) / 1000


def slow_form(
    labels: NDArray,
    light: NDArray,
    count: NDArray,
    grid: Grid,
    *,
    fractions: NDArray | None = None,
    number: int | None = None,
    min_light: float = 10.0,
    min_density: float = 1000.0,
    threshold: float | None = None,
    radius_km: float = 3.0,
    saturated: float | None = None,
    centres: list[Cell | None] | None = None,
) -> pd.DataFrame:
    """Every measure of one year.

    Parameters
    ----------
    labels : array of int
        City by cell centre, -1 for none.
    light, count : array of float
        NaN where there is no data.
    fractions : array, shape (cities, rows, cols), optional
        Covered fractions; without them membership is by centre.
    number : int, optional
        How many cities there are.
    threshold : float, optional
        By default the mean density over all cities' urban cells.
    centres : list of cells, optional
        CBDs of another year.
    """
    number = number or int(labels.max()) + 1
    if fractions is None:
        fractions = np.stack([(labels == k).astype(float) for k in range(number)])
    area = np.broadcast_to(grid.cell_area_km2(grid.whole), grid.shape)
    density = count / area
    with np.errstate(invalid="ignore"):
        urban = (light > min_light) & (density > min_density)
    if threshold is None:
        people = sum(fractions[k][cell] * count[cell] for k in range(number) for cell in _cells(urban))
        ground = sum(fractions[k][cell] * area[cell] for k in range(number) for cell in _cells(urban))
        threshold = people / ground if ground else NAN
    rows = []
    for k in range(number):
        weight = fractions[k]
        mine = _cells(weight > 0)
        inside = _cells(labels == k)
        row: dict[str, Any] = {"density_threshold": threshold, "cells": len(inside)}
        row["area_km2"] = sum(weight[cell] * area[cell] for cell in mine) or NAN
        counted = [cell for cell in mine if math.isfinite(count[cell])]
        seen = [cell for cell in mine if math.isfinite(light[cell])]
        row["population"] = sum(weight[cell] * count[cell] for cell in counted) if counted else NAN
        row["population_missing_cells"] = sum(weight[cell] for cell in mine) - sum(weight[cell] for cell in counted)
        row["light_missing_cells"] = sum(weight[cell] for cell in mine) - sum(weight[cell] for cell in seen)
        row["light_sum"] = sum(weight[cell] * light[cell] for cell in seen) if seen else NAN
        row["light_mean"] = row["light_sum"] / sum(weight[cell] for cell in seen) if seen else NAN
        row["ln_light"] = math.log(row["light_mean"]) if row["light_mean"] > 0 else NAN
        row["dark_cells"] = sum(weight[cell] for cell in seen if light[cell] == 0)
        row["saturated_cells"] = (
            0.0 if saturated is None else sum(weight[cell] for cell in seen if light[cell] >= saturated)
        )
        cbd = brightest([cell for cell in inside if math.isfinite(light[cell])], light, density)
        if centres is not None:
            cbd["cell"] = centres[k]
            cbd["light"] = NAN if centres[k] is None else light[centres[k]]
        row["cbd"] = cbd["cell"]
        row["cbd_light"], row["cbd_ties"] = cbd["light"], cbd["ties"]
        if cbd["cell"] is not None:
            lon, lat = grid.lonlat(*cbd["cell"])
            row["cbd_lon"], row["cbd_lat"] = float(lon), float(lat)
            if mine:
                near = [
                    cell for cell, d in zip(mine, distance_km(grid, cbd["cell"], mine), strict=True) if d <= radius_km
                ]
                known = [cell for cell in near if math.isfinite(count[cell])]
                row["central_population"] = sum(weight[cell] * count[cell] for cell in known) if known else NAN
                ground = sum(weight[cell] * area[cell] for cell in near)
                row["central_density"] = row["central_population"] / ground if ground else NAN
                if row["population"] > 0:
                    row["suburban_share"] = 1 - row["central_population"] / row["population"]
        if counted:
            row |= _urban(urban, weight, labels == k, area, count, density, threshold, grid, cbd["cell"])
        rows.append(row)
    return pd.DataFrame(rows)


def _cells(mask: NDArray) -> list[Cell]:
    return [(int(r), int(c)) for r, c in np.argwhere(mask)]


def _urban(
    urban: NDArray,
    weight: NDArray,
    inside: NDArray,
    area: NDArray,
    count: NDArray,
    density: NDArray,
    threshold: float,
    grid: Grid,
    cbd: Cell | None,
) -> dict[str, Any]:
    mine = _cells(urban & (weight > 0))
    own = _cells(urban & inside)
    out: dict[str, Any] = {}
    for name, part in (
        ("urban", mine),
        ("low", [cell for cell in mine if density[cell] < threshold]),
        ("high", [cell for cell in mine if density[cell] >= threshold]),
    ):
        out[f"{name}_area_km2"] = sum(weight[cell] * area[cell] for cell in part)
        out[f"{name}_population"] = sum(weight[cell] * count[cell] for cell in part)
    out["urban_cells"] = len(own)
    groups = clusters(own)
    out["patches"] = len(groups)
    out["largest_patch_km2"] = max((sum(area[cell] for cell in group) for group in groups), default=0.0)
    if out["urban_area_km2"] > 0:
        out["urban_density"] = out["urban_population"] / out["urban_area_km2"]
        low, high = (out[f"{name}_area_km2"] / out["urban_area_km2"] for name in ("low", "high"))
        low_people, high_people = (out[f"{name}_population"] / out["urban_population"] for name in ("low", "high"))
        by_area, by_people = 0.5 * (low - high) + 0.5, 0.5 * (low_people - high_people) + 0.5
        out["sprawl_index"] = math.sqrt(by_area * by_people)
    if own:
        values = np.array([density[cell] for cell in own])
        ground = np.array([area[cell] for cell in own])
        out["density_cv"] = math.sqrt(np.mean((values - values.mean()) ** 2)) / values.mean()
        mean = np.average(values, weights=ground)
        out["density_cv_weighted"] = math.sqrt(np.average((values - mean) ** 2, weights=ground)) / mean
    if cbd is not None and len(own) >= 3:
        out |= _line(distance_km(grid, cbd, own), np.log([density[cell] for cell in own]))
    return out


def _line(x: NDArray, y: NDArray) -> dict[str, float]:
    """Least squares by the normal equations of the design matrix, classical errors."""
    if np.ptp(x) < 1e-9:
        return {}
    design = np.column_stack([np.ones(len(x)), x])
    beta, *_ = np.linalg.lstsq(design, y, rcond=None)
    residual = y - design @ beta
    s2 = residual @ residual / (len(x) - 2)
    error = math.sqrt(s2 * np.linalg.inv(design.T @ design)[1, 1])
    total = ((y - y.mean()) ** 2).sum()
    return {
        "gradient": beta[1],
        "gradient_se": error,
        "gradient_r2": 1 - residual @ residual / total if total > 0 else NAN,
    }
