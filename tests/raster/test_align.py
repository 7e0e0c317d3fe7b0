"""Lights on the population's lattice: exact overlaps, the stated tie rule, windows that agree with the whole."""

from dataclasses import dataclass

import numpy as np
import pytest
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS, Transformer
from raster_factory import ARC30, MOLLWEIDE, UTM_48N, lonlat_grid, source

from gistools.errors import GridError, InputError
from gistools.grid import WGS84, Block, Grid, Window
from gistools.raster.align import align, describe_alignment

RNG = np.random.default_rng(7)


def unit_grid(shape, *, west=0.0, north=0.0, width=1.0, height=1.0):
    return Grid(UTM_48N, Affine(width, 0, west, 0, -height, north), shape)


def overlaps(light, people):
    """Areas of every population cell with every light cell: shape (rows, cols, light rows, light cols)."""

    def cells(grid):
        (w, h), (r, c) = grid.cell_size, np.indices(grid.shape)
        x, y = grid.x(c), grid.y(r)
        return shapely.box(x - w / 2, y - h / 2, x + w / 2, y + h / 2)

    return shapely.area(shapely.intersection(cells(people)[:, :, None, None], cells(light)[None, None]))


def exact_mean(values, valid, light, people):
    area = overlaps(light, people) * valid
    total = area.sum(axis=(2, 3))
    with np.errstate(invalid="ignore"):
        return (area * np.where(valid, values, 0)).sum(axis=(2, 3)) / total, total > 1e-5 * np.prod(light.cell_size)


# hundredths that are far from the half cells to which noise of cut-off decimals is snapped
OFFSET = st.integers(-300, 300).map(lambda k: k / 97)
RATIO = st.one_of(st.sampled_from([1.0, 2.0, 3.0, 4.0, 0.5, 1 / 3, 0.25]), st.integers(20, 300).map(lambda k: k / 97))


@given(OFFSET, OFFSET, RATIO, RATIO, st.booleans(), st.integers(0, 1000))
@settings(max_examples=80, deadline=None)
def test_mean_is_the_area_weighted_mean_of_the_cells_overlapped(dx, dy, rx, ry, gaps, seed):
    rng = np.random.default_rng(seed)
    light = unit_grid((8, 9), width=1000, height=1000)
    people = unit_grid((4, 5), west=dx * 1000, north=-dy * 1000, width=rx * 1000, height=ry * 1000)
    values = rng.uniform(-5, 60, light.shape)
    valid = rng.random(light.shape) > 0.3 if gaps else np.ones(light.shape, bool)
    expected, covered = exact_mean(values, valid, light, people)
    if overlaps(light, people).sum() == 0:
        return
    got = align(source(values, light, valid), people).read(people.whole)
    assert np.array_equal(got.is_valid(), covered)
    np.testing.assert_allclose(got.values[covered], expected[covered], rtol=1e-9, atol=1e-9)


@given(OFFSET, OFFSET, RATIO, RATIO, st.sampled_from(["mean", "nearest"]), st.data())
@settings(max_examples=60, deadline=None)
def test_any_window_is_a_part_of_the_whole(dx, dy, rx, ry, how, data):
    light = unit_grid((9, 11))
    people = unit_grid((6, 7), west=dx, north=-dy, width=rx, height=ry)
    values = np.arange(99, dtype="uint8").reshape(9, 11)
    try:
        aligned = align(source(values, light), people, how=how)
    except GridError:
        return
    row0, col0 = data.draw(st.integers(0, 5)), data.draw(st.integers(0, 6))
    row1, col1 = data.draw(st.integers(row0 + 1, 6)), data.draw(st.integers(col0 + 1, 7))
    whole, part = aligned.read(people.whole), aligned.read(Window(row0, row1, col0, col1))
    inside = whole.is_valid()[row0:row1, col0:col1]
    assert np.array_equal(part.is_valid(), inside)
    np.testing.assert_allclose(
        part.values[inside], whole.values[row0:row1, col0:col1][inside], rtol=1e-6 if how == "mean" else 0
    )


