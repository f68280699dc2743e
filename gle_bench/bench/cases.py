"""The cases of the benchmark: a network, an engine, the number of threads and of networks side by side."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch

from gle_bench import registry
from gle_bench.bench.networks import NETWORKS, Standard
from gle_bench.dynamics.engines import choice
from gle_bench.dynamics.engines.interface import EngineRequest
from gle_bench.dynamics.rule import OnlineRule, RuleRequest
from gle_bench.errors import UsageError, look_up

PAPER_RULE = "gle"  # the rule of the paper, which the others are compared with


class Case(NamedTuple):
    """One case to be measured: it becomes one row of the table."""

    network: str
    engine: str
    threads: int
    networks: int
    rule: str = PAPER_RULE

    @property
    def device(self) -> str:
        return choice.device(self.engine)


class Missing(NamedTuple):
    """A benchmark case that cannot be measured on this machine, and the reason.

    If threads and networks are None, it stands for all cases of the engine.
    """

    network: str
    engine: str
    reason: str
    threads: int | None = None
    networks: int | None = None


def cases(
    networks: Iterable[str], engines: Iterable[str], cores: int, rules: Iterable[str] = ()
) -> tuple[list[Case], list[Missing]]:
    """The cases to measure with up to `cores` threads, and those that cannot be measured here.

    Args:
        networks, engines: their names; empty: all.
        rules: learning rules to compare with `gle`, by one network on one thread; empty: `gle` alone, in all layouts.

    Raises:
        UnknownName: there is no such network, engine or rule; names the nearest one.
        UsageError: a rule does not learn online.
    """
    learnt = {name: online_rule(name) for name in (PAPER_RULE, *rules)}
    chosen = list(dict.fromkeys(networks)) or list(NETWORKS)
    named = list(dict.fromkeys(engines))
    runners = named or list(choice.ENGINES)
    for engine in runners:
        look_up("engine", engine, choice.ENGINES)
    measurable: list[Case] = []
    missing: list[Missing] = []
    for name in chosen:
        standard = look_up("network", name, NETWORKS)()
        for engine in runners:
            device = choice.device(engine)
            layouts = [(1, 1)] if len(learnt) > 1 else _layouts(standard, device, cores)
            for rule_name, rule in learnt.items():
                if not named and engine not in rule.engines:
                    continue  # an engine that never runs the rule is of no interest, unless it was asked for
                reason = _refusal(standard, engine, rule)
                if reason is not None:
                    missing.append(Missing(name, engine, reason))
                    continue
                measurable += [Case(name, engine, *layout, rule_name) for layout in layouts]
    return measurable, missing


def online_rule(name: str) -> OnlineRule:
    """The rule of that name.

    Raises:
        UnknownName: there is none; names the nearest one.
        UsageError: it does not learn online.
    """
    rule = registry.rule(name)
    if not isinstance(rule, OnlineRule):
        raise UsageError(
            f"Rule '{name}' does not learn online, and the benchmark's networks do; choose another --rule."
        )
    return rule


def _refusal(standard: Standard, engine: str, rule: OnlineRule) -> str | None:
    """Why the engine cannot be measured with that rule, as a clause; None: it can."""
    network = standard.network()
    unfit = rule.refused(RuleRequest(network, standard.shape.steps, standard.batch, 1, torch.float32.itemsize))
    if unfit is not None:
        return f"rule '{rule.name}': {unfit}"
    return choice.refusal(engine, EngineRequest(network, rule, choice.device(engine), torch.float32, feedback=None))


def _layouts(standard: Standard, device: str, cores: int) -> Sequence[tuple[int, int]]:
    """The pairs (threads, networks) to measure: one on one, one per core, one on all cores, an ensemble on all cores.

    A GPU is driven by one thread, so that only the first and the last remain.
    """
    if device == "cuda":
        return (1, 1), (1, standard.gpu_ensemble)
    return list(dict.fromkeys([(1, 1), (cores, cores), (cores, 1), (cores, standard.ensemble)]))
