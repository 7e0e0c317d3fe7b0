"""City boundaries in, vectors out: every fault is one sentence that names file, city and mend."""

import warnings

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from shapely import LineString, MultiPolygon, Point, Polygon, box

from gistools.errors import BoundaryError, CrsError, FileMissingError, InputError, OutputError, TableError
from gistools.io.vectors import DRIVERS, misread_chinese, read_boundaries, read_vector, write_vector

BOW = Polygon([(0, 0), (2, 2), (2, 0), (0, 2)])
WEST, EAST = box(0, 0, 1, 1), box(1, 0, 2, 1)


def frame(geometry, codes=None, names=None, crs=4326):
    codes = [f"{k:06d}" for k in range(len(geometry))] if codes is None else codes
    names = list("abcdef")[: len(geometry)] if names is None else names
    return gpd.GeoDataFrame({"code": codes, "name": names}, geometry=list(geometry), crs=crs)


def saved(tmp_path, table, name="c.gpkg", **options):
    path = tmp_path / name
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # files without CRS are meant
        table.to_file(path, **options)
    return path


def shapefile(tmp_path, names, encoding, cpg=None):
    path = saved(tmp_path, frame([WEST, EAST][: len(names)], names=names), "c.shp", encoding=encoding)
    path.with_suffix(".cpg").unlink()
    if cpg:
        path.with_suffix(".cpg").write_text(cpg)
    return path


@pytest.mark.parametrize("name", ["c.gpkg", "c.geojson", "c.shp", "c.fgb"])
def test_boundaries_of_any_format(tmp_path, name):
    path = saved(tmp_path, frame([WEST, EAST], names=["武汉", None]), name)
    table = read_boundaries(path, code="code", name="name")
    assert list(table.columns) == ["city_code", "city_name", "province", "geometry"]
    table = table.sort_values("city_code")  # FlatGeobuf packs features by place
    assert table["city_code"].tolist() == ["000000", "000001"]
    assert table["city_name"].fillna("none").tolist() == ["武汉", "none"]
    assert table.crs == 4326


def test_geoparquet_and_name_by_default(tmp_path):
    frame([WEST, EAST]).to_parquet(tmp_path / "c.parquet")
    table = read_boundaries(tmp_path / "c.parquet", code="code")
    assert table["city_name"].tolist() == table["city_code"].tolist()
    assert table["province"].isna().all()
    pd.DataFrame({"code": [1]}).to_parquet(tmp_path / "plain.parquet")
    with pytest.raises(InputError, match="cannot be read as a vector file"):
        read_boundaries(tmp_path / "plain.parquet", code="code")


def test_order_of_the_file_is_kept_and_numbers_become_text(tmp_path):
    path = saved(tmp_path, frame([EAST, WEST], codes=[420100.0, 110000.0]))
    table = read_boundaries(path, code="code")
    assert table["city_code"].tolist() == ["420100", "110000"]


def test_third_dimension_is_dropped_and_collections_keep_their_polygons(tmp_path):
    flat = shapely.force_3d(WEST, 7.0)
    mixed = shapely.GeometryCollection([EAST, LineString([(3, 0), (4, 0)])])
    path = saved(tmp_path, frame([flat, mixed]))
    table = read_boundaries(path, code="code")
    assert not shapely.has_z(table.geometry.array).any()
    assert table.geometry.iloc[1].equals(EAST)


def test_missing_file_names_a_near_one(tmp_path):
    saved(tmp_path, frame([WEST]), "cities.gpkg")
    with pytest.raises(FileMissingError, match=r"did you mean 'cities\.gpkg'\?"):
        read_boundaries(tmp_path / "citeis.gpkg")


def test_lacking_column_is_suggested(tmp_path):
    path = saved(tmp_path, frame([WEST]))
    with pytest.raises(TableError, match=r"c\.gpkg has no column 'coed'; did you mean 'code'\?"):
        read_boundaries(path, code="coed")


@pytest.mark.parametrize(
    ("codes", "words"),
    [
        (["1", "1"], "more than one polygon for code 1; dissolve"),
        (["1", " 1 "], "more than one polygon for code 1; dissolve"),
        ([1.0, 1.0], "more than one polygon for code 1; dissolve"),
        (["1", None], "column 'code', is empty in feature 2"),
        (["", "1"], "column 'code', is empty in feature 1"),
    ],
)
def test_codes_are_there_and_unique(tmp_path, codes, words):
    path = saved(tmp_path, frame([WEST, EAST], codes=codes))
    with pytest.raises(BoundaryError, match=words):
        read_boundaries(path, code="code")


