"""tools/summarize_tests.py counts what really ran."""

import importlib.util
import json
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
_spec = importlib.util.spec_from_file_location("summarize_tests", ROOT / "tools/summarize_tests.py")
summarize_tests = importlib.util.module_from_spec(_spec)
sys.modules["summarize_tests"] = summarize_tests
_spec.loader.exec_module(summarize_tests)

# As gtest 1.12 writes it: five cases, of which one fails, one is skipped, one disabled.
GTEST = """<?xml version="1.0" encoding="UTF-8"?>
<testsuites tests="5" failures="1" disabled="1" errors="0" time="0.1" name="AllTests">
  <testsuite name="Stats" tests="5" failures="1" disabled="1" skipped="1" errors="0" time="0.1">
    <testcase name="Mean" status="run" result="completed" time="0." classname="Stats" />
    <testcase name="Median" status="run" result="completed" time="0." classname="Stats" />
    <testcase name="Mode" status="run" result="completed" time="0." classname="Stats">
      <failure message="stats_test.cc:9&#x0A;Expected equality of these values:" type=""></failure>
      <failure message="stats_test.cc:10&#x0A;and again" type=""></failure>
    </testcase>
    <testcase name="Real" status="run" result="skipped" time="0." classname="Stats">
      <skipped message="stats_test.cc:12&#x0A;MIRAGE_DATA is not set" />
    </testcase>
    <testcase name="DISABLED_Old" status="notrun" result="suppressed" classname="Stats" />
  </testsuite>
</testsuites>
"""
# As Bazel writes it for a test that wrote no XML.
PLAIN = """<?xml version="1.0" encoding="UTF-8"?>
<testsuites><testsuite name="t" tests="1" failures="0" errors="{errors}">
<testcase name="t" status="run" duration="0" time="0">{error}</testcase>
<system-out>some output
{out}
</system-out></testsuite></testsuites>
"""
PYTEST = """<?xml version="1.0"?>
<testsuites><testsuite name="pytest" errors="1" failures="1" skipped="1" tests="4">
<testcase classname="a" name="good" />
<testcase classname="a" name="bad"><failure message="assert 1 == 2">long</failure></testcase>
<testcase classname="a" name="none"><skipped type="pytest.skip" message="no data" /></testcase>
<testcase classname="a" name="broken"><error message="fixture failed">x</error></testcase>
</testsuite></testsuites>
"""


def result(label, xml, status, folder, shard=1, attempt=1):
    name = f"{label.strip('/').replace(':', '_')}_{shard}_{attempt}"
    outputs = [{"name": "test.log", "uri": f"file://{folder}/{name}.log"}]
    (folder / f"{name}.log").write_text("the log")
    if xml is not None:
        (folder / f"{name}.xml").write_text(xml)
        outputs.append({"name": "test.xml", "uri": f"file://{folder}/{name}.xml"})
    key = {"label": label, "run": 1, "shard": shard, "attempt": attempt}
    return {
        "id": {"testResult": key},
        "testResult": {"status": status, "testActionOutput": outputs},
    }


def summary(label, status):
    return {"id": {"testSummary": {"label": label}}, "testSummary": {"overallStatus": status}}


def summarize(folder: pathlib.Path, *events):
    path = folder / "events.json"
    path.write_text("\n".join(map(json.dumps, events)) + '\n{"id": {"cut off')
    return {target.name: target for target in summarize_tests.summarize(path)}


def counts(target):
    return target.passed, target.failed, len(target.skipped)


def test_gtest_cases(tmp_path):
    found = summarize(
        tmp_path, result("//a:b", GTEST, "FAILED", tmp_path), summary("//a:b", "FAILED")
    )
    assert counts(found["//a:b"]) == (2, 1, 2)
    assert found["//a:b"].skipped == [
        "Stats.Real: MIRAGE_DATA is not set (stats_test.cc:12)",
        "Stats.DISABLED_Old: disabled in the source",
    ]
    assert found["//a:b"].failures == [
        "Stats.Mode: Expected equality of these values: (stats_test.cc:9)"
    ]
    assert [path.read_text() for path in found["//a:b"].logs] == ["the log"]


