"""What guarantee `portable` needs of the CPU, and what NumPy must not use of it.

`import repro_keras` asks, so it must be quick.
"""

import functools
import glob
import importlib.util
import platform
import re
import sys
from collections.abc import Container
from pathlib import Path

_NEEDED = ("avx2", "fma")
_CPUS = "/proc/cpuinfo"
_BEYOND = "avx512f"
_BEYOND_IN_NUMPY = {
    (2, 4): "X86_V4 AVX512_ICL AVX512_SPR",
    (2, 3): "AVX512F AVX512CD AVX512_KNL AVX512_KNM AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL "
    "AVX512_SPR",
    (2, 0): "AVX512F AVX512CD AVX512_KNL AVX512_KNM AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL",
}
"""From a version on: what NumPy calls the instructions beyond AVX2 that it has functions for.

It warns of names that it does not know.
"""
_TARGETS_BEYOND = ("AVX512", "X86_V4")
"""How the targets of NumPy's functions begin that use those instructions."""

_COMPARED = ((2, 20), (2, 21))  # of TensorFlow

# It compiles for the model of CPU that is there, unless that has something to be left out. So it is
# AVX2, which all that `portable` runs on have, that is left out, and all are compiled for alike.
_XLA_FLAGS = "--xla_cpu_max_isa=AVX"
# Without the first, it takes functions of the system's for some; without the second, a library
# computes products that looks at the make of CPU by itself.
_XLA_FLAGS_OF_2_21 = (
    "--xla_cpu_enable_platform_dependent_math=false --xla_cpu_experimental_ynn_fusion_type="
)


@functools.cache
def lacking() -> tuple[str, ...]:
    """What this CPU lacks of what `portable` needs; empty where it has all of it."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return ("x86-64",)
    features = _features()
    return tuple(name for name in _NEEDED if name not in features)


def beyond_in_numpy() -> str | None:
    """What NumPy must leave out, for NPY_DISABLE_CPU_FEATURES; `None` where there is nothing.

    Its exp, log and the like give other last bits with AVX-512, and its argsort another order of
    what is equal.
    """
    if _BEYOND not in _features():
        return None
    version = _version_of_numpy()
    known = [names for since, names in _BEYOND_IN_NUMPY.items() if version and version >= since]
    return known[0] if known else None


def beyond_in_loaded_numpy() -> str | None:
    """What is amiss where NumPy, which is loaded, does not leave that out: a sentence with the fix.

    It takes its functions as it is loaded, and keeps them.
    """
    if "numpy" not in sys.modules or beyond_in_numpy() is None:
        return None
    import numpy as np

    used = np.lib.introspect.opt_func_info("^(exp|log)$")
    targets = {loop["current"] for loops in used.values() for loop in loops.values()}
    if not any(target.startswith(_TARGETS_BEYOND) for target in targets):
        return None
    return (
        "NumPy was imported before repro_keras, so that its exp, log and the like, and the order "
        "in which argsort leaves what is equal, are those of AVX-512, which not every make of CPU "
        "has. Move `import repro_keras` above `import numpy`, or start the script by `repro-keras "
        "run`."
    )


def flags_of_xla() -> str:
    """What XLA must be told, which compiles for the CPU that is there, in XLA_FLAGS.

    A flag that it does not know ends the process.
    """
    if _version_of_tensorflow() == (2, 21):
        return f"{_XLA_FLAGS} {_XLA_FLAGS_OF_2_21}"
    return _XLA_FLAGS


def untested_tensorflow() -> str | None:
    """The version of TensorFlow, where nobody has compared it between makes of CPU."""
    version = _version_of_tensorflow()
    if version is None or version in _COMPARED:
        return None
    return ".".join(map(str, version))


# Both are read without importing the package, nor `importlib.metadata`, which takes as long.


@functools.cache
def _version_of_numpy() -> tuple[int, int] | None:
    found = importlib.util.find_spec("numpy")
    if found is None or found.origin is None:
        return None
    try:
        text = Path(found.origin).with_name("version.py").read_text()
    except OSError:
        return None
    version = re.search(r"""version = ["'](\d+)\.(\d+)""", text)
    return None if version is None else (int(version[1]), int(version[2]))


@functools.cache
def _version_of_tensorflow() -> tuple[int, int] | None:
    for folder in sys.path:
        for name in glob.glob("tensorflow*.dist-info", root_dir=folder or "."):
            version = re.match(r"tensorflow(?:_cpu|_intel)?-(\d+)\.(\d+)", name)
            if version:
                return int(version[1]), int(version[2])
    return None


@functools.cache
def _features() -> Container[str]:
    try:
        with open(_CPUS) as file:
            return next((line for line in file if line.startswith("flags")), "").split()
    except OSError:  # not Linux; this takes a hundred times as long
        import archspec.cpu

        return archspec.cpu.host().features
