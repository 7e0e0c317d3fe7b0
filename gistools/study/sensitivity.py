"""What the sprawl index and the CBDs owe to thresholds and rules: the verb behind ``gistools city sensitivity``."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import geopandas as gpd
import pandas as pd

from gistools.checks import listed
from gistools.city.form import FormOptions
from gistools.city.sensitivity import sensitivity
from gistools.errors import GistoolsError, InputError, OutputError
from gistools.io.atomic import require_writable
from gistools.io.tables import write_table
from gistools.output._style import FORMATS
from gistools.output.figures import plot_sensitivity, save_figure
from gistools.study._report_evidence import sensitivity_labels
from gistools.study.inputs import Grids, Problem, check_boundaries
from gistools.study.labels import LabelFiles
from gistools.study.progress import Progress

if TYPE_CHECKING:
    from gistools.raster.tasks import Execution


@dataclass
class SensitivityResult:
    """One row a year and a variant, the chosen one first in every year; and the years that failed."""

    table: pd.DataFrame
    failures: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def years(self) -> list[int]:
        """Years of the table."""
        return list(map(int, self.table["year"].unique()))

    def to_dict(self) -> dict[str, Any]:
        """The table for ``--json``."""
        return {
            "years": self.years,
            "rows": self.table.to_dict("records"),
            "notes": self.notes,
            "failures": [str(problem) for problem in self.failures],
        }


def measure_sensitivity(
    boundaries: gpd.GeoDataFrame,
    grids: Grids,
    years: tuple[int, ...],
    options: FormOptions,
    *,
    execution: Execution | None = None,
    progress: Progress | None = None,
) -> SensitivityResult:
    """Vary thresholds and rules, one at a time, in every year.

    Parameters
    ----------
    boundaries : GeoDataFrame
        As :func:`gistools.io.vectors.read_boundaries` gives it.
    grids : Grids
        As :func:`gistools.study.form.open_form_grids` gives them, with the base year; years with a problem are set
        aside.
    years : tuple of int
    options : FormOptions
        What was chosen.
    execution : Execution, optional
    progress : Progress, optional

    Returns
    -------
    SensitivityResult
        ``year`` and the columns of :func:`gistools.city.sensitivity.sensitivity`. Density thresholds are those of the
        base year, row by row, as they are in a panel: the first row of each year holds the panel's figures.

    Raises
    ------
    InputError
        If no year can be measured, or the base year cannot.
    """
    progress = progress or Progress(len(years), quiet=True)
    failures = [problem for problem in grids.problems if problem.year is not None]
    for problem in failures:
        progress.say(f"Set aside: {problem}")
    bad = {problem.year for problem in failures}
    grids.drop(sorted(year for year in bad if year is not None))
    label = LabelFiles()
    notes = [*grids.notes, *check_boundaries(boundaries, grids, label)]
    base = options.base_year if options.base_year is not None else years[0]
    wanted = [year for year in years if year not in bad and year != base]
    progress.years = len(wanted) + 1

    def measure(year: int, first: pd.DataFrame | None = None) -> pd.DataFrame:
        population = grids.population[year]
        return sensitivity(
            grids.lights[year],
            population,
            label(boundaries, population.grid, assign=options.assign),
            options,
            base=first,
            execution=execution,
            progress=partial(progress, year),
        )

    try:
        first = measure(base)
    except GistoolsError as error:
        raise InputError(
            f"the base year {base} could not be measured, and the other years need it: {error}"
        ) from error
    tables = {base: first} if base in years else {}
    for year in wanted:
        try:
            tables[year] = measure(year, first)
        except OutputError:
            raise
        except GistoolsError as error:
            failures.append(Problem("year", str(error), year))
            progress.say(f"Set aside: year {year}: {error}")
    progress.close()
    if not tables:
        raise InputError(f"no year could be measured: {failures[-1]}")
    table = pd.concat([tables[year].assign(year=year) for year in sorted(tables)], ignore_index=True)
    return SensitivityResult(table[["year", *first.columns]], failures, notes)


def require_figure(path: Path, years: tuple[int, ...]) -> None:
    """Refuse, before any work, a figure whose extension or folder will not do, or that years would overwrite.

    Raises
    ------
    InputError, OutputError
    """
    if path.suffix not in FORMATS:
        raise InputError(f"{path}: figures are written as {listed(FORMATS)}, by extension")
    if len(years) > 1 and "{year}" not in path.name:
        raise InputError(f"{path} would hold {len(years)} years; put {{year}} into its name, for one figure a year")
    require_writable(path.parent)


def write_sensitivity(result: SensitivityResult, out: Path, *, figure: Path | None = None) -> None:
    """Write the table by the extension of its path, and a figure of each year.

    Parameters
    ----------
    result : SensitivityResult
    out : Path
    figure : Path, optional
        With ``{year}`` in its name where there are several; the mean sprawl index of every variant. Years without an
        index have none, and a note.

    Raises
    ------
    OutputError
        If a file cannot be written.
    """
    write_table(result.table, out)
    if figure is None:
        return
    for year in result.years:
        table = result.table[result.table["year"] == year]
        if table["mean_sprawl_index"].isna().all():
            result.notes.append(f"{year} has no figure: no city has a sprawl index")
            continue
        drawn = plot_sensitivity(
            table,
            "mean_sprawl_index",
            labels=sensitivity_labels(table),
            title=f"Mean sprawl index under other rules, {year}",
            unit="mean sprawl index of the cities that have one",
        )
        save_figure(drawn, figure.with_name(figure.name.replace("{year}", str(year))))
