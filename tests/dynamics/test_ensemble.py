"""Tests of ensembles, whose members' results do not depend on each other, of optimizers, and of flat vectors."""

from pathlib import Path
from typing import Any

import pytest
import torch
from networks import FIXED, layerwise, make_batch, make_network, make_parameters, member, normal
from torch import Tensor

from gle_bench.dynamics.engines.interface import start
from gle_bench.dynamics.engines.torch import TorchEngine
from gle_bench.dynamics.ensemble import Carry, ensemble_size, from_plain, join, pack, select, to_plain, unpack
from gle_bench.dynamics.network import Network
from gle_bench.dynamics.optimizers import Optimizer
from gle_bench.errors import UsageError
from gle_bench.rules.gle import GLE

MEMBERS, BATCH = 3, 4
TORCH = TorchEngine()
OPTIMIZERS = pytest.mark.parametrize("kind", ["adam", "sgd"])


@pytest.fixture(params=["fixed taus", "taus"])
def network(request: pytest.FixtureRequest) -> Network:
    """A network with plastic time constants, and one without, which more engines can run."""
    return learning() if request.param == "taus" else make_network((2, 4, 4, 4, 3))


def learning() -> Network:
    return make_network((2, 4, 4, 4, 3), learn_tau_m=True, learn_tau_r=True, tau_range=(0.2, 5.0))


def started(network: Network, kind: str = "adam", members: int = MEMBERS, seed: int = 0) -> Carry:
    return start(network, make_parameters(network, seed, members), Optimizer(kind), BATCH)


def trained(
    network: Network,
    carry: Carry,
    rates: Any,
    kind: str = "adam",
    steps: int = 20,
    engine: Any = TORCH,
    **options: Any,
) -> Any:
    """The carry and the outputs after a batch, with data of its own for every member."""
    members = ensemble_size(carry.parameters)
    batch = make_batch(network, steps, BATCH, members=members)
    rate = torch.tensor(rates, dtype=torch.float64).expand(members)
    return engine.learn(network, GLE(), Optimizer(kind), carry, batch, rate, **options)


def tensors_of(carry: Carry) -> list[Tensor]:
    blocks = [*carry.parameters, *carry.state]
    return [x for block in blocks for x in block if x is not None] + [carry.optimizer.mean, carry.optimizer.square]


def same(a: Carry, b: Carry, tolerance: float = 0.0) -> bool:
    assert a.optimizer.updates == b.optimizer.updates
    pairs = zip(tensors_of(a), tensors_of(b), strict=True)
    return all(torch.allclose(x, y, rtol=0, atol=tolerance, equal_nan=True) for x, y in pairs)


@pytest.mark.parametrize(("kind", "steps"), [("adam", 360), ("sgd", 40)])
def test_a_members_result_does_not_depend_on_its_company(engine: Any, network: Network, kind: str, steps: int) -> None:
    """Three networks, each with its own data and rate, are compared with each network alone."""
    rates = [0.01, 0.003, 0.0]
    carry = started(network, kind)
    batch = make_batch(network, steps, BATCH, members=MEMBERS)
    optimizer = Optimizer(kind)
    together, outputs = engine.learn(network, GLE(), optimizer, carry, batch, torch.tensor(rates).double())
    assert outputs.shape == (MEMBERS, BATCH, steps, 3)
    for number in range(MEMBERS):
        lone = batch._replace(inputs=batch.inputs[number, None], target=batch.target[number, None])
        rate = torch.tensor(rates[number : number + 1]).double()
        alone, output = engine.learn(network, GLE(), optimizer, select(network, carry, [number]), lone, rate)
        torch.testing.assert_close(output[0], outputs[number], rtol=0, atol=1e-10)
        assert same(alone, select(network, together, [number]), 1e-10)


