"""The main job on the small country: recovers the truth, survives bad years and kills, resumes to the same bytes."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import yaml
from click.testing import CliRunner

from gistools.cli.main import main
from gistools.errors import ConfigError, InputError, OutputError
from gistools.io.atomic import PARTIAL
from gistools.io.tables import read_table
from gistools.study import run as run_module
from gistools.study.check import check_study
from gistools.study.config import load_config
from gistools.study.run import RunResult, run_study

ROOT = Path(__file__).parents[2]
COUNTRY = ROOT / "sample_rasters" / "country"


def study(folder: Path, **changes: object) -> Path:
    """Write a study on the small country with some keys changed; None removes a key."""
    raw = yaml.safe_load((COUNTRY / "study.yaml").read_text(encoding="utf-8"))
    raw["boundaries"]["file"] = str(COUNTRY / "cities.gpkg")
    raw["lights"]["files"] = str(COUNTRY / raw["lights"]["files"])
    raw["population"]["files"] = str(COUNTRY / raw["population"]["files"])
    for part in ("parcels", "yearbook", "policy"):
        raw[part]["file"] = str(COUNTRY / raw[part]["file"])
    raw["truth"] = str(COUNTRY / "truth.json")
    for key, value in changes.items():
        if value is None:
            raw.pop(key, None)
        else:
            raw[key] = value
    path = folder / "study.yaml"
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(raw, allow_unicode=True, sort_keys=False), encoding="utf-8")
    return path


def light(folder: Path, **changes: object) -> Path:
    """Write a study without models, weights and maps of cities: what concerns years needs no more."""
    quiet = {"models": None, "moran": None, "weights": None, "parcels": None, "truth": None}
    return study(folder, **quiet, report={"most_cities": 0, "sensitivity": False}, **changes)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    folder = tmp_path_factory.mktemp("whole")
    return run_study(load_config(study(folder)), out=folder / "run")


def test_every_part_is_written(finished: RunResult) -> None:
    assert not finished.failures
    names = {path.name for path in finished.out.iterdir()}
    assert names >= {
        "study.yaml", "manifest.json", "cities.parquet", "panel.parquet", "panel.csv", "codebook.csv", "joins.csv",
        "national.csv", "parcels.parquet", "parcels_funnel.csv", "weights.csv", "moran.csv", "models.json",
        "truth.csv", "sensitivity.csv", "report.html", "map.html", "regulation.csv", "regulation.json",
    }  # fmt: skip
    assert finished.report == finished.out / "report.html"
    assert list((finished.out / "maps").glob("*.png"))
    years = {p.name for p in (finished.out / "years").iterdir() if not p.match("labels-*.npz")}
    assert years == {f"{y}.parquet" for y in (2001, 2006, 2007, 2008)}


def test_measures_are_the_truth(finished: RunResult) -> None:
    truth = finished.truth
    assert truth is not None
    exact = truth[truth["std_error"].isna()]
    assert len(exact) == 6
    assert exact["within"].str.startswith("the same everywhere").all()
    caps = truth["quantity"].str.startswith("legal cap")
    assert truth.loc[truth["std_error"].notna() & ~caps, "within"].str.startswith("within three").all()
    assert int(truth.loc[caps, "within"].item().split()[0]) >= 85  # % of city-years within 1.96 standard errors


def test_panel_holds_grids_yearbook_policy_and_parcels(finished: RunResult) -> None:
    panel = read_table(finished.out / "panel.parquet")
    assert len(panel) == 12 * 3
    assert {"sprawl_index", "ln_output", "treated", "parcels", "parcel_distance_km", "ln_farr"} <= set(panel.columns)
    assert panel["city_code"].str.fullmatch(r"\d{6}").all()
    truth = pd.DataFrame(json.loads((COUNTRY / "truth.json").read_text(encoding="utf-8"))["city_years"])
    both = panel.merge(truth, on=["city_code", "year"], suffixes=("", "_true"))
    pd.testing.assert_series_equal(both["population"], both["population_true"], check_names=False)
    described = read_table(finished.out / "codebook.csv").set_index("column")
    assert list(described.index) == list(panel.columns)
    assert described.loc["sprawl_index", "source"] == "grids"
    assert described.loc["ln_output", "source"] == "yearbook"
    joins = read_table(finished.out / "joins.csv").set_index("table")
    # the yearbook's base year and the city that has no polygon find no partner
    assert joins.loc["yearbook", ["rows", "matched", "only_in_table", "only_in_panel"]].tolist() == [52, 36, 16, 0]


def test_models_stand_beside_one_another(finished: RunResult) -> None:
    fits = json.loads((finished.out / "models.json").read_text(encoding="utf-8"))
    assert [fit["model"] for fit in fits] == ["pooled", "sar", "sdm"]
    sdm = fits[2]
    assert sdm["correction"] == "transformation"
    assert {row["effect"] for row in sdm["effects_decomposition"]} == {"direct", "indirect", "total"}
    moran = read_table(finished.out / "moran.csv")
    assert set(moran["weights"]) == {"contiguity", "knn4", "distance"}
    assert set(moran["year"]) == {2006, 2007, 2008}
    assert moran["p_sim"].between(0, 1).all()


def test_manifest_names_inputs_with_their_hashes(finished: RunResult) -> None:
    manifest = json.loads((finished.out / "manifest.json").read_text(encoding="utf-8"))
    by_role = {entry["role"]: entry for entry in manifest["inputs"]}
    assert by_role["boundaries"]["sha256"] == digest(COUNTRY / "cities.gpkg")
    assert by_role["population 2008"]["sha256"] == digest(COUNTRY / "population" / "landscan-global-2008.tif")
    assert set(manifest["products"]["lights"].values()) == {"DMSP-OLS stable lights"}
    assert {entry["path"] for entry in manifest["outputs"]} >= {"panel.parquet", "report.html"}
    for entry in manifest["outputs"]:
        assert entry["sha256"] == digest(finished.out / entry["path"])
    assert manifest["seed"] == 7
    assert {"yearbook", "policy", "parcels", "truth"} <= by_role.keys()
    assert manifest["options"]["form"]["min_density"] == 1000
    assert {"GDAL", "PROJ", "numpy"} <= manifest["versions"].keys()


def test_resolved_study_runs_again(finished: RunResult, tmp_path: Path) -> None:
    again = load_config(finished.out / "study.yaml")
    assert check_study(again).problems == []
    assert again.years == (2006, 2007, 2008)


def test_a_second_run_takes_years_over_and_ends_the_same(
    finished: RunResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []
    monkeypatch.setattr("gistools.study.labels.label_zones", lambda *_, **__: made.append(1))
    shutil.copytree(finished.out, tmp_path / "run")
    before = {p.name: digest(p) for p in (tmp_path / "run").glob("*.*") if p.name != "manifest.json"}
    again = run_study(load_config(tmp_path / "run" / "study.yaml"), out=tmp_path / "run", resume=True)
    assert again.taken_over == [2001, 2006, 2007, 2008]
    assert made == []  # the label grid was kept, too
    after = {p.name: digest(p) for p in (tmp_path / "run").glob("*.*") if p.name != "manifest.json"}
    differ = [name for name in before if before[name] != after[name]]
    # the report prints which years were taken over, and Bokeh numbers its parts from where it stopped
    assert set(differ) <= {"report.html", "map.html"}


def test_one_more_year_leaves_the_others_alone(tmp_path: Path) -> None:
    run_study(load_config(light(tmp_path / "a", years="2006,2007")), out=tmp_path / "run")
    stamps = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "run" / "years").iterdir()}
    longer = run_study(load_config(light(tmp_path / "b", years="2006-2008")), out=tmp_path / "run", resume=True)
    assert longer.taken_over == [2001, 2006, 2007]
    now = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "run" / "years").iterdir()}
    assert {name: now[name] for name in stamps} == stamps
    fresh = run_study(load_config(light(tmp_path / "c", years="2006-2008")), out=tmp_path / "fresh")
    assert digest(longer.out / "panel.parquet") == digest(fresh.out / "panel.parquet")


def test_a_changed_option_measures_anew(tmp_path: Path) -> None:
    run_study(load_config(light(tmp_path / "a")), out=tmp_path / "run")
    changed = light(tmp_path / "b", form={"base_year": 2001, "min_light": 12})
    again = run_study(load_config(changed), out=tmp_path / "run", resume=True)
    assert again.taken_over == []


def with_bad_year(folder: Path, year: int, part: str) -> Path:
    """Copy the grids and cut one file of a year short."""
    for name in ("lights", "population"):
        shutil.copytree(COUNTRY / name, folder / name)
    bad = next((folder / part).glob(f"*{year}*.tif"))
    bad.write_bytes(bad.read_bytes()[: bad.stat().st_size * 2 // 3])
    return light(
        folder,
        lights={"files": str(folder / "lights" / "F*{year}*.tif")},
        population={"files": str(folder / "population" / "landscan-global-{year}.tif")},
    )


def test_one_bad_year_does_not_lose_the_good_ones(tmp_path: Path) -> None:
    path = with_bad_year(tmp_path, 2007, "population")
    result = CliRunner().invoke(main, ["run", str(path), "--out", str(tmp_path / "run")])
    assert result.exit_code == 3
    assert "2007" in result.stderr
    assert "cut short or damaged" in result.stderr
    panel = read_table(tmp_path / "run" / "panel.parquet")
    assert sorted(panel["year"].unique()) == [2006, 2008]
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["years"]["2007"]["status"] == "failed"
    # mended, the run goes on from the good years
    shutil.copy(COUNTRY / "population" / "landscan-global-2007.tif", tmp_path / "population")
    mended = run_study(load_config(path), out=tmp_path / "run", resume=True)
    assert mended.taken_over == [2001, 2006, 2008]
    assert not mended.failures


def test_a_bad_base_year_stops_the_study(tmp_path: Path) -> None:
    path = with_bad_year(tmp_path, 2001, "population")
    result = CliRunner().invoke(main, ["run", str(path), "--out", str(tmp_path / "run")])
    assert result.exit_code == 2
    assert "base year 2001" in result.stderr
    assert not (tmp_path / "run").exists()


def test_kill_and_resume_end_with_the_same_panel(tmp_path: Path) -> None:
    path = light(tmp_path / "s")
    whole = run_study(load_config(path), out=tmp_path / "whole")
    out = tmp_path / "killed"
    command = [sys.executable, "-m", "gistools.cli.main", "run", str(path), "--out", str(out), "--resume"]
    for years in (1, 3):  # killed when so many years are on disk
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while process.poll() is None and len(list(out.glob("years/*.parquet"))) < years:
            assert time.monotonic() < deadline
            time.sleep(0.005)
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
        process.wait()
        for kept in out.glob("years/????.parquet"):
            assert len(pd.read_parquet(kept)) == 12  # whole or not there
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert digest(out / "panel.parquet") == digest(whole.out / "panel.parquet")
    assert digest(out / "panel.csv") == digest(whole.out / "panel.csv")
    assert not list(out.rglob("*.partial-*"))


def test_a_failing_model_is_named_and_the_rest_is_finished(tmp_path: Path) -> None:
    models = [
        {"name": "good", "model": "pooled", "outcome": "ln_output", "x": ["treated", "ln_investment"]},
        # the town without urban cells has no index, so its panel has gaps
        {"name": "gaps", "model": "pooled", "outcome": "sprawl_index", "x": ["treated"]},
        {"name": "without it", "model": "sar", "weights": "contiguity", "outcome": "sprawl_index", "x": ["treated"]},
    ]
    models[2]["gaps"] = "drop"
    path = study(tmp_path, models=models, moran=None, parcels=None, truth=None, report={"most_cities": 0})
    result = run_study(load_config(path), out=tmp_path / "run")
    assert [str(problem.part) for problem in result.failures] == ["model gaps"]
    assert [fit["name"] for fit in result.fits] == ["good", "without it"]
    assert result.fits[1]["n"] == 33
    assert any("160700" in note and "left out" in note for note in result.notes)


def test_a_fault_of_ours_in_one_part_is_named_and_the_rest_is_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_args: object, **_options: object) -> None:
        raise ArithmeticError("no\n  such luck")

    monkeypatch.setattr(run_module, "moran_by_year", broken)
    result = run_study(load_config(study(tmp_path, models=None, truth=None)), out=tmp_path / "run")
    said = {str(problem) for problem in result.failures}
    assert "Moran's I of sprawl_index under knn4: ArithmeticError: no such luck" in said
    assert all("Moran's I" in text for text in said)
    assert result.report is not None


def test_folders_are_not_overwritten_unasked(finished: RunResult, tmp_path: Path) -> None:
    config = load_config(light(tmp_path / "s"))
    with pytest.raises(InputError, match="--resume"):
        run_study(config, out=finished.out)
    foreign = tmp_path / "photos"
    foreign.mkdir()
    (foreign / "holiday.jpg").write_bytes(b"x")
    for how in ({}, {"overwrite": True}, {"resume": True}):
        with pytest.raises(OutputError, match="no run of gistools"):
            run_study(config, out=foreign, **how)
    assert (foreign / "holiday.jpg").read_bytes() == b"x"
    with pytest.raises(InputError, match="ask for one of them"):
        run_study(config, out=finished.out, resume=True, overwrite=True)


@pytest.mark.parametrize("how", [{"overwrite": True}, {"resume": True}, {}])
def test_the_folder_of_the_inputs_is_never_a_folder_of_a_run(tmp_path: Path, how: dict[str, bool]) -> None:
    home = tmp_path / "country"
    shutil.copytree(ROOT / "sample_rasters" / "country", home)
    before = {path: digest(path) for path in home.rglob("*") if path.is_file()}
    config = load_config(home / "study.yaml")
    for out in (home, tmp_path):
        with pytest.raises(InputError, match=r"an input of the study, lies in the run's folder .*--out"):
            run_study(config, out=out, **how)
    # nor is a folder that holds a study of that name, but no run
    project = tmp_path / "project"
    project.mkdir()
    shutil.copy(home / "study.yaml", project)
    with pytest.raises(OutputError, match="no run of gistools"):
        run_study(config, out=project, **how)
    assert {path: digest(path) for path in home.rglob("*") if path.is_file()} == before
    assert [path.name for path in project.iterdir()] == ["study.yaml"]


def test_a_run_writes_nothing_that_it_would_not_delete(finished: RunResult) -> None:
    assert {path.name for path in finished.out.iterdir()} <= set(run_module.OUTPUTS)


def test_warnings_are_notes_of_the_run_whether_or_not_it_is_quiet(tmp_path: Path) -> None:
    weights = [{"name": "near", "kind": "inverse-distance", "cutoff_km": 40, "islands": "nearest"}]
    path = study(tmp_path, weights=weights, moran={"columns": ["sprawl_index"]}, models=None, truth=None)
    result = run_study(load_config(path), out=tmp_path / "run")
    said = [note for note in result.notes if "without a neighbour" in note]
    assert len(said) == 1
    assert said[0] in json.loads((result.out / "manifest.json").read_text(encoding="utf-8"))["notes"]


def test_check_and_dry_run_write_nothing(tmp_path: Path) -> None:
    path = study(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    runner = CliRunner()
    for command in (["check", str(path)], ["run", str(path), "--dry-run", "--out", str(tmp_path / "run")]):
        result = runner.invoke(main, command)
        assert result.exit_code == 0, result.stderr
        assert "Everything is in order" in result.stdout
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"yearbook": {"file": "nowhere.csv"}}, "no file"),
        ({"policy": {"file": str(COUNTRY / "policy.csv"), "start": "begin"}}, "no column 'begin'"),
        ({"moran": {"columns": ["sprawl_indx"]}}, "did you mean 'sprawl_index'"),
        ({"models": [{"name": "m", "model": "pooled", "outcome": "ln_outptu", "x": ["treated"]}]}, "ln_output"),
        ({"parcels": {"file": str(COUNTRY / "policy.csv")}}, "no column lon or lat"),
        ({"truth": str(COUNTRY / "policy.csv")}, "as JSON"),
        ({"yearbook": {"file": str(COUNTRY / "yearbook.csv"), "code": "year"}}, "both a column"),
        (
            {"yearbook": {"file": str(COUNTRY / "yearbook.csv"), "codebook": str(COUNTRY / "policy.csv")}},
            "the description of yearbook has no column 'column'",
        ),
        ({"form": {"base_year": 2001, "cbd_table": "none.csv"}}, "there is no file"),
        ({"form": {"base_year": 2001, "cbd_table": str(COUNTRY / "policy.csv")}}, "no column 'cbd_lon'"),
        ({"report": {"cities": ["999999"]}}, "there is no city 999999 in the boundaries"),
        ({"weights": [{"name": "contiguity", "kind": "knn", "k": 12}]}, "k is 12, but must be less than"),
    ],
)
def test_every_input_is_judged_before_work(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    path = study(tmp_path, **changes)
    for command in (["check", str(path)], ["run", str(path), "--out", str(tmp_path / "run")]):
        result = CliRunner().invoke(main, command)
        assert result.exit_code == 2
        assert message in result.stderr
        assert "Traceback" not in result.stderr
    assert not (tmp_path / "run").exists()


def test_a_truth_that_is_none_is_refused_before_work(tmp_path: Path) -> None:
    for text in ("[1]", '{"a": 1}'):
        (tmp_path / "t.json").write_text(text)
        with pytest.raises(ConfigError, match=r"t\.json is not the truth\.json of a synthetic country"):
            run_study(load_config(study(tmp_path / "s", truth=str(tmp_path / "t.json"))), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_leftovers_of_a_run_killed_at_once_do_not_bar_the_folder(tmp_path: Path) -> None:
    """Nothing stands in the folder yet but what was half written: it is nobody's and is cleared away."""
    config = load_config(light(tmp_path / "s"))
    out = tmp_path / "run"
    out.mkdir()
    for name in (f".write{PARTIAL}test", f"study{PARTIAL}12345678.yaml"):
        (out / name).write_bytes(b"x")
    assert run_study(config, out=out).failures == []
    assert not list(out.rglob(f"*{PARTIAL}*"))


