"""Tables of undevelopable land: what the sums over the cells of each circle say, by place, ring and sector."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from gistools.grid import Grid
from gistools.raster.circles import Circles, on_grid

if TYPE_CHECKING:
    from numpy.typing import NDArray

# What is summed over the cells of a part, in this order: areas, and counts.
AREAS = ("area_km2", "steep_km2", "water_km2", "sea_km2", "undevelopable_km2", "unknown_km2")
COUNTS = ("cells", "edge_cells")

COLUMNS: dict[str, tuple[str, str]] = {
    "cbd_lon": ("degrees", "longitude of the CBD, WGS 84"),
    "cbd_lat": ("degrees", "latitude of the CBD, WGS 84"),
    "radius_km": ("km", "radius of the circle around the CBD"),
    "circle_km2": ("km2", "geodesic area of the circle around the CBD"),
    "cells": ("cells", "cells of the DEM whose centre lies in the circle"),
    "area_km2": ("km2", "geodesic area of these cells"),
    "outside_km2": ("km2", "part of the circle beyond the DEM"),
    "unknown_km2": ("km2", "cells without slope or land cover that nothing else marks as undevelopable"),
    "steep_km2": ("km2", "land cells steeper than the limit"),
    "water_km2": ("km2", "cells whose land cover is water or wetland"),
    "sea_km2": ("km2", "cells of the sea"),
    "undevelopable_km2": ("km2", "cells that are steep, water or sea, each counted once"),
    "undevelopable_share": ("share", "undevelopable_km2 / (area_km2 - unknown_km2)"),
    "blocked_arc_deg": ("degrees", "angle of the sectors of which more than half is undevelopable"),
    "longest_blocked_arc_deg": ("degrees", "the longest run of such sectors side by side"),
    "edge_cells": ("cells", "cells with a height of which a neighbour lacks one"),
    "note": ("", "what is missing, and why"),
}
PART_COLUMNS: dict[str, tuple[str, str]] = {
    "part": ("", "ring or sector"),
    "number": ("", "ring from the CBD outwards, or sector clockwise, 1 being centred on north"),
    "from_km": ("km", "inner edge (above it; the first ring begins at and with 0)"),
    "to_km": ("km", "outer edge (up to and with it)"),
    "from_deg": ("degrees", "first azimuth of the sector (with it)"),
    "to_deg": ("degrees", "last azimuth of the sector (up to it)"),
} | {name: COLUMNS[name] for name in (*AREAS, "outside_km2", "undevelopable_share", *COUNTS)}


def tables(
    cbds: pd.DataFrame,
    known: NDArray[np.bool_],
    circles: Circles,
    grid: Grid,
    areas: NDArray,
    counts: NDArray,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Make the table of places and that of their rings and sectors.

    Parameters
    ----------
    cbds : DataFrame
        One row a place.
    known : array of bool
        Which of them have coordinates: these have a circle, in this order.
    circles : Circles
    grid : Grid
        Of the heights.
    areas : array of float, shape (circles, rings + sectors, len(AREAS))
        Square kilometres.
    counts : array of int, shape (circles, rings + sectors, len(COUNTS))

    Returns
    -------
    (DataFrame, DataFrame)
        ``COLUMNS`` and ``PART_COLUMNS``; units and meanings in ``attrs``.
    """
    rings, sectors = len(circles.rings), circles.sectors
    ring_area = circles.ring_area_km2()
    beyond = circles.share_beyond(grid) * ring_area[:, :, None] / sectors
    beyond = np.concatenate([beyond.sum(axis=2), beyond.sum(axis=1)], axis=1)
    table = cbds[[name for name in ("city_code", "year", "cbd_lon", "cbd_lat") if name in cbds.columns]].copy()
    table["city_code"] = table["city_code"].astype("str")
    whole = _measures(areas[:, :rings].sum(axis=1), counts[:, :rings].sum(axis=1), beyond[:, :rings].sum(axis=1))
    whole["circle_km2"] = ring_area.sum(axis=1)
    whole["radius_km"] = np.full(len(ring_area), circles.radius_km)
    by_sector = _measures(areas[:, rings:], counts[:, rings:], beyond[:, rings:])
    blocked = by_sector["undevelopable_share"] > 0.5
    whole["blocked_arc_deg"] = blocked.sum(axis=1) * 360.0 / sectors
    whole["longest_blocked_arc_deg"] = _longest_run(blocked) * 360.0 / sectors
    nothing = whole["cells"] == 0
    for name, values in _emptied(whole, nothing).items():
        column = np.full(len(table), np.nan)
        column[known] = values
        table[name] = column
    off = np.zeros(len(table), bool)
    off[known] = ~on_grid(grid, circles.lon, circles.lat)
    empty = np.zeros(len(table), bool)
    empty[known] = nothing
    share = (table["outside_km2"] / table["circle_km2"]).to_numpy()
    note = [_note(*facts) for facts in zip(known, empty, off, share, table["unknown_km2"], strict=True)]
    table["note"] = pd.Series(note, index=table.index, dtype="str")
    table = table[[*(name for name in ("city_code", "year") if name in table), *COLUMNS]]
    parts = _parts(table, known, circles, _emptied(_measures(areas, counts, beyond), nothing[:, None]))
    for frame, columns in ((table, COLUMNS), (parts, PART_COLUMNS)):
        frame.attrs["units"] = {name: unit for name, (unit, _) in columns.items() if unit}
        frame.attrs["labels"] = {name: said for name, (_, said) in columns.items()}
    return table, parts


