"""Tests of faulty plugins: each is reported once, loses only its own entries, and takes no existing name."""

import json
import textwrap
from pathlib import Path

import pytest
from command import Finished, glebench
from plugin_example import plugin
from sparing import first

READING = (["list", "tasks"], ["list", "models"], ["list", "rules"], ["table", "toy-classes"], ["show", "toy-classes"])


def told_once(finished: Finished) -> bool:
    lines = [line for line in finished.err.splitlines() if "strange" in line]
    return len(lines) == len(set(lines))


@pytest.mark.parametrize(
    ("code", "complaint"),
    [
        ("import sys; sys.exit(0)", "it calls sys.exit(0)"),
        ("raise KeyError('x')", "KeyError"),
        ("raise BaseExceptionGroup('several', [SystemExit(3)])", "several"),
        ("import no_such_module", "no_such_module"),
        ("class Odd(BaseException):\n    def __str__(self): raise RuntimeError\nraise Odd", "Odd"),
        ("print('noise')\nraise KeyboardInterrupt", "KeyboardInterrupt"),
        ("def f(:", "SyntaxError"),
        ("def __getattr__(name): raise RuntimeError(name)", "RuntimeError"),
        ("class Odd(Pair):\n    def __init__(self): pass\nPAIRS = [Odd()]", "KeyError"),
        ("PAIRS = None", "PAIRS is NoneType"),
        ("PAIRS = 7", "PAIRS is int"),
        ("PAIRS = {'a': 1}", "PAIRS is dict"),
        ("PAIRS = [None]", "PAIRS holds NoneType"),
        ("PAIRS = [pair(seeds=())]", "seeds = ()"),
        ("PAIRS = [pair(seeds=None)]", "seeds = None"),
        ("PAIRS = [pair(seeds=(-1,))]", "seeds = (-1,)"),
        ("PAIRS = [pair(seeds=(1, 1))]", "names a seed twice"),
        ("PAIRS = [pair(model='../up')]", "cannot name a task or a model"),
        ("PAIRS = [pair(model=3)]", "cannot name a task or a model"),
        ("PAIRS = [pair(summary=None)]", "no text"),
        ("PAIRS = [pair(configure=lambda budget: 1 / 0)]", "ZeroDivisionError"),
        ("PAIRS = [pair(configure=lambda budget: None)]", "returns NoneType"),
        ("PAIRS = [pair(configure=None)]", "TypeError"),
        ("PAIRS = [pair(configure=toys.PAIRS[0].configure)]", "returns another configuration, of toy-classes, toy-gle"),
        ("x = 1", "no PAIRS"),
    ],
)
def test_a_plugin_that_misbehaves_costs_its_own_models_and_nothing_else(
    tmp_path: Path, code: str, complaint: str
) -> None:
    path = plugin(tmp_path, code, "[glebench.models]\nstrange = strange\n")
    for words in READING:
        shown = glebench(*words, "--runs", tmp_path / "runs", PYTHONPATH=path)
        assert shown.code == 0, shown.err
        assert told_once(shown)
        assert "other" not in shown.out
    listed = glebench("list", "models", PYTHONPATH=path)
    assert complaint in listed.err
    assert "strange" in listed.err
    assert "toy-gle" in listed.out
    refused = glebench("run", "toy-classes", "--model", "other", PYTHONPATH=path)
    assert refused.code == 2
    assert "Unknown model 'other'" in refused.err


@pytest.mark.parametrize(
    ("code", "complaint"),
    [
        ("class Strange: pass", "not a Task"),
        ("class Strange(Task): pass", "has the name None"),
        ("class Strange(Task):\n    name = 'another'", "has the name 'another'"),
        ("class Strange(Task):\n    def __init__(self): raise OSError('no')", "OSError: no"),
        ("class Strange(Task):\n    def __init__(self): raise SystemExit", "sys.exit"),
        ("Strange = None", "not callable"),
        ("", "Cannot load strange:Strange"),
    ],
)
def test_a_task_or_rule_that_cannot_be_made_is_one_sentence(tmp_path: Path, code: str, complaint: str) -> None:
    for kind, words in (
        ("tasks", ["run", "strange-it"]),
        ("rules", ["run", "toy-classes", "--model", "toy-gle", "--rule", "strange-it"]),
    ):
        folder = tmp_path / kind
        folder.mkdir()
        code_of_kind = code.replace("Task", "LearningRule") if kind == "rules" else code
        path = plugin(folder, code_of_kind + "\nPAIRS = ()", f"[glebench.{kind}]\nstrange-it = strange:Strange\n")
        for reading in READING:
            assert glebench(*reading, "--runs", tmp_path / "runs", PYTHONPATH=path).code == 0
        refused = glebench(*words, PYTHONPATH=path)
        assert refused.code in (1, 2)
        if kind == "rules":
            assert complaint.replace("Task", "LearningRule") in refused.err
        else:
            shown = glebench("show", "strange-it", PYTHONPATH=path)
            assert shown.code in (1, 2)
            assert complaint in shown.err


