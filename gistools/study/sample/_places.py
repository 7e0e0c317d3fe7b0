"""Where the cities lie: centres, names, codes, and polygons that tile a country with a crooked coast."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import shapely
from scipy.spatial import Voronoi, cKDTree

from gistools.study.sample._parameters import Parameters

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

CELLS_PER_DEGREE = 120
# The country lies around this point (degrees), where Chinese datums and providers apply too.
MIDDLE = (104.5, 34.5)
ASPECT = 1.6  # width over height, about China's
# Of the waves that bend the borders: the shortest (cells), how many of one length, and the sum of their slopes.
SHORTEST_WAVE, WAVES, SLOPE = 5.0, 3, 0.6

_SITES, _COAST, _WIGGLE, _NAMES, _OFFSET = range(100, 105)

# Characters of invented place names with their Latin spelling; pairs that begin the name of a real Chinese
# prefecture or county are left out below.
_FIRST = {
    **{"云": "Yun", "松": "Song", "柳": "Liu", "枫": "Feng", "梧": "Wu", "槐": "Huai", "桐": "Tong"},
    **{"兰": "Lan", "荷": "He", "菊": "Ju", "竹": "Zhu", "霞": "Xia", "霜": "Shuang", "雁": "Yan"},
    **{"鹭": "Lu", "麟": "Lin", "玉": "Yu", "银": "Yin", "翠": "Cui", "碧": "Bi", "丹": "Dan"},
    **{"墨": "Mo", "棠": "Tang", "杏": "Xing", "樟": "Zhang", "苇": "Wei", "蓼": "Liao", "筠": "Jun"},
}
_SECOND = {
    **{"川": "chuan", "泽": "ze", "桥": "qiao", "岭": "ling", "溪": "xi", "浦": "pu"},
    **{"原": "yuan", "湾": "wan", "渡": "du", "屏": "ping", "湖": "hu", "峡": "xia"},
    **{"塘": "tang", "洲": "zhou", "丘": "qiu", "滩": "tan", "崖": "ya", "坞": "wu"},
}
_REAL = {"云溪", "松岭", "松溪", "松原", "兰溪", "荷塘", "竹溪", "霞浦", "玉溪", "玉屏", "银川", "翠屏"}
_REGIONS = {
    **{"岭": "Ling", "川": "Chuan", "原": "Yuan", "泽": "Ze"},
    **{"洲": "Zhou", "峡": "Xia", "漠": "Mo", "岚": "Lan"},
}
_SIDES = {"东": "dong", "西": "xi", "南": "nan", "北": "bei"}
# First two digits of codes that no real Chinese province uses, so that no city passes for a real one.
_PROVINCE_CODES = [
    *range(16, 20),
    *range(24, 30),
    38,
    39,
    *range(47, 50),
    *range(55, 61),
    *range(66, 71),
    *range(72, 80),
]


@dataclass(frozen=True)
class Places:
    """Cities in the order of their codes.

    Parameters
    ----------
    codes, names, names_en, provinces, provinces_en : tuples of str
    ranks : array of int
        Rank by size, 0 the largest.
    centres : array of float, shape (n, 2)
        Longitude and latitude of the city's centre, degrees, not yet on a cell's centre.
    polygons : array of shapely Polygons
        Degrees; neighbours share their vertices exactly.
    neighbours : array of bool, shape (n, n)
        Whether two cities touch, be it in one point (queen contiguity).
    districts : tuple of tuples of str
        Names of each city's central district, its districts north, east, south and west, and its county.
    unmatched : (str, str)
        Code and name of a city of the yearbook that has no polygon.
    """

    codes: tuple[str, ...]
    names: tuple[str, ...]
    names_en: tuple[str, ...]
    provinces: tuple[str, ...]
    provinces_en: tuple[str, ...]
    ranks: NDArray[np.int64]
    centres: FloatArray
    polygons: NDArray
    neighbours: NDArray[np.bool_]
    districts: tuple[tuple[str, ...], ...]
    unmatched: tuple[str, str]

    def __len__(self) -> int:
        return len(self.codes)


def draw_places(parameters: Parameters) -> Places:
    """Draw the cities of a country.

    Returns
    -------
    Places
    """
    sites, diagram, chosen = _grow(parameters)
    wiggle = _Wiggle(parameters)
    rings = _rings(diagram, chosen, wiggle)
    shift = parameters.generator(_OFFSET).uniform(-0.1, 0.1, (len(chosen), 2)) * parameters.pitch
    centres = wiggle(sites[chosen] + shift)
    # from cells to degrees: a whole number of cells puts the middle of the country near MIDDLE
    everything = np.concatenate(rings)
    origin = np.round(np.array(MIDDLE) * CELLS_PER_DEGREE) * (1, -1) - np.round(
        (everything.min(axis=0) + everything.max(axis=0)) / 2
    )
    scale = np.array([1.0, -1.0]) / CELLS_PER_DEGREE
    polygons = np.array([shapely.Polygon(np.round((ring + origin) * scale, 6)) for ring in rings])
    centres = (centres + origin) * scale

    vertices = [set(diagram.regions[diagram.point_region[site]]) for site in chosen]
    neighbours = np.array([[i != j and bool(a & b) for j, b in enumerate(vertices)] for i, a in enumerate(vertices)])

    rng = parameters.generator(_NAMES)
    # room to the border, times luck: the larger cities lie where there is space for them
    room = shapely.distance(shapely.boundary(polygons), shapely.points(centres))
    ranks = np.argsort(np.argsort(-room * np.exp(rng.normal(0, 0.5, len(room)))))
    province = _provinces(centres, ranks)
    codes = _codes(province, ranks)
    order = np.argsort(codes)
    pairs = [(a + b, _FIRST[a] + _SECOND[b]) for a, b in product(_FIRST, _SECOND) if a + b not in _REAL]
    drawn = [pairs[k] for k in rng.permutation(len(pairs))]
    cities, spare = drawn[: len(chosen)], drawn[len(chosen) :]
    regions = [(a + b, _REGIONS[a] + _SIDES[b]) for a, b in product(_REGIONS, _SIDES)]
    regions = [regions[k] for k in rng.permutation(len(regions))]
    return Places(
        codes=tuple(codes[k] for k in order),
        names=tuple(cities[k][0] + "市" for k in order),
        names_en=tuple(cities[k][1] for k in order),
        provinces=tuple(regions[province[k]][0] + "省" for k in order),
        provinces_en=tuple(regions[province[k]][1] for k in order),
        ranks=ranks[order],
        centres=centres[order],
        polygons=polygons[order],
        neighbours=neighbours[np.ix_(order, order)],
        districts=tuple(_districts(rng, pairs) for _ in order),
        unmatched=("999900", spare[0][0] + "市"),
    )


def _grow(parameters: Parameters) -> tuple[FloatArray, Voronoi, NDArray[np.int64]]:
    """Scatter sites over a rectangle and let the country grow from its middle, one Voronoi cell at a time."""
    n, pitch = parameters.cities, parameters.pitch
    many = int(np.ceil(1.5 * n + 6 * np.sqrt(n) + 30))
    size = np.sqrt(many * pitch**2 * np.array([ASPECT, 1 / ASPECT]))
    rng = parameters.generator(_SITES)
    sites = rng.uniform(0, 1, (many, 2)) * size
    sample = rng.uniform(0, 1, (200 * many, 2)) * size
    for _ in range(4):  # Lloyd's steps: cells of like size, as prefectures have
        nearest = cKDTree(sites).query(sample)[1]
        count = np.bincount(nearest, minlength=many)
        mean = np.stack([np.bincount(nearest, sample[:, axis], many) for axis in (0, 1)], axis=1)
        sites = np.where(count[:, None] > 0, mean / np.maximum(count, 1)[:, None], sites)
    # mirror images across the four sides close every cell; those that touch a side stay sea
    mirrored = [sites]
    for axis in (0, 1):
        for wall in (0.0, size[axis]):
            image = sites.copy()
            image[:, axis] = 2 * wall - image[:, axis]
            mirrored.append(image)
    diagram = Voronoi(np.concatenate(mirrored))
    touching: dict[int, list[int]] = {site: [] for site in range(many)}
    for a, b in diagram.ridge_points:
        if a < many and b < many:
            touching[a].append(int(b))
            touching[b].append(int(a))
    at_wall = {int(p) for pair in diagram.ridge_points if (pair < many).sum() == 1 for p in pair if p < many}

    middle = size / 2
    cost = np.hypot(*((sites - middle) / size).T) + parameters.generator(_COAST).normal(0, 0.06, many)
    start = int(np.argmin(np.hypot(*(sites - middle).T)))
    chosen: list[int] = []
    waiting, seen = [(0.0, start)], {start}
    while len(chosen) < n:
        _, site = heapq.heappop(waiting)
        chosen.append(site)
        for other in touching[site]:
            if other not in seen and other not in at_wall:
                seen.add(other)
                heapq.heappush(waiting, (float(cost[other]), other))
    return sites, diagram, np.sort(np.array(chosen))


class _Wiggle:
    """Bend the plane: straight borders become crooked, and since no two points meet, they still tile.

    One map a wavelength, from long to short. Each adds plane waves whose slopes sum to less than one, so it moves
    a point by less than it is apart from any other: it is one to one, and so is the chain of maps.
    """

    def __init__(self, parameters: Parameters) -> None:
        rng = parameters.generator(_WIGGLE)
        length = 3 * parameters.pitch
        self.maps = []
        while length > SHORTEST_WAVE:
            number = 2 * np.pi / length
            turn, phase = rng.uniform(0, 2 * np.pi, (2, WAVES))
            along = np.stack([np.cos(turn), np.sin(turn)], axis=1)
            # pushed across their course, waves bend borders rather than bunch them
            across = along[:, ::-1] * (-1, 1)
            self.maps.append((number * along.T, phase, (SLOPE / WAVES / number) * across))
            length /= 2.5

    def __call__(self, points: FloatArray) -> FloatArray:
        for wave, phase, push in self.maps:
            points = points + np.sin(points @ wave + phase) @ push
        return points


def _rings(diagram: Voronoi, chosen: NDArray[np.int64], wiggle: _Wiggle) -> list[FloatArray]:
    """Return the bent outline of each cell; an edge of two cells is bent once and used by both."""
    chains: dict[tuple[int, int], FloatArray] = {}

    def chain(a: int, b: int) -> FloatArray:
        key = (min(a, b), max(a, b))
        if key not in chains:
            start, end = diagram.vertices[key[0]], diagram.vertices[key[1]]
            steps = max(1, int(np.ceil(np.hypot(*(end - start)))))  # one vertex a cell
            part = np.arange(steps + 1)[:, None] / steps
            chains[key] = wiggle(start * (1 - part) + end * part)
        return chains[key] if (a, b) == key else chains[key][::-1]

    rings = []
    for site in chosen:
        corners = diagram.regions[diagram.point_region[site]]
        pairs = zip(corners, [*corners[1:], corners[0]], strict=True)
        rings.append(np.concatenate([chain(a, b)[:-1] for a, b in pairs]))
    return rings


def _provinces(centres: FloatArray, ranks: NDArray[np.int64]) -> NDArray[np.int64]:
    """Group cities around capitals that lie far from one another; numbered from north to south."""
    count = int(np.clip(round(len(centres) / 8), 2, 31))
    capitals = [int(np.argmin(ranks))]
    while len(capitals) < count:
        apart = np.min([np.hypot(*(centres - centres[c]).T) for c in capitals], axis=0)
        capitals.append(int(np.argmax(apart)))
    capitals.sort(key=lambda c: -centres[c, 1])
    return np.argmin([np.hypot(*(centres - centres[c]).T) for c in capitals], axis=0)


def _codes(province: NDArray[np.int64], ranks: NDArray[np.int64]) -> list[str]:
    """Six digits as text: province, number of the city in its province by size, 00."""
    codes = [""] * len(ranks)
    for number in np.unique(province):
        members = np.flatnonzero(province == number)
        for place, member in enumerate(members[np.argsort(ranks[members])], start=1):
            codes[member] = f"{_PROVINCE_CODES[number]}{place:02d}00"
    return codes


def _districts(rng: np.random.Generator, pairs: list[tuple[str, str]]) -> tuple[str, ...]:
    """Five districts and a county; names may recur from city to city, as real ones do."""
    drawn = [pairs[k][0] for k in rng.choice(len(pairs), 6, replace=False)]
    return (*(name + "区" for name in drawn[:5]), drawn[5] + "县")
