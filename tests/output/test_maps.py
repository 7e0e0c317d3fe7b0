"""Maps: true areas and distances, classes and counts, missing values shown, names as text, the same bytes."""

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from affine import Affine
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from pyproj import CRS, Transformer
from run_factory import HOSTILE, YEARS, make_cities, make_clip, make_panel

from gistools.errors import BoundaryError, CrsError, GridError, InputError, TableError
from gistools.grid import GEOD, WGS84, Grid, Window
from gistools.output import _geography
from gistools.output.maps import figure_png, plot_choropleth, plot_city, plot_city_years, save_figure
from gistools.study._run_folder import _read_clip

CITIES = make_cities()
PANEL = make_panel(CITIES)


def clip_of(tmp_path, k=0, growth=0.8):
    """A clip through a file, as a run leaves it, and its CBD."""
    from gistools.io.geotiff import write_geotiff

    bands, grid, cbd = make_clip(CITIES.geometry.iloc[k], growth)
    path = tmp_path / "clip.tif"
    write_geotiff(path, bands, grid, nodata=float("nan"))
    return _read_clip(path, "DN"), grid, cbd


def values(year=2007, column="sprawl_index"):
    return PANEL[PANEL["year"] == year].set_index("city_code")[column]


def city_legend(figure):
    return [text.get_text() for text in figure.axes[2].get_legend().get_texts()]


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


# --- the ground -------------------------------------------------------------------------------------------------


def test_the_projection_keeps_areas():
    """Cells of one degree have their geodesic area, far from the middle too."""
    boxes = shapely.segmentize(shapely.box([75, 104, 130], [20, 35, 50], [76, 105, 131], [21, 36, 51]), 0.002)
    crs = _geography.equal_area_crs([75, 131], [20, 51])
    planar = gpd.GeoSeries(boxes, crs=4326).to_crs(crs).area / 1e6
    for box, area in zip(boxes, planar, strict=True):
        west, _, _, north = box.bounds
        grid = Grid(WGS84, Affine(1, 0, west, 0, -1, north), (1, 1))
        assert area == pytest.approx(grid.cell_area_km2(grid.whole)[0, 0], rel=1e-7)


@pytest.mark.parametrize(
    ("lon", "middle"), [([100, 110], 105), ([170, -170], 180), ([-10, 20], 5), ([179, -178], -179.5), ([30, 30], 30)]
)
def test_the_projection_lies_about_the_middle(lon, middle):
    crs = _geography.equal_area_crs(lon, [0, 10])
    found = {p.name: p.value for p in crs.coordinate_operation.params}
    assert found["Longitude of natural origin"] % 360 == pytest.approx(middle % 360)
    assert found["Latitude of natural origin"] == 5


def test_simplified_neighbours_still_touch():
    cities = make_cities()
    rough = cities.set_geometry(
        [
            shapely.transform(
                shapely.segmentize(g, 0.005),
                lambda xy: xy + 0.004 * np.sin(150 * xy[:, ::-1]),
            )
            for g in cities.geometry
        ],
        crs=4326,
    )
    whole, none = _geography.project(rough)
    simple, tolerance = _geography.project(rough, vertices=1500)
    assert none == 0
    assert tolerance > 0
    assert shapely.get_num_coordinates(np.asarray(simple.geometry.array)).sum() <= 1500
    assert shapely.coverage_is_valid(np.asarray(simple.geometry.array))
    assert simple.area.sum() == pytest.approx(simple.union_all().area, rel=1e-9)
    assert simple.area.sum() == pytest.approx(whole.area.sum(), rel=1e-3)


def test_a_hole_stays_empty():
    ring = shapely.box(0, 0, 3, 3).difference(shapely.box(1, 1, 2, 2))
    for shape in (ring, shapely.reverse(ring), shapely.MultiPolygon([ring])):
        figure = Figure(figsize=(1, 1), dpi=90)
        axes = figure.add_axes((0, 0, 1, 1), xlim=(0, 3), ylim=(0, 3))
        axes.set_axis_off()
        axes.add_collection(PathCollection([_geography.polygon_path(shape)], facecolors="black"))
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        red = np.asarray(canvas.buffer_rgba())[..., 0]
        assert red[45, 45] == 255  # white, inside the hole
        assert red[15, 15] == 0


