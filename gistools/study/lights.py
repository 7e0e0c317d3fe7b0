"""A calibrated light series from files to files: the verb behind ``gistools lights calibrate``."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from gistools.checks import listed
from gistools.errors import GistoolsError, GridError, InputError
from gistools.grid import Block, Grid, GridSource, Window
from gistools.io.atomic import plain, require_writable, write_json
from gistools.io.rasters import file_hash, raster_facts
from gistools.io.stream import TILE_ROWS, GeotiffStream, stream_geotiff
from gistools.io.tables import write_table
from gistools.output.lights import plot_calibration
from gistools.output.maps import save_figure
from gistools.raster.calibration import (
    CITATIONS,
    MODELS,
    CalibratedSource,
    Calibration,
    calibration_table,
    calibration_tags,
    consistent_years,
    moved_threshold_note,
)
from gistools.raster.lights import CALIBRATED, DMSP, CompositeSource
from gistools.raster.tasks import Execution
from gistools.study._counted import CountedSource
from gistools.study.inputs import GridFiles, Problem
from gistools.study.light_series import CalibrationOptions, Satellite, Series, find_calibrations, open_series
from gistools.study.manifest import input_entry, now, versions
from gistools.study.progress import Progress
from gistools.version import __version__

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Raised whenever a step of the same inputs changes its result: years kept under older rules are computed anew.
RULES_VERSION = 1
# Cells in memory at once, over all years that must be held together.
_SLAB_CELLS = 8_000_000
_SLAB_ROWS = 512


class _Counted(CountedSource):
    """Adds up the lights."""

    def __init__(self, source: GridSource) -> None:
        super().__init__(source)
        self.total, self.lit, self.cells = 0.0, 0, 0

    def count(self, block: Block) -> None:
        valid: Any = True if block.valid is None else block.valid
        self.total += float(np.sum(block.values, dtype=np.float64, where=valid))
        self.lit += int(np.count_nonzero((block.values > 0) & valid))
        self.cells += block.values.size if block.valid is None else int(np.count_nonzero(block.valid))


@dataclass
class _Output:
    """One grid to be written: its calibrated source, its parts before and after, and its counts."""

    year: int
    path: Path
    satellites: list[Satellite]
    calibrations: list[Calibration]
    steps: list[str]
    key: str
    before: list[_Counted] = field(default_factory=list)
    after: list[_Counted] = field(default_factory=list)
    darkened: int = 0
    raised: int = 0
    total: float = 0.0
    lit: int = 0
    cells: int = 0

    @property
    def names(self) -> str:
        """The satellites, for people."""
        return ", ".join(s.name or "unknown" for s in self.satellites)

    def open(self) -> GridSource:
        """Return the grid as a source: counted, calibrated, counted again, composited."""
        self.before = [_Counted(s.source) for s in self.satellites]
        self.after = [
            _Counted(CalibratedSource(raw, calibration))
            for raw, calibration in zip(self.before, self.calibrations, strict=True)
        ]
        self.darkened = self.raised = self.lit = self.cells = 0
        self.total = 0.0
        return self.after[0] if len(self.after) == 1 else CompositeSource(tuple(self.after))

    def count(self, values: NDArray) -> None:
        """Add up what is written."""
        known = ~np.isnan(values)
        self.total += float(np.sum(values, dtype=np.float64, where=known))
        self.lit += int(np.count_nonzero(values > 0))
        self.cells += int(np.count_nonzero(known))

    def result(self) -> dict[str, Any]:
        """The rows of this grid in the two tables."""
        satellites = _records(calibration_table(self.calibrations))
        for row, before, after in zip(satellites, self.before, self.after, strict=True):
            row |= {"sum_before": before.total, "sum_after": after.total}
            row |= {"lit_before": before.lit, "lit_after": after.lit, "valid_cells": before.cells}
        year = {
            "year": self.year,
            "satellites": self.names,
            "steps": "; ".join(self.steps),
            "light_sum": self.total,
            "lit_cells": self.lit,
            "valid_cells": self.cells,
            "darkened_cells": self.darkened,
            "raised_cells": self.raised,
            "file": self.path.name,
        }
        return dict(plain({"satellites": satellites, "year": year}))

    def tags(self) -> dict[str, str]:
        """What the file says of itself."""
        files = [path.name for s in self.satellites for path in s.files]
        result = self.result()
        return {
            "product": CALIBRATED.name,
            "units": CALIBRATED.units,
            "year": str(self.year),
            "satellites": self.names,
            "steps": "; ".join(self.steps) or "none",
            **calibration_tags(self.calibrations),
            "sources": ", ".join(files),
            "citation": DMSP.citation,
            "software": f"gistools {__version__}",
            "calibration_key": self.key,
            "calibration_result": json.dumps(result),
        }


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as JSON holds them: what is missing is None."""
    known = table.astype(object).where(table.notna(), None)
    return [{str(name): value for name, value in row.items()} for row in known.to_dict("records")]


