"""Urban form from files to a panel: the verb behind ``gistools city form``, and the first step of a study."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import geopandas as gpd
import pandas as pd

from gistools.city.form import FormOptions, city_form
from gistools.errors import GistoolsError, InputError
from gistools.io.atomic import require_writable
from gistools.io.tables import read_table, require_table_extension, write_table
from gistools.raster.tasks import Execution
from gistools.study.inputs import GridFiles, Grids, Problem, check_boundaries, open_grids
from gistools.study.progress import Progress
from gistools.study.years import YearFiles


@dataclass
class FormResult:
    """What measuring gave: the panel, and the years that failed."""

    panel: pd.DataFrame
    grids: Grids
    taken_over: list[int]
    failures: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Counts for ``--json``."""
        thresholds = self.panel.groupby("year")["density_threshold"].first()
        return {
            "rows": len(self.panel),
            "cities": int(self.panel["city_code"].nunique()),
            "years": sorted(map(int, self.panel["year"].unique())),
            "taken_over": self.taken_over,
            "density_threshold": {str(year): value for year, value in thresholds.items()},
            "notes": self.notes,
            "failures": [str(problem) for problem in self.failures],
        }


def measure_form(
    boundaries: gpd.GeoDataFrame,
    lights: GridFiles | None,
    population: GridFiles | None,
    years: tuple[int, ...],
    options: FormOptions,
    *,
    cbd_table: Path | None = None,
    years_folder: Path | None = None,
    reuse: bool = True,
    execution: Execution | None = None,
    progress: Progress | None = None,
) -> FormResult:
    """Open and judge the grids, then measure the urban form of every city and year.

    Parameters
    ----------
    boundaries : GeoDataFrame
        As :func:`gistools.io.vectors.read_boundaries` gives it.
    lights, population : GridFiles or None
    years : tuple of int
        Years of the panel; the base year may lie outside them.
    options : FormOptions
    cbd_table : Path, optional
        Known CBDs.
    years_folder : Path, optional
        Where finished years are kept.
    reuse : bool
        Take over finished years found there.
    execution : Execution, optional
    progress : Progress, optional

    Returns
    -------
    FormResult

    Raises
    ------
    InputError
        If nothing can be measured.
    """
    progress = progress or Progress(len(years), quiet=True)
    base = options.base_year if options.base_year is not None else years[0]
    wanted = sorted({*years, base})
    progress.years = len(wanted)
    grids = open_grids(lights, population, wanted, min_light=options.min_light, how=options.align)
    failures = [problem for problem in grids.problems if problem.year is not None]
    bad = sorted({problem.year for problem in failures if problem.year is not None})
    leads = options.threshold == "auto" or options.cbd_year == "base"
    if base in bad and leads:
        reason = next(problem for problem in failures if problem.year == base)
        raise InputError(
            f"the base year {base} cannot be used, and the other years need it: {reason.message}; mend it, or choose "
            "another with --base-year"
        )
    for problem in failures:
        progress.say(f"Set aside: {problem}")
    grids.drop(bad)
    notes = [*grids.notes, *check_boundaries(boundaries, grids)]
    cbds = None if cbd_table is None else read_table(cbd_table)
    store = None
    if years_folder is not None:
        store = YearFiles(years_folder, boundaries, options, grids.files, reuse=reuse, cbds=cbds)

    def failed(year: int, error: GistoolsError) -> None:
        failures.append(Problem("year", str(error), year))
        progress.say(f"Set aside: year {year}: {error}")

    panel = city_form(
        boundaries,
        lights=grids.lights,
        population=grids.population,
        years=[year for year in years if year not in bad],
        options=options,
        cbds=cbds,
        saturated=grids.saturated,
        store=store,
        execution=execution,
        progress=progress,
        on_failure=failed,
    )
    progress.close()
    return FormResult(panel, grids, store.taken_over if store else [], failures, notes)


def write_form(result: FormResult, out: Path) -> None:
    """Write the panel of urban form by the extension of its path."""
    write_table(result.panel, out)


def require_output(out: Path) -> None:
    """Refuse, before any work, an output whose extension or folder will not do.

    Raises
    ------
    InputError, OutputError
    """
    require_table_extension(out)
    require_writable(out.parent)
