"""The mirror of the store in Weights & Biases: one W&B run for each record, several at once in one process.

It never asks the user anything, never fails a run and is never the only copy. If W&B cannot be reached, it writes files
beside the store, which `wandb sync` uploads; if that fails too, it says so once and stops.
"""

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

from gle_bench.files.foreign import content
from gle_bench.tracking import wandb_content
from gle_bench.tracking.record import Record
from gle_bench.tracking.wandb_content import Labels, wandb_id
from gle_bench.words import WandbMode

if TYPE_CHECKING:  # importing W&B takes a second
    import wandb

Report = Callable[[str], None]

REACH_S = 5.0  # seconds to wait for the first answer of the server
INIT_S = 15.0  # seconds to wait for the start of a W&B run
FINISH_S = 20.0  # seconds to wait for the rest of an upload; what is not uploaded then stays on the disk

# W&B's variables that it may see: the user's account and server, how the server is reached, and its logging. All others
# are hidden from it, because they may name the run, as in a sweep, while each of our records is a run of its own.
CHOICES = frozenset(
    f"WANDB_{name}"
    for name in (
        *("API_KEY", "IDENTITY_TOKEN_FILE", "CREDENTIALS_FILE", "USERNAME", "USER_EMAIL"),
        *("BASE_URL", "APP_URL", "ENTITY", "ORGANIZATION", "PROJECT", "MODE", "NOTES", "JOB_TYPE"),
        *("HTTP_PROXY", "HTTPS_PROXY", "HTTP_TIMEOUT", "INSECURE_DISABLE_SSL", "_EXTRA_HTTP_HEADERS", "_PROXIES"),
        *("CONFIG_DIR", "CACHE_DIR", "DATA_DIR", "DEBUG", "CORE_DEBUG", "ERROR_REPORTING"),
    )
)

# Servers that failed in this process, and why: the other seeds of an ensemble must not wait for them again.
_failed: dict[str, str] = {}


class Mirror:
    """The W&B run of one record, or a mirror that does nothing. Made by `open`.

    Attributes:
        offline: the folder of an offline run, which waits for `wandb sync`; None for any other.
    """

    def __init__(self, run: "wandb.Run | None", report: Report) -> None:
        self._run = run
        self._report = report
        self.offline = Path(run.settings.sync_dir) if run is not None and run.offline else None

    @classmethod
    def open(
        cls, record: Record, mode: WandbMode, folder: Path, report: Report, chosen: Labels = wandb_content.UNLABELLED
    ) -> "Mirror":
        """Starts or continues the record's W&B run, whose files go to `folder`/wandb.

        Args:
            mode: 'auto' is online if the user is logged in, else offline, unless $WANDB_MODE decides.
            report: is given one line if less is mirrored than asked for.
            chosen: the project, group and tags that the user asks for.
        """
        if mode == "off" or (mode == "auto" and os.environ.get("WANDB_MODE") == "disabled"):
            return cls(None, report)
        try:
            with _choices_alone(folder):
                return cls(_start(record, mode, folder, report, chosen), report)
        except Exception as error:
            report(f"W&B is off for {record.run_id}: {_one_line(error)}")
            return cls(None, report)

    def log(self, row: Mapping[str, object], step: int) -> None:
        """Logs the numbers of a row of the history, by the names of `wandb_content.logged`."""
        if self._run is None:
            return
        try:
            self._run.log(wandb_content.logged(row), step=step)
        except Exception as error:
            self._give_up(error)

    def finish(self, record: Record) -> None:
        """Writes the final metrics, cost and status into the W&B run's summary, and closes it.

        Waits `FINISH_S` seconds for the upload, or one second if the server failed before; it may go on in the
        background.
        """
        run, self._run = self._run, None
        if run is None:
            return
        failures: list[str] = []
        server = str(run.settings.base_url)

        def close() -> None:
            try:
                run.summary.update(wandb_content.summary(record))
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
            self._report(f"W&B does not have all of {record.run_id} ({reason}); `wandb sync` uploads the rest.")

    def _give_up(self, error: Exception) -> None:
        """Reports the error and stops mirroring; the store has everything."""
        run, self._run = self._run, None
        self._report(f"W&B stopped mirroring: {_one_line(error)}")
        with suppress(Exception):
            if run is not None:
                run.finish(exit_code=1)


