"""Tests of Mackey-Glass: its series against the equation and NeuroBench's, its splits, its score and its networks."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from toy_runs import configured, run, seed_folder

from gle_bench import registry
from gle_bench.contracts import Batch
from gle_bench.dynamics.engines import choice
from gle_bench.dynamics.state import zero_state
from gle_bench.dynamics.window import Window
from gle_bench.errors import GleBenchError, UsageError
from gle_bench.models.retrospective import RetrospectiveGLE
from gle_bench.recipes.mackey_glass import MEAN, POINTS, SCALE, MackeyGlassOptions

TASK = registry.task("mackey-glass")
SERIES = registry.load("gle_bench.tasks.mackey_glass.series")
NOWHERE = Path("/nonexistent")
FINE = MackeyGlassOptions(horizon=2.6)
COARSE = MackeyGlassOptions(grid="neurobench", delays=(0.0, 2 * 197 / 75), horizon=3 * 197 / 75, washout=0.6)
EVERY_GRID = pytest.mark.parametrize("options", [FINE, COARSE], ids=["fine", "neurobench"])
GRIDS = pytest.mark.parametrize("grid", POINTS)
# mg_17.npy, every tenth of its first 401 points, as the tests of a Rust crate on GitHub print them.
NEUROBENCH = (
    *(1.2667777302367338, 0.43743287972408684, 1.138314784277696, 0.6822547878629676, 1.209744811288032),
    *(0.5272135105915416, 1.1577293670002702, 0.8117818871090186, 1.0517484241185258, 0.9650070499560879),
    *(1.128432816170021, 0.863575485955921, 0.932012528298373, 1.0109251527741834, 1.0438705956863794),
    *(1.0849258913137023, 0.676406674256371, 0.9361643870757593, 0.9952256271598664, 1.078508204497474),
    *(0.7519071157645635, 1.070242195022825, 0.659400824489561, 1.2498958997447551, 0.5497633205099447),
    *(1.1366168492052453, 0.78473301011151, 1.1216505359211502, 0.923934478827487, 1.16012954421735),
    *(0.6888205033640936, 1.0819431410539697, 0.9955759922894293, 0.9168867451267748, 1.1459135352201215),
    *(0.5940000332204214, 1.0312817467890307, 0.7146114255382029, 1.293364714805231, 0.4527684139187731),
    1.1394723752805496,
)


def values(grid: str = "fine", folder: Path = NOWHERE) -> Any:
    return SERIES.series(folder, grid).values


def loaded(options: MackeyGlassOptions, protocol: Any = "paper", seed: int = 3, folder: Path = NOWHERE) -> Any:
    return TASK.load(folder, options, protocol, seed)


def batch_of(split: Any) -> Batch:
    return split.fetch(torch.arange(1), 3, 0)


def half(options: MackeyGlassOptions) -> Batch:
    return batch_of(loaded(options).splits["test"])


# The series ----------------------------------------------------------------------------------------------------------


def runge_kutta(step: float, end: float) -> Any:
    """The equation's solution by the classical Runge-Kutta scheme, with the delayed signal by Hermite's cubic."""
    lag = round(SERIES.DELAY / step)

    def slope(x: float, delayed: float) -> float:
        return SERIES.BETA * delayed / (1 + delayed**SERIES.POWER) - SERIES.GAMMA * x

    x, dx = [SERIES.PAST] * (lag + 1), [0.0] * lag + [slope(SERIES.PAST, SERIES.PAST)]
    for i in range(round(end / step)):
        middle = x[i] if i < lag else (x[i] + x[i + 1]) / 2 + step * (dx[i] - dx[i + 1]) / 8
        now = x[-1]
        k1 = slope(now, x[i])
        k2 = slope(now + step / 2 * k1, middle)
        k3 = slope(now + step / 2 * k2, middle)
        k4 = slope(now + step * k3, x[i + 1])
        x.append(now + step / 6 * (k1 + 2 * k2 + 2 * k3 + k4))
        dx.append(slope(x[-1], x[i + 1]))
    return np.array(x[lag:])


def test_the_series_is_what_another_solver_finds() -> None:
    """They agree as long as solvers can, since errors grow e-fold in a Lyapunov time."""
    step, times = 0.05, 5
    other = runge_kutta(step, SERIES.DELAY + times * 197.0)[round(SERIES.DELAY / step) :: round(0.2 / step)]
    assert len(other) == times * 985 + 1
    np.testing.assert_allclose(values()[: len(other)], other, rtol=0, atol=1e-8)


def test_the_series_keeps_to_its_equation_to_the_end() -> None:
    found, lag, dt = values(), 85, 0.2  # steps, of the delay
    assert len(found) == 50 * 985 + 1
    x, delayed = found[lag + 2 : -2], found[2 : -lag - 2]
    slope = (found[lag:-4] - 8 * found[lag + 1 : -3] + 8 * found[lag + 3 : -1] - found[lag + 4 :]) / (12 * dt)
    assert np.abs(slope - (0.2 * delayed / (1 + delayed**10) - 0.1 * x)).max() < 2e-6  # fourth order in dt


def test_the_series_is_neurobenchs_for_as_long_as_it_is_known() -> None:
    np.testing.assert_allclose(values("neurobench")[:401:10], NEUROBENCH, rtol=0, atol=5e-8)


@GRIDS
def test_both_grids_hold_the_same_signal(grid: Any) -> None:
    found = values(grid)
    assert len(found) == 50 * POINTS[grid] + 1
    np.testing.assert_allclose(found[:: POINTS[grid]], values()[::985], rtol=0, atol=1e-12)
    assert found.mean() == pytest.approx(MEAN, abs=1e-3)
    assert found.std() == pytest.approx(SCALE, abs=1e-3)


@GRIDS
def test_sequences_begin_half_a_lyapunov_time_apart(grid: Any) -> None:
    series, points = SERIES.series(NOWHERE, grid), POINTS[grid]
    for number in (0, 1, 2, 29, 60):
        found = SERIES.sequence(series, grid, number)
        start = int(number * points / 2)
        assert np.array_equal(found, series.values[start : start + 20 * points + 1])
    with pytest.raises(UsageError, match=r"^Seed 61 must be at most 60: "):
        loaded(MackeyGlassOptions(grid=grid, delays=(0.0,)), seed=61)


# Its sources ---------------------------------------------------------------------------------------------------------


def neurobenchs(folder: Path, series: Any) -> Path:
    np.save(folder / "mg_17.npy", series)
    return folder


def test_neurobenchs_file_is_used_where_it_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = loaded(COARSE)
    assert ours.official
    assert not ours.notes
    theirs = values("neurobench")[:3001] + 1e-3
    found = loaded(COARSE, folder=neurobenchs(tmp_path, theirs))
    assert not found.official  # it is not NeuroBench's, by its digest
    assert "mg_17.npy" in found.notes[0]
    assert found.fingerprint != ours.fingerprint
    assert found.digests["test"] != ours.digests["test"]
    shifted, true = (batch_of(data.splits["test"]).targets for data in (found, ours))
    torch.testing.assert_close(SCALE * (shifted - true), torch.full_like(true, 1e-3))
    monkeypatch.setattr(SERIES, "NEUROBENCH_DIGEST", SERIES.series(tmp_path, "neurobench").source)
    assert loaded(COARSE, folder=tmp_path).official
    with pytest.raises(UsageError, match=r"^Seed 41 must be at most 40: "):  # 3001 points, as 2 sequences and 20 halves
        loaded(COARSE, folder=tmp_path, seed=41)


def test_between_neurobenchs_points_there_is_a_spline(tmp_path: Path) -> None:
    found = values("fine", neurobenchs(tmp_path, values("neurobench")))
    assert found.shape == values().shape
    np.testing.assert_allclose(found[::985], values()[::985], rtol=0, atol=1e-12)
    assert 1e-4 < np.abs(found - values()).max() < 4e-3
    assert "off by 3e-3" in loaded(FINE, folder=tmp_path).notes[0]


def test_preparing_says_once_where_neurobenchs_file_would_go(tmp_path: Path) -> None:
    told: list[str] = []
    for options in (FINE, COARSE):
        TASK.prepare(tmp_path / "new", options, told.append)
    assert len(told) == 1
    assert told[0].endswith(f"put its mg_17.npy into {tmp_path / 'new'}.")
    (tmp_path / "file").touch()
    with pytest.raises(GleBenchError, match=r"^Cannot make .*: .* Choose another --data\.$"):
        TASK.prepare(tmp_path / "file" / "below", FINE, told.append)
    assert loaded(FINE, folder=tmp_path / "nowhere").official  # it need not be made


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (np.ones(1500), "is no series of 1501"),
        (np.ones((2, 1501)), "is no series"),
        (np.full(1501, np.nan), "is no ser"),
    ],
)
def test_a_file_that_is_no_series_is_refused(tmp_path: Path, content: Any, sentence: str) -> None:
    with pytest.raises(GleBenchError, match=sentence):
        loaded(COARSE, folder=neurobenchs(tmp_path, content))
    (tmp_path / "mg_17.npy").write_bytes(b"no numbers")
    with pytest.raises(
        GleBenchError, match=r"^Cannot read .*mg_17\.npy: .*; replace it by NeuroBench's, or delete it\.$"
    ):
        loaded(COARSE, folder=tmp_path)


def test_a_pinned_series_that_was_changed_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changed = tmp_path / "series.npz"
    np.savez(changed, series=values() + 1e-12)
    monkeypatch.setattr(SERIES, "PINNED", changed)
    SERIES._pinned.cache_clear()
    with pytest.raises(GleBenchError, match=r"is not the series that glebench came with; install glebench anew\.$"):
        values()
    monkeypatch.undo()
    assert len(values()) == 49251


# Splits --------------------------------------------------------------------------------------------------------------


@EVERY_GRID
@pytest.mark.parametrize("protocol", ["paper", "clean"])
def test_inputs_are_the_past_and_targets_what_is_to_come(options: MackeyGlassOptions, protocol: Any) -> None:
    """Inputs have no true point beyond a split's last one, and whole Lyapunov times after it are scored."""
    p, h, delays = options.points, options.horizon_steps, options.delay_steps
    signal = (SERIES.sequence(SERIES.series(NOWHERE, options.grid), options.grid, 3) - MEAN) / SCALE
    splits = loaded(options, protocol).splits
    known = 10 * p if protocol == "paper" else 9 * p
    starts = {"train": (max(delays), known, 0), "test": (10 * p - 2 * p, 10 * p, 10 * p)}
    if protocol == "clean":
        starts["validation"] = (9 * p - 2 * p, 9 * p, p)
    assert splits.keys() == starts.keys()
    for name, (start, last, scored) in starts.items():
        batch = batch_of(splits[name])
        times = start + np.arange(batch.steps)
        assert times[-1] + h == last + scored
        assert np.array_equal(batch.targets[0, 0, :, 0], signal[times + h])
        for channel, delay in enumerate(delays):
            read = times - delay
            seen = batch.inputs[0, 0, :, channel].numpy()
            assert np.array_equal(np.isnan(seen), read > last)
            assert np.array_equal(seen[read <= last], signal[read[read <= last]])
        if scored:
            assert batch.mask is not None
            assert np.array_equal(batch.mask[0, 0].numpy() > 0, times + h > last)
            assert batch.mask.sum() == scored
        elif options.washout_steps:
            assert batch.mask is not None
            assert np.array_equal(batch.mask[0, 0].numpy() > 0, times >= start + options.washout_steps)
        else:
            assert batch.mask is None


