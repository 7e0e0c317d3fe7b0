"""``gistools panel`` and ``gistools parcels``: bad tables end with one sentence, and nothing is written."""

import pandas as pd
import pytest
from click.testing import CliRunner
from raster_factory import cities
from shapely import box

from gistools.cli.main import main
from gistools.io.tables import read_table

BASE = pd.DataFrame({"city_code": ["010100", "010200"], "year": 2009, "sprawl_index": [0.4, 0.6]})
BOOK = pd.DataFrame({"city_code": ["010100", "010200"], "year": 2009, "gdp": [5, 7]})
POLICY = pd.DataFrame({"city_code": ["010100", "010200"], "start_year": [2008, None]})
PARCELS = pd.DataFrame({"lon": [114.2, 115.4, None], "lat": [30.2, 30.6, 30.0]})
CBDS = pd.DataFrame({"city_code": ["010100", "010200"], "cbd_lon": [114.5, 115.5], "cbd_lat": 30.5})


class Folder:
    """A folder of tables, and the commands on them."""

    def __init__(self, folder):
        self.folder = folder
        self.out = folder / "new" / "out.csv"
        for name, table in (("base", BASE), ("book", BOOK), ("policy", POLICY), ("parcels", PARCELS), ("cbds", CBDS)):
            self.save(table, f"{name}.csv")
        cities([box(114, 30, 115, 31), box(115, 30, 116, 31)], ["010100", "010200"]).to_file(folder / "c.gpkg")

    def save(self, table, name):
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        table.to_csv(path, index=False)
        return path

    def __call__(self, *arguments):
        result = CliRunner().invoke(main, [*map(str, arguments), "--out", str(self.out)])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    def panel(self, *tables, base="base.csv"):
        return self("panel", "build", self.folder / base, *tables)

    def distance(self, parcels="parcels.csv", cbds="cbds.csv", boundaries="c.gpkg"):
        given = () if boundaries is None else ("--boundaries", self.folder / boundaries)
        return self("parcels", "distance", self.folder / parcels, "--cbds", self.folder / cbds, *given)

    def refused(self, words, result):
        assert result.exit_code == 2, result.stderr
        assert len(result.stderr.splitlines()) == 1, result.stderr
        assert words in result.stderr
        assert not self.out.parent.exists()


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path)


def test_tables_are_joined_and_distances_measured(folder):
    assert folder.panel(folder.folder / "book.csv", "--policy", folder.folder / "policy.csv").exit_code == 0
    panel = read_table(folder.out)
    assert panel["city_code"].tolist() == ["010100", "010200"]
    assert panel[["gdp", "treated"]].to_numpy().tolist() == [[5, 1], [7, 0]]
    assert folder.distance().exit_code == 0
    assert read_table(folder.out)["status"].tolist() == ["located", "located", "no coordinates"]


def test_two_tables_of_one_name_are_refused(folder):
    """One of them would be lost."""
    book = folder.folder / "book.csv"
    other = folder.save(BOOK.rename(columns={"gdp": "jobs"}), "other/book.csv")
    for second in (book, other):
        folder.refused(f"{book} and {second} would both be the table 'book'", folder.panel(book, second))


def test_panel_and_codebook_are_two_files(folder):
    folder.refused("name two files", folder.panel("--codebook", folder.out))
    (folder.folder / "taken").write_text("")
    result = folder.panel("--codebook", folder.folder / "taken" / "c.csv")
    assert result.exit_code == 1
    assert "taken cannot be written: part of its path is a file" in result.stderr
    assert not folder.out.exists()


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (BOOK.assign(city_code=["10100", "10200"]), "check codes (leading zeros, six digits)"),
        (BOOK.assign(year="2009年"), "holds '2009年' where a year is needed"),
        (pd.concat([BOOK, BOOK]), "more than one row for city_code and year"),
        (BOOK.iloc[:0], "other has no rows"),
        (BOOK.drop(columns="city_code"), "other.csv has no column 'city_code'"),
        (pd.DataFrame(), "other.csv"),
    ],
)
def test_tables_that_cannot_be_joined(folder, table, words):
    folder.refused(words, folder.panel(folder.save(table, "other.csv")))


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (BASE.assign(year=["2009", None]), "the panel, column 'year', holds 'nan' where a year is needed"),
        (BASE.assign(city_code=["010100", None]), "the panel has 1 rows without city_code"),
        (pd.concat([BASE, BASE]), "the panel has more than one row"),
        (BASE.iloc[:0], "the panel has no rows"),
    ],
)
def test_panels_that_cannot_be_joined_to(folder, table, words):
    folder.save(table, "other.csv")
    folder.refused(words, folder.panel(folder.folder / "book.csv", base="other.csv"))


def test_a_policy_of_other_cities_treats_nobody_and_is_refused(folder):
    other = folder.save(POLICY.assign(city_code=["10100", "10200"]), "other.csv")
    folder.refused(
        "no city of the policy table is in the panel: it has 10100, 10200", folder.panel("--policy", other)
    )


@pytest.mark.parametrize(
    ("parcels", "cbds", "words"),
    [
        (PARCELS.iloc[:0], CBDS, "parcels.csv has no records, only headers"),
        (PARCELS.assign(lon="somewhere"), CBDS, "(no coordinates: 3)"),
        (PARCELS.assign(lon=6.1), CBDS, "(outside every city: 3)"),
        (PARCELS, CBDS.assign(city_code=["9", "8"]), "(its city is not among the CBDs: 2, no coordinates: 1)"),
        (PARCELS.rename(columns={"lon": "x"}), CBDS, "parcels.csv has no column lon"),
        (PARCELS, CBDS.assign(cbd_lat="north"), "holds 'north' where a number is needed"),
    ],
)
def test_parcels_without_any_distance_are_refused(folder, parcels, cbds, words):
    folder.save(parcels, "parcels.csv")
    folder.save(cbds, "cbds.csv")
    folder.refused(words, folder.distance())


def test_parcels_without_codes_need_boundaries(folder):
    folder.refused("give --boundaries", folder.distance(boundaries=None))
