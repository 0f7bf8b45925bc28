"""Quotes to a judged model: the GRU on GOOG's half day, walked forward and scored, from scratch.

A process of its own, so that time and memory are those of the command that a user types. Needs the
real quotes of the tests (`SMILE_TEST_DATA`, or ../shared/data beside the project).
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

DATA = Path(os.environ.get("SMILE_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))
GOOG = DATA / "lean_goog_2015-12-24"
AIM_S, AIM_MB = 300.0, 2000.0
CORES = 2


def main() -> None:
    """Print seconds and memory beside their aims, and the errors that came out."""
    if not GOOG.is_dir():
        print(f"no real quotes at {GOOG}; SMILE_TEST_DATA names another folder")
        return
    with tempfile.TemporaryDirectory() as folder:
        scores = Path(folder) / "scores.json"
        took, worked = _evaluate(scores)
        judged = json.loads(scores.read_text())
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"GRU on {judged['samples']} samples in {judged['folds']} folds: {took:.0f} s, "
          f"{worked:.0f} s of the processor (aim {AIM_S:.0f} s), {took / AIM_S:.2f} of the aim")
    print(f"memory at most {peak:.0f} MB (aim {AIM_MB:.0f}), {peak / AIM_MB:.2f} of the aim")
    for one in judged["judged"][0]["evaluation"]["horizons"]:
        best = next(rival for rival in one["rivals"] if rival["name"] == one["best"])
        print(f"    {one['horizon_s']:5d} s  {one['rmse_bp']:5.1f} bp, {one['best']} "
              f"{best['rmse_bp']:.1f} bp, ratio {one['rmse_bp'] / best['rmse_bp']:.3f}")


def _evaluate(scores: Path) -> tuple[float, float]:
    """Seconds by the clock and of the processor that `ml.evaluate` takes on two cores."""
    def two_cores() -> None:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])

    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "ml.evaluate", "--quotes", str(GOOG), "--model", "gru",
                    "--json", str(scores)],
                   check=True, preexec_fn=two_cores, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    worked = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - start, worked
