"""Offline geocoding: precision and recall by level beside cpca and jionlp, points against census units, speed.

Run: python benchmarks/geocoding_offline.py [--addresses FILE] [--counties FILE] [--many 1000000] [--sample FOLDER]

Peers are compared where they are installed (cpca 0.5.5, jionlp 1.5.31). They have no column for a record's district,
so it is written before the address. An ambiguous or contradictory address is right when its city is left open.
`--counties` is a table with Code_County, centroid_lon, centroid_lat; `--sample` a folder of `gistools sample`.
"""

from __future__ import annotations

import argparse
import importlib.util
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from gistools.grid import geodesic_km
from gistools.parcels.address import AMBIGUOUS, CONFLICT, parse_addresses
from gistools.parcels.divisions import Divisions, china_divisions, divisions_of_boundaries
from gistools.parcels.gazetteer import OfflineGazetteer

LEVELS = ("province", "city", "district")
REFERENCE = Path(__file__).parents[1] / "tests" / "reference" / "addresses.csv"
UNSETTLED = (AMBIGUOUS, CONFLICT)
Names = tuple[str, str, str]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--addresses", type=Path, default=REFERENCE)
    parser.add_argument("--counties", type=Path)
    parser.add_argument("--sample", type=Path)
    parser.add_argument("--many", type=int, default=1_000_000)
    chosen = parser.parse_args()
    china = china_divisions()
    table = pd.read_csv(chosen.addresses, dtype=str, keep_default_na=False)
    year = pd.to_numeric(table["year"], errors="coerce")
    parsed = parse_addresses(table["address"], district=table["district"], year=year)
    print(f"{len(table)} addresses")
    report("gistools", scores(table, parsed[[f"{level}_code" for level in LEVELS]].to_numpy(str)), table)
    print("\nby kind of reading: right, given, (right + 1) / (given + 2)")
    print(reliability(table, parsed).to_string(index=False))
    expected = expected_names(table, china)
    for name, read in peers().items():
        given = np.array([read(d + a) for a, d in zip(table["address"], table["district"], strict=True)])
        report(name, scores(table, given, expected), table)
    if chosen.counties:
        points(chosen.counties, china)
    if chosen.sample:
        synthetic(chosen.sample)
    speed(china, chosen.many)


def scores(table: pd.DataFrame, given: np.ndarray, expected: np.ndarray | None = None) -> pd.DataFrame:
    """By level: how many had one, how many were given, right, and given where nothing is settled."""
    if expected is None:
        codes = table[[f"{level}_code" for level in LEVELS]]
        expected = codes.where(~codes.isin(UNSETTLED), "").to_numpy(str)
    open_rows = table["city_code"].isin(UNSETTLED).to_numpy()
    rows = []
    for k, level in enumerate(LEVELS):
        said = given[:, k] != ""
        right = said & (given[:, k] == expected[:, k])
        rows.append((level, (expected[:, k] != "").sum(), said.sum(), right.sum(), (said & open_rows & ~right).sum()))
    found = pd.DataFrame(rows, columns=["level", "stated", "given", "right", "guessed"])
    return found.assign(precision=found["right"] / found["given"], recall=found["right"] / found["stated"])


def reliability(table: pd.DataFrame, parsed: pd.DataFrame) -> pd.DataFrame:
    """How often the finest level given was right, by what it was read from."""
    rows = []
    for (basis, level), group in parsed[parsed["level"] != ""].groupby(["basis", "level"]):
        right = int((group[f"{level}_code"] == table.loc[group.index, f"{level}_code"]).sum())
        rows.append((basis, level, right, len(group), (right + 1) / (len(group) + 2)))
    return pd.DataFrame(rows, columns=["basis", "level", "right", "given", "confidence"]).round(3)


def report(name: str, found: pd.DataFrame, table: pd.DataFrame) -> None:
    unsettled = int(table["city_code"].isin(UNSETTLED).sum())
    print(f"\n{name} ({unsettled} addresses whose city is not settled: see 'guessed')")
    print(found.round(4).to_string(index=False))


