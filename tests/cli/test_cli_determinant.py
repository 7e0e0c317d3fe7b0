"""``gistools spatial fit --determinant``: the worked check of the documentation, and each way."""

import json
import re
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from gistools.cli.main import main

METHODS = Path(__file__).parents[2] / "docs" / "methods"
WORKED = METHODS / "worked"
BOARD = ("spatial", "fit", WORKED / "board.csv", "--weights", WORKED / "board_w.csv", "--outcome", "y", "--x", "x")


def run(*args, code=0):
    result = CliRunner().invoke(main, [str(a) for a in args])
    assert result.exit_code == code, result.output
    return result.output


def test_documentation_prints_what_it_says(tmp_path, monkeypatch):
    text = (METHODS / "spatial_scale.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```console\n\$ (.*?)\n(.*?)```", text, re.DOTALL)
    shutil.copytree(WORKED, tmp_path / "docs" / "methods" / "worked")
    monkeypatch.chdir(tmp_path)
    assert run(*block[0].split()[1:]).rstrip() == block[1].rstrip()


@pytest.mark.parametrize(
    ("way", "method"), [("eigenvalues", "eigenvalues"), ("lu", "sparse LU"), ("series", "Chebyshev series")]
)
def test_the_way_is_in_the_result(tmp_path, way, method):
    output = run(*BOARD, "--determinant", way, "--json", tmp_path / "fit.json")
    assert ("is approximate" in output) == (way == "series")
    assert json.loads((tmp_path / "fit.json").read_text(encoding="utf-8"))["options"]["determinant"] == method


def test_an_unknown_way_is_one_sentence():
    output = run(*BOARD, "--determinant", "serie", code=2)
    assert (
        "determinant is 'serie', but must be one of auto, eigenvalues, lu, series; did you mean 'series'?" in output
    )
