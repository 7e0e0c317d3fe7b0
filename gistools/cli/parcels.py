"""``gistools parcels``: land transactions and their distance to the CBD."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from gistools.cli.common import FILE, LazyGroup, require_apart, verb

if TYPE_CHECKING:
    from gistools.study.parcels import ParcelResult


COMMANDS = {
    "clean": ("gistools.cli.parcels_clean:clean", "Read records as they come, and say of each why it is set aside."),
    "geocode": ("gistools.cli.parcels_geocode:geocode", "Find coordinates of addresses, offline or by a service."),
    "datum": ("gistools.cli.parcels_datum:datum", "Convert coordinates between GCJ-02, BD-09 and WGS 84."),
    "distance": ("gistools.cli.parcels:distance", "Geodesic distance of each parcel to the CBD of its own city."),
    "regulation": (
        "gistools.cli.parcels_regulation:regulation",
        "Legal floor-area-ratio cap at each city's CBD by year, from a hedonic of the parcels.",
    ),
}


@click.group(cls=LazyGroup, lazy=COMMANDS)
def parcels() -> None:
    """Land transactions: cleaned, geocoded, measured, and the regulation of their floor-area ratios."""


@click.command()
@click.argument("table", type=FILE)
@click.option("--cbds", required=True, type=FILE, help="A panel or table with city_code, cbd_lon, cbd_lat.")
@click.option("--boundaries", type=FILE, help="City polygons, to find the city of each parcel.")
@click.option("--code", default="city_code", show_default=True, help="The polygons' column of city codes.")
@click.option("--lon", help="The parcels' column of longitudes (WGS 84).")
@click.option("--lat", help="The parcels' column of latitudes (WGS 84).")
@click.option("--encoding", help="Of a CSV file that is neither UTF-8 nor GB18030.")
@click.option(
    "--out", required=True, type=FILE, help="Parcels with city_code, distance_km, status; any table format."
)
@verb
def distance(
    table: Path,
    cbds: Path,
    boundaries: Path | None,
    code: str,
    lon: str | None,
    lat: str | None,
    encoding: str | None,
    out: Path,
) -> ParcelResult:
    """Geodesic distance of each parcel of TABLE to the CBD of its own city, km."""
    from gistools.io.tables import read_table
    from gistools.io.vectors import read_boundaries
    from gistools.study.form import require_output
    from gistools.study.parcels import funnel_path, measure_distance, read_parcels, write_parcels

    require_output(out)
    require_apart(outputs={"the funnel": funnel_path(out)})
    named = {header: name for header, name in ((lon, "lon"), (lat, "lat")) if header}
    records = read_parcels(table, encoding=encoding, columns=named)
    if boundaries and "city_code" in records:
        click.echo(f"Note: {table.name} names the city of each parcel; {boundaries.name} is not used", err=True)
    result = measure_distance(
        records,
        read_table(cbds),
        read_boundaries(boundaries, code=code) if boundaries else None,
    )
    write_parcels(result, out)
    for note in result.notes:
        click.echo(f"Note: {note}", err=True)
    click.echo(f"{len(result.parcels)} parcels written to {out}")
    click.echo(result.funnel.to_string(index=False))
    return result
