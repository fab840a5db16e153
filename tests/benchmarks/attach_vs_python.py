#!/usr/bin/env python3
"""Times `mirage attach` against the Python reference on the same folder, in turn (A B A B).

    attach_vs_python.py DIR                     a folder made by make_samples.py, or any run
    attach_vs_python.py --size 1G --kind mc     makes one first, in a temporary folder

Both read the same files and write their derived files into folders of their own. Prints, for
each, the median wall and CPU time, the throughput, the peak resident memory (resource usage of
the child, its own children included), the ratio of the two, and the ratio of each to a pass that
only reads the bytes and, with --simdjson-pass, to one that parses the rows with simdjson and uses
nothing of them, on one thread (bazel build //tests/benchmarks:simdjson_pass). The files are in
the page cache before the first measurement. At the end the values of both are compared (1e-9),
so that no fast wrong answer wins; a mismatch exits 1. Timings never fail. Needs numpy and
rapidfuzz for the reference.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
REFERENCE = HERE.parent / "reference" / "attach_reference.py"


@dataclass
class Measurement:
    """One run of one program."""

    wall: float
    cpu: float
    peak_bytes: int


def measure(command: list[str], log: Path) -> Measurement:
    """Runs the command; its output goes to `log`. Raises when it fails."""
    with log.open("wb") as out:
        began = time.perf_counter()
        child = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.perf_counter() - began
    child.returncode = os.waitstatus_to_exitcode(status)  # or Popen's destructor waits again
    if child.returncode:
        tail = log.read_bytes()[-2000:].decode(errors="replace")
        raise SystemExit(f"{' '.join(command)} exited {child.returncode}\n{tail}")
    return Measurement(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def bare_pass(files: list[Path]) -> float:
    """Seconds to read all bytes, nothing else."""
    buffer = bytearray(1 << 20)
    began = time.perf_counter()
    for path in files:
        with path.open("rb", buffering=0) as file:
            while file.readinto(buffer):
                pass
    return time.perf_counter() - began


def simdjson_pass(binary: Path, files: list[Path]) -> float:
    """Seconds to parse all rows, as the binary measures itself."""
    done = subprocess.run([binary, *files], capture_output=True, text=True, check=True)
    return float(done.stdout.split()[0])


def describe(runs: list[Measurement], size: int, bare: float) -> dict[str, float]:
    wall = statistics.median(m.wall for m in runs)
    return {
        "wall_s": wall,
        "cpu_s": statistics.median(m.cpu for m in runs),
        "mb_per_s": size / wall / 1e6,
        "peak_mb": max(m.peak_bytes for m in runs) / 1e6,
        "times_bare_pass": wall / bare,
    }


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("folder", nargs="?", type=Path, metavar="DIR")
    parser.add_argument("--size", default="1G", help="without DIR: size to make (K, M, G)")
    parser.add_argument("--kind", choices=("gen", "ll", "mc"), default="mc")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each, in turn")
    parser.add_argument("--samples", action="store_true", help="both write per-sample values")
    parser.add_argument(
        "--mirage",
        type=Path,
        default=Path(os.environ.get("MIRAGE_BIN", REPOSITORY / "mirage")),
        help="the binary (default: MIRAGE_BIN, else the launcher)",
    )
    parser.add_argument("--simdjson-pass", type=Path, metavar="BIN", help="time this, too")
    parser.add_argument("--json", type=Path, help="also write the numbers there")
    options = parser.parse_args(arguments)
    if options.repeats < 1:
        parser.error("--repeats must be at least 1")
    return options


def run(options: argparse.Namespace, work: Path) -> int:
    folder: Path | None = options.folder
    if folder is None:
        folder = work / "made"
        maker = [sys.executable, str(HERE / "make_samples.py"), "--out", str(folder)]
        subprocess.run([*maker, "--size", options.size, "--kind", options.kind], check=True)
    files = sorted(folder.rglob("samples_*.jsonl"))
    size = sum(path.stat().st_size for path in files)
    if not size:
        raise SystemExit(f"{folder}: no samples")
    extra = ["--samples"] if options.samples else []
    mirage_out, python_out = work / "mirage", work / "python"
    for out in (mirage_out, python_out):
        out.mkdir()
    commands = {
        "mirage": [str(options.mirage), "attach", str(folder), "--write-dir", str(mirage_out)],
        "python": [sys.executable, str(REFERENCE), str(folder), "--write-dir", str(python_out)],
    }
    commands["mirage"] += ["--quiet", "--output-format", "json", *extra]
    commands["python"] += ["--quiet", *extra]

    # Not measured: the launcher builds, the page cache fills.
    version = [str(options.mirage), "--version"]
    subprocess.run(version, capture_output=True, check=False)
    bare_pass(files)
    bare = []
    parsed = []
    runs: dict[str, list[Measurement]] = {"mirage": [], "python": []}
    for turn in range(options.repeats):
        bare.append(bare_pass(files))
        if options.simdjson_pass:
            parsed.append(simdjson_pass(options.simdjson_pass, files))
        for name, command in commands.items():
            runs[name].append(measure(command, work / f"{name}.log"))
            print(f"  {turn + 1}/{options.repeats} {name} {runs[name][-1].wall:.2f} s", flush=True)

    fastest = statistics.median(bare)
    table = {name: describe(measured, size, fastest) for name, measured in runs.items()}
    ratio = table["python"]["wall_s"] / table["mirage"]["wall_s"]
    print(f"\n{len(files)} samples files, {size / 1e6:.0f} MB, medians of {options.repeats} runs")
    print(f"bare pass  {fastest:.3f} s  {size / fastest / 1e6:.0f} MB/s")
    if parsed:
        simdjson = statistics.median(parsed)
        print(
            f"simdjson   {simdjson:.3f} s  {size / simdjson / 1e6:.0f} MB/s, one thread;"
            f" mirage takes {table['mirage']['wall_s'] / simdjson:.2f} times as long"
        )
    for name, row in table.items():
        print(
            f"{name:9s}  {row['wall_s']:.3f} s  CPU {row['cpu_s']:.3f} s"
            f"  {row['mb_per_s']:.0f} MB/s  peak {row['peak_mb']:.0f} MB"
            f"  {row['times_bare_pass']:.1f} x the bare pass"
        )
    print(f"mirage is {ratio:.1f} times as fast as the Python reference")
    if options.json:
        content = {
            "bytes": size,
            "bare_pass_s": fastest,
            "simdjson_pass_s": statistics.median(parsed) if parsed else None,
            **table,
            "ratio": ratio,
            "runs": {name: [asdict(m) for m in measured] for name, measured in runs.items()},
        }
        options.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")

    check = [sys.executable, str(REFERENCE), str(folder), "--no-write"]
    for path in sorted(mirage_out.glob("mirage_*.json")):
        if not path.name.startswith("mirage_samples_"):
            check += ["--compare", str(path)]
    if "--compare" not in check:
        print(f"mirage wrote no mirage_<date>.json into {mirage_out}")
        return 1
    return subprocess.run(check, check=False).returncode


def main() -> int:
    options = parse()
    with tempfile.TemporaryDirectory(prefix="mirage-bench-") as work:
        return run(options, Path(work))


if __name__ == "__main__":
    sys.exit(main())
