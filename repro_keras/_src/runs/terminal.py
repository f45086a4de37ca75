"""Running a process whose output is passed on, with a line of progress below it on a terminal."""

import collections
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

_SIGNALS = [signal.SIGINT, signal.SIGTERM]
if hasattr(signal, "SIGHUP"):
    _SIGNALS.append(signal.SIGHUP)
_CLEAR = b"\r\x1b[2K"
_QUIET = 0.3  # seconds without output after which the line is drawn
_GRACE = 0.2  # seconds in which a signal that a whole group of processes got is heard by the child
HEARD = "signals"
"""The file in which the child notes, a byte each, the signals that it got."""


def run(
    command: list[str],
    *,
    environment: dict[str, str],
    folder: Path,
    output: Path | None,
    progress: Callable[[], str],
    heard: Path,
) -> int:
    """Runs a process to its end; Ctrl-C goes to it, and it decides what to do.

    It begins with interrupts blocked: it unblocks them when it is so far that it can note them.

    Args:
        command: the program and its arguments.
        environment: its environment.
        folder: its working directory.
        output: a file for its output; `None` passes it on.
        progress: makes the line that is shown where the standard output is a terminal.
        heard: the file in which it notes the signals that it got.

    Returns:
        Its exit status; negative where a signal ended it.
    """
    options = {"env": environment, "cwd": folder}
    with _signals_for(heard) as children:
        if output is not None:
            with open(output, "wb") as file:
                process = _start(
                    command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, **options
                )
                children.append(process)
                return _wait(process, progress)
        if pty is None or not (sys.stdout.isatty() and sys.stderr.isatty()):
            process = _start(command, **options)
            children.append(process)
            return process.wait()
        return _run_on_terminal(command, options, progress, children)


def _start(command: list[str], **options) -> subprocess.Popen:
    if not hasattr(signal, "pthread_sigmask"):
        return subprocess.Popen(command, **options)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return subprocess.Popen(command, **options)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def note_signals(path: Path) -> None:
    """In the child: from here on, the signals that come are noted, and interrupts come."""
    if hasattr(signal, "pthread_sigmask"):
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NONBLOCK
        signal.set_wakeup_fd(os.open(path, flags, 0o666), warn_on_full_buffer=False)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


@contextlib.contextmanager
def _signals_for(heard: Path) -> Iterator[list[subprocess.Popen]]:
    """Inside, signals are the child's: sent on where it does not get them by itself.

    A terminal, and `timeout`, send them to the whole group of processes; `kill` to one.
    """
    children: list[subprocess.Popen] = []
    got: collections.Counter = collections.Counter()
    if threading.current_thread() is not threading.main_thread():
        yield children
        return

    def pass_on(number, frame):
        got[number] += 1
        timer = threading.Timer(_GRACE, send, (number, got[number]))
        timer.daemon = True
        timer.start()

    def send(number, count):
        noted = heard.read_bytes().count(number) if heard.exists() else 0
        if noted < count:
            for child in children:
                child.send_signal(number)

    # No SIG_IGN: the child would inherit it. What we were told to ignore (nohup), we do.
    wanted = [n for n in _SIGNALS if signal.getsignal(n) is not signal.SIG_IGN]
    before = {n: signal.signal(n, pass_on) for n in wanted}
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


def show(line: str) -> None:
    """Draws a line of progress, where a person looks."""
    if sys.stderr.isatty():
        _draw(2, line)


def clear() -> None:
    """Takes the line of progress away."""
    if sys.stderr.isatty():
        os.write(2, _CLEAR)


def _draw(terminal: int, line: str) -> None:
    with contextlib.suppress(OSError):  # the terminal was closed
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
    process = _start(command, stdout=slave, stderr=slave, **options)
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
    with contextlib.suppress(OSError):  # the terminal was closed; the run goes on
        sys.stdout.flush()
        while content:
            content = content[os.write(1, content) :]
