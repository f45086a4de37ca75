"""What can go wrong with runs and verifications: kills, full disks, foreign records, old files."""

import json
import os
import signal
import subprocess
import time

import msgspec
import pytest
from fresh import environment
from test_cli import COMMAND
from test_run import records, shell

from repro_keras._src import machine, record


@pytest.fixture
def folder(tmp_path):
    """A project's folder."""
    (tmp_path / ".repro").mkdir()
    return tmp_path


def ran(folder, text, *arguments, name="a.py", code=0, **options):
    """Records a script of this text; returns its record."""
    (folder / name).write_text(text)
    result = shell("run", *arguments, name, cwd=folder, **options)
    assert result.returncode == code, result.stderr
    assert "Traceback" not in result.stderr or code
    return record.read(records(folder)[-1])


def started(*arguments, cwd, **options):
    """Starts a command in a process group of its own, and waits for its first line of output."""
    return subprocess.Popen(
        [COMMAND, *map(str, arguments)],
        cwd=cwd,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **options,
    )


def wait_for(path, seconds=60):
    end = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < end, f"{path} has not come"
        time.sleep(0.05)


# Verifications that do not come to their end

SLOW_AGAIN = """
import os, sys, time, pathlib
again = pathlib.Path(__file__).parent.name == "project"
if again:
    pathlib.Path(os.environ["HOME"], "pid").write_text(str(os.getpid()))
    time.sleep(60)
"""


@pytest.mark.parametrize("how", ["Ctrl-C", "SIGKILL"])
def test_a_verification_that_is_interrupted_or_killed_tells_nothing(folder, monkeypatch, how):
    monkeypatch.setenv("HOME", str(folder / ".home"))
    (folder / ".home").mkdir()
    ran(folder, SLOW_AGAIN)
    process = started("verify", "--yes", "--json", cwd=folder)
    wait_for(folder / ".home" / "pid")
    time.sleep(0.2)
    if how == "Ctrl-C":
        os.killpg(process.pid, signal.SIGINT)
    else:
        os.kill(int((folder / ".home" / "pid").read_text()), signal.SIGKILL)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == (130 if how == "Ctrl-C" else 2)
    found = json.loads(output)
    assert found["verdict"] == "could not tell"
    said = "interrupted" if how == "Ctrl-C" else "this run was killed (SIGKILL)"
    assert said in found["reasons"][0]
    assert said in errors
    assert "Traceback" not in errors


def test_what_stops_a_verification_is_told_to_programs(folder):
    (folder / "data.txt").write_text("1")
    ran(folder, "print(open('data.txt').read())")
    (folder / "data.txt").unlink()
    result = shell("verify", "--yes", "--json", cwd=folder)
    assert result.returncode == 2
    found = json.loads(result.stdout)
    assert found["verdict"] == "could not tell"
    assert "needs the data in data.txt" in found["reasons"][0]
    result = shell("verify", "--json", "nothing", cwd=folder)
    assert json.loads(result.stdout)["verdict"] == "could not tell"


def at_question(arguments, cwd, answer):
    """Runs a command on a terminal, and answers its question; returns its exit code and output."""
    import pty

    ours, theirs = pty.openpty()
    options = {"stdin": theirs, "stdout": theirs, "stderr": theirs}
    process = subprocess.Popen(
        [COMMAND, *arguments], cwd=cwd, env=environment(), start_new_session=True, **options
    )
    os.close(theirs)
    shown = b""
    while b"[" not in shown:
        shown += os.read(ours, 65536)
    time.sleep(0.5)  # it reads now
    if answer is None:
        process.send_signal(signal.SIGINT)
    else:
        os.write(ours, answer)
    code = process.wait(timeout=60)
    shown += os.read(ours, 65536)
    os.close(ours)
    return code, shown.decode()


