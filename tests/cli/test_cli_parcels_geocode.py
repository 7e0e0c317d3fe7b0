"""``gistools parcels geocode`` against a local server: offline first, services behind, and no key anywhere."""

import json
import socket
import sqlite3

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from click.testing import CliRunner
from geocoding_server import KEY, GeocodingServer

from gistools.cli.parcels_geocode import geocode
from gistools.errors import InputError
from gistools.io.geocode_cache import GeocodeCache
from gistools.io.tables import read_table
from gistools.parcels.providers.asking import ask_all
from gistools.study import geocoding

POINT = (114.27, 30.59)
ROWS = [f"湖北省武汉市江汉区江汉路{k}号" for k in range(20)]
SECRETS = (KEY, "s3cret", "of%3Dmine")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    for name in ("BAIDU", "AMAP", "GOOGLE"):
        monkeypatch.setenv(f"GISTOOLS_{name}_KEY", KEY)
    cities = gpd.GeoDataFrame(
        {"city_code": ["420100", "310000"], "city": ["武汉市", "上海市"], "province": ["湖北省", "上海市"]},
        geometry=[shapely.box(113.7, 29.9, 115.1, 31.4), shapely.box(120.8, 30.7, 122.0, 31.9)],
        crs=4326,
    )
    cities.to_file(tmp_path / "cities.gpkg")
    write(tmp_path, ROWS)
    return tmp_path


def write(folder, addresses, **columns):
    table = pd.DataFrame(
        {"电子监管号": [f"{k:06d}" for k in range(len(addresses))], "项目位置": addresses, **columns}
    )
    table.to_csv(folder / "parcels.csv", index=False, encoding="gb18030")


@pytest.fixture
def in_this_process(monkeypatch):
    """Ask without a process of its own, which takes a second to start and is tested under faults."""

    def ask_service(provider, queries, cache, limits, *, progress=None):
        with GeocodeCache(cache) as store:
            account = ask_all(provider, queries, store, limits, progress=progress)
            if account.refused:
                raise InputError(account.stopped)
            return store.known(provider.name, provider.options, list(queries)), account

    monkeypatch.setattr(geocoding, "ask_service", ask_service)


@pytest.fixture
def server(folder):
    with GeocodingServer(lambda query: None if "无" in query else POINT) as running:
        yield running


def run(folder, *options, server=None, services=(), code=0):
    arguments = [str(folder / "parcels.csv"), "--out", str(folder / "out.csv"), "--json", str(folder / "r.json")]
    for name in services:
        arguments += ["--endpoint", f"{name}={server.url}"]
    if services:
        arguments += ["--providers", ",".join(services), "--qps", "2000"]
    result = CliRunner().invoke(geocode, [*arguments, *map(str, options)])
    assert result.exit_code == code, result.output + result.stderr
    assert "Traceback" not in result.stderr
    found = read_table(folder / "out.csv", text=("parcel_id", "city_code")) if (folder / "out.csv").exists() else None
    said = json.loads((folder / "r.json").read_text(encoding="utf-8")) if (folder / "r.json").exists() else None
    return result, found, said


def held(folder, *options):
    named = ["--boundaries", folder / "cities.gpkg", "--name", "city", "--province", "province"]
    return [*named, *options]


