"""Tests of the costs of running a network: NeuroBench's count, ours, and the reasons why they differ."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from record_examples import example
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from toy_runs import checkpoint, configured, run, seed_folder

from gle_bench import registry
from gle_bench.chosen import run_hash
from gle_bench.costs import count as counting
from gle_bench.costs import neurobench as harness
from gle_bench.costs.count import online_counts, state_updates
from gle_bench.costs.exhibits import Activated, Evaluated, gle_exhibit
from gle_bench.costs.tracing import traced_exhibit
from gle_bench.dynamics.engines.torch import TorchEngine
from gle_bench.dynamics.network import Layer, Network
from gle_bench.dynamics.state import Parameters, initial_parameters, zero_state
from gle_bench.dynamics.window import Window
from gle_bench.errors import GleBenchError
from gle_bench.files.disk import data_folder
from gle_bench.report import results as sources
from gle_bench.report.tables.formats import markdown
from gle_bench.report.tables.table import results_table, table
from gle_bench.report.terminal import show
from gle_bench.report.terminal.run_sheet import differences
from gle_bench.tracking import costs as complexity
from gle_bench.tracking.costs import FILE, Complexity
from gle_bench.tracking.record import Part, Record
from gle_bench.tracking.store import RunFolder
from gle_bench.words import Integrator

STEPS, BATCH = 7, 3


def stack(*widths: int, integrator: Integrator = "euler", phi: str = "tanh", dt: float = 0.1) -> Network:
    """A network of layers of these widths with a linear output; layers of equal width form one block."""
    layers = [Layer(below, above, (0.5,) * above, (0.3,) * above, phi) for below, above in pairwise(widths[:-1])]
    layers.append(Layer(widths[-2], widths[-1], (0.2,), (0.2,), "identity"))
    return Network(tuple(layers), dt, integrator=integrator)


def drawn(network: Network, seed: int = 0) -> Parameters:
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    weights = [normal(layer.neurons, layer.inputs) for layer in network.layers]
    return initial_parameters(network, weights, [normal(layer.neurons) for layer in network.layers])


def signal(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def echo(t: int, inputs: Tensor, outputs: Tensor) -> Tensor:
    """The feedback of a loop that closes after two steps: each output is the input of the next step."""
    return outputs[:, :, -1] if t > 2 else inputs[:, :, t].expand(len(outputs), -1, -1)


# What NeuroBench is shown is what runs -----------------------------------------------------------------------------


@pytest.mark.parametrize("integrator", ["euler", "exponential", "rk4"])
@pytest.mark.parametrize("feedback", [None, echo])
def test_an_exhibit_answers_as_the_network_does(integrator: Integrator, feedback: Any) -> None:
    network = stack(2, 4, 4, 4, 2, integrator=integrator)
    parameters, samples = drawn(network), signal(BATCH, STEPS, 2)
    state = zero_state(network, parameters, BATCH)
    window = Window(STEPS, samples[None], None, None)
    _, outputs = TorchEngine().infer(network, parameters, state, window, errors=False, feedback=feedback)
    torch.testing.assert_close(gle_exhibit(network, parameters, feedback)(samples), outputs[0], rtol=0, atol=1e-12)


def test_a_connection_is_given_what_the_layer_below_gives() -> None:
    """Neurons with tau_m = tau_r answer at once, so that their rates can be told from what their connection is given:
    those of step n are what the next layer is given in step n + 1."""
    layers = (Layer(2, 3, (0.3,), (0.3,), "tanh"), Layer(3, 3, (0.3,), (0.3,), "tanh"), Layer(3, 1, (0.3,), (0.3,)))
    network = Network(layers, 0.1)
    exhibit, samples = gle_exhibit(network, drawn(network)), signal(BATCH, STEPS, 2)
    given: list[Tensor] = []
    for connection in exhibit.connections:
        connection.register_forward_pre_hook(lambda _, inputs: given.append(inputs[0]))
    exhibit(samples)
    torch.testing.assert_close(given[0], samples.transpose(0, 1))
    assert not given[1][0].any()
    assert not given[2][0].any()
    for below, above, connection in zip(given, given[1:], exhibit.connections, strict=False):
        torch.testing.assert_close(above[1:], torch.tanh(connection(below))[:-1])


def test_an_exhibit_has_the_networks_own_parameters() -> None:
    network = stack(2, 4, 4, 1)
    parameters = drawn(network)
    exhibit = gle_exhibit(network, parameters)
    weights = [layer.weight for layer in exhibit.connections]
    assert [tuple(weight.shape) for weight in weights] == [(4, 2), (4, 4), (1, 4)]
    assert parameters[1].weight is not None
    torch.testing.assert_close(weights[1], parameters[1].weight[0, 0])
    assert sum(buffer.numel() for buffer in exhibit.buffers()) == 2 * (4 + 4 + 1)  # tau_m and tau_r


class _Functional(nn.Module):
    """A module that uses the weights of a recurrent layer and a convolution, but never calls these layers."""

    def __init__(self) -> None:
        super().__init__()
        self.own, self.back, self.kernel = nn.Linear(2, 5).double(), nn.Linear(5, 5).double(), nn.Conv1d(2, 3, 2)
        self.kernel.double()

    def forward(self, inputs: Tensor) -> Tensor:
        weight, bias = torch.cat([self.own.weight[:2], self.own.weight[2:]]), self.own.bias
        state = (0 * self.back.bias).expand(len(inputs), 5).clone()
        state.add_(0 * inputs[:, 0, :1])  # made of weights alone no more
        driven = nn.functional.linear(inputs.transpose(0, 1), weight, bias)  # a batched product
        for x in driven:
            state.copy_((x + state @ self.back.weight.t()).tanh())
        state += self.back.weight.new_zeros(len(inputs), 5) @ self.back.weight  # zeros, but not made of its values
        filtered = nn.functional.conv1d(inputs.mT, self.kernel.weight, padding=1).relu()
        return torch.cat([state, filtered.mean(2)], 1)


def test_a_trace_finds_every_product_with_weights() -> None:
    model, samples = _Functional(), signal(BATCH, STEPS, 2)
    exhibit = traced_exhibit(model, samples)
    torch.testing.assert_close(exhibit(samples), model(samples))
    with torch.no_grad(), FlopCounterMode(display=False) as really:
        model(samples)
    with torch.no_grad(), FlopCounterMode(display=False) as shown:
        exhibit(samples)
    assert shown.get_total_flops() == really.get_total_flops() > 0
    assert sum(isinstance(part, nn.Conv1d) for part in exhibit.modules()) == 1
    assert len(exhibit.neurons) == STEPS + 1  # tanh in each step, and ReLU once


def test_a_trace_does_not_look_inside_pytorchs_own_cells() -> None:
    samples = signal(BATCH, STEPS, 2)
    model = nn.Sequential(nn.GRU(2, 3, batch_first=True).double())
    first = Evaluated(model, lambda inputs: model(inputs)[0].relu())
    exhibit = traced_exhibit(first, samples)
    assert len(exhibit.neurons) == 1
    assert not model[0]._forward_hooks
    assert not model[0]._forward_pre_hooks


# Our own count ------------------------------------------------------------------------------------------------------


def test_our_own_count_has_every_traversal() -> None:
    macs, neurons = 2 * 4 + 4 * 1, 4 + 1
    assert online_counts(stack(2, 4, 1), 10) == (10 * macs, 10 * neurons)
    assert online_counts(stack(2, 4, 1, integrator="exponential"), 10) == (10 * macs, 10 * neurons)
    assert online_counts(stack(2, 4, 1, integrator="rk4"), 10) == (40 * macs, 40 * neurons)


def test_state_updates_of_what_learns_offline() -> None:
    assert state_updates(nn.Sequential(nn.Linear(2, 3), nn.ReLU()), 10, streamed=False) == 0
    assert state_updates(nn.Sequential(nn.LSTM(2, 3, bidirectional=True)), 10, streamed=True) == 60
    assert state_updates(nn.Sequential(nn.LSTMCell(2, 3)), 10, streamed=True) == 30
    assert state_updates(_Functional(), 10, streamed=True) is None


# What is kept, and what is said where there is nothing --------------------------------------------------------------

COUNTED = Complexity(
    harness="2.3.0",
    ended=None,
    split="test",
    samples=4,
    steps=10,
    footprint=1000,
    connection_sparsity=0.0,
    activation_sparsity=None,
    dense=120.0,
    effective_macs=100.0,
    effective_acs=0.0,
    macs=120.0,
    state_updates=50,
)


def test_what_is_kept_belongs_to_one_run(tmp_path: Path) -> None:
    folder, record = RunFolder(tmp_path), example(0)
    complexity.write(folder, COUNTED)
    assert complexity.read(folder, record) == COUNTED
    part = Part(started=datetime(2026, 1, 1, tzinfo=UTC), ended=datetime(2026, 1, 2, tzinfo=UTC), host="here", pid=1)
    anew = example(0, lineage=(part,))
    assert complexity.read(folder, anew) is None  # the run was made anew since
    complexity.write(folder, COUNTED.model_copy(update={"ended": part.ended}))
    assert complexity.read(folder, anew) is not None
    (tmp_path / FILE).write_text('{"harness": "2.3')
    assert complexity.read(folder, record) is None


def test_what_cannot_be_counted_is_said_in_a_sentence(tmp_path: Path) -> None:
    folder, data = RunFolder(tmp_path), tmp_path / "data"
    assert "is diverged" in str(counting.of_run(folder, example(0, status="diverged"), data))
    assert "last.ckpt" in str(counting.of_run(folder, example(0), data))
    (tmp_path / "last.ckpt").touch()
    assert "another version" in str(counting.of_run(folder, example(0), data))
    assert not (tmp_path / FILE).exists()


def test_the_sentences_say_what_differs() -> None:
    def said(**changes: Any) -> str:
        return " ".join(differences(COUNTED.model_copy(update=changes)))

    assert "Dense operations are our MACs" in said()
    assert "leave out the 20 with a zero" in said()
    assert "50 state updates" in said()
    assert "4 times a step" not in said()
    assert "4 times a step" in said(stages=4)
    assert "30 more than our MACs" in said(dense=150.0)
    assert "they are ACs" in said(effective_acs=10.0)
    assert "an unknown number of state updates" in said(state_updates=None)
    assert "products with weights that PyTorch did" in said(traced=True)


def test_the_board_has_the_costs_of_what_was_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "published_runs", lambda: tmp_path / "none")
    records = [example(seed) for seed in range(3)]
    for record in records:
        RunFolder(tmp_path / "runs" / f"seed-{record.seed}").write(record)
    assert results_table(registry.task("mnist1d"), records).content["costs"] == []
    assert "What running a network costs" not in markdown(table("mnist1d", tmp_path / "runs")[0])
    for record, dense in zip(records[:2], (120.0, 140.0), strict=True):
        counted = COUNTED.model_copy(update={"dense": dense})
        complexity.write(RunFolder(tmp_path / "runs" / f"seed-{record.seed}"), counted)
    built, _ = table("mnist1d", tmp_path / "runs")
    (costs,) = json.loads(json.dumps(built.content, allow_nan=False))["costs"]
    assert (costs["seeds"], costs["dense"], costs["macs"], costs["activation_sparsity"]) == (2, 13.0, 12.0, None)
    assert costs["state_updates"] == 5.0
    text = markdown(built)
    assert "What running a network costs" in text
    assert "1,000" in text
    assert max(map(len, text.splitlines())) <= 140


# NeuroBench itself ----------------------------------------------------------------------------------------------------


def test_why_our_macs_and_its_synaptic_operations_differ() -> None:
    """Two inputs, three neurons, one output, for seven steps: 2 x 3 + 3 x 1 = 9 multiply-accumulates a step.

    Dense synaptic operations are our MACs, in every step; biases count in neither. Effective ones are fewer by the
    products with a zero: the second input is silent, which costs 3 products a step; the hidden rates are zero in the
    first step, before anything has come through, which costs 3 once; and one weight of the output is zero, which costs
    1 product in each of the other 6 steps. The 3 + 1 neurons' state updates a step are counted by us alone: nothing
    that NeuroBench says depends on them.
    """
    network = stack(2, 3, 1)
    (hidden, output), samples = drawn(network), signal(1, STEPS, 2)
    assert output.weight is not None
    output.weight[0, 0, 0, 1] = 0.0
    samples[:, :, 1] = 0.0
    found = harness.workload(gle_exhibit(network, (hidden, output)), samples, [Activated])
    assert found is not None
    macs, updates = online_counts(network, STEPS)
    assert macs == 9 * STEPS
    assert found.dense == macs
    assert found.effective_macs == macs - 3 * STEPS - 3 - 1 * (STEPS - 1)
    assert found.effective_acs == 0
    assert updates == 4 * STEPS
    assert found.activation_sparsity == 1 / STEPS  # the hidden rates of the first step; outputs are no activations
    assert harness.connection_sparsity(gle_exhibit(network, (hidden, output))) == round(1 / 9, 4)
    assert harness.footprint(gle_exhibit(network, (hidden, output))) == 8 * (9 + 4 + 2 * 4)  # W, b, tau_m and tau_r


def test_four_traversals_a_step_are_seen() -> None:
    network = stack(2, 3, 3, 1, integrator="rk4")
    found = harness.workload(gle_exhibit(network, drawn(network)), signal(2, STEPS, 2), [Activated])
    assert found is not None
    assert found.dense == online_counts(network, STEPS)[0] == 4 * STEPS * (6 + 9 + 3)


def test_inputs_of_zeros_and_ones_make_accumulations() -> None:
    network = stack(2, 3, 1)
    spikes = (signal(2, STEPS, 2) > 0).double()
    found = harness.workload(gle_exhibit(network, drawn(network)), spikes, [Activated])
    assert found is not None
    assert found.effective_acs == 3 * spikes.sum() / 2
    assert found.effective_macs == 3 * (STEPS - 1)


def test_our_call_of_the_metrics_is_neurobenchs_own() -> None:
    from neurobench.benchmarks import Benchmark
    from neurobench.metrics.static import ConnectionSparsity, Footprint
    from neurobench.metrics.workload import ActivationSparsity, SynapticOperations
    from neurobench.models import TorchModel
    from torch.utils.data import DataLoader, TensorDataset

    network, samples = stack(2, 5, 5, 1, phi="relu"), signal(4, STEPS, 2)
    exhibit = gle_exhibit(network, drawn(network))
    model = TorchModel(exhibit)
    model.add_activation_module(Activated)
    metrics = [[Footprint, ConnectionSparsity], [ActivationSparsity, SynapticOperations]]
    loader = DataLoader(TensorDataset(samples, samples), batch_size=2)
    with torch.no_grad():
        theirs = Benchmark(model, loader, [], [], metrics).run(quiet=True)
    ours = harness.workload(exhibit, samples, [Activated])
    assert ours is not None
    assert ours.activation_sparsity == pytest.approx(theirs["ActivationSparsity"])
    assert ours.activation_sparsity > 0.1
    operations = theirs["SynapticOperations"]
    assert (ours.dense, ours.effective_macs, ours.effective_acs) == (
        operations["Dense"],
        operations["Effective_MACs"],
        operations["Effective_ACs"],
    )
    assert harness.footprint(exhibit) == theirs["Footprint"]
    assert harness.connection_sparsity(exhibit) == theirs["ConnectionSparsity"]


def test_what_neurobench_cannot_watch_is_told_from_what_costs_nothing() -> None:
    samples = signal(2, STEPS, 2)
    assert harness.workload(_Functional(), samples) is None
    gru = nn.GRU(2, 3, batch_first=True).double()
    assert harness.workload(Evaluated(gru, lambda inputs: gru(inputs)[0]), samples) is None
    linear = harness.workload(nn.Linear(2, 3).double(), samples)
    assert linear is not None
    assert linear.dense == 2 * 3 * STEPS
    assert linear.activation_sparsity is None
    traced = harness.workload(traced_exhibit(_Functional(), samples), samples, [Activated])
    assert traced is not None
    convolved = 2 * 2 * 3 * (STEPS + 1) - 2 * 2 * 3  # without the padding at both ends
    assert traced.dense == STEPS * (2 * 5 + 5 * 5) + 5 * 5 + convolved
    assert traced.effective_macs == traced.dense - 2 * 5 * 5  # the first state is zero


def _counted(folder: RunFolder, record: Record) -> Complexity | str:
    """The costs of a run, as `glebench show` passes them to `describe`."""
    return counting.of_run(folder, record, data_folder(None))


@pytest.mark.parametrize(
    ("task", "model"), [("toy-signal", "toy-gle"), ("toy-loop", "toy-gle"), ("toy-classes", "toy-mlp")]
)
def test_a_run_is_counted_once(task: str, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "published_runs", lambda: tmp_path / "none")
    monkeypatch.setenv("GLEBENCH_DATA", str(tmp_path / "data"))
    (record,) = run(configured(task, model, budget="smoke"), [3], tmp_path)
    described = json.loads(json.dumps(show.describe(record.run_id, tmp_path, _counted), allow_nan=False))
    found, kept = described["complexity"], seed_folder(tmp_path, 3).path / FILE
    assert kept.exists()
    assert record.cost.macs == found["macs"] == found["dense"]
    assert found["effective_macs"] + found["effective_acs"] <= found["dense"]
    assert found["steps"] == 10
    assert found["state_updates"] == (0 if model == "toy-mlp" else 10 * (6 + 6 + (3 if "classes" in task else 1)))
    size = sum(weight.numel() for weight in _tensors(checkpoint(tmp_path, 3)["member"], online=model == "toy-gle"))
    assert found["footprint"] == 4 * size
    text = show.as_text(described)
    assert f"{found['footprint']:,} bytes" in text
    assert " ".join(differences(Complexity.model_validate(found))[0].split()) in " ".join(text.split())
    monkeypatch.setattr(counting, "compute", _never)
    assert show.describe(record.run_id, tmp_path, _counted)["complexity"] == found


def _never(*arguments: Any) -> Complexity:
    raise AssertionError("it was counted before")


def _tensors(member: Any, online: bool) -> list[Tensor]:
    if not online:
        return list(member["model"].values())
    return [tensor for block in member["parameters"] for tensor in block if tensor is not None]


def test_missing_and_other_data_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (record,) = run(configured("toy-signal", "toy-gle", budget="smoke"), [3], tmp_path)
    folder = seed_folder(tmp_path, 3)
    other = record.model_copy(update={"data": record.data.model_copy(update={"fingerprint": "0" * 64})})
    digest = run_hash(configured("toy-signal", "toy-gle", budget="smoke"), "0" * 64)
    with pytest.raises(GleBenchError, match="are not those that the run learned from"):
        counting.compute(folder, other.model_copy(update={"config_hash": digest}), tmp_path / "data")
    monkeypatch.setattr(type(registry.task("toy-signal")), "is_prepared", lambda *arguments: False)
    with pytest.raises(GleBenchError, match="glebench prepare toy-signal"):
        counting.compute(folder, record, tmp_path / "data")


def _offline(model: str, *assignments: str, task: str = "mnist1d") -> tuple[nn.Module, Tensor]:
    config = configured(task, model, *assignments)
    shape = registry.task(task).shape(config.options)
    return config.network.build(shape, 0).double().eval(), signal(2, shape.steps, shape.inputs)


@pytest.mark.parametrize("model", ["mlp", "mlp-0", "gru-0", "esn"])
def test_baselines_dense_operations_are_their_macs(model: str) -> None:
    """For baselines without padding, whether NeuroBench can hook into them or not."""
    module, samples = _offline(model)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        module(samples)
    found = harness.workload(traced_exhibit(module, samples), samples, [Activated])
    assert found is not None
    assert found.dense == counter.get_total_flops() / 4


def _names() -> Sequence[str]:
    return list(registry.places("tasks"))


@pytest.mark.skipif("mackey-glass" not in _names(), reason="the task is not there")
@pytest.mark.parametrize(
    ("model", "footprint", "sparsity", "dense"),
    [("esn", 281_248, 0.876, 186 * (186 + 2) + 188), ("lstm-100", 490_008, 0.0, 400 * (50 + 100) + 3 * 100 + 100)],
)
def test_neurobenchs_own_baselines_cost_what_its_board_says(
    model: str, footprint: int, sparsity: float, dense: int
) -> None:
    """Footprint and connection sparsity equal the board's; operations are those of a step, three for an LSTM unit."""
    module, samples = _offline(model, task="mackey-glass")
    with torch.no_grad():
        module.readout.weight.fill_(1)  # that of the ESN is zero before it is learned
    assert harness.footprint(module) == footprint
    assert harness.connection_sparsity(module) == pytest.approx(sparsity, abs=0.006)  # drawn
    whole, first = (harness.workload(module, samples[:, :steps]) for steps in (21, 1))
    assert whole is not None
    assert first is not None  # a cell's first step lacks its recurrent products
    assert (whole.dense - first.dense) / 20 == dense


@pytest.mark.skipif("mackey-glass" not in _names(), reason="the task is not there")
def test_smape_is_neurobenchs(tmp_path: Path) -> None:
    from neurobench.metrics.workload import SMAPE

    config = configured("mackey-glass", "esn")
    task = registry.task("mackey-glass")
    split = task.load(tmp_path, config.options, "paper", 0).splits["test"]
    batch = split.fetch(torch.arange(1), 0, 0)
    decisions = batch.targets + 0.3 * signal(*batch.targets.shape)
    ours = task.measure(decisions, batch)["smape"].item()
    assert batch.mask is not None
    scored = batch.mask[0, 0].flatten() > 0
    raw = [0.93 + 0.2265 * x[0, 0, scored] for x in (decisions.double(), batch.targets.double())]
    assert ours == pytest.approx(SMAPE()(None, raw[0], (None, raw[1])), abs=1e-6)
    assert 5 < ours < 100
