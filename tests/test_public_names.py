"""The public names: each is found, documented, and loaded only when it is used."""

import inspect
import subprocess
import sys

import pytest

import gistools


@pytest.mark.parametrize("name", sorted(set(gistools.__all__) - {"__version__"}))
def test_public_name_is_documented(name: str) -> None:
    thing = getattr(gistools, name)
    assert thing.__name__ == name
    doc = inspect.getdoc(thing) or ""
    assert len(doc.splitlines()[0]) > 10
    if inspect.isfunction(thing):
        parameters = [p for p in inspect.signature(thing).parameters if p not in ("args", "kwargs")]
        assert not parameters or "Parameters\n" in doc
        assert all(p in doc for p in parameters), f"{name} does not document every parameter"
        assert "Returns\n" in doc or inspect.signature(thing).return_annotation in ("None", None)


def test_import_loads_nothing_heavy() -> None:
    program = "import sys, gistools; print(*{m.partition('.')[0] for m in sys.modules})"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not set(run.stdout.split()) & {"numpy", "pandas", "geopandas", "rasterio", "xarray", "matplotlib"}


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="sprawl_indx"):
        gistools.sprawl_indx  # noqa: B018
