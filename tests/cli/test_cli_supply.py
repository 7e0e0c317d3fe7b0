"""``gistools panel supply``: from files to instruments, and bad input as one sentence."""

import json

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from gistools.cli.panel import panel as group
from gistools.io.tables import read_table

PANEL = pd.DataFrame(
    {
        "city_code": ["010100", "010100", "010200", "010200"],
        "year": [2010, 2011] * 2,
        "cbd_lat": [30.0, 30.0, 40.0, 40.0],
        "population": [1e6, 2e6, 3e6, 4e6],
    }
)
LAND = pd.DataFrame({"city_code": ["010100", "010200"], "undevelopable_share": [0.5, 0.1], "cbd_lat": [30.0, 40.0]})
SITES = pd.DataFrame({"city_code": ["010100", "010200"], "heritage_count": [3, 0]})
NATIONAL = pd.DataFrame({"year": [2010, 2011], "housing_price": [4000.0, 5000.0]})
CITIES = PANEL[["city_code", "year"]].assign(price=[3000.0, 4000.0, 6000.0, np.nan], sold=[2.0, 1.0, 1.0, 1.0])
COEFFICIENTS = ("--constant", "0.2", "--share-coefficient", "0.6")


class Folder:
    def __init__(self, path):
        self.path, self.out = path, path / "new" / "out.parquet"
        for name, table in (
            ("panel", PANEL),
            ("land", LAND),
            ("sites", SITES),
            ("national", NATIONAL),
            ("cities", CITIES),
        ):
            table.to_csv(path / f"{name}.csv", index=False)

    def __call__(self, *options, prices="national.csv", coefficients=COEFFICIENTS):
        call = ["supply", self.path / "panel.csv", "--undevelopable", self.path / "land.csv", "--prices"]
        call += [self.path / prices, *coefficients, "--out", self.out, *options]
        result = CliRunner().invoke(group, [*map(str, call)])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    def refused(self, words, *options, **given):
        result = self(*options, **given)
        assert result.exit_code == 2, result.output
        assert words in result.stderr
        assert len(result.stderr.splitlines()) == 1, result.stderr
        assert not self.out.exists()


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path)


def test_instruments_join_the_panel(folder):
    chosen = ("--heritage", folder.path / "sites.csv", "--codebook", folder.path / "book.csv")
    result = folder(*chosen, "--json", folder.path / "r.json")
    assert result.exit_code == 0, result.output
    made = read_table(folder.out)
    assert made["city_code"].tolist() == PANEL["city_code"].tolist()
    np.testing.assert_allclose(made["iv_latitude"], [60_000, 75_000, 41_600, 52_000])
    assert made["iv_heritage"].tolist() == [6000.0, 7500.0, 0.0, 0.0]
    assert made.attrs["units"]["adjusted_inverse_elasticity"] == "yuan per m2"
    book = pd.read_csv(folder.path / "book.csv").set_index("column")
    assert book.loc["iv_heritage", "meaning"] == "heritage_count x adjusted_inverse_elasticity"
    said = json.loads((folder.path / "r.json").read_text())
    assert [(j["table"], j["matched"]) for j in said["joins"]] == [
        *(("undevelopable", 2), ("heritage", 2), ("national housing price", 2))
    ]
    assert "4 rows written" in result.stdout


def test_prices_of_cities_make_the_national_one(folder):
    result = folder("--price-column", "price", "--price-weight", "sold", prices="cities.csv")
    assert result.exit_code == 0, result.output
    assert read_table(folder.out)["national_housing_price"].tolist() == [4000.0, 4000.0] * 2
    assert "Note: the national housing price is the mean of 1 to 2 cities, weighted by sold" in result.stderr
    result = folder("--price-column", "price", "--price-weight", "equal", prices="cities.csv")
    assert read_table(folder.out)["national_housing_price"].tolist() == [4500.0, 4000.0] * 2


def test_population_of_one_year(folder):
    people = ("--population", "population", "--population-year", "2010", "--population-coefficient", "0.1")
    assert folder(*people).exit_code == 0
    made = read_table(folder.out)
    want = 0.2 + np.array([0.5, 0.1]) * (0.6 + 0.1 * np.log([1e6, 3e6]))
    np.testing.assert_allclose(made["supply_inverse_elasticity"], np.repeat(want, 2), rtol=1e-12)
    PANEL.assign(population=PANEL["population"].where(PANEL["city_code"] == "010100")).to_csv(
        folder.path / "panel.csv", index=False
    )
    result = folder(*people)
    assert "1 cities have no population in 2010, and so no elasticity (010200)" in result.stderr
    assert read_table(folder.out)["supply_elasticity"].notna().tolist() == [True, True, False, False]
    folder.out.unlink()
    folder.refused("the panel has no year 1999 for the population", *people[:3], "1999", *people[4:])


def test_bad_input_is_one_sentence(folder):
    folder.refused("say with --price-weight", "--price-column", "price", prices="cities.csv")
    folder.refused("it is national already", "--price-weight", "sold")
    folder.refused("national.csv has no column 'price'", "--price-column", "price")
    folder.refused("go together; give all or none", "--population", "population")
    folder.refused("name two files", "--codebook", folder.out)
    folder.refused("inverse elasticity is -0.1", coefficients=("--constant", "0.2", "--share-coefficient", "-0.6"))
    missing = CliRunner().invoke(group, ["supply", str(folder.path / "panel.csv")])
    assert missing.exit_code == 2
    assert "Missing option" in missing.stderr
