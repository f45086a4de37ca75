"""What machine and what software this is, as far as bits may hang on them."""

import importlib.metadata
import os
import platform
from collections.abc import Iterable

_INSTRUCTION_SETS = (
    "sse", "ssse", "avx", "fma", "f16c", "bmi", "amx", "asimd", "sve", "neon", "bf16",
)  # fmt: skip
# glibc's numbers of the sizes that `getconf` prints; Python has no names for them.
_CACHES = {"L1d": 188, "L2": 191, "L3": 194}
A_PATH = "(a path)"
"""What stands for a value that names a path."""

ENVIRONMENT = (
    "CUDA_VISIBLE_DEVICES",
    "HIP_VISIBLE_DEVICES",
    "KERAS_BACKEND",
    "MKL_NUM_THREADS",
    "NPY_DISABLE_CPU_FEATURES",
    "OMP_NUM_THREADS",
    "ONEDNN_MAX_CPU_ISA",
    "OPENBLAS_CORETYPE",
    "OPENBLAS_NUM_THREADS",
    "PYTHONHASHSEED",
    "TF_DETERMINISTIC_OPS",
    "TF_ENABLE_ONEDNN_OPTS",
    "TF_USE_LEGACY_KERAS",
    "TF_XLA_FLAGS",
    "XLA_FLAGS",
)
"""The environment variables that a record names, beside `REPRO_KERAS_…`; no others are read."""


def describe() -> dict:
    """The CPU, its instruction sets and caches, and the system.

    Returns:
        A dict of `system`, `model`, `architecture`, `instruction_sets`, `caches` (bytes by level)
        and `cores` (how many this process may use).
    """
    import archspec.cpu

    host = archspec.cpu.host()
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "model": archspec.cpu.brand_string() or platform.processor() or host.name,
        "architecture": host.name,
        "instruction_sets": sorted(f for f in host.features if f.startswith(_INSTRUCTION_SETS)),
        "caches": _caches(),
        "cores": cores(),
    }


def cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _caches() -> dict[str, int]:
    result = {}
    if platform.libc_ver()[0] == "glibc":
        for level, number in _CACHES.items():
            size = os.sysconf(number)
            if size > 0:
                result[level] = size
    return result


def packages() -> dict[str, str]:
    """The versions of all packages that are installed, by their names in lower case."""
    return {
        _normal(found.metadata["Name"]): found.version
        for found in importlib.metadata.distributions()
        if found.metadata["Name"]
    }


def packages_of(modules: Iterable[str]) -> list[str]:
    """The installed packages that modules come from.

    Args:
        modules: the names of modules that are loaded.

    Returns:
        The packages' names, sorted.
    """
    owners = importlib.metadata.packages_distributions()
    found = {name for module in modules for name in owners.get(module.partition(".")[0], [])}
    return sorted(map(_normal, found))


def _normal(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")


def environment(variables: dict[str, str]) -> dict[str, str]:
    """Of environment variables, those that a record names; a value with a path is left out."""
    return {
        name: value if os.sep not in value else A_PATH
        for name, value in sorted(variables.items())
        if name in ENVIRONMENT or name.startswith("REPRO_KERAS_")
    }
