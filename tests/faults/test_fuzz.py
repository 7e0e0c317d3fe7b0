"""A sample of the campaigns of `make fuzz`: spoilt inputs and killed runs."""

import sys
from pathlib import Path

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).parents[2] / "fuzz"))

import inputs
import judge
import kills
import pool


def test_spoilt_inputs_end_in_the_right_numbers_or_in_one_sentence(tmp_path):
    outcomes, failures = inputs.campaign({"geotiff": 30, "polygons": 15, "study": 15}, 4, tmp_path)
    assert failures == []
    assert sum(sum(found.values()) for found in outcomes.values()) == 60
    assert outcomes["geotiff"][judge.ASIDE] > 5
    assert outcomes["geotiff"][judge.SAME] > 2
    assert outcomes["polygons"][judge.SENTENCE] > 2


def _start(folder):
    def work(task):
        if task == "crash":
            import os

            os.abort()
        while task == "hang":
            pass
        return task

    return work


def test_a_crash_and_a_hang_are_seen(tmp_path):
    tasks = ["a", "crash", "hang", "b"]
    found = {task: outcome for task, outcome, _ in pool.run_all(tasks, _start, tmp_path, seconds=1.5)}
    assert found == {"a": "done", "crash": "crash", "hang": "hang", "b": "done"}


def test_another_number_is_seen(tmp_path):
    bench = judge.Bench(tmp_path)
    bench.whole.loc[0, "population"] += 1  # the good year is no longer what it was
    for number in range(40):
        _, outcome, said = bench(("geotiff", number, 0))
        if outcome == judge.CHANGED:
            assert "population" in said
            return
    pytest.fail("a changed population went unseen")


def test_killed_runs_resume_to_the_same_bytes(tmp_path):
    sample = kills.SAMPLE.parent
    study = yaml.safe_load(kills.SAMPLE.read_text(encoding="utf-8"))
    small = {key: study[key] for key in ("name", "years", "form")} | {
        "report": {"sensitivity": False, "most_cities": 0}
    }
    small["boundaries"] = {**study["boundaries"], "file": str(sample / "cities.gpkg")}
    small["lights"] = {"files": str(sample / "lights" / "F*{year}*.tif")}
    small["population"] = {"files": str(sample / "population" / "landscan-global-{year}.tif")}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(small), encoding="utf-8")
    assert kills.campaign(tmp_path / "study.yaml", 2, 1, tmp_path) == []
