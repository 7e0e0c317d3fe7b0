"""Kill a run with SIGKILL at random moments, resume it, and compare its panel with that of an uninterrupted run.

Run: python fuzz/kills.py [--kills 20] [--seed 0] [--study sample_rasters/country/study.yaml]

Each kill has a folder of its own: the run is started, killed at a moment drawn from the time an uninterrupted run
takes (every second one while years are measured), and resumed to its end. Panel and years must be the same bytes;
nothing unfinished may be left.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

SAMPLE = Path(__file__).parents[1] / "sample_rasters" / "country" / "study.yaml"
PROGRAM = "import sys; from gistools.cli.main import main; main(sys.argv[1:])"
ENDED = "had ended"
COMPARED = ("panel.parquet", "panel.csv")


def run(study: Path, out: Path, *, kill_after: float | None = None, years: int | None = None) -> tuple[int, float]:
    """Run a study, or kill it some seconds after its start, or after so many years are done.

    Returns
    -------
    (exit code, seconds)
    """
    command = [sys.executable, "-c", PROGRAM, "run", str(study), "--out", str(out), "--resume"]
    began = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True)
    while years is not None and process.poll() is None and years_done(out) < years:
        time.sleep(0.002)
    try:
        _, stderr = process.communicate(timeout=kill_after)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return -signal.SIGKILL, time.monotonic() - began
    if process.returncode:
        print(stderr.decode(errors="replace"), file=sys.stderr)
    return process.returncode, time.monotonic() - began


def years_done(out: Path) -> int:
    return len(list((out / "years").glob("[0-9]*.parquet")))


def outputs(out: Path) -> dict[str, bytes]:
    """The panel and the finished years of a run."""
    files = [out / name for name in COMPARED] + sorted((out / "years").glob("*.parquet"))
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in files if path.exists()}


def kill_and_resume(
    study: Path, whole: dict[str, bytes], out: Path, moment: float, years: int | None = None
) -> tuple[str, str]:
    """Kill a run at a moment and resume it.

    Returns
    -------
    (reached, fault)
        What stood on the disk when it was killed; what is wrong after resuming, nothing if it is as it should be.
    """
    code, _ = run(study, out, kill_after=moment, years=years)
    reached = f"{years_done(out)} years done" if code == -signal.SIGKILL else ENDED
    if (out / "panel.parquet").exists() and code == -signal.SIGKILL:
        reached += ", panel written"
    code, _ = run(study, out)
    if code:
        return reached, f"resuming ended with exit code {code}"
    again = outputs(out)
    wrong = [name for name in {*whole, *again} if whole.get(name) != again.get(name)]
    left = [path.name for path in out.rglob("*.partial-*")]
    if wrong:
        return reached, f"{', '.join(sorted(wrong))} is not that of an uninterrupted run"
    return reached, f"left behind: {', '.join(left)}" if left else ""


def campaign(study: Path, kills: int, seed: int, folder: Path) -> list[str]:
    """Kill runs at random moments; print each and return the faults."""
    code, seconds = run(study, folder / "whole")
    if code:
        return [f"the uninterrupted run ended with exit code {code}"]
    whole, faults = outputs(folder / "whole"), []
    print(f"uninterrupted: {seconds:.1f} s, {len(whole)} files compared")
    all_years = years_done(folder / "whole")
    draw, killed, tried = random.Random(seed), 0, 0
    while killed < kills and tried < 5 * kills:
        # every second kill falls while years are measured, which is a small part of a run with a report
        years = draw.randrange(all_years) if killed % 2 else None
        moment = draw.uniform(0.001, 0.15) if years else draw.uniform(0.02, 1.0) * seconds
        reached, fault = kill_and_resume(study, whole, folder / f"kill{tried}", moment, years)
        tried += 1
        killed += reached != ENDED  # a run that was quicker than the kill counts for none
        after = f"{moment:.3f} s after {years} years" if years else f"{moment:.1f} s after its start"
        print(f"{after} ({reached}): {fault or 'resumed to the same bytes'}", flush=True)
        faults += [fault] if fault else []
    if killed < kills:
        faults.append(f"only {killed} of {kills} kills came before the run had ended")
    return faults


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the campaign and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--study", type=Path, default=SAMPLE)
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="gistools-kills-") as folder:
        faults = campaign(given.study, given.kills, given.seed, Path(folder))
    print(f"{given.kills} kills, {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