@dataclass
class CalibrationResult:
    """A calibrated series: its files, both tables, and what went wrong or was taken over."""

    files: dict[str, Path]
    satellites: pd.DataFrame
    years: pd.DataFrame
    taken_over: list[int] = field(default_factory=list)
    failures: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """The tables for ``--json``."""
        return {
            "files": {name: str(path) for name, path in self.files.items()},
            "satellites": _records(self.satellites),
            "years": _records(self.years),
            "taken_over": self.taken_over,
            "notes": self.notes,
            "failures": [str(problem) for problem in self.failures],
        }

    def summary(self) -> str:
        """The calibration of each satellite-year, and the sums before and after, for people."""
        columns = ["satellite", "year", "model", "c0", "c1", "c2", "raw_above_10", "sum_before", "sum_after"]
        table = self.satellites[[*columns, "lit_before", "lit_after"]]
        text = table.to_string(index=False, formatters=dict.fromkeys(("sum_before", "sum_after"), "{:,.0f}".format))
        years = self.years[["year", "satellites", "light_sum", "lit_cells", "darkened_cells", "raised_cells"]]
        return f"{text}\n\n{years.to_string(index=False, formatters={'light_sum': '{:,.0f}'.format})}"


def calibrate_lights(
    lights: GridFiles,
    years: Sequence[int],
    out: Path,
    options: CalibrationOptions | None = None,
    *,
    execution: Execution | None = None,
    progress: Progress | None = None,
) -> CalibrationResult:
    """Calibrate a series of DMSP-OLS lights and write it, one GeoTIFF a year.

    Parameters
    ----------
    lights : GridFiles
        Stable lights: a pattern with ``{year}``.
    years : sequence of int
    out : Path
        A folder: ``calibrated_{year}.tif`` (float32, NaN without data; one a satellite-year without composites),
        ``calibration.csv`` (by satellite-year), ``series.csv`` (by year), ``lights_sum.png``, ``manifest.json``.
    options : CalibrationOptions, optional
    execution : Execution, optional
        Where coefficients are fitted.
    progress : Progress, optional

    Returns
    -------
    CalibrationResult
        Years that could not be calibrated are among its failures.

    Raises
    ------
    InputError
        If no year can be used, a satellite-year has no coefficient, or the lights are no raw DMSP-OLS.
    OutputError
        If a file cannot be written.

    Notes
    -----
    A file whose inputs, coefficients and steps are the same is taken over. The steps are those of
    :mod:`gistools.raster.calibration`; consistency holds a slab of rows of every year at once, never a whole grid.
    """
    options = options or CalibrationOptions()
    progress = progress or Progress(len(years), quiet=True)
    require_writable(out)
    series = open_series(lights, years, options)
    calibrations = find_calibrations(lights, series, options, execution)
    for problem in series.problems:
        progress.say(f"Set aside: {problem}")
    outputs, hashes = _outputs(series, calibrations, out, options)
    results: dict[Path, dict[str, Any]] = {}
    together = [outputs] if options.consistency else [[output] for output in outputs]
    progress.years = len(together)
    if options.consistency:
        progress.say(f"{len(outputs)} years depend on each other and are written together")
    taken_over: list[int] = []
    for group in together:
        kept = {output.path: _taken_over(output) for output in group}
        if all(kept.values()):
            results |= {path: result for path, result in kept.items() if result}
            taken_over += [output.year for output in group]
            progress(group[-1].year, 1, 1)
            continue
        written = _write_group(group, series, options, progress)
        results |= {output.path: output.result() for output in written}
    progress.close()
    made = [one for output in outputs if output.path in results for one in output.calibrations]
    note = moved_threshold_note(made, 10.0)
    series.notes += [note] if note else []
    if not results:
        raise InputError(str(series.problems[-1]))
    if options.consistency and series.problems:
        left = sorted(int(result["year"]["year"]) for result in results.values())
        series.notes.append(f"the years were made consistent without those set aside: {listed(left, 40)} are left")
    return _finish(results, taken_over, series, out, options, hashes)


# ---------------------------------------------------------------- what is to be written


