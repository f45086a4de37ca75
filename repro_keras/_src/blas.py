"""OpenBLAS, which NumPy and SciPy each bring along: its pools, and its kernels.

As it is loaded it makes its pool, and chooses its kernels by OPENBLAS_CORETYPE, or else by the make
of CPU; that may have been before the switches were set.
"""

import os
from collections.abc import Iterator

KERNELS = "Haswell"
"""Those that `portable` computes with: all CPUs that it needs can."""


def limit(threads: int) -> None:
    """Gives the pools that are there a size.

    As it is loaded, OpenBLAS makes no more threads than there are cores, whatever the switches say.
    What it is told then, it does.
    """
    import threadpoolctl

    threadpoolctl.threadpool_limits(limits=threads)


def choose_again() -> None:
    """Has what is loaded choose its kernels anew, by the switch as it is now.

    Nothing may compute meanwhile. A library that was built for one make of CPU stays as it is.
    """
    for _, library in _loaded():
        library.gotoblas_dynamic_quit()
        library.gotoblas_dynamic_init()


def kernels() -> dict[str, str]:
    """What CPU the kernels of each library that has several are for, by the library's file."""
    import ctypes

    found = {}
    for path, library in _loaded():
        # The function that `threadpoolctl` asks goes on to say what was chosen first.
        library.gotoblas_corename.restype = ctypes.c_char_p
        found[os.path.basename(path)] = library.gotoblas_corename().decode()
    return found


def _loaded() -> Iterator[tuple]:
    """The libraries that have several kernels, each with its path."""
    import ctypes

    import threadpoolctl

    for pool in threadpoolctl.threadpool_info():
        if pool["internal_api"] == "openblas":
            library = ctypes.CDLL(pool["filepath"])
            if hasattr(library, "gotoblas_dynamic_quit"):
                yield pool["filepath"], library