@pytest.mark.parametrize(
    ("geometry", "words"),
    [
        (Polygon(), "the polygon of 000001 is empty"),
        (None, "the polygon of 000001 is empty"),
        (Point(0, 0), "000001 is a point or a line"),
        (LineString([(0, 0), (1, 1)]), "000001 is a point or a line"),
        (shapely.GeometryCollection([Point(0, 0)]), "000001 is a collection without polygons"),
        (BOW, r"the polygon of 000001 is invalid \(Self-intersection.*run with --repair"),
    ],
)
def test_what_is_no_valid_polygon_is_refused(tmp_path, geometry, words):
    path = saved(tmp_path, frame([WEST, geometry]))
    with pytest.raises(BoundaryError, match=words):
        read_boundaries(path, code="code")


def test_a_file_without_features_is_refused(tmp_path):
    path = saved(tmp_path, frame([WEST]).iloc[:0])
    with pytest.raises(BoundaryError, match="holds no polygons"):
        read_boundaries(path, code="code")


def test_repair_mends_and_reports_the_change_of_area(tmp_path):
    # a square whose ring runs along a spike and back: only the spike goes
    spike = Polygon([(0, 0), (4, 0), (4, 2), (6, 2), (4, 2), (4, 4), (0, 4)])
    doubled = MultiPolygon([box(10, 0, 12, 2), box(11, 0, 13, 2)])
    path = saved(tmp_path, frame([spike, doubled, WEST.buffer(0)]))
    with pytest.warns(
        UserWarning, match=r"mended 2 invalid polygons \(000000, 000001\); their area changed by -8.33 %"
    ):
        table = read_boundaries(path, code="code", repair=True)
    # the part covered twice counted twice before: 16 + 8 is now 16 + 6
    assert shapely.area(table.geometry.array).tolist() == pytest.approx([16, 6, 1])
    assert table.geometry.is_valid.all()


def test_repair_of_a_bow_tie_keeps_both_wings_and_claims_no_change(tmp_path):
    path = saved(tmp_path, frame([BOW]))
    with pytest.warns(UserWarning, match="their area was not defined before"):
        table = read_boundaries(path, code="code", repair=True)
    assert shapely.area(table.geometry.array).tolist() == pytest.approx([2.0])


def test_repair_keeps_a_city_of_which_a_part_collapses(tmp_path):
    part = MultiPolygon([WEST, Polygon([(3, 0), (4, 0), (3.5, 0)])])
    path = saved(tmp_path, frame([part]))
    with pytest.warns(UserWarning, match="mended 1 invalid"):
        table = read_boundaries(path, code="code", repair=True)
    assert table.geometry.iloc[0].equals(WEST)


def test_repair_refuses_what_has_no_area(tmp_path):
    path = saved(tmp_path, frame([WEST, Polygon([(0, 0), (2, 0), (1, 0)])]))
    with pytest.raises(BoundaryError, match="the polygon of 000001 has no area; redraw it"):
        read_boundaries(path, code="code", repair=True)


def test_repair_leaves_valid_boundaries_alone(tmp_path):
    path = saved(tmp_path, frame([WEST, EAST]))
    assert read_boundaries(path, code="code", repair=True).geometry.tolist() == [WEST, EAST]


@pytest.mark.parametrize("name", ["c.gpkg", "c.shp"])
def test_no_crs_is_refused_with_the_line_that_mends_it(tmp_path, name):
    path = saved(tmp_path, frame([WEST], crs=None), name)
    with pytest.raises(CrsError, match=rf"{name} has no CRS; .*ogr2ogr -a_srs EPSG:4326"):
        read_boundaries(path, code="code")


