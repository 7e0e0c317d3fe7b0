"""Vectors: city boundaries in, points and polygons out."""

from __future__ import annotations

import glob
import io
import re
import warnings
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import shapely

from gistools.checks import listed, require_columns
from gistools.errors import BoundaryError, CrsError, InputError
from gistools.io.atomic import atomic_path
from gistools.io.tables import as_text, require_file

DRIVERS = {".gpkg": "GPKG", ".geojson": "GeoJSON", ".json": "GeoJSON", ".fgb": "FlatGeobuf"}


def vector_files(path: str | Path) -> list[Path]:
    """Return every file that a vector file is read from: itself, and the parts of a Shapefile.

    Parameters
    ----------
    path : path

    Returns
    -------
    list of Path
    """
    path = Path(path)
    if path.suffix.lower() != ".shp":
        return [path]
    parts = {p.suffix.lower(): p for p in path.parent.glob(f"{glob.escape(path.stem)}.*")}
    return [path, *(parts[kind] for kind in (".dbf", ".shx", ".prj", ".cpg") if kind in parts)]


def read_vector(path: str | Path, *, encoding: str | None = None) -> gpd.GeoDataFrame:
    """Read a vector file of any format GDAL knows, or GeoParquet.

    Parameters
    ----------
    path : path
    encoding : str, optional
        Of the attribute table of a Shapefile without a ``.cpg`` file, for example ``"gb18030"``.

    Returns
    -------
    GeoDataFrame

    Raises
    ------
    FileMissingError
        If there is no such file.
    InputError
        If it cannot be read, or its text was plainly read in the wrong encoding.
    """
    path = Path(path)
    require_file(path)
    try:
        if path.suffix == ".parquet":
            return gpd.read_parquet(path)
        # GDAL repairs rings with warnings of its own; what matters is judged below, in our words
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            options = {"encoding": encoding} if encoding else {}
            layers = pyogrio.list_layers(path)[:, 0]
            table = gpd.read_file(path, layer=layers[0], **options)
    except UnicodeDecodeError as error:
        said = f"encoding {encoding!r}" if encoding else "the encoding it states"
        raise InputError(
            f"{path} is not text in {said}; name the one it was written in with --encoding, for example gb18030"
        ) from error
    except Exception as error:
        raise InputError(f"{path} cannot be read as a vector file: {str(error).splitlines()[0]}") from error
    if not isinstance(table, gpd.GeoDataFrame):
        raise InputError(f"{path} holds a table without geometry; boundaries need polygons")
    if len(layers) > 1:
        warnings.warn(
            f"{path.name} has {len(layers)} layers ({listed(layers)}) and the first is read; if another is meant, "
            f"write it into a file of its own (ogr2ogr one.gpkg {path.name} {layers[1]})",
            stacklevel=2,
        )
    _refuse_mojibake(table, path)
    return table


