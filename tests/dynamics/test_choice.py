"""Tests of the choice of an engine, and of the reason that records give for it."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from networks import make_network
from toy_runs import configured

from gle_bench.chosen import resolved
from gle_bench.contracts import OnlineRule
from gle_bench.dynamics.engines import choice
from gle_bench.dynamics.engines.choice import Choice
from gle_bench.dynamics.engines.interface import EngineRequest
from gle_bench.dynamics.feedback import DelayedFeedback
from gle_bench.dynamics.rule import RuleRequest
from gle_bench.errors import UsageError
from gle_bench.rules.gle import GLE
from gle_bench.training.experiment import Experiment
from gle_bench.training.plan import choose_engine

ALL = frozenset(choice.ENGINES)
NO_GPU, NO_LIBRARY = "there is no GPU", "it is not built here"
Refusal = Callable[[EngineRequest], str | None]


class Fake:
    """An engine whose refusal a test sets."""

    threads_matter = False

    def __init__(self, name: str, refusal: Refusal) -> None:
        self.name, self.refusal = name, refusal


@pytest.fixture
def refusals(monkeypatch: pytest.MonkeyPatch) -> dict[str, Refusal]:
    """The answers of all engines to a request, which tests change; at first all engines accept it."""
    answers: dict[str, Refusal] = dict.fromkeys(choice.ENGINES, lambda request: None)
    monkeypatch.setattr(choice, "make", lambda name: Fake(name, answers[name]))
    return answers


def request(**options: Any) -> EngineRequest:
    given = {"device": "cpu", "dtype": torch.float32, "feedback": None}
    return EngineRequest(**{"network": make_network((2, 3)), "rule": GLE(), **given, **options})


def limited(names: frozenset[str]) -> GLE:
    """The rule GLE with these engines alone."""

    class Limited(GLE):
        engines = names

    return Limited()


def test_the_table_goes_from_the_fastest_to_the_one_that_runs_everything() -> None:
    assert list(choice.ENGINES) == ["graph", "native", "torch"]  # as the fixture `engine` has them, too
    assert choice.make("torch").name == "torch"
    assert choice.make("torch").refusal(request()) is None
    assert choice.make("torch").threads_matter
    assert choice.absence("torch") is None


def test_auto_takes_the_first_that_can_and_says_why_not_another(refusals: dict[str, Refusal]) -> None:
    assert choice.choose("auto", request()) == ("graph", "auto: graph is the fastest that can run this")
    refusals["graph"] = lambda request: NO_GPU if request.device == "cpu" else None
    assert choice.choose("auto", request(device="cuda")).engine == "graph"
    assert choice.choose("auto", request()) == (
        "native",
        "auto: native is the fastest that can run this; graph: there is no GPU",
    )
    refusals["native"] = lambda request: NO_LIBRARY
    assert choice.choose("auto", request()) == (
        "torch",
        "auto: torch is the fastest that can run this; graph: there is no GPU; native: it is not built here",
    )


def test_a_rule_runs_on_the_engines_that_it_names(refusals: dict[str, Refusal]) -> None:
    chosen = choice.choose("auto", request(rule=limited(frozenset({"torch"}))))
    unnamed = "graph: rule 'gle' does not support it; native: rule 'gle' does not support it"
    assert chosen == ("torch", f"auto: torch is the fastest that can run this; {unnamed}")
    assert choice.choose("auto", request(rule=limited(frozenset({"native", "torch"})))).engine == "native"
    with pytest.raises(UsageError, match=r"^--engine native: rule 'gle' does not support it; use --engine auto\.$"):
        choice.choose("native", request(rule=limited(frozenset({"torch"}))))
    with pytest.raises(
        UsageError, match=r"^--engine auto: no engine can run this \(graph: rule 'gle' [^\n]+ --rule\.$"
    ):
        choice.choose("auto", request(rule=limited(frozenset())))


def test_a_rule_that_does_not_say_that_it_can_is_given_no_ordered_layers() -> None:
    class OfItsOwn(OnlineRule):
        name, engines = "test-own", ALL

        def learn(self, *arguments: Any) -> Any:
            raise AssertionError("nothing is to be learned")

    def asked(rule: OnlineRule, **changes: Any) -> str | None:
        return rule.refused(RuleRequest(make_network((2, 3), **changes), 5, 4, 1, 8))

    assert asked(OfItsOwn()) is None
    assert asked(GLE(), integrator="exponential") is None
    reason = asked(OfItsOwn(), integrator="exponential")
    assert reason is not None
    assert reason.startswith("it does not support integrator = 'exponential'; choose 'euler'")


def test_a_rule_with_a_refusal_of_its_own_is_given_no_ordered_layers_either() -> None:
    class Unordered(GLE):
        ordered = False

    ordered = RuleRequest(make_network((2, 3), integrator="exponential"), 5, 4, 1, 8)
    assert GLE().refused(ordered) is None
    assert str(Unordered().refused(ordered)).startswith("it does not support integrator = 'exponential'; ")


def test_an_engine_that_is_asked_for_runs_or_is_refused(refusals: dict[str, Refusal]) -> None:
    for name in choice.ENGINES:
        assert choice.choose(name, request()) == (name, "chosen by --engine")
        refusals[name] = lambda request: NO_GPU
        with pytest.raises(UsageError, match=f"^--engine {name}: there is no GPU; use --engine auto\\.$"):
            choice.choose(name, request())


def test_a_closed_loop_may_be_refused(refusals: dict[str, Refusal]) -> None:
    refusals["graph"] = refusals["native"] = lambda request: (
        "it closes no loop" if request.feedback is not None else None
    )
    assert choice.choose("auto", request()).engine == "graph"
    chosen = choice.choose("auto", request(feedback=DelayedFeedback(1, (0, 1), 1)))
    assert chosen.engine == "torch"
    assert chosen.reason.endswith("graph: it closes no loop; native: it closes no loop")


@pytest.mark.parametrize("choose", [lambda name: choice.choose(name, request()), choice.choose_offline])
def test_unknown_names_bring_a_suggestion(choose: Callable[[str], Any]) -> None:
    with pytest.raises(UsageError, match=r"^Unknown engine 'nativ'\. Did you mean 'native'\? Engines: auto, graph, "):
        choose("nativ")


def test_what_learns_offline_learns_by_torch(refusals: dict[str, Refusal]) -> None:
    assert choice.choose_offline("auto") == choice.choose_offline("torch") == ("torch", choice.OFFLINE)
    with pytest.raises(UsageError, match=r"^--engine graph: the model learns offline[^\n]+ use --engine auto\.$"):
        choice.choose_offline("graph")


# What is asked of them ----------------------------------------------------------------------------------------------


def experiment(task: str, model: str, rule: str, *assignments: str) -> Experiment:
    return Experiment.of(resolved(configured(task, model, *assignments, rule=rule)))


def chosen_engine(experiment: Experiment, device: str) -> Choice:
    return choose_engine("auto", experiment.chosen, experiment.network, device, experiment.seams)


def asked(refusals: dict[str, Refusal], *words: str, device: str = "cpu") -> list[EngineRequest]:
    """The jobs that the fastest engine is asked to run, with the experiment that these words configure."""
    jobs: list[EngineRequest] = []
    refusals["graph"] = jobs.append
    assert chosen_engine(experiment(*words), device).engine == "graph"
    return jobs


def test_an_experiment_makes_the_job(refusals: dict[str, Refusal]) -> None:
    (found,) = asked(refusals, "toy-classes", "toy-gle", "gle", "precision=float64", device="cuda")
    assert (found.device, found.dtype, found.feedback) == ("cuda", torch.float64, None)
    assert (found.network.inputs, found.network.outputs, found.network.loss) == (2, 3, "ce")
    assert isinstance(found.rule, GLE)
    assert found.rule.engines == ALL
    (found,) = asked(refusals, "toy-loop", "toy-gle", "gle")
    assert (found.dtype, callable(found.feedback), found.network.loss) == (torch.float32, True, "mse")


def test_a_strangers_rule_runs_on_torch(refusals: dict[str, Refusal]) -> None:
    assert chosen_engine(experiment("toy-signal", "toy-gle", "toy-bptt"), "cpu").engine == "torch"
    assert chosen_engine(experiment("toy-classes", "toy-mlp", "backprop"), "cuda") == ("torch", choice.OFFLINE)


def test_what_is_derived_from_a_known_rule_is_not_known() -> None:
    """An engine would run the known rule in place of the derived one."""

    class Renamed(GLE):
        name = "test-renamed"

    class Changed(GLE):
        def learn(self, *arguments: Any) -> Any:
            return super().learn(*arguments)

    class Windowed(GLE):
        window = 2

    class Vouched(Changed):
        engines = frozenset({"torch", "graph"})

        def start(self, *arguments: Any) -> Any:
            return ()

    assert OnlineRule.engines == Changed.engines == Windowed.engines == {"torch"}
    assert GLE.engines == Renamed.engines == ALL
    assert Vouched.engines == {"torch", "graph"}
