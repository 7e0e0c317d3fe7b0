"""Services through a real HTTP server: what their pages mean, and that no key is ever said."""

import logging
import traceback

import pytest
from geocoding_server import KEY, WRONG, GeocodingServer

from gistools.errors import InputError
from gistools.parcels.providers import (
    PROVIDERS,
    Amap,
    BadQuery,
    Baidu,
    Exhausted,
    Google,
    Nominatim,
    Refused,
    TooFast,
    Transient,
    Unreadable,
    as_fine_as,
    make_provider,
    query_key,
)

NAMES = list(PROVIDERS)
KEYED = ["baidu", "amap", "google"]
POINT = (114.30, 30.55)


@pytest.fixture
def keys(monkeypatch):
    for name in KEYED:
        monkeypatch.setenv(f"GISTOOLS_{name.upper()}_KEY", KEY)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def server(keys):
    with GeocodingServer(lambda query: None if "无" in query else POINT) as running:
        yield running


def ask(server, name, fault="", query="湖北省武汉市江汉路88号", **options):
    server.always[name] = fault
    return make_provider(name, endpoint=server.url, **options).lookup(query)


@pytest.mark.parametrize("name", NAMES)
def test_an_answer_is_brought_to_wgs84(server, name):
    answer = ask(server, name)
    assert (answer.lon, answer.lat) == pytest.approx(POINT, abs=1e-6)
    assert (answer.datum, answer.precision) == ("wgs84", "address")
    assert 0 < answer.confidence <= 1
    said = make_provider(name, endpoint=server.url)
    moved = said.read(said.ask("湖北省武汉市江汉路88号"))
    assert (abs(moved.lon - POINT[0]) > 1e-3) == (name != "nominatim")  # what is kept is in the service's own datum
    assert ask(server, name, query="武汉市江汉路").precision in ("road", "place")


@pytest.mark.parametrize("name", NAMES)
def test_nothing_found_is_no_error(server, name):
    assert ask(server, name, query="无此地") is None


@pytest.mark.parametrize("name", NAMES)
def test_a_point_for_the_country_says_nothing(server, name):
    assert ask(server, name, "country").precision == ""


@pytest.mark.parametrize(
    ("fault", "kind"),
    [("quota", Exhausted), ("key", Refused), ("fast", TooFast), ("busy", Transient), ("bad", BadQuery)],
)
@pytest.mark.parametrize("name", KEYED)
def test_what_a_status_means(server, name, fault, kind):
    with pytest.raises(kind) as caught:
        ask(server, name, fault)
    assert type(caught.value) is kind
    if kind is Refused:
        assert f"GISTOOLS_{name.upper()}_KEY" in str(caught.value)


@pytest.mark.parametrize(
    ("fault", "kind", "wait"),
    [
        ("429", TooFast, None),
        ("429:7", TooFast, 7),
        ("429:date", TooFast, 1),
        ("500", Transient, None),
        ("503:3", Transient, 3),
        ("402", Exhausted, None),
        ("400", BadQuery, None),
        ("403", Refused, None),
        ("404", Refused, None),
        ("reset", Transient, None),
        ("malformed", Unreadable, None),
        ("odd", Unreadable, None),
    ],
)
@pytest.mark.parametrize("name", ["baidu", "nominatim"])
def test_what_a_fault_of_http_means(server, name, fault, kind, wait):
    with pytest.raises(kind) as caught:
        ask(server, name, fault)
    assert type(caught.value) is kind
    if issubclass(kind, Transient):
        assert caught.value.retry_after == (wait if wait is None else pytest.approx(wait, abs=1.1))


def test_a_timeout(server):
    with pytest.raises(Transient, match=r"no answer within 0\.1 s"):
        ask(server, "nominatim", "hang", timeout=0.1)


def test_no_connection(keys):
    with GeocodingServer(lambda _: POINT) as server:
        url = server.url
    with pytest.raises(Transient, match=r"^no connection$"):
        make_provider("baidu", endpoint=url).lookup("武汉市")


@pytest.mark.parametrize("fault", ["echo", "key", "malformed", "reset", "429", "404", "odd", "hang", "quota"])
@pytest.mark.parametrize("name", KEYED)
def test_no_message_log_or_traceback_holds_the_key(server, name, fault, caplog, capsys):
    caplog.set_level(logging.DEBUG)
    with pytest.raises(Exception) as caught:  # noqa: PT011
        ask(server, name, fault, timeout=0.2)
    said = "".join(traceback.format_exception(caught.value)) + caplog.text + "".join(capsys.readouterr())
    said += repr(make_provider(name, endpoint=server.url))
    for form in (KEY, "s3cret", "of%3Dmine"):
        assert form not in said
    assert "***" in caplog.text or name == "amap"  # geopy's own classes log the URL they ask for


@pytest.mark.parametrize("name", KEYED)
def test_a_missing_key_is_one_sentence(name, monkeypatch):
    monkeypatch.delenv(f"GISTOOLS_{name.upper()}_KEY", raising=False)
    with pytest.raises(InputError, match=f"GISTOOLS_{name.upper()}_KEY"):
        make_provider(name)


@pytest.mark.parametrize("endpoint", ["ftp://x", "127.0.0.1:80", "http://me:secret@host", "http://host/?key=secret"])
def test_an_endpoint_is_a_scheme_and_a_host(endpoint):
    with pytest.raises(InputError, match="an endpoint is written") as caught:
        make_provider("nominatim", endpoint=endpoint)
    assert "me:secret" not in str(caught.value)