@EVERY_GRID
def test_a_loop_of_perfect_predictions_gives_the_true_inputs(options: MackeyGlassOptions) -> None:
    batch = half(options)
    feedback = TASK.feedback(options)
    assert feedback is not None
    signal = (SERIES.sequence(SERIES.series(NOWHERE, options.grid), options.grid, 3) - MEAN) / SCALE
    start = 8 * options.points
    for t in [*range(2 * options.points - 3, 2 * options.points + 99), batch.steps - 1]:
        found = feedback(t, batch.inputs, batch.targets[:, :, :t])[0, 0]
        assert found.tolist() == [signal[start + t - delay] for delay in options.delay_steps]


def test_both_protocols_have_the_same_test_half_and_seeds_have_their_own() -> None:
    paper, clean, other = loaded(FINE), loaded(FINE, "clean"), loaded(FINE, seed=4)
    assert torch.equal(paper.splits["test"].targets, clean.splits["test"].targets)
    assert paper.digests["test"] == clean.digests["test"]
    assert len({*paper.digests.values(), *clean.digests.values(), *other.digests.values()}) == 2 + 2 + 2
    assert len({found.fingerprint for found in (paper, clean, other)}) == 2
    assert (TASK.evaluation_split("paper"), TASK.evaluation_split("clean")) == ("test", "validation")


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"delays": (0, 6.1)}, r"delays = 6\.1 is no whole number of steps of 0\.2,[^\n]*the nearest is 6$"),
        ({"grid": "neurobench"}, r"delays = 6\.0 is no whole number of steps of 2\.62667,[^\n]*or set grid=fine$"),
        ({"horizon": 0.3}, r"horizon = 0\.3 is no whole number of steps"),
        ({"horizon": 0}, r"horizon = 0\.0 must be at least one step, 0\.2, ahead"),
        ({"delays": ()}, r"delays = \[\] must be one or more"),
        ({"delays": (-6.0,)}, r"delays = \[-6\.0\] must be one or more, none of them negative"),
        ({"forced": 9}, r"forced = 9\.0 does not fit [^\n]* set forced to at most 8\.90863"),
        ({"forced": 0.001, "horizon": 2.6}, r"horizon = 2\.6 reaches beyond [^\n]*; lower horizon or raise forced"),
        ({"washout": 9}, r"washout = 9\.0 must be from 0 to less than 9 Lyapunov times[^\n]*; change washout"),
        ({"washout": -1}, r"washout = -1\.0 must be from 0"),
    ],
)
def test_lengths_that_do_not_fit_are_refused_with_the_cure(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError) as caught:
        MackeyGlassOptions(**given)
    text = caught.value.errors()[0]["msg"]
    assert re.search(sentence, text), text


