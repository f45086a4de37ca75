"""`repro-keras`, as a shell sees it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from fresh import environment, run

from repro_keras._src.digest import digest
from repro_keras._src.version import __version__

COMMAND = Path(sys.executable).with_name("repro-keras")


def command(*arguments, cwd=None, text=None, **variables):
    return subprocess.run(
        [COMMAND, *map(str, arguments)],
        cwd=cwd,
        input=text,
        env={**environment(), **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def loaded_by(*arguments):
    """The exit code of a command, in a fresh process, and which slow libraries it loads."""
    code = (
        "import sys; from repro_keras.cli import main\n"
        f"try: main({list(arguments)!r})\n"
        "finally: print({'keras', 'tensorflow', 'numpy'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout.splitlines()[-1]


@pytest.fixture
def files(tmp_path):
    """A folder with three files, two of which hold the same."""
    np.savez(tmp_path / "a.npz", x=np.arange(5))
    np.savez_compressed(tmp_path / "b.npz", x=np.arange(5))
    (tmp_path / "with\nline \\ break").write_bytes(b"content")
    return tmp_path


def test_help_and_version():
    assert command("--version").stdout.split()[-1] == __version__
    result = command("--help")
    assert result.returncode == 0
    assert "digest" in result.stdout
    assert result.stderr == ""
    assert command("no-such-command").returncode == 2
    assert "Usage" in command("digest").stderr
    module = [sys.executable, "-m", "repro_keras", "--version"]
    result = subprocess.run(module, env=environment(), capture_output=True, text=True, check=True)
    assert (result.stdout.split()[-1], result.stderr) == (__version__, "")


def test_digests(files):
    result = command("digest", "a.npz", "b.npz", cwd=files)
    assert (result.returncode, result.stderr) == (0, "")
    value = digest(files / "a.npz")
    assert result.stdout == f"{value}  a.npz\n{value}  b.npz\n"
    found = json.loads(command("digest", "--json", "a.npz", cwd=files).stdout)
    assert found == [{"file": "a.npz", "digest": value}]


def test_a_check(files):
    names = sorted(path.name for path in files.iterdir())
    listed = command("digest", *names, cwd=files).stdout
    assert len(listed.splitlines()) == 3
    (files / "list").write_text(listed)
    result = command("digest", "--check", "list", cwd=files)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == "a.npz: OK\nb.npz: OK\nwith\\nline \\\\ break: OK\n"
    assert command("digest", "-c", "--quiet", "-", cwd=files, text=listed).stdout == ""

    np.savez(files / "b.npz", x=np.arange(6))
    result = command("digest", "--check", "list", cwd=files)
    assert result.returncode == 1
    assert "b.npz: FAILED\n" in result.stdout
    assert "WARNING: 1 digest does NOT match" in result.stderr
    found = json.loads(command("digest", "--check", "--json", "list", cwd=files).stdout)
    assert [row["verdict"] for row in found] == ["OK", "FAILED", "OK"]
    result = command("digest", "--check", "--quiet", "list", cwd=files)
    assert result.stdout == "b.npz: FAILED\n"

    (files / "a.npz").unlink()
    result = command("digest", "--check", "list", cwd=files)
    assert result.returncode == 2
    assert "a.npz: FAILED open or read" in result.stdout
    assert "a.npz could not be read: No such file" in result.stderr


def test_a_fault_of_ours_is_no_verdict(tmp_path, monkeypatch):
    from click.testing import CliRunner

    from repro_keras._src.runs import store
    from repro_keras.cli import main

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(store, "find", lambda *_: 1 / 0)
    result = CliRunner().invoke(main, ["verify", "--yes"])
    assert result.exit_code == 2
    assert "ZeroDivisionError" in result.stderr
    assert "this is a fault of repro_keras itself" in result.stderr


def test_trouble(files):
    (files / "bad.keras").write_bytes(b"nothing")
    result = command("digest", "a.npz", "bad.keras", "none.h5", cwd=files)
    assert result.returncode == 2
    assert result.stdout.endswith("  a.npz\n")  # the others are not left out
    assert "bad.keras should be a `.keras` archive" in result.stderr
    assert "none.h5 could not be read" in result.stderr
    found = json.loads(command("digest", "--json", "bad.keras", cwd=files).stdout)
    assert "should be" in found[0]["error"]

    (files / "list").write_text("sha256:123  a.npz\n\n")
    result = command("digest", "--check", "list", cwd=files)
    assert result.returncode == 2
    assert "list, line 1: expected 'sha256:<64 digits>  <file>'" in result.stderr
    (files / "list").write_text("\n")
    assert "is empty" in command("digest", "-c", "list", cwd=files).stderr
    result = command("digest", "--check", "no list", cwd=files)
    assert result.returncode == 2
    assert "The list no list could not be read" in result.stderr
    assert command("digest", "--quiet", "a.npz", cwd=files).returncode == 2


@pytest.mark.parametrize("arguments", [["digest", "a.npz"], ["doctor", "script.py"]])
def test_keras_is_loaded_neither_for_arrays_nor_for_scripts(files, arguments):
    (files / "script.py").write_text("import keras\n")
    code = (
        "import sys\nfrom click.testing import CliRunner\nfrom repro_keras.cli import main\n"
        f"assert CliRunner().invoke(main, {arguments}).exit_code == 0\n"
        "print([name for name in ('keras', 'tensorflow') if name in sys.modules])"
    )
    assert run("-c", code, cwd=files).stdout == "[]\n"


@pytest.mark.slow
def test_the_doctor():
    result = command("doctor")
    assert result.returncode == 1
    assert "PYTHONHASHSEED is random" in result.stdout
    assert command("doctor", PYTHONHASHSEED="0").returncode == 0


def test_a_closed_pipe_is_no_crash(files):
    process = subprocess.Popen(
        [COMMAND, "digest", *["a.npz"] * 50],
        cwd=files,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    os.close(os.dup(process.stdout.fileno()))
    process.stdout.close()
    assert b"Traceback" not in process.stderr.read()
    process.wait()
