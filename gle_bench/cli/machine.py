"""The commands about this machine and this installation: `bench`, `doctor` and `completion`."""

import gc
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from gle_bench.cli import completion
from gle_bench.cli.app import app
from gle_bench.cli.options import ENGINES, RUNS, Data, Json, Runs
from gle_bench.cli.output import chosen_data, show_result

if TYPE_CHECKING:
    pass


@app.command()
def bench(
    network: Annotated[list[str] | None, typer.Option(help="Network gle-15k, gle-42k or gsc; all by default.")] = None,
    engine: Annotated[
        list[str] | None,
        typer.Option(
            help="Engine torch, native or graph; all by default.", autocompletion=completion.words(*ENGINES[1:])
        ),
    ] = None,
    rule: Annotated[
        list[str] | None,
        typer.Option(help="Rule to compare with gle, on one thread.", autocompletion=completion.rules),
    ] = None,
    threads: Annotated[int | None, typer.Option(help="Number of CPU cores to measure for; all by default.")] = None,
    repeats: Annotated[int, typer.Option(help="Number of repeats; medians are printed.")] = 5,
    steps: Annotated[int | None, typer.Option(help="Time steps in a repeat; as many as take 0.3 s by default.")] = None,
    as_json: Json = False,
) -> None:
    """Measure the time and memory of learning steps on this machine, engine by engine."""
    from gle_bench.bench import command
    from gle_bench.tracking.environment import environment

    gc.enable()
    measured = command.bench(network or (), engine or (), threads, repeats, steps, rule or ())
    surroundings = environment("", "", measured["device"], 1)
    machine = surroundings.model_dump(mode="json", include={"python", "platform", "packages", "cpu", "gpu", "git"})
    show_result({**measured, "machine": machine}, as_json, command.as_text)


@app.command()
def doctor(runs: Runs = RUNS, data: Data = None, as_json: Json = False) -> None:
    """Check this installation."""
    from gle_bench import doctor as checks

    results = checks.diagnose(runs, chosen_data(data))
    show_result(checks.as_json(results), as_json, lambda _: checks.as_text(results))
    if any(check.status == "fail" for check in results):
        raise typer.Exit(1)


@app.command("completion")
def completion_(shell: Annotated[Literal["bash", "zsh", "fish"], typer.Argument(help="The shell.")]) -> None:
    """Print a script that completes words of glebench.

    In bash and zsh: source <(glebench completion bash), in fish: glebench completion fish | source.
    """
    print(completion.script(shell), end="")