def test_province_outlines_leave_inner_borders_out():
    lines = _geography.province_outlines(CITIES)
    assert len(lines) == 2
    assert shapely.length(lines).sum() < shapely.length(np.asarray(CITIES.boundary.array)).sum() / 1.5
    assert len(_geography.province_outlines(CITIES.assign(province="one"))) == 0
    assert len(_geography.province_outlines(CITIES.drop(columns="province"))) == 0


# --- all cities -------------------------------------------------------------------------------------------------


def test_a_choropleth_counts_its_classes_and_missing_values():
    figure = plot_choropleth(CITIES, values(), title="Sprawl", unit="0 to 1", k=4)
    texts = legend(figure)
    assert texts[-1] == "no value (1)"
    counts = [int(text[text.index("(") + 1 : -1]) for text in texts]
    assert sum(counts) == 12
    assert max(counts[:-1]) - min(counts[:-1]) <= 1  # quantiles
    assert figure.legends[0].get_title().get_text() == "0 to 1 (number of cities)"
    hatched = [c for c in figure.axes[0].collections if c.get_hatch()]
    assert [len(c.get_paths()) for c in hatched] == [1]


def test_polygons_have_the_colour_of_their_class():
    order = pd.Series(np.arange(12.0), index=CITIES["city_code"])
    figure = plot_choropleth(CITIES, order.sample(frac=1, random_state=1), title="T", breaks=[3, 8])
    ground, _ = _geography.project(CITIES)
    first, second, third = (figure.axes[0].collections[k].get_paths() for k in range(3))
    assert [len(first), len(second), len(third)] == [4, 5, 3]
    inside = [path.contains_point(ground.geometry.iloc[11].representative_point().coords[0]) for path in third]
    assert sum(inside) == 1
    assert legend(figure) == ["0 – 3 (4)", "3 – 8 (5)", "8 – 11 (3)"]


def test_years_share_their_classes():
    table = pd.DataFrame({str(year): values(year) for year in YEARS})
    figure = plot_choropleth(CITIES, table, title="Sprawl", labels=True)
    assert [axes.get_title(loc="left") for axes in figure.axes if axes.get_visible()] == [str(y) for y in YEARS]
    counts = [text[text.index("(") + 1 : -1].split(" | ") for text in legend(figure)]
    assert np.array(counts, int).sum(axis=0).tolist() == [12, 12, 12]


def test_the_scale_bar_is_true():
    figure = plot_choropleth(CITIES, values(), title="T")
    axes = figure.axes[0]
    x, y = axes.lines[-1].get_data()
    text = next(t.get_text() for t in axes.texts if t.get_text().endswith(" km"))
    ground, _ = _geography.project(CITIES)
    to_lonlat = Transformer.from_crs(ground.crs, WGS84, always_xy=True)
    (west, east), (south, north) = to_lonlat.transform([x[1], x[2]], [y[1], y[2]])
    assert GEOD.inv(west, south, east, north)[2] / 1000 == pytest.approx(float(text[:-3]), rel=2e-4)


def test_names_are_text_whatever_they_hold():
    figure = plot_choropleth(CITIES, values(), title="$x_$ 50 % <b>", labels=True)
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert HOSTILE in texts
    assert figure.get_suptitle() == "$x_$ 50 % <b>"
    figure_png(figure)


def test_a_map_is_the_same_bytes_each_time():
    pngs = [figure_png(plot_choropleth(CITIES, values(), title="T", labels=True)) for _ in range(2)]
    assert pngs[0] == pngs[1]
    assert b"matplotlib" not in pngs[0].lower()


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_a_map_is_written_whole_and_the_same(tmp_path, suffix):
    for name in ("a", "b"):
        save_figure(plot_choropleth(CITIES, values(), title="T"), tmp_path / "maps" / f"{name}{suffix}")
    a, b = ((tmp_path / "maps" / f"{name}{suffix}").read_bytes() for name in ("a", "b"))
    assert a == b
    assert len(list((tmp_path / "maps").iterdir())) == 2
    with pytest.raises(InputError, match=r"\.png, \.svg"):
        save_figure(plot_choropleth(CITIES, values(), title="T"), tmp_path / "a.gif")


