"""Urban form from files to a panel: the verb behind ``gistools city form``, and the first step of a study."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import geopandas as gpd
import pandas as pd

from gistools.city.form import FormOptions
from gistools.city.series import city_form, needs_base_year
from gistools.errors import GistoolsError, InputError
from gistools.io.atomic import require_writable
from gistools.io.tables import read_table, require_table_extension, write_table
from gistools.raster.tasks import Execution
from gistools.study.inputs import GridFiles, Grids, Problem, check_boundaries, open_grids
from gistools.study.labels import LabelFiles
from gistools.study.progress import Progress
from gistools.study.years import YearFiles


@dataclass
class FormResult:
    """What measuring gave: the panel, national counts by year, hashes of the rasters, and the years that failed."""

    panel: pd.DataFrame
    grids: Grids
    taken_over: list[int]
    counts: dict[int, dict[str, float]] = field(default_factory=dict)
    hashes: dict[Path, str] = field(default_factory=dict)
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


def open_form_grids(
    lights: GridFiles | None,
    population: GridFiles | None,
    years: tuple[int, ...],
    options: FormOptions,
    *,
    known_cbds: bool = False,
) -> Grids:
    """Open and judge the grids of the years and of the base year, which may lie outside them.

    Returns
    -------
    Grids
        Years that cannot be used are among its problems.

    Raises
    ------
    InputError
        If no year can be used, or the base year cannot and the others need it.
    """
    base = options.base_year if options.base_year is not None else years[0]
    leads = needs_base_year(
        options, lights=lights is not None, population=population is not None, known_cbds=known_cbds
    )
    opened = sorted({*years, base}) if leads else years
    grids = open_grids(lights, population, opened, min_light=options.min_light, how=options.align)
    reason = next((problem for problem in grids.problems if problem.year == base), None)
    if reason is not None and leads:
        raise InputError(
            f"the base year {base} cannot be used, and the other years need it: {reason.message}; mend it, or choose "
            "another with --base-year"
        )
    if not set(years) & set(grids.years):  # the base year alone makes no panel
        raise InputError(str(grids.problems[0]))
    return grids


def measure_form(
    boundaries: gpd.GeoDataFrame,
    grids: Grids,
    years: tuple[int, ...],
    options: FormOptions,
    *,
    cbd_table: Path | None = None,
    years_folder: Path | None = None,
    reuse: bool = True,
    label: LabelFiles | None = None,
    execution: Execution | None = None,
    progress: Progress | None = None,
) -> FormResult:
    """Measure the urban form of every city and year of grids that were opened and judged.

    Parameters
    ----------
    boundaries : GeoDataFrame
        As :func:`gistools.io.vectors.read_boundaries` gives it.
    grids : Grids
        As :func:`open_form_grids` gives them; years with a problem are set aside.
    years : tuple of int
        Years of the panel.
    options : FormOptions
    cbd_table : Path, optional
        Known CBDs.
    years_folder : Path, optional
        Where finished years are kept.
    reuse : bool
        Take over finished years found there.
    label : LabelFiles, optional
        Label grids made before; by default they are kept in the folder of the years.
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
    label = label or LabelFiles(years_folder)
    failures = [problem for problem in grids.problems if problem.year is not None]
    for problem in failures:
        progress.say(f"Set aside: {problem}")
    bad = sorted({problem.year for problem in failures if problem.year is not None})
    grids.drop(bad)
    progress.years = len(grids.years)
    notes = [*grids.notes, *check_boundaries(boundaries, grids, label)]
    cbds = None if cbd_table is None else read_table(cbd_table)
    store = None
    if years_folder is not None:
        store = YearFiles(
            years_folder,
            boundaries,
            options,
            grids.files,
            products=grids.products,
            saturated=grids.saturated,
            reuse=reuse,
            cbds=cbds,
        )

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
        label=label,
        execution=execution,
        progress=progress,
        on_failure=failed,
    )
    progress.close()
    return FormResult(
        panel,
        grids,
        taken_over=sorted(store.taken_over) if store else [],
        counts=dict(panel.attrs.pop("counts")),
        hashes=store.hashes if store else {},
        failures=failures,
        notes=notes,
    )


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
