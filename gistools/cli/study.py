"""The commands of a whole study."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gistools.cli.common import FILE, verb, workers_option

if TYPE_CHECKING:
    from gistools.raster.tasks import Execution


@click.command()
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
@click.option("--cities", type=int, default=40, show_default=True, help="How many, 8 to 400.")
@click.option("--years", default="2001,2006-2013", show_default=True, help="Years within 1992-2013.")
@click.option("--seed", type=int, default=0, show_default=True, help="The same seed writes the same values.")
@click.option(
    "--noise",
    type=float,
    default=0.1,
    show_default=True,
    help="Standard deviation of ln density from cell to cell; 0 follows the design exactly.",
)
@click.option("--effect", type=float, default=0.08, show_default=True, help="Effect of the policy at home.")
@click.option("--spillover", type=float, default=0.04, show_default=True, help="Effect of treated neighbours.")
@click.option("--rho", type=float, default=0.4, show_default=True, help="Weight of the neighbours' mean outcome.")
@click.option("--spacing", type=float, help="Mean distance between cities in cells; else it follows their number.")
@click.option("--overwrite", is_flag=True, help="Write into a folder that is not empty.")
@verb
def sample(out: Path, years: str, **options: Any) -> Any:
    """Write a synthetic country with known truth into the folder OUT.

    Lights as DMSP-OLS, population as LandScan, city boundaries, land transactions, a yearbook, a policy, the
    study that runs them, and truth.json to hold every result against.
    """
    from gistools.study.config import parse_years
    from gistools.study.sample import write_sample

    result = write_sample(out, years=parse_years(years), **options)
    click.echo(result.summary())
    return result


@click.command()
@click.argument("study", type=FILE)
@click.option("--quiet", is_flag=True, help="Show no progress.")
@click.option("--dry-run", is_flag=True, help="Open and judge every input, then stop, as check does.")
@click.option("--overwrite", is_flag=True, help="Delete an earlier run in the folder first.")
@click.option("--resume", is_flag=True, help="Go on with a run: finished years are taken over.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Folder of the run.")
@workers_option
@verb
def run(
    study: Path,
    out: Path | None,
    resume: bool,
    overwrite: bool,
    dry_run: bool,
    quiet: bool,
    execution: Execution,
) -> Any:
    """Run the study STUDY.yaml: grids, boundaries and parcels to panel, weights, Moran's I, models and report."""
    from gistools.study.config import load_config
    from gistools.study.progress import Progress
    from gistools.study.run import run_study

    config = load_config(study)
    if dry_run:
        return _checked(config, study)
    result = run_study(
        config,
        out=out,
        resume=resume,
        overwrite=overwrite,
        execution=execution,
        progress=Progress(len(config.years), quiet=quiet),
    )
    for note in result.notes if not quiet else ():
        click.echo(f"Note: {note}", err=True)
    click.echo(result.summary())
    return result


@click.command()
@click.argument("study", type=FILE)
@verb
def check(study: Path) -> Any:
    """Open and judge every input of STUDY.yaml; compute and write nothing."""
    from gistools.study.config import load_config

    return _checked(load_config(study), study)


def _checked(config: Any, study: Path) -> Any:
    """Say what was found; a problem ends with exit code 2."""
    from gistools.errors import InputError
    from gistools.study.check import check_study

    inputs = check_study(config)
    for note in inputs.notes:
        click.echo(f"Note: {note}", err=True)
    if inputs.problems:
        for problem in inputs.problems[1:]:
            click.echo(f"Problem: {problem}", err=True)
        raise InputError(str(inputs.problems[0]))
    click.echo(inputs.summary())
    click.echo(f"Everything is in order. Next: gistools run {study}")
    return inputs


@click.command()
@click.argument("run_folder", metavar="RUN", type=click.Path(file_okay=False, exists=True, path_type=Path))
@verb
def report(run_folder: Path) -> Any:
    """Write maps and report of the finished run in the folder RUN again."""
    from gistools.study.report import write_report

    path = write_report(run_folder)
    click.echo(f"Report: {path}")
    return {"report": path}
