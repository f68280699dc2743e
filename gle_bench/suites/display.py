"""The display of a suite's jobs: live on a terminal, and plain lines elsewhere."""

import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Final

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from gle_bench.errors import on_one_line
from gle_bench.files.foreign import opened
from gle_bench.suites.launch import Ended, Job
from gle_bench.tracking.estimates import duration

TAIL: Final = 2000  # bytes at the end of a log in which its last line is sought


class JobsDisplay:
    """The watcher that shows each running job's last line, and the number of ended jobs, on `console`."""

    def __init__(self, console: Console, total: int) -> None:
        self._console, self._total = console, total
        self._began: dict[Job, float] = {}
        self._ends: list[Ended] = []
        self._live = Live(console=console, transient=True, auto_refresh=False) if console.is_terminal else None

    def __enter__(self) -> "JobsDisplay":
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def began(self, job: Job) -> None:
        self._began[job] = time.monotonic()
        if not self._live:
            self._say(f"begins  {job.label}")

    def running(self, jobs: Sequence[Job]) -> None:
        if not self._live:
            return
        table = Table.grid(padding=(0, 2), expand=True)
        for share in (None, None, 1):  # a narrow terminal cuts the last column
            table.add_column(no_wrap=True, overflow="ellipsis", ratio=share)
        for job in jobs:
            words = (job.label, duration(time.monotonic() - self._began[job]), last_line(job.log))
            table.add_row(*(Text(on_one_line(word)) for word in words))  # brackets in them are no markup
        table.add_row(f"{len(self._ends)} of {self._total} ended", "", "")
        self._live.update(table, refresh=True)

    def ended(self, end: Ended) -> None:
        self._ends.append(end)
        took = duration(time.monotonic() - self._began[end.job])
        how = "done" if end.code == 0 else "FAILED"
        self._say(f"{how:<7} {end.job.label} ({took}; {len(self._ends)} of {self._total}; {end.job.log})")

    def _say(self, line: str) -> None:
        self._console.print(on_one_line(line), highlight=False, soft_wrap=True, markup=False)


def last_line(log: Path) -> str:
    """The last line of a log that is not blank; empty if there is none, or no log yet."""
    try:
        with opened(log) as file:
            file.seek(max(0, log.stat().st_size - TAIL))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    lines = [line.strip() for line in text.replace("\r", "\n").splitlines() if line.strip()]
    return lines[-1] if lines else ""
