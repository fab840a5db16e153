#!/usr/bin/env python3
"""Runs the benchmarks and puts their figures into the table of docs/performance.md.

    performance.py                                   every row, printed
    performance.py --write                           and put into docs/performance.md
    performance.py --only mc --size 100M --repeats 1 a quick look at some rows
    performance.py --only mc --only gen --write      these anew, the other rows as they are

Figures are medians, with the spread of the repetitions ((largest - smallest) / median) beside
them, so that a busy machine shows. Timings never fail; a benchmark that finds a wrong value does,
and the exit code is 1. The programs are built first, by Bazel. Needs numpy and rapidfuzz
(tools/requirements-test.txt) and, for the 1 GB of samples that a kind is measured on, as much
room in TMPDIR. The peers of the statistics are in tools/requirements-studies.txt, and lm-eval in
tools/requirements-lm-eval.txt: --peers-python and --lm-eval-python name the Python that has them.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
DOCUMENT = REPOSITORY / "docs" / "performance.md"
BEGIN, END = "<!-- performance.py: begin -->", "<!-- performance.py: end -->"
KINDS = {
    "mc": "multiple choice, 4 choices",
    "gen": "generation, two filters",
    "ll": "log-likelihood of a target",
}
# Cells of the edit distance's grid that have a row: alphabet, data, length.
EDIT_CELLS = (
    "characters/mutated/32",
    "characters/mutated/1024",
    "characters/unrelated/1024",
    "tokens/mutated/64",
    "tokens/mutated/128",
    "tokens/mutated/1024",
    "tokens/mutated/4096",
)
CPP_LENGTHS = (8, 16, 32, 64, 128, 1024, 4096)
SCORED = 10_000_000
HELP_LIMIT_MS = 50
COLUMNS = ("what", "Mirage", "peer", "ratio", "peak memory", "× simdjson pass", "spread")


@dataclass
class Row:
    """One line of the table; a text is empty where there is nothing to say."""

    what: str
    mirage: str
    peer: str = ""
    ratio: float | None = None
    peak: str = ""
    simdjson: float | None = None
    spread: float | None = None

    def cells(self) -> list[str]:
        return [
            self.what,
            self.mirage,
            self.peer,
            "" if self.ratio is None else f"{self.ratio:.3g}",
            self.peak,
            "" if self.simdjson is None else f"{self.simdjson:.2f}",
            "" if self.spread is None else f"{100 * self.spread:.0f} %",
        ]


@dataclass
class Section:
    """Rows that one command makes."""

    command: str
    rows: list[Row]
    # Load average before and after.
    load: tuple[float, float] = (0.0, 0.0)


class WrongValueError(Exception):
    """A benchmark found a wrong value or did not run; its output."""


def run(command: list[str | Path]) -> str:
    """Standard output of a command. Raises WrongValueError with what it printed if it fails."""
    done = subprocess.run(
        [str(word) for word in command],
        cwd=REPOSITORY,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        words = " ".join(str(word) for word in command)
        raise WrongValueError(f"{words}\n{done.stdout[-4000:]}{done.stderr[-4000:]}")
    return done.stdout


def build(target: str) -> Path:
    """The binary of a target."""
    run(["bazel", "build", "--noshow_progress", target])
    folder = run(["bazel", "info", "--noshow_progress", "bazel-bin"]).strip()
    return Path(folder) / target.removeprefix("//").replace(":", "/")


def spread_of(values: list[float]) -> float:
    return (max(values) - min(values)) / statistics.median(values)


def duration(nanoseconds: float) -> str:
    """Three digits and a unit."""
    for unit, factor in (("ns", 1.0), ("µs", 1e3), ("ms", 1e6), ("s", 1e9)):
        digits = nanoseconds / factor
        if digits < 999.5 or unit == "s":
            break
    return f"{digits:.{max(0, 2 - max(0, math.floor(math.log10(digits))))}f} {unit}"


def attach(kind: str, options: argparse.Namespace) -> Section:
    mirage = build("//client:mirage")
    simdjson = build("//tests/benchmarks:simdjson_pass")
    arguments = ["--size", options.size, "--kind", kind, "--repeats", str(options.repeats)]
    with tempfile.TemporaryDirectory(prefix="mirage-performance-") as work:
        answer = Path(work) / "answer.json"
        command = [sys.executable, HERE / "attach_vs_python.py", *arguments]
        command += ["--mirage", mirage, "--simdjson-pass", simdjson, "--json", answer]
        run(command)
        found = json.loads(answer.read_text(encoding="utf-8"))
    ours, peer = found["mirage"], found["python"]
    row = Row(
        f"`attach`, {KINDS[kind]}, {found['bytes'] / 1e6:.0f} MB",
        f"{duration(ours['wall_s'] * 1e9)}, {ours['mb_per_s']:.0f} MB/s",
        f"Python reference {duration(peer['wall_s'] * 1e9)}, {peer['mb_per_s']:.0f} MB/s",
        found["ratio"],
        f"{ours['peak_mb']:.0f} MB (peer {peer['peak_mb']:.0f} MB)",
        ours["wall_s"] / found["simdjson_pass_s"],
        spread_of([measured["wall"] for measured in found["runs"]["mirage"]]),
    )
    shown = "tests/benchmarks/attach_vs_python.py " + " ".join(arguments)
    return Section(f"{shown} --simdjson-pass .out/bin/tests/benchmarks/simdjson_pass", [row])


def run_edit_distance(options: argparse.Namespace, *extra: str) -> tuple[str, str, dict[str, Any]]:
    """The command in words, what it printed, and its figures by cell."""
    binary = build("//metrics/text:edit_distance_benchmark")
    arguments = ["--repetitions", str(options.repeats), "--seconds", str(options.seconds), *extra]
    with tempfile.TemporaryDirectory(prefix="mirage-performance-") as work:
        answer = Path(work) / "answer.json"
        script = HERE / "edit_distance_vs_rapidfuzz.py"
        printed = run([sys.executable, script, binary, *arguments, "--json", answer])
        found = json.loads(answer.read_text(encoding="utf-8"))
    shown = "tests/benchmarks/edit_distance_vs_rapidfuzz.py .out/bin/metrics/text/"
    return f"{shown}edit_distance_benchmark {' '.join(arguments)}", printed, found


def edit_distance(options: argparse.Namespace) -> Section:
    command, _, found = run_edit_distance(options)
    rows = []
    for cell in EDIT_CELLS:
        alphabet, data, length = cell.split("/")
        ours, peer = found[cell]["mirage_ns"], found[cell]["rapidfuzz_str_ns"]
        rows.append(
            Row(
                f"edit distance, {length} {alphabet}, {data}",
                f"{duration(ours)} a pair",
                f"rapidfuzz (str) {duration(peer)}",
                peer / ours,
            )
        )
    ratios = [cell["rapidfuzz_str_ns"] / cell["mirage_ns"] for cell in found.values()]
    rows.append(
        Row(
            f"edit distance, geometric mean of {len(ratios)} cells",
            "",
            f"rapidfuzz (str), ratios {min(ratios):.3g} to {max(ratios):.3g}",
            statistics.geometric_mean(ratios),
        )
    )
    return Section(command, rows)


def rapidfuzz_cpp(options: argparse.Namespace) -> Section:
    command, printed, found = run_edit_distance(options, "--rapidfuzz-cpp")
    rows = []
    for data in ("mutated", "unrelated"):
        for length in CPP_LENGTHS:
            cell = found[f"tokens/{data}/{length}"]
            ours, peer = cell["mirage_ns"], cell.get("rapidfuzz_cpp_ns")
            if peer is None:
                why = re.search("rapidfuzz-cpp: skipped: (.*)", printed)
                rows.append(Row("edit distance", "", why[0] if why else "rapidfuzz-cpp: skipped"))
                return Section(command, rows)
            rows.append(
                Row(
                    f"edit distance, {length} tokens, {data}",
                    f"{duration(ours)} a pair",
                    f"rapidfuzz-cpp, same flags {duration(peer)}",
                    peer / ours,
                )
            )
    return Section(command, rows)


def google_benchmark(binary: Path, arguments: list[str]) -> Iterator[dict[str, Any]]:
    """Its measurements, with times in nanoseconds."""
    for entry in json.loads(run([binary, "--benchmark_format=json", *arguments]))["benchmarks"]:
        if entry.get("error_occurred"):
            raise WrongValueError(f"{entry['name']}: {entry['error_message']}")
        if entry["run_type"] != "iteration":
            continue
        factor = {"ns": 1.0, "us": 1e3, "ms": 1e6, "s": 1e9}[entry["time_unit"]]
        yield {
            **entry,
            "cpu_time": entry["cpu_time"] * factor,
            "real_time": entry["real_time"] * factor,
        }


def choices(options: argparse.Namespace) -> Section:
    """The kernel of multiple choice beside a loop that only does the arithmetic."""
    scored = SCORED // 100 if options.quick else SCORED
    target = "//metrics/kernels:choices_benchmark"
    arguments = [
        f"--benchmark_filter=/{scored}$",
        f"--benchmark_repetitions={options.repeats}",
        "--benchmark_enable_random_interleaving",
    ]
    times: dict[str, list[float]] = {}
    for entry in google_benchmark(build(target), arguments):
        times.setdefault(entry["run_name"].split("/")[0], []).append(entry["cpu_time"])
    ours, peer = times["BmScoreChoices"], times["BmScoreChoicesArithmetic"]
    row = Row(
        f"scoring of {scored} samples with 4 choices, 21 scores each",
        duration(statistics.median(ours)),
        f"the arithmetic alone {duration(statistics.median(peer))}",
        statistics.median(peer) / statistics.median(ours),
        spread=spread_of(ours),
    )
    return Section(f"bazel run {target} -- {' '.join(arguments)}", [row])


def peer_rows(found: list[dict[str, Any]]) -> list[Row]:
    """What a comparison with peers found, a row each."""
    rows = []
    for result in found:
        if result["skipped"]:
            rows.append(
                Row(
                    result["what"],
                    duration(result["mirage_s"] * 1e9),
                    f"{result['peer']}, skipped: {result['skipped']}".replace("|", "/"),
                    spread=result["mirage_spread"],
                )
            )
            continue
        note = f" ({result['note']})" if result["note"] else ""
        peer = duration(result["peer_s"] * 1e9) if result["peer_s"] is not None else ""
        two = result["mirage_two_threads_s"]
        rows.append(
            Row(
                result["what"],
                duration(result["mirage_s"] * 1e9)
                + (f"; 2 threads {duration(two * 1e9)} wall" if two else ""),
                f"{result['peer']} {peer}{note}".strip(),
                result["ratio"],
                spread=result["peer_spread"],
            )
        )
    return rows


def statistics_vs_peers(options: argparse.Namespace) -> Section:
    for target in ("//metrics/stats:stats_benchmark", "//metrics/kernels:text_metrics_benchmark"):
        binary = build(target)
    arguments = ["--repeats", str(options.repeats), "--seconds", str(options.seconds)]
    arguments += ["--quick"] if options.quick else []
    peers = ["--peers-python", options.peers_python, "--lm-eval-python", options.lm_eval_python]
    with tempfile.TemporaryDirectory(prefix="mirage-performance-") as work:
        answer = Path(work) / "answer.json"
        command = [sys.executable, HERE / "statistics_vs_peers.py", *arguments, *peers]
        run([*command, "--bin", binary.parent.parent.parent, "--json", answer])
        found = json.loads(answer.read_text(encoding="utf-8"))
    rows = peer_rows(found)
    shown = "tests/benchmarks/statistics_vs_peers.py " + " ".join(arguments)
    return Section(f"{shown} --peers-python PYTHON --lm-eval-python PYTHON", rows)


def fits(options: argparse.Namespace) -> Section:
    binary = build("//metrics/scaling:fit_benchmark")
    arguments = ["--repeats", str(options.repeats), "--seconds", str(options.seconds)]
    arguments += ["--quick"] if options.quick else []
    with tempfile.TemporaryDirectory(prefix="mirage-performance-") as work:
        answer = Path(work) / "answer.json"
        command = [sys.executable, HERE / "fits_vs_scipy.py", *arguments]
        command += ["--peers-python", options.peers_python]
        run([*command, "--bin", binary.parent.parent.parent, "--json", answer])
        found = json.loads(answer.read_text(encoding="utf-8"))
    shown = "tests/benchmarks/fits_vs_scipy.py " + " ".join(arguments)
    return Section(f"{shown} --peers-python PYTHON", peer_rows(found))


def metrics(options: argparse.Namespace) -> Section:
    """Every other benchmark below metrics/."""
    query = r'filter("_benchmark$", kind("cc_binary rule", //metrics/...))'
    rows = []
    commands = []
    arguments = [
        f"--benchmark_min_time={options.seconds}",
        f"--benchmark_repetitions={options.repeats}",
    ]
    for target in sorted(run(["bazel", "query", "--noshow_progress", query]).split()):
        if target.endswith((":edit_distance_benchmark", ":choices_benchmark")):
            continue
        commands.append(f"bazel run {target} -- {' '.join(arguments)}")
        times: dict[str, list[float]] = {}
        items: dict[str, float] = {}
        for entry in google_benchmark(build(target), arguments):
            name = entry["run_name"].removeprefix("Bm")
            times.setdefault(name, []).append(entry["real_time"])
            items[name] = entry.get("items_per_second", 0) * entry["real_time"] / 1e9
        for name, measured in times.items():
            median = statistics.median(measured)
            a_item = f"{duration(median / items[name])} an item" if items[name] > 1.5 else ""
            rows.append(Row(f"`{name}`", a_item or duration(median), spread=spread_of(measured)))
    return Section("\n".join(commands), rows)


def start(options: argparse.Namespace) -> Section:
    binary = build("//client:mirage")
    launcher = REPOSITORY / "mirage"
    rows = []
    for what, command in (("`mirage --help`", binary), ("`./mirage --help`, launcher", launcher)):
        run([command, "--help"])  # the launcher may have to build; pages and links are cached
        walls = []
        peak = 0
        for _ in range(20 * options.repeats + 1):
            began = time.perf_counter()
            child = subprocess.Popen([command, "--help"], stdout=subprocess.DEVNULL)
            _, status, usage = os.wait4(child.pid, 0)
            walls.append(time.perf_counter() - began)
            child.returncode = os.waitstatus_to_exitcode(status)
            if child.returncode:
                raise WrongValueError(f"{command} --help exited with {child.returncode}")
            peak = max(peak, usage.ru_maxrss * 1024)
        median = statistics.median(walls)
        rows.append(
            Row(
                what,
                duration(median * 1e9),
                f"limit {HELP_LIMIT_MS} ms",
                HELP_LIMIT_MS / (median * 1e3),
                f"{peak / 1e6:.0f} MB",
                spread=spread_of(walls),
            )
        )
    return Section("tests/benchmarks/performance.py --only start", rows)


BENCHMARKS: dict[str, Callable[[argparse.Namespace], Section]] = {
    "mc": lambda options: attach("mc", options),
    "gen": lambda options: attach("gen", options),
    "ll": lambda options: attach("ll", options),
    "edit-distance": edit_distance,
    "rapidfuzz-cpp": rapidfuzz_cpp,
    "choices": choices,
    "statistics": statistics_vs_peers,
    "fits": fits,
    "metrics": metrics,
    "start": start,
}


def table(rows: list[Row]) -> str:
    """The rows as Markdown, padded so that the text reads well, too."""
    cells = [list(COLUMNS), *(row.cells() for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(COLUMNS))]
    lines = [
        "| "
        + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        + " |"
        for line in cells
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def machine() -> str:
    """The machine in general terms: nothing that names it."""
    about = dict(re.findall(r"^(.*?)\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    maker = {"AuthenticAMD": "AMD", "GenuineIntel": "Intel"}.get(about.get("vendor_id", ""), "")
    family = f"{maker or 'unknown'} x86-64, family {about.get('cpu family', '?')}"
    return f"{os.cpu_count()} cores ({family}), {memory:.0f} GiB of memory"


def section_text(name: str, section: Section) -> str:
    """One section of the document, from its mark on."""
    before, after = section.load
    return (
        f"{mark(name)}\n{table(section.rows)}\n\n"
        f"```\n{section.command}\n```\n\n"
        f"{machine()}; load average {before:.1f} before, {after:.1f} after."
    )


def mark(name: str) -> str:
    return f"<!-- performance.py: {name} -->"


def rewrite(document: str, sections: dict[str, str]) -> str:
    """The document with these sections, by name, in place of those or among those that it has.

    Raises ValueError where the document has no marks.
    """
    before, begin, rest = document.partition(BEGIN)
    figures, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{BEGIN} and {END} are not in the document")
    parts = re.split(r"^(?=<!-- performance\.py: [a-z-]+ -->$)", figures, flags=re.MULTILINE)
    kept = {part.split()[2]: part.strip() for part in parts[1:]}
    kept.update(sections)
    shown = "\n\n".join(kept[name] for name in BENCHMARKS if name in kept)
    return f"{before}{BEGIN}\n{shown}\n{END}{after}"


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--only", action="append", choices=BENCHMARKS, metavar="NAME")
    parser.add_argument("--list", action="store_true", help="the names that --only takes")
    parser.add_argument("--size", default="1G", help="samples of each kind (K, M, G)")
    parser.add_argument("--repeats", type=int, default=5, help="of each measurement")
    parser.add_argument("--seconds", type=float, default=0.1, help="of one kernel measurement")
    parser.add_argument("--quick", action="store_true", help="small data for the statistics")
    parser.add_argument("--peers-python", type=Path, default=Path(sys.executable))
    parser.add_argument("--lm-eval-python", type=Path, help="default: that of the peers")
    parser.add_argument("--write", action="store_true", help="rewrite docs/performance.md")
    options = parser.parse_args(arguments)
    if options.repeats < 1:
        parser.error("--repeats must be at least 1")
    if options.write and options.quick:
        parser.error("--write takes the whole data: leave --quick out")
    options.lm_eval_python = options.lm_eval_python or options.peers_python
    return options


def main() -> int:
    options = parse()
    if options.list:
        print("\n".join(BENCHMARKS))
        return 0
    sections = {}
    failed = 0
    for name in options.only or BENCHMARKS:
        began = time.monotonic()
        load = os.getloadavg()[0]
        try:
            section = BENCHMARKS[name](options)
            section.load = (load, os.getloadavg()[0])
            sections[name] = section_text(name, section)
            print(f"{sections[name]}\n", flush=True)
        except WrongValueError as error:
            print(f"{name} FAILED: {error}", file=sys.stderr)
            failed += 1
        print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    if options.write and not failed:
        document = DOCUMENT.read_text(encoding="utf-8")
        DOCUMENT.write_text(rewrite(document, sections), encoding="utf-8")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
