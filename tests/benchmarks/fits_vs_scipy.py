#!/usr/bin/env python3
"""Times fits of power laws with a floor against SciPy's, on the same curves.

    bazel build //metrics/scaling:fit_benchmark
    python3 -m venv /tmp/peers && /tmp/peers/bin/pip install -r tools/requirements-studies.txt
    fits_vs_scipy.py --peers-python /tmp/peers/bin/python

8 points, three parameters within bounds, squared residuals and Huber's loss. SciPy gets the starts
that Mirage has (nine exponents, with the linear parameters by least squares), all of them and the
best one alone, and the derivatives; its parameters are those of the best. Both are measured in turn
(A B A B), the peer in a process of its own without its imports. Times are CPU seconds a curve. The
means over the curves of parameters and objectives are compared, to 1e-6; a wrong value exits 1,
timings never fail. The time of 100 000 curves on two threads stands beside.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent.parent
BENCHMARK = "metrics/scaling/fit_benchmark"
CURVES, MANY = 200, 100_000
EXPONENTS = (0.03, 0.1, 0.2, 0.35, 0.5, 0.8, 1.2, 2.0, 4.0)
LEAST, MOST = 1e-3, 20.0
DELTA = 0.01
# Name, benchmark, what SciPy runs, whether from all starts.
CASES = (
    ("squared", "BmFitPowerLawFloor", "curve_fit, 9 starts, bounds", "curve_fit bounds all"),
    ("squared", "BmFitPowerLawFloor", "curve_fit, 9 starts, no bounds", "curve_fit free all"),
    ("squared", "BmFitPowerLawFloor", "curve_fit, best start, bounds", "curve_fit bounds best"),
    ("squared", "BmFitPowerLawFloor", "curve_fit, best start, no bounds", "curve_fit free best"),
    ("Huber", "BmFitPowerLawFloorHuber", "least_squares, 9 starts", "huber bounds all"),
    ("Huber", "BmFitPowerLawFloorHuber", "least_squares, best start", "huber bounds best"),
)
# Mean parameters and objectives from the best start alone may miss a minimum, and so may a fit
# without bounds.
CHECKED = ("curve_fit bounds all", "huber bounds all")


def uniforms(state: int) -> Any:
    """What the benchmark draws: splitmix64."""
    mask = 0xFFFFFFFFFFFFFFFF
    while True:
        state = (state + 0x9E3779B97F4A7C15) & mask
        z = state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        yield ((z ^ (z >> 31)) >> 11) * 2.0**-53


def curves(count: int) -> list[tuple[list[float], list[float]]]:
    """Centred logarithms of the scales, and values."""
    draw = uniforms(1)
    u = [i * math.log(1000.0) / 7 for i in range(8)]
    centred = [v - statistics.fmean(u) for v in u]
    made = []
    for _ in range(count):
        floor = 1 + next(draw)
        first = 0.5 + 2 * next(draw)
        b = 0.2 + 0.4 * next(draw)
        made.append(
            (centred, [floor + first * math.exp(-b * v) + 0.04 * (next(draw) - 0.5) for v in u])
        )
    return made


def peer(loss: str, bounds: str, starts: str, count: int) -> dict[str, float]:
    import numpy as np
    from scipy import optimize

    def law(u: Any, floor: float, a: float, b: float) -> Any:
        return floor + np.exp(a - b * u)

    def slopes(u: Any, floor: float, a: float, b: float) -> Any:
        e = np.exp(a - b * u)
        return np.stack([np.ones_like(u), e, -u * e], axis=1)

    limits = ([0, -np.inf, LEAST], [np.inf, np.inf, MOST])
    free = ([-np.inf] * 3, [np.inf] * 3)
    data = [(np.array(u), np.array(y)) for u, y in curves(count)]
    firsts, lasts, objectives = [], [], []
    failed = 0
    began = time.process_time()
    for u, y in data:
        points = []
        for b in EXPONENTS:
            e = np.exp(-b * u)
            found = np.linalg.lstsq(np.stack([np.ones_like(u), e], axis=1), y, rcond=None)[0]
            if found[0] > 0 and found[1] > 0:
                t = [found[0], math.log(found[1]), b]
            else:
                t = [1e-2 * abs(y).max(), math.log(max(e @ y / (e @ e), 1e-9)), b]
            points.append((float(((law(u, *t) - y) ** 2).sum()), t))
        points.sort(key=lambda point: point[0])
        best = None
        for _, t in points if starts == "all" else points[:1]:
            try:
                if loss == "huber":
                    fit = optimize.least_squares(
                        lambda s, u=u, y=y: law(u, *s) - y,
                        t,
                        jac=lambda s, u=u: slopes(u, *s),
                        bounds=limits,
                        loss="huber",
                        f_scale=DELTA,
                    )
                    parameters, objective = fit.x, fit.cost
                else:
                    parameters, _ = optimize.curve_fit(
                        law,
                        u,
                        y,
                        p0=t,
                        jac=slopes,
                        bounds=limits if bounds == "bounds" else free,
                    )
                    objective = float(((law(u, *parameters) - y) ** 2).sum()) / 2
            except (RuntimeError, ValueError):
                continue
            if best is None or objective < best[0]:
                best = (objective, parameters)
        if best is None:
            failed += 1
            continue
        objectives.append(best[0])
        firsts.append(best[1][0])
        lasts.append(best[1][2])
    return {
        "cpu": (time.process_time() - began) / count,
        "failed": failed,
        "mean_first": statistics.fmean(firsts),
        "mean_last": statistics.fmean(lasts),
        "mean_objective": statistics.fmean(objectives),
    }


def ours(binary: Path, name: str, count: int, threads: int, seconds: float) -> dict[str, Any]:
    chosen = f"^{name}/{count}/{threads}/"
    printed = subprocess.run(
        [
            binary,
            "--benchmark_format=json",
            f"--benchmark_filter={chosen}",
            f"--benchmark_min_time={seconds}",
        ],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    entry = json.loads(printed)["benchmarks"][0]
    factor = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0}[entry["time_unit"]]
    return {
        **entry,
        "cpu": entry["cpu_time"] * factor / count,
        "wall": entry["real_time"] * factor,
    }


def differences(what: str, mine: dict[str, Any], theirs: dict[str, Any]) -> list[str]:
    """What is not the same to 1e-6."""
    found = [f"{what}: {mine['bad']:g} of Mirage's fits failed"] if mine["bad"] else []
    for name in ("mean_first", "mean_last", "mean_objective"):
        if not math.isclose(mine[name], theirs[name], rel_tol=1e-6):
            found.append(f"{what}: {name} is {mine[name]!r}, SciPy's {theirs[name]!r}")
    return found


def spread_of(values: list[float]) -> float:
    return (max(values) - min(values)) / statistics.median(values)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--bin", type=Path, default=REPOSITORY / ".out/bin")
    parser.add_argument("--peers-python", type=Path, default=Path(sys.executable))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.1, help="of one benchmark")
    parser.add_argument("--quick", action="store_true", help="few of SciPy's fits")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--peer", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peer:
        loss, bounds, starts, count = options.peer
        print(json.dumps(peer(loss, bounds, starts, int(count))))
        return 0
    binary = options.bin / BENCHMARK
    results: list[dict[str, Any]] = []
    wrong: list[str] = []
    for loss, benchmark, what, arguments in CASES:
        mine, theirs = [], []
        skipped = ""
        for _ in range(options.repeats):
            mine.append(ours(binary, benchmark, CURVES, 1, options.seconds))
            if skipped:
                continue
            done = subprocess.run(
                [options.peers_python, __file__, "--peer", *arguments.split(), str(CURVES)],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                skipped = (done.stderr.strip().splitlines() or ["no output"])[-1]
            else:
                theirs.append(json.loads(done.stdout))
        name = f"power law with a floor, 8 points, {loss}, a curve"
        if theirs and arguments in CHECKED:
            wrong += differences(f"{name}, {what}", mine[0], theirs[0])
        cpu = statistics.median(run["cpu"] for run in mine)
        peer_cpu = statistics.median(run["cpu"] for run in theirs) if theirs else None
        results.append(
            {
                "what": name,
                "peer": f"SciPy, {what}",
                "mirage_s": cpu,
                "mirage_spread": spread_of([run["cpu"] for run in mine]),
                "mirage_two_threads_s": None,
                "peer_s": peer_cpu,
                "peer_spread": spread_of([run["cpu"] for run in theirs]) if theirs else None,
                "ratio": peer_cpu / cpu if peer_cpu else None,
                "note": f"{theirs[0]['failed']} of {CURVES} failed"
                if theirs and theirs[0]["failed"]
                else "",
                "skipped": skipped,
            }
        )
        if options.quick:
            break
    many = ours(binary, "BmFitPowerLawFloor", MANY, 2, 0.01)
    results.append(
        {
            "what": f"power law with a floor, 8 points, squared, {MANY} curves on 2 threads",
            "peer": "",
            "mirage_s": many["wall"],
            "mirage_spread": None,
            "mirage_two_threads_s": None,
            "peer_s": None,
            "peer_spread": None,
            "ratio": None,
            "note": "",
            "skipped": "",
        }
    )
    for result in results:
        ratio = "" if result["ratio"] is None else f"{result['ratio']:.0f} times"
        theirs_said = "" if result["peer_s"] is None else f"{1e6 * result['peer_s']:.1f} us"
        print(
            f"{result['what']}: {1e6 * result['mirage_s']:.1f} us; "
            f"{result['peer']} {theirs_said} {ratio} {result['skipped']}"
        )
    if options.json:
        options.json.write_text(json.dumps(results), encoding="utf-8")
    for line in wrong:
        print(f"WRONG: {line}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
