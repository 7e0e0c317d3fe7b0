"""Spoilt inputs from a seed: GeoTIFFs byte by byte and tag by tag, polygons, YAML studies."""

from __future__ import annotations

import copy
import json
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pyogrio
import yaml
from numpy.random import Generator
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from raster_factory import cell_box, lonlat_grid, write_raster

GRID = lonlat_grid((40, 48))
GOOD, SPOILT = 2012, 2013  # the base year stays whole
CODES = ["0101", "0102", "0201", "0202"]
TIFFS: dict[str, dict[str, Any]] = {
    "striped": {},
    "lzw tiles": {"compress": "lzw", "tiled": True, "blockxsize": 16, "blockysize": 16, "predictor": 2},
    "deflate": {"compress": "deflate"},
    "deflate tiles": {"compress": "deflate", "tiled": True, "blockxsize": 32, "blockysize": 16},
    "big-endian": {"compress": "lzw", "endianness": "big"},
    "bigtiff": {"compress": "deflate", "bigtiff": "yes"},
}
HOSTILE_COUNTS = [0, 1, 2, 3, 7, 255, 256, 65_535, 65_536, 2**24, 2**31 - 1, 2**31, 2**32 - 1]
HOSTILE_FLOATS = [0.0, -0.0, -1.0, 1e-300, 1e300, 1e9, 180.0, 1 / 60, float("nan"), float("inf"), -float("inf")]
COMPRESSIONS = [0, 1, 2, 5, 6, 7, 8, 32773, 32946, 34712, 34887, 34925, 50000, 50001, 65535]
WIDTHS = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}


def values() -> tuple[NDArray, NDArray]:
    """Lights and counts with cities to be found in them, the same for every mutant."""
    rng = np.random.default_rng(11)
    light = rng.integers(0, 64, GRID.shape).astype("uint8")
    light[rng.random(GRID.shape) < 0.05] = 255
    count = rng.gamma(1, 1500, GRID.shape).astype("int32")
    count[rng.random(GRID.shape) < 0.05] = -9999
    return light, count


def cities() -> gpd.GeoDataFrame:
    """Four neighbours that share their borders."""
    shapes = [cell_box(GRID, r, r + 18, c, c + 21) for c in (3, 24) for r in (2, 20)]
    return gpd.GeoDataFrame({"city_code": CODES, "city_name": list("abcd")}, geometry=shapes, crs=4326)


def write_base(folder: Path) -> None:
    """Everything a mutant is put beside."""
    light, count = values()
    for kind, profile in TIFFS.items():
        place = folder / "base" / kind
        place.mkdir(parents=True)
        write_raster(place / "lights.tif", light, GRID, nodata=255, **profile)
        write_raster(place / "people.tif", count, GRID, nodata=-9999, **profile)
    for name, values_, nodata in (("F18", light, 255), ("pop", count, -9999)):
        write_raster(folder / f"{name}{GOOD}.tif", values_, GRID, nodata=nodata)
    table = cities()
    # files that carry the time they were made would be spoilt differently every day
    pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": "2020-01-01T00:00:00Z"})
    table.to_file(folder / "cities.gpkg")
    for ending in ("gpkg", "geojson", "shp"):
        (folder / "base" / ending).mkdir()
        dated = {"DBF_DATE_LAST_UPDATE": "2020-01-01"} if ending == "shp" else {}
        table.to_file(folder / "base" / ending / f"cities.{ending}", **dated)
    study = {
        "name": "fuzz",
        "seed": 3,
        "years": [GOOD],
        "boundaries": {"file": "cities.gpkg", "code": "city_code", "name": "city_name"},
        "lights": {"files": "F18{year}.tif", "product": "dmsp"},
        "population": {"files": "pop{year}.tif"},
        "form": {"min_light": 10, "min_density": 1000, "threshold": "auto", "base_year": GOOD, "radius_km": 3.0},
        "weights": [{"name": "near", "kind": "knn", "k": 2}],
        "moran": {"columns": ["sprawl_index"], "permutations": 99},
        "models": [
            {"name": "m", "model": "pooled", "outcome": "sprawl_index", "x": ["ln_light"], "effects": ["city"]},
        ],
    }
    (folder / "base" / "study.yaml").write_text(yaml.safe_dump(study, sort_keys=False), encoding="utf-8")