def test_the_users_settings_neither_change_a_map_nor_are_changed():
    import matplotlib as mpl

    plain = figure_png(plot_choropleth(CITIES, values(), title="T"))
    with mpl.rc_context({"font.size": 30, "figure.facecolor": "red", "savefig.dpi": 20, "axes.facecolor": "black"}):
        before = dict(mpl.rcParams)
        assert figure_png(plot_choropleth(CITIES, values(), title="T")) == plain
        assert dict(mpl.rcParams) == before


def test_cities_in_any_crs_give_the_same_map():
    projected = CITIES.to_crs(CRS.from_epsg(3857))
    a, b = (plot_choropleth(c, values(), title="T").axes[0].get_xlim() for c in (CITIES, projected))
    assert a == pytest.approx(b, abs=20)  # metres: the middle is rounded to 1e-4 degree


@pytest.mark.parametrize(
    ("cities", "of", "error", "words"),
    [
        (CITIES, values() * np.nan, InputError, "every one is missing"),
        (CITIES, pd.Series({"999": 1.0}), BoundaryError, "999 is the first"),
        (CITIES, pd.concat([values(), values()]), BoundaryError, "more than once"),
        (CITIES.set_crs(None, allow_override=True), values(), CrsError, "no CRS"),
        (CITIES.drop(columns="city_code"), values(), TableError, "city_code"),
        (pd.concat([CITIES, CITIES]), values(), TableError, "more than one row"),
        (CITIES.iloc[:0], values(), BoundaryError, "no polygon"),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_words(cities, of, error, words):
    with pytest.raises(error, match=words):
        plot_choropleth(cities, of, title="T")


# --- one city ---------------------------------------------------------------------------------------------------


def drawn_areas(axes):
    """Areas of the cells of the first mesh of an axes, km2: half the cross product of their diagonals."""
    p = next(c for c in axes.collections if hasattr(c, "get_coordinates")).get_coordinates()
    u, v = p[1:, 1:] - p[:-1, :-1], p[1:, :-1] - p[:-1, 1:]
    return 0.5 * np.abs(u[..., 0] * v[..., 1] - u[..., 1] * v[..., 0])


@pytest.mark.parametrize("crs", ["EPSG:4326", "ESRI:54009"])
def test_cells_are_drawn_in_their_true_size(tmp_path, crs):
    """No stretched degrees: each quadrilateral on the page has the geodesic area of its cell."""
    clip, grid, _ = clip_of(tmp_path)
    if crs != "EPSG:4326":
        x, y = Transformer.from_crs(4326, crs, always_xy=True).transform(103.2, 34.2)
        grid = Grid(CRS.from_user_input(crs), Affine(1000, 0, x, 0, -1000, y), grid.shape)
        clip = clip.drop_vars(("spatial_ref", "x", "y")).rio.write_crs(crs).rio.write_transform(grid.transform)
    figure = plot_city(clip, title="T")
    area = np.broadcast_to(grid.cell_area_km2(Window(0, grid.height, 0, grid.width)), grid.shape)
    assert figure.axes[0].get_aspect() == 1
    np.testing.assert_allclose(drawn_areas(figure.axes[0]), area, rtol=3e-5)


def test_a_city_map_says_the_urban_area_of_the_panel(tmp_path):
    clip, _, cbd = clip_of(tmp_path, 0, 0.5)
    figure = plot_city(clip, boundary=CITIES.geometry.iloc[0], cbd=cbd, title="City")
    row = PANEL[(PANEL["city_code"] == "170100") & (PANEL["year"] == 2001)].iloc[0]
    low, high = (float(t.split(": ")[1].removesuffix(" km2").replace(",", "")) for t in city_legend(figure)[1:3])
    assert low + high == pytest.approx(row["urban_area_km2"], abs=1.0)
    assert city_legend(figure)[-1] == "CBD"
    titles = ["Lights", "Population density", "Urban cells of low and high density"]
    assert [axes.get_title(loc="left") for axes in figure.axes[:3]] == titles


def test_the_colours_of_a_city_reach_as_far_as_those_of_other_years(tmp_path):
    clip, later = clip_of(tmp_path, 0, 0.5)[0], clip_of(tmp_path, 0, 0.8)[0]
    alone = plot_city(clip, title="T")
    beside = plot_city(clip, title="T", like=[later])
    for panel, layer in enumerate(("lights", "density")):
        tops = [float(f.axes[panel].collections[0].norm.vmax) for f in (alone, beside)]
        assert tops == [float(clip[layer].max()), float(later[layer].max())]


def test_radiance_has_a_log_scale_and_digital_numbers_have_none(tmp_path):
    """The brightest cells of a city outshine it by far; what is darker than the scale is black, not missing."""
    clip = clip_of(tmp_path)[0]
    clip["lights"] = clip["lights"] ** 2
    clip["lights"].attrs["units"] = "nW/cm2/sr"
    mesh = plot_city(clip, title="T").axes[0].collections[0]
    assert (mesh.norm.vmin, mesh.norm.vmax) == (0.1, float(clip["lights"].max()))
    assert mesh.norm(np.sqrt(0.1 * mesh.norm.vmax)) == pytest.approx(0.5)
    dark = np.ma.masked_invalid(mesh.get_array()) < 0.1
    assert dark.any()
    np.testing.assert_array_equal(mesh.to_rgba(mesh.get_array())[dark.filled(fill_value=False)][0], (0, 0, 0, 1))
    assert np.ma.is_masked(mesh.get_array())
    clip["lights"].attrs["units"] = "digital number, 0 to 63"
    assert plot_city(clip, title="T").axes[0].collections[0].norm(0.0) == 0.0


def test_the_cbd_is_drawn_in_its_cell(tmp_path):
    clip, grid, cbd = clip_of(tmp_path)
    figure = plot_city(clip, boundary=CITIES.iloc[[0]], cbd={"cbd_lon": cbd[0], "cbd_lat": cbd[1]}, title="T")
    star = next(line for line in figure.axes[0].lines if line.get_marker() == "*")
    x, y = (float(v[0]) for v in star.get_data())
    mesh = next(c for c in figure.axes[0].collections if hasattr(c, "get_coordinates")).get_coordinates()
    row, col = int(grid.row(cbd[1])), int(grid.col(cbd[0]))
    np.testing.assert_allclose((x, y), mesh[row : row + 2, col : col + 2].mean(axis=(0, 1)), atol=1e-3)


def test_a_city_without_cbd_boundary_or_light_is_drawn(tmp_path):
    clip, _, _ = clip_of(tmp_path)
    dark = clip.copy()
    dark["lights"] = clip["lights"] * 0
    dark["density"] = clip["density"] * np.nan
    figure = plot_city(dark, cbd=(np.nan, np.nan), title="T")
    assert "CBD" not in city_legend(figure)
    figure_png(figure)


def test_years_stand_side_by_side_with_their_own_cbds(tmp_path):
    clips = {2001 + k: clip_of(tmp_path, 0, 0.5 + 0.2 * k)[0] for k in range(5)}
    centres = {2001: None, 2003: (103.2, 34.2), 2004: pd.Series({"cbd_lon": 103.2, "cbd_lat": 34.1})}
    figure = plot_city_years(clips, boundary=CITIES.geometry.iloc[0], cbd=centres, title="T")
    shown = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title(loc="left")[:4] for axes in shown] == ["2001", "2002", "2003", "2004", "2005"]
    stars = [sum(line.get_marker() == "*" for line in axes.lines) for axes in shown]
    assert stars == [0, 0, 1, 1, 0]
    areas = [float(axes.get_title(loc="left")[6:].split(" km2")[0].replace(",", "")) for axes in shown]
    assert areas == sorted(areas)


def test_a_clip_that_lacks_a_layer_is_refused(tmp_path):
    clip, _, _ = clip_of(tmp_path)
    with pytest.raises(GridError, match="density_class"):
        plot_city(clip.drop_vars("density_class"), title="T")
    with pytest.raises(InputError, match="no clip"):
        plot_city_years({}, title="T")
    with pytest.raises(BoundaryError, match="str"):
        plot_city(clip, boundary="170100", title="T")
    with pytest.raises(InputError, match="no CRS"):
        plot_city(clip, boundary=CITIES.set_crs(None, allow_override=True), title="T")
