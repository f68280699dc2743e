"""What local rules refuse, from the command line: one sentence, before anything is written."""

from pathlib import Path

import pytest
import torch
from command import glebench
from local_rules import ROWS, gradients, local
from networks import make_batch, make_network, make_parameters

from gle_bench.dynamics.convolution import Convolution
from gle_bench.dynamics.network import Layer, Network
from gle_bench.dynamics.rule import RuleRequest
from gle_bench.dynamics.state import present

TOY, SERIES, TCN = ("toy-signal", "toy-gle"), ("mackey-glass", "gle"), ("mnist1d", "tcn")
ESN = ("mackey-glass", "esn")
ORDERED = "integrator = 'exponential' traverses the layers in order, and has sent = gle or instantaneous"


@pytest.mark.parametrize(
    ("pair", "rule", "assignments", "sentence"),
    [
        (
            TOY,
            "gle",
            ["sent=foo"],
            "--set: sent: Input should be 'gle', 'instantaneous', 'gain', 'lowpass' or 'clipped' (got 'foo').",
        ),
        (TOY, "gle", ["own=error"], "--set: own: Input should be 'sent' or 'trace' (got 'error')."),
        (TOY, "gle", ["feedback=W"], "--set: feedback: Input should be 'transpose', 'random', 'broadcast' or "),
        (TOY, "gle", ["delay=some"], "--set: delay: Input should be 'none', 'presynaptic' or 'full' (got 'some')."),
        (TOY, "eprop", ["signal=half"], "--set: signal: Input should be 'steady' or 'jacobian' (got 'half')."),
        (TOY, "gle", ["signal=jacobian"], "signal = jacobian needs errors without filters, not sent = gle with own"),
        (TOY, "gle-clipped", ["clip=0"], "--set: clip: Input should be greater than 0 (got 0)."),
        (TOY, "gle-gain", ["gain_time=-1"], "--set: gain_time: Input should be greater than 0 (got -1)."),
        (TOY, "gle-kp", ["decay=nan"], "--set: decay: Input should be a finite number (got 'nan')."),
        (TOY, "gle-lowpass", ["lowpass_tau=0"], "--set: lowpass_tau: Input should be greater than 0 (got 0)."),
        (
            TOY,
            "gle",
            ["gain_time=5"],
            "gain_time = 5.0 is of sent = gain, and changes nothing with sent = gle; leave it",
        ),
        (
            TOY,
            "eprop",
            ["lowpass_tau=2"],
            "lowpass_tau = 2.0 is of sent = lowpass, and changes nothing with sent = inst",
        ),
        (
            TOY,
            "gle-gain",
            ["clip=2"],
            "clip = 2.0 is of sent = clipped, and changes nothing with sent = gain; leave it",
        ),
        (
            TOY,
            "gle-fa",
            ["decay=1"],
            "decay = 1.0 is of feedback = kolen-pollack, and changes nothing with feedback = r",
        ),
        (TOY, "rflo", ["sent=gle"], "sent = gle changes nothing, because feedback = broadcast with own = trace passes"),
        (
            TOY,
            "rflo",
            ["signal=jacobian"],
            "signal = jacobian changes nothing, because feedback = broadcast with own =",
        ),
        (TOY, "eprpo", [], "Unknown rule 'eprpo'. Did you mean 'eprop'?"),
        (TCN, "rflo", [], "Rule 'rflo' needs a network that learns online; tcn learns by backprop."),
        (ESN, "gle", [], "Rule 'gle' needs a network that learns online; esn learns by readout."),
        (SERIES, "eprop", [], ORDERED),
        (SERIES, "gle-gain", [], ORDERED),
        (SERIES, "gle-kp", [], ORDERED),
        (SERIES, "gle", ["delay=full"], ORDERED),
    ],
)
def test_a_choice_or_a_rule_that_does_not_fit_is_refused(
    tmp_path: Path, pair: tuple[str, str], rule: str, assignments: list[str], sentence: str
) -> None:
    task, model = pair
    words = [word for assignment in assignments for word in ("--set", assignment)]
    refused = glebench("run", task, "--model", model, "--rule", rule, *words, "--runs", tmp_path / "runs")
    assert refused.code == 2
    assert sentence in refused.told
    assert not (tmp_path / "runs").exists()


def test_individual_traces_of_a_convolution_are_refused() -> None:
    """A trace for every weight of every position is what learned time constants would take."""
    convolution = Convolution((1, 4, 4), 2, 3)
    network = Network((Layer(*convolution.sizes, (1.0,), (0.5,), connection=convolution),), 0.1, learn_tau_m=True)
    request = RuleRequest(network, 10, 4, 1, 8)
    refusal = local("eprop").request_refusal(request)
    assert str(refusal).startswith("own = trace with time constants that learn needs a trace for every weight")
    assert "layer 1, connected by Convolution," in str(refusal)
    assert local("gle").request_refusal(request) is None
    fixed = Network(network.layers, 0.1)
    assert local("eprop").request_refusal(request._replace(network=fixed)) is None


@pytest.mark.parametrize("name", ROWS)
def test_an_option_is_refused_as_idle_just_where_learning_does_not_depend_on_it(name: str) -> None:
    network = make_network((2, 4, 5, 3))
    parameters, window = make_parameters(network), make_batch(network, 20, 3)
    plain = gradients(local(name), network, parameters, window).accumulated
    others = {"sent": "lowpass", "gain_time": 0.3, "lowpass_tau": 0.3, "clip": 1e-3}  # decay acts on updates alone
    for option, value in others.items():
        rule = local(name, **{option: value})
        if option == "sent" and rule.choices.sent == local(name).choices.sent:
            continue
        changed = gradients(rule, network, parameters, window).accumulated
        same = all(torch.equal(present(a.weight), present(b.weight)) for a, b in zip(plain, changed, strict=True))
        assert same == (rule.choices.idle is not None), option
