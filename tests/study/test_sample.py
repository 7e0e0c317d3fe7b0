"""The synthetic country: real formats, and a truth that a second program finds again."""

import json
import re
from collections import Counter, deque
from pathlib import Path
from types import SimpleNamespace

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import rasterio
import shapely
from click.testing import CliRunner
from pyproj import Geod
from scipy.optimize import minimize_scalar

from gistools.cli.study import sample
from gistools.errors import InputError
from gistools.study.config import load_config
from gistools.study.sample import write_sample

# one worker makes the countries once
pytestmark = pytest.mark.xdist_group("sample")

NODATA = -2147483647
GEOD = Geod(ellps="WGS84")


def read(folder: Path) -> SimpleNamespace:
    return SimpleNamespace(
        folder=folder,
        truth=json.loads((folder / "truth.json").read_text(encoding="utf-8")),
        cities=gpd.read_file(folder / "cities.gpkg"),
        yearbook=pd.read_csv(folder / "yearbook.csv", dtype={"city_code": str}, encoding="utf-8-sig"),
        policy=pd.read_csv(folder / "policy.csv", dtype={"city_code": str}, encoding="utf-8-sig"),
        parcels=pd.read_csv(folder / "parcels.csv", dtype=str, encoding="gb18030", keep_default_na=False),
    )


@pytest.fixture(scope="module")
def country(tmp_path_factory):
    """The default country."""
    folder = tmp_path_factory.mktemp("sample") / "default"
    write_sample(folder)
    return read(folder)


