"""The comparison of a task's models (`glebench compare`): their ranks, and which of them the data can tell apart."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from gle_bench import registry
from gle_bench.config import TrainingConfig
from gle_bench.contracts import Metric, Pair, Task
from gle_bench.contracts.command import RunCommand
from gle_bench.errors import UsageError, look_up
from gle_bench.report.results import ConfigurationRuns, fullest, gather, grouped, pairs_of, words_of
from gle_bench.report.settings import change_words
from gle_bench.report.statistics.equivalence import FEWEST_SEEDS
from gle_bench.report.statistics.ranking import Test, Values, compare_two, corrected, letters
from gle_bench.report.statistics.welch import Sample, sample
from gle_bench.tracking.store import Skipped
from gle_bench.words import BUDGETS, Budget, Protocol, Selection

if TYPE_CHECKING:
    import pandas as pd

ORDER: Final = ("batch_size", "shuffle", "sampling")  # the settings of training on which the order of samples depends


@dataclass(frozen=True)
class Contender:
    """The results of one model in a comparison, over seeds of one configuration.

    Attributes:
        label: the model, its rule where that is not its own, the settings that were changed, and its other marks.
        values: {seed: final value} of the seeds that are done.
        begins: the settings on which the first weights and the order of samples depend, besides the seed. Two
            contenders with equal ones are compared seed by seed.
    """

    label: str
    values: Values
    begins: Mapping[str, Any]

    @property
    def sample(self) -> Sample:
        """The mean, the sample standard deviation and the number of its values."""
        return sample([*self.values.values()])


@dataclass(frozen=True)
class Compared:
    """A comparison: contenders from the best to the worst, and a test of each pair of them.

    Attributes:
        letters: of each contender; two that share a letter cannot be told apart.
        tests: {places of two contenders: their test}.
        left_out: the labels of results that are not compared, since there are fuller ones with the same settings.
    """

    task: str
    metric: Metric
    protocol: Protocol
    selection: Selection
    split: str
    contenders: tuple[Contender, ...]
    letters: tuple[str, ...]
    tests: Mapping[tuple[int, int], Test]
    left_out: tuple[str, ...] = ()

    def to_pandas(self) -> "pd.DataFrame":
        """A row for each contender, the best first; tests of pairs are in `tests`."""
        import pandas as pd

        from gle_bench.report.terminal.compared import as_json

        return pd.DataFrame(as_json(self)["models"])

    def __str__(self) -> str:
        from gle_bench.report.terminal.compared import as_text

        return as_text(self)

    def _repr_html_(self) -> str:
        return str(self.to_pandas().to_html(notebook=True))


def compare(
    name: str,
    models: Sequence[str],
    runs: Path,
    protocol: Protocol,
    selection: Selection,
    budget: Budget | None = None,
) -> tuple[Compared, list[Skipped]]:
    """The comparison of models with all settings that were run, and the records that could not be read.

    Args:
        models: MODEL or MODEL+RULE; an empty sequence stands for all that were run.
        budget: the budget of the runs that are compared; None: for each model with its settings the fullest runs.

    Raises:
        UnknownName: a task or a model, with the nearest name. UsageError: fewer than two with a result, or results on
            different splits.
    """
    task = registry.task(name)
    gathered, skipped = gather(runs)
    pairs = pairs_of(task)
    records = [r for _, r in gathered if r.protocol == protocol and budget in (None, r.budget)]
    groups = [group for group in grouped(task, records, pairs) if group.done]
    for model in models:
        look_up("model", model.partition("+")[0], pairs)
    titles = {id(group): _title(group, pairs) for group in groups}
    chosen = [group for group in groups if not models or titles[id(group)] in models]
    longest: dict[str, int] = {}
    for group in chosen:
        title = titles[id(group)]
        longest[title] = max(longest.get(title, 0), _length(group))
    # Changed settings of a shorter budget, such as those of a sweep, are compared by --budget alone.
    compared = [group for group in chosen if not group.changed or _length(group) == longest[titles[id(group)]]]
    best = fullest(compared, lambda group: " ".join([titles[id(group)], *(str(m) for m in group.marks if m.changed)]))
    missing = [model for model in models if model not in titles.values()]
    if missing or len(best) < 2:
        raise UsageError(_too_few(task, models, missing, protocol))
    kept = {id(group) for group in best.values()}
    left_out = tuple(_label(titles[id(group)], group) for group in chosen if id(group) not in kept)
    contenders: dict[str, ConfigurationRuns] = {}
    for group in best.values():
        label = _label(titles[id(group)], group)
        contenders[f"{label} {group.first.config_hash}" if label in contenders else label] = group
    return _compared(task, contenders, protocol, selection, left_out), skipped


def _length(group: ConfigurationRuns) -> int:
    """The place of a group's budget among all, from the shortest on."""
    return BUDGETS.index(group.first.budget)


