"""./mirage: builds when it must, only then, and otherwise is out of the way."""

import os
import shutil
import subprocess

import pytest


def test_first_start_builds_and_the_second_does_not(checkout):
    first = checkout("attach", "two words", "")
    assert first.returncode == 0
    # Run in the caller's folder, arguments untouched, nothing of the launcher's on stdout.
    assert first.stdout == f"first {checkout.root.parent}\nattach|two words||"
    assert "building //client:mirage" in first.stderr
    started = checkout.log("bazel")

    second = checkout("attach", "two words", "")
    assert second.stdout == first.stdout
    assert second.stderr == ""
    assert checkout.log("bazel") == started, "Bazel was started again"
    assert len(checkout.log("dpkg")) == 1


@pytest.mark.parametrize("code", [0, 1, 2, 3, 4, 77])
def test_exit_codes_are_the_command_lines_own(checkout, code):
    assert checkout(EXIT=str(code)).returncode == code  # built and run
    assert checkout(EXIT=str(code)).returncode == code  # run


def edit(root):
    (root / "client/main.cc").write_text("other")


def backdate(root):
    os.utime(root / "client/main.cc", (1_000_000_000, 1_000_000_000))


def add(root):
    (root / "metrics/new.h").touch()


def delete(root):
    (root / "metrics/stats.h").unlink()


def rename(root):
    (root / "metrics/stats.h").rename(root / "metrics/statistics.h")


def add_room(root):
    (root / "server").mkdir()
    (root / "server/BUILD").touch()


def change_options(root):
    (root / ".bazelrc").write_text("build --copt=-O3")


def own_options(root):
    (root / "user.bazelrc").touch()


@pytest.mark.parametrize(
    "change", [edit, backdate, add, delete, rename, add_room, change_options, own_options]
)
def test_a_change_of_the_sources_builds_again(checkout, change):
    checkout()
    change(checkout.root)
    checkout()
    assert checkout.builds() == 2
    checkout()
    assert checkout.builds() == 2


def test_files_that_the_binary_is_not_made_of_do_not(checkout):
    checkout()
    for name in (
        "metrics/README.md",
        "metrics/stats_test.cc",
        "metrics/testdata/rows.jsonl",
        "metrics/.stats.h.swp",
        "metrics/stats.h~",
        "README.md",
    ):
        (checkout.root / name).touch()
    (checkout.root / "metrics/__pycache__").mkdir()
    (checkout.root / "metrics/__pycache__/a.pyc").touch()
    checkout()
    assert checkout.builds() == 1


def test_an_edit_made_while_it_builds_is_noticed_at_the_next_start(checkout):
    (checkout.fakes / "edit_meanwhile").write_text("later")
    assert checkout().stdout.startswith("first ")
    assert checkout().stdout.startswith("later ")
    assert checkout.builds() == 2


def test_a_failed_build_shows_why_exits_4_and_runs_nothing_old(checkout):
    checkout()
    edit(checkout.root)
    (checkout.fakes / "broken").touch()
    for _ in range(2):
        failed = checkout()
        assert failed.returncode == 4
        assert failed.stdout == ""
        assert "client/main.cc:1: no such thing" in failed.stderr
        assert "the build failed" in failed.stderr
    (checkout.fakes / "broken").unlink()
    assert checkout().stdout.startswith("other ")


def test_two_at_once_build_once(checkout):
    running = [checkout.start(BUILD_SECONDS="1") for _ in range(3)]
    for process in running:
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        assert out.startswith("first ")
    assert checkout.builds() == 1


def test_through_a_link_and_by_a_relative_name(checkout):
    checkout()
    link = checkout.root.parent / "link"
    link.symlink_to(checkout.root / "mirage")
    for command, folder in (
        ([link], "/"),
        (["./mirage"], checkout.root),
        (["bash", "mirage"], checkout.root),
        (["../mirage"], checkout.root / "client"),
    ):
        done = subprocess.run(
            command, env=checkout.environment, cwd=folder, capture_output=True, text=True
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith(f"first {folder}")
    assert checkout.builds() == 1


def test_what_is_missing_is_installed_by_root(checkout):
    (checkout.fakes / "missing").write_text("libfmt-dev\nbazel-bootstrap\n")
    done = checkout()
    assert done.returncode == 0
    assert "installing 2 of Debian's packages: bazel-bootstrap libfmt-dev" in done.stderr
    installed = [line for line in checkout.log("apt") if line.startswith("install")]
    assert len(installed) == 1
    assert "--no-install-recommends bazel-bootstrap libfmt-dev" in installed[0]
    assert len(checkout.log("dpkg")) == 1


def test_without_root_it_prints_the_one_line_to_run(checkout):
    (checkout.fakes / "missing").write_text("libfmt-dev\n")
    done = checkout(FAKE_UID="1000")
    assert done.returncode == 4
    assert done.stdout == ""
    assert done.stderr.splitlines()[-1] == (
        "sudo apt-get update && sudo apt-get install -y --no-install-recommends libfmt-dev"
    )
    assert checkout.log("apt") == [] and checkout.log("bazel") == []


def test_a_failed_installation_shows_why_after_new_lists(checkout):
    (checkout.fakes / "missing").write_text("libfmt-dev\n")
    (checkout.fakes / "apt_fails").touch()
    done = checkout()
    assert done.returncode == 4
    assert "Unable to locate package" in done.stderr
    assert [line.split()[0] for line in checkout.log("apt")][-3:] == [
        "install",
        "update",
        "install",
    ]


def test_on_another_system_it_says_so(checkout):
    bin_folder = checkout.root.parent / "bin"
    bin_folder.mkdir()
    for name in ("bash", "env", "find", "flock", "mkdir", "id", "readlink"):
        (bin_folder / name).symlink_to(shutil.which(name))
    done = checkout(PATH=str(bin_folder))
    assert done.returncode == 4
    assert "not a Debian system" in done.stderr


def test_a_checkout_that_cannot_be_written(checkout):
    # A file where the folder should be: root may write anywhere else.
    (checkout.root / ".mirage").touch()
    for _ in range(2):
        done = checkout()
        assert (done.returncode, done.stdout.split()[0]) == (0, "first")
    assert checkout.builds() == 1
    kept = checkout.root.parent / "home/.cache/mirage/checkouts"
    assert [path.name for path in kept.iterdir()] == [str(checkout.root).replace("/", "%")]


def test_a_home_that_cannot_be_written(checkout, tmp_path):
    (tmp_path / "file").touch()
    done = checkout(HOME=str(tmp_path / "file/home"), TMPDIR=str(tmp_path))
    assert done.returncode == 0
    assert f"using {tmp_path}/mirage-0" in done.stderr
    assert f"--disk_cache={tmp_path}/mirage-0/.cache/mirage/bazel" in checkout.log("bazel")[0]


def test_check_without_root_closes_with_its_line(checkout):
    (checkout.fakes / "missing").write_text("clang-tidy\nlibfmt-dev\n")
    done = checkout("--all", launcher="check", FAKE_UID="1000")
    assert done.returncode == 4
    assert done.stdout == "0 passed, 1 failed\n"
    assert "libfmt-dev clang-tidy" in done.stderr.splitlines()[-1]


def test_check_usage(checkout):
    assert "--release" in checkout("--help", launcher="check").stdout
    assert checkout("--everything", launcher="check").returncode == 2
    assert checkout("--all", "--release", launcher="check").returncode == 2