# Scores --------------------------------------------------------------------------------------------------------------


def guesses(batch: Batch, members: int = 2) -> torch.Tensor:
    """Inaccurate predictions of an ensemble, in standard units."""
    noise = torch.randn((members, *batch.targets.shape[1:]), generator=torch.Generator().manual_seed(0))
    return batch.targets + 0.3 * noise.to(torch.float64)


@EVERY_GRID
@pytest.mark.parametrize("split", ["validation", "test"])
def test_smape_is_neurobenchs_over_the_scored_points(options: MackeyGlassOptions, split: str) -> None:
    batch = batch_of(loaded(options, "clean").splits[split])
    found, n = TASK.measure(guesses(batch), batch), options.points * (10 if split == "test" else 1)
    predicted, true = (MEAN + SCALE * x[..., -n:, 0].numpy() for x in (guesses(batch), batch.targets))
    terms = np.abs(predicted - true) / (np.abs(predicted) + np.abs(true))
    np.testing.assert_allclose(found["smape"], 200 * terms.mean(-1), rtol=1e-12)
    assert found["smape"].shape == (2, 1)

    step = options.points / 75  # of NeuroBench's grid, in points of ours; j = 1, 2, ... steps after the last true one
    wanted, at = step * np.arange(1, 75 * n // options.points + 1), np.arange(1, n + 1)
    p, y = (np.stack([np.interp(wanted, at, row) for row in x[:, 0]]) for x in (predicted, true))
    coarse = 200 * (np.abs(p - y) / (np.abs(p) + np.abs(y))).mean(-1)
    np.testing.assert_allclose(found["smape_75"][:, 0], coarse, rtol=1e-12)
    if options.grid == "neurobench":
        assert torch.equal(found["smape_75"], found["smape"])


@EVERY_GRID
def test_a_prediction_is_valid_until_it_is_first_off(options: MackeyGlassOptions) -> None:
    batch, n = half(options), 10 * options.points
    good = batch.targets.expand(3, -1, -1, -1).clone()
    good[:, :, : batch.steps - n] = 100.0  # before the switch nothing counts
    good[1, 0, batch.steps - n + 3 * options.points, 0] -= 0.41  # one point, after three Lyapunov times
    good[2, 0, -n:] += 0.39
    found = TASK.measure(good, batch)
    assert found["valid_time"][:, 0].tolist() == pytest.approx([10, 3, 10])
    assert found["smape"][0, 0] == 0
    assert found["diverged"].tolist() == [[0], [0], [0]]


@EVERY_GRID
@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf, 1e8])
def test_a_loop_that_diverges_is_a_bad_result_and_no_crash(options: MackeyGlassOptions, bad: float) -> None:
    batch = half(options)
    outputs = guesses(batch)
    company = TASK.measure(outputs, batch)
    outputs[0, 0, -5:] = bad
    found, losses = TASK.measure(outputs, batch), TASK.losses(outputs, batch)
    assert {name: float(value[0]) for name, value in found.items() if name != "valid_time"} == {
        "smape": 200.0,
        "smape_75": 200.0,
        "diverged": 1.0,
    }
    assert all(torch.equal(found[name][1], company[name][1]) for name in found)
    assert losses.isfinite().all()
    assert losses[0] > 1e9
    assert losses[1] == TASK.losses(guesses(batch), batch)[1]