def test_shared_data_equal_the_same_data_for_each(engine: Any, network: Network) -> None:
    carry, rates = started(network), torch.full((MEMBERS,), 0.01, dtype=torch.float64)
    shared = make_batch(network, 20, BATCH)
    repeated = shared._replace(inputs=shared.inputs.repeat(3, 1, 1, 1), target=shared.target.repeat(3, 1, 1, 1))
    (a, x), (b, y) = (engine.learn(network, GLE(), Optimizer(), carry, batch, rates) for batch in (shared, repeated))
    assert torch.equal(x, y)
    assert same(a, b)


@OPTIMIZERS
def test_members_are_taken_out_and_put_together(kind: str) -> None:
    network = learning()
    carry, _ = trained(network, started(network, kind), 0.01, kind)
    carry = carry._replace(memory=(normal(MEMBERS, 2, seed=1), normal(MEMBERS, 5, 1, seed=2)))
    parts = [select(network, carry, [number]) for number in range(MEMBERS)]
    whole = join(network, parts)
    assert same(whole, carry)
    assert all(torch.equal(a, b) for a, b in zip(whole.memory, carry.memory, strict=True))
    assert same(join(network, [select(network, carry, [2, 0]), parts[1]]), select(network, carry, [2, 0, 1]))
    for number, part in enumerate(parts):
        for ours, theirs in zip(part.state, member(carry.state, number), strict=True):
            assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_what_is_taken_out_is_a_copy_and_goes_on_alike() -> None:
    network = learning()
    carry, _ = trained(network, started(network), 0.01)
    part = select(network, carry, [1])
    storages = {tensor.untyped_storage().data_ptr() for tensor in tensors_of(carry)}
    assert not storages & {tensor.untyped_storage().data_ptr() for tensor in tensors_of(part)}


def test_ensembles_of_different_age_are_not_joined() -> None:
    network = learning()
    young = started(network)
    old, _ = trained(network, young, 0.01)
    with pytest.raises(ValueError, match="different numbers of updates"):
        join(network, [young, old])


@OPTIMIZERS
def test_a_carry_survives_a_file(kind: str, tmp_path: Path) -> None:
    """Absent parts (biases of a layer, moments of SGD) survive too, and the run continues bit-identical."""
    network = make_network((2, 4, 4, 3), layers=[{"connection": FIXED}, {}, {"bias": False}])
    carry, _ = trained(network, started(network, kind), 0.01, kind)
    carry = carry._replace(memory=(normal(MEMBERS, 2, seed=1),))
    torch.save(to_plain(carry), tmp_path / "carry.pt")
    back = from_plain(torch.load(tmp_path / "carry.pt", weights_only=True))
    assert same(back, carry)
    assert torch.equal(back.memory[0], carry.memory[0])
    assert back.parameters[-1].bias is None
    (a, x), (b, y) = (trained(network, c, 0.01, kind) for c in (back, carry))
    assert torch.equal(x, y)
    assert same(a, b)


def test_packing_is_undone_by_unpacking() -> None:
    network = make_network((2, 4, 4, 4, 3), layers=[{"connection": FIXED}, {}, {}, {"bias": False}], learn_tau_m=True)
    parameters = make_parameters(network, members=2)
    flat = pack(network, parameters)
    assert flat.numel() == 2 * (2 * (16 + 4 + 4) + 12 + 3)  # two layers of 4 x 4 with bias and tau_m; the output
    back = unpack(network, flat, parameters)
    for old, new in zip(parameters, back, strict=True):
        assert all(a is b is None or torch.equal(a, b) for a, b in zip(old, new, strict=True))
    flat.zero_()
    assert not back[1].weight.any()
    assert back[0].weight is parameters[0].weight