def test_metres_called_degrees_and_degrees_called_metres_are_refused(tmp_path):
    metres = frame([box(500_000, 3_300_000, 510_000, 3_310_000)], crs=4326)
    with pytest.raises(CrsError, match=r"says its coordinates are degrees .*run to 3310000: its CRS is wrong"):
        read_boundaries(saved(tmp_path, metres), code="code")
    degrees = frame([box(104, 29, 105, 30)], crs=32648)
    with pytest.raises(CrsError, match=r"says its coordinates are metres .*look like degrees: its CRS is wrong"):
        read_boundaries(saved(tmp_path, degrees, "d.gpkg"), code="code")
    swapped = frame([box(29, 104, 30, 105)])
    with pytest.raises(CrsError, match="run to 105: its CRS is wrong"):
        read_boundaries(saved(tmp_path, swapped, "s.gpkg"), code="code")


CHINESE = [
    ["武汉市", "重庆市"],
    ["深圳", "香港"],
    ["北京市海淀区", "天津市（滨海新区）"],
    ["A区", "B区"],
    ["衢州", "亳州"],
    ["阿坝藏族羌族自治州", "Wuhan"],
]


@pytest.mark.parametrize("names", CHINESE)
def test_gbk_shapefile_without_cpg_is_refused_with_its_encoding(tmp_path, names):
    path = shapefile(tmp_path, names, "gb18030")
    with pytest.raises(InputError, match=rf"which is '{names[0]}' in GB18030: .*give --encoding gb18030"):
        read_boundaries(path, code="code", name="name")
    table = read_boundaries(path, code="code", name="name", encoding="gb18030")
    assert table["city_name"].tolist() == names


@pytest.mark.parametrize("names", CHINESE)
def test_utf8_shapefile_without_cpg_is_refused_with_its_encoding(tmp_path, names):
    path = shapefile(tmp_path, names, "utf-8")
    with pytest.raises(InputError, match=rf"which is '{names[0]}' in UTF-8: .*give --encoding utf-8"):
        read_boundaries(path, code="code", name="name")
    assert read_boundaries(path, code="code", name="name", encoding="utf-8")["city_name"].tolist() == names


def test_gbk_shapefile_with_its_cpg_needs_nothing(tmp_path):
    path = shapefile(tmp_path, CHINESE[0], "gbk", cpg="GBK")
    assert read_boundaries(path, code="code", name="name")["city_name"].tolist() == CHINESE[0]


def test_a_cpg_that_lies_is_overruled_by_the_option(tmp_path):
    path = shapefile(tmp_path, CHINESE[0], "gbk", cpg="UTF-8")
    with pytest.raises(InputError, match="is not text in the encoding it states; name the one"):
        read_boundaries(path, code="code", name="name")
    assert read_boundaries(path, code="code", name="name", encoding="gbk")["city_name"].tolist() == CHINESE[0]


@pytest.mark.parametrize("encoding", ["utf-8", "gbx18030"])
def test_an_encoding_that_does_not_fit_is_named(tmp_path, encoding):
    path = shapefile(tmp_path, CHINESE[0], "gbk")
    with pytest.raises(InputError, match=f"is not text in encoding '{encoding}'"):
        read_boundaries(path, code="code", name="name", encoding=encoding)


def test_latin_names_are_not_taken_for_chinese(tmp_path):
    names = ["São Tomé", "Zürich"]
    path = shapefile(tmp_path, names, "ISO-8859-1")
    assert read_boundaries(path, code="code", name="name")["city_name"].tolist() == names


@pytest.mark.parametrize(
    "name",
    [
        "São Tomé",
        "Zürich",
        "Île-de-France",
        "Århus",
        "Łódź",
        "København",
        "Москва",
        "武汉",
        "Wuhan",
        "",
        "Düsseldörf",
    ],
)
def test_names_that_are_right_are_left_alone(name):
    assert misread_chinese(name) is None
    assert misread_chinese(name, "utf-8") is None


@pytest.mark.parametrize("decoder", ["latin-1", "cp1252"])
def test_misread_text_is_found_however_it_was_decoded(decoder):
    assert misread_chinese("武汉市".encode("gb18030").decode(decoder)) == "武汉市"
    assert misread_chinese("北京".encode().decode("latin-1"), "utf-8") == "北京"


@pytest.mark.parametrize("content", [b"hello", b"", b'{"type": "FeatureCollection", "features": [{"type":'])
def test_what_is_no_vector_file_is_refused_in_one_sentence(tmp_path, content):
    (tmp_path / "c.geojson").write_bytes(content)
    with pytest.raises(InputError, match=r"c\.geojson cannot be read as a vector file: ") as caught:
        read_boundaries(tmp_path / "c.geojson", code="code")
    assert "\n" not in str(caught.value)


