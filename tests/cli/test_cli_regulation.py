"""``gistools parcels regulation``: files in and out, the JSON of a fit, and bad input as one sentence."""

import json

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from gistools.cli.parcels_regulation import regulation
from gistools.io.tables import read_table
from gistools.parcels.regulation import COLUMNS, far_regulation


def parcels(cities=5, many=30):
    rng = np.random.default_rng(0)
    city = np.repeat(np.arange(cities), many)
    n = len(city)
    table = pd.DataFrame(
        {
            "parcel_id": [f"0{k:05d}" for k in range(n)],
            "city_code": [f"01{c:02d}00" for c in city],
            "year": 2007 + np.arange(n) % 2,
            "area_ha": rng.lognormal(1, 0.5, n),
            "distance_km": rng.exponential(5, n),
            "transfer_mode": rng.choice(["挂牌出让", "拍卖出让"], n),
            "land_grade": rng.choice(["一级", "二级"], n),
            "price_10k_yuan": rng.lognormal(8, 1, n),
            "far_realised": rng.uniform(1, 3, n),
            "status": "located",
        }
    )
    table["far_max"] = 2 + city / 10 - 0.03 * table["distance_km"] + rng.normal(0, 0.2, n)
    table.loc[0, "status"] = "no coordinates"
    return table


class Folder:
    def __init__(self, path):
        self.path, self.out = path, path / "new" / "farr.csv"

    def __call__(self, *options, table=None, name="parcels.csv"):
        (parcels() if table is None else table).to_csv(self.path / name, index=False)
        call = [self.path / name, "--out", self.out, *options]
        result = CliRunner().invoke(regulation, [*map(str, call)])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    def refused(self, words, *options, **given):
        result = self(*options, **given)
        assert result.exit_code == 2, result.output
        assert len(result.stderr.splitlines()) == 1, result.stderr
        assert words in result.stderr
        assert not self.out.exists()


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path)


def test_a_panel_and_its_account(folder):
    result = folder("--json", folder.path / "r.json", "--min-parcels", "15")
    assert result.exit_code == 0, result.output
    panel = read_table(folder.out)
    want = far_regulation(parcels(), min_parcels=15)
    assert [*panel] == ["city_code", "year", *COLUMNS]
    assert panel["city_code"].iloc[0] == "010000"
    np.testing.assert_allclose(panel["farr"], want.table["farr"], rtol=1e-12)
    assert panel["few_parcels"].sum() == 1
    said = json.loads((folder.path / "r.json").read_text())
    assert (said["model"], said["n"], said["clusters"], said["effects"]) == ("hedonic", 149, 5, "city-year")
    assert said["small_sample"] == pytest.approx(5 / 4 * 148 / (149 - 4 - 1))
    assert [*said["terms"][0]] == ["term", "estimate", "std_error", "statistic", "p_value", "ci_low", "ci_high"]
    assert [t["term"].split(":")[0] for t in said["terms"]] == [
        *("area_ha", "distance_km", "transfer_mode", "land_grade")
    ]
    assert (said["records"], said["used"], said["unused"]) == (150, 149, {"no coordinates": 1})
    assert (said["city_years"], said["few_parcels"], said["bootstrap"]) == (10, 1, None)
    assert said["evaluation"]["distance_km"] == 0
    assert "Note: 1 of 10 city-years have fewer than 15 parcels" in result.stderr
    assert "no coordinates: 1" in result.stdout


def test_draws_for_a_second_stage(folder):
    out, draws = folder.path / "farr.parquet", folder.path / "draws.parquet"
    folder.out = out
    result = folder("--bootstrap", "20", "--seed", "3", "--draws-out", draws, "--json", folder.path / "r.json")
    assert result.exit_code == 0, result.output
    panel, drawn = read_table(out), read_table(draws)
    assert len(drawn) == 20 * len(panel)
    spread = drawn.groupby(["city_code", "year"])["farr"].std().to_numpy()
    np.testing.assert_allclose(panel["farr_se_bootstrap"], spread, rtol=1e-9)
    assert panel.attrs["units"]["farr_se_bootstrap"] == panel.attrs["units"]["farr"] == "FAR"
    assert "20 draws of cities, seed 3" in panel.attrs["labels"]["farr_se_bootstrap"]
    said = json.loads((folder.path / "r.json").read_text())["bootstrap"]
    assert said == {"draws": 20, "failed": 0, "resample": "cities", "seed": 3}
    assert folder("--bootstrap", "20", "--resample", "parcels").exit_code == 0
    assert "draws of parcels" in read_table(out).attrs["labels"]["farr_se_bootstrap"]


def test_failed_draws_are_said(folder):
    table = parcels()
    table["land_grade"] = "一级"
    table.loc[table["city_code"].eq("010200") & (np.arange(len(table)) % 3 == 0), "land_grade"] = "二级"
    result = folder("--bootstrap", "30", table=table)
    assert result.exit_code == 0
    assert "of 30 draws of cities cannot tell the slopes apart" in result.stderr


def test_columns_of_other_names(folder):
    table = parcels().rename(
        columns={"city_code": "code", "year": "period", "distance_km": "km", "far_max": "约定容积率上限"}
    )
    named = (
        "--city-column",
        "code",
        "--year-column",
        "period",
        "--distance-column",
        "km",
        "--outcome",
        "约定容积率上限",
    )
    assert folder(*named, table=table).exit_code == 0
    want = far_regulation(parcels()).table
    np.testing.assert_allclose(read_table(folder.out)["farr"], want["farr"], rtol=1e-12)
    assert folder("--grade-column", "none", "--transfer", "price").exit_code == 0
    other = far_regulation(parcels(), grade=None, transfer="price").table
    np.testing.assert_allclose(read_table(folder.out)["farr"], other["farr"], rtol=1e-12)
    assert folder("--cov", "hc1", "--grade-column", "none", "--transfer", "none").exit_code == 0
    bare = far_regulation(parcels(), grade=None, transfer="none", cov="hc1").table
    np.testing.assert_allclose(read_table(folder.out)["farr_se"], bare["farr_se"], rtol=1e-12)


def test_bad_input_is_one_sentence(folder):
    folder.refused("no column 'distance_km'", table=parcels().drop(columns="distance_km"))
    folder.refused("no column 'far_max'", table=parcels().drop(columns="far_max"))
    folder.refused("no column 'built'", "--realised-column", "built")
    folder.refused("looks like percent", table=parcels().assign(far_max=250))
    folder.refused(
        "has contract dates but no column 'year'",
        table=parcels().drop(columns="year").assign(contract_date="2009-01-02"),
    )
    folder.refused("parcels.csv has no column 'town'", "--city-column", "town")
    folder.refused("--draws-out needs draws", "--draws-out", folder.path / "d.csv")
    folder.refused("name two files", "--bootstrap", "9", "--draws-out", folder.out)
    folder.refused("--bootstrap is 1", "--bootstrap", "1")
    folder.refused("tables are written as", "--bootstrap", "9", "--draws-out", folder.path / "d.txt")
    folder.refused("cannot be clustered by one city", table=parcels(cities=1))
    folder.refused("no record of the parcel table can be used", table=parcels().assign(status="duplicate"))
    missing = CliRunner().invoke(regulation, [str(folder.path / "none.csv"), "--out", str(folder.out)])
    assert missing.exit_code == 2
    assert "there is no file" in missing.stderr
