"""``gistools panel``: build a city-year panel and its codebook."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from gistools.cli.common import FILE, LazyGroup, panel_keys, verb

if TYPE_CHECKING:
    from gistools.study.panel import PanelResult


COMMANDS = {
    "build": ("gistools.cli.panel:build", "Join tables to a panel; every row without a partner is counted."),
    "supply": (
        "gistools.cli.panel_supply:supply",
        "Join a panel with the elasticity of housing supply and its instruments.",
    ),
}


@click.group(cls=LazyGroup, lazy=COMMANDS)
def panel() -> None:
    """Build a city-year panel and its codebook."""


@click.command()
@click.argument("base", type=FILE)
@click.argument("tables", type=FILE, nargs=-1)
@click.option("--policy", type=FILE, help="First treated year of each city; makes the treatment column.")
@click.option("--start", default="start_year", show_default=True, help="The policy's column of first years.")
@click.option("--treatment", default="treated", show_default=True, help="Name of the treatment column.")
@click.option("--encoding", help="Of CSV files that are neither UTF-8 nor GB18030.")
@click.option("--codebook", type=FILE, help="Describe every column in this table.")
@click.option("--out", required=True, type=FILE, help="The panel: .parquet, .csv, .xlsx or .dta.")
@panel_keys
@verb
def build(
    base: Path,
    tables: tuple[Path, ...],
    policy: Path | None,
    start: str,
    treatment: str,
    encoding: str | None,
    codebook: Path | None,
    out: Path,
    id_: str,
    time: str,
) -> PanelResult:
    """Join TABLES to the panel BASE on city_code and year; every row without a partner is counted."""
    from gistools.errors import InputError
    from gistools.study.form import require_output
    from gistools.study.panel import PanelResult, join_panel, read_city_years, write_panel

    require_output(out)
    if codebook is not None:
        require_output(codebook)
        if codebook.resolve() == out.resolve():
            raise InputError(f"--out and --codebook are both {out}; name two files")
    names = [path.stem for path in tables]
    doubled = [path for path in tables if names.count(path.stem) > 1]
    if doubled:  # joins and columns that clash are named by it
        raise InputError(
            f"{doubled[0]} and {doubled[1]} would both be the table '{doubled[0].stem}'; give each file once, and "
            "files of one name another name"
        )
    read = {path.stem: read_city_years(path, code=id_, year=time, encoding=encoding) for path in tables}
    joined = join_panel(
        read_city_years(base, code=id_, year=time, encoding=encoding),
        read,
        policy=read_city_years(policy, code=id_, year=time, encoding=encoding) if policy else None,
        start=start,
        column=treatment,
    )
    write_panel(joined, out, codebook)
    for note in joined.notes:
        click.echo(f"Note: {note}", err=True)
    if len(joined.joins):
        click.echo(joined.joins.to_string(index=False))
    click.echo(f"{len(joined.table)} rows written to {out}")
    return PanelResult(joined)
