"""Maps of flagged points: every point drawn where it lies, counted by reason, and an offline page."""

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely

from gistools.errors import TableError
from gistools.output._geography import project, to_projection
from gistools.output.parcel_maps import flagged_map, plot_flagged, save_figure

CITIES = gpd.GeoDataFrame(
    {"city_code": ["1", "2"], "city_name": ["甲市", "乙市"], "province": ["甲省", "乙省"]},
    geometry=[shapely.box(100, 30, 101, 31), shapely.box(101, 30, 102, 31)],
    crs=4326,
)
FLAGGED = pd.DataFrame(
    {
        "parcel_id": ["p1", "p2", "p3"],
        "address": ["一路1号", "</script><script>alert(1)</script>", "三路"],
        "city_code": ["1", "1", "2"],
        "rejected_lon": [101.5, 104.0, 100.5],
        "rejected_lat": [30.5, 33.0, 30.5],
        "status": ["outside its city", "outside its province", "outside its city"],
    }
)


def test_points_lie_where_they_are_and_are_counted():
    figure = plot_flagged(CITIES, FLAGGED, title="Flagged")
    drawn = np.vstack([dots.get_offsets() for dots in figure.axes[0].collections if len(dots.get_offsets()) > 0])
    ground, _ = project(CITIES)
    x, y = to_projection(ground.crs, FLAGGED["rejected_lon"].to_numpy(), FLAGGED["rejected_lat"].to_numpy())
    expected = np.column_stack([x, y])[[0, 2, 1]]  # by reason
    np.testing.assert_allclose(np.asarray(drawn)[-3:], expected)
    assert [t.get_text() for t in figure.legends[0].get_texts()] == [
        "outside its city (2)",
        "outside its province (1)",
    ]
    west, east = figure.axes[0].get_xlim()
    assert (west < x.min()) & (east > x.max())  # a point far away widens the map


def test_a_map_without_any_flagged_point(tmp_path):
    figure = plot_flagged(CITIES, FLAGGED.iloc[:0], title="None")
    assert not figure.legends
    save_figure(figure, tmp_path / "f.png")
    assert (tmp_path / "f.png").stat().st_size > 1000
    assert "None" in flagged_map(CITIES, FLAGGED.iloc[:0], title="None")


def test_the_page_holds_the_records_and_runs_none_of_them():
    page = flagged_map(CITIES, FLAGGED, title="Flagged <points>")
    assert "Flagged &lt;points&gt;" in page
    assert "outside its city: 2; outside its province: 1" in page
    assert "</script><script>alert(1)" not in page
    assert "2 flagged records" in page
    assert "default-src 'none'" in page
    assert flagged_map(CITIES, FLAGGED, title="Flagged <points>") == page


def test_columns_are_asked_for():
    with pytest.raises(TableError, match="rejected_lon"):
        plot_flagged(CITIES, FLAGGED.drop(columns="rejected_lon"), title="")
    with pytest.raises(TableError, match="status"):
        flagged_map(CITIES, FLAGGED.drop(columns="status"), title="")
