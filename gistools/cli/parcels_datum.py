"""``gistools parcels datum``: a table's coordinates between GCJ-02, BD-09 and WGS 84."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from gistools.cli.common import FILE, verb

if TYPE_CHECKING:
    from gistools.study.datum import DatumResult

_DATUM = click.Choice(["gcj02", "bd09", "wgs84"])


@click.command()
@click.argument("table", type=FILE)
@click.option(
    "--from",
    "source",
    required=True,
    type=_DATUM,
    help="Datum of the coordinates: gcj02 (Amap, Tencent, Google in the mainland), bd09 (Baidu) or wgs84.",
)
@click.option("--to", "target", default="wgs84", show_default=True, type=_DATUM, help="Datum wanted.")
@click.option("--lon", help="The table's column of longitudes; by default lon or 经度.")
@click.option("--lat", help="The table's column of latitudes; by default lat or 纬度.")
@click.option("--region", type=FILE, help="Polygons within which the datums differ; by default mainland China.")
@click.option("--everywhere", is_flag=True, help="The datums differ at every point of the table.")
@click.option("--encoding", help="Of a CSV file that is neither UTF-8 nor GB18030.")
@click.option("--out", required=True, type=FILE, help="The table with converted coordinates; any table format.")
@verb
def datum(
    table: Path,
    source: str,
    target: str,
    lon: str | None,
    lat: str | None,
    region: Path | None,
    everywhere: bool,
    encoding: str | None,
    out: Path,
) -> DatumResult:
    """Convert the coordinates of TABLE between GCJ-02, BD-09 and WGS 84.

    The given coordinates stay beside the converted ones (lon_gcj02, lat_gcj02), and datum_note says of every row
    whether it was converted or why not.
    """
    from gistools.errors import InputError
    from gistools.io.tables import write_table
    from gistools.parcels.datum import EVERYWHERE, MAINLAND
    from gistools.study.datum import convert_table, read_points, read_region
    from gistools.study.form import require_output

    require_output(out)
    if region and everywhere:
        raise InputError(
            "--region says where the datums differ and --everywhere that they do at every point; give one"
        )
    where = read_region(region) if region else EVERYWHERE if everywhere else MAINLAND
    result = convert_table(read_points(table, encoding=encoding), source, target, lon=lon, lat=lat, region=where)
    write_table(result.table, out)
    counts = result.to_dict()
    click.echo(f"{counts['rows']} rows from {source} to {target} written to {out}")
    click.echo("; ".join(f"{note}: {number}" for note, number in counts["notes"].items()))
    if counts["mean_shift_m"] is None:
        click.echo(
            "Note: no point was converted: none lies where the datums differ; check the coordinates, or give "
            "--region or --everywhere",
            err=True,
        )
    if counts["mean_shift_m"] is not None:
        click.echo(f"shift: {counts['mean_shift_m']:.1f} m on average, {counts['largest_shift_m']:.1f} m at the most")
    return result
