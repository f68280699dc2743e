"""Figure 8 d-g: a metric over training, with its spread, the published levels and the authors' released mean curves."""

from typing import Final

from gle_bench import registry
from gle_bench.errors import UsageError
from gle_bench.paper import FIGURE_8
from gle_bench.report.figures.bars import HATCHED, bars_panel
from gle_bench.report.figures.groups import Request, find
from gle_bench.report.figures.plot import Built, Plot
from gle_bench.report.figures.training import training_panel

SIZE: Final = (6.2, 3.6)  # inches
WIDE: Final = (9.0, 3.4)  # inches, with bars
BESIDE: Final = "h"  # no panel of the paper's: training, beside the bars


def build(name: str, request: Request) -> Built:
    """The panel of that name.

    Raises:
        UsageError: a seed, or a model that the panel does not have. GleBenchError: nothing of it was run.
    """
    subject, letter = FIGURE_8[name], name[-1]
    if request.seed is not None:
        raise UsageError(f"--seed {request.seed}: figure {name} shows all seeds; leave it out.")
    if request.model is not None and request.model not in subject.models:
        raise UsageError(f"--model {request.model}: figure {name} has {', '.join(subject.models)}.")
    task = registry.task(subject.task)
    models = subject.models if request.model is None else (request.model,)
    found = find(task, models, request)
    colors = {model: number for number, model in enumerate(subject.models) if model in models}
    title = f"Figure {name} - {subject.title}"
    training, notes = training_panel(BESIDE if subject.bars else letter, task, found, colors, request)
    if not subject.bars:
        return Built(Plot(title, (training,), (letter,), SIZE, tuple(notes)), found.skipped)
    bars = bars_panel(letter, task, found, colors)
    return Built(Plot(title, (bars, training), (letter + BESIDE,), WIDE, (HATCHED, *notes)), found.skipped)
