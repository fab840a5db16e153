"""Counts test cases in what Bazel and pytest leave behind.

Both write JUnit XML; gtest's dialect differs a little and is understood too. A test program that
writes no XML of its own (a sh_test, a plain py_test) counts as one case. It can say that it was
skipped by printing a line `SKIPPED: reason` and exiting with 0.

By hand: `bazel test --build_event_json_file=/tmp/events.json //...`, then
`python3 tools/summarize_tests.py /tmp/events.json`.
"""

import contextlib
import dataclasses
import json
import pathlib
import re
import sys
import urllib.parse
import xml.etree.ElementTree as ElementTree

_SKIP_LINE = re.compile(r"^SKIPPED: (.*)$", re.MULTILINE)


@dataclasses.dataclass
class Target:
    """The cases of one test target, or of one pytest run."""

    name: str
    passed: int = 0
    failed: int = 0
    skipped: list[str] = dataclasses.field(default_factory=list)  # "case: reason"
    failures: list[str] = dataclasses.field(
        default_factory=list
    )  # "case: first line of the message"
    logs: list[pathlib.Path] = dataclasses.field(default_factory=list)  # of failures only
    unbuilt: bool = False  # then failed is 1


def _first_line(text: str | None) -> str:
    lines = [line.strip() for line in (text or "").splitlines() if line.strip()]
    # gtest puts file:line on the first line and the reason below it.
    if len(lines) > 1 and re.fullmatch(r"\S+:\d+", lines[0]):
        return f"{lines[1]} ({lines[0]})"
    return lines[0] if lines else "no reason given"


def add_xml(target: Target, path: pathlib.Path) -> None:
    """Adds the cases of one XML file. Raises OSError or ElementTree.ParseError."""
    root = ElementTree.parse(path).getroot()
    for suite in [root] if root.tag == "testsuite" else root.iter("testsuite"):
        cases = suite.findall("testcase")
        printed = "".join(element.text or "" for element in suite.findall("system-out"))
        for case in cases:
            name = ".".join(filter(None, [case.get("classname"), case.get("name")]))
            bad = [*case.findall("failure"), *case.findall("error")]
            skip = case.find("skipped")
            said = _SKIP_LINE.search(printed) if len(cases) == 1 else None
            if bad:
                target.failed += 1
                target.failures.append(
                    f"{name}: {_first_line(bad[0].get('message') or bad[0].text)}"
                )
            elif skip is not None:
                target.skipped.append(f"{name}: {_first_line(skip.get('message') or skip.text)}")
            elif case.get("result") == "skipped":
                target.skipped.append(f"{name}: no reason given")
            elif case.get("status") == "notrun" or case.get("result") == "suppressed":
                target.skipped.append(f"{name}: disabled in the source")
            elif said:
                target.skipped.append(f"{name}: {said.group(1).strip()}")
            else:
                target.passed += 1


def _path(uri: str) -> pathlib.Path:
    return pathlib.Path(urllib.parse.unquote(uri.removeprefix("file://")))


def summarize(events: pathlib.Path) -> list[Target]:
    """What a `--build_event_json_file` tells of: all tests, and targets that failed to build."""
    attempts: dict[tuple[str, int, int], dict] = {}  # the last attempt of each (label, run, shard)
    tests: dict[str, str] = {}  # label -> overall status
    unbuilt: dict[str, None] = {}
    action_logs: dict[str, list[pathlib.Path]] = {}
    for line in events.read_text(errors="replace").splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            continue  # Bazel was killed while it wrote
        where = event.get("id", {})
        if "testResult" in where and "testResult" in event:
            key = where["testResult"]
            attempts[(key["label"], key.get("run", 1), key.get("shard", 1))] = event["testResult"]
        elif "testSummary" in where and "testSummary" in event:
            tests[where["testSummary"]["label"]] = event["testSummary"].get(
                "overallStatus", "NO_STATUS"
            )
        elif "targetCompleted" in where and not event.get("completed", {}).get("success"):
            unbuilt[where["targetCompleted"]["label"]] = None
        elif (
            "actionCompleted" in where and "action" in event and not event["action"].get("success")
        ):
            log = event["action"].get("stderr", {}).get("uri") or event["action"].get(
                "stdout", {}
            ).get("uri")
            if log:
                action_logs.setdefault(where["actionCompleted"].get("label", ""), []).append(
                    _path(log)
                )
        elif "pattern" in where and "aborted" in event:
            unbuilt[" ".join(where["pattern"].get("pattern", ["?"]))] = None

    targets = []
    for label in sorted({key[0] for key in attempts} | set(tests)):
        if label in unbuilt and not any(key[0] == label for key in attempts):
            continue
        target = Target(label)
        for (_, _, _), result in sorted((k, v) for k, v in attempts.items() if k[0] == label):
            outputs = {
                out["name"]: _path(out["uri"])
                for out in result.get("testActionOutput", [])
                if "uri" in out
            }
            before = target.failed
            try:
                add_xml(target, outputs["test.xml"])
            except (KeyError, OSError, ElementTree.ParseError):
                if result.get("status") == "PASSED":
                    target.passed += 1
            if result.get("status") not in ("PASSED", "FLAKY") and target.failed == before:
                target.failed += 1  # it crashed or ran out of time outside any case
                target.failures.append(f"{label}: {result.get('status', 'no status')}")
            if target.failed > before and "test.log" in outputs:
                target.logs.append(outputs["test.log"])
        if tests.get(label, "PASSED") not in ("PASSED", "FLAKY") and not target.failed:
            target.failed = 1
            target.failures.append(f"{label}: {tests[label]}")
        targets.append(target)
    for label in sorted(unbuilt):
        logs = action_logs.get(label, [])
        failures = [f"{label}: does not build"]
        targets.append(Target(label, failed=1, failures=failures, logs=logs, unbuilt=True))
    return targets


def errors(events: pathlib.Path) -> list[str]:
    """Bazel's own error lines, for what fails before any compiler runs."""
    found: dict[str, None] = {}
    for line in events.read_text(errors="replace").splitlines():
        with contextlib.suppress(ValueError):
            text = json.loads(line).get("progress", {}).get("stderr", "")
            text = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", text)
            found.update(dict.fromkeys(re.findall(r"^ERROR: .*", text, re.MULTILINE)))
    return [error[:400].strip() for error in found]


def totals(passed: int, failed: int, skipped: int) -> str:
    """The closing line of ./check."""
    return f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else "")


def main() -> int:
    targets = summarize(pathlib.Path(sys.argv[1]))
    for target in targets:
        for line in target.failures:
            print(f"failed: {line}")
        for line in target.skipped:
            print(f"skipped: {line}")
    failed = sum(target.failed for target in targets)
    print(totals(sum(t.passed for t in targets), failed, sum(len(t.skipped) for t in targets)))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
