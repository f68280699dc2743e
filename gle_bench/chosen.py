"""A user's choice of task, model, rule and settings, with every name in it resolved; and the hash of its runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from gle_bench import plugins, registry
from gle_bench.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from importlib.metadata import EntryPoint

    from gle_bench.config import RunConfig
    from gle_bench.contracts import LearningRule, Pair, Task
    from gle_bench.words import Budget, PluginPart, Protocol


class Chosen(NamedTuple):
    """A user's choice of task, model, rule and settings, with every name in it resolved once.

    `resolve` makes it; `execute` and all that it calls read it, and look up no name.

    Attributes:
        own: the pair's own configuration for the chosen budget.
        config: `own` with the protocol, the rule and the settings that were chosen.
        task: the task, with the loss that the model learns by.
        sources: the entry points of the plugins that supply the task, the model or the rule.
    """

    pair: Pair
    own: RunConfig
    config: RunConfig
    task: Task
    rule: LearningRule
    sources: Mapping[PluginPart, EntryPoint]

    @property
    def named_rule(self) -> str | None:
        """The name of the rule, if it is not the pair's own rule; else None."""
        return None if self.config.rule == self.own.rule else self.config.rule


def resolve(
    task_name: str,
    model: str,
    rule_name: str | None,
    protocol: Protocol,
    budget: Budget,
    assignments: Iterable[str],
) -> Chosen:
    """The pair of a task and a model, configured as the caller chose; PyTorch is not imported for it.

    Raises:
        UsageError: an unknown name, a refused setting, or a pair whose options are not those of its task.
    """
    from gle_bench.overrides import override

    its_pair, point = registry.find(task_name, model)
    own, its_task = its_pair.configure(budget), registry.task(task_name)
    if not isinstance(own.options, its_task.options):
        needed = its_task.options.__name__
        raise UsageError(
            f"The pair {task_name} {model} has options of the type {type(own.options).__name__}; its task takes "
            f"{needed}. Give its RunConfig options={needed}()."
        )
    its_rule = registry.rule(own.rule if rule_name is None else rule_name)
    config = override(with_rule(own, its_rule).model_copy(update={"protocol": protocol}), assignments)
    return _chosen(its_pair, point, own, config, its_task, its_rule)


def resolved(config: RunConfig) -> Chosen:
    """The choice that a configuration describes, such as the configuration of a record.

    Raises:
        UsageError: it names something that does not exist, or a loss that does not suit the task.
    """
    its_pair, point = registry.find(config.task, config.model)
    own = its_pair.configure(config.budget)
    return _chosen(its_pair, point, own, config, registry.task(config.task), registry.rule(config.rule))


def _chosen(
    its_pair: Pair, point: EntryPoint | None, own: RunConfig, config: RunConfig, its_task: Task, its_rule: LearningRule
) -> Chosen:
    with plugins.guarded(f"Task {config.task}"):
        its_task = its_task.learned_by(config.network)
    config = with_rule(config, its_rule)
    its_rule = its_rule.with_options(config.rule_options)
    sources = registry.sources(config.task, point, config.rule)
    return Chosen(its_pair, own, config, its_task, its_rule, sources)


def with_rule(config: RunConfig, its_rule: LearningRule) -> RunConfig:
    """The configuration with that rule, whose options are the rule's defaults unless the configuration has them."""
    kept = config.rule == its_rule.name and isinstance(config.rule_options, its_rule.options)
    options = config.rule_options if kept else its_rule.options()
    return config.model_copy(update={"rule": its_rule.name, "rule_options": options})


def run_hash(config: RunConfig, fingerprint: str) -> str:
    """The hash of a run of the configuration on data of that fingerprint, with the present versions of all code."""
    return hash_with(registry.task(config.task), registry.rule(config.rule), config, fingerprint)


def hash_with(its_task: Task, its_rule: LearningRule, config: RunConfig, fingerprint: str) -> str:
    """The hash of a run, like `run_hash`, for a caller that has already made the configuration's task and rule.

    Where every seed has data of its own, the fingerprint is left out, so that all seeds have the same hash; each
    record says which data its seed had.
    """
    from gle_bench.config import config_hash

    versions = {"task": its_task.version, "model": config.network.version, "rule": its_rule.version}
    return config_hash(config, versions, "one a seed" if its_task.data_per_seed else fingerprint)
