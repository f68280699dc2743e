"""Small copies of Speech Commands: one tone for each word, in clips of a second by speakers of every split."""

import hashlib
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

WORDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go", "cat", "marvin")
PER_PART = {"train": 4, "validation": 2, "test": 2}
TREE = "speech_commands_v0.02"


def speakers(part: str, count: int) -> list[str]:
    """The first names of speakers whose hash falls into the part, by TensorFlow's rule, written independently here."""
    names: list[str] = []
    number = 0
    while len(names) < count:
        name = f"{number:08x}"
        percent = int(hashlib.sha1(name.encode()).hexdigest(), 16) % 2**27 * (100.0 / (2**27 - 1))
        if part == ("validation" if percent < 10 else "test" if percent < 20 else "train"):
            names.append(name)
        number += 1
    return names


def write_wav(path: Path, wave: np.ndarray, rate: int = 16_000, subtype: str = "PCM_16") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, wave, rate, subtype=subtype)
    return path


def write_tree(root: Path, words: Sequence[str] = WORDS) -> Path:
    """Writes the tree, which appears at once, so that several processes may call it."""
    if root.exists():
        return root
    root.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(dir=root.parent))
    random = np.random.default_rng(0)
    time = np.arange(16_000) / 16_000
    for number, word in enumerate(words):
        for part, count in PER_PART.items():
            for speaker in speakers(part, count):
                tone = 0.3 * np.sin(2 * np.pi * 220 * (number + 2) * time) + 0.02 * random.standard_normal(16_000)
                write_wav(partial / word / f"{speaker}_nohash_0.wav", tone)
    write_wav(partial / "_background_noise_" / "hiss.wav", 0.1 * random.standard_normal(40_000))
    try:
        partial.rename(root)
    except OSError:
        shutil.rmtree(partial)  # another process was faster
    return root
