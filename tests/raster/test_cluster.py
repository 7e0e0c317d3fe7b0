"""A real cluster of separate processes gives the same bits as threads, also when a worker is killed."""

import json
import os
import signal
import subprocess
import sys
import time
import warnings

import numpy as np
import pandas as pd
import pytest
from raster_factory import cell_box, cities, lonlat_grid, spoil_block, write_raster

from gistools.city.form import FormOptions
from gistools.city.series import city_form
from gistools.io.rasters import open_raster
from gistools.raster import zonal
from gistools.raster.lights import DMSP
from gistools.raster.population import LANDSCAN
from gistools.raster.tasks import Execution, local_processes, run_tasks

GRID = lonlat_grid((360, 240))
BOUNDARIES = cities([cell_box(GRID, 0, 360, 0, 120), cell_box(GRID, 0, 360, 120, 240)])


@pytest.fixture
def grids(tmp_path, monkeypatch):
    """Two years of lights and population, scanned in many small slabs."""
    monkeypatch.setattr(zonal, "_SLAB_ROWS", 6)
    rng = np.random.default_rng(4)
    lights, population = {}, {}
    for year in (2011, 2012):
        light = write_raster(tmp_path / f"F18{year}.tif", rng.integers(0, 64, GRID.shape).astype("uint8"), GRID)
        count = rng.gamma(0.5, 2000, GRID.shape).astype("int32")
        people = write_raster(tmp_path / f"pop{year}.tif", count, GRID, nodata=-9999, compress="lzw")
        lights[year], population[year] = open_raster(light, DMSP), open_raster(people, LANDSCAN)
    return {"lights": lights, "population": population}


@pytest.fixture
def cluster(tmp_path):
    """A scheduler and two workers, each a process of its own; yields the address and the workers."""
    facts = tmp_path / "scheduler.json"
    dask = [sys.executable, "-W", "ignore", "-m", "dask"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    places = ("--port", "0", "--no-dashboard", "--scheduler-file", str(facts))
    started = [subprocess.Popen([*dask, "scheduler", *places], **quiet)]
    try:
        options = ("--nthreads", "1", "--no-dashboard", "--no-nanny", "--memory-limit", "0")
        workers = [
            subprocess.Popen([*dask, "worker", "--scheduler-file", str(facts), *options], **quiet) for _ in range(2)
        ]
        started += workers
        deadline = time.monotonic() + 60
        while not (facts.exists() and facts.read_text(encoding="utf-8").strip()):
            assert time.monotonic() < deadline, "the scheduler did not start"
            time.sleep(0.05)
        address = json.loads(facts.read_text(encoding="utf-8"))["address"]
        from distributed import Client

        with Client(address, set_as_default=False) as client:
            client.wait_for_workers(2, timeout=60)
        yield address, workers
    finally:
        for process in reversed(started):
            process.kill()
            process.wait()


def test_a_worker_killed_in_the_middle_changes_nothing(grids, cluster):
    address, workers = cluster
    expected = city_form(BOUNDARIES, **grids, options=FormOptions(), execution=Execution(2))
    killed = []

    def kill(year, done, of):
        if year == 2011 and done == 5 and not killed:
            assert of > 40
            os.kill(workers[0].pid, signal.SIGKILL)
            killed.append(year)

    got = city_form(BOUNDARIES, **grids, options=FormOptions(), execution=Execution(scheduler=address), progress=kill)
    assert killed
    assert workers[0].wait(10) == -signal.SIGKILL
    pd.testing.assert_frame_equal(got, expected, check_exact=True)


def test_two_runs_in_processes_do_not_quarrel_over_a_port():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with local_processes(1) as first, local_processes(1) as second:
            for execution in (first, second):
                assert run_tasks(abs, [-1, 2], execution=execution) == [1, 2]


def test_processes_of_this_machine_give_the_same_bits_and_bad_blocks_are_told(grids, tmp_path):
    expected = city_form(BOUNDARIES, **grids, execution=Execution(1))
    with local_processes(2, memory_gb=0.5) as execution:
        got = city_form(BOUNDARIES, **grids, execution=execution)
        pd.testing.assert_frame_equal(got, expected, check_exact=True)
        spoil_block(tmp_path / "pop2012.tif", 0, 0)
        grids["population"][2012] = open_raster(tmp_path / "pop2012.tif", LANDSCAN)
        bad = []
        panel = city_form(BOUNDARIES, **grids, execution=execution, on_failure=lambda *b: bad.append(b))
    assert set(panel["year"]) == {2011}
    assert [year for year, _ in bad] == [2012]
    assert "pop2012.tif cannot be read at rows" in str(bad[0][1])
