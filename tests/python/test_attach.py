"""`mirage attach` as a user meets it: answers, files, exit codes, bad input."""

from __future__ import annotations

import contextlib
import csv
import gzip
import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import tempfile
import termios
from pathlib import Path
from typing import Any

import pytest
from conftest import Attach, listening, report

MC = "samples_demo_mc_2026-11-23T00-14-31.362882.jsonl"
RESULTS = "results_2026-11-23T00-14-31.362882.json"
DERIVED = "mirage_2026-11-23T00-14-31.362882.json"


def tasks(answer: Any) -> dict[tuple[str, str], Any]:
    return {(t["task"], t["filter"]): t for r in answer["runs"] for t in r["tasks"]}


def metric(task: Any, name: str) -> Any:
    return next(m for m in task["metrics"] if m["metric"] == name)


def digests(folder: Path) -> dict[str, str]:
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in folder.rglob("*")
        if p.is_file()
    }


def edit_rows(path: Path, edit: Any) -> None:
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps(row) + "\n" for row in edit(rows)))


def test_the_published_numbers(attach: Attach, facts: Path) -> None:
    """The same facts through three harnesses gave these digits; ours must agree."""
    found = tasks(report(attach(facts, "--output-format", "json", "--no-write")))
    mc = found["demo_mc", "none"]
    assert metric(mc, "acc")["value"] == 0.775
    assert abs(metric(mc, "brier_score")["value"] - 0.37741850753620404) < 1e-15
    assert abs(metric(mc, "log_p_gold")["value"] - -1.3658687732809884) < 1e-15
    assert abs(metric(mc, "log_p_gold_choices")["value"] - -0.5952890001289348) < 1e-15
    ll = found["demo_ll", "none"]
    assert abs(metric(ll, "perplexity")["value"] - 3.9191264057133712) < 1e-14


def test_contract_fields(attach: Attach, facts: Path) -> None:
    answer = report(attach(facts, "--output-format", "json", "--no-write"))
    run = answer["runs"][0]
    assert {"model", "harness", "harness_version", "path", "tasks"} <= run.keys()
    for task in run["tasks"]:
        assert {
            "task", "filter", "n_samples", "members", "metrics", "mirage_risk", "unavailable",
            "warnings", "n_gold_unverified",
        } <= task.keys()  # fmt: skip
        for m in task["metrics"]:
            assert {
                "metric", "role", "counterpart_of", "value", "n", "n_bad", "higher_is_better",
                "signature",
            } <= m.keys()  # fmt: skip
            if m["role"] == "REPORTED":
                assert abs(m["value"] - m["reported_value"]) <= 1e-12
                assert m["mirage_risk"]["level"] in {"NONE", "LOW", "HIGH", "UNKNOWN"}
                assert all(
                    {"code", "text", "values"} <= r.keys() for r in m["mirage_risk"]["reasons"]
                )
                assert m["mirage_risk"]["reasons"]
                assert m.get("rederived", 1) == 1
            else:
                assert m["counterpart_of"]
            if "interval" in m:
                assert {"lower", "upper", "level", "method", "signature"} == m["interval"].keys()
                assert m["interval"]["lower"] <= m["value"] <= m["interval"]["upper"]


def test_originals_stay_and_the_derived_file_is_the_answer(attach: Attach, facts: Path) -> None:
    before = digests(facts)
    done = attach(facts, "--output-format", "json")
    answer = report(done)
    derived = json.loads((facts / "x" / DERIVED).read_text())
    assert derived["generator"].startswith("mirage ")
    assert derived["runs"] == answer["runs"]
    after = digests(facts)
    assert {k: v for k, v in after.items() if k in before} == before
    assert set(after) - set(before) == {f"x/{DERIVED}"}
    # A second time: the derived file is no input, and is replaced.
    assert report(attach(facts, "--output-format", "json")) == answer


def test_a_file_that_is_not_ours_is_left_alone(attach: Attach, facts: Path) -> None:
    mine = facts / "x" / DERIVED
    mine.write_text('{"notes": "keep"}')
    done = attach(facts)
    assert done.returncode == 0
    assert "Mirage did not write it" in done.stderr
    assert mine.read_text() == '{"notes": "keep"}'
    chosen = attach(facts, "--write-dir", facts / "x")
    assert chosen.returncode == 4, "an explicit place that cannot be written is an error"