def read_boundaries(
    path: str | Path,
    *,
    code: str = "city_code",
    name: str | None = None,
    province: str | None = None,
    name_en: str | None = None,
    province_en: str | None = None,
    encoding: str | None = None,
    repair: bool = False,
) -> gpd.GeoDataFrame:
    """Read city boundaries and judge them: a CRS, unique codes, valid polygons.

    Parameters
    ----------
    path : path
        Any vector format.
    code, name, province : str
        Their columns of codes, names and provinces. Codes become text and keep leading zeros.
    name_en, province_en : str, optional
        Columns of names in Latin letters, for figures where no Chinese font is installed.
    encoding : str, optional
        Of a Shapefile without ``.cpg``.
    repair : bool
        Mend invalid polygons by GEOS' structural method instead of refusing them; the change of area is reported.

    Returns
    -------
    GeoDataFrame
        ``city_code``, ``city_name``, ``province``, ``geometry``, in the order of the file; ``city_name_en`` and
        ``province_en`` where they were asked for.

    Raises
    ------
    CrsError
        If the file has no CRS.
    BoundaryError
        If codes are missing or doubled, or geometries are empty, invalid or not polygons.
    """
    path = Path(path)
    table = read_vector(path, encoding=encoding)
    require_columns(
        pd.DataFrame(table.drop(columns=table.geometry.name)),
        [column for column in (code, name, province, name_en, province_en) if column],
        path.name,
    )
    if not len(table):
        raise BoundaryError(f"{path.name} holds no polygons")
    if table.crs is None:
        raise CrsError(
            f"{path.name} has no CRS; write it into the file (for example ogr2ogr -a_srs EPSG:4326 mended.gpkg "
            f"{path.name}, if its coordinates are longitudes and latitudes)"
        )
    codes = as_text(table[code])
    if codes.isna().any() or (codes == "").any():
        where = np.flatnonzero(codes.isna() | (codes == "")) + 1
        raise BoundaryError(
            f"{path.name}, column '{code}', is empty in feature {listed(where)}; give each city a code"
        )
    doubled = codes[codes.duplicated()].unique()
    if len(doubled):
        raise BoundaryError(
            f"{path.name} has more than one polygon for {code} {listed(doubled)}; dissolve them into one "
            f"(geopandas: cities.dissolve(by='{code}')) or name another column with --code"
        )
    geometry = _polygons(np.asarray(table.geometry.array), codes, path.name, repair)
    _refuse_degrees_out_of_range(geometry, table.crs, path.name)
    columns: dict[str, Any] = {"city_code": codes.to_numpy()}
    columns["city_name"] = _label(table[name]) if name else codes.to_numpy()
    columns["province"] = _label(table[province]) if province else None
    for latin, column in (("city_name_en", name_en), ("province_en", province_en)):
        if column:
            columns[latin] = _label(table[column])
    return gpd.GeoDataFrame(columns, geometry=geometry, crs=table.crs)


def _label(values: pd.Series) -> np.ndarray:
    return values.astype(object).where(values.notna(), None).to_numpy(object)


def _polygons(geometry: np.ndarray, codes: pd.Series, name: str, repair: bool) -> np.ndarray:
    """Check that every geometry is a valid polygon; keep polygon parts of mixed collections."""
    empty = shapely.is_missing(geometry) | shapely.is_empty(geometry)
    if empty.any():
        raise BoundaryError(f"{name}: the polygon of {listed(codes[empty])} is empty; remove or redraw it")
    kinds = shapely.get_type_id(geometry)
    if np.isin(kinds, (0, 1, 2, 4, 5)).any():
        raise BoundaryError(
            f"{name}: {listed(codes[np.isin(kinds, (0, 1, 2, 4, 5))])} is a point or a line; boundaries need polygons"
        )
    geometry = geometry.copy()
    for k in np.flatnonzero(kinds == 7):  # a collection: its polygons are the city
        parts = shapely.get_parts(geometry[k])
        parts = parts[np.isin(shapely.get_type_id(parts), (3, 6))]
        if not len(parts):
            raise BoundaryError(f"{name}: {codes.iloc[k]} is a collection without polygons")
        geometry[k] = shapely.union_all(parts)
    if shapely.has_z(geometry).any():
        geometry = shapely.force_2d(geometry)
    invalid = ~shapely.is_valid(geometry)
    if invalid.any():
        if not repair:
            first = int(np.flatnonzero(invalid)[0])
            raise BoundaryError(
                f"{name}: the polygon of {listed(codes[invalid])} is invalid "
                f"({shapely.is_valid_reason(geometry[first])}); mend it (QGIS: Fix geometries) or run with --repair"
            )
        before = shapely.area(geometry[invalid]).sum()
        geometry[invalid] = shapely.make_valid(geometry[invalid], method="structure", keep_collapsed=False)
        still = shapely.is_empty(geometry) | ~np.isin(shapely.get_type_id(geometry), (3, 6))
        if still.any():
            raise BoundaryError(f"{name}: the polygon of {listed(codes[still])} has no area; redraw it")
        after = shapely.area(geometry[invalid]).sum()
        # the parts of a ring that crosses itself cancel: its area may have been next to nothing
        change = (
            f"changed by {100 * (after / before - 1):.3g} %" if before > 1e-6 * after else "was not defined before"
        )
        warnings.warn(
            f"{name}: mended {invalid.sum()} invalid polygons ({listed(codes[invalid])}); their area {change}",
            stacklevel=3,
        )
    return geometry


