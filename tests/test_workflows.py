"""Every workflow runs as a user runs it, and what it writes agrees with the truth of the sample."""

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / "workflows").glob("*.py"))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflow_is_a_short_recipe_with_its_configuration(path: Path) -> None:
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    assert 20 <= len(lines) <= 60
    assert 'if __name__ == "__main__":' in lines
    assert (path.parent / "config" / f"{path.stem}.yaml").exists()


def test_urban_form(tmp_path: Path) -> None:
    out = tmp_path / "out"
    run = subprocess.run(
        [
            sys.executable,
            "-W",
            "error",
            "-W",
            "ignore::PendingDeprecationWarning",
            ROOT / "workflows" / "urban_form.py",
            "--out",
            out,
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip().splitlines()[-1] == f"36 city-years, maps and tables are in {out}"
    pictures = sorted(path.name for path in out.glob("*.png"))
    assert pictures[-1] == "sprawl_index.png"
    assert len(pictures) == 1 + 2 * 3  # three cities, each with its last year and all its years
    assert all(path.stat().st_size > 10_000 for path in out.glob("*.png"))
    assert "https://" not in (out / "map.html").read_text(encoding="utf-8").split("<body", maxsplit=1)[1][:2000]

    panel = pd.read_parquet(out / "urban_form.parquet").set_index(["city_code", "year"])
    written = pd.read_csv(out / "urban_form.csv", dtype={"city_code": str}).set_index(["city_code", "year"])
    pd.testing.assert_series_equal(panel["sprawl_index"], written["sprawl_index"], rtol=1e-12)
    text = (ROOT / "sample_rasters" / "country" / "truth.json").read_text(encoding="utf-8")
    truth = pd.DataFrame(json.loads(text)["city_years"]).set_index(["city_code", "year"]).loc[panel.index]
    for column in ("sprawl_index", "urban_area_km2", "central_population", "cbd_lon", "cbd_lat"):
        pd.testing.assert_series_equal(panel[column], truth[column].astype(float), rtol=1e-9, check_dtype=False)
    codebook = pd.read_csv(out / "codebook.csv")
    assert set(codebook["column"]) >= {"sprawl_index", "cbd_lon", "note"}
    assert len(pd.read_csv(out / "sensitivity.csv")) > 1


def test_parcels(tmp_path: Path) -> None:
    out = tmp_path / "out"
    program = [
        sys.executable,
        "-W",
        "error",
        "-W",
        "ignore::PendingDeprecationWarning",
        ROOT / "workflows" / "parcels.py",
    ]
    run = subprocess.run([*program, "--out", out], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    text = (ROOT / "sample_rasters" / "country" / "truth.json").read_text(encoding="utf-8")
    truth = json.loads(text)["parcels"]
    used = truth["coordinates_of_clean_rows"]["given"]
    said = f"{truth['rows']} records, {used} of them used; tables and maps are in {out}"
    assert run.stdout.strip().splitlines()[-1] == said
    funnel = pd.read_csv(out / "funnel.csv")
    assert funnel["kept"].iloc[0] == truth["rows"]
    assert funnel["removed"].sum() == truth["rows"] - used
    pictures = {path.name for path in out.glob("*.png")}
    assert {"funnel.png", "parcels.png", "regulation.png"} < pictures
    assert len(pictures) == 3 + 3  # three cities looked at closely
    assert all(path.stat().st_size > 10_000 for path in out.glob("*.png"))
    index = pd.read_csv(out / "regulation.csv", dtype={"city_code": str})
    both = index.merge(pd.DataFrame(truth["farr"]), on=["city_code", "year"], suffixes=("", "_true"))
    assert len(both) == len(index) == 36
    assert ((both["farr"] - both["farr_true"]).abs() < 4 * both["farr_se"]).all()
    assert both["farr_se_bootstrap"].between(0.3 * both["farr_se"], 3 * both["farr_se"]).mean() > 0.8