@given(
    st.one_of(OFFSET, st.integers(-6, 6).map(lambda k: k / 2)),
    st.one_of(OFFSET, st.integers(-6, 6).map(lambda k: k / 2)),
    RATIO,
    RATIO,
)
@settings(max_examples=80, deadline=None)
def test_nearest_is_the_cell_that_holds_the_centre_and_edges_go_west_and_north(dx, dy, rx, ry):
    light = unit_grid((8, 9))
    people = unit_grid((5, 6), west=dx, north=-dy, width=rx, height=ry)
    if overlaps(light, people).sum() == 0:
        return
    values = np.arange(72).reshape(8, 9)
    got = align(source(values, light), people, how="nearest").read(people.whole)

    def cell(position):
        edge = round(position)
        return edge - 1 if abs(position - edge) <= 1e-6 else int(np.floor(position))

    for r in range(5):
        for c in range(6):
            row, col = cell(dy + (r + 0.5) * ry), cell(dx + (c + 0.5) * rx)
            inside = 0 <= row < 8 and 0 <= col < 9
            assert got.is_valid()[r, c] == inside
            if inside:
                assert got.values[r, c] == values[row, col]


# ---------------------------------------------------------------- the real DMSP and LandScan lattices

DMSP_EXACT = Grid(WGS84, Affine(1 / 120, 0, -180 - 1 / 240, 0, -1 / 120, 75 + 1 / 240), (16801, 43201))
# as the global files state it
DMSP_CUT = Grid(WGS84, Affine(0.0083333333, 0, -180.00416666665, 0, -0.0083333333, 75.00416666665), (16801, 43201))
LANDSCAN_84N = Grid(WGS84, Affine(1 / 120, 0, -180, 0, -1 / 120, 84), (20880, 43200))
LANDSCAN_CUT = Grid(WGS84, Affine(0.008333333333333, 0, -180, 0, -0.008333333333333, 90), (21600, 43200))


def number(row, col):
    return ((row * 31 + col * 17 + row * col % 7) % 64).astype("uint8")


@dataclass(frozen=True)
class Formula:
    """A grid too large for memory, whose cells follow from their place."""

    grid: Grid
    name: str = "formula"

    def read(self, window):
        rows = np.arange(window.row0, window.row1, dtype=np.int64)[:, None]
        return Block(number(rows, np.arange(window.col0, window.col1, dtype=np.int64)), None)


@pytest.mark.parametrize("lights", [DMSP_EXACT, DMSP_CUT], ids=["exact", "cut-off size"])
@pytest.mark.parametrize("people", [LANDSCAN_84N, LANDSCAN_CUT], ids=["84N", "90N cut-off size"])
@pytest.mark.parametrize("place", ["north-west", "Wuhan", "south-east"])
def test_half_cell_shift_is_the_plain_mean_of_two_by_two(lights, people, place):
    top = round((people.bounds[3] - 75) * 120)  # the row whose north edge is 75 N
    row0, col0 = {
        "north-west": (top, 0),
        "Wuhan": (top + round((75 - 30.6) * 120), round((180 + 114.3) * 120)),
        "south-east": (top + 16800 - 40, 43200 - 50),
    }[place]
    window = Window(row0, row0 + 40, col0, col0 + 50)
    got = align(Formula(lights), people).read(window)
    assert got.valid is None
    r = np.arange(row0 - top, row0 - top + 41, dtype=np.int64)[:, None]
    corner = number(r, np.arange(col0, col0 + 51, dtype=np.int64)).astype(float)
    four = (corner[:-1, :-1] + corner[:-1, 1:] + corner[1:, :-1] + corner[1:, 1:]) / 4
    assert np.array_equal(got.values, four)
    nearest = align(Formula(lights), people, how="nearest").read(window)
    assert np.array_equal(nearest.values, corner[:-1, :-1])


def test_population_beyond_the_lights_has_no_light():
    got = align(Formula(DMSP_CUT), LANDSCAN_84N).read(Window(1070, 1090, 100, 110))
    # 75 N and half a cell: row 1080 begins at 75 N, and half of row 1079 is covered
    assert got.is_valid().any(axis=1).tolist() == [False] * 9 + [True] * 11
    assert np.array_equal(
        got.values[9],
        (number(np.int64(0), np.arange(100, 110)) + number(np.int64(0), np.arange(101, 111)).astype(float)) / 2,
    )


def test_clip_off_the_lattice_is_weighted_not_snapped():
    # the Texas clip: phases of 0.558 and 0.235 of a cell
    light = lonlat_grid((10, 10), west=104 - (1 - 0.558) * ARC30, north=30 + 0.235 * ARC30)
    people = lonlat_grid((8, 8))
    values = RNG.integers(0, 64, (10, 10)).astype("uint8")
    expected, covered = exact_mean(values, np.ones((10, 10), bool), light, people)
    got = align(source(values, light), people).read(people.whole)
    assert covered.all()
    np.testing.assert_allclose(got.values, expected, rtol=1e-6)
    assert "shifted by 0.442 and 0.235 of a light cell" in describe_alignment(light, people, "mean")


