"""Tests of downloads that are cut off, damaged or too large, from a server on this machine, and of wrong archives."""

import errno
import hashlib
import io
import random
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from data_trouble import IN_PLACE_OF_FILES, deadline, put
from loopback import Behaviour, serve

from gle_bench.errors import GleBenchError
from gle_bench.files import download
from gle_bench.files.download import Remote, fetch
from gle_bench.files.unpack import unpack

CONTENT = random.Random(0).randbytes(3_000_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def server() -> Iterator[Behaviour]:
    with serve({"/data/file.bin": CONTENT}) as behaviour:
        yield behaviour


def brought(server: Behaviour, path: Path, sha256: str = SHA256, size: int = len(CONTENT), name: str = "file.bin"):
    """The lines that `fetch` reports."""
    lines: list[str] = []
    fetch(Remote(f"{server.url}/data/{name}", sha256, size), path, lines.append, attempts=3, pause=0.01)
    return lines


def one_sentence(error: pytest.ExceptionInfo[GleBenchError]) -> str:
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_file_is_brought_and_news_told(server: Behaviour, tmp_path: Path) -> None:
    lines = brought(server, tmp_path / "new" / "file.bin")
    assert (tmp_path / "new" / "file.bin").read_bytes() == CONTENT
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["file.bin"]
    assert server.url in lines[0]
    assert lines[-1] == "  3 of 3 MB"
    assert server.asked == [None]


def test_a_file_that_is_there_is_checked_and_left(server: Behaviour, tmp_path: Path) -> None:
    (tmp_path / "file.bin").write_bytes(CONTENT)
    assert brought(server, tmp_path / "file.bin") == []
    assert server.asked == []


def test_a_cut_connection_is_gone_on_with(server: Behaviour, tmp_path: Path) -> None:
    server.cut_after = [1_000_000, 500_000, 0]
    lines = brought(server, tmp_path / "file.bin")
    assert (tmp_path / "file.bin").read_bytes() == CONTENT
    assert server.asked == [None, "bytes=1000000-", "bytes=1500000-", "bytes=1500000-"]
    assert sum("trying again" in line for line in lines) == 3


def test_what_arrived_before_a_kill_is_gone_on_with(server: Behaviour, tmp_path: Path) -> None:
    (tmp_path / "file.bin.part").write_bytes(CONTENT[:2_000_000])
    brought(server, tmp_path / "file.bin")
    assert (tmp_path / "file.bin").read_bytes() == CONTENT
    assert server.asked == ["bytes=2000000-"]
    assert not (tmp_path / "file.bin.part").exists()


@pytest.mark.parametrize("have", [len(CONTENT), len(CONTENT) + 5])
def test_a_part_that_is_whole_or_too_long(server: Behaviour, tmp_path: Path, have: int) -> None:
    (tmp_path / "file.bin.part").write_bytes((CONTENT + b"12345")[:have])
    brought(server, tmp_path / "file.bin")
    assert (tmp_path / "file.bin").read_bytes() == CONTENT


def test_a_server_without_ranges_starts_anew(server: Behaviour, tmp_path: Path) -> None:
    server.ranges, server.cut_after = False, [1_000_000]
    brought(server, tmp_path / "file.bin")
    assert (tmp_path / "file.bin").read_bytes() == CONTENT


def test_a_server_that_is_busy_is_asked_again(server: Behaviour, tmp_path: Path) -> None:
    server.status = [503, 500]
    brought(server, tmp_path / "file.bin")
    assert (tmp_path / "file.bin").read_bytes() == CONTENT


def test_a_line_that_stays_dead_ends_with_a_sentence_and_keeps_what_came(server: Behaviour, tmp_path: Path) -> None:
    server.cut_after = [1_000_000, 0, 0, 0, 0]
    with pytest.raises(GleBenchError) as caught:
        brought(server, tmp_path / "file.bin")
    assert "1,000,000 bytes are kept" in one_sentence(caught)
    assert "by hand" in str(caught.value)
    assert (tmp_path / "file.bin.part").read_bytes() == CONTENT[:1_000_000]
    server.cut_after = []
    brought(server, tmp_path / "file.bin")
    assert (tmp_path / "file.bin").read_bytes() == CONTENT
    assert server.asked[-1] == "bytes=1000000-"


def test_what_is_not_there_is_asked_for_once(server: Behaviour, tmp_path: Path) -> None:
    with pytest.raises(GleBenchError) as caught:
        brought(server, tmp_path / "file.bin", name="other.bin")
    assert "404" in one_sentence(caught)
    assert len(server.asked) == 1


def test_no_server_at_all(tmp_path: Path) -> None:
    with serve({}) as behaviour:
        pass
    with pytest.raises(GleBenchError) as caught:
        brought(behaviour, tmp_path / "file.bin")
    assert "Cannot download" in one_sentence(caught)


def test_a_wrong_checksum_is_refused_and_kept_aside(server: Behaviour, tmp_path: Path) -> None:
    server.content["/data/file.bin"] = CONTENT[:-1] + b"!"
    with pytest.raises(GleBenchError) as caught:
        brought(server, tmp_path / "file.bin")
    (aside,) = tmp_path.iterdir()
    assert aside.name.startswith("file.bin.wrong-")
    assert aside.read_bytes() == CONTENT[:-1] + b"!"
    assert str(aside) in one_sentence(caught)
    assert SHA256 in str(caught.value)
    server.content["/data/file.bin"] = CONTENT
    brought(server, tmp_path / "file.bin")
    assert (tmp_path / "file.bin").read_bytes() == CONTENT


def test_a_wrong_file_put_there_by_hand_is_kept_aside(server: Behaviour, tmp_path: Path) -> None:
    (tmp_path / "file.bin").write_bytes(b"something else")
    with pytest.raises(GleBenchError, match="wrong-"):
        brought(server, tmp_path / "file.bin")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"something else"]
    assert server.asked == []