def _outputs(
    series: Series, calibrations: Mapping[tuple[int, str | None], Calibration], out: Path, options: CalibrationOptions
) -> tuple[list[_Output], dict[Path, str]]:
    """Lay out the grids to be written, each with the key of everything it is made of."""
    hashes = {file: file_hash(file) for ones in series.years.values() for one in ones for file in one.files}
    model = "" if options.coefficients == "none" else f"inter-calibration ({_model_name(options)})"
    groups = [
        (year, group)
        for year, ones in sorted(series.years.items())
        for group in ([ones] if options.composite else [[one] for one in ones])
    ]
    doubled = [year for year, ones in series.years.items() if len(ones) > 1]
    if options.consistency:
        if doubled and not options.composite:
            raise InputError(
                f"{listed(doubled)}: consistency needs one grid a year, but there are several satellites; composite "
                "them, or narrow the file pattern to one"
            )
        _require_one_lattice([group[0] for _, group in groups])
    made_of = {}
    for year, group in groups:
        parts = [
            [one.name, asdict(calibrations[year, one.name]), [(file.name, hashes[file]) for file in one.files]]
            for one in group
        ]
        made_of[year, group[0].name] = parts
    outputs = []
    for year, group in groups:
        steps = [model] if model else []
        steps += ["composite"] if len(group) > 1 else []
        steps += ["consistency"] if options.consistency else []
        inputs = list(made_of.values()) if options.consistency else made_of[year, group[0].name]
        key = {"gistools": __version__, "rules": RULES_VERSION, "year": year, "steps": steps, "inputs": inputs}
        name = f"calibrated_{year}.tif" if options.composite else f"calibrated_{group[0].name or ''}{year}.tif"
        outputs.append(
            _Output(
                year,
                out / name,
                group,
                [calibrations[year, one.name] for one in group],
                steps,
                hashlib.sha256(json.dumps(plain(key), sort_keys=True).encode()).hexdigest(),
            )
        )
    return outputs, hashes


def _model_name(options: CalibrationOptions) -> str:
    if options.coefficients == "fit":
        return f"fitted on {options.region.name if options.region else ''}, reference {options.reference}"
    return options.coefficients if options.coefficients in MODELS else Path(options.coefficients).name


def _require_one_lattice(ones: Sequence[Satellite]) -> None:
    first = ones[0].source
    for other in ones[1:]:
        if not other.source.grid.same_as(first.grid):
            raise GridError(
                f"{first.name} ({first.grid.describe()}) and {other.source.name} ({other.source.grid.describe()}) "
                "are not on one lattice, so their years cannot be made consistent; clip all years to one window"
            )


def _taken_over(output: _Output) -> dict[str, Any] | None:
    """Return the result of a finished file made of the same things, or None."""
    if not output.path.is_file():
        return None
    try:
        tags = raster_facts(output.path)["tags"]
        return dict(json.loads(tags["calibration_result"])) if tags.get("calibration_key") == output.key else None
    except (InputError, KeyError, ValueError):  # damaged, or not ours: it is written anew
        return None


# ---------------------------------------------------------------- writing


class _YearError(GistoolsError):
    """A year whose files cannot be read through."""

    def __init__(self, year: int, reason: GistoolsError) -> None:
        super().__init__(str(reason))
        self.year, self.reason = year, reason


def _write_group(
    group: list[_Output],
    series: Series,
    options: CalibrationOptions,
    progress: Progress,
) -> list[_Output]:
    """Write grids that depend on each other; one that cannot be read is set aside and the others begun anew."""
    while group:
        try:
            _write_together(group, options, progress)
        except _YearError as failed:
            series.drop(failed.year, failed.reason)
            progress.say(f"Set aside: year {failed.year}: {failed.reason}")
            group = [output for output in group if output.year != failed.year]
        else:
            return group
    return []


def _write_together(group: Sequence[_Output], options: CalibrationOptions, progress: Progress) -> None:
    sources = [output.open() for output in group]
    stamps = [_stamps(output) for output in group]
    grid = sources[0].grid
    windows = list(_slabs(grid, len(group)))
    with ExitStack() as stack:
        streams = [
            stack.enter_context(stream_geotiff(output.path, source.grid, "float32", nodata=float("nan")))
            for output, source in zip(group, sources, strict=True)
        ]
        for done, window in enumerate(windows, start=1):
            values = np.empty((len(group), *window.shape), np.float32)
            for k, (output, source) in enumerate(zip(group, sources, strict=True)):
                values[k] = _read(output, source, window)
            _write_slab(group, streams, values, window, options)
            progress(group[-1].year, min(done, len(windows) - 1), len(windows))
        for output, stream, stamp in zip(group, streams, stamps, strict=True):
            if _stamps(output) != stamp:
                raise _YearError(
                    output.year, GridError(f"a file of {output.year} changed while it was read; run again")
                )
            stream.tag(output.tags())
    progress(group[-1].year, 1, 1)


def _read(output: _Output, source: GridSource, window: Window) -> NDArray:
    try:
        block = source.read(window)
    except InputError as error:
        raise _YearError(output.year, error) from error
    return block.values if block.valid is None else np.where(block.valid, block.values, np.float32(np.nan))


