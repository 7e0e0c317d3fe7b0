"""Runs of geocoding killed by SIGKILL, whole or in parts, and resumed: the server counts what it is asked."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from geocoding_server import KEY, GeocodingServer

ADDRESSES = [f"湖北省武汉市江汉区江汉路{k}号" for k in range(300)]
PROGRAM = """
import json, sys
from pathlib import Path
from gistools.parcels.providers import make_provider
from gistools.parcels.providers.asking import Limits
from gistools.study.asking import ask_service

name, url, cache, threads, queries = sys.argv[1:]
provider = make_provider(name, endpoint=url)
limits = Limits(per_second=1000, threads=int(threads), first_wait=0.01)
answers, account = ask_service(provider, json.loads(Path(queries).read_text()), Path(cache), limits)
print(json.dumps({"answers": len(answers), "requests": account.requests, "cached": account.cached}))
"""


@pytest.fixture
def campaign(tmp_path, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("GISTOOLS_BAIDU_KEY", KEY)
    queries = tmp_path / "queries.json"
    queries.write_text(json.dumps(ADDRESSES), encoding="utf-8")
    with GeocodingServer(lambda _: (114.3, 30.5), delay=0.01) as server:

        def start(threads=4, name="baidu"):
            arguments = [name, server.url, str(tmp_path / "c.sqlite"), str(threads), str(queries)]
            return subprocess.Popen(
                [sys.executable, "-c", PROGRAM, *arguments],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )

        yield server, start


def wait_for(server, requests, process):
    while sum(server.asked.values()) < requests:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.002)


def finished(process):
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return json.loads(out)


def kill(process, whole_group):
    if whole_group:
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.communicate()


def test_no_address_is_asked_twice(campaign):
    server, start = campaign
    for at, whole_group in ((70, False), (170, True)):  # the run alone, and with all it has started
        server.on_request = lambda total, at=at: time.sleep(0.5 * (total == at))
        process = start()
        wait_for(server, at, process)
        assert server.under_way  # the kill falls into requests under way
        kill(process, whole_group)
    done = finished(start())
    assert done["answers"] == 300
    assert 170 <= done["cached"] < 300
    assert done["requests"] == 300 - done["cached"]
    assert server.count("baidu") == dict.fromkeys(ADDRESSES, 1)


def asker_of(process):
    """The process that asks: the child of a run."""
    return int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text(encoding="ascii").split()[0])


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the child in /proc")
def test_a_kill_of_the_asking_process_repeats_no_more_than_was_under_way(campaign):
    server, start = campaign
    process = start(threads=3)
    wait_for(server, 100, process)
    os.kill(asker_of(process), signal.SIGKILL)
    _, err = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "ended early; run the same command again" in err
    done = finished(start(threads=3))
    assert done["answers"] == 300
    counts = server.count("baidu")
    assert set(counts) == set(ADDRESSES)
    assert sum(counts.values()) <= 300 + 3  # what no program can prevent: three threads, three answers on their way


def test_ctrl_c_keeps_what_was_under_way(campaign):
    server, start = campaign
    process = start()
    wait_for(server, 80, process)
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode != 0
    kept = sum(server.asked.values())
    done = finished(start())
    assert done["cached"] == kept < 300
    assert server.count("baidu") == dict.fromkeys(ADDRESSES, 1)