def test_no_room_is_noticed_beforehand(server: Behaviour, tmp_path: Path) -> None:
    with pytest.raises(GleBenchError) as caught:
        brought(server, tmp_path / "file.bin", size=10**18)
    assert "No space left" in one_sentence(caught)
    assert server.asked == []


def test_a_disk_that_fills_up_ends_with_a_sentence(
    server: Behaviour, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = download._copy

    def full(response, file, done):
        for count in copy(response, file, done):
            if count > 2_000_000:
                raise OSError(errno.ENOSPC, "No space left on device")
            yield count

    monkeypatch.setattr(download, "_copy", full)
    with pytest.raises(GleBenchError) as caught:
        brought(server, tmp_path / "file.bin")
    assert "No space left on device" in one_sentence(caught)
    monkeypatch.undo()
    brought(server, tmp_path / "file.bin")
    assert (tmp_path / "file.bin").read_bytes() == CONTENT
    assert server.asked[-1] != server.asked[0]  # it went on


# Archives -------------------------------------------------------------------------------------------------------------


def archive(path: Path, members: dict[str, bytes | tarfile.TarInfo]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name, content in members.items():
            if isinstance(content, tarfile.TarInfo):
                tar.addfile(content)
            else:
                info = tarfile.TarInfo(name)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    return path


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def fine(folder: Path) -> str | None:
    return None


def unpacked(path: Path, target: Path, check: Callable[[Path], str | None] = fine) -> None:
    unpack(path, target, check, lambda line: None)


def test_an_archive_is_unpacked_whole(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.tar.gz", {"b/c.txt": b"c", "./d.txt": b"d"})
    looked_at = []
    unpacked(path, tmp_path / "new" / "tree", lambda folder: looked_at.append(sorted(folder.rglob("*.txt"))))
    assert (tmp_path / "new" / "tree" / "b" / "c.txt").read_bytes() == b"c"
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["tree"]
    assert [found.name for found in looked_at[0]] == ["c.txt", "d.txt"]


def test_what_a_killed_process_left_is_swept_away(tmp_path: Path) -> None:
    (tmp_path / ".tree.unpacking").mkdir()
    (tmp_path / ".tree.unpacking" / "old.txt").touch()
    unpacked(archive(tmp_path / "a.tar.gz", {"new.txt": b""}), tmp_path / "tree")
    assert [path.name for path in (tmp_path / "tree").iterdir()] == ["new.txt"]


@pytest.mark.parametrize(
    "members",
    [
        {"fine.txt": b"", "../evil.txt": b"evil"},
        {"a/../../evil.txt": b"evil"},
        {"way": link("way", "../"), "way/evil.txt": b"evil"},
        {"evil.txt": link("evil.txt", "/etc/passwd")},
        {"evil.txt": link("evil.txt", "../../outside", tarfile.LNKTYPE)},
        {"pipe": link("pipe", "", tarfile.FIFOTYPE)},
    ],
)
def test_a_path_that_leads_outside_is_refused(tmp_path: Path, members) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    path = archive(tmp_path / "a.tar.gz", members)
    with pytest.raises(GleBenchError) as caught:
        unpacked(path, inside / "tree")
    assert "is refused" in one_sentence(caught)
    assert list(inside.iterdir()) == []
    assert not list(tmp_path.rglob("evil.txt"))


@pytest.mark.parametrize("keep", [0, 3, 400, -20])
def test_a_damaged_archive_is_refused(tmp_path: Path, keep: int) -> None:
    path = archive(tmp_path / "a.tar.gz", {f"{n}.bin": random.Random(n).randbytes(500) for n in range(9)})
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(GleBenchError) as caught:
        unpacked(path, tmp_path / "tree")
    assert "is damaged" in one_sentence(caught)
    assert [found.name for found in tmp_path.iterdir()] == ["a.tar.gz"]


def test_a_tree_that_is_not_as_it_should_be_is_refused(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.tar.gz", {"a.txt": b""})
    with pytest.raises(GleBenchError, match="it holds 1 clip"):
        unpacked(path, tmp_path / "tree", lambda folder: "it holds 1 clip")
    assert [found.name for found in tmp_path.iterdir()] == ["a.tar.gz"]


def test_no_room_to_unpack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = archive(tmp_path / "a.tar.gz", {"a.txt": b"a"})

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tarfile.TarFile, "extractall", full)
    with pytest.raises(GleBenchError) as caught:
        unpacked(path, tmp_path / "tree")
    assert "No space left on device" in one_sentence(caught)
    assert [found.name for found in tmp_path.iterdir()] == ["a.tar.gz"]


@pytest.mark.parametrize("kind", IN_PLACE_OF_FILES)
@pytest.mark.parametrize("name", ["file.bin", "file.bin.part"])
def test_what_is_no_file_is_named_and_not_waited_for(server: Behaviour, tmp_path: Path, name: str, kind: str) -> None:
    put(kind, tmp_path / name)
    with deadline(), pytest.raises(GleBenchError, match=f"{tmp_path / name}"):
        brought(server, tmp_path / "file.bin")
    assert server.asked == []
