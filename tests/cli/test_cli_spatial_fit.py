"""``gistools spatial fit``: error models, random effects, robust errors, several weights."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from gistools.cli.main import main
from gistools.study.evidence import spatial_fit_by_weights

WORKED = Path(__file__).parents[2] / "docs" / "methods" / "worked"
BOARD = ("spatial", "fit", WORKED / "board.csv", "--outcome", "y", "--x", "x")


def run(*args, code=0):
    result = CliRunner().invoke(main, [str(a) for a in args])
    assert result.exit_code == code, result.output
    return result


def fitted(tmp_path, *options):
    run(*BOARD, *options, "--json", tmp_path / "fit.json")
    return json.loads((tmp_path / "fit.json").read_text(encoding="utf-8"))


def test_an_error_model(tmp_path):
    doc = fitted(tmp_path, "--weights", WORKED / "board_w.csv", "--model", "sem", "--robust")
    assert [term["term"] for term in doc["terms"]] == ["x", "lambda"]
    assert (doc["model"], doc["correction"], doc["random"]) == ("sem", "transformation", False)
    assert doc["effects_decomposition"] == []
    assert doc["options"]["standard_errors"] == "robust to heteroskedasticity"


@pytest.mark.parametrize(
    ("options", "terms"),
    [
        (("--model", "pooled"), ["const", "x", "phi"]),
        (("--model", "sar"), ["const", "x", "rho", "phi"]),
        (("--model", "sdm"), ["const", "x", "W_x", "rho", "phi"]),
        (("--model", "sem"), ["const", "x", "lambda", "phi"]),
        (("--model", "sem", "--kkp", "--cluster", "city_code"), ["const", "x", "lambda", "phi"]),
    ],
)
def test_random_effects(tmp_path, options, terms):
    weights = ("--weights", WORKED / "board_w.csv")
    doc = fitted(tmp_path, *weights, "--effects", "city", "--random", *options)
    assert [term["term"] for term in doc["terms"]] == terms
    assert (doc["effects"], doc["random"], doc["correction"]) == ("city", True, "none")
    assert doc["clusters"] == (25 if "--cluster" in options else None)


def test_several_weights(tmp_path):
    matrix = pd.read_csv(WORKED / "board_w.csv")
    second = matrix @ matrix.to_numpy()
    second = second.where(~np.eye(len(second), dtype=bool), 0.0)
    second.columns = matrix.columns
    second.to_csv(tmp_path / "second.csv", index=False)
    options = ("--row-standardise", "--draws", "200", "--model", "sar")
    both = ("--weights", WORKED / "board_w.csv", "--weights", tmp_path / "second.csv")
    docs = fitted(tmp_path, *both, *options, "--out", tmp_path / "fits.csv")
    assert [doc["weights"] for doc in docs] == ["board_w", "second"]
    alone = fitted(tmp_path, *both[2:], *options)
    assert docs[1] == {"weights": "second", **alone}
    table = pd.read_csv(tmp_path / "fits.csv", encoding="utf-8-sig")
    assert table["weights"].value_counts().to_dict() == {"board_w": 5, "second": 5}
    assert table["estimate"][5] == alone["terms"][0]["estimate"]
    files = {"near": both[1], "far": both[3]}
    named = spatial_fit_by_weights(BOARD[2], weights=files, outcome="y", x=["x"], row_standardise=True, draws=0)
    assert [fit.weights for fit in named] == ["near", "far"]


def test_what_cannot_be_is_said_in_a_sentence(tmp_path):
    weights = ("--weights", WORKED / "board_w.csv")
    assert "give --random with it" in run(*BOARD, *weights, "--model", "sem", "--kkp", code=2).output
    assert "named twice" in run(*BOARD, *weights, *weights, code=2).output
    missing = run(*BOARD, *weights, "--weights", tmp_path / "none.gal", code=2).output
    assert "none.gal" in missing
    assert "one of the two" in run(*BOARD, *weights, "--robust", "--cluster", "city", code=2).output