# ---------------------------------------------------------------- bytes of any file


def flip(rng: Generator, content: bytes, start: int = 0, stop: int | None = None) -> bytes:
    """Change a few bytes, single bits or whole ones."""
    out = bytearray(content)
    stop = min(stop or len(out), len(out))
    for _ in range(int(rng.integers(1, 9))):
        at = int(rng.integers(start, max(stop, start + 1)))
        if at < len(out):
            out[at] = out[at] ^ (1 << int(rng.integers(8))) if rng.random() < 0.5 else int(rng.integers(256))
    return bytes(out)


def truncate(rng: Generator, content: bytes) -> bytes:
    return content[: int(rng.integers(0, len(content)))]


def blank(rng: Generator, content: bytes) -> bytes:
    """Overwrite a stretch by one value."""
    out = bytearray(content)
    start = int(rng.integers(0, len(out)))
    size = int(rng.integers(1, 400))
    out[start : start + size] = bytes([int(rng.choice([0, 0, 255, 65]))]) * len(out[start : start + size])
    return bytes(out)


def append(rng: Generator, content: bytes) -> bytes:
    return content + rng.bytes(int(rng.integers(1, 2000)))


def swap(rng: Generator, content: bytes) -> bytes:
    """Exchange two stretches."""
    out = bytearray(content)
    size = int(rng.integers(1, 64))
    a, b = (int(v) for v in rng.integers(0, max(len(out) - size, 1), 2))
    out[a : a + size], out[b : b + size] = out[b : b + size], out[a : a + size]
    return bytes(out)


ANY_BYTES: list[Callable[[Generator, bytes], bytes]] = [flip, flip, truncate, blank, append, swap]


# ---------------------------------------------------------------- GeoTIFF


def entries(content: bytes) -> tuple[str, list[tuple[int, int, int, int]]]:
    """Byte order, and position, tag, type and count of every entry of the first directory of a classic TIFF."""
    order = ">" if content[:2] == b"MM" else "<"
    (at,) = struct.unpack_from(f"{order}I", content, 4)
    (count,) = struct.unpack_from(f"{order}H", content, at)
    found = []
    for k in range(count):
        place = at + 2 + 12 * k
        found.append((place, *struct.unpack_from(f"{order}HHI", content, place)))
    return order, found


def tag(rng: Generator, content: bytes) -> bytes:
    """Rewrite one entry: its value, type, count or the tag itself."""
    order, found = entries(content)
    out = bytearray(content)
    place, _, kind, _ = found[int(rng.integers(len(found)))]
    hostile = int(rng.choice(HOSTILE_COUNTS))
    what = rng.integers(5)
    if what == 0:
        struct.pack_into(f"{order}H", out, place, hostile & 0xFFFF)
    elif what == 1:
        struct.pack_into(f"{order}H", out, place + 2, int(rng.integers(0, 20)))
    elif what == 2:
        struct.pack_into(f"{order}I", out, place + 4, hostile)
    elif kind == 3:
        struct.pack_into(f"{order}H", out, place + 8, hostile & 0xFFFF)
    else:
        struct.pack_into(f"{order}I", out, place + 8, hostile)
    return bytes(out)


def set_tag(content: bytes, wanted: int, value: int) -> bytes:
    order, found = entries(content)
    out = bytearray(content)
    for place, number, kind, _ in found:
        if number == wanted:
            struct.pack_into(
                f"{order}{'H' if kind == 3 else 'I'}", out, place + 8, value & (2**16 - 1 if kind == 3 else 2**32 - 1)
            )
    return bytes(out)


def compression(rng: Generator, content: bytes) -> bytes:
    out = set_tag(content, 259, int(rng.choice(COMPRESSIONS)))
    return set_tag(out, 317, int(rng.integers(0, 5))) if rng.random() < 0.3 else out


