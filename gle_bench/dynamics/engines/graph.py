"""The `graph` engine for GPUs, which captures many steps of the `torch` engine as one CUDA graph and replays it.

A graph reads and writes fixed addresses, and gets no values from the host. A program therefore owns buffers for all
that changes: a chunk of the signals, parameters, moments, rates and state. The chunks of a batch are copied in, and
their results out. Without a GPU the same programs run without capture, so that they can be tested on any machine.
"""

from collections import OrderedDict
from collections.abc import Hashable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from gle_bench.dynamics.engines.chunks import Loop, chunk_length, copy, form, switch
from gle_bench.dynamics.engines.interface import EngineRequest, Feedback, begin, denormals_flushed, prepare_state
from gle_bench.dynamics.engines.sums import Gradients
from gle_bench.dynamics.ensemble import (
    Carry,
    cloned,
    ensemble_size,
    learned,
    pack,
    pack_gradients,
    per_parameter,
    unpack,
)
from gle_bench.dynamics.network import Network
from gle_bench.dynamics.optimizers import Corrections, Optimizer, OptimizerState, clone
from gle_bench.dynamics.rule import OnlineRule
from gle_bench.dynamics.seams import NO_SEAMS, Seams
from gle_bench.dynamics.state import Parameters, State, constrain
from gle_bench.dynamics.step import step
from gle_bench.dynamics.window import Window

KEPT = 8  # programs that are kept: twice training and evaluation, each with a smaller last batch


class GraphEngine:
    """The fast engine for GPUs, which replays CUDA graphs of many steps.

    Args:
        tf32: whether matrix products may round float32 to TF32, 10 bits of mantissa.
    """

    name = "graph"
    threads_matter = False

    def __init__(self, tf32: bool = False) -> None:
        self.tf32 = tf32
        self._programs: OrderedDict[Hashable, Learning | Inference] = OrderedDict()

    def condition(self) -> tuple[bool, str]:
        """Always in order, with the name of the GPU if there is one."""
        gpu = torch.cuda.is_available()
        return True, f"on {torch.cuda.get_device_name()}" if gpu else "there is no GPU: not used"

    def refusal(self, request: EngineRequest) -> str | None:
        """The reason why the engine cannot run a request, as a clause; None: it can.

        It needs a GPU, an open loop, integrator 'euler', a rule with windows of one step, and no seams.
        """
        if request.device != "cuda":
            return f"the device is {request.device}" if torch.cuda.is_available() else "there is no GPU"
        return (
            _closed_loop(request.feedback)
            or _ordered(request.network)
            or _long_window(request.rule)
            or request.seams.refusal()
        )

    def learn(
        self,
        network: Network,
        rule: OnlineRule,
        optimizer: Optimizer,
        carry: Carry,
        batch: Window,
        rates: Tensor,
        decay: float = 1.0,
        seams: Seams = NO_SEAMS,
    ) -> tuple[Carry, Tensor]:
        """Learns from a batch with one update per step. The rule is called only while a program is captured."""
        _raise(_ordered(network) or _long_window(rule) or seams.refusal())
        size = batch.inputs.shape[1]
        with _plain_tensors(), denormals_flushed():
            memory = begin(rule, network, carry.parameters, carry.state, carry.memory, size, seams.seeds)
            carry = carry._replace(state=prepare_state(network, carry.state, size), memory=memory)
            window = batch.part(0, chunk_length(batch.steps))
            decays = decay != 1
            # A program keeps its network and its rule alive, so that no other can get their identity.
            key = (id(network), id(rule), optimizer, decays, window.steps, form(window), form(carry))
            program = self._programs.pop(key, None)
            if not isinstance(program, Learning):
                program = Learning(network, rule, optimizer, carry, window, decays, self.tf32)
            self._keep(key, program)
            return program.run(carry, batch, rates, decay)

    def gradients(
        self,
        network: Network,
        rule: OnlineRule,
        parameters: Parameters,
        state: State,
        batch: Window,
        *,
        memory: tuple[Tensor, ...] = (),
        every: int | None = None,
        seams: Seams = NO_SEAMS,
    ) -> Gradients:
        """Not supported by this engine; the `torch` engine computes gradients."""
        raise NotImplementedError(
            "it runs learning and inference, and does not return gradients alone; engine 'torch' gives them"
        )

    def infer(
        self,
        network: Network,
        parameters: Parameters,
        state: State,
        batch: Window,
        *,
        errors: bool = True,
        feedback: Feedback | None = None,
        seams: Seams = NO_SEAMS,
    ) -> tuple[State, Tensor]:
        """Runs the network in open loop with frozen weights and no target; returns the new state and the outputs."""
        _raise(_closed_loop(feedback) or _ordered(network) or seams.refusal())
        errors = errors or any(layer.gamma for layer in network.layers)
        with _plain_tensors(), denormals_flushed():
            state = prepare_state(network, state, batch.inputs.shape[1])
            batch = Window(batch.steps, batch.inputs, None, None)
            window = batch.part(0, chunk_length(batch.steps))
            key = (id(network), errors, window.steps, form(window), form(parameters), form(state))
            program = self._programs.pop(key, None)
            if not isinstance(program, Inference):
                program = Inference(network, parameters, state, window, errors, self.tf32)
            self._keep(key, program)
            return program.run(parameters, state, batch)

    def _keep(self, key: Hashable, program: "Learning | Inference") -> None:
        """Stores a program as the most recently used one; if there are too many, drops the least recently used."""
        self._programs[key] = program
        if len(self._programs) > KEPT:
            self._programs.popitem(last=False)


