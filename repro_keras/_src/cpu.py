"""What guarantee `portable` needs of the CPU; `import repro_keras` asks, so it must be quick."""

import functools
import platform
from collections.abc import Container

_NEEDED = ("avx2", "fma")
_CPUS = "/proc/cpuinfo"


@functools.cache
def lacking() -> tuple[str, ...]:
    """What this CPU lacks of what `portable` needs; empty where it has all of it."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return ("x86-64",)
    features = _features()
    return tuple(name for name in _NEEDED if name not in features)


def _features() -> Container[str]:
    try:
        with open(_CPUS) as file:
            return next((line for line in file if line.startswith("flags")), "").split()
    except OSError:  # not Linux; this takes a hundred times as long
        import archspec.cpu

        return archspec.cpu.host().features
