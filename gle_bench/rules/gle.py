"""The paper's learning rule: one update in each time step, from errors that are local in space and time."""

from typing import ClassVar

from gle_bench.rules.local import LocalRule


class GLE(LocalRule):
    """Generalized Latent Equilibrium, Eqs. 21-24: the network's own dynamics compute the gradient at every step."""

    name: ClassVar[str] = "gle"
