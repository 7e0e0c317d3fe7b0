"""``gistools city sensitivity``: the table of the report, and what is refused in one sentence."""

import json
from pathlib import Path

import pandas as pd
import pytest
import yaml
from click.testing import CliRunner

from gistools.cli.main import main
from gistools.io.tables import read_table

COUNTRY = Path(__file__).parents[2] / "sample_rasters" / "country"
LIGHTS = ("--lights", str(COUNTRY / "lights" / "F*{year}*.tif"))
POPULATION = ("--population", str(COUNTRY / "population" / "landscan-global-{year}.tif"))
CITIES = ("--boundaries", str(COUNTRY / "cities.gpkg"))


def call(*options):
    result = CliRunner().invoke(main, ["city", "sensitivity", *map(str, options)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert "Traceback" not in result.stderr
    return result


def test_the_table_is_that_of_a_report(tmp_path):
    raw = yaml.safe_load((COUNTRY / "study.yaml").read_text(encoding="utf-8"))
    study = {name: raw[name] for name in ("name", "years", "boundaries", "lights", "population")}
    study |= {"form": {"base_year": 2001, "min_light": 12}, "report": {"most_cities": 0}}
    study["boundaries"]["file"] = CITIES[1]
    study["lights"]["files"], study["population"]["files"] = LIGHTS[1], POPULATION[1]
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study, allow_unicode=True), encoding="utf-8")
    done = CliRunner().invoke(main, ["run", str(tmp_path / "study.yaml"), "--out", str(tmp_path / "run")])
    assert done.exit_code == 0, done.stderr
    expected = read_table(tmp_path / "run" / "sensitivity.csv")

    outputs = ("--out", tmp_path / "s.csv", "--json", tmp_path / "s.json", "--figure", tmp_path / "f.png")
    result = call(*LIGHTS, *POPULATION, *CITIES, "--years", "2001", "--min-light", 12, *outputs)
    assert result.exit_code == 0, result.stderr
    assert result.stdout == f"9 rows written to {tmp_path / 's.csv'}\n"
    table = read_table(tmp_path / "s.csv")
    pd.testing.assert_frame_equal(table, expected, check_exact=True)
    assert table["min_light"].tolist()[:3] == pytest.approx([12, 9.6, 14.4])
    said = json.loads((tmp_path / "s.json").read_text(encoding="utf-8"))
    assert said["years"] == [2001]
    assert said["failures"] == []
    assert [row["mean_sprawl_index"] for row in said["rows"]] == table["mean_sprawl_index"].tolist()
    assert (tmp_path / "f.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("extension", [".parquet", ".xlsx", ".dta"])
def test_tables_of_several_years_in_every_format(tmp_path, extension):
    years = ("--years", "2006-2007", "--workers", 1, "--out", tmp_path / f"s{extension}")
    result = call(*LIGHTS, *POPULATION, *CITIES, *years, "--figure", tmp_path / "f_{year}.png")
    assert result.exit_code == 0, result.stderr
    table = read_table(tmp_path / f"s{extension}")
    assert table["year"].value_counts().to_dict() == {2006: 9, 2007: 9}
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {f"s{extension}", "f_2006.png", "f_2007.png"}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((*LIGHTS, *CITIES, "--years", "2006"), "a sprawl index needs both grids: give --lights and --population"),
        ((*POPULATION, *CITIES, "--years", "2006"), "a sprawl index needs both grids"),
        (
            (*LIGHTS, *POPULATION, *CITIES, "--years", "2006", "--figure", "f.pdf"),
            "f.pdf: figures are written as .png",
        ),
        ((*LIGHTS, *POPULATION, *CITIES, "--years", "2006,2007", "--figure", "f.png"), "put {year} into its name"),
        ((*LIGHTS, *POPULATION, *CITIES, "--years", "2006", "--threshold", "high"), "--threshold is 'high'"),
        ((*LIGHTS, *POPULATION, *CITIES, "--years", "1949"), "1949"),
        (
            (*LIGHTS, *POPULATION, *CITIES, "--years", "2006", "--base-year", "1949"),
            "the base year 1949 cannot be used",
        ),
        ((*LIGHTS, *POPULATION, *CITIES, "--years", "2006", "--code", "cod"), "city_code"),
        ((*LIGHTS, *POPULATION, *CITIES, "--years", "2006", "--min-light", "-1"), "min_light"),
    ],
)
def test_what_will_not_do_is_one_sentence(tmp_path, monkeypatch, options, said):
    monkeypatch.chdir(tmp_path)
    result = call(*options, "--out", "s.csv")
    assert result.exit_code == 2, result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert said in result.stderr
    assert not list(tmp_path.iterdir())


def test_an_output_that_will_not_do_is_refused_before_any_work(tmp_path):
    result = call(*LIGHTS, *POPULATION, *CITIES, "--years", "2006", "--out", tmp_path / "s.txt")
    assert result.exit_code == 2
    assert "s.txt" in result.stderr
    result = call(*LIGHTS, *POPULATION, *CITIES, "--years", "2006", "--out", "/proc/s.csv")
    assert result.exit_code == 1
    assert "/proc cannot be written" in result.stderr


def test_a_year_that_fails_ends_with_three(tmp_path):
    result = call(*LIGHTS, *POPULATION, *CITIES, "--years", "2006,2020", "--out", tmp_path / "s.csv")
    assert result.exit_code == 3
    assert any(line.startswith("Set aside: ") and "2020" in line for line in result.stderr.splitlines())
    assert read_table(tmp_path / "s.csv")["year"].unique().tolist() == [2006]