def test_overwriting_keeps_the_mark_of_a_run_until_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = load_config(light(tmp_path / "s"))
    out = tmp_path / "run"
    (out / "years").mkdir(parents=True)
    for name in ("panel.csv", "years/2001.parquet", "notes.txt"):
        (out / name).write_bytes(b"x")
    run_module.write_text(out / "study.yaml", run_module._MARK + config.to_yaml())
    with monkeypatch.context() as patch:
        patch.setattr("gistools.study.run.require_writable", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run_study(config, out=out, overwrite=True)
    assert sorted(path.name for path in out.iterdir()) == ["notes.txt", "study.yaml"]
    assert run_study(config, out=out, overwrite=True).failures == []


def test_a_run_refuses_before_it_writes(tmp_path: Path) -> None:
    path = study(tmp_path, moran={"columns": ["nothing"]})
    with pytest.raises(ConfigError, match="no column 'nothing'"):
        run_study(load_config(path), out=tmp_path / "run")


def test_json_of_a_run(tmp_path: Path) -> None:
    path = light(tmp_path / "s")
    result = CliRunner().invoke(
        main, ["run", str(path), "--out", str(tmp_path / "run"), "--json", str(tmp_path / "r.json")]
    )
    assert result.exit_code == 0, result.stderr
    said = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    assert said["rows"] == 36
    assert said["years"] == [2006, 2007, 2008]
    assert said["failures"] == []


def test_parcels_of_other_years_do_not_lose_the_panel(tmp_path: Path) -> None:
    records = pd.read_csv(COUNTRY / "parcels.csv", dtype=str, encoding="gb18030")
    dates = records["签订日期"].str.replace(r"20\d\d", "1999", regex=True)
    records.assign(签订日期=dates).to_csv(tmp_path / "old.csv", index=False)
    quiet = {"models": None, "moran": None, "weights": None, "truth": None}
    path = study(tmp_path, **quiet, parcels={"file": str(tmp_path / "old.csv")}, report={"most_cities": 0})
    run = run_study(load_config(path), out=tmp_path / "run")
    assert not run.failures
    assert [text for text in run.notes if "no parcel that is used is of the years" in text], run.notes
    assert "parcels" not in run.panel
    assert "sprawl_index" in run.panel
