"""Environment variables that change what PyTorch computes: refused if by more than rounding, else recorded.

A result must be a function of its configuration, seed and data. Which kernels a CPU chooses, and how many threads share
a sum, move last bits only, and are recorded; a reduced precision, or a number of threads that changes while a run
goes on, is another computation.
"""

from collections.abc import Mapping
from typing import Final

from gle_bench.errors import UsageError

NEUTRAL: Final[Mapping[str, frozenset[str]]] = {
    "DNNL_DEFAULT_FPMATH_MODE": frozenset({"STRICT"}),  # others let oneDNN round float32 to bfloat16, float16 or TF32
    "ONEDNN_DEFAULT_FPMATH_MODE": frozenset({"STRICT"}),
    "NVIDIA_TF32_OVERRIDE": frozenset({"0"}),
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE": frozenset({"0"}),
    "OMP_DYNAMIC": frozenset({"FALSE", "0"}),  # as many threads as the machine has time for, from call to call
}
# What these begin with decides about kernels, threads or the order of sums.
RECORDED: Final = ("ATEN_CPU_", "CUBLAS_", "CUDNN_", "DNNL_", "GOMP_", "KMP_", "MKL_", "NVIDIA_TF32", "OMP_", "ONEDNN_")


def refuse_other_arithmetic(environment: Mapping[str, str]) -> None:
    """Refuses variables that change results by more than rounding.

    Raises:
        UsageError: names the variable.
    """
    for name, harmless in NEUTRAL.items():
        value = environment.get(name, "")
        if value and value.upper() not in harmless:
            raise UsageError(
                f"{name} = {value} changes what PyTorch computes; unset it, so that results mean the same."
            )


def recorded(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that may move last bits, for a run's record."""
    return {name: value for name, value in sorted(environment.items()) if name.startswith(RECORDED)}
