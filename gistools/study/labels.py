"""Label grids, made once for a boundary set and a lattice: kept in memory, and on disk where there is a folder."""

from __future__ import annotations

import hashlib
from pathlib import Path

import geopandas as gpd
import numpy as np

from gistools.grid import Grid
from gistools.io.arrays import read_arrays, write_arrays
from gistools.raster.edge_cells import EdgeCells
from gistools.raster.zones import LABELS_VERSION, Assign, Zones, label_zones
from gistools.study.years import boundaries_hash

_RUNS = ("row", "start", "stop", "zone", "outside_share")


class LabelFiles:
    """Makes label grids, or finds them: the same boundaries, lattice, rule and version have the same one.

    Parameters
    ----------
    folder : Path or None
        Where they are kept as ``labels-HASH.npz``; None keeps them in memory only.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder
        self._writes = folder is not None
        self._made: dict[str, Zones] = {}

    def look_in(self, folder: Path) -> None:
        """Take label grids that stand in a folder; write none there yet."""
        self.folder, self._writes = folder, False

    def keep_in(self, folder: Path) -> None:
        """Write label grids to a folder: those already made, and those to come."""
        self.folder, self._writes = folder, True
        for key, zones in self._made.items():
            if self._read(key, zones.grid) is None:
                self._write(key, zones)

    def __call__(self, boundaries: gpd.GeoDataFrame, grid: Grid, *, assign: Assign = "centre") -> Zones:
        """Return the label grid; see :func:`gistools.raster.zones.label_zones`."""
        key = self._key(boundaries, grid, assign)
        if key not in self._made:
            zones = self._read(key, grid)
            if zones is None:
                zones = label_zones(boundaries, grid, assign=assign)
                self._write(key, zones)
            self._made[key] = zones
        return self._made[key]

    def _key(self, boundaries: gpd.GeoDataFrame, grid: Grid, assign: Assign) -> str:
        lattice = (grid.crs.to_wkt(), tuple(grid.transform), grid.shape)
        known = (LABELS_VERSION, boundaries_hash(boundaries), lattice, assign)
        return hashlib.sha256(repr(known).encode()).hexdigest()

    def _path(self, key: str) -> Path | None:
        return None if self.folder is None else self.folder / f"labels-{key[:16]}.npz"

    def _read(self, key: str, grid: Grid) -> Zones | None:
        path = self._path(key)
        found = None if path is None else read_arrays(path)
        if found is None or str(found.get("key")) != key:
            return None
        edges = EdgeCells(*(found[f"edge_{name}"] for name in EdgeCells._fields)) if "edge_row" in found else None
        runs = {name: found[name] for name in _RUNS}
        return Zones(grid, tuple(map(str, found["codes"])), **runs, shared_cells=int(found["shared"]), edges=edges)

    def _write(self, key: str, zones: Zones) -> None:
        path = self._path(key)
        if path is None or not self._writes:
            return
        arrays = {name: getattr(zones, name) for name in _RUNS}
        if zones.edges is not None:
            arrays |= {f"edge_{name}": part for name, part in zones.edges._asdict().items()}
        facts = {"key": np.array(key), "codes": np.array(zones.codes), "shared": np.array(zones.shared_cells)}
        write_arrays(path, {**arrays, **facts})