def test_an_interrupt_at_a_question_is_an_interrupt(folder):
    ran(folder, "print(1)")
    for arguments in (["verify"], ["gc", "--keep=0"]):
        code, shown = at_question(arguments, folder, None)
        assert code == 130, shown
        assert "Aborted" not in shown
    code, shown = at_question(["verify"], folder, b"\x04")
    assert code == 2, shown
    assert len(records(folder)) == 1


# Records of others


def rewritten(folder, **facts):
    """Writes the latest record anew, with other facts in its predicate."""
    path = records(folder)[-1]
    statement = record.read(path)
    predicate = msgspec.structs.replace(statement.predicate, **facts)
    record.write(path, msgspec.structs.replace(statement, predicate=predicate))
    return path


def test_a_record_sets_no_variables_but_those_on_the_list(folder):
    text = "import os\nprint(os.environ.get('EVIL'), os.environ.get('XLA_FLAGS'))\n"
    evil = folder / "evil"
    evil.mkdir()
    (evil / "sitecustomize.py").write_text(f"open({str(folder / 'ran')!r}, 'w')")
    before = ran(folder, text).predicate.environment
    more = {"PYTHONPATH": str(evil), "EVIL": "1", "XLA_FLAGS": f"--dump={folder}"}
    rewritten(folder, environment={**before, **more})
    result = shell("verify", "--yes", cwd=folder)
    assert not (folder / "ran").exists()
    assert result.returncode == 0, result.stdout
    output = records(folder)[-1].with_name("output.txt").read_text()
    assert output.splitlines()[-1] == "None None"
    assert machine.environment(more) == {"XLA_FLAGS": machine.A_PATH}


def test_a_record_moves_no_cursor(folder):
    ran(folder, "print(1)")
    path = records(folder)[-1]
    code = msgspec.structs.replace(record.read(path).predicate.code, arguments=["\x1b[2K", "a b"])
    rewritten(folder, code=code)
    result = shell("verify", cwd=folder)
    assert "\x1b" not in result.stderr
    assert r"a.py $'\x1b[2K' 'a b'" in result.stderr


# Old runs


def ids(folder):
    return sorted(path.parent.name for path in records(folder))


def test_verifications_push_no_run_out(folder):
    ran(folder, "print(1)")
    (first,) = ids(folder)
    for _ in range(2):
        assert shell("verify", "--yes", first, cwd=folder).returncode == 0
    ran(folder, "print(2)")
    # The latest run, the latest verification, and the record that this verifies.
    found = json.loads(shell("gc", "--yes", "--keep=1", "--json", cwd=folder).stdout)
    assert len(found["removed"]) == 1
    assert first in ids(folder)
    assert len(ids(folder)) == 3
    shell("gc", "--yes", "--keep=0", cwd=folder)
    assert ids(folder) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may remove everything")
def test_what_cannot_be_removed_is_said(folder):
    ran(folder, "print(1)")
    runs = folder / ".repro" / "runs"
    runs.chmod(0o555)
    try:
        result = shell("gc", "--yes", "--keep=0", cwd=folder)
    finally:
        runs.chmod(0o755)
    assert result.returncode == 2
    assert result.stdout.startswith("0 removed")
    assert "could not be removed" in result.stderr


def test_removing_says_what_it_could_not_remove(folder, monkeypatch):
    import shutil

    from repro_keras._src.runs import removal

    def read_only(path, **options):
        if "one" in str(path):
            raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(shutil, "rmtree", read_only)
    failed = removal.remove([folder / "one", folder / "two"])
    assert ["one could not be removed" in str(error) for error in failed] == [True]


# Disks that are full


def test_a_full_disk_is_one_line(folder, monkeypatch):
    from click.testing import CliRunner

    from repro_keras._src.runs import launch
    from repro_keras.cli import main

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    (folder / "a.py").write_text("print(1)")
    monkeypatch.chdir(folder)
    monkeypatch.setattr(launch, "prepare", full)
    result = CliRunner().invoke(main, ["run", "a.py"])
    assert result.exit_code == 2
    assert result.stderr == "repro-keras: [Errno 28] No space left on device\n"
