"""The cells of cities in one slab of rows, made compact: sums by run of cells, and values where they are kept.

A piece is a run of cells of one city, or the part of a single cell that a city covers. Sums by piece are joined into
sums by city in the order of the rows, so that neither the cut into slabs nor the number of workers changes a bit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from gistools.errors import GridError
from gistools.grid import Block, GridSource, Window

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from gistools.raster.zones import Zones

Keep = Literal["nothing", "values", "tallies"]

# Rows of a slab: enough cells that a task is worth its overhead, few enough that memory stays small.
SLAB_CELLS = 4_000_000
SLAB_ROWS = 512
# What a cell of a slab takes while it is gathered, at the most.
CELL_BYTES = 64
# Shares are of classes; a slab with more values than this holds a quantity.
MOST_CLASSES = 256
# A tally by direct addressing may take this many numbers.
_TALLY = 4_000_000


class Pieces(NamedTuple):
    """Sums of pieces; arrays of shape (pieces,). The weight of a cell is its covered fraction times its weight."""

    zone: NDArray
    cells: NDArray  # cells with data, by covered fraction
    missing: NDArray  # cells without
    weightless: NDArray  # of these, cells with a value but no weight
    weight: NDArray
    square: NDArray  # of squared weights
    total: NDArray  # of weight times value: whole numbers where values are and nothing weighs them
    spread: NDArray  # of weight times squared distance to the piece's own mean
    low: NDArray
    high: NDArray


class Entries(NamedTuple):
    """Values that are kept: `length` values of one city after the other, and what each weighs (1 where None)."""

    zone: NDArray
    length: NDArray
    value: NDArray
    weight: NDArray | None


class Slab(NamedTuple):
    """What one slab gives: sums and kept values of whole runs, and of the parts of cells along borders."""

    runs: Pieces
    edges: Pieces
    kept: tuple[Entries, Entries] | None


class Task(NamedTuple):
    """One slab to gather.

    `zones` holds the runs without edge cells, and the edge cells. `moments` and `extremes` say which sums are
    needed, `keep` which values, `classes` that they must be classes.
    """

    source: GridSource
    weight: GridSource | Literal["area"] | None
    zones: Zones
    window: Window
    moments: bool
    extremes: bool
    keep: Keep
    classes: bool


def slab_rows(window: Window) -> int:
    """Return how many rows a slab has, so that its cells are neither few nor too many."""
    return min(SLAB_ROWS, max(64, SLAB_CELLS // (window.col1 - window.col0) // 64 * 64))


def read_slab(task: Task) -> tuple[Block, Block | None]:
    """Read the values of a slab, and its weights where they are a grid."""
    block = task.source.read(task.window)
    return block, None if task.weight is None or task.weight == "area" else task.weight.read(task.window)


def gather_slab(task: Task, blocks: tuple[Block, Block | None]) -> Slab:
    """Gather what is needed of the cells of a slab, as :func:`read_slab` gave them."""
    zones, window = task.zones, task.window
    block, weight_block = blocks
    weights, weighed = _weights(task, weight_block)
    inside = zones.labels(window) >= 0
    length = zones.stop.astype(np.int64) - zones.start
    values, valid = block.values[inside], None if block.valid is None else block.valid[inside]
    weight = None if weights is None else weights[inside]
    known = None if weighed is None else weighed[inside]
    missing, weightless = np.zeros_like(length), np.zeros_like(length)
    held = length
    if valid is not None or known is not None:
        every = np.ones(len(values), bool)
        with_value = every if valid is None else valid
        usable = with_value if known is None else with_value & known
        held = _add_by_run(usable, length, np.int64)
        missing = length - held
        weightless = _add_by_run(with_value & ~usable, length, np.int64)
        if not usable.all():
            values = values[usable]
            weight = None if weight is None else weight[usable]
    runs = _runs(zones.zone, held, missing, weightless, values, weight, task)
    edges, at_edges = _edges(task, block, weights, weighed)
    if task.keep == "nothing":
        return Slab(runs, edges, None)
    kept = (Entries(zones.zone, held, values, weight), at_edges)
    if task.keep == "tallies":
        kept = (_tallied(kept[0], task), _tallied(kept[1], task))
    return Slab(runs, edges, kept)


def _weights(task: Task, block: Block | None) -> tuple[NDArray | None, NDArray[np.bool_] | None]:
    """Weights of the cells of a slab, and where there are any (None: everywhere)."""
    if task.weight is None:
        return None, None
    if task.weight == "area" or block is None:
        area = np.broadcast_to(task.zones.grid.cell_area_km2(task.window), task.window.shape)
        finite = np.isfinite(area)
        return area, None if finite.all() else finite
    weight = block.values.astype(np.float64)
    low = float(weight.min() if block.valid is None else weight.min(where=block.valid, initial=0.0))
    if low < 0:
        raise GridError(
            f"{task.weight.name} holds {low:g} where weights are needed; weights are zero or more (if it means no "
            "data, tag it with gdal_edit.py -a_nodata)"
        )
    return weight, block.valid


def _add_by_run(values: NDArray, length: NDArray, dtype: type[np.number]) -> NDArray:
    """Sum consecutive runs of values; runs may be empty."""
    out = np.zeros(len(length), dtype)
    some = length > 0
    if some.any():
        first = (np.cumsum(length) - length)[some]
        out[some] = np.add.reduceat(values, first, dtype=dtype)
    return out


def _runs(
    zone: NDArray,
    held: NDArray,
    missing: NDArray,
    weightless: NDArray,
    values: NDArray,
    weight: NDArray | None,
    task: Task,
) -> Pieces:
    real = values.dtype.kind == "f" or values.dtype == np.uint64
    total: NDArray
    if weight is None:
        mass = square = held.astype(np.float64)
        kind: type[np.number] = np.float64 if real else np.int64
        total = _add_by_run(values.astype(kind, copy=False), held, kind)
    else:
        mass, square = _add_by_run(weight, held, np.float64), _add_by_run(weight * weight, held, np.float64)
        total = _add_by_run(weight * values, held, np.float64)
    spread = np.zeros(len(held))
    if task.moments:
        mean = np.divide(total, mass, out=np.zeros(len(held)), where=mass > 0)
        apart = values - np.repeat(mean, held)
        apart *= apart
        if weight is not None:
            apart *= weight
        spread = _add_by_run(apart, held, np.float64)
    low, high = np.full(len(held), np.inf), np.full(len(held), -np.inf)
    some = held > 0
    if task.extremes and some.any():
        first = (np.cumsum(held) - held)[some]
        low[some], high[some] = np.minimum.reduceat(values, first), np.maximum.reduceat(values, first)
    return Pieces(zone, held, missing, weightless, mass, square, total, spread, low, high)


def _edges(
    task: Task, block: Block, weights: NDArray | None, weighed: NDArray[np.bool_] | None
) -> tuple[Pieces, Entries]:
    """The parts of cells along borders: each a piece of its own, whose value is its mean."""
    edges = task.zones.edges
    if edges is None:
        whole, real = np.zeros(0, np.int64), np.zeros(0)
        none = np.zeros(0, block.values.dtype)
        return Pieces(whole, *[real] * 9), Entries(whole, whole, none, real)
    at = (edges.row - task.window.row0, edges.col - task.window.col0)
    value = block.values[at]
    valid = np.ones(len(value), bool) if block.valid is None else block.valid[at]
    usable = valid if weighed is None else valid & weighed[at]
    fraction = edges.fraction
    weight = fraction if weights is None else fraction * np.where(usable, weights[at], 0.0)
    weight = np.where(usable, weight, 0.0)
    # no data of floating point may be infinite or NaN, whose product with zero is not zero
    plain = np.where(usable, value, 0).astype(np.float64)
    pieces = Pieces(
        edges.zone,
        np.where(usable, fraction, 0.0),
        np.where(usable, 0.0, fraction),
        np.where(valid & ~usable, fraction, 0.0),
        weight,
        weight * weight,
        weight * plain,
        np.zeros(len(value)),
        np.where(usable, plain, np.inf),
        np.where(usable, plain, -np.inf),
    )
    zone = edges.zone[usable]
    return pieces, Entries(zone, np.ones(len(zone), np.int64), value[usable], weight[usable])


def _tallied(kept: Entries, task: Task) -> Entries:
    """Add up the weights of equal values of a city: what is left is one entry a city and value."""
    value, zone = kept.value, np.repeat(kept.zone, kept.length)
    if not len(value):
        return Entries(
            zone, np.zeros(0, np.int64), value, np.zeros(0, np.int64 if kept.weight is None else np.float64)
        )
    low, high = value.min(), value.max()
    cities, local = np.unique(zone, return_inverse=True)
    span = int(high) - int(low) + 1 if value.dtype.kind != "f" else _TALLY + 1
    if span * len(cities) <= _TALLY:
        code = local * span + (value.astype(np.int64) - int(low))
        tally = np.bincount(code, kept.weight, span * len(cities))
        # a value may be there and weigh nothing
        found = np.flatnonzero(tally if kept.weight is None else np.bincount(code, minlength=len(tally)))
        zone, value = cities[found // span], (found % span + int(low)).astype(value.dtype)
        weight = tally[found]
    else:
        order = np.lexsort((value, zone))
        zone, value = zone[order], value[order]
        first = np.flatnonzero(np.r_[True, (zone[1:] != zone[:-1]) | (value[1:] != value[:-1])])
        if kept.weight is None:
            weight = np.diff(np.r_[first, len(value)])
        else:
            weight = np.add.reduceat(kept.weight[order], first)
        zone, value = zone[first], value[first]
    if task.classes:
        _require_classes(value, task.source.name)
    return Entries(zone, np.ones(len(zone), np.int64), value, weight)


def _require_classes(value: NDArray, name: str) -> None:
    """Refuse shares of what are no classes."""
    classes = np.unique(value)
    broken = classes[classes % 1 != 0]
    if len(broken) or len(classes) > MOST_CLASSES:
        seen = f"holds {broken[0]:g}" if len(broken) else f"holds {len(classes)} values and more"
        raise GridError(
            f"{name} {seen}, so it is no map of classes, and the share of each value says nothing; ask for mean, "
            "q50 or others instead of fractions"
        )


def join_pieces(parts: Iterable[Pieces]) -> Pieces:
    """Lay the pieces of all slabs one after the other, in the order of the rows."""
    return Pieces(*(np.concatenate(column) for column in zip(*parts, strict=True)))