def size(rng: Generator, content: bytes) -> bytes:
    """Another width, height, tile or strip: huge, none, or a little off."""
    wanted = int(rng.choice([256, 257, 278, 322, 323, 277, 258, 339, 284]))
    near = int(rng.choice([39, 41, 47, 49, 15, 17, 80, 8, 4, 32, 64]))
    return set_tag(content, wanted, near if rng.random() < 0.4 else int(rng.choice(HOSTILE_COUNTS)))


def lattice(rng: Generator, content: bytes) -> bytes:
    """Doubles of the pixel scale and the tie point."""
    order, found = entries(content)
    out = bytearray(content)
    for place, number, _, count in found:
        if number in {33550, 33922} and rng.random() < 0.6:
            (at,) = struct.unpack_from(f"{order}I", out, place + 8)
            value = float(rng.choice(HOSTILE_FLOATS)) if rng.random() < 0.6 else float(rng.normal(0, 100))
            struct.pack_into(f"{order}d", out, at + 8 * int(rng.integers(count)), value)
    return bytes(out)


def missing(rng: Generator, content: bytes) -> bytes:
    """The text that says which value is no data, and the geo keys."""
    order, found = entries(content)
    out = bytearray(content)
    for place, number, kind, count in found:
        if number == 42113:
            text = rng.choice(["nan", "inf", "1e400", "abc", "0", "63", "-1", "255", "65535", ""]).encode()
            text = text[: count - 1].ljust(count, b"\0")
            at = place + 8 if count <= 4 else struct.unpack_from(f"{order}I", out, place + 8)[0]
            out[at : at + count] = text
        if number == 34735 and rng.random() < 0.5:
            (at,) = struct.unpack_from(f"{order}I", out, place + 8)
            key = int(rng.integers(count))
            struct.pack_into(
                f"{order}H", out, at + WIDTHS[kind] * key, int(rng.choice([0, 1, 2, 1024, 4267, 4490, 32648, 32767]))
            )
    return bytes(out)


def cycle(rng: Generator, content: bytes) -> bytes:
    """A next directory that is this one, or lies anywhere."""
    order, found = entries(content)
    out = bytearray(content)
    (at,) = struct.unpack_from(f"{order}I", content, 4)
    target = at if rng.random() < 0.5 else int(rng.integers(0, len(content)))
    struct.pack_into(f"{order}I", out, found[-1][0] + 12, target)
    return bytes(out)


def head(rng: Generator, content: bytes) -> bytes:
    return flip(rng, content, 0, 16)


def directory(rng: Generator, content: bytes) -> bytes:
    _, found = entries(content)
    return flip(rng, content, found[0][0] - 2, found[-1][0] + 16)


CLASSIC: list[Callable[[Generator, bytes], bytes]] = [
    *(tag, tag, size, size, compression, lattice, lattice, missing, cycle, head, directory, directory),
]


def geotiff(rng: Generator, base: Path, folder: Path) -> str:
    """Spoil the lights or the people of one year; return what was done."""
    kind = str(rng.choice(list(TIFFS)))
    part = str(rng.choice(["lights", "people"]))
    ways = ANY_BYTES + (CLASSIC if kind != "bigtiff" else [])
    way = ways[int(rng.integers(len(ways)))]
    for name, stem in (("lights", "F18"), ("people", "pop")):
        content = (base / kind / f"{name}.tif").read_bytes()
        (folder / f"{stem}{SPOILT}.tif").write_bytes(way(rng, content) if name == part else content)
    return f"{kind} {part}: {way.__name__}"


# ---------------------------------------------------------------- polygons


def _leaves(value: Any, path: tuple = ()) -> list[tuple]:
    """Paths of everything inside a document."""
    found = [path] if path else []
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        found += _leaves(item, (*path, key))
    return found


def _at(value: Any, path: tuple) -> Any:
    for key in path:
        value = value[key]
    return value


