"""The PyTorch modules of the gated recurrent networks."""

import math

import torch
from torch import Tensor, nn


class WholeHistory(nn.Module):
    """A recurrent layer whose outputs at all time steps are read together: (B, T, C_in) -> (B, C_out)."""

    def __init__(self, units: nn.GRU | nn.LSTM, readout: nn.Linear) -> None:
        super().__init__()
        self.units, self.readout = units, readout

    def forward(self, inputs: Tensor) -> Tensor:
        history, _ = self.units(inputs)  # (B, T, 2 H)
        logits: Tensor = self.readout(history.flatten(1))
        return logits


class EveryState(nn.Module):
    """Gated recurrent units, one way, whose state is read at every time step: (B, T, C_in) -> (B, T, C_out)."""

    def __init__(self, units: nn.GRU, readout: nn.Linear) -> None:
        super().__init__()
        self.units, self.readout = units, readout

    def start(self, batch: int) -> Tensor:
        """The state before the first time step, (B, H)."""
        return self.readout.weight.new_zeros(batch, self.units.hidden_size)

    def step(self, x: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        """One time step: x (B, C_in) and the state so far -> outputs (B, C_out) and the state from here on."""
        memory = self.units(x[:, None], memory[None])[1][0]
        return self.readout(memory), memory

    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = self.readout(self.units(inputs)[0])
        return outputs


class ResetBefore(nn.Module):
    """Gated recurrent units whose state is reset before the candidate's product, as in TensorFlow 1."""

    def __init__(self, inputs: int, hidden: int, gate_bias: float) -> None:
        super().__init__()
        self.gates = glorot(nn.Linear(inputs + hidden, 2 * hidden), gate_bias)
        self.candidate = glorot(nn.Linear(inputs + hidden, hidden), 0.0)

    def forward(self, inputs: Tensor) -> Tensor:
        """The last state: (B, T, C_in) -> (B, H)."""
        channels, hidden = inputs.shape[2], self.candidate.out_features
        weight = torch.cat([self.gates.weight[:, :channels], self.candidate.weight[:, :channels]])
        # What the inputs contribute, at all steps at once: (T, B, 2 H) and (T, B, H).
        driven = nn.functional.linear(inputs.transpose(0, 1), weight, torch.cat([self.gates.bias, self.candidate.bias]))
        to_gates, to_candidate = torch.split(driven, [2 * hidden, hidden], 2)
        gates, candidate = self.gates.weight[:, channels:].t(), self.candidate.weight[:, channels:].t()
        state = inputs.new_zeros(len(inputs), hidden)
        for gate_input, candidate_input in zip(to_gates.unbind(), to_candidate.unbind(), strict=True):
            reset, update = torch.addmm(gate_input, state, gates).sigmoid().chunk(2, 1)
            new = torch.addmm(candidate_input, reset * state, candidate).tanh()
            state = new + update * (state - new)
        return state


class OneBias(nn.Module):
    """An LSTM with one bias, as in TensorFlow: PyTorch's without its two biases, and with a further input of 1."""

    def __init__(self, inputs: int, hidden: int, forget_bias: float) -> None:
        super().__init__()
        self.units = nn.LSTM(inputs + 1, hidden, bias=False, batch_first=True)
        from_input, from_state = self.units.parameters()
        bound = math.sqrt(6 / (inputs + hidden + 4 * hidden))  # Glorot's, of one kernel for input, state and all gates
        with torch.no_grad():
            from_input.uniform_(-bound, bound)[:, inputs] = 0
            from_input[hidden : 2 * hidden, inputs] = forget_bias  # in PyTorch's order of gates: i, f, g, o
            from_state.uniform_(-bound, bound)

    def forward(self, inputs: Tensor) -> Tensor:
        """The last output: (B, T, C_in) -> (B, H)."""
        last: Tensor = self.units(nn.functional.pad(inputs, (0, 1), value=1.0))[1][0][0]
        return last


def glorot(layer: nn.Linear, bias: float) -> nn.Linear:
    """Draws the layer's weights uniformly on +-sqrt(6 / (fan-in + fan-out)), and sets all biases to `bias`."""
    nn.init.xavier_uniform_(layer.weight)
    nn.init.constant_(layer.bias, bias)
    return layer