def _refuse_degrees_out_of_range(geometry: np.ndarray, crs: Any, name: str) -> None:
    """Catch projected coordinates under a CRS of degrees."""
    west, south, east, north = shapely.total_bounds(geometry)
    if crs.is_geographic and (max(abs(west), abs(east)) > 361 or max(abs(south), abs(north)) > 91):
        raise CrsError(
            f"{name} says its coordinates are degrees ({crs.name}), but they run to "
            f"{max(abs(east), abs(north)):.0f}: its CRS is wrong; write the true one into the file (ogr2ogr -a_srs)"
        )
    if crs.is_projected and max(abs(west), abs(east)) <= 180 and max(abs(south), abs(north)) <= 90:
        raise CrsError(
            f"{name} says its coordinates are metres ({crs.name}), but they look like degrees: its CRS is wrong; "
            "write the true one into the file (ogr2ogr -a_srs EPSG:4326)"
        )


def _refuse_mojibake(table: pd.DataFrame, path: Path) -> None:
    """Refuse text that is Chinese read as Latin letters: a Shapefile in GBK without a .cpg file."""
    for column in table.columns:
        values = table[column]
        if column == table.geometry.name or pd.api.types.is_numeric_dtype(values):
            continue
        # GeoJSON may hold lists and maps too
        texts = list(dict.fromkeys(v for v in values if isinstance(v, str) and not v.isascii()))[:500]
        for encoding in ("utf-8", "gb18030"):
            mended = [(text, true) for text in texts if (true := misread_chinese(text, encoding))]
            if texts and len(mended) > len(texts) / 2:
                raise InputError(
                    f"{path.name}, column '{column}', reads {mended[0][0]!r}, which is {mended[0][1]!r} in "
                    f"{encoding.upper()}: the file was read in the wrong encoding; give --encoding {encoding}, or "
                    "put a .cpg file beside it"
                )


def misread_chinese(text: str, encoding: str = "gb18030") -> str | None:
    r"""Return the Chinese text of an encoding that was read as Latin-1 (text of any language in UTF-8), or None.

    Examples
    --------
    >>> misread_chinese("Îäºº")
    '武汉'
    >>> misread_chinese("å\x8c\x97äº¬", "utf-8")
    '北京'
    >>> misread_chinese("São Tomé") is None
    True
    """
    # every run of non-ASCII letters must be whole characters of the Chinese blocks: two bytes each in GB2312
    runs = re.findall(r"[^\x00-\x7f]+", text)
    if not runs or (encoding == "gb18030" and any(len(run) % 2 for run in runs)):
        return None
    try:
        pairs = text.encode("cp1252" if any(c >= "\u0100" for c in text) else "latin-1")
        decoded = pairs.decode(encoding)
    except UnicodeError:
        return None
    found = [c for c in decoded if not c.isascii()]
    if encoding == "utf-8":  # Latin letters are next to never UTF-8 by chance, so any language will do
        return decoded
    return decoded if found and all("一" <= c <= "鿿" or c in "（）·" for c in found) else None


def write_vector(table: gpd.GeoDataFrame, path: str | Path) -> None:
    """Write a vector file, whole or not at all; its extension says how.

    Parameters
    ----------
    table : GeoDataFrame
    path : path
        ``.gpkg``, ``.geojson``, ``.fgb`` or ``.parquet``.

    Raises
    ------
    InputError
        If the extension is none of these.
    OutputError
        If the file cannot be written.
    """
    path = Path(path)
    if path.suffix != ".parquet" and path.suffix not in DRIVERS:
        raise InputError(f"{path}: vectors are written as {listed([*DRIVERS, '.parquet'])}, by extension")
    memory = io.BytesIO()  # encoded in memory first: GDAL reports a full disk as a fault of the features
    if path.suffix == ".parquet":
        table.to_parquet(memory, index=False)
    else:
        table.to_file(memory, driver=DRIVERS[path.suffix], layer=path.stem, engine="pyogrio")
    with atomic_path(path) as temporary:
        temporary.write_bytes(memory.getbuffer())
