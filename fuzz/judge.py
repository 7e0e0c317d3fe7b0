"""What became of a mutant: run in this process, its panel held against a slow program of its own."""

from __future__ import annotations

import math
import re
import warnings
from pathlib import Path
from typing import Any

import geopandas as gpd
import mutants  # first: it makes the tests' modules importable
import numpy as np
import pandas as pd
import rasterio
import yaml
from click.testing import CliRunner
from numpy.typing import NDArray
from pyproj import CRS, Transformer
from raster_factory import slow_labels
from slow_form import slow_form

from gistools.cli.main import main
from gistools.grid import Grid

LONGEST = 1200  # characters that still are a sentence
SAME, SENTENCE, ASIDE, OTHER = "same numbers", "one sentence", "year set aside", "another file, as it says"
GOOD_OUTCOMES = (SAME, SENTENCE, ASIDE, OTHER)
TRACEBACK, CHANGED, WORDS = "traceback", "changed number", "not one sentence"
FAILURES = (TRACEBACK, CHANGED, WORDS, "crash", "hang")


class Bench:
    """A folder of a worker: the base files, the whole panel, and one mutant at a time."""

    def __init__(self, folder: Path, *, debug: bool = False) -> None:
        self.folder, self.base = folder, folder / "base"
        self.debug, self.stderr = debug, ""
        if not self.base.exists():
            mutants.write_base(folder)
        self._make_whole()
        self.whole = self._panel(self._run(folder / "cities.gpkg"), "the base files must give a panel")
        self.threshold = float(self.whole["density_threshold"].iloc[0])

    def _make_whole(self) -> None:
        """Put the whole rasters back where a mutant stood."""
        for stem, name in (("F18", "lights"), ("pop", "people")):
            content = (self.base / "striped" / f"{name}.tif").read_bytes()
            (self.folder / f"{stem}{mutants.SPOILT}.tif").write_bytes(content)

    def _run(self, boundaries: Path) -> Any:
        (self.folder / "panel.csv").unlink(missing_ok=True)
        years = f"{mutants.GOOD}-{mutants.SPOILT}"
        arguments = ["city", "form", "--lights", f"{self.folder}/F18{{year}}.tif", "--lights-product", "dmsp"]
        arguments += ["--population", f"{self.folder}/pop{{year}}.tif", "--boundaries", str(boundaries)]
        arguments += ["--years", years, "--cbd-year", "each", "--workers", "1", "--out", f"{self.folder}/panel.csv"]
        return self._invoke(arguments)

    def _invoke(self, arguments: list[str]) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("default")  # as a user has them
            result = CliRunner().invoke(main, [*arguments, "--debug"] if self.debug else arguments)
        self.stderr = result.stderr
        return result

    def _panel(self, result: Any, otherwise: str) -> pd.DataFrame:
        if result.exit_code not in {0, 3}:
            raise RuntimeError(f"{otherwise}: {result.stderr}")
        return pd.read_csv(self.folder / "panel.csv", dtype={"city_code": str, "note": str})

    def __call__(self, task: tuple[str, int, int]) -> tuple[str, str, str]:
        """Make a mutant and run it; return what it was, the outcome, and what was said."""
        kind, number, seed = task
        self._make_whole()
        what = mutants.make(kind, number, seed, self.base, self.folder)
        try:
            outcome, said = getattr(self, f"_{kind}")()
        except MemoryError:
            outcome, said = SENTENCE, "the slow reference has no room for a grid of this size"
        return what, outcome, said

    # ------------------------------------------------------------ kinds

    def _geotiff(self) -> tuple[str, str]:
        result = self._run(self.folder / "cities.gpkg")
        outcome, said = words(result)
        if outcome:
            return outcome, said
        panel = self._panel(result, "a panel was promised")
        if result.exit_code == 3:
            wrong = differences(panel, self.whole[self.whole["year"] == mutants.GOOD])
            return (CHANGED, f"the good year: {wrong}") if wrong else (ASIDE, said)
        if not differences(panel, self.whole):
            return SAME, said
        people, light = (self.folder / f"{stem}{mutants.SPOILT}.tif" for stem in ("pop", "F18"))
        wrong = self._against_reference(
            panel, people, light, gpd.read_file(self.folder / "cities.gpkg"), mutants.SPOILT
        )
        return (CHANGED, wrong) if wrong else (OTHER, said)

    def _polygons(self) -> tuple[str, str]:
        boundaries = next(
            path for path in sorted(self.folder.glob("spoilt.*")) if path.suffix in {".geojson", ".gpkg", ".shp"}
        )
        result = self._run(boundaries)
        outcome, said = words(result)
        if outcome:
            return outcome, said
        panel = self._panel(result, "a panel was promised")
        if not differences(panel, self.whole):
            return SAME, said
        people, light = (self.folder / f"{stem}{mutants.GOOD}.tif" for stem in ("pop", "F18"))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            table = gpd.read_file(boundaries)
        wrong = self._against_reference(panel, people, light, table, mutants.GOOD, threshold=None)
        return (CHANGED, wrong) if wrong else (OTHER, said)

    def _study(self) -> tuple[str, str]:
        path = self.folder / "spoilt.yaml"
        result = self._invoke(["check", str(path)])
        outcome, said = words(result)
        if outcome:
            return outcome, said
        from gistools.study.config import load_config

        raw = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
        wrong = _not_what_stands(load_config(path).model_dump(), raw)
        if wrong:
            return CHANGED, wrong
        base = yaml.safe_load((self.base / "study.yaml").read_text(encoding="utf-8"))
        return (SAME if raw == base else ASIDE if result.exit_code == 3 else OTHER), said

    # ------------------------------------------------------------ reference

    def _against_reference(
        self,
        panel: pd.DataFrame,
        people: Path,
        light: Path,
        table: gpd.GeoDataFrame,
        year: int,
        threshold: float | None = math.nan,
    ) -> str:
        """Say where a panel differs from the slow program on the files as GDAL decodes them; nothing if nowhere."""
        count, grid = decode(people, least=0)
        shine, own = decode(light, least=0, untagged=255)
        shine = overlap_mean(shine, own, grid)
        to_own = Transformer.from_crs(grid.crs, table.crs, always_xy=True) if table.crs != grid.crs else None
        labels = slow_labels(list(table.geometry), grid, to_own)
        threshold = self.threshold if threshold is not None else None
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            slow = slow_form(labels, shine, count, grid, number=len(table), saturated=63, threshold=threshold)
        return differences(panel[panel["year"] == year], slow, keyed=False)