def _coordinates(rng: Generator, document: dict) -> str:
    ring = document["features"][int(rng.integers(len(CODES)))]["geometry"]["coordinates"][0]
    what = int(rng.integers(9))
    k = int(rng.integers(len(ring)))
    odd = [float("nan"), float("inf"), 1e300, -1e300, 1e9, 400.0, -95.0, "104", None, [], 0, True]
    if what < 4:
        ring[k][int(rng.integers(2))] = odd[int(rng.integers(len(odd)))]
    elif what == 4:
        del ring[int(rng.integers(0, 4)) :]
    elif what == 5 and len(ring) > 3:
        ring[1], ring[2] = ring[2], ring[1]
    elif what == 6:
        ring[:] = [ring[0]] * len(ring)
    elif what == 7:
        ring[:] = [[x + float(rng.normal(0, 0.05)), y + float(rng.normal(0, 0.05))] for x, y in ring]
    else:
        ring[:] = ring[:-1]
    return f"coordinates {what}"


def _structure(rng: Generator, document: dict) -> str:
    features = document["features"]
    feature = features[int(rng.integers(len(features)))]
    what = int(rng.integers(14))
    if what == 0:
        feature["properties"]["city_code"] = features[0]["properties"]["city_code"]
    elif what == 1:
        feature["properties"]["city_code"] = [None, 101, 1.5, "", " ", True, [], "x" * 10_000][int(rng.integers(8))]
    elif what == 2:
        for one in features:
            del one["properties"]["city_code"]
    elif what == 3:
        feature["geometry"] = [None, {}, {"type": "Polygon"}, {"type": "Blob", "coordinates": []}][
            int(rng.integers(4))
        ]
    elif what == 4:
        kind = ["Point", "LineString", "MultiPolygon", "GeometryCollection", "polygon"][int(rng.integers(5))]
        feature["geometry"]["type"] = kind
    elif what == 5:
        document["features"] = []
    elif what == 6:
        features.append(copy.deepcopy(feature))
    elif what == 7:
        features.append(copy.deepcopy(feature))
        features[-1]["properties"]["city_code"] = "0303"
    elif what == 8:
        name = ["EPSG:999999", "urn:ogc:def:crs:EPSG::32648", "nonsense", "", None, "EPSG:3857"][int(rng.integers(6))]
        document["crs"] = {"type": "name", "properties": {"name": name}}
    elif what == 9:
        hole = [[104.03, 29.9], [104.1, 29.9], [104.1, 29.8], [104.03, 29.8], [104.03, 29.9]]
        feature["geometry"]["coordinates"].append([[x + float(rng.normal(0, 0.2)), y] for x, y in hole])
    elif what == 10:
        feature["geometry"]["coordinates"] = [feature["geometry"]["coordinates"]] * int(rng.integers(1, 4))
    elif what == 11:
        document["type"] = ["Feature", "Nothing", None, 3][int(rng.integers(4))]
    elif what == 12:
        feature["geometry"]["coordinates"] = []
    else:
        path = _leaves(document)[int(rng.integers(len(_leaves(document))))]
        _at(document, path[:-1])[path[-1]] = [None, 0, "", [], {}, -1e308, "x" * 99][int(rng.integers(7))]
    return f"structure {what}"


def polygons(rng: Generator, base: Path, folder: Path) -> str:
    """Spoil the boundaries; the path to give stands in `boundaries.txt`."""
    ending = str(rng.choice(["geojson", "geojson", "geojson", "gpkg", "shp"]))
    for old in folder.glob("spoilt.*"):
        old.unlink()
    if ending == "geojson" and rng.random() < 0.75:
        document = json.loads((base / "geojson" / "cities.geojson").read_text())
        done = (_coordinates if rng.random() < 0.5 else _structure)(rng, document)
        (folder / "spoilt.geojson").write_text(json.dumps(document))
        return f"geojson {done}"
    way = ANY_BYTES[int(rng.integers(len(ANY_BYTES)))]
    files = sorted((base / ending).iterdir())
    spoilt = files[int(rng.integers(len(files)))]
    for file in files:
        target = folder / f"spoilt{file.suffix}"
        if file != spoilt:
            target.write_bytes(file.read_bytes())
        elif file.suffix not in {".geojson", ".gpkg", ".shp"} and rng.random() < 0.2:
            continue
        else:
            target.write_bytes(way(rng, file.read_bytes()))
    return f"{spoilt.suffix[1:]}: {way.__name__}"