def test_what_diverges_in_training_is_no_result() -> None:
    train = batch_of(loaded(FINE).splits["train"])
    outputs = train.targets.clone()
    assert TASK.measure(outputs, train).keys() == {"smape"}
    outputs[0, 0, 7] = torch.nan
    assert not TASK.losses(outputs, train).isfinite().any()


@EVERY_GRID
def test_the_horizons_parts_make_up_the_whole(options: MackeyGlassOptions) -> None:
    batch = half(options)
    outputs = guesses(batch)
    curve = TASK.horizon(options, outputs[0], batch.targets[0])
    assert curve.shape == (1, 10)
    assert curve.mean() == pytest.approx(float(TASK.measure(outputs, batch)["smape"][0]))
    outputs[:, :, batch.steps - 3 * options.points] = torch.nan
    assert TASK.horizon(options, outputs[0], batch.targets[0])[0, 6:8].tolist() == [
        pytest.approx(float(curve[0, 6])),
        200,
    ]


def test_doing_nothing_makes_a_smape_of_about_22() -> None:
    found = []
    for seed in range(30):
        data = loaded(FINE, seed=seed)
        mean, batch = batch_of(data.splits["train"]).targets.mean(), batch_of(data.splits["test"])
        found.append(TASK.measure(mean.expand_as(batch.targets), batch)["smape"])
    assert torch.cat(found).mean() == pytest.approx(21.76, abs=0.01)