def test_an_unknown_provider():
    with pytest.raises(InputError, match="did you mean 'baidu'"):
        make_provider("baidoo")


def test_the_program_names_itself(server):
    ask(server, "nominatim")
    assert all(agent.startswith("gistools/") for agent in server.agents)


# Pages as the services' documentation shows them.


def test_baidu_page(keys):
    page = {"location": {"lng": 116.30762232672, "lat": 40.056828485961}, "precise": 1, "confidence": 80}
    answer = Baidu().read(page | {"comprehension": 100, "level": "门址"})
    assert (answer.lon, answer.lat, answer.datum) == (116.30762232672, 40.056828485961, "bd09")
    assert (answer.precision, answer.confidence, answer.level) == ("address", 1.0, "门址")
    old = Baidu().read(page | {"level": "商务大厦"})
    assert (old.precision, old.confidence) == ("place", 0.8)  # an older page has no comprehension
    words = ["省", "城市", "区县", "乡镇", "村庄", "道路", "交叉路口", "门址", "餐饮", "UNKNOWN"]
    read = [Baidu().read(page | {"level": level}).precision for level in words]
    assert read == ["province", "city", "district", "street", "place", "road", "road", "address", "place", ""]


def test_amap_page(keys):
    page = {
        "formatted_address": "北京市朝阳区阜通东大街6号",
        "province": "北京市",
        "city": "北京市",
        "district": "朝阳区",
        "township": [],
        "location": "116.482086,39.990496",
        "level": "门牌号",
        "answers": 1,
    }
    answer = Amap().read(page)
    assert (answer.lon, answer.lat, answer.datum) == (116.482086, 39.990496, "gcj02")
    assert (answer.province, answer.city, answer.district) == ("北京市", "北京市", "朝阳区")
    assert (answer.precision, answer.confidence) == ("address", 1.0)
    words = ["省", "市", "区县", "开发区", "乡镇", "村庄", "兴趣点", "道路", "未知"]
    read = [Amap().read(page | {"level": level}).precision for level in words]
    assert read == ["province", "city", "district", "district", "street", "place", "place", "road", ""]
    assert Amap().read(page | {"answers": 2, "district": []}).confidence == 0.5


def test_google_page(keys):
    parts = [
        {"long_name": "长安街", "types": ["route"]},
        {"long_name": "东城区", "types": ["political", "sublocality", "sublocality_level_1"]},
        {"long_name": "北京市", "types": ["locality", "political"]},
        {"long_name": "北京市", "types": ["administrative_area_level_1", "political"]},
    ]
    page = {
        "formatted_address": "中国北京市东城区长安街",
        "address_components": parts,
        "geometry": {"location": {"lat": 39.9, "lng": 116.4}, "location_type": "ROOFTOP"},
        "types": ["street_address"],
        "answers": 1,
    }
    answer = Google().read(page)
    assert (answer.lon, answer.lat, answer.precision, answer.confidence) == (116.4, 39.9, "address", 1.0)
    assert (answer.province, answer.city, answer.district) == ("北京市", "北京市", "东城区")
    assert Google().read(page | {"partial_match": True, "answers": 2}).confidence == 0.25
    kinds = [["route"], ["political", "sublocality"], ["locality"], ["administrative_area_level_1"], ["park"]]
    read = [Google().read(page | {"types": types}).precision for types in kinds]
    assert read == ["road", "district", "city", "province", "place"]


def test_google_daily_quota_and_rate_are_told_apart(keys):
    google = Google()
    with pytest.raises(Exhausted):
        google._judge({"status": "OVER_QUERY_LIMIT", "error_message": "exceeded your daily request quota"})
    with pytest.raises(TooFast):
        google._judge({"status": "OVER_QUERY_LIMIT"})


def test_nominatim_page():
    page = {
        "lat": "30.55",
        "lon": "114.30",
        "display_name": "88, 江汉路, 武汉市",
        "addresstype": "place",
        "place_rank": 30,
        "address": {"house_number": "88", "city": "武汉市", "state": "湖北省", "county": "江汉区"},
        "answers": 1,
    }
    answer = Nominatim().read(page)
    assert (answer.lon, answer.lat, answer.precision) == (114.30, 30.55, "address")
    assert (answer.province, answer.city, answer.district) == ("湖北省", "武汉市", "江汉区")
    ranks = [5, 8, 10, 12, 16, 20, 26, 30]
    read = [Nominatim().read(page | {"place_rank": rank, "address": {}}).precision for rank in ranks]
    assert read == ["", "province", "city", "district", "street", "place", "road", "place"]
    assert Nominatim().read(page | {"addresstype": "city", "place_rank": 16}).precision == "city"


def test_query_keys_and_precisions():
    assert query_key("武汉市 江汉路 ８８号\u3000") == query_key("武汉市江汉路88号")
    assert query_key("88 Main  Street") == "88 Main Street"
    assert as_fine_as("address", "road")
    assert not as_fine_as("place", "road")


def test_a_wrong_city_is_the_servers_to_say(server):
    assert (ask(server, "amap", "wrong").lon, ask(server, "amap", "wrong").province) == (
        pytest.approx(WRONG[0], abs=1e-5),
        "上海市",
    )
