"""Local rules for the tests, and networks in which the upper layers have no memory."""

from dataclasses import replace
from typing import Any

import torch
from networks import make_network

from gle_bench import registry
from gle_bench.dynamics.engines.sums import Gradients
from gle_bench.dynamics.engines.torch import TorchEngine
from gle_bench.dynamics.network import Network
from gle_bench.dynamics.rule import OnlineRule
from gle_bench.dynamics.seams import Seams
from gle_bench.dynamics.state import Parameters, zero_state
from gle_bench.dynamics.window import Window
from gle_bench.rules.local import LocalRule

ROWS = (
    *("gle", "instantaneous", "gle-e", "eprop", "gle-full", "instantaneous-full", "gle-e-full", "eprop-full"),
    *("gle-gain", "gle-lowpass", "gle-clipped", "rflo", "gle-fa", "gle-kp"),
)
REMEMBERING = ("gle-e", "eprop-full", "gle-gain", "rflo", "gle-fa", "gle-kp")  # every kind of memory


def local(name: str, **choices: Any) -> LocalRule:
    """The local rule of that name, with these choices in place of its own."""
    rule = registry.rule(name)
    assert isinstance(rule, LocalRule)
    return rule.with_options(rule.options(**choices))


def retrospective(network: Network, *layers: int) -> Network:
    """The network with tau_r = tau_m in every layer but these, counted from 1."""
    built = (
        layer if number in layers else replace(layer, tau_r=layer.tau_m)
        for number, layer in enumerate(network.layers, 1)
    )
    return replace(network, layers=tuple(built))


def uniform(*alphas: float, **options: Any) -> Network:
    """A network with one tau_m and tau_r a layer, of these ratios tau_r / tau_m."""
    network = make_network((2, *[4] * (len(alphas) - 1), 3), **options)
    layers = (
        replace(layer, tau_m=(0.5,), tau_r=(0.5 * alpha,)) for layer, alpha in zip(network.layers, alphas, strict=True)
    )
    return replace(network, layers=tuple(layers))


def gradients(
    rule: OnlineRule, network: Network, parameters: Parameters, window: Window, every: int | None = None
) -> Gradients:
    """The rule's gradients from a state of zeros; members have the seeds 1, 2 and so on."""
    members = sum(p.weight is not None and p.weight.shape[1] for p in parameters[:1])
    seams = Seams(seeds=tuple(range(1, members + 1)))
    state = zero_state(network, parameters, window.inputs.shape[1])
    return TorchEngine().gradients(network, rule, parameters, state, window, every=every, seams=seams)


def silent_after(window: Window, steps: int) -> Window:
    """The window with a mask by which no target counts from that step on."""
    mask = torch.ones(*window.inputs.shape[:3], dtype=torch.float64) if window.mask is None else window.mask.clone()
    mask[:, :, steps:] = 0
    return window._replace(mask=mask)
