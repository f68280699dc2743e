"""The comparison of a task's models (`glebench compare`): their ranks, and which of them the data can tell apart."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, Final

from gle_bench import registry
from gle_bench.config import TrainingConfig
from gle_bench.contracts import Metric, Pair, Task
from gle_bench.contracts.command import RunCommand
from gle_bench.errors import UsageError, look_up
from gle_bench.report.results import ConfigurationRuns, fullest, gather, grouped, pairs_of, words_of
from gle_bench.report.statistics.equivalence import ALPHA, FEWEST_SEEDS, MOST_SEEDS, mean_interval
from gle_bench.report.statistics.ranking import Test, Values, compare_two, corrected, letters
from gle_bench.report.statistics.welch import Sample, sample
from gle_bench.report.tables.cells import sample_text
from gle_bench.tracking.store import Skipped
from gle_bench.words import Protocol, Selection

ORDER: Final = ("batch_size", "shuffle", "sampling")  # the settings of training on which the order of samples depends


@dataclass(frozen=True)
class Contender:
    """The results of one model in a comparison, over seeds of one configuration.

    Attributes:
        label: the model, its rule where that is not its own, and its marks.
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
    """

    task: str
    metric: Metric
    protocol: Protocol
    selection: Selection
    split: str
    contenders: tuple[Contender, ...]
    letters: tuple[str, ...]
    tests: Mapping[tuple[int, int], Test]


def compare(
    name: str, models: Sequence[str], runs: Path, protocol: Protocol, selection: Selection
) -> tuple[Compared, list[Skipped]]:
    """The comparison of models, and the records that could not be read.

    `models` are written MODEL or MODEL+RULE; an empty sequence stands for all that were run.

    Raises:
        UnknownName: a task or a model, with the nearest name. UsageError: fewer than two with a result, or results on
            different splits.
    """
    task = registry.task(name)
    gathered, skipped = gather(runs)
    pairs = pairs_of(task)
    groups = grouped(task, [record for _, record in gathered if record.protocol == protocol], pairs)
    by_title = fullest(groups, lambda group: _title(group, pairs))
    for model in models:
        look_up("model", model.partition("+")[0], pairs)
    chosen = list(dict.fromkeys(models)) or list(by_title)
    missing = [model for model in chosen if model not in by_title]
    if missing or len(chosen) < 2:
        raise UsageError(_too_few(task, missing, protocol))
    return _compared(task, {title: by_title[title] for title in chosen}, protocol, selection), skipped


def _title(group: ConfigurationRuns, pairs: Mapping[str, Pair]) -> str:
    """The name of a group in a comparison: its model, and its rule where that is not the model's own."""
    model, rule = group.first.model, group.first.rule
    own = pairs[model].configure(group.first.budget).rule if model in pairs else None
    return model if rule == own else f"{model}+{rule}"


def _too_few(task: Task, missing: Sequence[str], protocol: Protocol) -> str:
    if not missing:
        return f"There are not two models of {task.name} to compare under protocol {protocol}; run another one."
    model, _, rule = missing[0].partition("+")
    command = RunCommand(task.name, model, rule or None, protocol=protocol)
    return f"No run of {task.name} by {missing[0]} under protocol {protocol} is done; make some with `{command}`."


def _compared(
    task: Task, groups: Mapping[str, ConfigurationRuns], protocol: Protocol, selection: Selection
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
    return Compared(task.name, task.metric, protocol, selection, split, tuple(ranked), _letters(ranked, tests), tests)


def _letters(ranked: Sequence[Contender], tests: Mapping[tuple[int, int], Test]) -> tuple[str, ...]:
    """The letters of each contender; a contender with too few seeds to be tested has none."""
    tested = [place for place, contender in enumerate(ranked) if len(contender.values) >= FEWEST_SEEDS]
    number = {place: number for number, place in enumerate(tested)}
    apart = [(number[i], number[j]) for (i, j), test in tests.items() if test.separate]
    named = letters(len(tested), apart)
    return tuple(named[number[place]] if place in number else "" for place in range(len(ranked)))


def _contender(task: Task, title: str, group: ConfigurationRuns, selection: Selection, split: str) -> Contender:
    values = group.values(selection, split, task.metric.name)
    if not values:
        raise UsageError(f"{title} has no {task.metric.name} on {split}; leave it out.")
    marks = words_of([mark for mark in group.marks if mark.kind != "rule"])
    begins = {"data": "one a seed"} if task.data_per_seed else _begins(group.first.config)
    if "+" in title:
        title = f"{group.first.model}+{registry.rule_title(group.first.rule)}"
    return Contender(f"{title} [{', '.join(marks)}]" if marks else title, values, begins)


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


def as_json(compared: Compared) -> dict[str, Any]:
    """A comparison as plain data; None stands for what is not known."""
    labels = [contender.label for contender in compared.contenders]
    return {
        "task": compared.task,
        "metric": vars(compared.metric),
        "protocol": compared.protocol,
        "selection": compared.selection,
        "split": compared.split,
        "models": [
            {
                "model": contender.label,
                **contender.sample._asdict(),
                "interval": mean_interval(contender.sample),
                "groups": list(group),
            }
            for contender, group in zip(compared.contenders, compared.letters, strict=True)
        ],
        "pairs": [
            {"first": labels[i], "second": labels[j], **vars(test), "separate": test.separate}
            for (i, j), test in compared.tests.items()
        ],
    }


def as_text(compared: Compared) -> str:
    """A comparison as text: a line for each model, and a line for each pair."""
    metric = compared.metric
    unit = f" ({metric.unit})" if metric.unit else ""
    head = f"{compared.task}: {metric.name}{unit}, protocol {compared.protocol}, {compared.selection} evaluation, "
    lines = [f"{head}{compared.split} split; {metric.better} is better"]
    width = max(len(contender.label) for contender in compared.contenders)
    for contender, group in zip(compared.contenders, compared.letters, strict=True):
        ours, interval = contender.sample, mean_interval(contender.sample)
        between = f"[{interval[0]:.2f}, {interval[1]:.2f}]" if interval else ""
        lines.append(f"  {contender.label:<{width}}  {sample_text(ours, 2):>12}  n = {ours.n:<3} {between:<18} {group}")
    lines += ["Models that share a letter cannot be told apart (5 %, two-sided, Holm's correction).", ""]
    lines += [_pair_line(compared, i, j, test) for (i, j), test in compared.tests.items()]
    return "\n".join(lines)


def _pair_line(compared: Compared, i: int, j: int, test: Test) -> str:
    names = f"{compared.contenders[i].label} - {compared.contenders[j].label}: {test.difference:+.2f}"
    if test.holm is None or test.interval is None or test.p is None:
        return f"{names}; no test with fewer than {FEWEST_SEEDS} seeds of either"
    kind = f"paired, {test.seeds[0]} seeds" if test.paired else "Welch"
    effect = "" if test.effect is None else f", {'d' if test.paired else 'g'} = {test.effect:.2f}"
    low, high = test.interval
    tested = f"{names} [{low:.2f}, {high:.2f}] ({kind}{effect}, p = {test.p:.2g}, Holm {test.holm:.2g})"
    if test.separate:
        return f"{tested}: told apart"
    if test.p < ALPHA:
        return f"{tested}: not told apart once corrected"
    more = f"more than {MOST_SEEDS}" if test.needed is None else f"about {test.needed}"
    return f"{tested}: not told apart; {more} seeds each would, if means and spreads stayed"
