"""The catalogue of all kinds of trial, with their numbers in the short and the long form."""

from dataclasses import dataclass
from typing import Final

from torture import data, kills, lines, operations, plugins, stores
from torture.trials import Kind


@dataclass(frozen=True)
class Listed:
    """A kind of trial in the catalogue.

    Attributes:
        make: the function that carries out a trial.
        long: number of trials in the long form; None: one for each file operation.
        share: number of trials in each turn of the short form.
        shim: whether it needs the layer of shim.c below the C library.
    """

    make: Kind
    long: int | None
    share: int = 1
    shim: bool = False


CATALOGUE: Final = {
    "kills": Listed(kills.kill, 1000, 3),
    "real-kills": Listed(kills.kill_real, 200, 0),
    "signals": Listed(kills.signals, 300, 2),
    "stops": Listed(kills.stops, 50),
    "several": Listed(kills.several, 150),
    "operations": Listed(operations.kill_operation, None, 4, shim=True),
    "operations-resumed": Listed(operations.kill_resumed, 300, 2, shim=True),
    "disks": Listed(operations.hostile_disk, 400, 2, shim=True),
    "small-files": Listed(operations.small_files, 50),
    "small-disk": Listed(operations.small_disk, 50),
    "stores": Listed(stores.store, 2000, 4),
    "data": Listed(data.data, 300, 2),
    "checkpoints": Listed(data.checkpoints, 200, 2),
    "suites": Listed(data.suites, 200),
    "plugins": Listed(plugins.plugin, 300, 2),
    "lines": Listed(lines.line, 9800, 12, shim=True),
    "real-lines": Listed(lines.line_real, 200, 0, shim=True),
    "clock": Listed(operations.clock_jumps, 100, shim=True),
}
