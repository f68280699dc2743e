"""Whether a run did what was planned: what `done` means."""

from collections.abc import Mapping, Sequence
from itertools import chain

from gle_bench.errors import GleBenchError
from gle_bench.training.seed import SeedRun


def shortfall(run: SeedRun, ends: Sequence[int], updates_per_batch: int, predicted: Mapping[str, int]) -> str | None:
    """What is missing of a run that came to its end, as a sentence; None if it is whole.

    Args:
        ends: batches seen at the planned end of each round, from round 0 on.
        updates_per_batch: how often the parameters change in a batch.
        predicted: {split: samples} of which predictions must have been written.
    """
    complaints = chain(_learned(run, ends), _evaluated(run, ends, updates_per_batch), _written(run, predicted))
    return next(complaints, None)


def whole_evaluation(samples: int, planned: int, split: str) -> None:
    """Makes sure that an evaluation saw its whole split.

    Raises:
        GleBenchError: it saw another number of samples.
    """
    if samples != planned:
        raise GleBenchError(f"An evaluation saw {samples:,} of {planned:,} samples of {split}; start the run anew.")


def _learned(run: SeedRun, ends: Sequence[int]) -> list[str]:
    for what, batches in (("learned from", run.batches), ("took an optimizer step in", run.updates)):
        if batches != ends[-1]:
            return [f"The run {what} {batches:,} of {ends[-1]:,} planned batches."]
    return []


def _evaluated(run: SeedRun, ends: Sequence[int], updates_per_batch: int) -> list[str]:
    planned = [(number, batches * updates_per_batch) for number, batches in enumerate(ends)]
    made = [(row["round"], row["update"]) for row in run.history]
    if made == planned:
        return []
    missing = len(set(planned) - set(made))
    return [f"{missing} of {len(planned)} planned evaluations are not in the history, or others are."]


def _written(run: SeedRun, predicted: Mapping[str, int]) -> list[str]:
    """Looks at the disk: a folder may have been emptied while its run went on."""
    for path in (run.folder.checkpoint("last"), run.folder.checkpoint("best")):
        if not path.is_file():
            return [f"{path} is missing, which the run wrote; start it anew."]
    try:
        rows, arrays = run.folder.read_history(), run.folder.read_predictions()
    except GleBenchError as error:
        return [str(error)]
    if [row.get("round") for row in rows] != [row["round"] for row in run.history]:
        return [f"{run.folder.path / 'history.csv'} is not what the run wrote; start it anew."]
    sizes = {split: len(arrays.get(f"{split}_decisions", ())) for split in predicted}
    return [
        f"{run.folder.path / 'predictions.npz'} holds {sizes[split]:,} of {samples:,} predictions of {split}."
        for split, samples in predicted.items()
        if sizes[split] != samples
    ]
