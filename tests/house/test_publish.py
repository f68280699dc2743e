"""Tests of scripts/publish in a tree with a fake `glebench`: the copied files, and the places of the tables."""

import shutil
import subprocess
from pathlib import Path

import pytest
from shared import ROOT

TABLE = "| model | accuracy |\n|---|---|\n| tcn | 93.1 |\n"
BOARD = f"# MNIST-1D\n\n{TABLE}\n| model | seconds |\n|---|---|\n"
README = "# glebench\n\n| model | accuracy |\n|---|---|\n| tcn | of yesterday |\n| gru | that is gone |\n\n| other |\n"
STUB = f"""\
#!/bin/sh
case "$2" in gone) exit 3;; mnist1d|2) printf '%s' '{BOARD}';; *) echo "$@";; esac
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A checkout with the leaderboards of two tasks, and runs of one of them that are not published yet."""
    root = tmp_path / "checkout"
    for folder in ("scripts", ".venv/bin", "leaderboards/records/gsc", "leaderboards/records/mnist1d"):
        (root / folder).mkdir(parents=True)
    shutil.copy(ROOT / "scripts/publish", root / "scripts")
    (root / ".venv/bin/glebench").write_text(STUB)
    (root / ".venv/bin/glebench").chmod(0o755)
    (root / "README.md").write_text(README)
    for model in ("tcn", "gru"):
        run = tmp_path / "runs/mnist1d" / model / "0123/seed-1"
        run.mkdir(parents=True)
        for name in ("record.json", "history.csv", "predictions.npz", "neurobench.json", "last.ckpt"):
            (run / name).write_text(f"{name} of {model}")
    return root


def publish(tree: Path, *folders: str) -> subprocess.CompletedProcess[str]:
    command = [tree / "scripts/publish", tree.parent / "runs", *folders]
    return subprocess.run(command, capture_output=True, text=True)


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_what_is_kept_of_the_runs_of_a_folder_is_copied(tree: Path) -> None:
    done = publish(tree, "mnist1d/tcn")
    assert done.returncode == 0, done.stderr
    kept = {"record.json", "history.csv", "predictions.npz", "neurobench.json"}
    assert files(tree / "leaderboards/records") == {f"mnist1d/tcn/0123/seed-1/{name}" for name in kept}
    record = tree / "leaderboards/records/mnist1d/tcn/0123/seed-1/record.json"
    assert record.read_text() == "record.json of tcn"


def test_large_predictions_stay_where_they_are(tree: Path) -> None:
    predictions = tree.parent / "runs/mnist1d/tcn/0123/seed-1/predictions.npz"
    predictions.write_bytes(bytes(60_001))
    assert publish(tree, "mnist1d/tcn").returncode == 0
    published = tree / "leaderboards/records/mnist1d/tcn/0123/seed-1/predictions.npz"
    assert not published.exists()
    predictions.write_bytes(bytes(60_000))
    assert publish(tree, "mnist1d/tcn").returncode == 0
    assert published.stat().st_size == 60_000


def test_the_tables_are_made_of_what_is_published_and_the_readme_shows_table_2(tree: Path) -> None:
    done = publish(tree)
    assert done.returncode == 0, done.stderr
    assert files(tree / "leaderboards") == {"gsc.md", "mnist1d.md"}
    assert (
        tree / "leaderboards/gsc.md"
    ).read_text() == f"table gsc --all --format md --runs {tree}/leaderboards/none\n"
    assert (tree / "leaderboards/mnist1d.md").read_text() == BOARD
    assert (tree / "README.md").read_text() == f"# glebench\n\n{TABLE}\n| other |\n"


def test_a_folder_without_runs_is_refused(tree: Path) -> None:
    done = publish(tree, "mnist1d/tnc")
    assert done.returncode == 1
    assert done.stderr.startswith(f"scripts/publish: there is no record.json below {tree.parent}/runs/mnist1d/tnc;")
    assert (tree / "README.md").read_text() == README


def test_a_table_that_fails_leaves_the_old_one(tree: Path) -> None:
    (tree / "leaderboards/records/gone").mkdir()
    (tree / "leaderboards/gone.md").write_text("of yesterday")
    assert publish(tree).returncode == 1
    assert (tree / "leaderboards/gone.md").read_text() == "of yesterday"
    assert (tree / "README.md").read_text() == README
    assert not list(tree.rglob("*.new"))
