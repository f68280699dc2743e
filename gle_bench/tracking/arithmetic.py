"""Environment variables that affect arithmetic: those that change results by more than rounding are refused.

A result must be a function of its configuration, seed and data. The choice of CPU kernels, and the number of threads
that share a sum, change last bits only; they are recorded. A reduced precision, or a number of threads that changes
during a run, is another computation; it is refused.
"""

from collections.abc import Mapping
from typing import Final

from gle_bench.errors import UsageError

# The variables that are refused, with the values that are harmless.
NEUTRAL: Final[Mapping[str, frozenset[str]]] = {
    "DNNL_DEFAULT_FPMATH_MODE": frozenset({"STRICT"}),  # else oneDNN may round float32 to bfloat16, float16 or TF32
    "ONEDNN_DEFAULT_FPMATH_MODE": frozenset({"STRICT"}),
    "NVIDIA_TF32_OVERRIDE": frozenset({"0"}),
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE": frozenset({"0"}),
    "OMP_DYNAMIC": frozenset({"FALSE", "0"}),  # otherwise the number of threads may change from call to call
}
# Prefixes of the variables that decide about kernels, threads or the order of sums.
RECORDED: Final = ("ATEN_CPU_", "CUBLAS_", "CUDNN_", "DNNL_", "GOMP_", "KMP_", "MKL_", "NVIDIA_TF32", "OMP_", "ONEDNN_")


def refuse_other_arithmetic(environment: Mapping[str, str]) -> None:
    """Refuses environment variables that change results by more than rounding.

    Raises:
        UsageError: a variable of `NEUTRAL` has another value than the harmless ones.
    """
    for name, harmless in NEUTRAL.items():
        value = environment.get(name, "")
        if value and value.upper() not in harmless:
            raise UsageError(
                f"{name} = {value} changes what PyTorch computes; unset it, so that results can be compared."
            )


def recorded(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that may change last bits, for a run's record."""
    return {name: value for name, value in sorted(environment.items()) if name.startswith(RECORDED)}
