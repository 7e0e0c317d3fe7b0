"""A table's coordinates between datums: every row kept with a note, columns named, units kept."""

import json
import re
import shlex
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from click.testing import CliRunner

from gistools.cli.parcels_datum import datum
from gistools.errors import CrsError, InputError, TableError
from gistools.io.tables import read_table, write_table
from gistools.parcels.datum import bd09_to_wgs84, gcj02_to_wgs84, wgs84_to_gcj02
from gistools.study.datum import convert_table, read_region

ROOT = Path(__file__).parents[2]
POINTS = pd.DataFrame(
    {
        "电子监管号": ["007", "008", "009", "010", "011"],
        "经度": ["１１６．４０４", "114.16", "", "500", "0"],
        "纬度": ["39.915", "22.28", "30", "30", "0"],
    }
)


def test_every_row_is_kept_with_a_note() -> None:
    result = convert_table(POINTS, "gcj02", "wgs84")
    table = result.table
    assert table.columns.tolist() == ["电子监管号", "经度", "纬度", "经度_gcj02", "纬度_gcj02", "datum_note"]
    assert table["datum_note"].tolist() == [
        "converted",
        "outside the region, unchanged",
        "no coordinates",
        "impossible coordinates",
        "impossible coordinates",
    ]
    np.testing.assert_allclose(table.loc[0, ["经度", "纬度"]].tolist(), gcj02_to_wgs84(116.404, 39.915), atol=1e-12)
    assert table.loc[1, ["经度", "纬度"]].tolist() == [114.16, 22.28]
    assert table.loc[2:, ["经度", "纬度"]].isna().all().all()
    assert table[["经度_gcj02", "纬度_gcj02"]].to_numpy().tolist() == POINTS[["经度", "纬度"]].to_numpy().tolist()
    counts = result.to_dict()
    assert counts["rows"] == sum(counts["notes"].values()) == 5
    assert counts["mean_shift_m"] == counts["largest_shift_m"] == pytest.approx(556.17, abs=0.01)


def test_units_and_other_columns_are_kept() -> None:
    table = pd.DataFrame({"lon": [116.4], "lat": [39.9], "x": [0.01]})
    table.attrs["units"] = {"lon": "degrees of arc", "x": "FAR"}
    made = convert_table(table, "wgs84", "bd09").table
    assert made["x"].tolist() == [0.01]
    assert made.attrs["units"] == {
        "lon": "degrees of arc",
        "lat": "degrees",
        "x": "FAR",
        "lon_wgs84": "degrees of arc",
        "lat_wgs84": "degrees",
    }
    assert table.columns.tolist() == ["lon", "lat", "x"]  # what was given is left as it was


def test_columns_may_be_named_and_must_be_there() -> None:
    table = pd.DataFrame({"x": [116.4], "y": [39.9], "经度": [0], "lng": [0]})
    made = convert_table(table, "bd09", "wgs84", lon="x", lat="y").table
    np.testing.assert_array_equal(made.loc[0, ["x", "y"]].tolist(), np.array(bd09_to_wgs84(116.4, 39.9)))
    with pytest.raises(TableError, match="has columns '经度', 'lng'; say which holds it with --lon"):
        convert_table(table, "bd09", "wgs84", lat="y")
    with pytest.raises(TableError, match="no column 'lat'; say which holds it with --lat"):
        convert_table(table, "bd09", "wgs84", lon="x")
    with pytest.raises(TableError, match="no column 'z'"):
        convert_table(table, "bd09", "wgs84", lon="z", lat="y")


def test_swapped_columns_one_datum_and_a_second_conversion_are_refused() -> None:
    table = pd.DataFrame({"lon": [39.9, 31.2], "lat": [116.4, 121.5]})
    with pytest.raises(TableError, match=r"the first is 39.9, 116.4\); if the two columns are swapped"):
        convert_table(table, "gcj02", "wgs84")
    with pytest.raises(InputError, match="already gcj02"):
        convert_table(table, "gcj02", "gcj02")
    once = convert_table(POINTS, "gcj02", "wgs84").table
    with pytest.raises(TableError, match="converted before"):
        convert_table(once, "gcj02", "wgs84")


