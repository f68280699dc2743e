"""The store's mirror in Weights & Biases: one W&B run a record, several alive in one process.

It never asks, never fails a run and is never the only copy: where W&B is out of reach it writes beside the store, for
`wandb sync`; where that fails too it says so once and falls silent.
"""

import hashlib
import netrc
import os
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from gle_bench.data.foreign import content
from gle_bench.tracking.record import Record
from gle_bench.words import WandbMode

if TYPE_CHECKING:  # importing W&B takes a second
    import wandb

Report = Callable[[str], None]

REACH_S = 5.0  # seconds for a first answer from the server
INIT_S = 15.0
FINISH_S = 20.0  # for the rest of an upload; what is left then waits on the disk

# The user's account and server, how the server is reached, and what W&B says of itself. All other variables of W&B are
# kept from it: they may name the run, say in a sweep, where each of our records is a run of its own.
CHOICES = frozenset(
    f"WANDB_{name}"
    for name in (
        *("API_KEY", "IDENTITY_TOKEN_FILE", "CREDENTIALS_FILE", "USERNAME", "USER_EMAIL"),
        *("BASE_URL", "APP_URL", "ENTITY", "ORGANIZATION", "PROJECT", "MODE", "NOTES", "JOB_TYPE"),
        *("HTTP_PROXY", "HTTPS_PROXY", "HTTP_TIMEOUT", "INSECURE_DISABLE_SSL", "_EXTRA_HTTP_HEADERS", "_PROXIES"),
        *("CONFIG_DIR", "CACHE_DIR", "DATA_DIR", "DEBUG", "CORE_DEBUG", "ERROR_REPORTING"),
    )
)

# Servers that failed this process, and how: the other seeds of an ensemble must not wait for them again.
_failed: dict[str, str] = {}


class Mirror:
    """One record's W&B run, or nothing at all. Made by `open`."""

    def __init__(self, run: "wandb.Run | None", report: Report) -> None:
        self._run = run
        self._report = report

    @classmethod
    def open(cls, record: Record, mode: WandbMode, folder: Path, report: Report) -> "Mirror":
        """Starts, or continues, the record's W&B run; its own files go to `folder`/wandb.

        `mode` 'auto' is online when logged in, else offline, unless $WANDB_MODE decides. `report` is given one line
        where less is mirrored than asked for.
        """
        if mode == "off" or (mode == "auto" and os.environ.get("WANDB_MODE") == "disabled"):
            return cls(None, report)
        try:
            with _choices_alone(folder):
                return cls(_start(record, mode, folder, report), report)
        except Exception as error:
            report(f"W&B is off for {record.run_id}: {_one_line(error)}")
            return cls(None, report)

    def log(self, row: Mapping[str, object], step: int) -> None:
        """Mirrors a row of the history: its numbers as `<split>/<metric>`, over `update` and `epoch`."""
        if self._run is None:
            return
        prefix = f"{row['split']}/" if row.get("split") else ""
        numbers = {name: value for name, value in row.items() if isinstance(value, int | float)}
        axes: dict[str, int | float] = {name: numbers.pop(name) for name in ("update", "epoch") if name in numbers}
        try:
            self._run.log({**axes, **{prefix + name: value for name, value in numbers.items()}}, step=step)
        except Exception as error:
            self._give_up(error)

    def finish(self, record: Record) -> None:
        """Puts the final metrics, cost and status into the run's summary, and closes it.

        Waits for the upload `FINISH_S` seconds, or one where the server failed before; it may end in the background.
        """
        run, self._run = self._run, None
        if run is None:
            return
        failures: list[str] = []
        server = str(run.settings.base_url)

        def close() -> None:
            try:
                run.summary.update(summary(record))
                run.finish(exit_code=0 if record.status == "done" else 1)
            except Exception as error:
                failures.append(_one_line(error))

        # In a thread, because nothing bounds W&B's own wait when its service dies.
        thread = threading.Thread(target=close, name="glebench-wandb", daemon=True)
        thread.start()
        thread.join(1.0 if server in _failed and not run.offline else FINISH_S + 1.0)
        if thread.is_alive() or failures:
            reason = failures[0] if failures else f"no end after {FINISH_S:.0f} s"
            if not run.offline:
                reason = _failed.setdefault(server, reason)
            self._report(f"W&B has not all of {record.run_id}, `wandb sync` uploads the rest: {reason}")

    def _give_up(self, error: Exception) -> None:
        """Falls silent: the store has everything."""
        run, self._run = self._run, None
        self._report(f"W&B stopped mirroring: {_one_line(error)}")
        with suppress(Exception):
            if run is not None:
                run.finish(exit_code=1)


def wandb_id(record: Record) -> str:
    """The W&B run's id: the same when a run is resumed, another one when it is run anew, or by someone else."""
    first = record.lineage[0].started.isoformat() if record.lineage else ""
    return hashlib.sha256(f"{record.run_id} {first}".encode()).hexdigest()[:16]


