"""Tests of CIFAR-10: downloaded or copied files, refused files, and the samples of splits."""

import hashlib
import json
import pickle
import runpy
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import cifar10_examples as examples
import numpy as np
import pytest
import torch
from command import glebench
from data_trouble import IN_PLACE_OF_FILES, IN_PLACE_OF_FOLDERS, TROUBLE, clutter, deadline, put
from hypothesis import given, settings
from hypothesis import strategies as st
from loopback import serve
from pydantic import ValidationError
from shared import ROOT, shared_path

from gle_bench import registry
from gle_bench.contracts import Batch, Data
from gle_bench.errors import GleBenchError, UsageError
from gle_bench.files.download import Remote
from gle_bench.overrides import override
from gle_bench.recipes.cifar10 import ChannelOrder, CIFAR10Options, RowOrder
from gle_bench.registry import TASKS, load

PACKAGE = TASKS["cifar10"].partition(":")[0]
ARCHIVE, BATCHES, ROWS = (load(f"{PACKAGE}.{name}") for name in ("archive", "batches", "rows"))
TASK = registry.task("cifar10")
SIZES = (5 * examples.PER_BATCH, examples.PER_BATCH)
NOBODY = lambda line: None  # noqa: E731


def loaded(folder: Path, **options: Any) -> Data:
    return TASK.load(folder, CIFAR10Options(**options), "paper", None)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return examples.write_tree(tmp_path / "cifar10" / examples.TREE)


# Where the files come from --------------------------------------------------------------------------------------------


def test_the_official_archive_is_pinned() -> None:
    assert ARCHIVE.ARCHIVE.sha256 == "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"
    assert ARCHIVE.ARCHIVE.url == "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
    assert ARCHIVE.SIZES == (50_000, 10_000)


def packed(root: Path, archive: Path, name: str = examples.TREE) -> bytes:
    with tarfile.open(archive, "w:gz", compresslevel=1) as tar:
        tar.add(root, name)
    return archive.read_bytes()