class Learning:
    """A program that learns from batches of one shape: its buffers, and the chunk of steps that works on them."""

    def __init__(
        self,
        network: Network,
        rule: OnlineRule,
        optimizer: Optimizer,
        carry: Carry,
        window: Window,
        decays: bool,
        tf32: bool,
    ) -> None:
        self.network, self.rule, self.optimizer, self.decays = network, rule, optimizer, decays
        self.names = learned(network, carry.parameters)
        self.flat, self.moments = pack(network, carry.parameters), clone(carry.optimizer)
        self.parameters = unpack(network, self.flat, cloned(carry.parameters))
        self.state, self.memory, self.window = cloned(carry.state), cloned(carry.memory), cloned(window)
        self.rate, self.decay = torch.empty_like(self.flat), self.flat.new_empty(())
        self.corrections = self.flat.new_empty(window.steps, len(Corrections._fields))
        shape = (window.steps, ensemble_size(carry.parameters), window.inputs.shape[1], network.outputs)
        self.loop = Loop(self.window, self.flat.new_empty(shape), tf32)

    def run(self, carry: Carry, batch: Window, rates: Tensor, decay: float) -> tuple[Carry, Tensor]:
        """Learns from a batch; returns the new carry and the outputs. The given carry is not changed."""
        self.loop.prepare(batch.steps, self.chunk)
        copy((self.parameters, self.state, self.memory), (carry.parameters, carry.state, carry.memory))
        copy(self.moments, carry.optimizer)
        self.rate.copy_(per_parameter(self.network, carry.parameters, rates.to(self.flat)))
        self.decay.fill_(decay)
        updates = carry.optimizer.updates
        table = torch.tensor(
            [self.optimizer.corrections(updates + n) for n in range(1, batch.steps + 1)], dtype=torch.float64
        ).to(self.flat)
        outputs = self.loop.run(batch, lambda begin, end: self.corrections[: end - begin].copy_(table[begin:end]))
        moments = OptimizerState(self.moments.mean.clone(), self.moments.square.clone(), updates + batch.steps)
        return Carry(cloned(self.parameters), moments, cloned(self.state), cloned(self.memory)), outputs

    def chunk(self, steps: int) -> Tensor:
        """Runs `steps` steps with their updates on the buffers; returns the outputs (steps, S, B, C)."""
        state, memory, outputs = self.state, self.memory, []
        for t in range(steps):
            now = self.window.part(t, t + 1)
            result = self.rule.learn(self.network, self.parameters, state, memory, now, NO_SEAMS)
            state, memory = result.state, result.memory
            outputs.append(result.outputs[:, :, 0])
            gradient = pack_gradients(self.names, result.gradients)
            corrections = Corrections(*self.corrections[t].unbind())
            self.optimizer.descend(self.flat, gradient, self.moments, self.rate, corrections)
            constrain(self.network, self.parameters)
            if self.decays:
                self.rate.mul_(self.decay)
        stacked = torch.stack(outputs)  # before the state, of which the first is a view, is overwritten
        switch((self.state, self.memory), (state, memory))
        return stacked


class Inference:
    """A program that infers on batches of one shape: its buffers, and the chunk of steps that works on them."""

    def __init__(
        self, network: Network, parameters: Parameters, state: State, window: Window, errors: bool, tf32: bool
    ) -> None:
        self.network, self.errors, self.ensemble = network, errors, ensemble_size(parameters)
        self.parameters, self.state, self.window = cloned(parameters), cloned(state), cloned(window)
        shape = (window.steps, self.ensemble, window.inputs.shape[1], network.outputs)
        self.loop = Loop(self.window, state[-1].u.new_empty(shape), tf32)

    def run(self, parameters: Parameters, state: State, batch: Window) -> tuple[State, Tensor]:
        """Runs the network over a batch from the given state; returns the new state and the outputs."""
        self.loop.prepare(batch.steps, self.chunk)
        copy((self.parameters, self.state), (parameters, state))
        outputs = self.loop.run(batch)
        return cloned(self.state), outputs

    def chunk(self, steps: int) -> Tensor:
        """Runs `steps` steps on the buffers; returns the outputs (steps, S, B, C)."""
        state, outputs = self.state, []
        for t in range(steps):
            inputs, _, _ = self.window.at(t, self.ensemble)
            result = step(self.network, self.parameters, state, inputs, plastic=False, errors=self.errors)
            state = result.state
            outputs.append(result.signals.output)
        stacked = torch.stack(outputs)
        switch(self.state, state)
        return stacked


@contextmanager
def _plain_tensors() -> Iterator[None]:
    """A context without gradients and without inference mode, so that buffers made in it can always be written."""
    with torch.inference_mode(False), torch.no_grad():
        yield


def _closed_loop(feedback: Feedback | None) -> str | None:
    return "the loop is closed, and a graph's inputs must be known beforehand" if feedback is not None else None


def _ordered(network: Network) -> str | None:
    if not network.ordered:
        return None
    return f"integrator = '{network.integrator}' traverses the layers in order, and it has only 'euler'"


def _long_window(rule: OnlineRule) -> str | None:
    if rule.follows:
        return "its rule follows every update, and a graph has no rates by which it could"
    if rule.window == 1:
        return None
    length = f"{rule.window} steps" if rule.window else "a whole sample"
    return f"its rule learns from {length} at once, and a graph updates after every step"


def _raise(refusal: str | None) -> None:
    if refusal is not None:
        raise NotImplementedError(refusal)