# ---------------------------------------------------------------- missing cells, edges, types


def test_missing_cells_are_left_out_and_cells_of_missing_ones_only_are_missing():
    light = unit_grid((2, 4), west=-0.5, north=0.5)
    people = unit_grid((1, 3))
    values = np.array([[10, 20, 99, 99], [30, 40, 99, 50]], "uint8")
    valid = values != 99
    got = align(source(values, light, valid), people).read(people.whole)
    assert got.is_valid().tolist() == [[True, True, True]]
    assert got.values.tolist() == [[25.0, 30.0, 50.0]]
    valid[:, 2:] = False
    got = align(source(values, light, valid), people).read(people.whole)
    assert got.is_valid().tolist() == [[True, True, False]]


def test_values_of_missing_cells_never_leak():
    light = unit_grid((4, 4), west=-0.5, north=0.5)
    people = unit_grid((3, 3))
    values = np.full((4, 4), 5.0)
    values[1, 1] = np.nan
    got = align(source(values, light), people).read(people.whole)
    assert got.is_valid().all()
    assert got.values == pytest.approx(np.full((3, 3), 5.0))
    huge = np.where(np.isnan(values), -3.4e38, values)
    got = align(source(huge, light, np.isfinite(values)), people).read(people.whole)
    assert got.values == pytest.approx(np.full((3, 3), 5.0))


def test_a_constant_stays_itself_under_every_alignment():
    people = lonlat_grid((20, 20))
    for light in (
        lonlat_grid((45, 45), cell=ARC30 / 2, west=103.99, north=30.01),
        lonlat_grid((30, 30), west=103.97, north=30.03),
        lonlat_grid((5, 5), cell=0.1, west=103.9, north=30.1),
        Grid(UTM_48N, Affine(1000, 0, 380_000, 0, -1000, 3_340_000), (60, 60)),
        Grid(MOLLWEIDE, Affine(1000, 0, 9_480_000, 0, -1000, 3_660_000), (60, 80)),
    ):
        for how in ("mean", "nearest"):
            for dtype in ("uint8", "float32", "int16"):
                got = align(source(np.full(light.shape, 37, dtype), light), people, how=how).read(people.whole)
                assert got.is_valid().all()
                assert np.array_equal(got.values, np.full((20, 20), 37))


@given(OFFSET, OFFSET, RATIO, st.integers(1, 63), st.integers(0, 100))
@settings(max_examples=60, deadline=None)
def test_the_mean_of_tens_is_ten_so_that_a_strict_threshold_is_not_met_by_rounding(dx, dy, ratio, value, seed):
    light = unit_grid((12, 12))
    people = unit_grid((3, 3), west=4 + dx, north=-4 - dy, width=ratio, height=ratio)
    valid = np.random.default_rng(seed).random(light.shape) > 0.3
    for given_valid in (None, valid):
        got = align(source(np.full(light.shape, value, "uint8"), light, given_valid), people).read(people.whole)
        assert (got.values[got.is_valid()] == value).all()


def test_sums_of_many_digital_numbers_do_not_overflow():
    people = unit_grid((2, 2), width=16, height=16)
    light = unit_grid((32, 32))
    for value in (63, 255):
        got = align(source(np.full((32, 32), value, "uint8"), light), people).read(people.whole)
        assert np.array_equal(got.values, np.full((2, 2), value))


def test_the_same_lattice_is_passed_through():
    lights = source(np.zeros((3, 3), "uint8"))
    assert align(lights, lonlat_grid((3, 3))) is lights


def test_offsets_beyond_the_noise_of_decimals_are_kept():
    # 0.7 thousandths of a light cell: far more than decimals cut off, so overlaps are weighed by it
    people = unit_grid((4, 4), west=7.6e-4, north=-1.0, width=0.73)
    light = unit_grid((6, 6))
    values = RNG.integers(0, 64, light.shape).astype("uint8")
    weights = overlaps(light, people)
    got = align(source(values, light), people).read(people.whole)
    expected = (weights * values).sum(axis=(2, 3)) / weights.sum(axis=(2, 3))
    assert got.values == pytest.approx(expected, abs=1e-9)
    # west of the edge by more than a millionth of a cell is west, whatever the lattice's ratio
    shifted = align(source(values, light), unit_grid((4, 4), west=0.5 - 9e-4), how="nearest").read(Window(0, 1, 0, 4))
    assert np.array_equal(shifted.values[0], values[0, :4])
    shifted = align(source(values, light), unit_grid((4, 4), west=0.5 + 9e-4), how="nearest").read(Window(0, 1, 0, 4))
    assert np.array_equal(shifted.values[0], values[0, 1:5])


