"""The fenced code blocks of the README, the guide for contributors and the documentation, and the commands in them."""

import re
import shlex
import tomllib
from pathlib import Path
from typing import NamedTuple

from shared import ROOT

DOCUMENTS = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted(ROOT.glob("docs/**/*.md")))
SPHINX = ("-W", "--keep-going")  # the options that the documentation is built with
_BLOCK = re.compile(r"^(?P<fence> *(?:`{3,}|~{3,}))(?P<language>[^\n]*)\n(?P<text>.*?)^(?P=fence) *$", re.M | re.S)
_FILE = re.compile(r"# ([\w./-]+\.(?:py|toml))\b")  # a block that begins with such a comment is that file


class Block(NamedTuple):
    """One fenced block of a document: the language named after its fence, and its text."""

    document: Path
    line: int
    language: str
    text: str

    @property
    def place(self) -> str:
        return f"{self.document.relative_to(ROOT)}:{self.line}"

    @property
    def file(self) -> str | None:
        """The name of the file that the block shows, if its first line is a comment that names one."""
        named = _FILE.match(self.text)
        return named[1] if named else None


class Command(NamedTuple):
    """One command of a block, split into words like in a shell, without comment, prompt and variables."""

    document: Path
    line: int
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.document.relative_to(ROOT)}:{self.line} {' '.join(self.words)}"


def blocks(document: Path) -> list[Block]:
    """All fenced blocks of a document, in its order."""
    text = document.read_text()
    return [
        Block(document, text.count("\n", 0, match.start()) + 1, match["language"].strip(), match["text"])
        for match in _BLOCK.finditer(text)
    ]


def fences(document: Path) -> int:
    """The number of lines of a document that open or close a block."""
    return len(re.findall(r"^ *(?:`{3,}|~{3,})", document.read_text(), re.M))


def commands(block: Block) -> list[Command]:
    """The commands of a block of `bash`, or those after a prompt in a block of `console`."""
    lines = block.text.replace("\\\n", " ").splitlines()
    if block.language == "console":
        lines = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
    parsed = []
    for line in lines:
        words = shlex.split(line, comments=True)
        while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
            words = words[1:]
        if words:
            parsed.append(Command(block.document, block.line, tuple(words)))
    return parsed


def inline_commands(document: Path) -> list[Command]:
    """The command lines of `glebench` in a document's running text."""
    text = document.read_text().replace("\n", " ")
    distinct = dict.fromkeys(tuple(shlex.split(line)) for line in re.findall(r"`(glebench [^`]+)`", text))
    return [Command(document, 0, words) for words in distinct]


def install(document: Path, folder: Path) -> None:
    """Writes the files that a document shows into `folder`, with its entry points as an installed package has them."""
    for block in blocks(document):
        if block.file is not None:
            (folder / block.file).parent.mkdir(parents=True, exist_ok=True)
            (folder / block.file).write_text(block.text)
    points = [tomllib.loads(block.text) for block in blocks(document) if block.language == "toml"]
    lines = [
        line
        for settings in points
        for group, names in settings.get("project", {}).get("entry-points", {}).items()
        for line in (f"[{group}]", *(f"{name} = {place}" for name, place in names.items()))
    ]
    described = folder / "documented.dist-info"
    described.mkdir()
    (described / "METADATA").write_text("Metadata-Version: 2.1\nName: documented\nVersion: 1.0\n")
    (described / "entry_points.txt").write_text("\n".join(lines) + "\n")