def test_the_archive_is_downloaded_unpacked_and_official(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = packed(examples.write_tree(tmp_path / "made"), tmp_path / "a.tar.gz")
    folder = tmp_path / "cifar10"
    with serve({"/cifar-10-python.tar.gz": content}) as server:
        remote = Remote(f"{server.url}/cifar-10-python.tar.gz", hashlib.sha256(content).hexdigest(), len(content))
        monkeypatch.setattr(ARCHIVE, "ARCHIVE", remote)
        with pytest.raises(GleBenchError, match="100 images to learn from and 20 to test with, not 50,000"):
            ARCHIVE.get(folder, NOBODY, remote)
        assert not TASK.is_prepared(folder, CIFAR10Options())
        ARCHIVE.get(folder, NOBODY, remote, SIZES)
        ARCHIVE.get(folder, NOBODY, remote, SIZES)  # nothing is left to do
        assert len(server.asked) == 1  # the first time, the archive stayed
    first = loaded(folder)
    assert first.official
    assert first.notes == ()
    moved = folder.parent / examples.TREE
    shutil.copytree(folder / examples.TREE, moved)
    examples.write(folder / examples.TREE / "test_batch", examples.batch("test_batch", labels=[0] * 20))
    changed = loaded(folder)
    assert not changed.official
    assert changed.fingerprint != first.fingerprint


def test_an_archive_of_something_else_is_refused(tmp_path: Path) -> None:
    root = examples.write_tree(tmp_path / "made")
    folder = tmp_path / "cifar10"
    folder.mkdir()
    content = packed(root, folder / "cifar-10-python.tar.gz", "another")
    remote = Remote("http://localhost/cifar-10-python.tar.gz", hashlib.sha256(content).hexdigest(), 0)
    with pytest.raises(GleBenchError, match="there is no cifar-10-batches-py in it"):
        ARCHIVE.get(folder, NOBODY, remote, SIZES)
    (root / "data_batch_4").unlink()
    content = packed(root, folder / "cifar-10-python.tar.gz")
    remote = remote._replace(sha256=hashlib.sha256(content).hexdigest())
    with pytest.raises(GleBenchError, match=r"data_batch_4: No such file"):
        ARCHIVE.get(folder, NOBODY, remote, SIZES)
    assert not TASK.is_prepared(folder, CIFAR10Options())


@pytest.mark.parametrize("layout", ["cifar10", "."])
def test_files_laid_out_alike_are_found_and_not_official(tmp_path: Path, layout: str) -> None:
    examples.write_tree(tmp_path / layout / examples.TREE)
    found = loaded(tmp_path / "cifar10")
    assert not found.official
    assert any("not known to be the official ones" in note for note in found.notes)
    assert any("100 images to learn from and 20 to test with, not 50,000" in note for note in found.notes)


def test_the_fingerprint_is_of_images_and_not_of_how_they_were_pickled(tmp_path: Path) -> None:
    first, second = (examples.write_tree(tmp_path / name / examples.TREE) for name in "ab")
    examples.write(
        second / "data_batch_3", examples.batch("data_batch_3", filenames=[], batch_label=b"data_batch_3"), 4
    )
    (second / "readme.html").write_text("<html>")
    assert loaded(first.parent).fingerprint == loaded(second.parent).fingerprint


@pytest.mark.parametrize("option", ["--offline", "--dry-run"])
def test_without_data_the_command_says_what_to_do_in_a_sentence(tmp_path: Path, option: str) -> None:
    done = glebench("run", "cifar10", option, "--data", tmp_path, "--runs", tmp_path / "runs")
    assert done.code == 1
    assert "glebench prepare cifar10" in done.told
    assert ARCHIVE.ARCHIVE.url in done.told


def test_show_says_what_differs_from_the_paper() -> None:
    shown = json.loads(glebench("show", "cifar10", "--json").out)
    assert shown["shape"] == {"steps": 50, "inputs": 3072, "outputs": 10}
    notes = " ".join(shown["notes"])
    for word in ("leaves them out", "resets its generator to 7", "40,000"):
        assert word in notes


# What is refused ------------------------------------------------------------------------------------------------------


class Evil:
    def __reduce__(self) -> Any:
        return (print, ("this is run",))


WRONG: dict[str, tuple[Callable[[], dict[bytes, Any]], str]] = {
    "another batch": (lambda: examples.batch("data_batch_5"), "calls itself 'training batch 5 of 5'.* data_batch_5"),
    "the images of another": (
        lambda: examples.batch("data_batch_1", batch_label=b"whatever"),
        "holds the images of data_batch_1",
    ),
    "too few labels": (lambda: examples.batch("data_batch_2", labels=[1] * 19), "20 images and 19 labels"),
    "a class that there is not": (lambda: examples.batch("data_batch_2", labels=[10] * 20), "not one of 0 to 9"),
    "labels that are words": (lambda: examples.batch("data_batch_2", labels=[b"cat"] * 20), "no list of labels"),
    "no labels": (lambda: examples.batch("data_batch_2", labels=None), "no list of labels"),
    "images of another size": (
        lambda: examples.batch("data_batch_2", data=np.zeros((20, 3071), np.uint8)),
        "no images of 3,072 bytes",
    ),
    "images in another type": (
        lambda: examples.batch("data_batch_2", data=np.zeros((20, 3072), np.int8)),
        "no images of 3,072 bytes",
    ),
    "column after column": (
        lambda: examples.batch("data_batch_2", data=np.zeros((20, 3072), np.uint8, order="F")),
        "no images of 3,072 bytes",
    ),
    "no image at all": (
        lambda: examples.batch("data_batch_2", data=np.zeros((0, 3072), np.uint8), labels=[]),
        "no images of 3,072 bytes|it asks for __builtin__.bytes",
    ),
    "no array": (lambda: examples.batch("data_batch_2", data=b"abc"), "no images of 3,072 bytes"),
    "an object that acts": (lambda: examples.batch("data_batch_2", filenames=Evil()), "it asks for .*print"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_file_that_is_not_what_it_should_be_is_refused_by_name(
    tree: Path, capsys: pytest.CaptureFixture[str], case: str
) -> None:
    content, reason = WRONG[case]
    path = tree / "data_batch_2"
    examples.write(path, content())
    with pytest.raises(GleBenchError, match=rf"{path} is not a valid part of CIFAR-10: .*{reason}.*glebench prepare"):
        loaded(tree.parent)
    assert "this is run" not in capsys.readouterr().out


@pytest.mark.parametrize("content", [b"", b"not a pickle", pickle.dumps([1, 2])])
def test_what_is_no_table_of_images_is_refused_by_name(tree: Path, content: bytes) -> None:
    (tree / "test_batch").write_bytes(content)
    with pytest.raises(GleBenchError, match="test_batch is not a valid part"):
        loaded(tree.parent)


@settings(max_examples=60)
@given(cut=st.floats(0, 0.999), flips=st.lists(st.tuples(st.floats(0, 0.999), st.integers(1, 255)), max_size=3))
def test_damage_is_refused_or_harmless(tmp_path_factory: pytest.TempPathFactory, cut: float, flips: list[Any]) -> None:
    """A truncated file is refused; one with changed bytes is refused, or read as whole images and classes."""
    path = tmp_path_factory.mktemp("damaged") / "data_batch_2"
    whole = bytearray(pickle.dumps(examples.batch("data_batch_2"), 2))
    path.write_bytes(whole[: int(cut * len(whole))])
    with pytest.raises(GleBenchError, match="data_batch_2 is not a valid part"):
        BATCHES.read_batch(path)
    head = len(whole) - len(bytes(whole).partition(b"data_batch")[0])
    for place, change in flips:
        whole[int(place * min(400, head))] ^= change
    path.write_bytes(whole)
    try:
        read = BATCHES.read_batch(path)
    except GleBenchError as error:
        assert str(path) in str(error)  # noqa: PT017
    else:
        assert read.pixels.shape == (len(read.labels), 3072)
        assert set(read.labels.tolist()) <= set(range(10))


def test_a_missing_file_is_named(tree: Path) -> None:
    (tree / "data_batch_5").unlink()
    with pytest.raises(GleBenchError, match=r"Cannot read .*data_batch_5: No such file"):
        loaded(tree.parent)
    with pytest.raises(GleBenchError, match="No CIFAR-10 in"):
        loaded(tree.parent / "elsewhere" / "cifar10")


def test_classes_in_another_order_are_refused(tree: Path) -> None:
    examples.write(tree / "batches.meta", {b"label_names": [name.encode() for name in sorted(examples.CLASSES)[::-1]]})
    with pytest.raises(GleBenchError, match=r"batches\.meta is not a valid part of CIFAR-10: its classes are not"):
        loaded(tree.parent)


# What a split gives ---------------------------------------------------------------------------------------------------


def test_images_keep_their_classes_and_come_once(tree: Path) -> None:
    found = loaded(tree.parent)
    assert {name: len(split) for name, split in found.splits.items()} == {"train": 80, "validation": 20, "test": 20}
    expected = {
        content[b"data"][n].tobytes(): (content[b"labels"][n], name == "test_batch")
        for name in examples.BATCHES
        for content in [examples.batch(name)]
        for n in range(examples.PER_BATCH)
    }
    for name, split in found.splits.items():
        batch = split.fetch(torch.arange(len(split)), 1, 0)
        assert batch.inputs.shape == (1, len(split), 1, 3072)
        assert 0 <= batch.inputs.min() <= batch.inputs.max() <= 1
        rows = (batch.inputs[0, :, 0] * 255).round().to(torch.uint8).view(-1, 32, 32, 3)
        for pixels, label in zip(rows.permute(0, 3, 1, 2), batch.targets[0], strict=True):
            assert expected.pop(pixels.contiguous().numpy().tobytes()) == (int(label), name == "test")
    assert not expected


def test_a_quick_look_has_the_first_images_of_each_split(tree: Path) -> None:
    whole, some = loaded(tree.parent), loaded(tree.parent, images=7)
    for name, split in some.splits.items():
        assert len(split) == 7
        assert torch.equal(split.targets, whole.splits[name].targets[:7])
        assert some.digests[name] != whole.digests[name]
    assert some.fingerprint == whole.fingerprint


def test_both_protocols_have_the_same_splits(tree: Path) -> None:
    clean = TASK.load(tree.parent, CIFAR10Options(), "clean", None)
    assert clean.digests == loaded(tree.parent).digests


def test_the_last_step_decides(tree: Path) -> None:
    batch = loaded(tree.parent).splits["train"].fetch(torch.arange(4), 1, 0)
    outputs = torch.randn(2, 4, 50, 10)
    decisions = TASK.decide(outputs, batch)
    assert torch.equal(decisions, outputs[:, :, 49])
    wrong = decisions.argmax(-1) != batch.targets
    assert torch.equal(TASK.measure(decisions, batch)["error"], 100.0 * wrong)
    torch.testing.assert_close(
        TASK.losses(outputs, batch),
        torch.stack([torch.nn.functional.cross_entropy(d, batch.targets[0], reduction="none") for d in decisions]),
    )


def test_the_target_is_on_throughout(tree: Path) -> None:
    batch = loaded(tree.parent).splits["train"].fetch(torch.arange(3), 1, 0)
    assert TASK.targets(batch, 10).shape == (1, 3, 1, 10)


# Rows -----------------------------------------------------------------------------------------------------------------

ORDERS = [(rows, channels) for rows in get_args(RowOrder) for channels in get_args(ChannelOrder)]


def first(folder: Path, **options: Any) -> Batch:
    return loaded(folder, **options).splits["train"].fetch(torch.arange(6), 1, 0)


@pytest.mark.parametrize(("row_order", "channel_order"), ORDERS)
def test_rows_in_any_order_give_back_the_image(tree: Path, row_order: RowOrder, channel_order: ChannelOrder) -> None:
    still = first(tree.parent)
    rows = first(tree.parent, presentation="rows", row_order=row_order, channel_order=channel_order)
    assert rows.inputs.shape == (1, 6, 32, 96)
    assert rows.steps == 32
    back = torch.from_numpy(ROWS.row_order(row_order).copy()).argsort()
    restored = rows.inputs[0, :, back]
    if channel_order == "planar":
        restored = restored.unflatten(2, (3, 32)).transpose(2, 3)
    assert torch.equal(restored.reshape(6, 3072), still.inputs[0, :, 0])
    assert torch.equal(rows.targets, still.targets)


def test_orders_are_permutations_of_which_one_is_from_the_top_and_one_from_the_bottom() -> None:
    orders = {name: ROWS.row_order(name).tolist() for name in get_args(RowOrder)}
    assert all(sorted(order) == [*range(32)] for order in orders.values())
    assert orders["top-down"] == orders["bottom-up"][::-1] == [*range(32)]
    assert orders["shuffled"] not in (orders["top-down"], orders["bottom-up"])
    assert ROWS.row_order("shuffled").tolist() == orders["shuffled"]


def test_a_held_row_is_the_same_at_all_of_its_steps(tree: Path) -> None:
    once, held = (first(tree.parent, presentation="rows", hold=hold) for hold in (1, 3))
    assert held.steps == held.inputs.shape[2] == 96
    for step in range(3):
        assert torch.equal(held.inputs[:, :, step::3], once.inputs)
    assert TASK.shape(CIFAR10Options(presentation="rows", hold=3)) == (96, 96, 10)


def test_a_still_image_is_the_pixels_of_the_files_row_by_row(tree: Path) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (5, 3072), np.uint8)
    expected = pixels.reshape(5, 3, 32, 32).transpose(0, 2, 3, 1).reshape(5, 1, 3072)
    assert np.array_equal(ROWS.arranged(pixels, CIFAR10Options()), expected)
    assert first(tree.parent).steps == 50
    assert TASK.shape(CIFAR10Options()) == (50, 3072, 10)


def test_the_sum_over_time_decides_for_rows_and_every_step_has_a_loss(tree: Path) -> None:
    batch = first(tree.parent, presentation="rows")
    outputs = torch.randn(2, 6, 32, 10)
    assert torch.equal(TASK.decide(outputs, batch), outputs.sum(2))
    target = batch.targets[0].repeat_interleave(32)
    expected = [torch.nn.functional.cross_entropy(o.flatten(0, 1), target, reduction="none") for o in outputs]
    torch.testing.assert_close(TASK.losses(outputs, batch), torch.stack(expected).view(2, 6, 32).mean(2))
    assert torch.equal(TASK.decide(outputs[:, :, :1], batch), outputs[:, :, 0])  # the one answer of an offline model


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"presentation": "rows", "steps": 1}, "steps = 1 belongs to still images.* leave steps at 50 and set hold"),
        ({"hold": 4}, "hold = 4 belongs to rows.* set presentation = rows, or leave hold at 1"),
        ({"row_order": "shuffled"}, "row_order = shuffled belongs to rows.* leave row_order at top-down"),
        ({"channel_order": "planar"}, "channel_order = planar belongs to rows.* at interleaved"),
        ({"presentation": "rows", "hold": 0}, "greater than or equal to 1"),
    ],
)
def test_options_of_the_other_presentation_are_refused(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        CIFAR10Options(**options)


# A model's own loss ---------------------------------------------------------------------------------------------------


def test_a_model_may_have_a_loss_of_its_own() -> None:
    model = registry.pair("cifar10", "bp-matched").configure("paper").network
    learned = TASK.learned_by(model)
    assert (learned.loss, TASK.loss, type(TASK).loss) == ("mse", "ce", "ce")
    batch = Batch(1, torch.zeros(1, 2, 1, 3072), torch.tensor([[3, 4]]))
    outputs = torch.randn(1, 2, 1, 10)
    expected = (torch.nn.functional.one_hot(batch.targets, 10) - outputs[:, :, 0]).square().sum(-1) / 2
    torch.testing.assert_close(learned.losses(outputs, batch), expected)
    bare = registry.pair("cifar10", "bp").configure("paper").network
    assert TASK.learned_by(bare) is TASK


def test_cross_entropy_of_signals_is_refused() -> None:
    task = registry.task("toy-signal")
    model = override(registry.pair("toy-signal", "toy-mlp").configure("paper"), ["loss=ce"]).network
    with pytest.raises(UsageError, match="loss = ce needs classes, and toy-signal has signals"):
        task.learned_by(model)


# What lies beside, and what is broken ---------------------------------------------------------------------------------


@pytest.fixture
def official(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tree that was unpacked from the small archive that the test declares to be official."""
    folder = tmp_path / "cifar10"
    folder.mkdir()
    made = examples.write_tree(tmp_path / "made")
    (made / "readme.html").write_text("An archive has a document.")
    content = packed(made, folder / "cifar-10-python.tar.gz")
    remote = Remote("http://localhost:1/cifar-10-python.tar.gz", hashlib.sha256(content).hexdigest(), len(content))
    monkeypatch.setattr(ARCHIVE, "ARCHIVE", remote)
    ARCHIVE.get(folder, NOBODY, remote, SIZES)
    return folder / examples.TREE


def test_what_lies_beside_the_batches_does_not_cost_the_mark_official(official: Path) -> None:
    first = loaded(official.parent)
    assert first.official
    clutter(official)
    (official / "readme.html").unlink()
    again = loaded(official.parent)
    assert (again.fingerprint, again.official, again.digests) == (first.fingerprint, True, first.digests)


@pytest.mark.systems
def test_the_records_of_this_projects_own_runs_still_name_these_data(tmp_path: Path) -> None:
    """The data are rebuilt from the images that those runs had, which takes ten seconds."""
    leaderboards = ROOT / "leaderboards" / "records" / "cifar10"
    records = [json.loads(path.read_text())["data"] for path in leaderboards.glob("**/record.json")]
    prepare = runpy.run_path(str(shared_path("data/prepare.py")))
    prepare["cifar10"](tmp_path)
    clutter(tmp_path / examples.TREE)
    found = loaded(tmp_path / "cifar10")
    assert {record["fingerprint"] for record in records} == {found.fingerprint}
    for record in records:
        assert record["notes"] == list(found.notes)
        assert record["digests"] == dict(found.digests)


def test_batches_that_come_back_are_official_again(official: Path) -> None:
    first = loaded(official.parent)
    before = (official / "data_batch_2").read_bytes()
    examples.write(official / "data_batch_2", examples.batch("data_batch_2", labels=[3] * 20))
    changed = loaded(official.parent)
    assert not changed.official
    assert changed.fingerprint != first.fingerprint
    (official / "data_batch_2").write_bytes(before)
    again = loaded(official.parent)
    assert (again.fingerprint, again.official) == (first.fingerprint, True)


@pytest.mark.parametrize("kind", IN_PLACE_OF_FILES)
@pytest.mark.parametrize("name", ["batches.meta", "data_batch_1", "test_batch"])
def test_what_is_no_file_is_named(tree: Path, name: str, kind: str) -> None:
    put(kind, tree / name)
    with deadline(), pytest.raises(GleBenchError, match=f"{tree / name}.*{TROUBLE[kind][1]}"):
        loaded(tree.parent)


@pytest.mark.parametrize("kind", IN_PLACE_OF_FOLDERS)
def test_what_is_no_folder_is_named(tree: Path, kind: str) -> None:
    put(kind, tree)
    with deadline(), pytest.raises(GleBenchError, match=f"{tree}.*{TROUBLE[kind][2]}"):
        loaded(tree.parent)


def test_the_command_ends_with_a_sentence(tree: Path) -> None:
    put("a pipe", tree / "test_batch")
    data = ["--data", tree.parents[1]]
    for command in (["prepare", "cifar10"], ["run", "cifar10", "--accept-data", "--dry-run", "--runs", tree / "runs"]):
        done = glebench(*command, *data)
        assert done.code == 1, done.err
        assert f"{tree / 'test_batch'} is a pipe" in done.told