# ---------------------------------------------------------------- YAML studies


ODD: list[Any] = [
    *(
        None,
        True,
        False,
        0,
        -1,
        1,
        3,
        10**30,
        -(10**400),
        0.5,
        float("nan"),
        float("inf"),
        1e308,
        "",
        " ",
        "auto",
        "x",
    ),
    *(
        [],
        {},
        [[]],
        {"a": 1},
        [None],
        "x" * 20_000,
        "\u202e",
        "２０１２",
        "2012-2013",
        "1e5",
        "../..",
        "/",
        "a\x00b",
        "{year}",
    ),
    *(
        "~",
        "2012",
        "09",
        "NaN",
        "no",
        "12:30:00",
        "2012-01-01",
        [2012, 2012],
        {"file": "cities.gpkg"},
        ["a", 1, None],
    ),
]
TEXTS = [
    "a: &a [*a]\nyears: 2012\n",
    "name: &n {n: *n}\n",
    "name: " + "[" * 3000 + "]" * 3000 + "\n",
    "name: " + "{a: " * 2000 + "1" + "}" * 2000 + "\n",
    "\n".join(
        ["l0: &l0 [x, x]", *(f"l{k}: &l{k} [{', '.join([f'*l{k - 1}'] * 9)}]" for k in range(1, 12)), "name: *l11"]
    ),
    "years: &y [2012]\nname: {<<: *y}\n",
    "name: !!python/object/apply:os.system ['true']\n",
    "name: !!binary aaaa\n",
    "? [a, b]\n: 1\n",
    "? {a: 1}\n: 1\n",
    "--- a\n--- b\n",
    "name: 'unclosed\n",
    "\tname: x\n",
    "name: \x07\n",
    "%YAML 9.9\n---\nname: x\n",
    "years: 1:2:3\n",
    "years: " + "9" * 5000 + "\n",
    "years: 1900-2100\n",
    "name: x\nname: y\n",
    "- a\n- b\n",
    "",
    "null\n",
]


def study(rng: Generator, base: Path, folder: Path) -> str:
    """Spoil the study file."""
    text = (base / "study.yaml").read_text(encoding="utf-8")
    target = folder / "spoilt.yaml"
    what = int(rng.integers(10))
    if what < 2:
        way = ANY_BYTES[int(rng.integers(len(ANY_BYTES)))]
        target.write_bytes(way(rng, text.encode()))
        return f"bytes: {way.__name__}"
    if what == 2:
        k = int(rng.integers(len(TEXTS)))
        tail = TEXTS[k] if rng.random() < 0.5 else f"{text}{TEXTS[k]}"
        target.write_bytes(tail.encode("utf-8", "surrogatepass"))
        return f"text {k}"
    document = yaml.safe_load(text)
    for _ in range(int(rng.integers(1, 3))):
        paths = _leaves(document)
        path = paths[int(rng.integers(len(paths)))]
        place, key = _at(document, path[:-1]), path[-1]
        odd = copy.deepcopy(ODD[int(rng.integers(len(ODD)))])
        if what < 8:
            place[key] = odd
        elif what == 8:
            del place[key]
        elif isinstance(place, dict):
            place[f"{key}x"[:: int(rng.choice([1, -1]))]] = odd
        else:
            place.append(odd)
    target.write_text(yaml.safe_dump(document, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return {8: "key deleted", 9: "key added"}.get(what, "value replaced")


KINDS: dict[str, Callable[[Generator, Path, Path], str]] = {"geotiff": geotiff, "polygons": polygons, "study": study}


def make(kind: str, number: int, seed: int, base: Path, folder: Path) -> str:
    """Write one mutant into a folder: the same for the same kind, number and seed."""
    return KINDS[kind](np.random.default_rng([seed, list(KINDS).index(kind), number]), base, folder)
