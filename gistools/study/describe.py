"""What a grid is: product, place, lattice and the values seen; the verb behind ``gistools lights describe``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gistools.errors import GistoolsError, InputError
from gistools.grid import Grid, GridSource, Product, Window, crs_name
from gistools.io.rasters import UNKNOWN, open_raster, raster_facts
from gistools.raster.calibration import MODELS, choose_calibration, published_coefficients
from gistools.raster.lights import CALIBRATED, DMSP, RADIANCE, lights_product, satellite
from gistools.raster.lights import PRODUCTS as LIGHTS
from gistools.raster.population import COUNTS, population_product
from gistools.raster.population import PRODUCTS as POPULATION
from gistools.raster.tasks import Execution, run_tasks
from gistools.study.light_series import AFTER, LAST_YEAR

_SLAB_CELLS = 8_000_000
_SLAB_ROWS = 512
# Cells whose centres or edges agree to this part of a cell lie on the lattice of 30 arc-seconds.
_ON_LATTICE = 0.01
_YEAR = re.compile(r"(?<!\d)(?:19[89]\d|20[0-4]\d)(?=\d\d(?:\d\d)?(?!\d)|(?!\d))")


@dataclass
class Description:
    """What was found about some grids, and which could not be read."""

    grids: list[dict[str, Any]]
    failures: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """The same as JSON."""
        return {"grids": self.grids, "failures": self.failures}

    def summary(self) -> str:
        """Lines for people, one paragraph a grid."""
        return "\n\n".join(map(_paragraph, self.grids))


class _Seen(NamedTuple):
    """Counts over a slab."""

    valid: int
    zero: int
    negative: int
    saturated: int
    above: int
    smallest: float
    largest: float
    total: float


class _Task(NamedTuple):
    source: GridSource
    window: Window
    product: Product


def describe_grids(
    paths: Sequence[Path], *, product: str = "auto", execution: Execution | None = None
) -> Description:
    """Say what each grid is; every cell is read once.

    Parameters
    ----------
    paths : sequence of Path
        Light or population grids.
    product : str
        ``"auto"`` (by name, tags and number type), or the key of a product of lights or population.
    execution : Execution, optional

    Returns
    -------
    Description
        Grids that cannot be read are among its failures.

    Raises
    ------
    InputError
        If no grid can be read, or the product is not known.
    """
    found, failures, first = [], [], None
    for path in paths:
        try:
            found.append(_describe(Path(path), product, execution))
        except GistoolsError as error:
            first = first or error
            failures.append(f"{path}: {error}")
    if not found and first is not None:
        raise first
    return Description(found, failures)


def _describe(path: Path, name: str, execution: Execution | None) -> dict[str, Any]:
    facts = raster_facts(path)
    product, known = _product(path.name, str(facts["dtype"]), name, facts["tags"])
    # values beyond the product's range are counted here, not refused
    source = open_raster(path, replace(product, valid_max=None))
    grid = source.grid
    rows = min(_SLAB_ROWS, max(64, _SLAB_CELLS // grid.width // 64 * 64))
    tasks = [
        _Task(source, Window(r, min(r + rows, grid.height), 0, grid.width), product)
        for r in range(0, grid.height, rows)
    ]
    seen = _joined(run_tasks(_see, tasks, execution=execution))
    cells = grid.height * grid.width
    assumed = product.nodata if facts["dtype"] == "uint8" and product.nodata != facts["nodata"] else None
    some = seen.valid > 0
    year = _year(path.name, source.tags)
    described = {
        "file": str(path),
        "product": product.name,
        "recognised": known,
        "quantity": product.quantity,
        "satellite": satellite(path.name),
        "year": year,
        "units": product.units,
        "crs": crs_name(grid.crs),
        "rows": grid.height,
        "cols": grid.width,
        "cell_size": list(grid.cell_size),
        "cell_unit": "degrees" if grid.is_geographic else "metres",
        "lattice": lattice(grid),
        "extent": dict(zip(("west", "south", "east", "north"), grid.bounds, strict=True)),
        "dtype": facts["dtype"],
        "nodata_tagged": facts["nodata"],
        "nodata_assumed": assumed,
        "cells": cells,
        "valid_cells": seen.valid,
        "missing_share": 1 - seen.valid / cells,
        "min": seen.smallest if some else None,
        "max": seen.largest if some else None,
        "zero_share": seen.zero / seen.valid if some else None,
        "negative_cells": seen.negative,
        "saturated_share": seen.saturated / seen.valid if some and product.saturated is not None else None,
        "sum": seen.total if some else None,
        "citation": product.citation,
    }
    described["notes"] = _notes(product, described, seen, known=known)
    return described


def _product(name: str, dtype: str, chosen: str, tags: dict[str, str]) -> tuple[Product, bool]:
    """Return the product of a grid, and whether its name, its tags or the user say so."""
    if chosen in LIGHTS or chosen in POPULATION:
        return {**POPULATION, **LIGHTS}[chosen], True
    if chosen != "auto":
        raise InputError(
            f"product {chosen!r} is not known; there are auto, {', '.join(LIGHTS)}, {', '.join(POPULATION)}"
        )
    lights = lights_product(name, "float64", tags=tags)  # as a float it is recognised by name and tags alone
    people = population_product(name)
    if lights is not RADIANCE:
        # a name that holds both, of one product brought to the other's lattice, says nothing
        return lights, people is COUNTS
    if people is not COUNTS:
        return people, True
    return (DMSP if dtype == "uint8" else UNKNOWN), False


def _see(task: _Task) -> _Seen:
    block = task.source.read(task.window)
    valid = block.is_valid()
    values = block.values[valid] if block.valid is not None else block.values.ravel()
    product = task.product
    return _Seen(
        values.size,
        int(np.count_nonzero(values == 0)),
        int(np.count_nonzero(values < 0)),
        0 if product.saturated is None else int(np.count_nonzero(values == product.saturated)),
        0 if product.valid_max is None else int(np.count_nonzero(values > product.valid_max)),
        float(values.min()) if values.size else np.inf,
        float(values.max()) if values.size else -np.inf,
        float(values.sum(dtype=np.float64)),
    )


def _joined(parts: Sequence[_Seen]) -> _Seen:
    return _Seen(
        sum(part.valid for part in parts),
        sum(part.zero for part in parts),
        sum(part.negative for part in parts),
        sum(part.saturated for part in parts),
        sum(part.above for part in parts),
        min(part.smallest for part in parts),
        max(part.largest for part in parts),
        sum(part.total for part in parts),
    )


def lattice(grid: Grid) -> str:
    """Say how the cells lie on the lattice of 30 arc-seconds (multiples of 1/120 degree).

    Parameters
    ----------
    grid : Grid

    Returns
    -------
    str

    Examples
    --------
    >>> from affine import Affine
    >>> from gistools.grid import WGS84
    >>> lattice(Grid(WGS84, Affine(1 / 120, 0, 5, 0, -1 / 120, 50), (2, 2)))
    'cell edges on multiples of 1/120 degree'
    >>> lattice(Grid(WGS84, Affine(1 / 120, 0, 5 - 1 / 240, 0, -1 / 120, 50 + 1 / 240), (2, 2)))
    'cell centres on multiples of 1/120 degree'
    """
    if not grid.is_geographic:
        return "not in degrees"
    size = grid.cell_size
    steps = {round(1 / side) for side in size}
    step = steps.pop()
    if steps or any(abs(side * step - 1) > 1e-4 for side in size) or step % 120:
        return f"cells of {size[0] * 3600:.6g} x {size[1] * 3600:.6g} arc-seconds, of no lattice of 30 arc-seconds"
    west, south, east, north = grid.bounds
    places = np.array([west, south, east, north]) * step
    shift = float(np.abs(places - np.round(places)).max())
    half = float(np.abs(places - 0.5 - np.round(places - 0.5)).max())
    if shift <= _ON_LATTICE:
        return f"cell edges on multiples of 1/{step} degree"
    if half <= _ON_LATTICE:
        return f"cell centres on multiples of 1/{step} degree"
    away = places[[0, 3]] - np.round(places[[0, 3]])
    return (
        f"cells of 1/{step} degree off the lattice: edges lie {away[0]:+.3f} cells east and {away[1]:+.3f} cells "
        f"north of multiples of 1/{step} degree"
    )


def _year(name: str, tags: tuple[tuple[str, str], ...]) -> int | None:
    """Return the year that the tags or the name state."""
    tagged = dict(tags).get("year", "")
    if tagged.isdigit():
        return int(tagged)
    after = re.search(r"F1[0-8]((?:19|20)\d\d)", name)
    if after:
        return int(after[1])
    match = _YEAR.search(name)
    return int(match[0]) if match else None


def _notes(product: Product, described: dict[str, Any], seen: _Seen, *, known: bool) -> list[str]:
    notes = []
    if not known:
        said = "its units are not known" if product is UNKNOWN else f"it is read as {product.name}"
        notes.append(f"the file's name states no product, or two: {said}; say it with --product")
    if seen.above:
        notes.append(
            f"{seen.above} cells exceed {product.valid_max:g}, the end of {product.name}: it is another product, or "
            "a no-data value is not tagged"
        )
    if product is DMSP:
        notes.append(f"DMSP-OLS has no on-board calibration and ends in {LAST_YEAR} {AFTER}")
        notes += _coefficient_notes(described["satellite"], described["year"])
    if product is CALIBRATED:
        notes.append(f"DMSP-OLS ends in {LAST_YEAR} {AFTER}")
    if product.quantity == "lights" and seen.negative:
        notes.append(f"{seen.negative} cells are negative, which radiance may be; they count in the sum")
    if described["nodata_assumed"] is not None:
        notes.append(f"{described['nodata_assumed']:g} is taken for no data, though the file does not tag it")
    return notes


def _coefficient_notes(name: str | None, year: int | None) -> list[str]:
    """Say what the published calibrations do to a satellite-year."""
    if name is None or year is None:
        return ["its name does not state the satellite and year, which a calibration needs"]
    have, lack = [], []
    for model in MODELS:
        try:
            one = choose_calibration(published_coefficients(model), name, year, model=model)
        except InputError:
            lack.append(model)
        else:
            have.append(f"{model} (light > 10 is then a raw {one.lowest_above(10)} and above)")
    if not have:
        return [f"no published calibration has a coefficient for {name} {year}: borrow one, or fit it on a region"]
    return [f"{name} {year} has coefficients in {', '.join(have)}" + (f", none in {', '.join(lack)}" if lack else "")]


def _paragraph(grid: dict[str, Any]) -> str:
    width, height = grid["cell_size"]
    factor, unit = (3600, "arc-seconds") if grid["cell_unit"] == "degrees" else (1, "m")
    place = " ".join(str(grid[name]) for name in ("satellite", "year") if grid[name] is not None)
    nodata = "none tagged" if grid["nodata_tagged"] is None else f"{grid['nodata_tagged']:g} tagged"
    if grid["nodata_assumed"] is not None:
        nodata += f", {grid['nodata_assumed']:g} assumed"
    west, south, east, north = grid["extent"].values()
    lines = [
        ("product", f"{grid['product']}{', ' + place if place else ''}"),
        ("units", grid["units"]),
        ("CRS", grid["crs"]),
        ("cells", f"{grid['rows']} x {grid['cols']} of {width * factor:.6g} x {height * factor:.6g} {unit}"),
        ("lattice", grid["lattice"]),
        ("extent", f"{west:.6f} to {east:.6f} east, {south:.6f} to {north:.6f} north"),
        ("numbers", f"{grid['dtype']}, no data: {nodata}; {grid['missing_share']:.1%} of the cells have none"),
    ]
    if grid["valid_cells"]:
        full = "" if grid["saturated_share"] is None else f", {grid['saturated_share']:.2%} saturated"
        lines.append(("values", f"{grid['min']:.6g} to {grid['max']:.6g}, {grid['zero_share']:.1%} zero{full}"))
        lines.append(("sum", f"{grid['sum']:,.6g}" if abs(grid["sum"]) < 1e6 else f"{grid['sum']:,.0f}"))
    lines += [("note", note) for note in grid["notes"]]
    return "\n".join([grid["file"], *(f"  {name:<8} {said}" for name, said in lines)])