def test_a_table_is_no_vector_file(tmp_path):
    (tmp_path / "c.csv").write_text("code,name\n1,a\n")
    with pytest.raises(InputError, match="holds a table without geometry"):
        read_vector(tmp_path / "c.csv")


@pytest.mark.parametrize("name", ["v.gpkg", "v.geojson", "v.fgb", "v.parquet"])
def test_what_is_written_is_what_is_read(tmp_path, name):
    table = frame([WEST, EAST], names=["武汉", "Zürich"])
    write_vector(table, tmp_path / name)
    back = read_vector(tmp_path / name).sort_values("code").reset_index(drop=True)
    assert back["name"].tolist() == ["武汉", "Zürich"]
    assert back.crs == 4326
    assert all(a.equals(b) for a, b in zip(back.geometry, table.geometry, strict=True))
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_a_written_geopackage_names_its_layer(tmp_path):
    write_vector(frame([WEST]), tmp_path / "cbd.gpkg")
    assert gpd.list_layers(tmp_path / "cbd.gpkg")["name"].tolist() == ["cbd"]


def test_vectors_of_unknown_extension_are_refused(tmp_path):
    with pytest.raises(InputError, match="vectors are written as"):
        write_vector(frame([WEST]), tmp_path / "v.shp")


@pytest.mark.parametrize("name", ["v.gpkg", "v.geojson", "v.fgb", "v.parquet"])
def test_a_full_disk_keeps_the_earlier_vector_file(tmp_path, monkeypatch, name):
    write_vector(frame([WEST]), tmp_path / name)
    before = (tmp_path / name).read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(OutputError, match="the disk is full"):
        write_vector(frame([EAST]), tmp_path / name)
    assert (tmp_path / name).read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("extension", [*DRIVERS, ".parquet"])
def test_writing_past_the_limit_of_the_process_is_one_sentence(tmp_path, small_files, capfd, extension):
    points = gpd.GeoDataFrame({"k": np.arange(3000)}, geometry=shapely.points(np.arange(3000), 0), crs=32648)
    with small_files(20_000), pytest.raises(OutputError, match="cannot be written: it is larger than"):
        write_vector(points, tmp_path / f"v{extension}")
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


def test_input_is_not_changed(tmp_path):
    table = frame([WEST, EAST])
    before = table.copy(deep=True)
    write_vector(table, tmp_path / "v.gpkg")
    assert table.equals(before)
    assert np.array_equal(table.geometry.array, before.geometry.array)


def test_latin_names_in_utf8_without_cpg_are_not_called_chinese(tmp_path):
    names = ["Lac de la Haute Sûre", "Wiltz"]
    path = shapefile(tmp_path, names, "utf-8")
    with pytest.raises(InputError, match=r"which is 'Lac de la Haute Sûre' in UTF-8: .*give --encoding utf-8"):
        read_boundaries(path, code="code", name="name")
    assert read_boundaries(path, code="code", name="name", encoding="utf-8")["city_name"].tolist() == names


def test_the_first_of_several_layers_is_read_and_said(tmp_path):
    saved(tmp_path, frame([WEST]), layer="counties")
    saved(tmp_path, frame([WEST, EAST]), layer="provinces")
    with pytest.warns(UserWarning, match=r"^c\.gpkg has 2 layers \(counties, provinces\) and the first is read"):
        assert len(read_boundaries(tmp_path / "c.gpkg", code="code")) == 1


def test_the_geometry_is_no_column_of_codes(tmp_path):
    with pytest.raises(TableError, match="has no column 'geometry'; it has code, name"):
        read_boundaries(saved(tmp_path, frame([WEST])), code="geometry")


def test_lists_and_maps_in_geojson_are_no_text_to_judge(tmp_path):
    import json

    table = gpd.GeoDataFrame({"code": ["1", "2"]}, geometry=[box(0, 0, 1, 1), box(1, 0, 2, 1)], crs=4326)
    document = json.loads(table.to_json())
    for feature in document["features"]:
        feature["properties"]["extra"] = {"a": [1, 2]}
    (tmp_path / "c.geojson").write_text(json.dumps(document))
    assert read_boundaries(tmp_path / "c.geojson", code="code")["city_code"].tolist() == ["1", "2"]
