"""The command that runs a model on a task, spelled for a process and for a shell."""

import shlex
from dataclasses import dataclass

from gle_bench.words import Budget, Protocol


@dataclass(frozen=True)
class RunCommand:
    """One `glebench run`; as it stands without options, a full run of all of the paper's seeds.

    Attributes:
        rule: None: the model's own.
        seeds: as `--seeds` takes them.
        settings: each as `--set` takes it.
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
        """What follows `glebench`."""
        rule = ["--rule", self.rule] if self.rule else []
        protocol = ["--protocol", self.protocol] if self.protocol != "paper" else []
        settings = [word for setting in self.settings for word in ("--set", setting)]
        chosen = ["--model", self.model, *rule, "--seeds", self.seeds, "--budget", self.budget]
        return ["run", self.task, *chosen, *protocol, *settings]

    def __str__(self) -> str:
        """One line for a shell, quoted where that is needed."""
        return shlex.join(["glebench", *self.words])