def test_each_member_has_its_rate_and_rates_decay(engine: Any) -> None:
    network = make_network((2, 3))
    carry = started(network, "sgd")
    after, _ = trained(network, carry, [0.0, 0.01, 0.02], "sgd", engine=engine)
    assert torch.equal(after.parameters[0].weight[:, 0], carry.parameters[0].weight[:, 0])
    assert not torch.equal(after.parameters[0].weight[:, 1], carry.parameters[0].weight[:, 1])
    decayed, _ = trained(network, carry, [0.01, 0.01, 0.02], "sgd", steps=6, engine=engine, decay=0.5)
    batch, stepwise = make_batch(network, 6, BATCH, members=MEMBERS), carry
    for t in range(6):
        rates = torch.tensor([0.01, 0.01, 0.02], dtype=torch.float64) * 0.5**t
        stepwise, _ = engine.learn(network, GLE(), Optimizer("sgd"), stepwise, batch.part(t, t + 1), rates)
    assert same(decayed, stepwise, 1e-14)


@OPTIMIZERS
def test_a_diverged_member_leaves_the_others_alone(engine: Any, network: Network, kind: str) -> None:
    healthy = started(network, kind)
    weight = healthy.parameters[0].weight.clone()
    weight[:, 1] = torch.nan
    sick = healthy._replace(parameters=(healthy.parameters[0]._replace(weight=weight), *healthy.parameters[1:]))
    (good, x), (bad, y) = (trained(network, carry, 0.01, kind, engine=engine) for carry in (healthy, sick))
    assert y[1, :, 3:].isnan().any()
    torch.testing.assert_close(x[[0, 2]], y[[0, 2]], rtol=0, atol=1e-12)
    assert same(select(network, good, [0, 2]), select(network, bad, [0, 2]), 1e-12)


@OPTIMIZERS
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_optimizers_are_torchs(kind: str, dtype: torch.dtype) -> None:
    flat, gradients = normal(40, seed=0).to(dtype), normal(50, 40, seed=1).to(dtype)
    theirs = flat.clone().requires_grad_()
    oracle = torch.optim.Adam([theirs], lr=0.01) if kind == "adam" else torch.optim.SGD([theirs], lr=0.01)
    optimizer, rate = Optimizer(kind), torch.full_like(flat, 0.01)
    state = optimizer.start(flat)
    for gradient in gradients:
        theirs.grad = gradient.clone()
        oracle.step()
        state = optimizer.update(flat, gradient, state, rate)
    tolerance = 1e-14 if dtype == torch.float64 else 1e-6
    torch.testing.assert_close(flat, theirs.detach(), rtol=0, atol=tolerance)
    assert state.updates == 50


def test_unknown_optimizers_are_refused() -> None:
    with pytest.raises(UsageError, match="optimizer 'adma' is unknown"):
        Optimizer("adma")


@pytest.mark.parametrize(
    "chosen", [{"learn_tau_m": True}, {"learn_tau_r": True}, {"learn_tau_m": True, "learn_tau_r": True}]
)
def test_learnt_time_constants_stay_in_their_range_and_others_as_they_are(engine: Any, chosen: dict[str, bool]) -> None:
    """A large rate drives them to both ends; those of a fixed layer, out of range from the start, never change."""
    layers: list[dict[str, Any]] = [{"connection": FIXED}, {}, {}]
    network = make_network((2, 4, 4, 3), layers=layers, tau_range=(0.5, 0.9), **chosen)
    carry = started(network)
    before = [tensor.clone() for tensor in tensors_of(carry)]
    after, _ = trained(network, carry, 0.05, steps=60, engine=engine)
    assert all(torch.equal(a, b) for a, b in zip(before, tensors_of(carry), strict=True))
    pairs = zip(layerwise(network, carry.parameters), layerwise(network, after.parameters), strict=True)
    for number, (old, new) in enumerate(pairs):
        for name in ("tau_m", "tau_r"):
            if number > 0 and chosen.get(f"learn_{name}"):
                assert new[name].min() >= 0.5
                assert new[name].max() <= 0.9
                assert not torch.equal(new[name], old[name].clamp(0.5, 0.9))
            else:
                assert torch.equal(new[name], old[name])