def decode(path: Path, *, least: float, untagged: float | None = None) -> tuple[NDArray, Grid]:
    """Values of a file with NaN where there is no data, by rasterio alone."""
    with rasterio.open(path) as file:
        stored = file.read(1)
        values = stored.astype(float)
        values[~np.isfinite(values) | (values < least)] = np.nan
        if file.nodata is not None and math.isfinite(file.nodata):
            values[stored == np.asarray(file.nodata).astype(stored.dtype if stored.dtype.kind == "f" else float)] = (
                np.nan
            )
        if untagged is not None and stored.dtype == np.uint8:
            values[stored == untagged] = np.nan
        if rasterio.enums.MaskFlags.per_dataset in file.mask_flag_enums[0]:
            values[file.read_masks(1) == 0] = np.nan
        return values, Grid(CRS.from_user_input(file.crs), file.transform, file.shape)


def overlap_mean(values: NDArray, own: Grid, master: Grid) -> NDArray:
    """Mean of the cells that each master cell overlaps, by overlapped area: dense matrices, no windows."""

    def shares(start: float, step: float, n: int, start2: float, step2: float, n2: int) -> NDArray:
        a, b = start + step * np.arange(n + 1), start2 + step2 * np.arange(n2 + 1)
        width = np.minimum(a[1:, None], b[None, 1:]) - np.maximum(a[:-1, None], b[None, :-1])
        share = np.clip(width / step, 0, None)
        share[share < 1e-6] = 0  # a lattice that is shifted by rounding is the same lattice
        return share

    t, m = own.transform, master.transform
    rows = shares(-m.f, -m.e, master.height, -t.f, -t.e, own.height)
    cols = shares(m.c, m.a, master.width, t.c, t.a, own.width)
    known = np.isfinite(values)
    with np.errstate(invalid="ignore", divide="ignore"):
        # rounded: ties are ties whatever the order of a sum
        return np.round(rows @ np.where(known, values, 0) @ cols.T / (rows @ known @ cols.T), 9)