def test_published_numbers_have_margins_and_caveats() -> None:
    assert {(cell.model, cell.selection): (cell.value, cell.margin) for cell in TASK.published} == {
        ("gle", "last"): (14.25, 1.5),
        ("gle", "best"): (9.25, 1.5),
        ("esn", "last"): (14.79, 1.5),
        ("lstm-100", "last"): (13.37, 1.5),
    }
    assert all(cell.caveat and cell.spread is None for cell in TASK.published)


# Networks ------------------------------------------------------------------------------------------------------------


def network_of(**changes: Any) -> Any:
    model = RetrospectiveGLE(**changes)
    return model, model.network(TASK.shape(FINE), "mse")


@pytest.mark.parametrize("integrator", ["rk4", "exponential", "euler"])
def test_retrospective_neurons_have_times_of_their_own_and_a_ratio_in_common(integrator: str) -> None:
    model, network = network_of(integrator=integrator, hidden_layers=3)
    assert network.integrator == integrator
    parameters = model.initialise(network, 5)
    tau_m, tau_r = (torch.cat([getattr(p, name) for p in parameters[:-1]])[:, 0, 0] for name in ("tau_m", "tau_r"))
    if integrator == "euler":  # the first layer has other inputs, so that two blocks are as they should be
        tau_m, tau_r = (
            torch.cat([layer for p in parameters[:-1] for layer in getattr(p, name)])[:, 0]
            for name in ("tau_m", "tau_r")
        )
    assert tau_m.shape == (3, 93)
    assert (tau_m[:, :46] == 1).all()
    assert (tau_r[:, :46] == 1).all()
    slow = tau_m[:, 46:]
    torch.testing.assert_close(slow, 3 * tau_r[:, 46:])
    draws = (slow / 6).log() / 0.7
    assert draws.abs().max() <= 1 + 1e-6
    assert draws.abs().mean() == pytest.approx(0.5, abs=0.08)  # uniform
    assert len(slow.unique()) == slow.numel()
    other = model.initialise(network, 6)
    assert not torch.equal(other[0].tau_m, parameters[0].tau_m)
    weights = parameters[0].weight
    assert weights is not None
    assert abs(np.corrcoef(draws.flatten()[:47], weights.flatten()[:47])[0, 1]) < 0.5  # not the same random numbers


