"""``gistools parcels clean``: records as they come to a table in which each has a status."""

from __future__ import annotations

import datetime
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gistools.cli.common import COMMA_LIST, FILE, require_apart, verb

if TYPE_CHECKING:
    from gistools.study.parcel_cleaning import CleaningResult


@click.command()
@click.argument("tables", metavar="TABLE...", nargs=-1)
@click.option("--out", type=FILE, help="Cleaned records: .parquet, .csv or .xlsx.")
@click.option("--mapping", type=FILE, help="Your own headers (YAML); they go before the shipped ones.")
@click.option("--write-mapping", type=FILE, help="Write the shipped headers to this file, to be edited, and stop.")
@click.option("--encoding", help="Of CSV files that are neither UTF-8 nor GB18030.")
@click.option(
    "--skip", type=COMMA_LIST, help="Rules not to apply: numbers, date, mode, use, district, far, duplicates."
)
@click.option("--only", type=COMMA_LIST, help="The only rules to apply.")
@click.option("--numbers", type=COMMA_LIST, help="Columns that must hold numbers.  [default: area_ha,far_max]")
@click.option("--keep-modes", type=COMMA_LIST, help="Words of transfer modes to keep.  [default: 招标,拍卖,挂牌]")
@click.option("--keep-uses", type=COMMA_LIST, help="Words of land uses to keep.  [default: 住宅,住房,居住]")
@click.option("--mixed-use", is_flag=True, help="Keep land for housing and other uses (商住用地) too.")
@click.option("--max-far", type=float, help="The largest plausible limit of the floor-area ratio.  [default: 10]")
@click.option("--earliest", type=click.DateTime(["%Y-%m-%d"]), help="First plausible day.  [default: 1987-01-01]")
@click.option("--latest", type=click.DateTime(["%Y-%m-%d"]), help="Last plausible day.  [default: today]")
@click.option("--funnel", type=FILE, help="Table of what each rule removed.  [default: beside --out, as CSV]")
@click.option("--figure", type=FILE, help="Chart of the same, .png or .svg.")
@click.option("--chunk-rows", type=click.IntRange(min=1), help="Records read at a time.  [default: 100000]")
@verb
def clean(
    tables: tuple[str, ...],
    out: Path | None,
    mapping: Path | None,
    write_mapping: Path | None,
    encoding: str | None,
    funnel: Path | None,
    figure: Path | None,
    chunk_rows: int | None,
    **options: Any,
) -> CleaningResult | None:
    """Clean land-market records: TABLE is a .csv, .parquet or .xlsx file; several, or a pattern, are one table.

    Every record keeps its row and gets a status: "kept", or why it is set aside.
    """
    from gistools.errors import InputError
    from gistools.io.atomic import require_writable
    from gistools.io.record_chunks import CHUNK_ROWS
    from gistools.io.tables import require_table_extension, write_table
    from gistools.study.parcel_cleaning import (
        clean_parcels,
        expand_paths,
        read_header_mapping,
        write_header_mapping,
    )

    if write_mapping is not None:
        write_header_mapping(write_mapping)
        click.echo(f"Headers written to {write_mapping}; edit it and give it as --mapping")
        if not tables:
            return None
    if not tables or out is None:
        raise InputError(f"{'--out' if tables else 'a table to clean'} is missing; see gistools parcels clean --help")
    rules = _rules(**options)
    funnel = funnel or out.with_name(f"{out.stem}_funnel.csv")
    require_table_extension(funnel)
    require_apart(expand_paths(tables), {"--funnel": funnel})
    for path in (funnel, figure):
        if path is not None:
            require_writable(path.parent)
    if figure is not None and figure.suffix not in (".png", ".svg"):
        raise InputError(f"{figure}: figures are written as .png, .svg, by extension")
    headers = read_header_mapping(mapping) if mapping is not None else None
    with click.progressbar(length=1000, label="Cleaning", file=sys.stderr) as bar:

        def progress(share: float, records: int, bar: Any = bar) -> None:
            bar.label = f"{records:,} records"
            bar.update(max(int(1000 * share) - bar.pos, 0))

        result = clean_parcels(
            tables,
            out=out,
            mapping=headers,
            encoding=encoding,
            rules=rules,
            chunk_rows=chunk_rows or CHUNK_ROWS,
            progress=progress,
        )
    write_table(result.funnel, funnel)
    if figure is not None:
        from gistools.output.figures import plot_funnel, save_figure

        save_figure(plot_funnel(result.funnel, title="Land transactions kept and set aside"), figure)
    records = sum(result.counts.values())
    click.echo(f"{records:,} records written to {out}, {result.counts.get('kept', 0):,} of them kept")
    click.echo(result.funnel.to_string(index=False))
    if result.unread:
        cells = ", ".join(f"{column} {number:,}" for column, number in result.unread.items())
        click.echo(f"Cells that could not be read (see cleaning_note): {cells}")
    return result


def _rules(**options: Any) -> Any:
    """Rules from options; those that are not given keep their defaults."""
    from gistools.checks import require_choice
    from gistools.errors import InputError
    from gistools.parcels.cleaning import RULES, CleaningRules

    skip, only = options.pop("skip"), options.pop("only")
    if skip and only:
        raise InputError("--skip and --only exclude each other; give one of them")
    for rule in skip or []:
        require_choice(rule, RULES, "--skip")
    for rule in only or []:
        require_choice(rule, RULES, "--only")
    chosen: dict[str, Any] = {"rules": tuple(only) if only else tuple(r for r in RULES if r not in (skip or []))}
    names = {"keep_modes": "modes", "keep_uses": "uses", "max_far": "far_limit"}
    for option, value in options.items():
        if value is None or value is False:
            continue
        if isinstance(value, datetime.datetime):
            value = value.date()  # noqa: PLW2901
        chosen[names.get(option, option)] = tuple(value) if isinstance(value, list) else value
    return CleaningRules(**chosen)