@pytest.fixture(scope="module")
def still(tmp_path_factory):
    """A country without noise."""
    folder = tmp_path_factory.mktemp("sample") / "still"
    write_sample(folder, cities=24, years=(1999, 2007, 2013), seed=3, noise=0)
    return read(folder)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A small country with noise."""
    folder = tmp_path_factory.mktemp("sample") / "small"
    write_sample(folder, cities=8, years=(2006, 2007), seed=5, spacing=40)
    return read(folder)


def by_city_year(truth) -> pd.DataFrame:
    return pd.DataFrame(truth["city_years"]).set_index(["city_code", "year"])


# Formats


def test_lights_are_as_noaa_distributes_them(country):
    names = sorted(path.name for path in (country.folder / "lights").iterdir())
    flown = {2001: "F14 F15", 2006: "F15 F16", 2007: "F15 F16", 2008: "F16", 2009: "F16"}
    flown |= dict.fromkeys(range(2010, 2014), "F18")
    assert sorted(name[:7] for name in names) == sorted(f"{s}{y}" for y, sats in flown.items() for s in sats.split())
    assert all(re.fullmatch(r"F\d{6}\.v4[bcd]_web\.stable_lights\.avg_vis\.tif", name) for name in names)
    for name in names:
        with rasterio.open(country.folder / "lights" / name) as file:
            assert (file.dtypes, file.nodata, file.crs.to_epsg()) == (("uint8",), None, 4326)
            assert (file.compression.value, file.block_shapes) == ("LZW", [(1, file.width)])
            values, t = file.read(1), file.transform
        assert values.max() == 63
        assert not ((values > 0) & (values < 4)).any()  # stable lights show no faint ones
        assert (values == 0).mean() > 0.5
        # NOAA's pixel size is cut after ten digits; cell centres lie on multiples of 1/120 degree all the same
        assert t.a == -t.e == 0.0083333333
        for centre in ((t.c + t.a / 2) * 120, (t.f + t.e / 2) * 120):
            assert abs(centre - round(centre)) < 1e-3


def test_population_is_as_landscan_is_distributed(country):
    grids = {}
    for year in country.truth["parameters"]["years"]:
        with rasterio.open(country.folder / "population" / f"landscan-global-{year}.tif") as file:
            assert (file.dtypes, file.nodata, file.crs.to_epsg()) == (("int32",), NODATA, 4326)
            assert (file.compression.value, file.block_shapes) == ("LZW", [(128, 128)])
            values, t = file.read(1), file.transform
        assert (values == NODATA).any()
        assert values[values != NODATA].min() >= 0
        for edge in (t.c * 120, t.f * 120):
            assert edge == pytest.approx(round(edge), abs=1e-9)
        grids[year] = values, t, file.bounds
    assert len({grid[1] for grid in grids.values()}) == 1
    with rasterio.open(next((country.folder / "lights").iterdir())) as file:
        away = np.abs(np.subtract(file.bounds, grids[2007][2])) * 120
    assert (away > 2).all()  # another window
    assert (away < 8).all()
    assert np.allclose(away % 1, 0.5, atol=1e-3)  # half a cell between the lattices


def test_polygons_tile_a_country_with_a_coast(country):
    cities = country.cities
    assert list(cities.columns) == ["city_code", "city_name", "city_name_en", "province", "province_en", "geometry"]
    assert cities.crs.to_epsg() == 4326
    assert cities["city_code"].is_unique
    assert cities["city_code"].str.fullmatch(r"[1-9]\d{3}00").all()
    assert (cities["city_code"].str[:2].groupby(cities["province"]).nunique() == 1).all()
    assert cities["city_name"].is_unique
    assert cities["city_name"].str.fullmatch("[一-鿿]{2}市").all()
    assert cities["city_name_en"].str.fullmatch("[A-Z][a-z]+").all()
    shapes = cities.geometry.to_numpy()
    assert shapely.is_valid(shapes).all()
    assert (shapely.get_type_id(shapes) == 3).all()
    whole = shapely.union_all(shapes)
    assert shapely.area(shapes).sum() == pytest.approx(whole.area, rel=1e-12)  # no overlap
    assert whole.geom_type == "Polygon"
    assert not whole.interiors  # no gap
    left, right = shapely.STRtree(shapes).query(shapes, predicate="intersects")
    pairs = left < right
    shared = shapely.intersection(shapes[left[pairs]], shapes[right[pairs]])
    assert (shapely.area(shared) == 0).all()
    assert whole.area < 0.75 * shapely.box(*whole.bounds).area  # sea all around
    # crooked: of many vertices, outlines longer than their hulls', and no two steps in one direction
    assert shapely.get_num_coordinates(shapes).min() > 100
    assert (shapely.length(shapes) / shapely.length(shapely.convex_hull(shapes))).min() > 1.01
    steps = np.diff(shapely.get_coordinates(shapely.boundary(shapes[0])), axis=0)
    assert (np.abs(np.diff(np.arctan2(*steps.T))) > 1e-3).mean() > 0.9


def test_neighbours_are_queen_contiguity(country):
    shapes = country.cities.set_index("city_code").geometry
    for city in country.truth["cities"]:
        touching = shapes.index[shapes.touches(shapes[city["city_code"]])]
        assert sorted(touching) == city["neighbours"]
        assert city["neighbours"]


def test_every_person_lives_in_a_city(country):
    people = by_city_year(country.truth)["population"].groupby("year").sum()
    for year in people.index:
        with rasterio.open(country.folder / "population" / f"landscan-global-{year}.tif") as file:
            values = file.read(1)
        assert values[values != NODATA].sum(dtype=np.int64) == people[year]


def test_the_study_names_what_was_written(country):
    study = load_config(country.folder / "study.yaml")
    truth = country.truth
    assert list(study.years) == truth["outcome"]["years"] == list(range(2006, 2014))
    assert study.form.base_year == 2001
    for part in (study.boundaries, study.parcels, study.yearbook, study.policy):
        assert Path(part.file).is_file()
    for grids in (study.lights, study.population):
        for year in truth["parameters"]["years"]:
            assert list(Path("/").glob(grids.files.format(year=year)[1:]))
    rules = truth["rules"]
    for key in ("min_light", "min_density", "threshold", "base_year", "cbd_ties", "cbd_year", "radius_km", "align"):
        assert getattr(study.form, key) == rules[key]
    columns = {*country.yearbook.columns, study.policy.column, *truth["city_years"][0]}
    assert {*study.moran.columns} <= columns
    for model in study.models:
        assert {model.outcome, *model.x, *(model.durbin or ())} <= columns
    durbin = next(model for model in study.models if model.model == "sdm")
    terms = {*durbin.x, *(f"W_{name}" for name in durbin.durbin), "rho"}
    assert terms == {*truth["outcome"]["terms"]}
    assert durbin.weights == truth["outcome"]["weights"]
    listed = sorted(str(p.relative_to(country.folder)) for p in country.folder.rglob("*") if p.is_file())
    assert listed == sorted(truth["files"])


# Determinism


def test_the_same_seed_writes_the_same_and_years_stand_alone(small, tmp_path):
    write_sample(tmp_path / "again", cities=8, years=(2006, 2007), seed=5, spacing=40)
    for name in small.truth["files"]:
        if name.endswith(".gpkg"):  # carries the time of writing
            assert gpd.read_file(tmp_path / "again" / name).equals(small.cities)
        else:
            assert (tmp_path / "again" / name).read_bytes() == (small.folder / name).read_bytes(), name
    # a year's grids do not depend on the other years asked for
    write_sample(tmp_path / "year", cities=8, years=(2007,), seed=5, spacing=40)
    for name in ("lights/F162007.v4b_web.stable_lights.avg_vis.tif", "population/landscan-global-2007.tif"):
        assert (tmp_path / "year" / name).read_bytes() == (small.folder / name).read_bytes()
    assert "models:" not in (tmp_path / "year" / "study.yaml").read_text(encoding="utf-8")
    write_sample(tmp_path / "other", cities=8, years=(2006, 2007), seed=6, spacing=40)
    assert (tmp_path / "other" / name).read_bytes() != (small.folder / name).read_bytes()


# Truth of the grids


def test_without_noise_the_design_is_the_truth(still):
    rows = by_city_year(still.truth)
    forms = Counter()
    for city in still.truth["cities"]:
        for _, row in rows.loc[city["city_code"]].iterrows():
            assert (row["cbd_lon"], row["cbd_lat"]) == pytest.approx(
                (city["centre_lon"], city["centre_lat"]), abs=1e-9
            )
            if city["form"] == "monocentric" and row["urban_cells"] >= 3:
                # whole persons: of some 700 in a cell, half a person is 0.07 %
                assert row["gradient"] == pytest.approx(row["design_gradient"], rel=2e-3)
                assert row["gradient_r2"] > 0.9999
        forms[city["form"]] += 1
        assert bool(city["subcentres"]) == (city["form"] == "polycentric")
    assert forms["monocentric"] >= 10
    assert forms["polycentric"] >= 4


def test_every_kind_of_city_is_there(country):
    rows = by_city_year(country.truth)
    cells = rows["urban_cells"].unstack()
    assert (cells.to_numpy() == 0).all(axis=1).sum() == 1  # a town without an urban cell
    few = cells[((cells > 0) & (cells < 10)).all(axis=1)]
    assert len(few) >= 1
    assert cells.median(axis=None) == pytest.approx(100, abs=50)
    assert cells.max(axis=None) > 500
    saturated = rows.xs(2001, level="year").query("cbd_light == 63 and cbd_ties > 3")
    assert len(saturated) >= 3
    empty = rows[rows["urban_cells"] == 0]
    assert empty[["sprawl_index", "gradient", "density_cv"]].isna().all(axis=None)
    assert empty["cbd_lon"].notna().all()
    index = rows["sprawl_index"].dropna()
    assert index.between(0, 1).all()
    assert index.between(0.1, 0.9).mean() > 0.5
    assert index.std() > 0.1


def flood(cells: set) -> list[set]:
    """8-connected clusters of (row, column) pairs."""
    left, clusters = set(cells), []
    while left:
        start = left.pop()
        cluster, edge = {start}, deque([start])
        while edge:
            r, c = edge.popleft()
            for other in ((r + i, c + j) for i in (-1, 0, 1) for j in (-1, 0, 1)):
                if other in left:
                    left.remove(other)
                    cluster.add(other)
                    edge.append(other)
        clusters.append(cluster)
    return clusters


def cells_of_country(country, year: int) -> pd.DataFrame:
    """One row a cell: city, people, area, density, light, position."""
    with rasterio.open(country.folder / "population" / f"landscan-global-{year}.tif") as file:
        people, t = file.read(1), file.transform
    layers = []
    for path in sorted((country.folder / "lights").glob(f"F??{year}*.tif")):
        with rasterio.open(path) as file:
            layers.append({(r, c): v for (r, c), v in np.ndenumerate(file.read(1).astype(int))})
            lights = file.transform
    areas = []
    for r in range(people.shape[0]):
        north, south = t.f + r * t.e, t.f + (r + 1) * t.e
        # meridians are geodesics, parallels are not: follow them closely
        x = np.linspace(t.c, t.c + t.a, 20)
        ring_x, ring_y = [*x, *x[::-1]], [*[south] * 20, *[north] * 20]
        areas.append(abs(GEOD.polygon_area_perimeter(ring_x, ring_y)[0]) / 1e6)
    tree = shapely.STRtree(country.cities.geometry.to_numpy())
    codes = country.cities["city_code"].to_numpy()
    rows = []
    for (r, c), count in np.ndenumerate(people):
        if count == NODATA:
            continue
        lon, lat = t.c + (c + 0.5) * t.a, t.f + (r + 0.5) * t.e
        city = tree.query(shapely.Point(lon, lat), predicate="intersects")
        corners = []
        for x, y in ((t.c + (c + i) * t.a, t.f + (r + j) * t.e) for i in (0, 1) for j in (0, 1)):
            at = round((y - lights.f) / lights.e - 0.5), round((x - lights.c) / lights.a - 0.5)
            seen = [layer[at] for layer in layers]
            corners.append(sum(seen) / len(seen) if min(seen) > 0 else 0)
        rows.append((codes[city[0]], r, c, lon, lat, int(count), areas[r], sum(corners) / 4))
    table = pd.DataFrame(rows, columns=["city_code", "r", "c", "lon", "lat", "people", "area", "light"])
    table["density"] = table["people"] / table["area"]
    table["urban"] = (table["light"] > 10) & (table["density"] > 1000)
    return table


def test_truth_equals_a_count_cell_by_cell(small):
    base, later = (cells_of_country(small, year) for year in (2006, 2007))
    urban = base[base["urban"]]
    threshold = urban["people"].sum() / urban["area"].sum()
    assert small.truth["rules"]["density_threshold"] == pytest.approx(threshold, rel=1e-8)
    truth = by_city_year(small.truth)
    for code, first in base.groupby("city_code"):
        tied = first[first["light"] == first["light"].max()]
        clusters = flood({(r, c) for r, c in zip(tied["r"], tied["c"], strict=True)})
        most = max(map(len, clusters))
        largest = set().union(*(cluster for cluster in clusters if len(cluster) == most))
        tied = tied[[cell in largest for cell in zip(tied["r"], tied["c"], strict=True)]]
        cbd = tied.sort_values(["density", "r", "c"], ascending=[False, True, True]).iloc[0]
        for year, table in ((2006, base), (2007, later)):
            row = truth.loc[code, year]
            own = table[table["city_code"] == code]
            near = own[[GEOD.inv(cbd.lon, cbd.lat, x, y)[2] <= 3000 for x, y in zip(own.lon, own.lat, strict=True)]]
            dense = own[own["urban"]]
            low, high = dense[dense["density"] < threshold], dense[dense["density"] >= threshold]
            want = {
                "area_km2": own["area"].sum(),
                "population": own["people"].sum(),
                "light_mean": own["light"].mean(),
                "light_sum": own["light"].sum(),
                "ln_light": np.log(own["light"].mean()),
                "urban_cells": len(dense),
                "urban_area_km2": dense["area"].sum(),
                "urban_population": dense["people"].sum(),
                "low_area_km2": low["area"].sum(),
                "high_area_km2": high["area"].sum(),
                "low_population": low["people"].sum(),
                "high_population": high["people"].sum(),
                "cbd_lon": cbd.lon,
                "cbd_lat": cbd.lat,
                "cbd_light": own.loc[(own["r"] == cbd.r) & (own["c"] == cbd.c), "light"].item(),
                "cbd_ties": (first["light"] == first["light"].max()).sum(),
                "central_population": near["people"].sum(),
                "central_density": near["people"].sum() / near["area"].sum(),
                "suburban_share": 1 - near["people"].sum() / own["people"].sum(),
            }
            patches = flood({(r, c) for r, c in zip(dense["r"], dense["c"], strict=True)})
            area = dict(zip(zip(dense["r"], dense["c"], strict=True), dense["area"], strict=True))
            want["patches"] = len(patches)
            want["largest_patch_km2"] = max((sum(area[cell] for cell in p) for p in patches), default=0.0)
            if len(dense):
                want["urban_density"] = dense["people"].sum() / dense["area"].sum()
                want["sprawl_index"] = np.sqrt(
                    low["area"].sum() / dense["area"].sum() * low["people"].sum() / dense["people"].sum()
                )
                want["density_cv"] = dense["density"].std(ddof=0) / dense["density"].mean()
            if len(dense) >= 3:
                away = [GEOD.inv(cbd.lon, cbd.lat, x, y)[2] / 1000 for x, y in zip(dense.lon, dense.lat, strict=True)]
                (slope, _), cov = np.polyfit(away, np.log(dense["density"]), 1, cov=True)
                want |= {"gradient": slope, "gradient_se": np.sqrt(cov[0, 0])}
                want["gradient_r2"] = np.corrcoef(away, np.log(dense["density"]))[0, 1] ** 2
            for name, value in want.items():
                assert row[name] == pytest.approx(value, rel=1e-7, abs=1e-9), (code, year, name)
            missing = {name for name in row.index if pd.isna(row[name])}
            assert missing == set(row.index) - set(want) - {"design_gradient"}, (code, year)


# Truth of the panel


@pytest.fixture(scope="module")
def panel(country):
    """The panel as cities x years arrays, and contiguity weights from the polygons."""
    cities = country.cities.set_index("city_code").geometry
    touch = np.array([cities.touches(shape).to_numpy() for shape in cities], float)
    rows = country.yearbook.merge(country.policy[["city_code", "start_year"]], on="city_code")
    rows["treated"] = (rows["year"] >= rows["start_year"]).astype(float)
    rows = rows[rows["year"] >= 2006]
    wide = {
        name: rows.pivot_table(index="city_code", columns="year", values=name).loc[cities.index].to_numpy()
        for name in ("ln_output", "ln_investment", "treated")
    }
    return SimpleNamespace(w=touch / touch.sum(axis=1, keepdims=True), **wide)


def within(values: np.ndarray) -> np.ndarray:
    """Take city and year means out."""
    return (values - values.mean(0) - values.mean(1, keepdims=True) + values.mean()).ravel()


def test_with_rho_known_the_effects_come_back(panel, country):
    terms = country.truth["outcome"]["terms"]
    filtered = within(panel.ln_output - terms["rho"] * panel.w @ panel.ln_output)
    x = np.stack([within(panel.treated), within(panel.w @ panel.treated), within(panel.ln_investment)], axis=1)
    n, t = panel.ln_output.shape
    beta, rest, *_ = np.linalg.lstsq(x, filtered)
    variance = rest[0] / ((n - 1) * (t - 1) - 3)
    errors = np.sqrt(variance * np.diag(np.linalg.inv(x.T @ x)))
    true = [terms["treated"], terms["W_treated"], terms["ln_investment"]]
    assert np.abs((beta - true) / errors).max() < 3
    assert errors[0] < 0.02
    assert np.sqrt(variance) == pytest.approx(country.truth["outcome"]["sigma"], rel=0.1)


def test_maximum_likelihood_finds_rho(panel, country):
    # two-way within transformation: (n - 1)(t - 1) rows, and the eigenvalue 1 of W leaves with the year means
    terms = country.truth["outcome"]["terms"]
    x = np.stack([within(panel.treated), within(panel.w @ panel.treated), within(panel.ln_investment)], axis=1)
    y, wy = within(panel.ln_output), within(panel.w @ panel.ln_output)
    rest = [v - x @ np.linalg.lstsq(x, v)[0] for v in (y, wy)]
    roots = np.linalg.eigvals(panel.w).real
    n, t = panel.ln_output.shape

    def loss(rho):
        e = rest[0] - rho * rest[1]
        logdet = np.log(1 - rho * roots).sum() - np.log(1 - rho)
        return (n - 1) * (t - 1) / 2 * np.log(e @ e) - (t - 1) * logdet

    rho = minimize_scalar(loss, bounds=(-0.99, 0.99), method="bounded", options={"xatol": 1e-9}).x
    h = 1e-3
    error = h / np.sqrt(loss(rho + h) + loss(rho - h) - 2 * loss(rho))
    assert error < 0.1
    assert abs(rho - terms["rho"]) < 3 * error
    beta = np.linalg.lstsq(x, y - rho * wy)[0]
    assert beta[0] == pytest.approx(terms["treated"], abs=3 * 0.011)


def test_effects_follow_from_the_model(panel, country):
    outcome = country.truth["outcome"]
    terms, effects = outcome["terms"], outcome["effects_decomposition"]
    n = len(panel.w)
    inverse = np.linalg.inv(np.eye(n) - terms["rho"] * panel.w)
    for name, spread in (("treated", terms["W_treated"]), ("ln_investment", 0.0)):
        own = [inverse[i] @ (terms[name] * np.eye(n)[i] + spread * panel.w[:, i]) for i in range(n)]
        assert effects[name]["direct"] == pytest.approx(np.mean(own), rel=1e-12)
        assert effects[name]["total"] == pytest.approx((terms[name] + spread) / (1 - terms["rho"]), rel=1e-12)
        assert effects[name]["indirect"] == pytest.approx(effects[name]["total"] - effects[name]["direct"])


def test_policy_comes_in_three_batches(country):
    policy = country.policy
    assert list(policy.columns) == ["city_code", "city_name", "start_year", "batch"]
    assert policy["city_code"].tolist() == country.cities["city_code"].tolist()
    assert policy["start_year"].notna().mean() == pytest.approx(0.4)
    starts = policy.groupby("batch")["start_year"].agg(["min", "max", "size"])
    assert starts["min"].tolist() == starts["max"].tolist() == [2009, 2010, 2012]
    assert (starts["size"] >= 5).all()


def test_yearbook_has_the_faults_it_says(country):
    facts, table = country.truth["outcome"]["yearbook"], country.yearbook
    assert (country.folder / "yearbook.csv").read_bytes().startswith(b"\xef\xbb\xbf")
    assert len(table) == facts["rows"] == 41 * 9
    assert not table.duplicated(["city_code", "year"]).any()
    stranger = facts["not_in_boundaries"]
    unknown = table[~table["city_code"].isin(country.cities["city_code"])]
    assert unknown["city_code"].unique().tolist() == [stranger["city_code"]]
    assert unknown["city_name"].unique().tolist() == [stranger["city_name"]]
    missing = table.isna().sum()
    assert missing[missing > 0].to_dict() == facts["missing"]
    assert np.allclose(np.exp(table["ln_investment"]), table["fixed_investment_100m_yuan"], atol=0.01)
    shares = table[["primary_share_pct", "secondary_share_pct", "tertiary_share_pct"]]
    assert np.allclose(shares.sum(axis=1), 100, atol=0.011)
    assert (shares > 0).all(axis=None)


# Parcels


def number(text: str) -> float:
    match = re.fullmatch(r"([\d,.]+|-1)(公顷|平方米|亩)?", text)
    if not match:
        return np.nan
    return float(match[1].replace(",", "")) * {None: 1, "公顷": 1, "平方米": 1e-4, "亩": 1 / 15}[match[2]]


def judged(country) -> pd.DataFrame:
    """Find the status of every row from its text alone."""
    rows = country.parcels.copy()
    first = ~rows.duplicated()
    rows["area"] = rows["面积"].map(number)
    rows["cap"] = rows["约定容积率上限"].map(number)
    dates = rows["签订日期"].str.findall(r"\d+")
    rows["year"] = [int(parts[0]) if len(parts) == 3 else 0 for parts in dates]
    rules = {
        "duplicate": ~first,
        "other_mode": ~rows["供地方式"].isin(["挂牌出让", "拍卖出让", "招标出让"]),
        "other_use": ~rows["土地用途"].str.contains("住房|住宅"),
        "outside_districts": rows["行政区"].str.endswith("县"),
        "unreadable_number": rows["cap"].isna() | rows["area"].isna(),
        "implausible_far": (rows["cap"] <= 0) | (rows["cap"] > 20),
        "bad_date": ~rows["year"].between(2006, 2013),
    }
    rows["status"] = np.select(list(rules.values()), list(rules), "clean")
    # an identifier stands twice only where the row does
    assert rows.loc[first, "电子监管号"].is_unique
    return rows


def test_parcels_are_as_the_land_market_publishes_them(country):
    raw = (country.folder / "parcels.csv").read_bytes()
    with pytest.raises(UnicodeDecodeError):
        raw.decode("utf-8")
    assert raw.decode("gb18030").splitlines()[0] == (
        "电子监管号,行政区,项目名称,项目位置,面积,土地用途,供地方式,土地级别,成交价格,约定容积率下限,"
        "约定容积率上限,实际容积率,签订日期,经度,纬度"
    )
    rows, truth = judged(country), country.truth["parcels"]
    assert truth["rows"] == len(rows) > 3000
    assert rows["status"].value_counts().to_dict() == {k: v for k, v in truth["status"].items() if v}
    assert min(truth["status"].values()) > 5
    clean = rows[rows["status"] == "clean"]
    lon, lat = pd.to_numeric(clean["经度"]), pd.to_numeric(clean["纬度"])
    where = {"empty": lon.isna().sum(), "swapped": (lat > lon).sum(), "given": (lon > lat).sum()}
    assert where == truth["coordinates_of_clean_rows"]
    names = country.cities.set_index("city_code")
    city = names.loc[clean["电子监管号"].str[:4] + "00"]
    assert all(r.startswith(n) for r, n in zip(clean["行政区"], city["city_name"], strict=True))
    district = [r.removeprefix(n) for r, n in zip(clean["行政区"], city["city_name"], strict=True)]
    assert all(d in address for d, address in zip(district, clean["项目位置"], strict=True))
    whole = [
        address.startswith(p + r)
        for address, p, r in zip(clean["项目位置"], city["province"], clean["行政区"], strict=True)
    ]
    assert 0.4 < np.mean(whole) < 0.7  # province, city, district, street and number
    given = (lon > lat).to_numpy()
    assert shapely.contains_xy(city.geometry.to_numpy()[given], lon[given], lat[given]).all()


def test_the_rule_of_the_caps_comes_back(country):
    truth = country.truth["parcels"]
    rows = judged(country)
    rows["lon"], rows["lat"] = pd.to_numeric(rows["经度"]), pd.to_numeric(rows["纬度"])
    rows = rows[(rows["status"] == "clean") & (rows["lon"] > rows["lat"])].reset_index(drop=True)
    rows["city_code"] = rows["电子监管号"].str[:4] + "00"
    cbd = by_city_year(country.truth).xs(2001, level="year").loc[rows["city_code"]]
    start = cbd["cbd_lon"].to_numpy(), cbd["cbd_lat"].to_numpy()
    distance = GEOD.inv(*start, rows["lon"].to_numpy(), rows["lat"].to_numpy())[2] / 1000
    cells = pd.get_dummies(rows["city_code"] + "-" + rows["year"].astype(str), dtype=float)
    rule = truth["far_limit"]
    others = {"area": rows["area"], "distance": distance}
    want = [rule["area"], rule["distance"]]
    for column, name in (("供地方式", "mode"), ("土地级别", "grade")):
        for level, effect in list(rule[name].items())[1:]:
            others[level] = (rows[column] == level).astype(float)
            want.append(effect)
    x = np.column_stack([cells, *others.values()])
    beta, rest, *_ = np.linalg.lstsq(x, rows["cap"].to_numpy())
    sigma = np.sqrt(rest[0] / (len(x) - x.shape[1]))
    covariance = sigma**2 * np.linalg.inv(x.T @ x)
    slopes = slice(cells.shape[1], None)
    assert sigma == pytest.approx(rule["sigma"], rel=0.05)
    assert np.abs((beta[slopes] - want) / np.sqrt(np.diag(covariance)[slopes])).max() < 3.5
    # the index: at distance 0 and the means of the rest
    typical = np.array([0.0 if name == "distance" else np.mean(value) for name, value in others.items()])
    index = beta[: cells.shape[1]] + typical @ beta[slopes]
    at = np.column_stack([np.eye(cells.shape[1]), np.tile(typical, (cells.shape[1], 1))])
    errors = np.sqrt(np.einsum("ij,jk,ik->i", at, covariance, at))
    true = {f"{row['city_code']}-{row['year']}": row for row in truth["farr"] if row["parcels"]}
    assert sorted(true) == sorted(cells.columns)
    assert cells.sum().to_dict() == {name: row["parcels"] for name, row in true.items()}
    z = (index - np.array([true[name]["farr"] for name in cells.columns])) / errors
    assert np.abs(z).max() < 5
    assert z.std() == pytest.approx(1, abs=0.15)


# What is refused, and the command


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"cities": 3}, "cities is 3, but a synthetic country has 8 to 400"),
        ({"years": (2005, 2014)}, "years holds 2014, but the satellites .* flew from 1992 to 2013"),
        ({"years": ()}, "at least one"),
        ({"years": (2007, 2006)}, "in order"),
        ({"seed": -1}, "seed is -1"),
        ({"noise": -0.1}, "noise is -0.1, but must be zero or more"),
        ({"noise": 2.0}, "noise is 2.0, but must be at most 0.3"),
        ({"rho": 1.0}, "rho is 1.0, but must lie between -1 and 1"),
        ({"effect": float("nan")}, "effect is nan, but must be a number"),
        ({"spacing": 5.0}, "spacing is 5.0, but must be 40 to 320 cells"),
    ],
)
def test_bad_options_are_refused_before_anything_is_written(tmp_path, options, words):
    with pytest.raises(InputError, match=words) as error:
        write_sample(tmp_path / "country", **options)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "country").exists()


def test_a_folder_with_content_is_left_alone(small, tmp_path):
    folder = tmp_path / "country"
    (folder / "lights").mkdir(parents=True)
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="is not empty"):
        write_sample(folder, cities=8, years=(1992,), spacing=40)
    write_sample(folder, cities=8, years=(1992,), spacing=40, overwrite=True)
    write_sample(folder, cities=8, years=(1994,), spacing=40, overwrite=True)
    left = sorted(path.name for path in folder.rglob("*.tif"))
    assert [name[:7] for name in left] == ["F101994", "F121994", "landsca"]  # the older sample's files are gone
    assert (folder / "notes.txt").read_text() == "mine"
    with pytest.raises(InputError, match=r"notes\.txt is a file"):
        write_sample(folder / "notes.txt", cities=8, years=(1992,), spacing=40)


def test_the_command(tmp_path):
    run = CliRunner().invoke
    out = tmp_path / "country"
    options = [
        str(out),
        "--cities",
        "8",
        "--spacing",
        "40",
        "--years",
        "2006-2007",
        "--json",
        str(tmp_path / "r.json"),
    ]
    done = run(sample, options)
    assert done.exit_code == 0, done.output
    assert f"gistools run {out / 'study.yaml'}" in done.output.replace("\n", "")
    result = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    assert result["years"] == [2006, 2007]
    assert all((out / name).is_file() for name in result["files"])
    again = run(sample, options)
    assert again.exit_code == 2
    assert "is not empty; choose another folder, or write into it with --overwrite" in again.stderr
    assert run(sample, [*options, "--overwrite"]).exit_code == 0
    wrong = run(sample, [str(tmp_path / "other"), "--years", "2013-2006"])
    assert wrong.exit_code == 2
    assert "2013-2006" in wrong.stderr
    assert not (tmp_path / "other").exists()
