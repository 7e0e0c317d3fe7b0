"""``gistools parcels geocode``: addresses to points."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gistools.cli.common import COMMA_LIST, FILE, verb

if TYPE_CHECKING:
    from gistools.study.geocoding import GeocodingResult


class Endpoints(click.ParamType):
    """A service and the server that answers in its place: ``NAME=URL``."""

    name = "NAME=URL"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """Split at the equals sign."""
        name, sign, url = str(value).partition("=")
        if not sign:
            self.fail("write it NAME=URL, for example nominatim=http://localhost:8080", param, ctx)
        return name.strip(), url.strip()


@click.command()
@click.argument("table", type=FILE)
@click.option(
    "--out", required=True, type=FILE, help="The records with lon, lat, precision, status; any table format."
)
@click.option(
    "--providers",
    type=COMMA_LIST,
    default="offline",
    show_default=True,
    help="offline, baidu, amap, google, nominatim, in the order they are asked. Offline uses no network.",
)
@click.option("--gazetteer", type=FILE, help="Your own places: name, lon, lat (WGS 84); a table or a vector file.")
@click.option("--boundaries", type=FILE, help="City polygons, to hold every point against.")
@click.option("--code", default="city_code", show_default=True, help="The polygons' column of city codes.")
@click.option("--name", help="The polygons' column of city names.")
@click.option("--province", help="The polygons' column of provinces.")
@click.option(
    "--min-precision",
    type=click.Choice(["address", "road", "place", "street", "district", "city", "province"]),
    help="A coarser answer is not used.  [default: district offline, place where a service is named]",
)
@click.option(
    "--tolerance-km",
    type=click.FloatRange(min=0),
    default=2.0,
    show_default=True,
    help="How far outside its city a point may lie.",
)
@click.option(
    "--check-coordinates", is_flag=True, help="Hold points that came with the records against the cities too."
)
@click.option(
    "--divisions",
    type=click.Choice(["auto", "china", "boundaries"]),
    default="auto",
    show_default=True,
    help="Units addresses are read by: China's, or those the boundaries name.",
)
@click.option(
    "--as-of", type=int, metavar="YEAR", help="Year of the division codes.  [default: the latest there are]"
)
@click.option("--cache", type=FILE, help="Answers of services.  [default: geocode_cache.sqlite beside --out]")
@click.option("--qps", type=click.FloatRange(min=0, min_open=True), help="Requests a second.  [default: by service]")
@click.option("--daily-quota", type=click.IntRange(min=0), help="Requests a day.  [default: by service]")
@click.option("--threads", type=click.IntRange(min=1), help="Requests under way at a time.  [default: by service]")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=10.0,
    show_default=True,
    help="Seconds to wait for an answer.",
)
@click.option("--endpoint", multiple=True, type=Endpoints(), help="A server that answers in a service's place.")
@click.option("--address", help="The table's column of addresses.")
@click.option("--district", help="The table's column of districts as text.")
@click.option("--encoding", help="Of a CSV file that is neither UTF-8 nor GB18030.")
@click.option("--map", "page", type=FILE, help="Points outside their city, as an offline page (.html).")
@click.option("--figure", type=FILE, help="The same as a picture (.png, .svg).")
@verb
def geocode(
    *,
    table: Path,
    out: Path,
    providers: list[str],
    gazetteer: Path | None,
    boundaries: Path | None,
    code: str,
    name: str | None,
    province: str | None,
    min_precision: str | None,
    tolerance_km: float,
    check_coordinates: bool,
    divisions: str,
    as_of: int | None,
    cache: Path | None,
    qps: float | None,
    daily_quota: int | None,
    threads: int | None,
    timeout: float,
    endpoint: tuple[tuple[str, str], ...],
    address: str | None,
    district: str | None,
    encoding: str | None,
    page: Path | None,
    figure: Path | None,
) -> GeocodingResult:
    """Find the points of the addresses of TABLE, and hold each against its city.

    Keys are read from GISTOOLS_BAIDU_KEY, GISTOOLS_AMAP_KEY and GISTOOLS_GOOGLE_KEY. A run that was stopped goes on
    with the same command: what was answered is in the cache.
    """
    from gistools.checks import require_choice
    from gistools.errors import InputError
    from gistools.study.form import require_output
    from gistools.study.geocoding import AskingProgress, GeocodeOptions, geocode_table

    require_output(out)
    if page is not None and page.suffix != ".html":
        raise InputError(f"--map is written as .html, not {page.name}; --figure writes .png and .svg")
    if figure is not None:
        require_choice(figure.suffix, (".png", ".svg"), "the extension of --figure")
    options = GeocodeOptions(
        providers=tuple(providers),
        min_precision=min_precision,
        tolerance_km=tolerance_km,
        check_coordinates=check_coordinates,
        as_of=as_of,
        divisions=divisions,
        cache=cache or out.with_name("geocode_cache.sqlite"),
        per_second=qps,
        per_day=daily_quota,
        threads=threads,
        timeout=timeout,
        endpoints=dict(endpoint),
    )
    try:
        result = geocode_table(
            table,
            out,
            options,
            gazetteer=gazetteer,
            boundaries=boundaries,
            names={"code": code, "name": name, "province": province},
            columns={header: said for header, said in ((address, "address"), (district, "district")) if header},
            encoding=encoding,
            page=page,
            figure=figure,
            progress=AskingProgress,
        )
    except KeyboardInterrupt:
        click.echo(f"Stopped. The answers so far are kept in {options.cache}; the same command goes on.", err=True)
        sys.exit(130)
    click.echo(f"{len(result.parcels):,} records written to {out}")
    click.echo(result.counts().to_string(index=False))
    for account in result.services:
        click.echo(
            f"{account.provider}: {account.queries:,} addresses, {account.cached:,} of them answered before; "
            f"{account.requests:,} requests, {account.retries:,} of them repeated"
        )
    for said in result.failures:
        click.echo(f"Left: {said}", err=True)
    return result
