"""Numbers nearer to 0 than the smallest normal one (in float32, 1.2e-38): 0, for TensorFlow.

The threads of its pools take such an operand for 0, and give 0 for such a result; they are told so
as they are made. The thread of the caller is not, and has to be where it computes in their place.
It is told by the control register of SSE (Intel, "Software Developer's Manual", volume 1, 10.2.3),
which a new thread of Linux has from the one that makes it.
"""

import contextlib
import ctypes
import functools
import platform
from collections.abc import Iterator

import numpy as np

_FLUSH_TO_ZERO, _DENORMALS_ARE_ZERO = 1 << 15, 1 << 6


class _Environment(ctypes.Structure):
    """`fenv_t` of glibc for x86-64."""

    _fields_ = (("x87", ctypes.c_uint8 * 28), ("mxcsr", ctypes.c_uint32))


@contextlib.contextmanager
def taken_for_0() -> Iterator[None]:
    """Inside, this thread computes as those of TensorFlow's pools do."""
    libm = _libm()
    before = _Environment()
    libm.fegetenv(ctypes.byref(before))
    here = _Environment.from_buffer_copy(before)
    here.mxcsr |= _FLUSH_TO_ZERO | _DENORMALS_ARE_ZERO
    libm.fesetenv(ctypes.byref(here))
    try:
        yield
    finally:
        libm.fesetenv(ctypes.byref(before))


@functools.cache
def can_be_taken_for_0() -> bool:
    """Whether this system is one where a thread can be told so."""
    if platform.machine() != "x86_64" or platform.libc_ver()[0] != "glibc":
        return False
    with taken_for_0():
        return not np.multiply(np.finfo(np.float32).smallest_normal, np.float32(0.5))


@functools.cache
def _libm() -> ctypes.CDLL:
    return ctypes.CDLL("libm.so.6")
