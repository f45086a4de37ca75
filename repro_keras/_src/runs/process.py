"""Whether a process that a run began with is still there."""

import os
from pathlib import Path


def identity(pid: int) -> str | None:
    """What tells a process from a later one of the same number; `None` where nothing does.

    Linux says when it was started since the machine was.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        facts = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (OSError, UnicodeDecodeError):
        return None
    return f"{boot} {facts[19]}" if facts[0] != "Z" else None


def is_alive(pid: int, known_as: str | None) -> bool:
    """Whether a process is there.

    Args:
        pid: its number.
        known_as: its `identity` when it was seen; `None` where that is not known.
    """
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass  # it is there, and somebody else's
    return known_as is None or identity(pid) == known_as
