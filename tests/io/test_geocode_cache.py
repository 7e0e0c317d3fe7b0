"""The cache of answers: kept at once, one process at a time, and sentences for files that are none."""

import sqlite3
import subprocess
import sys
import textwrap

import pytest

from gistools.errors import InputError, OutputError
from gistools.io.geocode_cache import GeocodeCache


def test_answers_and_counts_come_back(tmp_path):
    path = tmp_path / "new" / "c.sqlite"
    with GeocodeCache(path) as cache:
        for k in range(1200):
            cache.keep("baidu", "", f"q{k}", f'{{"k": {k}}}')
        cache.keep("baidu", "", "nowhere", None)
        cache.keep("baidu", "http://other", "q1", "other")
        cache.keep("amap", "", "q1", "amap")
        for _ in range(3):
            cache.count_request("baidu", "2024-03-01")
    with GeocodeCache(path) as cache:
        known = cache.known("baidu", "", [f"q{k}" for k in range(1300)] + ["nowhere"])
        assert len(known) == 1201
        assert (known["q7"], known["nowhere"]) == ('{"k": 7}', None)
        assert cache.known("baidu", "http://other", ["q1", "q2"]) == {"q1": "other"}
        assert cache.known("google", "", ["q1"]) == {}
        assert cache.requests("baidu", "2024-03-01") == 3
        assert cache.requests("baidu", "2024-03-02") == 0
        cache.keep("baidu", "", "nowhere", "found since")
        assert cache.known("baidu", "", ["nowhere"]) == {"nowhere": "found since"}


def test_what_was_kept_survives_a_kill(tmp_path):
    program = """
        import os, signal, sys
        from pathlib import Path
        from gistools.io.geocode_cache import GeocodeCache
        cache = GeocodeCache(Path(sys.argv[1]))
        for k in range(50):
            cache.count_request("baidu", "d")
            cache.keep("baidu", "", f"q{k}", str(k))
        os.kill(os.getpid(), signal.SIGKILL)
    """
    path = tmp_path / "c.sqlite"
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program), str(path)], check=False)
    assert done.returncode == -9
    with GeocodeCache(path) as cache:
        assert len(cache.known("baidu", "", [f"q{k}" for k in range(50)])) == 50
        assert cache.requests("baidu", "d") == 50


def test_one_process_at_a_time(tmp_path):
    path = tmp_path / "c.sqlite"
    with GeocodeCache(path), pytest.raises(InputError, match="in use by another run"):
        GeocodeCache(path, patience=0.1)
    GeocodeCache(path).close()


def test_a_file_of_another_kind(tmp_path):
    path = tmp_path / "c.sqlite"
    path.write_text("address,lon,lat\n" * 100, encoding="utf-8")
    with pytest.raises(InputError, match="no geocoding cache"):
        GeocodeCache(path)
    assert path.read_text(encoding="utf-8").startswith("address")


def test_a_database_of_another_program(tmp_path):
    path = tmp_path / "c.sqlite"
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE mine (x)")
    other.commit()
    other.close()
    before = path.read_bytes()
    with pytest.raises(InputError, match="another program"):
        GeocodeCache(path)
    assert path.read_bytes() == before


def test_a_cache_of_a_newer_version(tmp_path):
    path = tmp_path / "c.sqlite"
    GeocodeCache(path).close()
    newer = sqlite3.connect(path)
    newer.execute("PRAGMA user_version = 9")
    newer.commit()
    newer.close()
    with pytest.raises(InputError, match="newer gistools"):
        GeocodeCache(path)


@pytest.mark.parametrize("part", [0.3, 0.6, 0.9])
def test_a_damaged_cache(tmp_path, part):
    path = tmp_path / "c.sqlite"
    with GeocodeCache(path) as cache:
        for k in range(2000):
            cache.keep("baidu", "", f"q{k}", "x" * 200)
    raw = bytearray(path.read_bytes())
    begin = int(part * len(raw)) // 4096 * 4096
    raw[begin : begin + 4096] = b"\xff" * 4096
    path.write_bytes(raw)
    with pytest.raises(InputError, match="damaged"):
        GeocodeCache(path)


def test_a_folder_and_a_place_that_cannot_be_written(tmp_path):
    with pytest.raises(InputError, match="is a folder"):
        GeocodeCache(tmp_path)
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(OutputError, match="cannot be written"):
        GeocodeCache(tmp_path / "file" / "c.sqlite")


def test_a_closed_cache(tmp_path):
    cache = GeocodeCache(tmp_path / "c.sqlite")
    cache.close()
    with pytest.raises(InputError, match="closed"):
        cache.known("baidu", "", ["q"])
