"""Figures of weights, clusters and spillovers: who is drawn, in which colour, and what the legend counts."""

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.colors import to_hex

from gistools.errors import BoundaryError, InputError, TableError, WeightsError
from gistools.output.spatial_maps import CLUSTER_COLOURS, plot_clusters, plot_spillovers, require_figure_extension
from gistools.output.weights_map import plot_connectivity, plot_neighbours
from gistools.weights import contiguity_weights, graph_from_matrix, inverse_distance_weights

SIDE = 5
CODES = [f"{r}{c}" for r in range(SIDE) for c in range(SIDE)]
CITIES = gpd.GeoDataFrame(
    {"city_code": CODES},
    geometry=[shapely.box(100 + c, 30 + r, 101 + c, 31 + r) for r in range(SIDE) for c in range(SIDE)],
    crs="EPSG:4326",
)


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def colour_of(axes, codes):
    """The colour in which each city is filled."""
    filled = next(c for c in axes.collections if isinstance(c, PathCollection) and c.get_zorder() == 2)
    return dict(zip(codes, map(to_hex, filled.get_facecolor()), strict=True))


def local_table(years=(None,)):
    cluster = np.array(["none"] * 25, dtype=object)
    cluster[[0, 1]], cluster[[23, 24]], cluster[12], cluster[4] = "HH", "LL", "HL", "LH"
    quadrant = np.where(cluster == "none", "HH", cluster).astype(object)
    quadrant[20] = None
    table = pd.DataFrame({"city_code": CODES, "quadrant": quadrant, "cluster": cluster})
    parts = [table.assign(year=year) if year else table for year in years]
    return pd.concat(parts, ignore_index=True)


def test_clusters_have_their_colours_and_counts():
    figure = plot_clusters(CITIES, local_table(), title="Clusters", note="rate 0.05")
    assert legend(figure) == [
        "high among high (2)", "low among low (2)", "high among low (1)", "low among high (1)", "no cluster (18)",
        "no value or no neighbour (1)",
    ]  # fmt: skip
    drawn = colour_of(figure.axes[0], [code for code in CODES if code != "40"])
    assert drawn["00"] == CLUSTER_COLOURS["HH"]
    assert drawn["44"] == CLUSTER_COLOURS["LL"]
    assert drawn["22"] == CLUSTER_COLOURS["HL"]
    assert drawn["04"] == CLUSTER_COLOURS["LH"]
    assert drawn["31"] == CLUSTER_COLOURS["none"]
    assert figure.legends[0].get_title().get_text() == "rate 0.05"


def test_years_are_panels_and_cities_without_a_row_are_hatched():
    local = local_table((2010, 2011, 2012))
    local = local[~((local["year"] == 2011) & (local["city_code"] == "00"))]
    figure = plot_clusters(CITIES, local, title="Clusters")
    assert [axes.get_title(loc="left") for axes in figure.axes[:3]] == ["2010", "2011", "2012"]
    assert "high among high (2 | 1 | 2)" in legend(figure)
    assert "no value or no neighbour (1 | 2 | 1)" in legend(figure)


def test_tables_that_do_not_fit_a_map_of_clusters():
    with pytest.raises(TableError, match="several rows of a city"):
        plot_clusters(CITIES, pd.concat([local_table(), local_table()]), title="")
    with pytest.raises(BoundaryError, match="1 cities of the local statistics have no polygon: 00"):
        plot_clusters(CITIES.iloc[1:], local_table(), title="")
    with pytest.raises(TableError, match="no column 'cluster'"):
        plot_clusters(CITIES, local_table().drop(columns="cluster"), title="")
    with pytest.raises(InputError, match=r"written as \.png, \.svg"):
        require_figure_extension("map.jpg")


