"""What the task Google Speech Commands and its models agree on: front ends, splits, the recipe of the baselines."""

from typing import Final, Literal

from gle_bench.config import Budget, Count, Phases, RunConfig, TaskOptions, TrainingConfig
from gle_bench.protocols import OfflineModel, Pair

FrontEnd = Literal["mel", "mfcc-25", "mfcc-49"]
Augmentation = Literal["gle", "hello-edge", "none"]
Splits = Literal["paper", "gle-code"]

# 320 epochs of 36,923 clips in batches of 100. Hello Edge's own 30,000 updates are --set batches=30000.
LENGTHS: Final[dict[Budget, tuple[int, int]]] = {"smoke": (101, 50), "short": (3001, 250), "paper": (118_154, 400)}
SMOKE_CLIPS: Final = 256  # a split: one evaluation of all clips by the GLE network alone takes a minute on two cores


class GSCOptions(TaskOptions):
    """What a model hears of a clip, and which clips there are.

    Attributes:
        front_end: 'mel' (32 bands, 41 frames streamed as 820 steps), or Hello Edge's 10 MFCC in frames of 40 ms:
            'mfcc-25' without overlap (25 frames), 'mfcc-49' every 20 ms (49 frames).
        augmentation: of the training split: as the GLE code does it, as Hello Edge does it, or none.
        splits: 'paper' rounds silence and unknown as TensorFlow does (36,923 / 4,445 / 4,890 clips); 'gle-code' as
            the released GLE code does (37,230 / 4,481 / 4,930).
        clips: at most so many of each split, for a quick look; None: all.
    """

    front_end: FrontEnd = "mel"
    augmentation: Augmentation = "gle"
    splits: Splits = "paper"
    clips: Count | None = None


def offline_pair(
    model: str, network: OfflineModel, front_end: FrontEnd, summary: str, notes: tuple[str, ...] = ()
) -> Pair:
    """A baseline of Table 3, trained as Hello Edge's scripts train it.

    Adam on batches of 100 drawn with replacement, evaluated after update 0 and every 400 from there; three equal phases
    with rates 5e-4, 1e-4 and 2e-5.
    """

    def configure(budget: Budget) -> RunConfig:
        batches, evaluate_every = LENGTHS[budget]
        training = TrainingConfig(
            batches=batches,
            evaluate_every=evaluate_every,
            evaluation_batch_size=100,  # as in Hello Edge: it counts where a batch is normalised by its own statistics
            rate=5e-4,
            schedule=Phases(later=(1e-4, 2e-5)),
            sampling="replacement",
        )
        clips = SMOKE_CLIPS if budget == "smoke" else None
        return RunConfig(
            task="gsc",
            model=model,
            rule="backprop",
            budget=budget,
            options=GSCOptions(front_end=front_end, augmentation="hello-edge", clips=clips),
            network=network,
            training=training,
        )

    return Pair("gsc", model, configure, tuple(range(1, 11)), summary, (*notes, *_UNKNOWN))


_UNKNOWN = (
    "The logs of the paper's baselines are not available. Its 320 epochs are 118,154 updates here, with Hello Edge's "
    "rates in three equal phases; Hello Edge's own schedule of 3 x 10,000 updates is --set batches=30000.",
    "The paper does not name the baselines' ten seeds; 1-10 is our choice.",
    "Layers and initial weights are TensorFlow 1's, as Hello Edge's code leaves or sets them; where that names no "
    "initialiser, TensorFlow's default is taken from memory.",
)
