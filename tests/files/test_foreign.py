"""Tests of foreign files, whose bytes must give the right value or Malformed, fast and in little memory."""

import io
import json
import os
import random
import re
import socket
import struct
import time
import tomllib
import tracemalloc
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gle_bench.errors import GleBenchError
from gle_bench.files import foreign
from gle_bench.files.foreign import Malformed, sentence_if_unreadable
from gle_bench.files.foreign_arrays import ArrayForm, archive, array, arrays

ARRAYS = {
    "inputs": np.arange(60, dtype=np.float64).reshape(5, 12),
    "labels": np.array([3, 1, 2], np.int64),
    "mask": np.array([True, False]),
    "columns": np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3)),
    "none": np.zeros((0, 7), np.uint8),
    "number": np.float64(0.1),
}


def npz(compressed: bool = True, **content: Any) -> bytes:
    file = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(file, **content)
    return file.getvalue()


def npy(values: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, values)
    return file.getvalue()


def with_header(descr: str, shape: str, body: bytes = b"") -> bytes:
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(117) + b"\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header + body


def zipped(name: str, member: bytes, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as made:
        made.writestr(name, member)
    return file.getvalue()


def mutated(content: bytes, seed: int) -> bytes:
    """The content with a few bytes changed, a part removed, doubled or overwritten, or its end cut off."""
    draw, changed = random.Random(seed), bytearray(content)
    for _ in range(draw.randint(1, 4)):
        place, length = draw.randrange(len(changed) + 1), draw.choice([1, 1, 2, 4, 30])
        piece = changed[place : place + length]
        new = draw.choice([b"", piece * 2, bytes(len(piece)), b"\xff" * len(piece), draw.randbytes(len(piece))])
        changed[place : place + length] = new
        if draw.random() < 0.1:
            del changed[draw.randrange(len(changed) + 1) :]
    return bytes(changed)


def outcome(read: Callable[[], Any]) -> tuple[Any, str | None]:
    """The value that a reader returns, or the text of its Malformed; any other error is raised."""
    try:
        return read(), None
    except Malformed as error:
        return None, str(error)


SENTENCE = re.compile(r"[^\n]{1,400}")


def peak(call: Callable[[], object]) -> int:
    """The largest number of bytes that a call had allocated."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("compressed", [False, True])
def test_arrays_come_back_as_they_were_saved(compressed: bool) -> None:
    found = arrays(io.BytesIO(npz(compressed, **ARRAYS)))
    assert found.keys() == ARRAYS.keys()
    for name, values in ARRAYS.items():
        np.testing.assert_array_equal(found[name], values)
        assert found[name].dtype == values.dtype
        assert found[name].flags.writeable
    np.testing.assert_array_equal(array(io.BytesIO(npy(ARRAYS["columns"]))), ARRAYS["columns"])


@pytest.mark.parametrize("compressed", [False, True])
def test_no_mutated_archive_gives_another_error_or_other_numbers(compressed: bool) -> None:
    whole, read = npz(compressed, **ARRAYS), 0
    for seed in range(1500):
        content = io.BytesIO(mutated(whole, seed))
        found, complaint = outcome(partial(arrays, content, most=1 << 20))
        if complaint is not None:
            assert SENTENCE.fullmatch(complaint)
        else:
            read += 1
            for name in found.keys() & ARRAYS.keys():  # a name, which has no checksum, may have changed
                assert found[name].tobytes("A") == np.asarray(ARRAYS[name]).tobytes("A")
    assert read < 400


def test_no_mutated_array_gives_another_error() -> None:
    whole = npy(ARRAYS["inputs"])
    for seed in range(1500):
        content = io.BytesIO(mutated(whole, seed))
        found, complaint = outcome(partial(array, content, ArrayForm("f", (5, 12)), most=1 << 20))
        assert found is not None or SENTENCE.fullmatch(complaint or "")


HUGE = "(1000000000, 1000000000)"
TRAPS = {
    "a huge shape": zipped("a.npy", with_header("'<f8'", HUGE)),
    "a huge shape, and a zero": zipped("a.npy", with_header("'<f8'", "(0, 999999999999999999, 999999999999999999)")),
    "more dimensions than there are": zipped("a.npy", with_header("'<f8'", "(" + "1, " * 60 + ")", b"x" * 8)),
    "a shape that is negative": zipped("a.npy", with_header("'<f8'", "(-1,)")),
    "less than its shape": zipped("a.npy", with_header("'<f8'", "(9,)", b"x" * 64)),
    "objects": zipped("a.npy", with_header("'|O'", "(1,)", b"x" * 8)),
    "fields": zipped("a.npy", with_header("[('a', '<f8')]", "(1,)", b"x" * 8)),
    "an unknown kind": zipped("a.npy", with_header("'<f3'", "(1,)", b"x" * 3)),
    "an expression": zipped("a.npy", with_header("'<f8'", "(9**9**9,)")),
    "a deep expression": zipped("a.npy", with_header("'<f8'", "(" * 2000)),
    "no header": zipped("a.npy", b"\x93NUMPY\1\0"),
    "a text": zipped("a.txt", b"x"),
    "LZMA": zipped("a.npy", npy([1.0]), zipfile.ZIP_LZMA),
    "BZIP2": zipped("a.npy", npy([1.0]), zipfile.ZIP_BZIP2),
    "a bomb": zipped("a.npy", with_header("'<f8'", "(16777216,)", bytes(1 << 27))),
    "nothing": b"",
    "zeros": bytes(200),
}


@pytest.mark.parametrize("trap", TRAPS)
def test_traps_are_told_before_anything_is_allocated(trap: str) -> None:
    content = TRAPS[trap]
    np.ndarray(0)  # numpy is imported before anything is measured

    def read() -> None:
        with pytest.raises(Malformed, match=r"\A[^\n]+\Z"):
            arrays(io.BytesIO(content), most=1 << 24)

    assert peak(read) < 1 << 22


def test_a_table_of_contents_that_lies_is_told() -> None:
    whole = npz(**ARRAYS)
    for lie in (b"\xff\xff\xff\xff", struct.pack("<I", len(whole) + 1)):
        with pytest.raises(Malformed):
            arrays(io.BytesIO(whole[:-10] + lie + whole[-6:]))
    many = io.BytesIO()
    with zipfile.ZipFile(many, "w") as made:
        for number in range(70_000):  # which needs the larger kind of table
            made.writestr(f"{number:060}", b"")
    with pytest.raises(Malformed, match="table of contents"):
        arrays(many)


def test_encryption_and_odd_flags_are_told() -> None:
    whole = zipped("a.npy", npy([1.0]), zipfile.ZIP_STORED)
    directory = whole.index(b"PK\1\2")
    for flag in (0x1, 0x20, 0x40, 0x2000):
        with pytest.raises(Malformed, match="encrypted"):
            arrays(io.BytesIO(whole[: directory + 8] + struct.pack("<H", flag) + whole[directory + 10 :]))


def test_what_is_wanted_is_checked_by_the_header() -> None:
    whole = npz(**ARRAYS)
    wanted = {"inputs": ArrayForm("f", (None, 12)), "labels": ArrayForm("iu", (3,))}
    assert arrays(io.BytesIO(whole), wanted).keys() == wanted.keys()
    for name, other, said in (
        ("inputs", ArrayForm("f", (5, 13)), "array 'inputs': it is 5x12 of kind f, not 5x13 of kind f"),
        ("inputs", ArrayForm("f", (5,)), "not 5 of kind f"),
        ("labels", ArrayForm("f", (3,)), "array 'labels': it is 3 of kind i, not 3 of kind f"),
        ("targets", ArrayForm("f", (3,)), "it holds no array 'targets'"),
    ):
        with pytest.raises(Malformed, match=re.escape(said)):
            arrays(io.BytesIO(whole), {name: other})


def test_a_stored_archive_has_no_more_than_its_bytes() -> None:
    with pytest.raises(Malformed, match="compressed"), archive(io.BytesIO(npz(**ARRAYS)), 1 << 20, stored=True):
        pass
    with pytest.raises(Malformed, match="more than the limit of 100"), archive(io.BytesIO(npz(False, **ARRAYS)), 100):
        pass


DEEP = 50_000
LONG = "9" * 5000
JSONS = [
    "[" * DEEP, "[" * DEEP + "]" * DEEP, '{"a":' * DEEP, "[" * 60 + "]" * 60, LONG, f"-{LONG}", "9" * 301, '"\\ud800"',
    "NaN", "-Infinity", "", "{", "\x00", f'{{"a": [{LONG}]}}', "1e", "'a'",
]  # fmt: skip
TOMLS = [
    f"a = {'[' * DEEP}", f"a = {'[' * DEEP}{']' * DEEP}", f"a = {LONG}", f"a = {'9' * 400}", f"a = 0x{'f' * 4000}",
    "a = " + "{a = " * DEEP, f"a = {'[' * 60}{']' * 60}", f"{'a.' * 100}a = 1", "a", "a = 1\na = 2", "a = \x00",
    "a = 2020-99-99", "a = 99:99:99",
]  # fmt: skip


@pytest.mark.parametrize("source", JSONS, ids=range(len(JSONS)))
def test_json_that_breaks_its_readers_is_told(source: str) -> None:
    with pytest.raises(Malformed, match=r"\A[^\n]{1,300}\Z"):
        foreign.json_value(source)


@pytest.mark.parametrize("source", TOMLS, ids=range(len(TOMLS)))
def test_toml_that_breaks_its_readers_is_told(source: str) -> None:
    with pytest.raises(Malformed, match=r"\A[^\n]{1,300}\Z"):
        foreign.toml_table(source.encode())


plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**299), 10**299) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@settings(deadline=None)
@example(-(10**299))
@given(plain)
def test_json_comes_back(value: Any) -> None:
    assert foreign.json_value(json.dumps(value)) == value
    assert foreign.json_value(b"\xef\xbb\xbf" + json.dumps(value).encode()) == value


TOML = b"""[[run]]\ntask = "mnist1d"\nmodel = ["mlp", "gru"]\nseeds = "0-9"\nset = ["epochs=2"]\nx.y = {a = 1.5e3}\n"""


@pytest.mark.parametrize(
    ("whole", "read"),
    [
        (json.dumps({"a": [1, 2.5, "ä", {"b": None}], "c": "x" * 40}).encode(), foreign.json_value),
        (TOML, foreign.toml_table),
        (
            b'update,split,loss\n0,test,0.25\n1,"te,""s",-1e-3\n',
            lambda content: foreign.csv_rows(foreign.text(content)),
        ),
    ],
    ids=["json", "toml", "csv"],
)
def test_mutated_texts_give_no_other_error(whole: bytes, read: Callable[[bytes], object]) -> None:
    read(whole)
    for seed in range(1500):
        complaint = outcome(partial(read, mutated(whole, seed)))[1]
        assert complaint is None or SENTENCE.fullmatch(complaint)


@given(st.text() | st.integers().map(str))
def test_whole_numbers_are_what_int_makes_of_digits(spelled: str) -> None:
    try:
        assert foreign.whole_number(spelled) == int(spelled)
    except Malformed:
        assert re.fullmatch("[+-]?[0-9]+", spelled) is None


def test_toml_may_begin_with_a_mark() -> None:
    assert foreign.toml_table(b"\xef\xbb\xbf" + TOML) == tomllib.loads(TOML.decode())


def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to("file")
    assert foreign.content(tmp_path / "link") == b"content"
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "to a pipe").symlink_to("pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "folder").mkdir()
    with socket.socket(socket.AF_UNIX) as listening:
        here = Path.cwd()
        os.chdir(tmp_path)  # a socket's name must be short
        listening.bind("socket")
        os.chdir(here)
        began = time.monotonic()
        for name, said in {
            "pipe": "it is a pipe, not a file",
            "to a pipe": "it is a pipe, not a file",
            "socket": "No such device or address",
            "zero": "it is a device, not a file",
            "loop": "Too many levels of symbolic links",
            "dangling": "No such file or directory",
            "folder": "Is a directory",
        }.items():
            path = tmp_path / name
            text = re.escape(f"Cannot read {path}: {said}; move it away.")
            with pytest.raises(GleBenchError, match=rf"\A{text}\Z"), sentence_if_unreadable(path, "move it away"):
                foreign.content(path)
        assert time.monotonic() - began < 5


def test_no_file_is_read_beyond_its_bound(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 1000)
    assert foreign.content(path, 1000) == b"x" * 1000
    with path.open("wb") as file:
        file.truncate(1 << 40)  # a hole

    def read() -> None:
        with pytest.raises(OSError, match="1,099,511,627,776 bytes, more than the limit of 67,108,864"):
            foreign.content(path)

    assert peak(read) < 1 << 20


@settings(deadline=None, max_examples=30)
@given(st.binary(max_size=300))
def test_no_bytes_give_another_error(content: bytes) -> None:
    for read in (
        lambda: arrays(io.BytesIO(content)),
        lambda: array(io.BytesIO(content)),
        lambda: foreign.json_value(content),
        lambda: foreign.toml_table(content),
        lambda: foreign.csv_rows(foreign.text(content)),
    ):
        complaint = outcome(read)[1]
        assert complaint is None or SENTENCE.fullmatch(complaint)