def _write_slab(
    group: Sequence[_Output],
    streams: Sequence[GeotiffStream],
    values: NDArray,
    window: Window,
    options: CalibrationOptions,
) -> None:
    final = consistent_years(values) if options.consistency else values
    for k, (output, stream) in enumerate(zip(group, streams, strict=True)):
        if options.consistency:
            output.darkened += int(np.count_nonzero((values[k] > 0) & (final[k] == 0)))
            output.raised += int(np.count_nonzero(final[k] > values[k]))
        output.count(final[k])
        stream.write(final[k], window)


def _slabs(grid: Grid, years: int) -> Iterator[Window]:
    """Cut a grid into slabs of whole rows of tiles, small enough to hold one of every year."""
    rows = min(_SLAB_ROWS, max(TILE_ROWS, _SLAB_CELLS // (grid.width * years) // TILE_ROWS * TILE_ROWS))
    for row0 in range(0, grid.height, rows):
        yield Window(row0, min(row0 + rows, grid.height), 0, grid.width)


def _stamps(output: _Output) -> list[tuple[int, int]]:
    facts = [file.stat() for one in output.satellites for file in one.files]
    return [(fact.st_mtime_ns, fact.st_size) for fact in facts]


# ---------------------------------------------------------------- tables, figure, manifest

_UNITS = {
    "r2": "0 to 1",
    "cells": "cells",
    "raw_above_10": "digital number",
    "sum_before": "digital number",
    "sum_after": "digital number",
    "lit_before": "cells",
    "lit_after": "cells",
    "valid_cells": "cells",
    "light_sum": "digital number",
    "lit_cells": "cells",
    "darkened_cells": "cells",
    "raised_cells": "cells",
}
_LABELS = {
    "borrowed_from": "year of the same satellite whose coefficients these are",
    "cells": "cells the coefficients were fitted on",
    "raw_above_10": "lowest raw digital number above 10 once calibrated",
    "sum_before": "sum of raw lights",
    "sum_after": "sum of lights after inter-calibration",
    "lit_before": "cells above zero, raw",
    "lit_after": "cells above zero after inter-calibration",
    "light_sum": "sum of lights as written",
    "lit_cells": "cells above zero as written",
    "darkened_cells": "lit cells that consistency made dark",
    "raised_cells": "cells that consistency gave the value of the year before",
}


def _finish(
    results: Mapping[Path, dict[str, Any]],
    taken_over: list[int],
    series: Series,
    out: Path,
    options: CalibrationOptions,
    hashes: Mapping[Path, str],
) -> CalibrationResult:
    satellites = pd.DataFrame([row for result in results.values() for row in result["satellites"]])
    satellites = satellites.sort_values(["year", "satellite"], ignore_index=True)
    whole = dict.fromkeys(("borrowed_from", "cells", "raw_above_10"), "Int64")
    satellites = satellites.astype(whole | dict.fromkeys(("r2", "se_c0", "se_c1", "se_c2"), "float64"))
    years = pd.DataFrame([result["year"] for result in results.values()])
    years = years.sort_values(["year", "file"], ignore_index=True)
    for table in (satellites, years):
        table.attrs["units"] = {name: unit for name, unit in _UNITS.items() if name in table}
        table.attrs["labels"] = {name: label for name, label in _LABELS.items() if name in table}
    files = {"calibration": out / "calibration.csv", "series": out / "series.csv", "figure": out / "lights_sum.png"}
    write_table(satellites, files["calibration"])
    write_table(years, files["series"])
    save_figure(plot_calibration(satellites, years, title="Sum of lights by satellite and year"), files["figure"])
    result = CalibrationResult(
        files | {path.stem: path for path in results},
        satellites,
        years,
        sorted(set(taken_over)),
        series.problems,
        series.notes,
    )
    entries = [
        input_entry(f"lights {year} {one.name or ''}".strip(), file, hashes[file])
        for year, ones in sorted(series.years.items())
        for one in ones
        for file in one.files
    ]
    for role, given in (("region", options.region), ("coefficients", Path(options.coefficients))):
        if given is not None and given.is_file():
            entries.append(input_entry(role, given))
    write_json(
        out / "manifest.json",
        {
            "command": "lights calibrate",
            "created": now(),
            "options": asdict(options),
            "citations": {name: text for name, text in CITATIONS.items() if name == options.coefficients},
            "coefficients": _records(satellites),
            "inputs": entries,
            "outputs": [
                {"path": path.name, "sha256": file_hash(path), "bytes": path.stat().st_size}
                for path in result.files.values()
            ],
            "taken_over": result.taken_over,
            "notes": result.notes,
            "failures": [str(problem) for problem in result.failures],
            "versions": versions(),
        },
    )
    return result