def test_a_test_without_cases_is_one(tmp_path):
    error = '<error message="exited with error code 1"></error>'
    found = summarize(
        tmp_path,
        result("//a:sh", PLAIN.format(errors=0, error="", out=""), "PASSED", tmp_path),
        result(
            "//a:skip",
            PLAIN.format(errors=0, error="", out="SKIPPED: no harness"),
            "PASSED",
            tmp_path,
        ),
        result("//a:bad", PLAIN.format(errors=1, error=error, out=""), "FAILED", tmp_path),
        result("//a:bare", None, "PASSED", tmp_path),
    )
    assert counts(found["//a:sh"]) == (1, 0, 0)
    assert counts(found["//a:bare"]) == (1, 0, 0)
    assert found["//a:skip"].skipped == ["t: no harness"]
    assert counts(found["//a:skip"]) == (0, 0, 1)
    assert counts(found["//a:bad"]) == (0, 1, 0)


def test_a_target_that_failed_outside_its_cases_has_failed(tmp_path):
    passing = '<testsuites><testsuite><testcase name="x" status="run"/></testsuite></testsuites>'
    found = summarize(
        tmp_path,
        result("//a:leak", passing, "FAILED", tmp_path),
        result("//a:slow", None, "TIMEOUT", tmp_path),
        summary("//a:lost", "NO_STATUS"),
    )
    assert counts(found["//a:leak"]) == (1, 1, 0)
    assert counts(found["//a:slow"]) == (0, 1, 0)
    assert counts(found["//a:lost"]) == (0, 1, 0)


def test_shards_add_up_and_only_the_last_attempt_counts(tmp_path):
    one = '<testsuites><testsuite><testcase name="x" status="run"/></testsuite></testsuites>'
    found = summarize(
        tmp_path,
        result("//a:b", GTEST, "FAILED", tmp_path, shard=1, attempt=1),
        result("//a:b", one, "PASSED", tmp_path, shard=1, attempt=2),
        result("//a:b", one, "PASSED", tmp_path, shard=2),
        summary("//a:b", "FLAKY"),
    )
    assert counts(found["//a:b"]) == (2, 0, 0)


def test_what_does_not_build_has_failed(tmp_path):
    (tmp_path / "stderr").write_text("a.cc:1: error")
    found = summarize(
        tmp_path,
        {
            "id": {"actionCompleted": {"label": "//a:lib"}},
            "action": {"success": False, "stderr": {"uri": f"file://{tmp_path}/stderr"}},
        },
        {"id": {"targetCompleted": {"label": "//a:lib"}}, "completed": {}},
        {"id": {"targetCompleted": {"label": "//a:test"}}, "aborted": {"reason": "ANALYSIS"}},
        {"id": {"targetCompleted": {"label": "//a:good"}}, "completed": {"success": True}},
        summary("//a:test", "FAILED_TO_BUILD"),
        {"progress": {"stderr": "\x1b[31m\x1b[1mERROR: \x1b[0ma/BUILD:1: no file\nmore\n"}},
    )
    assert list(found) == ["//a:lib", "//a:test"]
    assert all(target.unbuilt and counts(target) == (0, 1, 0) for target in found.values())
    assert found["//a:lib"].logs[0].read_text() == "a.cc:1: error"
    assert summarize_tests.errors(tmp_path / "events.json") == ["ERROR: a/BUILD:1: no file"]


def test_pytest_cases(tmp_path):
    (tmp_path / "results.xml").write_text(PYTEST)
    target = summarize_tests.Target("pytest")
    summarize_tests.add_xml(target, tmp_path / "results.xml")
    assert counts(target) == (1, 2, 1)
    assert target.skipped == ["a.none: no data"]


def test_the_closing_line():
    assert summarize_tests.totals(3, 0, 0) == "3 passed, 0 failed"
    assert summarize_tests.totals(3, 1, 2) == "3 passed, 1 failed, 2 skipped"
