"""``gistools spatial choose``: the worked check of the documentation, JSON, tables, exit codes, bad input."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from gistools.cli.main import main
from gistools.study.spatial_choice import spatial_choose

METHODS = Path(__file__).parents[2] / "docs" / "methods"
WORKED = METHODS / "worked"
BOARD = ("spatial", "choose", WORKED / "board.csv", "--weights", WORKED / "board_w.csv", "--outcome", "y", "--x", "x")


def run(*args, code=0):
    result = CliRunner().invoke(main, [str(a) for a in args])
    assert result.exit_code == code, result.output
    return result


def test_documentation_prints_what_it_says(tmp_path, monkeypatch):
    text = (METHODS / "model_choice.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```console\n\$ (.*?)\n(.*?)```", text, re.DOTALL)
    shutil.copytree(WORKED, tmp_path / "docs" / "methods" / "worked")
    monkeypatch.chdir(tmp_path)
    assert run(*block[0].split()[1:]).output.rstrip() == block[1].rstrip()


def test_json_and_table(tmp_path):
    run(*BOARD, "--effects", "city", "--correction", "none", "--model", "sem", "--json", tmp_path / "r.json",
        "--out", tmp_path / "tests.csv")  # fmt: skip
    doc = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    assert doc["choice"] in ("ols", "slx", "sar", "sem", "sdm")
    assert (doc["effects"], doc["correction"], doc["hausman"], doc["cities"], doc["years"]) == (
        "city", "none", "sem", 25, 8,
    )  # fmt: skip
    assert doc["reasons"]
    found = {(test["test"], test["model"]) for test in doc["tests"]}
    lagrange = ("lm_lag", "lm_error", "rlm_lag", "rlm_error", "lm_joint")
    assert found >= {(name, model) for name in lagrange for model in ("pooled", "city", "year", "city,year")}
    others = ("lr_sdm_sar", "lr_sdm_sem", "wald_sdm_sar", "wald_sdm_sem", "hausman", "mundlak")
    assert found >= {(name, "city") for name in others}
    assert [row["model"] for row in doc["models"]] == ["ols", "slx", "sar", "sem", "sdm"]
    assert doc["models"][0]["rho"] is None
    table = pd.read_csv(tmp_path / "tests.csv", encoding="utf-8-sig")
    assert table["test"].tolist() == [test["test"] for test in doc["tests"]]
    assert table["statistic"].to_numpy() == pytest.approx(
        [np.nan if test["statistic"] is None else test["statistic"] for test in doc["tests"]], nan_ok=True
    )


def test_a_file_without_years_is_one_cross_section(tmp_path):
    board = pd.read_csv(WORKED / "board.csv", dtype={"city_code": str})
    board[board["year"] == 2012].drop(columns="year").to_csv(tmp_path / "one.csv", index=False)
    options = ("--weights", WORKED / "board_w.csv", "--outcome", "y", "--x", "x", "--json", tmp_path / "r.json")
    run("spatial", "choose", tmp_path / "one.csv", *options)
    doc = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    assert {test["model"] for test in doc["tests"]} == {"pooled"}
    assert (doc["effects"], doc["years"]) == ("none", 1)


def test_other_names_of_keys_and_clusters(tmp_path):
    board = pd.read_csv(WORKED / "board.csv").rename(columns={"city_code": "id", "year": "period"})
    board.to_parquet(tmp_path / "board.parquet")
    found = spatial_choose(
        tmp_path / "board.parquet",
        weights=WORKED / "board_w.csv",
        unit="id",
        time="period",
        outcome="y",
        x=["x"],
        cluster="id",
    )
    assert found.options["cluster"] == "city"
    assert found.choice == "sdm"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--effects", "county"), "effects"),
        (("--cluster", "province"), "clustered by city (column 'city_code'), not by 'province'"),
        (("--model", "ols"), "must be one of sar, sem, sdm"),
        (("--alpha", "5"), "a level is between 0 and 1"),
        (("--x", "z"), "no column 'z'"),
        (("--out", "tests.txt"), "by extension"),
        (("--correction", "leeyu"), "correction is 'leeyu'"),
    ],
)
def test_bad_input_is_one_sentence(tmp_path, options, words):
    result = run(*BOARD, *options, "--json", tmp_path / "r.json", code=2)
    assert words in result.output
    assert result.output.count("\n") == 1
    assert not (tmp_path / "r.json").exists()


def test_help_names_the_command():
    assert "choose" in run("spatial", "--help").output