def test_population_a_thousand_times_finer_than_the_lights_has_light():
    light = unit_grid((3, 3), width=3000.0, height=3000.0)
    people = unit_grid((2, 5), west=1500.0, north=-1500.0)
    valid = np.ones(light.shape, bool)
    valid[2, 2] = False
    got = align(source(np.full(light.shape, 7.0), light, valid), people).read(people.whole)
    assert got.is_valid().all()
    assert (got.values == 7).all()


def test_lights_are_not_changed():
    values = RNG.integers(0, 64, (5, 5)).astype("uint8")
    before = values.copy()
    lights = source(values, lonlat_grid((5, 5), west=104 - ARC30 / 2))
    align(lights, lonlat_grid((4, 4))).read(Window(0, 4, 0, 4))
    assert np.array_equal(values, before)


# ---------------------------------------------------------------- between CRSs


def carried(people, light, steps=24):
    """Outlines of population cells in the CRS of the lights, drawn with many points."""
    to_light = Transformer.from_crs(people.crs, light.crs, always_xy=True)
    t = people.transform
    edge = np.linspace(0, 1, steps, endpoint=False)
    ring_x = np.r_[edge, np.ones(steps), 1 - edge, np.zeros(steps)]
    ring_y = np.r_[np.zeros(steps), edge, np.ones(steps), 1 - edge]
    rows, cols = np.indices(people.shape)
    x, y = to_light.transform(t.c + (cols[..., None] + ring_x) * t.a, t.f + (rows[..., None] + ring_y) * t.e)
    return shapely.polygons(np.stack([x, y], axis=-1))


@pytest.mark.parametrize(
    "people",
    [
        Grid(MOLLWEIDE, Affine(250, 0, 9_570_000, 0, -250, 3_620_000), (16, 18)),
        Grid(MOLLWEIDE, Affine(1000, 0, 9_570_000, 0, -1000, 3_620_000), (12, 14)),
        Grid(UTM_48N, Affine(1000, 0, 420_000, 0, -1000, 3_310_000), (12, 14)),
        Grid(UTM_48N, Affine(5000, 0, 420_000, 0, -5000, 3_310_000), (5, 5)),  # 30 light cells in each
    ],
    ids=["mollweide-250m", "mollweide-1km", "utm-1km", "utm-5km"],
)
def test_mean_between_crss_is_exact(people):
    light = lonlat_grid((90, 90), west=104.0, north=30.1)
    values = RNG.uniform(0, 1, light.shape)  # neighbours have nothing in common
    valid = RNG.random(light.shape) > 0.1
    rows, cols = np.indices(light.shape)
    x, y = light.x(cols), light.y(rows)
    boxes = shapely.box(x - ARC30 / 2, y - ARC30 / 2, x + ARC30 / 2, y + ARC30 / 2).ravel()
    tree = shapely.STRtree(boxes)
    got = align(source(values, light, valid), people).read(people.whole)

    def mean(outline):
        near = tree.query(outline)
        area = shapely.area(shapely.intersection(boxes[near], outline)) * valid.ravel()[near]
        return (area * values.ravel()[near]).sum() / area.sum() if area.sum() > 1e-6 * outline.area else np.nan

    straight = np.vectorize(mean)(carried(people, light, steps=1))
    assert np.isfinite(straight).mean() > 0.8
    assert np.array_equal(got.is_valid(), np.isfinite(straight))
    assert got.values[got.is_valid()] == pytest.approx(straight[got.is_valid()], abs=1e-9)
    # the true sides are curved, by far less than a cell
    curved = np.vectorize(mean)(carried(people, light, steps=24))
    assert np.nanmax(np.abs(curved - straight)) < 2e-3


def test_nearest_between_crss_reads_the_cell_that_holds_the_centre():
    people = Grid(MOLLWEIDE, Affine(250, 0, 9_570_000, 0, -250, 3_620_000), (40, 50))
    light = lonlat_grid((90, 90), west=104.0, north=30.1)
    values = np.arange(8100).reshape(90, 90)
    got = align(source(values, light), people, how="nearest").read(people.whole)
    lon, lat = people.lonlat(*np.indices(people.shape))
    row, col = np.floor(light.row(lat)).astype(int), np.floor(light.col(lon)).astype(int)
    assert np.array_equal(got.values, values[row, col])


