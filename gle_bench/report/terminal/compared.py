"""A comparison of models (`glebench compare`) as text for a terminal, and as plain data."""

from typing import Any

from gle_bench.report.statistics.equivalence import ALPHA, FEWEST_SEEDS, MOST_SEEDS, mean_interval
from gle_bench.report.statistics.ranking import Test
from gle_bench.report.tables.cells import Cells, Part, Table, number_text, sample_text
from gle_bench.report.terminal import tables
from gle_bench.report.terminal.compare import Compared


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
        "left_out": list(compared.left_out),
    }


def as_text(compared: Compared, pairs: bool = False, width: int = 100, colour: bool = False) -> str:
    """A comparison as text: models from the best to the worst with their groups, and `pairs` of them if asked for.

    A single pair is always shown.
    """
    metric, count = compared.metric, len(compared.tests)
    unit = f" ({metric.unit})" if metric.unit else ""
    title = f"{compared.task}: {metric.name}{unit}, {metric.better} is better"
    parts = [_groups(compared), *([_pairs(compared)] if pairs or count == 1 else [])]
    hints = [] if pairs or count == 1 else [f"--pairs lists the tests of all {count} pairs."]
    if compared.left_out:
        hints.append(
            f"Left out, since there are fuller runs: {', '.join(compared.left_out)}; --budget compares others."
        )
    return tables.as_text(Table(title, "", parts, hints=hints), width, colour)


def _groups(compared: Compared) -> Part:
    """A line for each contender; those in a common group cannot be told apart."""
    heading = f"Protocol {compared.protocol}, {compared.selection} evaluation, {compared.split} split"
    lines = []
    for contender, group in zip(compared.contenders, compared.letters, strict=True):
        ours, interval = contender.sample, mean_interval(contender.sample)
        between = f"[{interval[0]:.2f}, {interval[1]:.2f}]" if interval else ""
        mean = sample_text(ours, 2)
        lines.append(
            {"model": contender.label, "mean ± sd": mean, "seeds": f"{ours.n}", "95 % CI": between, "groups": group}
        )
    count = len([test for test in compared.tests.values() if test.p is not None])
    tests = f"{count} test{'' if count == 1 else 's'}"
    told = f"Models that share a letter cannot be told apart (5 %, two-sided, Holm's correction for {tests})."
    few = f" Those without a letter have fewer than {FEWEST_SEEDS} seeds." if "" in compared.letters else ""
    return Part(heading, lines, told + few, left=("model", "groups"))


def _pairs(compared: Compared) -> Part:
    """A line for each pair of contenders."""
    labels = [contender.label for contender in compared.contenders]
    lines = [_pair(f"{labels[i]} - {labels[j]}", test) for (i, j), test in compared.tests.items()]
    remark = (
        "Difference: the first minus the second, with its 95 % interval. Effect: Hedges' g, or d, the mean of paired "
        "differences over their standard deviation. Holm: p corrected for all tests. Seeds that would tell two apart: "
        "before the correction, if means and spreads stay as they are."
    )
    return Part("Pairs", lines, remark, left=("pair", "test", "effect", "told apart"))


def _pair(names: str, test: Test) -> Cells:
    interval = "" if test.interval is None else f" [{test.interval[0]:.2f}, {test.interval[1]:.2f}]"
    tested = test.p is not None
    return {
        "pair": names,
        "difference": f"{test.difference:+.2f}{interval}",
        "test": "" if not tested else f"paired, {test.seeds[0]}" if test.paired else "Welch",
        "effect": "" if test.effect is None else f"{'d' if test.paired else 'g'} = {test.effect:.2f}",
        "p": number_text(test.p, ".2g"),
        "Holm": number_text(test.holm, ".2g"),
        "told apart": _outcome(test),
    }


def _outcome(test: Test) -> str:
    if test.p is None:
        return f"no test: fewer than {FEWEST_SEEDS} seeds"
    if test.separate:
        return "yes"
    if test.p < ALPHA:
        return "no, once corrected"
    return f"no; {f'more than {MOST_SEEDS:,}' if test.needed is None else f'{test.needed}'} seeds each would"
