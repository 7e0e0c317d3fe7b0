"""Finished years on disk: written whole when a year is done, taken over when its inputs and options are the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import geopandas as gpd
import pandas as pd
import shapely

from gistools.city.form import RULES_VERSION, FormOptions, YearForm
from gistools.errors import GridError, TableError
from gistools.grid import Product
from gistools.io.atomic import plain
from gistools.io.rasters import file_hash, file_stamp
from gistools.io.tables import read_table, write_table
from gistools.version import __version__


def boundaries_hash(boundaries: gpd.GeoDataFrame) -> str:
    """Return a hash of codes, shapes and CRS of city boundaries."""
    digest = hashlib.sha256()
    digest.update(str(boundaries.crs).encode())
    for code, shape in zip(boundaries["city_code"], shapely.to_wkb(boundaries.geometry.array), strict=True):
        digest.update(str(code).encode() + b"\0" + shape)
    return digest.hexdigest()


class YearFiles:
    """Keeps finished years in a folder, one Parquet file a year.

    A year is taken over only if everything it was measured from hashes the same: its rasters, the boundaries, the
    options, the threshold and CBDs it was given, and the version of the package.

    Parameters
    ----------
    folder : Path
    boundaries : GeoDataFrame
    options : FormOptions
    files : mapping of year to list of (part, Path)
        Rasters of each year.
    products : mapping of year to sequence of Product
        What the cells of each year's rasters were read as.
    saturated : float, optional
        Light at which cells were counted as saturated.
    reuse : bool
        Take finished years over; otherwise each is measured and written anew.
    cbds : DataFrame, optional
        Known CBDs, where they are used.
    """

    def __init__(
        self,
        folder: Path,
        boundaries: gpd.GeoDataFrame,
        options: FormOptions,
        files: Mapping[int, Sequence[tuple[str, Path]]],
        *,
        products: Mapping[int, Sequence[Product]],
        saturated: float | None = None,
        reuse: bool = True,
        cbds: pd.DataFrame | None = None,
    ) -> None:
        self.folder, self.files, self.products, self.reuse = folder, files, products, reuse
        # the base year and known CBDs act only through what is handed to each year
        measured_by = {key: value for key, value in asdict(options).items() if key != "base_year"}
        self.common = {
            "gistools": __version__,
            "rules": RULES_VERSION,
            "boundaries": boundaries_hash(boundaries),
            "options": measured_by,
            "saturated": saturated,
            "cbd_table": None if cbds is None else cbds.to_csv(index=False),
        }
        self.hashes: dict[Path, str] = {}
        self.taken_over: list[int] = []
        self._stamps: dict[Path, tuple[int, int]] = {}
        self._keys: dict[int, str] = {}

    def path(self, year: int) -> Path:
        """Where a year stands."""
        return self.folder / f"{year}.parquet"

    def hash_of(self, path: Path) -> str:
        """The SHA-256 of an input, computed once a run."""
        if path not in self.hashes:
            self._stamps[path] = file_stamp(path)
            self.hashes[path] = file_hash(path)
        return self.hashes[path]

    def _key(self, year: int, given: Mapping[str, Any]) -> str:
        inputs = [(part, path.name, self.hash_of(path)) for part, path in self.files.get(year, ())]
        read_as = [asdict(product) for product in self.products.get(year, ())]
        known = json.dumps(
            plain({**self.common, "year": year, "inputs": inputs, "read_as": read_as, "given": dict(given)}),
            sort_keys=True,
        )
        return hashlib.sha256(known.encode()).hexdigest()

    def load(self, year: int, given: Mapping[str, Any]) -> YearForm | None:
        """Return a finished year measured from the same things, or None."""
        path = self.path(year)
        # taken before the year is measured: a file that changes meanwhile must not pass for the one that was read
        key = self._keys[year] = self._key(year, given)
        if not self.reuse or not path.is_file():
            return None
        try:
            table = read_table(path)
        except TableError:  # damaged: it is measured and written anew
            return None
        kept = table.attrs.get("year_form", {})
        if kept.get("key") != key:
            return None
        cbds = pd.DataFrame(kept["cbds"])
        # where no city has a CBD the columns hold nothing that tells their type
        cbds = cbds.astype(
            {"row": "int64", "col": "int64"} | dict.fromkeys(("cbd_lon", "cbd_lat", "cbd_light"), float)
        )
        cbds.index = pd.Index(table["city_code"], name="city_code")
        threshold = float("nan") if kept["threshold"] is None else float(kept["threshold"])
        counts = {name: float("nan") if value is None else value for name, value in kept["counts"].items()}
        table.attrs = {}
        self.taken_over.append(year)
        return YearForm(year, table, cbds, threshold, counts)

    def save(self, form: YearForm) -> None:
        """Write a year, whole or not at all.

        Raises
        ------
        GridError
            If one of its rasters changed since the year was begun.
        """
        changed = [path for _, path in self.files.get(form.year, ()) if self._stamps.get(path) != file_stamp(path)]
        if changed:
            raise GridError(f"{changed[0]} changed while it was read; run again when it is whole")
        table = form.table.copy()
        table.attrs = {
            "year_form": plain(
                {
                    "key": self._keys[form.year],
                    "threshold": form.threshold,
                    "counts": form.counts,
                    "cbds": form.cbds.reset_index(drop=True).to_dict("list"),
                }
            )
        }
        write_table(table, self.path(form.year))
