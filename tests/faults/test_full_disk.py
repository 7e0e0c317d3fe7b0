"""A whole run on a disk that really fills: one sentence, no part of a file, and the same panel once there is room.

The disk is a tmpfs of so many pages that a chosen file of the run no longer fits; only root may mount one.
"""

import hashlib
import os
import subprocess
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from gistools.cli.main import main
from gistools.io.atomic import PARTIAL
from gistools.study import report

COUNTRY = Path(__file__).parents[2] / "sample_rasters" / "country"
PAGE = os.sysconf("SC_PAGE_SIZE")
ROOMY = 64 << 20
AFTER_THE_MANIFEST = ("map.html", "report.html")


class Disk:
    """A small disk of its own, mounted and of a size that can be changed."""

    def __init__(self, place):
        self.place = place
        self.mounted = False

    def size(self, size):
        options = f"{'remount,' if self.mounted else ''}size={size},mode=755"
        call = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(self.place)]
        try:
            done = subprocess.run(call, check=False, capture_output=True, text=True)
        except FileNotFoundError:
            pytest.skip("there is no mount command, so no small disk to fill")
        if done.returncode and not self.mounted:
            pytest.skip(f"no small disk can be mounted here: {done.stderr.strip()}")
        assert done.returncode == 0, done.stderr
        self.mounted = True

    def gone(self):
        if self.mounted:
            subprocess.run(["umount", str(self.place)], check=True)


@pytest.fixture
def disk(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small disk")
    place = tmp_path / "disk"
    place.mkdir()
    small = Disk(place)
    try:
        yield small
    finally:
        small.gone()


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """The small country with few models and one city to draw; labels of covered fractions are kept as a file."""
    raw = yaml.safe_load((COUNTRY / "study.yaml").read_text(encoding="utf-8"))
    for part in ("boundaries", "parcels", "yearbook", "policy"):
        raw[part]["file"] = str(COUNTRY / raw[part]["file"])
    for part in ("lights", "population"):
        raw[part]["files"] = str(COUNTRY / raw[part]["files"])
    raw["truth"] = str(COUNTRY / raw["truth"])
    raw |= {"years": "2006-2007", "weights": raw["weights"][:1], "models": raw["models"][:1]}
    raw["form"]["assign"] = "coverage"
    raw["moran"] = {"columns": ["sprawl_index"], "permutations": 9}
    raw["report"] = {"most_cities": 1}
    path = tmp_path_factory.mktemp("study") / "study.yaml"
    path.write_text(yaml.safe_dump(raw, allow_unicode=True), encoding="utf-8")
    return path


def run(study, out, *options):
    # one worker, so that years are written in order
    return CliRunner().invoke(main, ["run", str(study), "--out", str(out), "--workers", "1", *options])


@pytest.fixture(scope="module")
def whole(study, tmp_path_factory):
    """An uninterrupted run."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small disk")
    out = tmp_path_factory.mktemp("whole") / "run"
    result = run(study, out)
    assert result.exit_code == 0, result.stderr
    return out


def files(folder):
    return {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}


def digests(folder):
    """Hashes of all files but those that say when they were made."""
    return {
        name: hashlib.sha256(path.read_bytes()).hexdigest()
        for name, path in files(folder).items()
        if name not in ("manifest.json", "report.html")
    }


def pages(path):
    return -(-path.stat().st_size // PAGE)


def too_small(whole, name):
    """The size of a disk that holds what is written before a file, and half of the file."""
    target = files(whole)[name]
    before = [path for path in files(whole).values() if path.stat().st_mtime_ns < target.stat().st_mtime_ns]
    if name in AFTER_THE_MANIFEST:  # it is written once more at the end
        before.append(whole / "manifest.json")
    # half, and not all but a page: the manifest is smaller when it is first written than at the end
    return PAGE * (sum(map(pages, before)) + pages(target) // 2)


@pytest.mark.parametrize(
    "name",
    [
        "years/labels",
        "years/2006.parquet",
        "cities.parquet",
        "panel.parquet",
        "panel.csv",
        "weights/contiguity.parquet",
        "clips/170100_2007.tif",
        "sensitivity.csv",
        *AFTER_THE_MANIFEST,
    ],
)
def test_a_disk_that_fills_is_named_and_the_run_goes_on_when_there_is_room(
    study, whole, disk, monkeypatch, capfd, name
):
    name = next(found for found in files(whole) if found.startswith(name))
    expected = digests(whole)
    disk.size(too_small(whole, name))
    out = disk.place / "run"
    result = run(study, out)
    assert result.exit_code == 1, result.output
    *progress, said = result.stderr.splitlines()
    assert said == f"Error: {out / name} cannot be written: the disk is full; free some space and run again"
    assert not [line for line in progress if "Error" in line or "Set aside" in line]
    assert capfd.readouterr().err == ""  # nor do GDAL or HDF5 speak
    held = digests(out)
    assert name not in files(out)
    assert held.items() <= expected.items()
    assert not list(disk.place.rglob(f"*{PARTIAL}*"))

    disk.size(ROOMY)
    if name != "report.html":  # a report takes longest, and is not what was stopped
        monkeypatch.setattr(report, "write_report", lambda folder: folder / "report.html")
        expected = {found: digest for found, digest in expected.items() if not found.startswith("map")}
    resumed = run(study, out, *(["--resume"] if held else []))
    assert resumed.exit_code == 0, resumed.output
    assert digests(out) == expected


def test_a_disk_that_is_full_before_the_run_begins(study, whole, disk, monkeypatch):
    disk.size(4 * PAGE)
    (disk.place / "other").write_bytes(bytes(4 * PAGE))
    out = disk.place / "run"
    result = run(study, out)
    assert result.exit_code == 1
    assert result.stderr == f"Error: {out} cannot be written: the disk is full; free some space and run again\n"
    assert not files(out)
    (disk.place / "other").unlink()
    disk.size(ROOMY)
    monkeypatch.setattr(report, "write_report", lambda folder: folder / "report.html")
    assert run(study, out).exit_code == 0
    assert digests(out)["panel.parquet"] == digests(whole)["panel.parquet"]
