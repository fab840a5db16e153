#!/usr/bin/env python3
"""Runs the benchmarks and puts their figures into the table of docs/performance.md.

    performance.py                                   every row, printed
    performance.py --write                           and put into docs/performance.md
    performance.py --only mc --size 100M --repeats 1 a quick look at some rows

Figures are medians, with the spread of the repetitions ((largest - smallest) / median) beside
them, so that a busy machine shows. Timings never fail; a benchmark that finds a wrong value does,
and the exit code is 1. The programs are built first, by Bazel. Needs numpy and rapidfuzz
(tools/requirements-test.txt) and, for the 1 GB of samples that a kind is measured on, as much
room in TMPDIR.
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
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

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


def edit_distance(options: argparse.Namespace) -> Section:
    binary = build("//metrics/text:edit_distance_benchmark")
    with tempfile.TemporaryDirectory(prefix="mirage-performance-") as work:
        answer = Path(work) / "answer.json"
        arguments = ["--repetitions", str(options.repeats), "--seconds", str(options.seconds)]
        script = HERE / "edit_distance_vs_rapidfuzz.py"
        run([sys.executable, script, binary, *arguments, "--json", answer])
        found = json.loads(answer.read_text(encoding="utf-8"))
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
    shown = "tests/benchmarks/edit_distance_vs_rapidfuzz.py .out/bin/metrics/text/"
    return Section(f"{shown}edit_distance_benchmark {' '.join(arguments)}", rows)


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
        if target.endswith(":edit_distance_benchmark"):
            continue
        commands.append(f"bazel run {target} -- {' '.join(arguments)}")
        times: dict[str, list[float]] = {}
        items: dict[str, float] = {}
        for entry in json.loads(run([build(target), "--benchmark_format=json", *arguments]))[
            "benchmarks"
        ]:
            if entry["run_type"] != "iteration":
                continue
            factor = {"ns": 1.0, "us": 1e3, "ms": 1e6, "s": 1e9}[entry["time_unit"]]
            name = entry["run_name"].removeprefix("Bm")
            times.setdefault(name, []).append(entry["real_time"] * factor)
            items[name] = entry.get("items_per_second", 0) * entry["real_time"] * factor / 1e9
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


def rewrite(document: str, figures: str) -> str:
    """The document with other figures between its marks. Raises ValueError without marks."""
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{BEGIN} and {END} are not in the document")
    return f"{before}{BEGIN}\n{figures}\n{END}{after}"


def figures_of(sections: list[Section], load: tuple[float, float]) -> str:
    rows = [row for section in sections for row in section.rows]
    commands = "\n".join(section.command for section in sections)
    return (
        f"{machine()}; load average {load[0]:.1f} before, {load[1]:.1f} after.\n\n"
        f"{table(rows)}\n\nThe commands, in the order of the rows:\n\n```\n{commands}\n```"
    )


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--only", action="append", choices=BENCHMARKS, metavar="NAME")
    parser.add_argument("--list", action="store_true", help="the names that --only takes")
    parser.add_argument("--size", default="1G", help="samples of each kind (K, M, G)")
    parser.add_argument("--repeats", type=int, default=5, help="of each measurement")
    parser.add_argument("--seconds", type=float, default=0.1, help="of one kernel measurement")
    parser.add_argument("--write", action="store_true", help="rewrite docs/performance.md")
    options = parser.parse_args(arguments)
    if options.repeats < 1:
        parser.error("--repeats must be at least 1")
    if options.write and options.only:
        parser.error("--write takes every row: leave --only out")
    return options


def main() -> int:
    options = parse()
    if options.list:
        print("\n".join(BENCHMARKS))
        return 0
    load = os.getloadavg()[0]
    sections = []
    failed = 0
    for name in options.only or BENCHMARKS:
        began = time.monotonic()
        try:
            sections.append(BENCHMARKS[name](options))
        except WrongValueError as error:
            print(f"{name} FAILED: {error}", file=sys.stderr)
            failed += 1
        print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    if sections:
        figures = figures_of(sections, (load, os.getloadavg()[0]))
        print(figures)
        if options.write and not failed:
            document = DOCUMENT.read_text(encoding="utf-8")
            DOCUMENT.write_text(rewrite(document, figures), encoding="utf-8")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