def expected_names(table: pd.DataFrame, china: Divisions) -> np.ndarray:
    names = []
    for codes in table[[f"{level}_code" for level in LEVELS]].itertuples(index=False, name=None):
        units = [china.unit_of(code) for code in codes]
        names.append(tuple(unit.name if unit else "" for unit in units))
    return np.array(names)


def peers() -> dict[str, Callable[[str], Names]]:
    """Installed peers: text to names of province, city and district."""
    found: dict[str, Callable[[str], Names]] = {}
    if importlib.util.find_spec("cpca"):
        import cpca

        def by_cpca(text: str) -> Names:
            row = cpca.transform([text]).iloc[0]
            province, city, district = (row[key] or "" for key in ("省", "市", "区"))
            return _named(province, city, district)

        found["cpca"] = by_cpca
    if importlib.util.find_spec("jionlp"):
        import jionlp

        def by_jionlp(text: str) -> Names:
            answer = jionlp.parse_location(text, change2new=True)
            return _named(*(answer[key] or "" for key in ("province", "city", "county")))

        found["jionlp"] = by_jionlp
    return found


def _named(province: str, city: str, district: str) -> Names:
    """A municipality is its own city, a county directly under a province too."""
    if city in ("市辖区", "县"):
        city = province
    if "直辖" in city:
        city = district
    return province, city, "" if district in ("市辖区", city) and district != city else district


def points(path: Path, china: Divisions) -> None:
    """How far the shipped points are from points inside the counties of a census table."""
    counties = pd.read_csv(path, dtype={"Code_County": str})
    units = {unit.code: (unit.lon, unit.lat) for unit in china.units if unit.level == 2 and unit.last > china.as_of}
    counties = counties[counties["Code_County"].isin(units)]
    lon, lat = np.array([units[code] for code in counties["Code_County"]]).T
    apart = geodesic_km(lon, lat, counties["centroid_lon"].to_numpy(), counties["centroid_lat"].to_numpy())
    apart = apart[np.isfinite(apart)]
    half, most = np.percentile(apart, [50, 95])
    print(f"\npoints of {len(apart)} counties: median {half:.1f} km, 95 % within {most:.1f} km of a point inside")


def synthetic(folder: Path) -> None:
    """Precision and recall on drawn parcels, whose electronic number begins with the city's code."""
    import pyogrio

    cities = pyogrio.read_dataframe(folder / "cities.gpkg")
    divisions = Divisions(divisions_of_boundaries(cities))
    parcels = pd.read_csv(folder / "parcels.csv", encoding="gb18030", dtype=str, keep_default_na=False)
    truth = parcels["电子监管号"].str[:4] + "00"
    for what, district in (("address alone", None), ("with the record's district", parcels["行政区"])):
        parsed = parse_addresses(parcels["项目位置"], district=district, divisions=divisions)
        given = parsed["city_code"] != ""
        right = given & (parsed["city_code"] == truth)
        precision, recall = right.sum() / max(given.sum(), 1), right.mean()
        print(f"synthetic parcels, {what}: {len(parcels)}; city precision {precision:.4f}, recall {recall:.4f}")


def speed(china: Divisions, many: int) -> None:
    """Unique addresses a second."""
    rng = np.random.default_rng(0)
    districts = [unit for unit in china.units if unit.level == 2 and unit.last > china.as_of]
    heads = [china.label(china.paths[china.units.index(unit)][0]).split(" ")[1] for unit in districts]
    roads = ("人民路", "解放大道", "长江西路以北、黄河路以东", "中山东路", "建设街与新华路交叉口")
    picks = rng.integers(0, len(heads), many), rng.integers(0, len(roads), many)
    address = pd.Series([f"{heads[i]}{roads[j]}{k}号" for k, (i, j) in enumerate(zip(*picks, strict=True))])
    start = time.perf_counter()
    parsed = parse_addresses(address)
    read = time.perf_counter()
    OfflineGazetteer(china).locate(parsed)
    done = time.perf_counter()
    print(f"\n{many:,} different addresses: parsed in {read - start:.1f} s, located in {done - read:.1f} s")


if __name__ == "__main__":
    main()