def _measures(areas: NDArray, counts: NDArray, beyond: NDArray) -> dict[str, NDArray]:
    """Measures by name, from sums whose last axis is the measures."""
    out = {name: areas[..., k] for k, name in enumerate(AREAS)}
    out["outside_km2"] = beyond
    told = out["area_km2"] - out["unknown_km2"]
    with np.errstate(invalid="ignore", divide="ignore"):
        out["undevelopable_share"] = np.where(told > 0, out["undevelopable_km2"] / told, np.nan)
    return out | {name: counts[..., k].astype(np.float64) for k, name in enumerate(COUNTS)}


def _emptied(measures: dict[str, NDArray], nothing: NDArray[np.bool_]) -> dict[str, NDArray]:
    """Leave of a circle without cells only what does not depend on them."""
    always = ("radius_km", "circle_km2", "outside_km2", "cells")
    return {k: values if k in always else np.where(nothing, np.nan, values) for k, values in measures.items()}


def _longest_run(blocked: NDArray[np.bool_]) -> NDArray:
    """Longest run of true values around a circle, row by row."""
    sectors = blocked.shape[1]
    run = np.zeros(len(blocked), np.int64)
    longest = run.copy()
    for k in range(2 * sectors):  # twice around, for runs across north
        run = np.where(blocked[:, k % sectors], run + 1, 0)
        longest = np.maximum(longest, run)
    return np.minimum(longest, sectors)


def _note(known: bool, empty: bool, off: bool, outside: float, unknown: float) -> str:
    """What is missing around one CBD, and why."""
    if not known:
        return "it has no CBD"
    if empty:
        return "its circle lies beyond the heights" if outside > 0.5 else "its circle holds no cell centre"
    said = ["the CBD lies beyond the heights"] if off else []
    if outside >= 0.0005:
        said.append(f"{100 * outside:.1f} % of its circle lies beyond the heights")
    if unknown > 0:
        said.append(f"{unknown:.4g} km2 lack slope or land cover")
    return "; ".join(said)


def _parts(
    table: pd.DataFrame, known: NDArray[np.bool_], circles: Circles, measures: dict[str, NDArray]
) -> pd.DataFrame:
    """Rings and sectors in rows."""
    edges, sectors = circles.rings, circles.sectors
    width = 360.0 / sectors
    rings = len(edges)
    keys = [name for name in ("city_code", "year") if name in table.columns]
    rows = np.repeat(np.arange(len(table)), rings + sectors)
    parts = table[keys].iloc[rows].reset_index(drop=True)
    first = (np.arange(sectors) - 0.5) * width % 360 if sectors > 1 else np.zeros(1)
    shape = {
        "part": ["ring"] * rings + ["sector"] * sectors,
        "number": [*range(1, rings + 1), *range(1, sectors + 1)],
        "from_km": [0.0, *edges[:-1], *[0.0] * sectors],
        "to_km": [*edges, *[edges[-1]] * sectors],
        "from_deg": [*[np.nan] * rings, *first],
        "to_deg": [*[np.nan] * rings, *(first + width if sectors == 1 else (first + width) % 360)],
    }
    for name, values in shape.items():
        parts[name] = np.tile(np.asarray(values), len(table))
    for name in list(PART_COLUMNS)[len(shape) :]:
        column = np.full((len(table), rings + sectors), np.nan)
        column[known] = measures[name]
        parts[name] = column.ravel()
    return parts