def test_no_plugin_takes_a_name_that_is_taken(tmp_path: Path) -> None:
    before = glebench("list", "models", "--json").out
    path = plugin(
        tmp_path,
        """
        from gle_bench.rules.gle import GLE
        mine = lambda budget: toys.PAIRS[0].configure(budget).model_copy(update={"task": "mnist1d", "model": "gle"})
        PAIRS = [pair(task="mnist1d", model="gle", configure=mine), pair(), pair()]
        class Rule(GLE): pass
        class Strange(toys.ToyClasses): pass
        """,
        "[glebench.models]\ngle = strange\nstrange = strange\n[glebench.tasks]\nmnist1d = strange:Strange\n"
        "[glebench.rules]\ngle = strange:Rule\n../up = strange:Rule\n",
    )
    listed = glebench("list", "models", "--json", PYTHONPATH=path)
    assert listed.code == 0
    assert '"other"' in listed.out
    assert listed.out.count('"other"') == 1
    assert [line for line in before.splitlines() if line not in listed.out.splitlines()] == ["]"][:0]
    for complaint in ("mnist1d has a model gle already", "toy-classes has a model other already"):
        assert listed.err.count(complaint) == 1
    rules = glebench("list", "rules", PYTHONPATH=path)
    assert "taken by gle_bench.rules.gle:GLE" in rules.err
    assert "cannot name a folder" in rules.err
    shown = glebench("show", "mnist1d", "--json", PYTHONPATH=path)
    assert '"name": "mnist1d"' in shown.out
    assert "40" in shown.out


@pytest.mark.parametrize(
    "points", ["[console_scripts]\nno equals sign\n", "[glebench.rules]\nodd-rule = my-plugin:Rule\n"]
)
def test_entry_points_that_cannot_be_read_cost_nobody_else_anything(tmp_path: Path, points: str) -> None:
    path = plugin(tmp_path, "", points)
    for words in READING:
        assert glebench(*words, "--runs", tmp_path / "runs", PYTHONPATH=path).code == 0
    ran = glebench("run", "toy-classes", "--model", "toy-gle", "--wandb", "off", "--runs", tmp_path, PYTHONPATH=path)
    assert ran.code == 0 or "failed: TypeError" in ran.err, ran.err  # Lightning reads all entry points by itself


@pytest.mark.parametrize(
    ("points", "code"),
    [
        ("[glebench.rules]\no\x1b[2Jdd = strange:Rule\n", ""),
        ("[glebench.models]\nx = strange\n", "raise ValueError('a\\x1b[2Jb')"),
    ],
)
def test_what_is_told_of_a_plugin_commands_no_terminal(tmp_path: Path, points: str, code: str) -> None:
    path = plugin(tmp_path, code, points)
    told = [glebench("list", kind, PYTHONPATH=path).err for kind in ("models", "rules")]
    assert any(r"\x1b[2J" in text for text in told)
    assert not any("\x1b" in text for text in told)


def test_what_a_plugin_prints_does_not_spoil_json(tmp_path: Path) -> None:
    noisy = """
        print("noise")
        own = toys.PAIRS[0]
        def configure(budget):
            print("more noise")
            return own.configure(budget).model_copy(update={"model": "other"})
        PAIRS = [pair(configure=configure)]
        """
    path = plugin(tmp_path, noisy, "[glebench.models]\nstrange = strange\n")
    listed = glebench("list", "models", "--json", PYTHONPATH=path)
    assert "other" in {row["model"] for row in json.loads(listed.out)}
    assert "more noise" in listed.err


def test_a_record_by_a_rule_that_no_longer_loads_costs_no_table(tmp_path: Path) -> None:
    code = "from gle_bench.rules.gle import GLE\nclass Rule(GLE):\n    name = 'strange-rule'\n"
    path = plugin(tmp_path, code, "[glebench.rules]\nstrange-rule = strange:Rule\n")
    words = ("run", "toy-classes", "--model", "toy-gle", "--rule", "strange-rule", "--wandb", "off", "--runs", tmp_path)
    assert glebench(*words, PYTHONPATH=path).code == 0
    for model in ("toy-gle", "toy-mlp"):
        own = ("run", "toy-classes", "--model", model, "--wandb", "off", "--runs", tmp_path)
        assert glebench(*own, PYTHONPATH=path).code == 0
    (tmp_path / "strange.py").write_text("raise ImportError('gone')")
    for reading in (["table", "toy-classes"], ["compare", "toy-classes"]):
        shown = glebench(*reading, "--runs", tmp_path, PYTHONPATH=path)
        assert shown.code == 0, shown.err


@pytest.mark.parametrize("method", ["shape", "load", "evaluation_split", "decide", "learn", "network", "initialise"])
@pytest.mark.parametrize("how", first(["1 / 0", "raise SystemExit(0)", "return None"], 2))
def test_code_that_fails_while_it_is_used_ends_in_a_sentence_or_a_failed_record(
    tmp_path: Path, method: str, how: str
) -> None:
    owner = {"learn": "Rule", "network": "Net", "initialise": "Net"}.get(method, "Strange")
    classes = {
        "Strange": 'class Strange(toys.ToyClasses):\n    name = "strange-task"\n',
        "Rule": 'from gle_bench.rules.gle import GLE\nclass Rule(GLE):\n    name = "strange-rule"\n',
        "Net": "class Net(toys.GLENetwork):\n    pass\n",
    }
    classes[owner] += f"    def {method}(self, *arguments, **named):\n        {how}\n"
    code = "".join(classes.values()) + textwrap.dedent(
        """
        def configure(budget):
            own = toys.PAIRS[0].configure(budget)
            network = Net.model_validate(own.network.model_dump())
            return RunConfig.model_validate(
                {**dict(own), "task": "strange-task", "model": "net", "rule": "strange-rule", "network": network}
            )
        PAIRS = [pair(task="strange-task", model="net", configure=configure)]
        """
    )
    path = plugin(tmp_path, code)
    ran = glebench(
        "run", "strange-task", "--model", "net", "--wandb", "off", "--runs", tmp_path / "runs", PYTHONPATH=path
    )
    assert ran.code in (1, 2), (ran.out, ran.err)
    assert ran.err.strip()
    for record in tmp_path.glob("runs/*/*/*/*/record.json"):
        assert '"status": "failed"' in record.read_text()
