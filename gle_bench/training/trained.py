"""The trained network of a recorded run, as a module of PyTorch for a loop of one's own."""

from typing import Final

from torch import Tensor, nn

from gle_bench.chosen import resolved
from gle_bench.contracts import OnlineModel
from gle_bench.dynamics.engines.torch import TorchEngine
from gle_bench.dynamics.ensemble import from_plain
from gle_bench.dynamics.network import Network
from gle_bench.dynamics.state import BlockParameters, Parameters, State, zero_state
from gle_bench.dynamics.window import Window
from gle_bench.errors import GleBenchError
from gle_bench.tracking.configuration import configuration_of
from gle_bench.tracking.record import Record
from gle_bench.tracking.store import RunFolder
from gle_bench.training import checkpoints
from gle_bench.training.execute import module_class
from gle_bench.training.experiment import Experiment
from gle_bench.training.modules.closed_form import ReadoutModule
from gle_bench.training.modules.gradient import WholeModule
from gle_bench.words import Selection

ENGINE: Final = TorchEngine()


class GLEStream(nn.Module):
    """A GLE network with frozen parameters as a module: without a target, its errors vanish and it only infers.

    Inputs and outputs are streams in time. Its parameters, the time constants among them, are buffers of shapes
    (K, 1, ...), so that `to`, `double` and `state_dict` work as usual. Gradients do not flow through it.
    """

    def __init__(self, network: Network, parameters: Parameters) -> None:
        super().__init__()
        self.network = network
        for index, block in enumerate(parameters):
            for name, value in block._asdict().items():
                self.register_buffer(f"{name}_{index}", value)
        self._count = len(parameters)

    def forward(self, inputs: Tensor) -> Tensor:
        """Inputs (B, T, C_in) -> outputs (B, T, C_out), from a state of zeros."""
        return self._run(inputs, self.start(len(inputs)))[0]

    def start(self, batch: int) -> State:
        """The state before the first time step, for a batch of this size: all variables are zero."""
        return zero_state(self.network, self._parameters_now(), batch)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """One time step: inputs (B, C_in) and the old state -> outputs (B, C_out) and the new state."""
        outputs, state = self._run(x[:, None], state)
        return outputs[:, 0], state

    def _run(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        window = Window(inputs.shape[1], inputs[None], None, None)
        state, outputs = ENGINE.infer(self.network, self._parameters_now(), state, window)
        return outputs[0], state

    def _parameters_now(self) -> Parameters:
        fields = BlockParameters._fields
        return tuple(
            BlockParameters(**{name: getattr(self, f"{name}_{i}") for name in fields}) for i in range(self._count)
        )


def trained(folder: RunFolder, record: Record, selection: Selection = "last") -> nn.Module:
    """The network of a run after training, in evaluation mode.

    That of an online model is a `GLEStream`; that of an offline model is the module that its family builds, which maps
    (B, T, C_in) to logits (B, C) or to signals (B, T, C).

    Args:
        selection: the weights of the last evaluation, or of the best one.

    Raises:
        GleBenchError: there is no such checkpoint, as for the published runs; or the run was made by another version;
            or its method has no network of PyTorch, as a reservoir.
    """
    path = folder.checkpoint(selection)
    content = checkpoints.load(path)
    if content is None:
        raise GleBenchError(f"There is no {path}; run {record.task} {record.model} yourself to have its weights.")
    experiment = Experiment.of(resolved(configuration_of(record)))
    if isinstance(experiment.config.network, OnlineModel):
        assert experiment.network is not None
        return GLEStream(experiment.network, from_plain(content["member"]).parameters).eval()
    module = module_class(experiment)(experiment, [record.seed])
    if isinstance(module, ReadoutModule) or not isinstance(module, WholeModule):
        raise GleBenchError(f"{record.model} is solved in closed form, and has no module of PyTorch.")
    module.restore({record.seed: content["member"]})
    return module.model.eval()
