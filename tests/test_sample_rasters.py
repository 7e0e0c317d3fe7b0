"""The committed country is what its script makes, and its README says what is true."""

import importlib.util
import json
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio

pytestmark = pytest.mark.xdist_group("sample")

FOLDER = Path(__file__).parents[1] / "sample_rasters"
COUNTRY = FOLDER / "country"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("make_samples", FOLDER / "make_samples.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def again(script, tmp_path_factory):
    return script.make_country(tmp_path_factory.mktemp("samples") / "country").folder


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def alike(a, b) -> None:
    """Compare JSON values; numbers to the last digits, which libraries may round differently."""
    assert type(a) is type(b)
    if isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:
            alike(a[key], b[key])
    elif isinstance(a, list):
        assert len(a) == len(b)
        for left, right in zip(a, b, strict=True):
            alike(left, right)
    elif isinstance(a, float):
        assert a == pytest.approx(b, rel=1e-9, abs=1e-12)
    else:
        assert a == b


def test_the_script_makes_the_committed_files(again):
    assert names(again) == names(COUNTRY)
    for name in names(COUNTRY):
        old, new = COUNTRY / name, again / name
        if old.read_bytes() == new.read_bytes():
            continue
        # other releases of the libraries may encode the same values in other bytes
        if name.endswith(".tif"):
            with rasterio.open(old) as a, rasterio.open(new) as b:
                assert a.profile == b.profile, name
                assert np.array_equal(a.read(1), b.read(1)), name
        elif name.endswith(".gpkg"):
            a, b = gpd.read_file(old), gpd.read_file(new)
            assert a.drop(columns="geometry").equals(b.drop(columns="geometry"))
            assert a.geometry.geom_equals_exact(b.geometry, 1e-9).all()
        elif name.endswith(".json"):
            a, b = (json.loads(path.read_text(encoding="utf-8")) for path in (old, new))
            del a["version"], b["version"]
            alike(a, b)
        else:
            pytest.fail(f"{name} is not what the script makes; run sample_rasters/make_samples.py")


def test_the_readme_states_the_truth(script):
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert script.with_table(text, script.truth_table(COUNTRY)) == text
    assert text.count("monocentric") + text.count("polycentric") == 12


def test_the_set_stays_small():
    assert sum((COUNTRY / name).stat().st_size for name in names(COUNTRY)) < 3_000_000
