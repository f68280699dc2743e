"""Tests of the seeds that a rule gets for the members of the ensemble that it starts."""

from typing import Any

import pytest
import torch
from torch import Tensor
from toy_runs import configured
from toys import ToyBPTT

from gle_bench.chosen import resolved
from gle_bench.dynamics.window import Window
from gle_bench.training.experiment import Experiment
from gle_bench.training.modules.online import OnlineModule


def test_a_rule_starts_with_the_seeds_of_the_members_that_are_still_there(monkeypatch: pytest.MonkeyPatch) -> None:
    config = configured("toy-signal", "toy-gle", rule="toy-bptt", budget="short")
    module, given, start = OnlineModule(Experiment.of(resolved(config)), [5, 2, 9]), [], ToyBPTT.start

    def noting(self: ToyBPTT, *arguments: Any) -> tuple[Tensor, ...]:
        given.append(arguments[-1])
        return start(self, *arguments)

    monkeypatch.setattr(ToyBPTT, "start", noting)
    window = Window(4, torch.zeros(1, 4, 4, module.net.inputs), torch.zeros(1, 4, 4, module.net.outputs), None)
    for kept in ([5, 2, 9], [9, 5]):
        module.keep(kept)
        carry, _ = module.engine.learn(
            module.net, module.rule, module.optimizer, module.carry, window, torch.ones(len(kept)), seams=module.seams
        )
        assert carry.memory[0].shape == (len(kept),)
    assert given == [(5, 2, 9), (9, 5)]
