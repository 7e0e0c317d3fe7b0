"""Spoilt GeoTIFFs, polygons and studies, from a seed: each must end in the right numbers or in one sentence.

Run: python fuzz/inputs.py [--geotiff 1200] [--polygons 600] [--study 600] [--seed 0] [--workers 2]
     python fuzz/inputs.py --again KIND NUMBER [--seed 0]    one mutant in this process, its traceback and its files

Every mutant is run through the commands, in a worker process with a watchdog and a memory limit. What may come of it:
the numbers of the whole files; one sentence and nothing written; its year set aside and the others whole; or, where
the decoder took it for another valid file, exactly the numbers a slow program finds in that file. Anything else - a
traceback, a crash, a hang, more or less than a sentence, another number - is a failure and is printed; the exit code
is then 1.
"""

from __future__ import annotations

import argparse
import collections
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import judge
import mutants
import pool

DEFAULTS = {"geotiff": 1200, "polygons": 600, "study": 600}


def campaign(
    counts: dict[str, int], seed: int, folder: Path, *, workers: int = 2, seconds: float = 60.0
) -> tuple[dict[str, collections.Counter], list[str]]:
    """Run a campaign.

    Returns
    -------
    (outcomes, failures)
        Outcomes counted by kind, and one line for each failure.
    """
    tasks = [(kind, number, seed) for kind, most in counts.items() for number in range(most)]
    outcomes: dict[str, collections.Counter] = {kind: collections.Counter() for kind in counts}
    failures = []
    for (kind, number, _), ended, answer in pool.run_all(
        tasks, judge.start, folder, workers=workers, seconds=seconds
    ):
        what, outcome, said = answer if ended == "done" else ("", ended, f"{answer}")
        outcomes[kind][outcome] += 1
        if outcome not in judge.GOOD_OUTCOMES:
            failures.append(f"{outcome}: {kind} {number} of seed {seed} ({what}): {said}")
    return outcomes, failures


def table(outcomes: dict[str, collections.Counter]) -> str:
    """Outcomes by kind as text."""
    names = [*judge.GOOD_OUTCOMES, *judge.FAILURES]
    lines = [f"{'':26}" + "".join(f"{kind:>10}" for kind in outcomes) + f"{'all':>10}"]
    for name in names:
        row = [found[name] for found in outcomes.values()]
        lines.append(f"{name:26}" + "".join(f"{n:10}" for n in row) + f"{sum(row):10}")
    sums = [sum(found.values()) for found in outcomes.values()]
    return "\n".join([*lines, f"{'mutants':26}" + "".join(f"{n:10}" for n in sums) + f"{sum(sums):10}"])


def again(kind: str, number: int, seed: int) -> None:
    """Run one mutant in this process and say everything of it; its files are kept."""
    folder = Path(tempfile.mkdtemp(prefix="gistools-fuzz-"))
    bench = judge.Bench(folder, debug=True)
    what, outcome, said = bench((kind, number, seed))
    print(f"{what} -> {outcome}: {said}\n{bench.stderr}\n{folder}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the campaign and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for kind, most in DEFAULTS.items():
        parser.add_argument(f"--{kind}", type=int, default=most)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=60.0, help="before a mutant counts as a hang")
    parser.add_argument("--again", nargs=2, metavar=("KIND", "NUMBER"))
    given = parser.parse_args(arguments)
    if given.again:
        again(given.again[0], int(given.again[1]), given.seed)
        return 0
    counts = {kind: getattr(given, kind) for kind in mutants.KINDS}
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="gistools-fuzz-") as folder:
        outcomes, failures = campaign(counts, given.seed, Path(folder), workers=given.workers, seconds=given.seconds)
        noise = sum(log.stat().st_size for log in Path(folder).rglob("libraries.log"))
    print(table(outcomes))
    print(
        f"{time.monotonic() - began:.0f} s; {noise} bytes that libraries wrote past Python; {len(failures)} failures"
    )
    print("\n".join(failures))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