# ---------------------------------------------------------------- judging


def words(result: Any) -> tuple[str | None, str]:
    """Outcome of what was said, None where there is a panel to look at; and the words."""
    said = result.stderr.strip()
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        return TRACEBACK, repr(result.exception)[:LONGEST]
    lines = said.splitlines()
    errors = [line for line in lines if line.startswith("Error: ")]
    if "fault of gistools" in said or "Traceback" in said:
        return TRACEBACK, errors[-1][:LONGEST] if errors else said[:LONGEST]
    known = re.compile(r"(Error|Note|Warning|Set aside): |\d{4}: |Everything|Checked|\S+ problem")
    strange = [line for line in lines if not known.match(line)]
    if strange or any(len(line) > LONGEST for line in lines):
        return WORDS, (strange or sorted(lines, key=len))[-1][:LONGEST]
    if result.exit_code in {1, 2}:
        return (SENTENCE, errors[0]) if len(errors) == 1 and lines[-1] == errors[0] else (WORDS, said[:LONGEST])
    aside = [line for line in lines if line.startswith("Set aside: ")]
    return None, aside[0] if aside else said[:200]


def differences(panel: pd.DataFrame, expected: pd.DataFrame, *, keyed: bool = True) -> str:
    """Name the first column in which two tables of cities differ; nothing if they agree."""
    if len(panel) != len(expected):
        return f"{len(panel)} rows, not {len(expected)}"
    for name in expected.columns.intersection(panel.columns):
        got, wanted = panel[name], expected[name]
        if pd.api.types.is_numeric_dtype(wanted) and pd.api.types.is_numeric_dtype(got):
            a, b = got.to_numpy(float), wanted.to_numpy(float)
            if keyed and not np.array_equal(a, b, equal_nan=True):
                return f"{name}: {a.tolist()} not {b.tolist()}"
            if not keyed and not np.allclose(a, b, rtol=1e-7, atol=1e-9, equal_nan=True):
                return f"{name}: {a.tolist()}, the slow program says {b.tolist()}"
        elif keyed and name != "city_name" and got.fillna("").tolist() != wanted.fillna("").tolist():
            return f"{name} differs"
    return ""


def _not_what_stands(config: Any, raw: Any, where: str = "") -> str:
    """Say where a number of a loaded study is not a number of its file."""
    if isinstance(raw, dict) and isinstance(config, dict):
        found = [_not_what_stands(config[key], item, f"{where}.{key}") for key, item in raw.items() if key in config]
        return next(filter(None, found), "")
    if isinstance(raw, list) and isinstance(config, (list, tuple)) and len(raw) == len(config):
        found = [_not_what_stands(c, r, f"{where}.{k}") for k, (c, r) in enumerate(zip(config, raw, strict=True))]
        return next(filter(None, found), "")
    number = isinstance(config, (int, float)) and not isinstance(config, bool)
    # YAML keeps 1e5 and 09 as text; they are the numbers they look like
    plain = isinstance(raw, str) and re.fullmatch(r"[-+0-9.eE ]+|nan|inf", raw, re.IGNORECASE)
    same = (plain and float(raw) == config) or (
        isinstance(raw, (int, float)) and not isinstance(raw, bool) and raw == config
    )
    return f"{where[1:]} is {config!r}, the file says {raw!r}"[:LONGEST] if number and not same else ""


def start(folder: Path) -> Bench:
    """Make a worker ready."""
    return Bench(folder)