def summary(record: Record) -> dict[str, float | int | str | None]:
    """What W&B shows of a finished run: status, costs, and metrics as `<selection>/<split>/<metric>`."""
    values: dict[str, float | int | str | None] = {"status": record.status, "error": record.error}
    values |= {f"cost/{name}": value for name, value in record.cost.model_dump().items()}
    for selection, splits in record.metrics.items():
        for split, metrics in splits.items():
            values |= {f"{selection}/{split}/{name}": measured.value for name, measured in metrics.items()}
    return {name: value for name, value in values.items() if value is not None}


@contextmanager
def _choices_alone(folder: Path) -> Iterator[None]:
    """An environment with the user's choices alone for W&B, whose own files go to `folder`/wandb unless chosen."""
    others = {name for name in os.environ if name.startswith("WANDB_")} - CHOICES
    hidden = {name: os.environ.pop(name) for name in others}
    chosen = os.environ.get("WANDB_CACHE_DIR")
    os.environ["WANDB_CACHE_DIR"] = chosen or str((folder / "wandb").absolute())
    try:
        yield
    finally:
        os.environ.update(hidden)
        if not chosen:
            del os.environ["WANDB_CACHE_DIR"]


def _start(record: Record, mode: WandbMode, folder: Path, report: Report) -> "wandb.Run":
    """A live W&B run, online if asked for and possible."""
    if any("\ud800" <= letter <= "\udfff" for letter in str(folder.absolute())):  # as Python reads what is no UTF-8
        raise ValueError("it takes no folder whose name is no UTF-8")
    import wandb

    (folder / "wandb").mkdir(parents=True, exist_ok=True)
    if not os.access(folder / "wandb", os.W_OK):  # W&B would take the machine's temporary folder, and say nothing
        raise PermissionError(f"{folder / 'wandb'} cannot be written to")
    # Before anything else, for the lines that W&B prints outside of runs.
    server = str(wandb.setup(wandb.Settings(silent=True, sagemaker_disable=True)).settings.base_url)
    if mode == "auto":
        chosen = os.environ.get("WANDB_MODE") or ("online" if _is_logged_in(server) else "offline")
        mode = "online" if chosen == "online" else "offline"
    if mode == "offline":
        return _init(record, folder, "offline", wandb_id(record))
    identity = wandb_id(record)
    obstacle = _failed.get(server) or _obstacle(server)
    if obstacle is None:
        try:
            return _init(record, folder, "online", identity)
        except Exception as error:
            obstacle = _one_line(error)
            identity += "-offline"  # W&B's service does not let go of the id of a run that it could not start
    _failed[server] = obstacle
    report(f"W&B is offline for {record.run_id}: {obstacle}")
    return _init(record, folder, "offline", identity)


def _init(record: Record, folder: Path, mode: Literal["online", "offline"], identity: str) -> "wandb.Run":
    import wandb

    settings = wandb.Settings(
        silent=True,
        sagemaker_disable=True,
        console="off",
        init_timeout=INIT_S,
        finish_timeout=FINISH_S,
        finish_timeout_raises=True,
        disable_git=True,
        disable_job_creation=True,
        x_disable_meta=True,  # the record says on what it ran
        x_save_requirements=False,
    )
    described = ("run_id", "task", "model", "rule", "protocol", "budget", "seed", "config_hash", "data", "footing")
    return wandb.init(
        project=os.environ.get("WANDB_PROJECT") or "glebench",
        id=identity,
        name=record.run_id,
        group=f"{record.task}-{record.model}-{record.rule}-{record.config_hash}",
        tags=[tag[:64] for tag in (record.protocol, record.budget, *record.marks)],  # W&B refuses longer ones
        config=record.model_dump(mode="json", include={*described, "parameters", "environment", "config"}),
        dir=folder,
        mode=mode,
        reinit="create_new",
        resume="allow",
        settings=settings,
    )


def _is_logged_in(server: str) -> bool:
    """Whether W&B would find credentials for the server, without asking anyone."""
    import wandb

    hosts = {urlsplit(server).netloc}
    if server == wandb.Settings.model_fields["base_url"].default:
        hosts.add("api.wandb.ai")  # the same service, by the name that `wandb login` used to write
    return has_credentials(hosts)


def has_credentials(hosts: Iterable[str]) -> bool:
    """Whether the environment, or netrc for one of the hosts, has credentials; imports no wandb."""
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    try:
        path = Path(os.environ.get("NETRC") or "~/.netrc").expanduser()
        content(path)  # a regular file, and no endless one
        known = netrc.netrc(path)
    except (OSError, ValueError, RuntimeError, netrc.NetrcParseError):  # RuntimeError: no home is known
        return False
    return any(entry is not None and entry[2] for entry in map(known.authenticators, hosts))


def _obstacle(server: str) -> str | None:
    """Why online is out of the question; None if the server answers at all.

    Asked before W&B is, which retries in silence until its time is up, and then keeps the run's id for itself.
    """
    if not _is_logged_in(server):
        return "not logged in (`wandb login` does)"
    try:
        urllib.request.urlopen(server, timeout=REACH_S).close()
    except urllib.error.HTTPError as answer:
        answer.close()
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        return None if "CERTIFICATE" in str(reason) else f"{server} does not answer ({reason})"
    return None


def _one_line(error: Exception) -> str:
    """The first line of an error, or its name if it says nothing."""
    return next(iter(str(error).splitlines()), "") or type(error).__name__
