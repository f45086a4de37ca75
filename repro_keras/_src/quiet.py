"""While a command imports what it needs, an interrupt ends it as it ends any other program.

Python would print where it was in the imports. Import this first, and call `over` after the others.
"""

import signal
import threading

_quiet = (
    threading.current_thread() is threading.main_thread()
    and signal.getsignal(signal.SIGINT) is signal.default_int_handler
)
if _quiet:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def over() -> None:
    """From here on, interrupts are exceptions again."""
    if _quiet and signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
