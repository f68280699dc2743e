"""The command that runs a model on a task, spelled for a process and for a shell."""

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gle_bench.words import Budget, Protocol


@dataclass(frozen=True)
class RunCommand:
    """A command `glebench run ...`. Its defaults describe a full run (budget `paper`) with all of the paper's seeds.

    Attributes:
        rule: name of the learning rule; None: the model's own rule.
        seeds: the seeds in the notation of `--seeds`.
        settings: changes of the configuration, each in the notation of `--set`.
    """

    task: str
    model: str
    rule: str | None = None
    seeds: str = "paper"
    budget: Budget = "paper"
    protocol: Protocol = "paper"
    settings: tuple[str, ...] = ()

    @property
    def words(self) -> list[str]:
        """The arguments that follow `glebench` on the command line, word by word."""
        rule = ["--rule", self.rule] if self.rule else []
        protocol = ["--protocol", self.protocol] if self.protocol != "paper" else []
        settings = [word for setting in self.settings for word in ("--set", setting)]
        chosen = ["--model", self.model, *rule, "--seeds", self.seeds, "--budget", self.budget]
        return ["run", self.task, *chosen, *protocol, *settings]

    def __str__(self) -> str:
        """The whole command as one line for a shell, quoted where necessary."""
        return shlex.join(["glebench", *self.words])


_VALUED = ("--seeds", "--budget", "--rerun")  # options of `run` with a value that the full run has of its own
_ALONE = ("--dry-run", "--json", "--quiet", "-q")


def full_run(words: Sequence[str]) -> list[str]:
    """The words of `run TASK ...` with budget `paper` and all of the paper's seeds; all other options stay.

    What chooses the seeds to run again, and what is printed, is left out.
    """
    return [*_without(words), "--seeds", "paper", "--budget", "paper"]


def _without(words: Sequence[str]) -> Iterator[str]:
    rest = iter(words)
    for word in rest:
        if word in _VALUED:
            next(rest, None)
        elif word not in _ALONE and word.partition("=")[0] not in _VALUED:
            yield word