def test_write_dir_and_samples(attach: Attach, facts: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    assert attach(facts, "--write-dir", out, "--samples").returncode == 0
    rows = [
        json.loads(line)
        for line in (out / MC.replace("samples_", "mirage_samples_")).read_text().splitlines()
    ]
    assert len(rows) == 40, "rows of one kind, as readers of JSON lines expect"
    assert all(next(iter(row)) == "generator" for row in rows)
    assert rows[0]["generator"].startswith("mirage ")
    assert rows[0].keys() >= {"doc_id", "doc_hash", "filter", "acc"}
    assert [row["doc_id"] for row in rows] == list(range(40)), "numbers, as lm-eval writes them"
    assert abs(rows[0]["log_p_gold"] - -0.6545208968384573) < 1e-15
    # A second time: they are known as ours and replaced, a file that is not is left.
    theirs = out / MC.replace("samples_", "mirage_samples_")
    theirs.write_text('{"doc_id": 0}\n')
    again = attach(facts, "--write-dir", out, "--samples")
    assert again.returncode == 4
    assert again.stderr.count("Mirage did not write it") == 1
    assert theirs.read_text() == '{"doc_id": 0}\n'
    assert attach(facts, "--write-dir", out, "--no-write").returncode == 2


def test_write_dir_is_made_before_anything_is_read(
    attach: Attach, facts: Path, tmp_path: Path
) -> None:
    assert attach(facts, "--write-dir", f"{tmp_path}/new/one/").returncode == 0
    assert (tmp_path / "new/one" / DERIVED).exists()
    for place in (facts / "x" / MC, facts / "x" / MC / "below"):
        done = attach(facts, "--write-dir", place)
        assert done.returncode == 4
        assert done.stderr == (
            f"mirage: --write-dir {place}: cannot make this folder: Not a directory\n"
        )
        assert done.stdout == "", "one error, and before the reading"


def test_formats_say_the_same(attach: Attach, facts: Path, tmp_path: Path) -> None:
    answer = report(attach(facts, "--output-format", "json", "--no-write"))
    rows = list(
        csv.DictReader(
            io.StringIO(attach(facts, "--output-format", "csv", "--no-write").stdout, newline="")
        )
    )
    metrics = [m for t in answer["runs"][0]["tasks"] for m in t["metrics"]]
    assert [r["metric"] for r in rows] == [m["metric"] for m in metrics]
    assert [float(r["value"]) for r in rows] == [m["value"] for m in metrics]
    table = attach(facts, "--no-write", "--all-metrics")
    assert "\x1b" not in table.stdout, "no colour into a pipe"
    for m in metrics:
        assert m["metric"] in table.stdout
    assert attach(facts, "--output-format", "markdown", "--no-write").stdout.startswith("### ")
    to_file = tmp_path / "table.txt"
    assert attach(facts, "--no-write", "--all-metrics", "-o", to_file).stdout == ""
    assert to_file.read_text() == table.stdout
    assert attach(facts, "--no-write", "-o", tmp_path / "no/such").returncode == 4


def test_same_input_same_bytes_and_seed_moves_only_bootstraps(attach: Attach, facts: Path) -> None:
    arguments = (facts, "--output-format", "json", "--no-write")
    first = attach(*arguments)
    assert attach(*arguments).stdout == first.stdout
    other = report(attach(*arguments, "--seed", "7"))
    values = [m["value"] for t in tasks(json.loads(first.stdout)).values() for m in t["metrics"]]
    assert [m["value"] for t in tasks(other).values() for m in t["metrics"]] == values


def test_level(attach: Attach, facts: Path) -> None:
    wide, narrow = (
        metric(
            tasks(report(attach(facts, "--output-format", "json", "--no-write", "--level", level)))[
                "demo_mc", "none"
            ],
            "acc",
        )["interval"]
        for level in ("0.99", "0.5")
    )
    assert wide["lower"] < narrow["lower"] < narrow["upper"] < wide["upper"]
    assert attach(facts, "--level", "95").returncode == 2


def test_tokenizer(attach: Attach, facts: Path) -> None:
    def distance(unit: str) -> Any:
        answer = report(attach(facts, "--output-format", "json", "--no-write", "--tokenizer", unit))
        return metric(tasks(answer)["demo_gen", "strict"], "token_edit_distance")

    assert distance("words")["value"] < distance("codepoints")["value"]
    assert distance("words")["signature"] == "token_edit_distance|unit=words|v1"
    assert distance("characters") == distance("codepoints")


def test_sidecar_gives_the_same_bytes(attach: Attach, facts: Path, sidecar: str) -> None:
    for arguments in (("--output-format", "json"), (), ("--output-format", "csv")):
        embedded = attach(facts, "--no-write", *arguments)
        remote = attach(facts, "--no-write", *arguments, "--sidecar", sidecar)
        assert remote.returncode == 0, remote.stderr
        assert remote.stdout == embedded.stdout


def test_sidecar_on_a_unix_socket(attach: Attach, facts: Path, sidecar_binary: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:  # short: a socket's path has 107 bytes at most
        address = f"unix:{folder}/mirage.sock"
        with listening(sidecar_binary, address) as said:
            assert said == address
            remote = attach(facts, "--no-write", "--sidecar", address)
    assert remote.returncode == 0, remote.stderr
    assert remote.stdout == attach(facts, "--no-write").stdout


def test_no_sidecar_there(attach: Attach, facts: Path) -> None:
    done = attach(facts, "--no-write", "--sidecar", "127.0.0.1:1")
    assert done.returncode == 4
    assert "no sidecar answered at 127.0.0.1:1" in done.stderr


@pytest.mark.parametrize(
    "address", ["", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:http", "10.1.2.3:8750", "unix:"]
)
def test_an_address_that_is_none_is_a_usage_error(
    attach: Attach, facts: Path, address: str
) -> None:
    done = attach(facts, "--no-write", "--sidecar", address)
    assert done.returncode == 2
    assert "--sidecar" in done.stderr


# Bad input


def test_wrong_folder(attach: Attach, tmp_path: Path) -> None:
    done = attach(tmp_path)
    assert done.returncode == 4
    assert str(tmp_path) in done.stderr
    assert attach(tmp_path / "none").returncode == 4


def test_one_bad_run_does_not_cost_the_others(attach: Attach, facts: Path, tmp_path: Path) -> None:
    done = attach(tmp_path / "none", facts, "--no-write")
    assert done.returncode == 4
    assert "demo_mc" in done.stdout


def test_usage(attach: Attach, binary: Path, facts: Path) -> None:
    assert attach().returncode == 2
    assert attach(facts, "--no-such-flag").returncode == 2
    assert attach(facts, "--output-format", "xml").returncode == 2
    for flag in ("-o", "--output", "--write-dir"):
        done = attach(facts, flag, "")
        assert done.returncode == 2, flag
        assert "must not be empty" in done.stderr
    shown = subprocess.run([binary, "attach", "--help"], capture_output=True, text=True, check=True)
    assert "Examples:" in shown.stdout


@pytest.mark.parametrize("words", [["atach", "x"], ["--quiet", "atach"], ["atach", "--level", "2"]])
def test_a_command_that_is_none(binary: Path, words: list[str]) -> None:
    done = subprocess.run([binary, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert '"atach" is no command; did you mean attach?' in done.stderr
    assert done.stdout == ""
    shown = subprocess.run([binary, *words, "--help"], capture_output=True, check=False)
    assert shown.returncode == 0


def test_damaged_rows_are_counted_and_the_rest_is_kept(attach: Attach, facts: Path) -> None:
    path = facts / "x" / MC
    lines = path.read_text().splitlines()
    row = json.loads(lines[3])
    row["filtered_resps"][0][0] = "nan"
    row["resps"][0][0][0] = "nan"
    lines[3] = json.dumps(row)
    row = json.loads(lines[5])
    row["filtered_resps"][1][0] = "0.2"
    row["resps"][1][0][0] = "0.2"
    lines[5] = json.dumps(row)
    lines[7] = lines[7][: len(lines[7]) // 2]
    lines[9] = "\x00\x01binary\xff"
    lines[11] = lines[10]
    path.write_bytes("\n".join(lines).encode("utf-8", "replace"))
    done = attach(facts, "--output-format", "json", "--no-write")
    mc = tasks(report(done))["demo_mc", "none"]
    assert mc["n_samples"] == 35
    assert mc["n_bad"] == 5
    text = "\n".join(mc["warnings"])
    assert f"{MC}:4:" in text and "NaN" in text
    assert f"{MC}:6:" in text and "is +0.2: log-probabilities must be <= 0" in text
    assert f"{MC}:8:" in text
    assert f"{MC}:10:" in text
    assert f"{MC}:12:" in text and "repeats an earlier sample" in text
    assert "35 of 40 rows" in text


def test_truncated_last_line(attach: Attach, facts: Path) -> None:
    path = facts / "x" / MC
    path.write_bytes(path.read_bytes()[:-400])
    mc = tasks(report(attach(facts, "--output-format", "json", "--no-write")))["demo_mc", "none"]
    assert (mc["n_samples"], mc["n_bad"]) == (39, 1)
    assert any(f"{MC}:40:" in w for w in mc["warnings"])


def test_gold_that_contradicts_the_score_is_unverified(attach: Attach, facts: Path) -> None:
    def flip(rows: list[Any]) -> list[Any]:
        rows[0]["acc"] = 0.0  # its argmax is the gold
        return rows

    edit_rows(facts / "x" / MC, flip)
    mc = tasks(report(attach(facts, "--output-format", "json", "--no-write")))["demo_mc", "none"]
    assert mc["n_gold_unverified"] == 1
    assert metric(mc, "log_p_gold")["n"] == 39
    assert metric(mc, "acc")["n"] == 40


def test_results_without_samples(attach: Attach, facts: Path) -> None:
    for path in (facts / "x").glob("samples_*"):
        path.unlink()
    answer = report(attach(facts, "--output-format", "json", "--no-write"))
    assert "--log_samples" in " ".join(answer["runs"][0]["warnings"])
    for task in answer["runs"][0]["tasks"]:
        for m in task["metrics"]:
            assert m["role"] == "REPORTED"
            assert "value" not in m
            assert "reported_value" in m


def test_samples_of_another_date(attach: Attach, facts: Path) -> None:
    run = facts / "x"
    shutil.move(run / MC, run / MC.replace("00-14-31", "00-14-32"))
    answer = report(attach(facts, "--output-format", "json", "--no-write"))
    mc = tasks(answer)["demo_mc", "none"]
    assert mc["n_samples"] == 0
    assert "value" not in metric(mc, "acc")
    assert "00-14-32" in json.dumps(answer["runs"][0]["warnings"])


def test_results_that_are_not_json(attach: Attach, facts: Path) -> None:
    (facts / "x" / RESULTS).write_text('{"results": {"a": ')
    done = attach(facts, "--no-write")
    assert done.returncode == 4
    assert RESULTS in done.stderr


def test_wrong_samples_are_noticed(attach: Attach, facts: Path) -> None:
    def lower(rows: list[Any]) -> list[Any]:
        for row in rows[:4]:
            row["exact_match"] = 0.0
        return rows

    edit_rows(facts / "x" / MC.replace("demo_mc", "demo_gen"), lower)
    found = tasks(report(attach(facts, "--output-format", "json", "--no-write")))
    strict = found["demo_gen", "strict"]
    text = " ".join(strict["warnings"])
    assert "the harness reported 0.675" in text
    rederived = metric(strict, "exact_match")["rederived"]
    assert rederived < 1
    # A target that does not give the harness's score is not what it compared with.
    assert strict["n_gold_unverified"] == round((1 - rederived) * 40) > 0
    assert metric(strict, "token_edit_distance")["n"] == 40 - strict["n_gold_unverified"]
    codes = [r["code"] for r in metric(strict, "exact_match")["mirage_risk"]["reasons"]]
    assert "GOLD_UNVERIFIED" in codes


def test_samples_that_are_not_those_that_were_hashed(attach: Attach, facts: Path) -> None:
    def swap(rows: list[Any]) -> list[Any]:
        rows[0]["prompt_hash"], rows[1]["prompt_hash"] = rows[1]["prompt_hash"], "0" * 64
        return rows

    found = tasks(report(attach(facts, "--output-format", "json", "--no-write")))
    assert not any("task hash" in w for t in found.values() for w in t["warnings"])
    edit_rows(facts / "x" / MC, swap)
    found = tasks(report(attach(facts, "--output-format", "json", "--no-write")))
    assert [name for name, task in found.items() if "task hash" in " ".join(task["warnings"])] == [
        ("demo_mc", "none")
    ]


def test_scores_that_no_metric_can_have(attach: Attach, facts: Path) -> None:
    def spoil(rows: list[Any]) -> list[Any]:
        rows[0]["acc"], rows[1]["acc_norm"] = 7.0, "Infinity"
        del rows[2]["acc"]
        return rows

    edit_rows(facts / "x" / MC, spoil)
    mc = tasks(report(attach(facts, "--output-format", "json", "--no-write")))["demo_mc", "none"]
    assert metric(mc, "acc")["n"] == 38
    assert metric(mc, "acc_norm")["n"] == 39
    warnings = "\n".join(mc["warnings"])
    assert "acc: 1 of 40 rows hold a number that it cannot have (doc_id 0: 7; it lies" in warnings
    assert "acc: 1 of 40 rows hold no number of it" in warnings
    assert "may not be those" not in warnings


def test_oversized_row_is_refused_and_a_flag_raises_the_limit(attach: Attach, facts: Path) -> None:
    def pad(rows: list[Any]) -> list[Any]:
        rows[1]["doc"]["padding"] = "x" * (2 << 20)
        return rows

    edit_rows(facts / "x" / MC, pad)
    arguments = (facts, "--output-format", "json", "--no-write")
    small = tasks(report(attach(*arguments, "--max-row-mib", "1")))["demo_mc", "none"]
    assert (small["n_samples"], small["n_bad"]) == (39, 1)
    assert tasks(report(attach(*arguments)))["demo_mc", "none"]["n_samples"] == 40
    assert attach(*arguments, "--max-row-mib", "128").returncode == 0
    # What no message can hold is refused before it costs the run.
    too_large = attach(*arguments, "--max-row-mib", "129")
    assert too_large.returncode == 2
    assert "128" in too_large.stderr


def test_hostile_names_do_not_reach_the_terminal(attach: Attach, facts: Path) -> None:
    path = facts / "x" / RESULTS
    text = path.read_text().replace('"model_name": "x"', '"model_name": "\\u001b[31mred\\u202e"')
    path.write_text(text)
    done = attach(facts, "--no-write")
    assert done.returncode == 0
    assert "\x1b" not in done.stdout + done.stderr
    assert "\u202e" not in done.stdout


def test_names_that_are_not_utf8(attach: Attach, facts: Path) -> None:
    odd = os.fsencode(facts.parent) + b"/b\xff"
    shutil.copytree(os.fsencode(facts), odd)
    os.rename(
        odd + b"/x/" + MC.encode(), odd + b"/x/" + MC.replace("demo_mc", "mc").encode() + b"\xff"
    )
    done = attach(os.fsdecode(odd), "--no-write")
    assert done.returncode == 0, done.stderr
    assert "demo_ll" in done.stdout


def test_output_never_replaces_what_was_read(attach: Attach, facts: Path) -> None:
    before = digests(facts)
    assert attach(facts, "--no-write", "-o", facts / "x" / RESULTS).returncode == 4
    assert attach(facts, "--no-write", "-o", facts / "x" / MC).returncode == 4
    assert digests(facts) == before
    assert attach(facts, "--no-write", "-o", "/dev/null").returncode == 0
    assert Path("/dev/null").is_char_device()


def test_standard_error_may_be_full_or_closed(binary: Path, facts: Path, tmp_path: Path) -> None:
    for redirection in ("2>/dev/full", "2>&-"):
        done = subprocess.run(
            ["sh", "-c", f'"$0" attach "$1" {redirection}', binary, tmp_path / "none"], check=False
        )
        assert done.returncode == 4
    (facts / "x" / DERIVED).write_text("{}")
    done = subprocess.run(
        ["sh", "-c", '"$0" attach "$1" 2>/dev/full', binary, facts],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0
    assert "demo_mc" in done.stdout


def test_two_runs_of_one_date_do_not_share_a_file(
    attach: Attach, facts: Path, tmp_path: Path
) -> None:
    other, out = tmp_path / "other", tmp_path / "out"
    shutil.copytree(facts, other)
    edit_rows(other / "x" / MC, lambda rows: [row | {"acc": 0.0} for row in rows])
    out.mkdir()
    arguments = ("--samples", "--output-format", "json", "--write-dir", out)
    attach(facts, *arguments)
    written = digests(out)
    done = attach(facts, other, *arguments)
    assert done.returncode == 4
    assert done.stderr.count("another run of the same date") == 1
    assert len(json.loads(done.stdout)["runs"]) == 2, "the answer has both"
    assert digests(out) == written, "every file is of the first"


def test_seed_is_a_number(attach: Attach, facts: Path) -> None:
    for seed in ("-1", "1e3", "99999999999999999999999", "x"):
        assert attach(facts, "--no-write", "--seed", seed).returncode == 2, seed


def test_what_the_filter_left_is_not_made_up(attach: Attach, facts: Path) -> None:
    def empty(rows: list[Any]) -> list[Any]:
        for row in rows[:3]:
            row["filtered_resps"] = []
        return rows

    edit_rows(facts / "x" / MC.replace("demo_mc", "demo_gen"), empty)
    found = tasks(report(attach(facts, "--output-format", "json", "--no-write")))
    assert found["demo_gen", "strict"]["n_bad"] == 3
    assert "filtered_resps is empty" in " ".join(found["demo_gen", "strict"]["warnings"])


@pytest.fixture
def plain_attach(binary: Path) -> Attach:
    """`mirage attach` under the permissions of files, which root is above."""
    prefix: list[str] = []
    if os.geteuid() == 0:
        prefix = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"]
        if subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode:
            pytest.skip("root may read and write everywhere, and setpriv cannot take that away")

    def run(*arguments: str | Path, **_: Any) -> subprocess.CompletedProcess[str]:
        command = [*prefix, str(binary), "attach", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    return run


def test_read_only_folder_costs_a_warning(plain_attach: Attach, facts: Path) -> None:
    (facts / "x").chmod(0o555)
    try:
        done = plain_attach(facts, "--samples")
        chosen = plain_attach(facts, "--write-dir", facts / "x")
    finally:
        (facts / "x").chmod(0o755)
    assert done.returncode == 0
    assert "cannot write" in done.stderr
    assert chosen.returncode == 4


def test_samples_that_cannot_be_read(plain_attach: Attach, facts: Path) -> None:
    (facts / "x" / MC).chmod(0)
    try:
        done = plain_attach(facts, "--output-format", "json", "--no-write")
    finally:
        (facts / "x" / MC).chmod(0o644)
    assert done.returncode == 4, "the rest is printed, but it is not all"
    assert f"{MC}: Permission denied; its samples are missing" in done.stderr
    found = tasks(json.loads(done.stdout))
    assert found["demo_mc", "none"]["n_samples"] == 0
    assert found["demo_ll", "none"]["n_samples"] > 0
    assert not any(":0:" in w for w in found["demo_mc", "none"]["warnings"])


def test_samples_of_which_nothing_can_be_read(attach: Attach, facts: Path) -> None:
    path = facts / "x" / MC
    whole = path.read_bytes()
    damaged = b"".join(line[:-9] + b"\n" for line in whole.splitlines())
    for content, said in [
        (gzip.compress(whole), f"{MC} is compressed with gzip: unpack it"),
        (damaged, f"{MC} can be read (rows: 40): is it a whole samples file"),
    ]:
        path.write_bytes(content)
        done = attach(facts, "--output-format", "json", "--no-write")
        assert done.returncode == 4, "the rest is printed, but it is not all"
        assert said in done.stderr
        found = tasks(json.loads(done.stdout))
        assert found["demo_mc", "none"]["n_samples"] == 0
        assert found["demo_ll", "none"]["n_samples"] > 0


def test_samples_that_are_no_file(attach: Attach, facts: Path) -> None:
    (facts / "x" / MC).unlink()
    for make in (lambda path: path.symlink_to("nowhere"), os.mkfifo):
        make(facts / "x" / MC)
        done = attach(facts, "--output-format", "json", "--no-write")
        (facts / "x" / MC).unlink()
        assert done.returncode == 4
        assert MC in done.stderr
        assert tasks(json.loads(done.stdout))["demo_ll", "none"]["n_samples"] > 0


def test_a_harness_file_named_like_ours_is_read(attach: Attach, facts: Path) -> None:
    (facts / "x" / RESULTS).rename(facts / "x" / RESULTS.replace("results_", "mirage_run_"))
    for _ in range(2):  # the second time with the derived file beside it
        answer = report(attach(facts, "--output-format", "json"))
        assert len(answer["runs"]) == 1
    assert (facts / "x" / DERIVED).exists()


def test_a_run_that_is_named_twice_is_taken_once(attach: Attach, facts: Path) -> None:
    link = facts.parent / "link"
    link.symlink_to(facts)
    once = attach(facts, "--no-write")
    again = attach(facts, link, facts / "x" / RESULTS, facts / "x" / MC, "--no-write")
    assert again.returncode == 0
    assert again.stdout == once.stdout
    assert again.stderr.count("it is taken once") == 3


def test_dash_is_standard_output(attach: Attach, facts: Path) -> None:
    done = attach(facts, "--no-write", "-o", "-", cwd=facts)
    assert done.stdout == attach(facts, "--no-write").stdout
    assert not (facts / "-").exists()


def test_sample_files_of_many_tasks(attach: Attach, facts: Path, tmp_path: Path) -> None:
    """One file a task, with the rows of all its filters."""
    out = tmp_path / "out"
    out.mkdir()
    attach(facts, "--samples", "--write-dir", out)
    names = sorted(p.name for p in out.iterdir())
    date = RESULTS.removeprefix("results_").removesuffix(".json")
    assert f"mirage_samples_demo_mc_{date}.jsonl" in names
    assert not any(name.endswith(".tmp") for name in names)
    rows = (out / f"mirage_samples_demo_gen_{date}.jsonl").read_text().splitlines()
    filters = [json.loads(row)["filter"] for row in rows]
    assert sorted(set(filters)) == ["loose", "strict"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_no_temporary_files(
    binary: Path, facts: Path, number: signal.Signals
) -> None:
    path = facts / "x" / MC
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    with path.open("w") as out:
        for i in range(40_000):
            out.write(json.dumps(rows[i % len(rows)] | {"doc_id": i}) + "\n")
    before = digests(facts)
    process = subprocess.Popen(
        [binary, "attach", facts, "--samples"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # nohup and a shell's & have some ignored
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),
    )
    while not list(facts.rglob("*.tmp")):
        assert process.poll() is None, "it ended before there was anything to remove"
    process.send_signal(number)
    process.communicate(timeout=20)
    assert process.returncode == -number
    assert digests(facts) == before


def test_document_ids_keep_what_a_number_would_lose(attach: Attach, facts: Path) -> None:
    ids = [7, "007", "-0", "-3", "9223372036854775807", "9223372036854775808", "1e3", "q 1", ""]

    def rename(rows: list[Any]) -> list[Any]:
        return [row | {"doc_id": i} for row, i in zip(rows, ids, strict=False)]

    edit_rows(facts / "x" / MC, rename)
    attach(facts, "--samples")
    lines = (facts / "x" / MC.replace("samples_", "mirage_samples_")).read_text().splitlines()
    want = [7, "007", "-0", -3, 9223372036854775807, "9223372036854775808", "1e3", "q 1", ""]
    assert [json.loads(line)["doc_id"] for line in lines] == want


def test_a_task_without_samples_has_no_samples_file(attach: Attach, facts: Path) -> None:
    (facts / "x" / MC).write_text("")
    theirs = facts / "x" / MC.replace("samples_", "mirage_samples_")
    done = attach(facts, "--samples")
    assert done.returncode == 0
    assert not theirs.exists()
    theirs.write_text("")
    done = attach(facts, "--samples")
    assert "Mirage did not write it" not in done.stderr
    assert theirs.read_text() == "", "an empty file is nobody's, so not ours"


def test_written_files_are_noted(attach: Attach, facts: Path) -> None:
    one = f"mirage: wrote {facts}/x/{DERIVED}\n"
    assert attach(facts).stderr == one
    assert attach(facts, "--samples").stderr == one.replace(
        "wrote ", "wrote 4 files, the first is "
    )
    for arguments in (("--no-write",), ("--quiet", "--samples")):
        assert attach(facts, *arguments).stderr == ""


def test_warnings_that_a_csv_cannot_hold(attach: Attach, facts: Path) -> None:
    path = facts / "x" / MC
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:30]))
    arguments = (facts, "--no-write", "--output-format", "csv")
    done = attach(*arguments)
    assert f"mirage: warning: {facts}/x/{RESULTS}: demo_mc: " in done.stderr
    assert "30 of 40 rows" in done.stderr
    assert "30 of 40 rows" not in done.stdout
    assert attach(*arguments, "--quiet").stderr == ""


def on_a_terminal(command: list[str | Path], columns: int, **environment: str) -> str:
    """What a command shows on a terminal of so many columns."""
    outside, inside = os.openpty()
    termios.tcsetwinsize(inside, (40, columns))
    kept = {k: v for k, v in os.environ.items() if k not in {"TERM", "COLUMNS", "NO_COLOR"}}
    process = subprocess.Popen(command, stdout=inside, env=kept | environment)
    os.close(inside)
    shown = b""
    with contextlib.suppress(OSError):  # the end of a terminal
        while piece := os.read(outside, 65536):
            shown += piece
    os.close(outside)
    assert process.wait(timeout=60) == 0
    return shown.decode()


def test_a_terminal_gets_what_it_can_show(binary: Path, facts: Path) -> None:
    command = [binary, "attach", facts, "--no-write", "--quiet"]

    def table_width(text: str) -> int:
        return max(len(line) for line in text.splitlines() if line.startswith("|---"))

    wide = on_a_terminal(command, 200, TERM="xterm")
    assert "\x1b[" in wide
    for environment in ({"TERM": "dumb"}, {}, {"TERM": "xterm", "NO_COLOR": "1"}):
        assert "\x1b" not in on_a_terminal(command, 200, **environment)
    assert "\x1b[" in on_a_terminal(command, 200, TERM="xterm", NO_COLOR="")
    narrow = on_a_terminal(command, 90, TERM="xterm")
    assert table_width(narrow) < table_width(wide)
    assert on_a_terminal(command, 200, TERM="xterm", COLUMNS="90") == narrow
    assert on_a_terminal(command, 90, TERM="xterm", COLUMNS="200") == wide


def test_help_on_a_full_disk_is_no_success(binary: Path) -> None:
    with open("/dev/full", "w") as full:
        for arguments in (["--version"], ["--help"], ["attach", "--help"]):
            done = subprocess.run(
                [binary, *arguments], stdout=full, stderr=subprocess.PIPE, text=True, check=False
            )
            assert done.returncode == 4
            assert "cannot write to standard output" in done.stderr


def test_a_closed_standard_output_is_no_success(binary: Path, facts: Path, tmp_path: Path) -> None:
    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["sh", "-c", '"$0" "$@" >&-', binary, *arguments],
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )

    for arguments in (["--version"], ["attach", "--help"], ["attach", facts, "--no-write"]):
        done = run(*arguments)
        assert done.returncode == 4, arguments
        assert "cannot write to standard output" in done.stderr
    answer = tmp_path / "answer"
    assert run("attach", facts, "--no-write", "-o", answer).returncode == 0, "it is not needed"
    assert "demo_mc" in answer.read_text()


def test_help_is_quick_to_read(binary: Path) -> None:
    shown = subprocess.run([binary, "--help"], capture_output=True, text=True, check=True)
    assert "mirage attach examples/" in shown.stdout
    assert max(map(len, shown.stdout.splitlines())) <= 100
