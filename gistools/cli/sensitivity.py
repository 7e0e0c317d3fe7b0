"""``gistools city sensitivity``: what the sprawl index and the CBDs owe to thresholds and rules."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gistools.cli.city import _form_options, form_options, grid_options
from gistools.cli.common import FILE, verb, workers_option
from gistools.cli.masks import _places, _say_notes, _some_of

if TYPE_CHECKING:
    from gistools.raster.tasks import Execution
    from gistools.study.sensitivity import SensitivityResult


@click.command()
@_some_of(grid_options)
@_some_of(form_options, "align", "assign", "cbd_ties", "base_year", "threshold", "min_density", "min_light")
@click.option("--out", required=True, type=FILE, help="The table: .csv, .parquet, .xlsx or .dta.")
@click.option(
    "--figure", type=FILE, help="The mean index of every variant: .png or .svg, with {year} for several years."
)
@workers_option
@verb
def sensitivity(
    *,
    lights: str | None,
    lights_product: str,
    population: str | None,
    population_product: str,
    years: str,
    out: Path,
    figure: Path | None,
    execution: Execution,
    **rest: Any,
) -> SensitivityResult:
    """Vary thresholds and rules, one at a time, and compare the sprawl index and the CBDs with what was chosen.

    One row a year and a variant, the chosen options first: light by 0.8 and 1.2, density of urban cells by 0.5 and
    1.5, the density that splits low from high by 0.8 and 1.2, and the other rules of the CBD. Density thresholds are
    those of the base year, as in `city form`.
    """
    from gistools.errors import InputError
    from gistools.study.config import parse_years
    from gistools.study.form import open_form_grids, require_output
    from gistools.study.inputs import GridFiles
    from gistools.study.progress import Progress
    from gistools.study.sensitivity import measure_sensitivity, require_figure, write_sensitivity

    if lights is None or population is None:
        raise InputError("a sprawl index needs both grids: give --lights and --population")
    wanted = parse_years(years)
    require_output(out)
    if figure is not None:
        require_figure(figure, wanted)
    boundaries, measure = _places(rest), rest
    options = _form_options(measure)
    grids = open_form_grids(
        GridFiles(lights, lights_product), GridFiles(population, population_product), wanted, options
    )
    result = measure_sensitivity(
        boundaries, grids, wanted, options, execution=execution, progress=Progress(len(wanted))
    )
    write_sensitivity(result, out, figure=figure)
    _say_notes(result.notes)
    click.echo(f"{len(result.table)} rows written to {out}")
    return result