def test_a_network_has_what_its_configuration_says() -> None:
    model, network = network_of()
    assert [(layer.inputs, layer.neurons, layer.phi) for layer in network.layers] == [
        (4, 93, "tanh"),
        (93, 93, "tanh"),
        (93, 1, "identity"),
    ]
    assert sum(x.numel() for p in model.initialise(network, 0) for x in (p.weight, p.bias)) == 9301
    assert (network.dt, network.beta, network.integrator) == (0.2, 1.0, "exponential")
    with pytest.raises(ValidationError, match="time constants as short as 0"):
        RetrospectiveGLE(spread=3.0)
    with pytest.raises(UsageError, match="set gamma to 0"):
        network_of(gamma=0.1)
    assert network_of(gamma=0.1, integrator="euler")[1].layers[0].gamma == 0.1


def test_a_closed_loop_never_reads_a_true_value_past_the_switch() -> None:
    """A changed future does not change the prediction; a changed past does."""
    model = RetrospectiveGLE(instantaneous=3, retrospective=3)
    batch = batch_of(loaded(COARSE, "clean").splits["validation"])
    network = model.network(TASK.shape(COARSE), "mse")
    parameters = tuple(type(p)(*(None if x is None else x.double() for x in p)) for p in model.initialise(network, 1))

    def predicted(inputs: torch.Tensor) -> torch.Tensor:
        window, state = Window(batch.steps, inputs, None, None), zero_state(network, parameters, 1)
        feedback = TASK.feedback(COARSE)
        return choice.make("torch").infer(network, parameters, state, window, feedback=feedback)[1]

    blind = predicted(batch.inputs)
    assert blind.isfinite().all()
    seeing = torch.where(batch.inputs.isnan(), 1e3, batch.inputs)
    assert torch.equal(predicted(seeing), blind)
    seeing[:, :, 2 * COARSE.points, 0] += 1e-3  # the last true point
    assert not torch.equal(predicted(seeing), blind)


# Runs ----------------------------------------------------------------------------------------------------------------

SMALL = (
    *('options={"grid": "neurobench", "delays": [0.0], "forced": 0.5}', "instantaneous=2", "retrospective=2"),
    "integrator=exponential",
)


@pytest.mark.parametrize(("protocol", "watched"), [("paper", "test"), ("clean", "validation")])
def test_a_run_watches_and_tests_what_its_protocol_says(tmp_path: Path, protocol: str, watched: str) -> None:
    config = configured("mackey-glass", "gle", *SMALL, protocol=protocol, budget="smoke")
    records = run(config, [0, 7], tmp_path)
    for record in records:
        assert record.status == "done", record.error
        history = seed_folder(tmp_path, record.seed).read_history()
        assert {row["split"] for row in history} == {watched}
        found = record.metrics["last"]
        assert found.keys() == {watched, "test"}
        assert found["test"].keys() == {"loss", "smape", "smape_75", "valid_time", "diverged"}
        predictions = seed_folder(tmp_path, record.seed).read_predictions()
        pair = (torch.from_numpy(predictions[f"test_{name}"]) for name in ("decisions", "targets"))
        assert TASK.horizon(config.options, *pair).mean() == pytest.approx(found["test"]["smape"].value, rel=1e-5)
    assert records[0].data.fingerprint != records[1].data.fingerprint


def test_a_run_that_diverges_in_closed_loop_is_done_with_a_smape_of_200(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Linear networks with large weights, which hardly learn, diverge."""
    first = RetrospectiveGLE.initialise

    def large(self: RetrospectiveGLE, network: Any, seed: int) -> Any:
        return tuple(p._replace(weight=20 * p.weight) for p in first(self, network, seed))

    monkeypatch.setattr(RetrospectiveGLE, "initialise", large)
    config = configured("mackey-glass", "gle", *SMALL, "phi=identity", "rate=1e-6", budget="smoke")
    (record,) = run(config, [0], tmp_path)
    found = record.metrics["last"]["test"]
    assert (record.status, found["smape"].value, found["diverged"].value) == ("done", 200, 1)
    assert not np.isfinite(seed_folder(tmp_path, 0).read_predictions()["test_decisions"]).all()