def test_command_converts_a_file_and_says_what_was_left(tmp_path: Path) -> None:
    source, out, said = tmp_path / "p.csv", tmp_path / "out.parquet", tmp_path / "out.json"
    source.write_text(POINTS.to_csv(index=False), encoding="gb18030")
    run = CliRunner().invoke(datum, [str(source), "--from", "gcj02", "--out", str(out), "--json", str(said)])
    assert run.exit_code == 0, run.output
    assert "5 rows from gcj02 to wgs84" in run.output
    assert "outside the region, unchanged: 1" in run.output
    assert "shift: 556.2 m on average" in run.output
    made = read_table(out, text=["电子监管号"])
    assert made["电子监管号"].tolist() == POINTS["电子监管号"].tolist()
    assert made.attrs["units"]["经度"] == "degrees"
    assert json.loads(said.read_text())["notes"]["impossible coordinates"] == 2


def test_command_takes_a_region_or_everywhere(tmp_path: Path) -> None:
    source, out, region = tmp_path / "p.csv", tmp_path / "out.csv", tmp_path / "hk.gpkg"
    write_table(pd.DataFrame({"lon": [114.16, 116.4], "lat": [22.28, 39.9]}), source)
    gpd.GeoSeries([shapely.box(113.8, 22.1, 114.5, 22.6)], crs=4326).to_crs(32650).to_file(region)
    base = [str(source), "--from", "wgs84", "--to", "gcj02", "--out", str(out)]
    own = CliRunner().invoke(datum, [*base, "--region", str(region)])
    assert own.exit_code == 0, own.output
    everywhere = np.array(wgs84_to_gcj02([114.16, 116.4], [22.28, 39.9], region="everywhere"))
    np.testing.assert_allclose(pd.read_csv(out)[["lon", "lat"]], [everywhere[:, 0], [116.4, 39.9]], atol=1e-12)
    assert CliRunner().invoke(datum, [*base, "--everywhere"]).exit_code == 0
    np.testing.assert_allclose(pd.read_csv(out)[["lon", "lat"]], everywhere.T, atol=1e-12)
    both = CliRunner().invoke(datum, [*base, "--everywhere", "--region", str(region)])
    assert both.exit_code == 2
    assert "give one" in both.output


def test_a_region_is_made_of_polygons_with_a_crs(tmp_path: Path) -> None:
    gpd.GeoSeries([shapely.Point(1, 1)], crs=4326).to_file(tmp_path / "points.gpkg")
    with pytest.raises(InputError, match="holds Point; a region is made of polygons"):
        read_region(tmp_path / "points.gpkg")
    gpd.GeoSeries([shapely.box(0, 0, 1, 1)], crs=4326).to_file(tmp_path / "bare.shp")
    (tmp_path / "bare.prj").unlink()
    with pytest.raises(CrsError, match="has no CRS"):
        read_region(tmp_path / "bare.shp")


def test_documentation_prints_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "docs" / "methods" / "datum.md").read_text(encoding="utf-8")
    ((command, output),) = re.findall(r"```console\n\$ gistools parcels datum (.*?)\n(.*?)```", text, re.DOTALL)
    (tmp_path / "docs").symlink_to(ROOT / "docs")
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(datum, shlex.split(command)).output.rstrip() == output.rstrip()
    made = pd.read_csv("gps.csv")
    published = [[116.377817, 39.911954], [121.5272106, 31.1774276], [113.912316, 22.543847], [114.16, 22.28]]
    np.testing.assert_allclose(made.loc[:3, ["lon", "lat"]], published, rtol=0, atol=1e-9)
    for lon, lat in published[:3]:
        assert f"{lon}, {lat}" in text
