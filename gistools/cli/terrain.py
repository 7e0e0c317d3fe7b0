"""``gistools terrain``: slope, and the land around each CBD that cannot be built on."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gistools.cli.common import FILE, LazyGroup, add_options, verb, workers_option

if TYPE_CHECKING:
    from gistools.raster.tasks import Execution
    from gistools.study.terrain import SlopeResult, TerrainResult

COMMANDS = {
    "undevelopable": (
        "gistools.cli.terrain:undevelopable",
        "Measure the land around each CBD that is too steep, wet, or sea.",
    ),
    "slope": ("gistools.cli.terrain:slope", "Write the slope of a grid of heights as a GeoTIFF."),
}


@click.group(cls=LazyGroup, lazy=COMMANDS)
def terrain() -> None:
    """Slope, water and the share of land around each CBD that cannot be built on."""


# Heights, and how they are read
heights_options = add_options(
    click.option("--dem", required=True, metavar="PATTERN", help="Heights: a file, or its tiles with wildcards."),
    click.option(
        "--edges",
        type=click.Choice(["extrapolate", "missing"]),
        default="extrapolate",
        show_default=True,
        help="A neighbour without height: on the line through the centre, or the cell has no slope.",
    ),
    click.option(
        "--z-factor", type=float, default=1.0, show_default=True, help="Metres in a unit of height (0.3048: feet)."
    ),
)


@click.command()
@heights_options
@click.option("--cbds", required=True, type=FILE, help="A panel or table with city_code, cbd_lon, cbd_lat.")
@click.option("--land-cover", metavar="PATTERN", help="Land-cover classes: a file, or its tiles with wildcards.")
@click.option(
    "--classes",
    metavar="NAME|CODES",
    help="Its product (worldcover, igbp, globeland30, clcd, cnlucc, glc-fcs30), or its wet codes (80,90).",
)
@click.option("--max-slope", type=float, default=15.0, show_default=True, help="Percent; steeper land is left out.")
@click.option("--radius-km", type=float, default=50.0, show_default=True, help="Around the CBD.")
@click.option("--rings", metavar="KM,KM,...", help="Outer edges of rings; by default 5,10,20,30,50 up to the radius.")
@click.option("--sectors", type=int, default=8, show_default=True, help="Of the compass, the first centred on north.")
@click.option(
    "--sea",
    type=click.Choice(["nodata", "below-zero", "land", "none"]),
    help="Cells without height, at or below zero, or outside --land; by default land with --land, else nodata.",
)
@click.option("--land", type=FILE, help="Polygons of the land, any vector format; cells outside them are sea.")
@click.option("--out", required=True, type=FILE, help="One row a city: .parquet, .csv, .xlsx or .dta.")
@click.option("--rings-out", type=FILE, help="One row for each ring and each sector of a city.")
@workers_option
@verb
def undevelopable(
    *,
    dem: str,
    edges: Any,
    z_factor: float,
    cbds: Path,
    land_cover: str | None,
    classes: str | None,
    max_slope: float,
    radius_km: float,
    rings: str | None,
    sectors: int,
    sea: Any,
    land: Path | None,
    out: Path,
    rings_out: Path | None,
    execution: Execution,
) -> TerrainResult:
    """Measure the land around each CBD that is too steep, water or wetland, or sea (Saiz 2010)."""
    from gistools.errors import InputError
    from gistools.io.tables import read_table
    from gistools.raster.land_cover import land_cover as known_cover
    from gistools.raster.undevelopable import TerrainOptions
    from gistools.study.form import require_output
    from gistools.study.terrain import measure_undevelopable, write_undevelopable

    require_output(out)
    if rings_out is not None:
        require_output(rings_out)
    if land is not None and sea not in (None, "land"):
        raise InputError(f"--sea {sea} and --land say two things; give one of them, or --sea land with --land")
    if land is None and sea == "land":
        raise InputError("--sea land needs the polygons of the land; give --land FILE")
    options = TerrainOptions(
        max_slope=max_slope,
        radius_km=radius_km,
        rings=_rings(rings, radius_km),
        sectors=sectors,
        sea=sea or ("nodata" if land is None else "land"),
        edges=edges,
        z_factor=z_factor,
    )
    with _bar("Measuring") as progress:
        result = measure_undevelopable(
            dem,
            read_table(cbds),
            options,
            land_cover=land_cover,
            classes=None if classes is None else known_cover(classes),
            land=land,
            execution=execution,
            progress=progress,
        )
    write_undevelopable(result, out, rings_out)
    for note in result.notes:
        click.echo(f"Note: {note}", err=True)
    click.echo(f"{len(result.found.table)} rows written to {out}")
    if rings_out is not None:
        click.echo(f"{len(result.found.parts)} rings and sectors written to {rings_out}")
    return result


def _rings(text: str | None, radius_km: float) -> tuple[float, ...]:
    """Edges of rings as they were written, or those of the default that lie within the radius."""
    from gistools.errors import InputError
    from gistools.raster.undevelopable import TerrainOptions

    if text is None:
        return tuple(edge for edge in TerrainOptions.rings if edge <= radius_km)
    try:
        return tuple(float(part) for part in text.split(",") if part.strip())
    except ValueError as error:
        raise InputError(f"--rings is {text!r}, but must be distances in km such as 5,10,20") from error


@click.command()
@heights_options
@click.option(
    "--units", type=click.Choice(["percent", "degrees"]), default="percent", show_default=True, help="Of the slope."
)
@click.option("--out", required=True, type=FILE, help="A GeoTIFF of float32, NaN where there is no slope.")
@workers_option
@verb
def slope(*, dem: str, edges: Any, z_factor: float, units: Any, out: Path, execution: Execution) -> SlopeResult:
    """Write the slope of a grid of heights as a GeoTIFF: Horn's differences over true ground distances."""
    from gistools.errors import InputError
    from gistools.io.atomic import require_writable
    from gistools.raster.terrain import slope as slope_of
    from gistools.study.terrain import open_heights, write_slope

    if out.suffix.lower() not in (".tif", ".tiff"):
        raise InputError(f"{out}: a slope is written as .tif or .tiff")
    require_writable(out.parent)
    heights, notes = open_heights(dem, z_factor=z_factor)
    source = slope_of(heights, units=units, edges=edges, z_factor=z_factor)
    with _bar("Writing") as progress:
        result = write_slope(source, out, notes=notes, execution=execution, progress=progress)
    for note in result.notes:
        click.echo(f"Note: {note}", err=True)
    click.echo(
        f"{result.cells} cells written to {out}: {result.without_height} without height, {result.without_slope} "
        f"without slope, {result.edge_cells} beside a missing height"
    )
    return result


@contextmanager
def _bar(label: str) -> Iterator[Callable[[int, int], None] | None]:
    """Show blocks done on a terminal; elsewhere nothing."""
    if not sys.stderr.isatty():
        yield None
        return
    with click.progressbar(length=1, label=label, file=sys.stderr) as bar:

        def progress(done: int, of: int) -> None:
            bar.length = of
            bar.update(done - bar.pos)

        yield progress