def _title(group: ConfigurationRuns, pairs: Mapping[str, Pair]) -> str:
    """The name of a group in a comparison: its model, and its rule where that is not the model's own."""
    model, rule = group.first.model, group.first.rule
    own = pairs[model].configure(group.first.budget).rule if model in pairs else None
    return model if rule == own else f"{model}+{rule}"


def _settings(group: ConfigurationRuns) -> list[str]:
    """The settings that differ from the model's own, as `rate=0.002`, or by the size that they make up."""
    changed = [mark.value.partition("=") for mark in group.marks if mark.kind == "setting"]
    return [change_words(group.first, path, value) for path, _, value in changed]


def _label(title: str, group: ConfigurationRuns) -> str:
    """The name of a group in a comparison, its changed settings and, in brackets, its other marks."""
    if "+" in title:
        title = f"{group.first.model}+{registry.rule_title(group.first.rule)}"
    marks = words_of([mark for mark in group.marks if not mark.changed])
    settings = ", ".join(_settings(group))
    return " ".join(text for text in (title, settings, f"[{', '.join(marks)}]" if marks else "") if text)


def _too_few(task: Task, models: Sequence[str], missing: Sequence[str], protocol: Protocol) -> str:
    if not missing and models:
        return f"{models[0]} has runs with one setting only, under protocol {protocol}; name a second model."
    if not missing:
        return f"There are not two models of {task.name} to compare under protocol {protocol}; run another one."
    model, _, rule = missing[0].partition("+")
    command = RunCommand(task.name, model, rule or None, protocol=protocol)
    return f"No run of {task.name} by {missing[0]} under protocol {protocol} is done; make some with `{command}`."


def _compared(
    task: Task,
    groups: Mapping[str, ConfigurationRuns],
    protocol: Protocol,
    selection: Selection,
    left_out: tuple[str, ...],
) -> Compared:
    splits = {title: group.split(task, selection) for title, group in groups.items()}
    if len(set(splits.values())) > 1:
        listed = ", ".join(f"{title} on {split}" for title, split in splits.items())
        raise UsageError(f"Results on different splits cannot be compared: {listed}; leave some of them out.")
    split = next(iter(splits.values()))
    contenders = [_contender(task, title, group, selection, split) for title, group in groups.items()]
    sign = -1.0 if task.metric.better == "higher" else 1.0
    ranked = sorted(contenders, key=lambda contender: sign * contender.sample.mean)
    places = list(combinations(range(len(ranked)), 2))
    tests = dict(zip(places, corrected([_test(ranked[i], ranked[j]) for i, j in places]), strict=True))
    named = _letters(ranked, tests)
    return Compared(task.name, task.metric, protocol, selection, split, tuple(ranked), named, tests, left_out)


def _letters(ranked: Sequence[Contender], tests: Mapping[tuple[int, int], Test]) -> tuple[str, ...]:
    """The letters of each contender; a contender with too few seeds to be tested has none."""
    tested = [place for place, contender in enumerate(ranked) if len(contender.values) >= FEWEST_SEEDS]
    number = {place: number for number, place in enumerate(tested)}
    apart = [(number[i], number[j]) for (i, j), test in tests.items() if test.separate]
    named = letters(len(tested), apart)
    return tuple(named[number[place]] if place in number else "" for place in range(len(ranked)))


def _contender(task: Task, label: str, group: ConfigurationRuns, selection: Selection, split: str) -> Contender:
    values = group.values(selection, split, task.metric.name)
    if not values:
        raise UsageError(f"{label} has no {task.metric.name} on {split}; leave it out.")
    begins = {"data": "one a seed"} if task.data_per_seed else _begins(group.first.config)
    return Contender(label, values, begins)


def _begins(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The settings on which first weights and the order of samples depend.

    Settings at null are left out: a record that is older than such a setting does not have it.
    """
    parts = {"options": config["options"], "network": config["network"]}
    shared = {key: config["training"].get(key, TrainingConfig.model_fields[key].default) for key in ORDER}
    return {name: {k: v for k, v in part.items() if v is not None} for name, part in parts.items()} | shared


def _test(first: Contender, second: Contender) -> Test:
    """The test of two contenders, paired where a seed stands for the same data, or the same weights and order."""
    return compare_two(first.values, second.values, paired=first.begins == second.begins)
