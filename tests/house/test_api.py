"""What `import gle_bench` gives does what the command line does, and hands out networks and data as they were used."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from shared import ROOT

import gle_bench
from gle_bench import registry
from gle_bench.api import Runs, assignments
from gle_bench.chosen import resolve
from gle_bench.errors import GleBenchError, UsageError
from gle_bench.overrides import override
from gle_bench.tracking.store import Store


def trained(folder: Path, model: str, task: str = "toy-classes") -> Runs:
    """Runs of two seeds of a toy model."""
    return gle_bench.run(
        task,
        model,
        seeds=[1, 2],
        budget="smoke",
        engine="torch",
        wandb="off",
        quiet=True,
        runs=folder,
        accept_data=True,
    )


@pytest.fixture(scope="module")
def gle(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    return trained(tmp_path_factory.mktemp("gle"), "toy-gle")


def test_importing_it_imports_nothing_that_takes_time() -> None:
    code = "import sys; import gle_bench; dir(gle_bench); print({'torch', 'pydantic', 'pandas'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_all_that_is_promised_is_there() -> None:
    assert all(getattr(gle_bench, name) is not None for name in gle_bench.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = gle_bench.nothing


def test_a_run_is_that_of_the_command_line(gle: Runs) -> None:
    own = resolve("toy-classes", "toy-gle", None, "paper", "smoke", ()).config
    assert [record.seed for record in gle] == [1, 2]
    assert all(record.config == own.model_dump(mode="json") for record in gle)
    again = gle_bench.runs(folder=gle.stored[0][0].path.parents[3], seeds=(2,))
    assert [record.run_id for record in again] == [gle[1].run_id]


def test_runs_are_tables_of_pandas(gle: Runs) -> None:
    frame, history = gle.to_pandas(), gle.history()
    assert [*frame["seed"]] == [1, 2]
    assert [*frame["last.test.accuracy"]] == [r.metrics["last"]["test"]["accuracy"].value for r in gle]
    assert {*history["run"]} == {record.run_id for record in gle}
    assert "<table" in gle._repr_html_()
    assert len(gle[1:]) == 1


@pytest.mark.parametrize(("task", "model"), [("toy-constant", "toy-gle"), ("toy-classes", "toy-mlp")])
def test_a_trained_module_gives_the_outputs_of_the_last_evaluation(tmp_path: Path, task: str, model: str) -> None:
    """The state of `toy-constant` begins at zero with every batch, as that of a module does."""
    runs = trained(tmp_path, model, task)
    folder, record = runs.stored[1]
    splits = gle_bench.data(task, model, accept_data=True)
    batch = splits["test"].fetch(torch.arange(len(splits["test"])), 0, 0)
    module = gle_bench.module(record, runs=tmp_path)
    outputs = module(batch.inputs[0].expand(-1, batch.steps, -1)).detach()
    assert not module.training
    answers = registry.task(task).decide(outputs[None], batch)[0] if outputs.dim() == 3 else outputs
    np.testing.assert_allclose(answers, folder.read_predictions()["test_decisions"], rtol=1e-5, atol=1e-6)


def test_a_gle_module_runs_step_by_step_as_at_once(gle: Runs) -> None:
    module = gle_bench.module(gle[:1]).double()
    inputs = torch.randn(3, 7, 2, dtype=torch.float64)
    state, outputs = module.start(3), []
    for t in range(7):
        output, state = module.step(inputs[:, t], state)
        outputs.append(output)
    torch.testing.assert_close(torch.stack(outputs, 1), module(inputs), rtol=0, atol=1e-12)
    assert module.state_dict().keys() >= {"weight_0", "tau_m_0"}


def test_tables_comparisons_and_figures_show_themselves(gle: Runs, tmp_path: Path) -> None:
    table = gle_bench.table("2", runs=tmp_path)
    assert "gle-15k" in [*table.to_pandas()["model"]]
    assert "<table" in table._repr_html_()
    compared = gle_bench.compare("mnist1d", "gle-15k", "gru", runs=tmp_path)
    assert [*compared.to_pandas()["model"]] == ["gru", "gle-15k"]
    assert "<table" in compared._repr_html_()
    assert gle_bench.figure("3").get_axes()
    assert gle_bench.plot(gle).get_axes()


def test_a_network_is_that_of_the_recipe() -> None:
    assert gle_bench.network("mnist1d", "gle-15k").layers[0].neurons == 53
    with pytest.raises(UsageError, match="mlp is no GLE network"):
        gle_bench.network("mnist1d", "mlp")


def test_what_cannot_be_had_is_told_in_a_sentence(gle: Runs, tmp_path: Path) -> None:
    with pytest.raises(GleBenchError, match="2 runs are meant; give one of them: toy-classes-toy-gle-"):
        gle_bench.module(gle)
    published = gle_bench.runs("mnist1d-gle-15k", folder=tmp_path, protocol="paper", budget="paper", seeds=(12,))
    with pytest.raises(GleBenchError, match="run mnist1d gle-15k yourself to have its weights"):
        gle_bench.module(published)
    with pytest.raises(UsageError, match="Figure 1 is a sketch without data"):
        gle_bench.figure("1")
    assert not [*Store(tmp_path).records()[0]]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"budget": "tiny"}, "budget = 'tiny': must be one of smoke, short, paper."),
        ({"rerun": "alway"}, "rerun = 'alway': must be one of missing, failed, always."),
        ({"wandb": "no"}, "wandb = 'no': must be one of auto, online, offline, off."),
    ],
)
def test_a_word_that_an_option_does_not_have_is_refused(options: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        gle_bench.run("toy-classes", "toy-mlp", **options)
    with pytest.raises(UsageError, match="takes each model as an argument of its own"):
        gle_bench.compare("mnist1d", ["gle-15k", "gru"])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("function", "arguments", "option"),
    [
        ("runs", (), "budget"),
        ("table", ("2",), "only"),
        ("table", ("2",), "selection"),
        ("compare", ("mnist1d",), "budget"),
        ("figure", ("8d",), "protocol"),
        ("plot", ("mnist1d",), "selection"),
        ("module", ("mnist1d",), "selection"),
        ("data", ("mnist1d",), "protocol"),
    ],
)
def test_every_function_refuses_words_that_its_options_do_not_have(
    function: str, arguments: tuple[str, ...], option: str
) -> None:
    with pytest.raises(UsageError, match=f"{option} = 'x': must be one of "):
        getattr(gle_bench, function)(*arguments, **{option: "x"})


VALUES = st.one_of(st.integers(1, 99), st.floats(1e-4, 1.0), st.booleans(), st.none())


@given(st.dictionaries(st.sampled_from(["rate", "epochs", "batch_size", "shuffle"]), VALUES))
def test_settings_as_a_dictionary_are_those_of_set(settings: dict[str, object]) -> None:
    words = [f"{key}={json.dumps(value)}" for key, value in settings.items()]
    assert assignments(settings) == words == assignments(words)
    own = resolve("toy-classes", "toy-gle", None, "paper", "smoke", ()).config
    for word in words:
        try:
            changed = override(own, [word])
        except UsageError:
            continue
        key, _, value = word.partition("=")
        assert getattr(changed.training, key) == json.loads(value)


@pytest.mark.systems
def test_the_tutorial_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(ROOT / "examples/tutorial.ipynb", as_version=4)
    monkeypatch.chdir(tmp_path)
    done = NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
    outputs = [output for cell in done.cells if cell.cell_type == "code" for output in cell.outputs]
    kinds = {kind for output in outputs for kind in output.get("data", {})}
    assert {"text/html", "image/png", "application/vnd.jupyter.widget-view+json"} <= kinds
