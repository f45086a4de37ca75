"""What can go wrong with runs and verifications: kills, full disks, foreign records, old files."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import msgspec
import pytest
from fresh import environment, run
from projects import records, shell
from test_cli import COMMAND

from repro_keras._src import machine, project, record
from repro_keras._src.runs import launch, store


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
def test_a_verification_that_is_interrupted_or_killed_tells_nothing(
    folder, tmp_path_factory, monkeypatch, how
):
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    ran(folder, SLOW_AGAIN)
    process = started("verify", "--yes", "--json", cwd=folder)
    wait_for(home / "pid")
    time.sleep(0.2)
    if how == "Ctrl-C":
        os.killpg(process.pid, signal.SIGINT)
    else:
        os.kill(int((home / "pid").read_text()), signal.SIGKILL)
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
    assert shell("verify", "--yes", cwd=folder).returncode == 0  # a copy of it was kept
    shutil.rmtree(folder / ".repro" / "kept")
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


def test_what_is_not_there_is_not_run(folder):
    (folder / "pkg").mkdir()
    (folder / "pkg" / "__init__.py").write_text("raise ImportError('it is not imported')")
    (folder / "a.py").write_text("")
    for arguments, said in (
        (["--bogus", "a.py"], "No such option"),
        (["-m", "nomod"], "There is no module 'nomod' to run"),
        (["-m", "pkg.none"], "There is no module 'pkg.none' to run"),
    ):
        result = shell("run", *arguments, cwd=folder)
        assert result.returncode == 2
        assert said in result.stderr
        assert "Traceback" not in result.stderr
    assert not (folder / ".repro" / "runs").exists()
    launch._check_module("a", folder)
    launch._check_module("json.tool", folder)


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
    evil, _, flags = output.splitlines()[-1].partition(" ")
    assert evil == "None"
    assert "--dump" not in flags  # there are those of `portable`
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
    would = shell("gc", "--dry-run", "--keep=1", cwd=folder).stdout.splitlines()
    assert [line.startswith(".repro/runs/") for line in would] == [True, False]
    assert "1 would be removed" in would[-1]
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

    from repro_keras.cli import main

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    (folder / "a.py").write_text("print(1)")
    monkeypatch.chdir(folder)
    monkeypatch.setattr(launch, "prepare", full)
    result = CliRunner().invoke(main, ["run", "a.py"])
    assert result.exit_code == 2
    assert result.stderr == "repro-keras: [Errno 28] No space left on device\n"


CUT = """
import os, sys
import repro_keras.repro  # the recorder's process
from repro_keras._src.runs import journal
write = os.write
def full(descriptor, content):
    if b'"wrote"' in content or {end} and b'"finish"' in content:
        raise OSError(28, "No space left on device")
    return write(descriptor, content)
