"""The feedback of predictions into a network that predicts a scalar signal: its own outputs become its inputs."""

from dataclasses import dataclass

import torch
from torch import Tensor

from gle_bench.errors import UsageError


@dataclass(frozen=True)
class DelayedFeedback:
    """The inputs of a network that predicts a scalar signal x: channel c at step t is x(t - delays[c]).

    The output of step j predicts x(j + horizon). Before step `forced` the true signal is read from the inputs. From
    there on the network's predictions replace it, and no true input is read, because it would reveal the future.

    Attributes:
        horizon: number of steps that the outputs look ahead.
        delays: delay of each channel, in steps.
        forced: the first step of the signal that is predicted.

    Raises:
        UsageError: a horizon below 1, no or negative delays, or a signal to be predicted before the first prediction.
    """

    horizon: int
    delays: tuple[int, ...]
    forced: int

    def __post_init__(self) -> None:
        if self.horizon < 1:
            raise UsageError(f"horizon = {self.horizon} steps must be at least 1; a network predicts what is to come.")
        if not self.delays or min(self.delays) < 0:
            raise UsageError(f"delays = {self.delays} must be at least one, none below 0; give steps back in time.")
        if self.forced < self.horizon:
            raise UsageError(
                f"horizon = {self.horizon} steps lies beyond the buffer: predictions begin at step {self.horizon}, and "
                f"the signal is forced up to step {self.forced} only; lower horizon, or raise forced to {self.horizon}."
            )

    def __call__(self, t: int, inputs: Tensor, outputs: Tensor) -> Tensor:
        """The input of step t, (S, B, N_in).

        Args:
            inputs: true inputs (S|1, B, T, N_in); those that show the signal from `forced` on are not read.
            outputs: outputs (S, B, t, 1) of the steps before t.
        """
        if inputs.shape[-1] != len(self.delays):
            raise UsageError(
                f"delays = {self.delays} are not one a channel of {inputs.shape[-1]} inputs; give as many."
            )
        channels = [
            inputs[:, :, t, channel].expand(outputs.shape[:2])
            if t - delay < self.forced
            else outputs[:, :, t - delay - self.horizon, 0]
            for channel, delay in enumerate(self.delays)
        ]
        return torch.stack(channels, -1)