def test_a_window_between_crss_is_a_part_of_the_whole():
    people = Grid(MOLLWEIDE, Affine(1000, 0, 9_570_000, 0, -1000, 3_620_000), (30, 40))
    lights = source(RNG.uniform(0, 60, (40, 50)), lonlat_grid((40, 50), west=104.1, north=30.0))
    aligned = align(lights, people)
    whole = aligned.read(people.whole)
    assert 0 < whole.is_valid().sum() < 1200
    part = aligned.read(Window(7, 19, 11, 33))
    assert np.array_equal(part.is_valid(), whole.is_valid()[7:19, 11:33])
    assert part.values[part.is_valid()] == pytest.approx(whole.values[7:19, 11:33][part.is_valid()], rel=1e-12)


def test_a_cell_across_the_antimeridian_is_not_drawn_around_the_world():
    # Taveuni, Fiji: cells of UTM zone 1S on both sides of 180 degrees, lights of 0 west of it and 60 east of it
    people = Grid(CRS.from_epsg(32701), Affine(1000, 0, 174_300, 0, -1000, 8_150_000), (8, 12))
    light = lonlat_grid((30, 360), cell=1.0, west=-180.0, north=0.0)
    values = np.zeros(light.shape)
    values[:, 0] = 60
    got = align(source(values, light), people).read(people.whole)
    lon, _ = people.lonlat(*np.indices(people.shape))
    assert 0.2 < (lon > 0).mean() < 0.8
    assert got.is_valid().all()
    assert set(np.unique(got.values)) == {0.0, 60.0}
    torn = (got.values == 0) != (lon > 0)  # one cell a row lies across: it counts for the side of its first corner
    assert (torn.sum(axis=1) <= 1).all()


def test_world_grids_meet_although_their_corners_do_not():
    people = Grid(MOLLWEIDE, Affine(100_000, 0, -18_041_000, 0, -100_000, 9_020_000), (180, 361))
    lights = source(np.full((140, 360), 7, "uint8"), lonlat_grid((140, 360), cell=1.0, west=-180, north=75))
    for how in ("mean", "nearest"):
        got = align(lights, people, how=how).read(people.whole)
        assert 0.6 < got.is_valid().mean() < 0.8
        assert (got.values[got.is_valid()] == 7).all()


# ---------------------------------------------------------------- refusals and words


@pytest.mark.parametrize(
    "people",
    [
        lonlat_grid((10, 10), west=4.0, north=50.0),
        lonlat_grid((10, 10), west=104 + 10 * ARC30),
        Grid(UTM_48N, Affine(1000, 0, 420_000, 0, -1000, 5_310_000), (12, 14)),
        Grid(MOLLWEIDE, Affine(250, 0, 436_750, 0, -250, 5_892_750), (12, 14)),
    ],
    ids=["far", "beside", "utm", "mollweide"],
)
@pytest.mark.parametrize("how", ["mean", "nearest"])
def test_grids_that_do_not_overlap_are_refused_with_both_extents(people, how):
    lights = source(np.zeros((10, 10), "uint8"), name="F182013.tif")
    with pytest.raises(GridError, match=r"F182013\.tif .*104 to .* and the population grid .* do not overlap"):
        align(lights, people, how=how)


def test_unknown_alignments_are_refused():
    with pytest.raises(InputError, match="align is 'bilinear', but must be one of mean, nearest"):
        align(source(np.zeros((2, 2))), lonlat_grid((2, 2)), how="bilinear")


def test_alignment_in_words():
    people = lonlat_grid((10, 10))
    half = lonlat_grid((11, 11), west=104 - ARC30 / 2, north=30 + ARC30 / 2)
    fine = lonlat_grid((20, 20), cell=ARC30 / 2)
    assert describe_alignment(people, people, "mean") == "lights and population share one lattice"
    assert "1 x 1 light cells, shifted by 0.500 and 0.500" in describe_alignment(half, people, "mean")
    assert describe_alignment(fine, people, "nearest").endswith("nearest reads one light cell in 4")
    assert "nearest reads" not in describe_alignment(half, people, "nearest")
    other = Grid(MOLLWEIDE, Affine(250, 0, 9_570_000, 0, -250, 3_620_000), (40, 50))
    assert "ESRI:54009 by mean" in describe_alignment(people, other, "mean")