def test_offline_asks_nobody(folder, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.delenv("GISTOOLS_BAIDU_KEY")
    write(folder, [*ROWS[:2], "朝阳区建国路88号", "", "湖北省武汉市江汉区光谷广场旁"])
    pd.DataFrame({"name": ["光谷广场"], "lon": [114.27], "lat": [30.60]}).to_csv(folder / "places.csv", index=False)
    _, found, said = run(folder, "--gazetteer", folder / "places.csv", *held(folder))
    assert found["status"].tolist() == ["located", "located", "ambiguous address", "no address", "located"]
    assert found["precision"].fillna("").tolist() == ["district", "district", "", "", "place"]
    assert found.loc[4, ["lon", "lat"]].tolist() == [114.27, 30.60]
    assert found["parcel_id"].tolist() == [f"{k:06d}" for k in range(5)]
    assert found.loc[0, ["province", "city", "district_name", "city_code"]].tolist() == [
        "湖北省",
        "武汉市",
        "江汉区",
        "420100",
    ]
    assert said["status"] == {"located": 3, "ambiguous address": 1, "no address": 1}
    assert (said["requests"], said["services"], said["min_precision"]) == (0, [], "district")
    assert not (folder / "geocode_cache.sqlite").exists()


@pytest.mark.parametrize("name", ["amap", "nominatim"])
def test_a_service_behind_the_gazetteer(folder, server, name):
    arguments = ["--providers", f"offline,{name}", "--endpoint", f"{name}={server.url}", "--qps", 2000]
    _, found, said = run(folder, *arguments, *held(folder))
    assert (found["status"] == "located").all()
    assert (found["geocode_provider"] == name).all()  # the gazetteer's districts are coarser than places
    assert np.allclose(found[["lon", "lat"]], POINT, atol=1e-6)
    assert said["services"][0]["answered"] == 20
    assert server.count(name) == dict.fromkeys(ROWS, 1)
    again, same, said = run(folder, *arguments, *held(folder))
    assert (said["requests"], said["cached"]) == (0, 20)
    assert "20 of them answered before" in again.output
    pd.testing.assert_frame_equal(found, same)


def test_a_wrong_city_goes_to_the_next_service_and_is_flagged(folder, server, in_this_process):
    server.always = {ROWS[1]: "wrong", "baidu": ""}
    _, found, _ = run(folder, *held(folder), server=server, services=("baidu", "amap"))
    assert found.loc[1, "status"] == "outside its city"  # both services say Shanghai
    assert found.loc[1, "rejected_lon"] == pytest.approx(121.47, abs=1e-4)
    assert np.isnan(found.loc[1, "lon"])
    assert server.count("amap") == {ROWS[1]: 1}
    server.always = {}
    server.faults = {ROWS[2]: ["wrong"]}
    (folder / "geocode_cache.sqlite").unlink()
    figure, page = folder / "f.png", folder / "f.html"
    arguments = held(folder, "--figure", figure, "--map", page)
    _, found, said = run(folder, *arguments, server=server, services=("baidu", "amap"))
    assert found.loc[2, ["status", "geocode_provider"]].tolist() == ["located", "amap"]
    assert said["provider"] == {"baidu": 19, "amap": 1}
    assert figure.read_bytes()[1:4] == b"PNG"
    assert "0 points outside the stated city" in page.read_text(encoding="utf-8")


def test_what_is_left_is_said_and_asked_again(folder, server, in_this_process):
    server.quota = {"baidu": 7}
    result, found, said = run(folder, "--threads", 2, server=server, services=("baidu",), code=3)
    assert "Left: baidu: the quota is spent" in result.stderr
    assert "13 addresses have no answer yet" in result.stderr
    assert said["status"] == {"not answered yet": 13, "located": 7}
    server.quota = {}
    _, found, said = run(folder, server=server, services=("baidu",))
    assert (found["status"] == "located").all()
    assert (said["requests"], said["cached"]) == (13, 7)


def test_the_days_quota_is_kept_across_runs(folder, server, in_this_process):
    run(folder, "--daily-quota", 5, server=server, services=("amap",), code=3)
    run(folder, "--daily-quota", 5, server=server, services=("amap",), code=3)
    assert sum(server.count("amap").values()) == 5


def test_an_address_without_an_answer_is_named(folder, server, in_this_process):
    server.always = {ROWS[4]: "bad"}
    result, found, _ = run(folder, server=server, services=("amap",), code=3)
    assert "1 addresses got no answer" in result.stderr
    assert found.loc[4, "status"] == "not answered yet"
    assert "query not taken: 30001" in found.loc[4, "geocode_note"]


@pytest.mark.parametrize("name", ["baidu", "google"])
def test_a_wrong_key_is_one_sentence(folder, server, monkeypatch, name):
    monkeypatch.setenv(f"GISTOOLS_{name.upper()}_KEY", "another-secret")
    result, found, _ = run(folder, server=server, services=(name,), code=2)
    assert result.stderr.count("\n") == 1
    assert f"does not accept the key in GISTOOLS_{name.upper()}_KEY" in result.stderr
    assert "another-secret" not in result.stderr
    assert found is None
    assert sum(server.count(name).values()) <= 4


def test_a_missing_key_is_said_before_any_work(folder, monkeypatch):
    monkeypatch.delenv("GISTOOLS_AMAP_KEY")
    (folder / "parcels.csv").unlink()
    result, _, _ = run(folder, "--providers", "offline,amap", code=2)
    assert "GISTOOLS_AMAP_KEY" in result.stderr


@pytest.mark.parametrize(("name", "fault"), [("google", "key"), ("baidu", "echo"), ("amap", "quota")])
def test_the_key_is_nowhere(folder, server, name, fault):
    write(folder, ROWS[:2])
    if fault in ("key", "quota", ""):
        server.always = {name: fault}
    else:
        server.faults = {name: [fault]}
    arguments = ["--debug", "-v", "--map", folder / "m.html", *held(folder)]
    options = [str(folder / "parcels.csv"), "--out", str(folder / "out.csv"), "--json", str(folder / "r.json")]
    options += ["--providers", name, "--endpoint", f"{name}={server.url}", *map(str, arguments)]
    result = CliRunner().invoke(geocode, options)
    assert result.exit_code == {"key": 2, "quota": 3}.get(fault, 0)
    said = (result.output + result.stderr).encode()
    files = b"".join(path.read_bytes() for path in folder.iterdir())
    for secret in SECRETS:
        assert secret.encode() not in said + files


def test_the_cache_holds_answers_in_the_services_own_datum(folder, server, in_this_process):
    run(folder, server=server, services=("baidu",))
    rows = (
        sqlite3.connect(folder / "geocode_cache.sqlite")
        .execute("SELECT provider, query, said FROM answers")
        .fetchall()
    )
    assert sorted(query for _, query, _ in rows) == sorted(ROWS)
    assert json.loads(rows[0][2])["location"]["lng"] != pytest.approx(POINT[0], abs=1e-3)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--providers", "ofline"], "did you mean 'offline'"),
        (["--providers", "offline,offline"], "name each source once"),
        (["--providers", "amap", "--endpoint", "baidu=http://x"], "not among --providers"),
        (["--providers", "amap", "--endpoint", "amap=x"], "an endpoint is written"),
        (["--map", "x.png", "--boundaries", "cities.gpkg"], "--map is written as .html"),
        (["--figure", "x.jpg", "--boundaries", "cities.gpkg"], "--figure"),
        (["--figure", "x.png"], "give --boundaries"),
        (["--check-coordinates"], "give --boundaries"),
        (["--divisions", "boundaries"], "give --boundaries"),
        (["--address", "地址"], "地址"),
        (["--as-of", "1950"], "1950"),
        (["--providers", "amap", "--cache", "parcels.csv"], "--cache would overwrite parcels.csv, which is TABLE"),
        (["--providers", "amap", "--cache", "old.sqlite"], "no geocoding cache"),
        (["--providers", "amap", "--endpoint", "amap=http://localhost:door"], "an endpoint is written"),
        (["--providers", "amap", "--timeout", "nan"], "--timeout is nan, but must be above zero"),
        (["--tolerance-km", "nan"], "--tolerance-km is nan, but must be zero or more"),
        (["--json", "parcels.csv"], "--json would overwrite parcels.csv, which is TABLE"),
    ],
)
def test_refusals_are_one_sentence(folder, server, monkeypatch, options, words):
    monkeypatch.chdir(folder)
    (folder / "old.sqlite").write_bytes(b"no database" * 100)
    result, found, _ = run(folder, *options, code=2)
    assert words in result.stderr
    assert result.stderr.strip().count("\n") == 0
    assert found is None


def test_an_invented_country_is_read_by_its_boundaries(folder):
    cities = gpd.read_file(folder / "cities.gpkg").assign(
        city=["苇浦市", "柳泽市"], province=["岭南省", "漠东省"], city_code=["160100", "190700"]
    )
    cities.to_file(folder / "cities.gpkg")
    write(folder, ["苇浦市云浦区工业路1号", "柳泽市麟湾区文化街2号"], 经度=["114.2", "114.2"], 纬度=["30.5", "30.5"])
    _, found, _ = run(folder, "--check-coordinates", *held(folder))
    assert found["city_code"].tolist() == ["160100", "190700"]
    # the second point lies outside its city, and the address alone says no more than the city
    assert found["status"].tolist() == ["located", "too coarse"]
    assert found["rejected_lon"].notna().tolist() == [False, True]