os.write = full
open("out.txt", "w").write("1")
"""


@pytest.mark.parametrize("end", [0, 1])
def test_a_run_whose_disk_was_full_is_recorded_as_cut_off(folder, end):
    run = ran(folder, CUT.format(end=end)).predicate
    assert (run.status, run.exit_code, run.cut_off) == ("finished", 0, True)
    result = shell("verify", "--yes", cwd=folder)
    assert result.returncode == 2
    assert "as the disk was full" in result.stderr


# Runs that are killed

LONG = """
import os, time
import numpy as np
import repro_keras as keras
import part
v = keras.Variable(1.0)
optimizer = keras.optimizers.SGD()
for _ in range(4):
    optimizer.apply([np.float32(1)], [v])
{then}
"""


@pytest.mark.slow
@pytest.mark.parametrize("how", ["_exit", "SIGTERM", "SIGHUP", "SIGKILL of both"])
def test_a_killed_run_has_its_code_its_software_and_its_steps(folder, how):
    (folder / "part.py").write_text("x = 1\n")
    then = (
        "time.sleep(0.8); os._exit(0)" if how == "_exit" else "time.sleep(0.8); print(1, flush=1)"
    )
    (folder / "a.py").write_text(LONG.format(then=then + "; time.sleep(60)"))
    process = started("run", "a.py", cwd=folder)
    if how != "_exit":
        assert process.stdout.readline() == "1\n"
    if how == "SIGKILL of both":
        os.killpg(process.pid, signal.SIGKILL)
    elif how != "_exit":
        process.send_signal(getattr(signal, how))
    process.communicate(timeout=60)
    if how == "SIGKILL of both":
        assert records(folder) == []
        (listed,) = json.loads(shell("ls", "--json", cwd=folder).stdout)
        assert (listed["status"], listed["steps"]) == ("killed", 4)
    run = record.read(records(folder)[-1]).predicate
    assert run.status == "killed"
    assert [file.path for file in run.code.files] == ["a.py", "part.py"]
    assert {"keras", "tensorflow", "numpy"} < set(run.software.loaded)
    assert [len(segment.steps.loss) for segment in run.trail] == [4]


def test_an_interrupt_of_the_command_alone_is_passed_on_once(folder):
    text = (
        "import time\ntry:\n  print(1, flush=True)\n  time.sleep(60)\n"
        "except KeyboardInterrupt:\n  time.sleep(1)\n  open('cleaned.txt', 'w')\n  raise\n"
    )
    (folder / "a.py").write_text(text)
    for number, kill in enumerate((os.kill, os.killpg)):
        (folder / "cleaned.txt").unlink(missing_ok=True)
        process = started("run", "a.py", cwd=folder)
        assert process.stdout.readline() == "1\n"
        kill(process.pid, signal.SIGINT)
        process.communicate(timeout=60)
        assert process.returncode == 130
        assert (folder / "cleaned.txt").exists()  # one interrupt, not two
        assert len(records(folder)) == number + 1
        assert record.read(records(folder)[-1]).predicate.status == "interrupted"


def test_an_interrupt_while_the_command_imports_is_no_traceback(folder):
    code = (
        "import sys, types, os, signal\n"
        "class Slow:\n"
        "  def find_spec(self, name, path=None, target=None):\n"
        "    if name == 'rich': os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Slow())\n"
        "import repro_keras.cli\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={**environment(), "PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
    )
    assert (result.returncode, result.stderr) == (-signal.SIGINT, "")
    from repro_keras import cli

    assert cli.quiet is not None
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_interrupt_before_the_script_begins_is_an_interrupt(folder):
    (folder / "a.py").write_text("print(1)")
    process = started("run", "a.py", cwd=folder)
    time.sleep(0.9)  # somewhere in the imports, of the command or of its child
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode in (130, -signal.SIGINT, 0)
    assert "child.py" not in errors


def test_a_run_is_not_taken_for_a_later_process_of_its_number(folder):
    from repro_keras._src.runs import process

    own = process.identity(os.getpid())
    assert process.is_alive(os.getpid(), own)
    assert process.is_alive(os.getpid(), None)
    assert not process.is_alive(os.getpid(), "another boot 1")
    child = subprocess.Popen(["true"])
    child.wait()
    assert not process.is_alive(child.pid, None)


def test_a_child_that_a_script_forks_does_not_end_its_record(folder):
    text = (
        "import os, sys\nif os.fork() == 0:\n  sys.exit(3)\n"
        "os.wait()\nopen('x.txt', 'w').write('1')\n"
    )
    statement = ran(folder, text)
    assert (statement.predicate.status, statement.predicate.exit_code) == ("finished", 0)
    assert "file/x.txt" in record.subjects(statement)


# Files


def test_what_the_shell_redirects_is_not_the_runs(folder):
    here = "test -e .repro && echo 1 > own.txt"  # and not in a copy
    text = f"import subprocess\nprint(1)\nsubprocess.run(['sh', '-c', {here!r}])\n"
    (folder / "a.py").write_text(text)
    run = [COMMAND, "run", "a.py"]
    with open(folder / "log.txt", "w") as log:
        subprocess.run(run, cwd=folder, env=environment(), stdout=log, stderr=log, check=True)
    statement = record.read(records(folder)[-1])
    assert record.files(statement) == statement.predicate.unseen == ["own.txt"]
    # What a process that nobody saw has written says what to do.
    result = shell("verify", "--yes", "--json", cwd=folder)
    assert result.returncode == 2, result.stdout
    found = json.loads(result.stdout)
    assert "own.txt changed while" in found["reasons"][0]
    assert "--ignore" in found["reasons"][0]
    assert [row["differing"] for row in found["rows"] if row["what"] == "files"] == [["own.txt"]]
    assert "--ignore" in shell("diff", *ids(folder), cwd=folder).stdout


def test_commands_that_are_started_without_streams_come_to_their_end(folder):
    ran(folder, "print(1)")
    closed = ["sh", "-c", f"{COMMAND} verify --yes >&- 2>&- <&-"]
    assert subprocess.run(closed, cwd=folder, env=environment()).returncode == 0


def test_a_copy_that_the_disk_has_no_room_for_goes(folder, monkeypatch):
    from click.testing import CliRunner

    from repro_keras.cli import main

    def full(*arguments):
        raise OSError(28, "No space left on device")

    ran(folder, "print(1)")
    monkeypatch.chdir(folder)
    monkeypatch.setattr(project.Project, "copy_to", full)
    result = CliRunner().invoke(main, ["verify", "--yes"])
    assert result.exit_code == 2
    assert "No space left on device. Make room there" in result.stderr
    assert [path.parent for path in records(folder)] == [*(folder / ".repro" / "runs").iterdir()]


def test_verify_writes_nothing_into_the_project(folder):
    text = (
        "import pathlib\nfor name in ('logs/t.txt', '.cache/c.txt', 'out/a.txt'):\n"
        "  path = pathlib.Path(name)\n  path.parent.mkdir(exist_ok=True)\n"
        "  path.write_text('again' if 'runs' in path.resolve().parts else 'first')\n"
        "  for old in path.parent.glob('old*'):\n    old.unlink()\n"
    )
    statement = ran(folder, text, "--ignore=logs/*", "--ignore=out/*")
    assert statement.predicate.unchecked == ["logs/t.txt", "out/a.txt"]
    for name in ("logs", ".cache", "out"):
        (folder / name / "old.txt").write_text("old")
    paths = [p for p in folder.rglob("*") if p.is_file() and ".repro" not in p.parts]
    before = {path: path.read_bytes() for path in paths}
    assert shell("verify", "--yes", "--keep", cwd=folder).returncode == 0
    assert {path: path.read_bytes() for path in paths} == before
    copy = records(folder)[-1].parent / store.COPY
    assert (copy / "logs" / "t.txt").read_text() == "again"
    assert not (copy / "logs" / "old.txt").exists()


def test_verify_does_not_write_to_absolute_paths_of_the_user(folder, tmp_path_factory):
    text = "import sys\nopen(sys.argv[1] if sys.argv[1:] else {0!r}, 'w').write('1')\n"
    own, other = folder / "out.txt", tmp_path_factory.mktemp("elsewhere") / "out.txt"
    for path, arguments in ((own, []), (other, [other])):
        (folder / "a.py").write_text(text.format(str(own)))
        assert shell("run", "a.py", *arguments, cwd=folder).returncode == 0
        path.write_text("later")
        result = shell("verify", "--yes", cwd=folder)
        assert result.returncode == 2, result.stdout
        assert f"The script writes to {path}, which is yours" in result.stderr
        assert path.read_text() == "later"
    other.unlink()  # moved away
    assert shell("verify", "--yes", cwd=folder).returncode == 0
    # The control, with what a script may do all the same.
    text = (
        f"import os, shutil, pathlib\nos.makedirs({str(folder)!r}, exist_ok=True)\n"
        f"shutil.rmtree({str(folder / 'none')!r}, ignore_errors=True)\n"
        f"pathlib.Path(__file__).with_name('b.txt').write_text('1')\n"
    )
    ran(folder, text)
    assert shell("verify", "--yes", cwd=folder).returncode == 0


@pytest.mark.parametrize(
    "code",
    [
        "shutil.rmtree(d)",
        "os.remove(f)",
        "os.rename('x', f)",
        "os.truncate(f, 0)",
        "os.mkdir(n)",
        "atomic.replacing(f).__enter__()",
    ],
)
def test_nothing_of_the_users_is_changed_from_a_copy(tmp_path, code):
    for name in ("home/d", "copy"):
        (tmp_path / name).mkdir(parents=True)
    file, new = tmp_path / "home" / "d" / "f.txt", tmp_path / "home" / "new"
    file.write_text("1")
    (tmp_path / "copy" / "x").write_text("2")
    guarded = (
        "import os, shutil\nfrom pathlib import Path\n"
        "from repro_keras._src import atomic\n"
        "from repro_keras._src.runs import request, untouched\n"
        f"home, copy = Path({str(tmp_path / 'home')!r}), Path({str(tmp_path / 'copy')!r})\n"
        "asked = request.Request(kind='script', target='a.py', root=str(copy), folder=str(copy),"
        " untouched=[str(home)])\nuntouched.guard(copy, asked)\n"
        f"d, f, n = home / 'd', home / 'd' / 'f.txt', home / 'new'\nos.chdir(copy)\n{code}\n"
    )
    result = run("-c", guarded, check=False)
    assert f"RunError: The script writes to {tmp_path}/home/" in result.stderr
    assert "repro-saving, which" not in result.stderr
    assert (file.read_text(), new.exists()) == ("1", False)


def test_a_large_file_is_not_written_through_its_link(folder):
    (folder / "big.bin").write_bytes(b"\0" * 65 * 2**20)
    text = "with open('big.bin', 'r+b') as file:\n  file.seek(5)\n  file.write(b'1')\n"
    (folder / "a.py").write_text(text)
    before = ran(folder, text).predicate.read[0]
    assert (before.path, before.size) == ("big.bin", 65 * 2**20)
    # The run began with another file.
    result = shell("verify", "--yes", cwd=folder)
    assert result.returncode == 2
    assert "the run began with another big.bin" in result.stderr
    (folder / "big.bin").write_bytes(b"\0" * 65 * 2**20)
    result = shell("verify", "--yes", cwd=folder)
    assert result.returncode == 0, result.stdout
    assert set((folder / "big.bin").read_bytes()[:9]) == {0}


def test_what_a_run_appends_to_is_data(folder):
    text = "with open('res.csv', 'a') as file:\n  file.write('1\\n')\n"
    assert ran(folder, text).predicate.read == []  # it was not there
    assert shell("verify", "--yes", cwd=folder).returncode == 0
    (read,) = ran(folder, text).predicate.read
    assert (read.path, read.size) == ("res.csv", 2)
    assert shell("verify", "--yes", cwd=folder).returncode == 0  # it begins with the copy kept
    assert (folder / "res.csv").read_text() == "1\n1\n"
    shutil.rmtree(folder / ".repro" / "kept")
    result = shell("verify", "--yes", cwd=folder)
    assert result.returncode == 2
    assert "the run began with another res.csv" in result.stderr
    (folder / "res.csv").write_text("1\n")
    assert shell("verify", "--yes", cwd=folder).returncode == 0


@pytest.mark.slow
def test_files_of_others_are_not_the_runs(folder):
    text = "import time\nopen('{0}.txt', 'w').write('1')\nprint(1, flush=True)\ntime.sleep({1})\n"
    (folder / "slow.py").write_text(text.format("slow", 4))
    slow = project.sha256(folder / "slow.py")
    (folder / "a.py").write_text(text.format("quick", 0))
    process = started("run", "slow.py", cwd=folder)
    assert process.stdout.readline() == "1\n"
    (folder / "slow.py").write_text("# edited meanwhile")
    assert shell("run", "a.py", cwd=folder).returncode == 0
    statement = record.read(records(folder)[-1])
    assert record.files(statement) == ["quick.txt"]
    (folder / "notes.txt").write_text("by hand, meanwhile")
    process.communicate(timeout=60)
    statement = record.read(records(folder)[-1])
    assert [file.sha256 for file in statement.predicate.code.files] == [slow]
    (folder / "slow.py").write_text(text.format("slow", 4))
    assert record.files(statement) == ["notes.txt", "slow.txt"]
    assert statement.predicate.unseen == ["notes.txt"]
    result = shell("verify", "--yes", records(folder)[-1], cwd=folder)
    assert result.returncode == 2, result.stdout  # whose it was is not known
    assert "notes.txt" in result.stdout


# Other things


def test_a_script_that_reads_its_input_cannot_be_run_again(folder):
    (folder / "a.py").write_text("import sys\nprint(sys.stdin.readline() + input())")
    result = subprocess.run(
        [COMMAND, "run", "a.py"],
        cwd=folder,
        env=environment(),
        input="one\ntwo\n",
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout == "one\ntwo\n"
    assert record.read(records(folder)[-1]).predicate.read_input
    result = shell("verify", "--yes", cwd=folder)
    assert result.returncode == 2
    assert "the run read its standard input" in result.stderr
    assert not ran(folder, "import sys\nprint(sys.stdin.read())").predicate.read_input


def test_a_syntax_error_looks_as_python_shows_it(folder):
    (folder / "a.py").write_text("x = 1\nx = (\n")
    result = shell("run", "a.py", cwd=folder)
    assert result.returncode == 1
    assert result.stderr.startswith(f'  File "{folder}/a.py", line 2\n')
    assert "child.py" not in result.stderr


def test_a_cell_that_fails_names_its_error(folder):
    pytest.importorskip("IPython")
    cells = [{"cell_type": "code", "source": ["1/0"], "metadata": {}}]
    (folder / "n.ipynb").write_text(json.dumps({"nbformat": 4, "cells": cells}))
    result = shell("run", "n.ipynb", cwd=folder)
    assert result.returncode == 1
    run = record.read(records(folder)[-1]).predicate
    assert (run.status, run.error) == ("failed", "ZeroDivisionError")
    (folder / "bad.ipynb").write_text("{}")
    result = shell("run", "bad.ipynb", cwd=folder)
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert "should be a Jupyter notebook" in result.stderr
    assert len(records(folder)) == 1


def test_an_ascii_terminal_shows_what_it_can(folder):
    ran(folder, "print(1)")
    result = shell("show", cwd=folder, PYTHONIOENCODING="ascii")
    assert result.returncode == 0, result.stderr
    assert "history" in result.stdout


def test_the_record_is_where_show_looks(folder):
    for name in ("here", "other"):
        (folder / name / ".repro").mkdir(parents=True)
        (folder / name / "a.py").write_text(f"print({name!r})")
    assert shell("run", "a.py", cwd=folder / "here").returncode == 0
    assert shell("run", "../other/a.py", cwd=folder / "here").returncode == 0
    assert "other/a.py" in shell("show", cwd=folder / "here").stdout
    assert shell("verify", "--yes", cwd=folder / "here").returncode == 0
    assert len(records(folder / "here")) == 3


# Scripts that record themselves


def recorded_itself(folder, text, *options, code=0, name="own.py"):
    """Runs a script of this text that makes `repro.Record()`; returns its record."""
    (folder / name).write_text(text)
    command = [sys.executable, *(options or [name])]
    variables = {**environment(), "PYTHONHASHSEED": "0"}
    result = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True)
    assert result.returncode == code, result.stderr
    return record.read(records(folder)[-1])


EARLY = """
import sys
import numpy as np
import repro_keras as keras
from repro_keras import repro
x = np.loadtxt("d.csv")
open("made.txt", "w").write("before it was made")
model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
model.compile("sgd", "mse")
model.evaluate(x, x, verbose=0)
record = repro.Record()
model.fit(x, x, callbacks=[record], verbose=0)
"""


@pytest.mark.slow
def test_a_script_that_records_itself_verifies(folder):
    (folder / "d.csv").write_text("1\n2\n3\n")
    statement = recorded_itself(folder, EARLY)
    run = statement.predicate
    assert run.from_inside
    assert ([data.call for data in run.data], run.read) == (["fit 0", "fit 0"], [])
    assert record.files(statement) == []
    result = shell("verify", "--yes", "--json", cwd=folder)
    assert result.returncode == 0, result.stdout + result.stderr
    # What looks at the machine is loaded there by the script's process, and here by another.
    assert [row["what"] for row in json.loads(result.stdout)["rows"] if not row["same"]] == []
    (folder / "pkg").mkdir()
    (folder / "pkg" / "__init__.py").touch()
    (folder / "pkg" / "part.py").touch()
    text = EARLY.replace("import sys", "import sys\nfrom . import part")
    run = recorded_itself(folder, text, "-m", "pkg.train", name="pkg/train.py").predicate
    assert (run.code.kind, run.code.target) == ("module", "pkg.train")
    result = shell("verify", "--yes", cwd=folder)
    assert result.returncode == 0, result.stdout + result.stderr


ENDS = "import sys\nfrom repro_keras import repro\n{before}repro.Record()\n{end}\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("end", "said"),
    [
        ("1 / 0", ("failed", "ZeroDivisionError", 1)),
        ("sys.exit(3)", ("failed", "SystemExit", 3)),
        ("sys.exit()", ("finished", None, 0)),
        ("try:\n  sys.exit(3)\nexcept SystemExit:\n  print('caught')", ("finished", None, 0)),
        (
            "def f():\n  try:\n    sys.exit(4)\n  finally:\n    pass\nf()",
            ("failed", "SystemExit", 4),
        ),
    ],
)
def test_the_end_of_a_script_that_records_itself_is_known(folder, end, said):
    run = recorded_itself(folder, ENDS.format(before="", end=end), code=said[2]).predicate
    assert (run.status, run.error, run.exit_code) == said
    if end in ("1 / 0", "sys.exit(3)"):
        result = shell("verify", "--yes", cwd=folder)
        assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.slow
def test_a_script_that_records_itself_and_is_killed_has_a_record(folder):
    end = "import os\nos.kill(os.getpid(), 15)"
    (folder / "own.py").write_text(ENDS.format(before="", end=end))
    variables = environment()
    subprocess.run([sys.executable, "own.py"], cwd=folder, env=variables, check=False)
    assert records(folder) == []
    shell("show", cwd=folder)
    assert record.read(records(folder)[-1]).predicate.status == "killed"
