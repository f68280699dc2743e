"""The front ends as data: windows, strides, bands, and the numbers of frames and steps (computed in `features`)."""

from typing import Literal, NamedTuple

from gle_bench.recipes.gsc import FrontEnd

RATE = 16_000  # samples per second, and samples of a clip
STRETCH = 20  # time steps for each frame of GLE's front end


class FrontEndSpec(NamedTuple):
    """The parameters of one front end. `coefficients` is None if the bands themselves are the features."""

    kind: Literal["MFS", "MFCC"]
    bands: int
    coefficients: int | None
    window_ms: int
    stride_ms: int
    frames: int
    steps: int

    @property
    def channels(self) -> int:
        return self.coefficients or self.bands


FRONT_ENDS: dict[FrontEnd, FrontEndSpec] = {
    "mel": FrontEndSpec("MFS", 32, None, 64, 25, 41, 41 * STRETCH),
    "mfcc-25": FrontEndSpec("MFCC", 40, 10, 40, 40, 25, 25),
    "mfcc-49": FrontEndSpec("MFCC", 40, 10, 40, 20, 49, 49),
}
