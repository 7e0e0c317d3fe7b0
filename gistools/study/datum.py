"""A table's coordinates from one datum to another, from files to files: every row kept, with a note."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from gistools.checks import listed, require_columns
from gistools.errors import CrsError, InputError, TableError
from gistools.grid import WGS84, geodesic_km
from gistools.io.vectors import read_vector
from gistools.parcels.datum import MAINLAND, convert_datum
from gistools.parcels.distance import IMPOSSIBLE, NO_COORDINATES
from gistools.parcels.records import bare_header, shipped_mapping
from gistools.parcels.values import as_numbers
from gistools.study.parcel_tables import read_typed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gistools.parcels.datum import RegionLike

CONVERTED = "converted"
OUTSIDE_REGION = "outside the region, unchanged"
NOTE = "datum_note"

# Columns that are text whatever they look like.
_TEXT = ("parcel_id", "city_code", "district_code", "adcode", "电子监管号", "城市代码", "行政区划代码")


@dataclass(frozen=True)
class DatumResult:
    """A table with converted coordinates, and how far they moved."""

    table: pd.DataFrame
    source: str
    target: str
    shift_m: NDArray[np.float64]

    def to_dict(self) -> dict[str, Any]:
        """Counts for ``--json``."""
        moved = self.shift_m[(self.table[NOTE] == CONVERTED).to_numpy()]
        return {
            "rows": len(self.table),
            "from": self.source,
            "to": self.target,
            "notes": self.table[NOTE].value_counts().to_dict(),
            "mean_shift_m": float(moved.mean()) if moved.size else None,
            "largest_shift_m": float(moved.max()) if moved.size else None,
        }


def read_points(path: Path, *, encoding: str | None = None) -> pd.DataFrame:
    """Read a table of points; columns of codes stay text.

    Raises
    ------
    TableError
        If it has no rows.
    """
    table = read_typed(path, encoding=encoding, text=_TEXT)
    if table.empty:
        raise TableError(f"{path.name} has no records, only headers")
    return table


def read_region(path: Path) -> Any:
    """Read the polygons of a vector file as one region, in degrees of WGS 84.

    Raises
    ------
    InputError
        If it holds anything but polygons.
    CrsError
        If it has no CRS.
    """
    import shapely

    layer = read_vector(path)
    if layer.crs is None:
        raise CrsError(f"{path.name} has no CRS; write it into the file")
    shapes = layer.geometry.dropna()
    kinds = set(shapes.geom_type) - {"Polygon", "MultiPolygon"}
    if kinds or shapes.empty:
        raise InputError(f"{path.name} holds {listed(sorted(kinds)) or 'nothing'}; a region is made of polygons")
    return shapely.union_all(shapely.make_valid(shapes.to_crs(WGS84).to_numpy()))


def convert_table(
    table: pd.DataFrame,
    source: str,
    target: str,
    *,
    lon: str | None = None,
    lat: str | None = None,
    region: RegionLike = MAINLAND,
) -> DatumResult:
    """Convert the coordinates of a table; other columns and all rows stay.

    Parameters
    ----------
    table : DataFrame
        With a column of longitudes and one of latitudes in degrees, numbers or text.
    source, target : {"wgs84", "gcj02", "bd09"}
        The datum of the coordinates, and the one wanted.
    lon, lat : str, optional
        The columns; by default ``lon`` and ``lat``, or 经度 and 纬度.
    region : {"mainland", "everywhere"} or Polygon or MultiPolygon
        Where the datums differ, see :func:`gistools.parcels.datum.convert_datum`.

    Returns
    -------
    DatumResult
        The table with converted coordinates under their old names, the given ones as ``<name>_<source>``, and
        ``datum_note``: converted, outside the region and unchanged, no coordinates, or impossible ones.

    Raises
    ------
    InputError
        If source and target are one.
    TableError
        If the columns lack, most coordinates are impossible, or a new column's name is taken.

    Examples
    --------
    >>> points = pd.DataFrame({"lon": ["116.404", "126.98", ""], "lat": ["39.915", "37.57", "30"]})
    >>> done = convert_table(points, "gcj02", "wgs84").table
    >>> done[["lon", "lat", "datum_note"]].round(6).values.tolist()  # doctest: +NORMALIZE_WHITESPACE
    [[116.397756, 39.913596, 'converted'], [126.98, 37.57, 'outside the region, unchanged'],
     [nan, nan, 'no coordinates']]
    """
    if source == target:
        raise InputError(f"the coordinates are already {source}; give two different datums")
    east, north = _column(table, lon, "lon"), _column(table, lat, "lat")
    if east == north:
        raise TableError(f"'{east}' is named for longitudes and for latitudes; give --lon and --lat a column each")
    new = [f"{east}_{source}", f"{north}_{source}", NOTE]
    taken = [name for name in new if name in table.columns]
    if taken:
        raise TableError(
            f"the table already has a column {listed(map(repr, taken))}, so it seems converted before; rename it, or "
            "give the table as it was"
        )
    x, y, known, possible = _degrees(table, east, north)
    if len(table) and not known.any():
        raise TableError(f"no row has numbers in '{east}' and '{north}'; name the columns that hold degrees")
    converted = convert_datum(x, y, source, target, region=region)
    stays = (converted[0] == x) & (converted[1] == y)  # inside the region every point moves, by metres at least
    note = np.select([~known, ~possible, stays], [NO_COORDINATES, IMPOSSIBLE, OUTSIDE_REGION], CONVERTED)
    columns: dict[str, Any] = {east: converted[0], north: converted[1]}
    columns.update({new[0]: table[east], new[1]: table[north], NOTE: note})
    result = table.assign(**columns)
    result.attrs = {**table.attrs, "units": _units(table, east, north, source)}
    return DatumResult(result, source, target, 1000 * geodesic_km(x, y, *converted))


def _column(table: pd.DataFrame, named: str | None, standard: str) -> str:
    """The column that is named, or has the standard name, or one of the headers that mean it."""
    if named or standard in table.columns:
        require_columns(table, [named or standard], "the table")
        return named or standard
    known = shipped_mapping().columns
    means = [str(column) for column in table.columns if bare_header(column) in known]
    found = [column for column in means if known[bare_header(column)].name == standard]
    if len(found) != 1:
        what = f"columns {listed(map(repr, found))}" if found else f"no column '{standard}'"
        raise TableError(f"the table has {what}; say which holds it with --{standard}")
    return found[0]


def _degrees(
    table: pd.DataFrame, east: str, north: str
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_]]:
    """Degrees, NaN where they are no place; which are known, and which can be a place."""
    x, y = as_numbers(table[east]), as_numbers(table[north])
    known = np.isfinite(x) & np.isfinite(y)
    beyond = known & ((np.abs(x) > 180) | (np.abs(y) > 90))
    if beyond.sum() > known.sum() / 2:
        first = int(np.argmax(beyond))
        raise TableError(
            f"most of '{east}', '{north}' are no degrees of longitude and latitude (the first is {x[first]:.10g}, "
            f"{y[first]:.10g}); if the two columns are swapped, name them with --lon and --lat"
        )
    possible = known & ~beyond & ~((x == 0) & (y == 0))
    return np.where(possible, x, np.nan), np.where(possible, y, np.nan), known, possible


def _units(table: pd.DataFrame, east: str, north: str, source: str) -> dict[str, str]:
    units = {east: "degrees", north: "degrees", **table.attrs.get("units", {})}
    return {**units, f"{east}_{source}": units[east], f"{north}_{source}": units[north]}