def test_spillovers_of_both_signs_part_at_zero():
    received = pd.Series(np.linspace(-1, 2, 25), index=CODES)
    treated = pd.Series(0, index=CODES)
    treated[["00", "44"]] = 1
    figure = plot_spillovers(CITIES, received, treated, title="Spillovers", unit="effect", k=6)
    labels = legend(figure)
    assert labels[-1] == "treated (2)"
    counts = [int(label.split("(")[1].rstrip(")")) for label in labels[:-1]]
    assert sum(counts) == 25
    edges = [float(label.split(" – ")[0]) for label in labels[:-1]]
    assert 0.0 in edges
    below = sum(count for count, edge in zip(counts, edges, strict=True) if edge < 0)
    assert below == (received <= 0).sum()
    drawn = colour_of(figure.axes[0], CODES)
    blue, orange = (int(drawn[code][5:7], 16) - int(drawn[code][1:3], 16) for code in ("00", "44"))
    assert blue > 0 > orange
    outlined = next(c for c in figure.axes[0].collections if isinstance(c, PathCollection) and c.get_zorder() == 5)
    assert len(outlined.get_paths()) == 2


def test_spillovers_of_one_sign_and_of_missing_cities():
    received = pd.Series(np.linspace(0, 1, 24), index=CODES[:24])
    figure = plot_spillovers(CITIES, received, pd.Series(1, index=CODES), title="Spillovers")
    assert "no value (1)" in legend(figure)
    assert legend(figure)[-1] == "treated (25)"
    constant = plot_spillovers(CITIES, received * 0, pd.Series(0, index=CODES), title="none")
    assert legend(constant) == ["0 (24)", "no value (1)", "treated (0)"]
    with pytest.raises(InputError, match="no value to draw"):
        plot_spillovers(CITIES, received * np.nan, pd.Series(1, index=CODES), title="")


def lines_of(figure):
    return next(c for c in figure.axes[0].collections if isinstance(c, LineCollection) and c.get_zorder() == 3)


def test_links_are_drawn_once_and_islands_marked():
    far = gpd.GeoDataFrame({"city_code": ["far"]}, geometry=[shapely.box(110, 30, 111, 31)], crs="EPSG:4326")
    cities = pd.concat([CITIES, far], ignore_index=True)
    with pytest.warns(UserWarning, match="keep rows of zeros"):
        w = contiguity_weights(cities, rook=True, islands="keep")
    figure = plot_connectivity(cities, w, title="Links")
    assert legend(figure) == ["26 cities", "40 linked pairs", "without a neighbour (1)"]
    segments = lines_of(figure).get_segments()
    assert len(segments) == 40
    lengths = [np.hypot(*(b - a)) / 1000 for a, b in segments]
    assert min(lengths) > 90
    assert max(lengths) < 125
    with pytest.raises(WeightsError, match="1 of 26 cities of the weights are not in the data"):
        plot_connectivity(CITIES, w, title="")


def test_of_dense_weights_the_largest_are_drawn():
    w = inverse_distance_weights(CITIES)
    figure = plot_connectivity(CITIES, w, title="Links")
    assert legend(figure)[1] == "the 4 largest weights of each city, of 300 linked pairs"
    assert 40 <= len(lines_of(figure).get_segments()) <= 100
    points = pd.DataFrame({"city_code": CODES, "lon": np.arange(25.0), "lat": 0.0})
    assert len(lines_of(plot_connectivity(points, w, title="")).get_segments()) <= 100


def test_a_link_in_one_direction_is_a_link():
    one_way = np.zeros((25, 25))
    one_way[3, 9] = 1
    figure = plot_connectivity(CITIES, graph_from_matrix(one_way, CODES), title="")
    assert legend(figure) == ["25 cities", "1 linked pairs", "without a neighbour (23)"]


def test_numbers_of_neighbours():
    rook = plot_neighbours(contiguity_weights(CITIES, rook=True), title="Neighbours")
    assert [int(bar.get_height()) for bar in rook.axes[0].patches] == [0, 0, 4, 12, 9]
    assert rook.axes[0].get_xlabel() == "neighbours of a city (mean 3.20, 2 to 4)"
    n = 200
    lower = graph_from_matrix(np.tril(np.ones((n, n)), -1), range(n))
    many = plot_neighbours(lower, title="").axes[0].patches
    assert len(many) <= 30
    assert sum(bar.get_height() for bar in many) == n