@contextmanager
def _choices_alone(folder: Path) -> Iterator[None]:
    """Hides all of W&B's variables but `CHOICES` from W&B; its cache goes to `folder`/wandb unless the user set one."""
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


def _start(record: Record, mode: WandbMode, folder: Path, report: Report, chosen: Labels) -> "wandb.Run":
    """A started W&B run: online if the mode asks for it and the server answers, else offline."""
    if any("\ud800" <= letter <= "\udfff" for letter in str(folder.absolute())):  # Python's form of bytes not in UTF-8
        raise ValueError("it accepts only folders whose names are valid UTF-8")
    import wandb

    (folder / "wandb").mkdir(parents=True, exist_ok=True)
    if not os.access(folder / "wandb", os.W_OK):  # W&B would use the machine's temporary folder without saying so
        raise PermissionError(f"{folder / 'wandb'} cannot be written to")
    # First, so that W&B's own messages outside of runs are silenced too.
    server = str(wandb.setup(wandb.Settings(silent=True, sagemaker_disable=True)).settings.base_url)
    if mode == "auto":
        asked = os.environ.get("WANDB_MODE") or ("online" if _is_logged_in(server) else "offline")
        mode = "online" if asked == "online" else "offline"
    if mode == "offline":
        return _init(record, folder, "offline", wandb_id(record), chosen)
    identity = wandb_id(record)
    obstacle = _failed.get(server) or _obstacle(server)
    if obstacle is None:
        try:
            return _init(record, folder, "online", identity, chosen)
        except Exception as error:
            obstacle = _one_line(error)
            identity += "-offline"  # W&B's service keeps the id of a run that it could not start
    _failed[server] = obstacle
    report(f"W&B is offline for {record.run_id}: {obstacle}")
    return _init(record, folder, "offline", identity, chosen)


def _init(
    record: Record, folder: Path, mode: Literal["online", "offline"], identity: str, chosen: Labels
) -> "wandb.Run":
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
        git_commit=record.environment.git.commit,
        x_disable_meta=True,  # the record has the environment
        x_save_requirements=False,
    )
    return wandb.init(
        **wandb_content.arguments(record, chosen),
        id=identity,
        dir=folder,
        mode=mode,
        reinit="create_new",
        resume="allow",
        settings=settings,
    )


def _is_logged_in(server: str) -> bool:
    """Whether there are credentials for the server, so that W&B would not ask for them."""
    import wandb

    hosts = {urlsplit(server).netloc}
    if server == wandb.Settings.model_fields["base_url"].default:
        hosts.add("api.wandb.ai")  # the same service under the name that older versions of `wandb login` wrote
    return has_credentials(hosts)


def has_credentials(hosts: Iterable[str]) -> bool:
    """Whether the environment, or netrc for one of the hosts, has credentials. Does not import wandb."""
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    try:
        path = Path(os.environ.get("NETRC") or "~/.netrc").expanduser()
        content(path)  # refuses pipes, devices and endless files
        credentials = netrc.netrc(path)
    except (OSError, ValueError, RuntimeError, netrc.NetrcParseError):  # RuntimeError: there is no home folder
        return False
    return any(entry is not None and entry[2] for entry in map(credentials.authenticators, hosts))


def _obstacle(server: str) -> str | None:
    """Why a W&B run cannot be online; None if the server answers.

    Checked before W&B starts, which would retry silently until its timeout, and then keep the run's id.
    """
    if not _is_logged_in(server):
        return "not logged in; run `wandb login`"
    try:
        urllib.request.urlopen(server, timeout=REACH_S).close()
    except urllib.error.HTTPError as answer:
        answer.close()
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        return None if "CERTIFICATE" in str(reason) else f"{server} does not answer ({reason})"
    return None


def _one_line(error: Exception) -> str:
    """The first line of an error's message, or the name of its class if there is none."""
    return next(iter(str(error).splitlines()), "") or type(error).__name__
