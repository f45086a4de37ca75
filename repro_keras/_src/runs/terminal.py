"""Running a process whose output is passed on, with a line of progress below it on a terminal."""

import contextlib
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

try:
    import fcntl
    import pty
    import termios
except ImportError:  # Windows: output is passed on, without a line of progress
    fcntl = pty = termios = None

_CLEAR = b"\r\x1b[2K"
_QUIET = 0.3  # seconds without output after which the line is drawn


def run(
    command: list[str],
    *,
    environment: dict[str, str],
    folder: Path,
    output: Path | None,
    progress: Callable[[], str],
) -> int:
    """Runs a process to its end; Ctrl-C goes to it, and it decides what to do.

    Args:
        command: the program and its arguments.
        environment: its environment.
        folder: its working directory.
        output: a file for its output; `None` passes it on.
        progress: makes the line that is shown where the standard output is a terminal.

    Returns:
        Its exit status; negative where a signal ended it.
    """
    options = {"env": environment, "cwd": folder}
    with _signals_for() as children:
        if output is not None:
            with open(output, "wb") as file:
                process = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, **options
                )
                children.append(process)
                return _wait(process, progress)
        if pty is None or not (sys.stdout.isatty() and sys.stderr.isatty()):
            process = subprocess.Popen(command, **options)
            children.append(process)
            return process.wait()
        return _run_on_terminal(command, options, progress, children)


@contextlib.contextmanager
def _signals_for() -> Iterator[list[subprocess.Popen]]:
    """Inside, an interrupt is the child's, which the terminal sends it too; others are sent on."""
    children: list[subprocess.Popen] = []
    if threading.current_thread() is not threading.main_thread():
        yield children
        return

    def pass_on(number, frame):
        for child in children:
            if number != signal.SIGINT:
                child.send_signal(number)

    # No SIG_IGN: the child would inherit it.
    before = {n: signal.signal(n, pass_on) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield children
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _wait(process: subprocess.Popen, progress: Callable[[], str]) -> int:
    shown = sys.stderr.isatty()
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.wait(timeout=_QUIET if shown else None)
        if shown:
            _draw(2, progress())


def clear() -> None:
    """Takes the line of progress away."""
    if sys.stderr.isatty():
        os.write(2, _CLEAR)


def _draw(terminal: int, line: str) -> None:
    width = os.get_terminal_size(terminal).columns
    os.write(terminal, _CLEAR + b"\x1b[2m" + line[: width - 1].encode() + b"\x1b[0m")


def _run_on_terminal(command, options, progress, children) -> int:
    """The child writes to a terminal of ours, so that it behaves as it would on the user's."""
    assert pty is not None
    assert fcntl is not None
    assert termios is not None
    master, slave = pty.openpty()
    settings = termios.tcgetattr(slave)
    settings[1] &= ~termios.OPOST  # the user's terminal does this
    termios.tcsetattr(slave, termios.TCSANOW, settings)
    with contextlib.suppress(OSError):
        size = fcntl.ioctl(1, termios.TIOCGWINSZ, b"\0" * 8)
        fcntl.ioctl(slave, termios.TIOCSWINSZ, size)
    process = subprocess.Popen(command, stdout=slave, stderr=slave, **options)
    children.append(process)
    os.close(slave)
    at_line_start, drawn, last = True, False, time.monotonic()
    while True:
        ready, _, _ = select.select([master], [], [], _QUIET)
        if ready:
            try:
                content = os.read(master, 65536)
            except OSError:  # Linux says so when the other side is closed
                content = b""
            if not content:
                break
            _write_all((_CLEAR if drawn else b"") + content)
            at_line_start, drawn, last = content.endswith(b"\n"), False, time.monotonic()
        elif process.poll() is not None:
            break
        elif at_line_start and time.monotonic() - last >= _QUIET:
            _draw(1, progress())
            drawn = True
    if drawn:
        _write_all(_CLEAR)
    os.close(master)
    return process.wait()


def _write_all(content: bytes) -> None:
    sys.stdout.flush()
    while content:
        content = content[os.write(1, content) :]
