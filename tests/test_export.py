"""`repro-keras export`, and `verify` of what it writes; nothing is trained but at the end."""

import hashlib
import json
import os
import shutil
import stat
import tomllib
import zipfile
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner
from projects import make_project, records, shell
from test_record import TRAIL, statement

from repro_keras._src import atomic, record
from repro_keras._src.errors import ExportError, SaveError
from repro_keras._src.exports import archive, layout, lock, making, reading
from repro_keras._src.runs import launch, store, verify
from repro_keras.cli import main

CODE = {"train.py": b"import keras\n", "pkg/model.py": b"layers = 3\n"}
DATA = {"data/small.csv": b"1,2\n", "data/large.csv": b"3,4\n" * 300_000}
DIFF = b"diff --git a/train.py b/train.py\n"
FORCED = ["--yes", "--allow", "--json"]


def sha(content):
    return hashlib.sha256(content).hexdigest()


def file(path, content):
    return record.File(path=path, sha256=sha(content), size=len(content))


def command(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A project with one recorded run, which is the working directory."""
    root = tmp_path / "home"
    folder = root / ".repro" / "runs" / "20260101-120000-abcd"
    folder.mkdir(parents=True)
    for name, content in {**CODE, **DATA}.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(content)
    (root / "unrelated.txt").write_text("neither code nor data")
    code = record.Code(
        kind="script",
        target="train.py",
        arguments=["--epochs", "2"],
        files=[file(name, content) for name, content in CODE.items()],
        git=record.Git(commit="a" * 40, diff=sha(DIFF)),
    )
    packages = {"numpy": "2.4.6", "Some.Package_x": "1.0+local", "repro-keras": "0.1.0"}
    recorded = statement(
        TRAIL,
        {"trail": "c" * 64, "model/0/weights": "d" * 64, "file/out/net.keras": "e" * 64},
        code=code,
        read=[file(name, content) for name, content in DATA.items()],
        software=record.Software(python="3.11.0", packages=packages, loaded=["numpy"]),
    )
    record.write(folder / "record.json", recorded)
    (folder / "git.diff").write_bytes(DIFF)
    store.say(folder, began=1_767_268_800.0, seconds=60.0, user="alice", host="a-host")
    monkeypatch.chdir(root)
    return root


@pytest.fixture
def again(monkeypatch):
    """Verifications that run nothing, and come to the same; what they were given."""
    given = []

    def run(path, recorded, home, folder=None):
        files = {p.relative_to(home.root).as_posix(): p for p in home.root.rglob("*.*")}
        given.append({name: p.read_bytes() for name, p in files.items() if p.is_file()})
        record.write(folder / "record.json", recorded)
        (folder / store.COPY).mkdir()
        return launch.Finished(folder, recorded, 0)

    monkeypatch.setattr(verify, "again", run)
    return given


def exported(*arguments, to="run.zip"):
    result = command("export", "-o", to, *arguments)
    assert result.exit_code == 0, result.output
    return Path(to)


def elsewhere(path, tmp_path, monkeypatch):
    """An export in another folder, where nothing else is."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    found = Path(shutil.copy(path, folder / "run.zip"))
    monkeypatch.chdir(folder)
    return found


def runs(root):
    return sorted((root / ".repro" / "runs").iterdir())


# What is in an export


def test_an_export_has_the_record_code_data_versions_and_diff(home):
    contents = archive.read(exported())
    assert list(contents) == sorted(contents)
    assert {n.removeprefix("project/"): c for n, c in contents.items() if n[:8] == "project/"} == {
        **CODE,
        **DATA,
    }
    (path,) = records(home)
    assert contents["record.json"] == path.read_bytes()
    assert contents["git.diff"] == DIFF
    assert contents["requirements.txt"] == b"numpy==2.4.6\nsome-package-x==1.0+local\n"
    lines = [line for line in contents["README.md"].decode().splitlines() if line[:1].isdigit()]
    assert len(lines) == 5
    everything = b"".join(contents.values())
    for said in (b"alice", b"a-host", os.fsencode(home)):
        assert said not in everything
    manifest = json.loads(contents["manifest.json"])
    assert {f["path"]: f["sha256"] for f in manifest["files"]} == {
        name: sha(content) for name, content in contents.items() if name != "manifest.json"
    }


def test_the_same_run_gives_the_same_bytes(home):
    one = exported("--crate").read_bytes()
    for path in home.rglob("*.py"):
        os.utime(path, (0, 0))
    shutil.copytree(home, home.parent / "moved")
    assert exported("abcd", "--crate", to="other.zip").read_bytes() == one
    os.chdir(home.parent / "moved")
    assert exported("--crate").read_bytes() == one


def test_it_is_named_after_the_run_and_told_to_programs(home):
    result = command("export", "--json")
    told = json.loads(result.output)
    assert told["file"] == "20260101-120000-abcd.zip"
    assert told["sha256"] == sha(Path(told["file"]).read_bytes())
    assert (told["packages"], told["hashed"], told["left_out"]) == (3, 0, [])
    shutil.copy(records(home)[0], "published.json")
    assert command("export", "published.json").exit_code == 0
    assert reading.read(Path("published.zip")).statement == record.read("published.json")
    result = command("export", "-o", "none/x.zip")
    assert (result.exit_code, "there is no folder none. Make it first" in result.output) == (
        2,
        True,
    )


def test_code_that_was_changed_or_is_missing_is_named(home):
    Path("pkg/model.py").write_text("layers = 4\n")
    result = command("export")
    assert result.exit_code == 2
    assert "pkg/model.py in" in result.stderr
    assert "was changed since" in result.stderr
    assert "git commit aaaaaaaaaaaa and changes" in result.stderr
    Path("pkg/model.py").unlink()
    result = command("export")
    assert result.exit_code == 2
    assert "needs pkg/model.py, which is missing" in result.stderr
    assert not list(home.glob("*.zip"))


def test_data_that_is_too_large_changed_or_missing_is_left_out_and_listed(home):
    result = command("export", "-o", "run.zip", "--max-data", "1")
    assert "Left out: data/large.csv, 1.2 MB (too large)" in result.output
    contents = archive.read(Path("run.zip"))
    assert "project/data/small.csv" in contents
    assert "project/data/large.csv" not in contents
    large = DATA["data/large.csv"]
    told = {"path": "data/large.csv", "sha256": sha(large), "size": 1_200_000, "why": "too large"}
    assert json.loads(contents["manifest.json"])["left_out"] == [told]
    assert "in your project: data/large.csv" in contents["README.md"].decode()
    Path("data/small.csv").write_text("9,9\n")
    Path("data/large.csv").unlink()
    result = command("export", "-o", "run.zip")
    assert "Left out: data/small.csv, 0.0 MB (it was changed since, or by the run)" in result.output
    assert "Left out: data/large.csv, 1.2 MB (it is missing)" in result.output


def test_names_that_another_system_refuses_are_not_exported(home):
    (path,) = records(home)
    recorded = record.read(path)
    recorded.predicate.read.append(file("data/SMALL.csv", b"x"))
    Path("data/SMALL.csv").write_bytes(b"x")
    record.write(path, recorded)
    result = command("export", "-o", "run.zip")
    assert result.exit_code == 2
    assert "are the same on some systems" in result.stderr
    assert not Path("run.zip").exists()


def test_a_full_disk_leaves_the_old_export(home, monkeypatch):
    before = exported().read_bytes()
    Path("data/small.csv").unlink()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(atomic.os, "fsync", full)
    with pytest.raises(SaveError, match="No space left"):
        making.make(records(home)[0], Path("run.zip"), max_data=10)
    assert Path("run.zip").read_bytes() == before


def test_the_versions_are_a_pylock(home, monkeypatch):
    from packaging import pylock

    told = {"url": "https://example.org/a.whl", "archive_info": {"hashes": {"sha256": "f" * 64}}}
    vcs = {"vcs": "git", "commit_id": "b" * 40}
    installed = {
        "archived": told,
        "old-form": {**told, "archive_info": {"hash": "sha256=" + "e" * 64}},
        "cloned": {"url": "https://example.org/c", "vcs_info": vcs, "subdirectory": "sub"},
        "secret": {"url": "https://user:word@example.org/c", "vcs_info": vcs},
        "edited": {"url": "file:///home/alice/edited", "dir_info": {"editable": True}},
    }

    class Package:
        version = "1.0"

        def __init__(self, name):
            self.metadata = {"Name": name}

        def read_text(self, name):
            return json.dumps(installed[self.metadata["Name"]])

    monkeypatch.setattr(lock.importlib.metadata, "distributions", lambda: map(Package, installed))
    software = record.Software(
        python="3.11.0", packages={**dict.fromkeys(installed, "1.0"), "numpy": "2.4.6"}, loaded=[]
    )
    text, hashed = lock.pylock(software)
    found = tomllib.loads(text)
    assert "alice" not in text
    assert "user:word" not in text
    assert hashed == 3
    assert set(found) == {"lock-version", "requires-python", "created-by", "packages"}
    assert [package["name"] for package in found["packages"]] == sorted(software.packages)
    with_source = [p for p in found["packages"] if {"archive", "vcs"} & set(p)]
    assert len(with_source) == hashed
    pylock.Pylock.from_dict({**found, "packages": with_source}).validate()
    assert all(set(p) == {"name", "version"} for p in found["packages"] if p not in with_source)
    # A package of another version came from elsewhere.
    other = record.Software(python="3.11.0", packages={"archived": "2.0"}, loaded=[])
    assert lock.pylock(other)[1] == 0


# What is verified


def test_verify_runs_what_is_in_the_export(home, again, tmp_path, monkeypatch):
    path = elsewhere(exported(), tmp_path, monkeypatch)
    result = command("verify", path, *FORCED)
    assert result.exit_code == 0, result.output
    assert again == [{**CODE, **DATA}]
    (run,) = runs(Path.cwd())
    assert sorted(p.name for p in run.iterdir()) == ["record.json"]


def test_verify_asks_and_leaves_nothing_where_it_is_not_run(home, again, tmp_path, monkeypatch):
    path = elsewhere(exported(), tmp_path, monkeypatch)
    result = command("verify", path, "--allow")
    assert result.exit_code == 2
    assert "This runs `python train.py --epochs 2` in a copy of" in result.stderr
    assert "run.zip says" in result.stderr
    assert "say --yes" in result.stderr
    assert "does not cover" in command("verify", path, "--yes").stderr
    assert runs(Path.cwd()) == again == []


def test_what_was_unpacked_is_kept_where_asked_and_goes_with_gc(home, again):
    result = command("verify", exported(), *FORCED, "--keep")
    assert result.exit_code == 0
    run = runs(home)[-1]
    assert sorted(p.name for p in run.iterdir()) == ["export", "project", "record.json"]
    assert (run / "export" / "train.py").read_bytes() == CODE["train.py"]
    assert command("gc", "--yes").exit_code == 0
    assert [p.name for p in run.iterdir()] == ["record.json"]


@pytest.mark.parametrize("where", ["data/large.csv", "large.csv", "project/data/large.csv"])
def test_data_that_was_left_out_is_looked_for(where, home, again, tmp_path, monkeypatch):
    path = elsewhere(exported("--max-data", "1"), tmp_path, monkeypatch)
    result = command("verify", path, *FORCED)
    assert result.exit_code == 2
    digest = sha(DATA["data/large.csv"])
    reasons = json.loads(result.stdout)["reasons"][0]
    assert f"data/large.csv (1,200,000 bytes, SHA-256 {digest})" in reasons
    Path(where).parent.mkdir(parents=True, exist_ok=True)
    Path(where).write_bytes(DATA["data/large.csv"][::-1])  # as large, and something else
    assert command("verify", path, *FORCED).exit_code == 2
    assert runs(Path.cwd()) == []
    Path(where).write_bytes(DATA["data/large.csv"])
    if where.startswith("project"):
        (tmp_path / "elsewhere" / "project" / ".repro").mkdir()
        monkeypatch.chdir("project")
        path = Path("..") / path.name
    assert command("verify", path, *FORCED).exit_code == 0
    assert again == [{**CODE, **DATA}]


def test_diff_and_show_take_exports(home):
    path = exported()
    assert command("diff", path, "abcd").exit_code == 0
    (recorded,) = records(home)
    changed = record.read(recorded)
    changed.predicate.code.files[0].sha256 = "f" * 64
    changed.predicate.trail = record.chained(TRAIL[:1])
    (home / ".repro" / "runs" / "other").mkdir()
    record.write(home / ".repro" / "runs" / "other" / "record.json", changed)
    result = command("diff", path, "other")
    assert result.exit_code == 1
    assert result.output.startswith("A: run.zip, python train.py --epochs 2\n")
    assert "train.py" in result.output
    assert "A CPU" in command("show", path).output
    assert command("show", path, "--json").output == recorded.read_text()
    path.write_bytes(b"PK")
    for arguments in (["diff", path, "abcd"], ["show", path]):
        result = command(*arguments)
        assert result.exit_code == 2
        assert "run.zip should be an export of repro-keras" in result.stderr


# What is refused


def rewritten(path, contents):
    """A zip as anybody would write it."""
    with zipfile.ZipFile(path, "w") as out:
        for name, content in contents.items():
            out.writestr(name, content)


def edited(change):
    """A change of an export's files, with the manifest made anew, as who tampers would do it."""

    def edit(path):
        contents = archive.read(path)
        left_out = json.loads(contents.pop("manifest.json"))["left_out"]
        change(contents)
        contents["manifest.json"] = making._manifest(
            contents, msgspec.convert(left_out, list[layout.LeftOut])
        )
        rewritten(path, contents)

    return edit


def member(name, content=b"", mode=0o600 | stat.S_IFREG, how=zipfile.ZIP_STORED):
    """A change that adds a member to the zip."""

    def edit(path):
        info = zipfile.ZipInfo(name)
        info.external_attr = mode << 16
        info.compress_type = how
        with zipfile.ZipFile(path, "a") as out:
            out.writestr(info, content)

    return edit


def bytes_changed(old, new):
    def edit(path):
        content = path.read_bytes()
        assert old in content
        path.write_bytes(content.replace(old, new))

    return edit


def said_larger(path):
    content = bytearray(path.read_bytes())
    at = content.rindex(b"PK\x01\x02")
    for where in (at + 20, at + 24):  # both sizes of the last member
        content[where : where + 4] = (2**29).to_bytes(4, "little")
    path.write_bytes(content)


HOSTILE = {
    "an absolute name": (member("/tmp/x"), "'/tmp/x' is none that a file can have"),
    "a name that leads out": (member("project/../../x"), "'project/../../x' is none"),
    "a drive": (member("C:/x"), "'C:/x' is none"),
    "a backslash": (member("project\\..\\x"), "is none that a file can have"),
    "a device": (member("project/NUL.txt"), "'project/NUL.txt' is none"),
    "a dot at the end": (member("project/x."), "'project/x.' is none"),
    "a folder of git's": (member("project/.GIT/config"), "'project/.GIT/config' is none"),
    "a folder": (member("project/x/"), "'project/x/' is none"),
    "no name": (member("project//x"), "'project//x' is none"),
    "a zero byte": (bytes_changed(b"README.md", b"README\0md"), "is none that a file can have"),
    "a link": (member("project/x", b"/etc/passwd", 0o777 | stat.S_IFLNK), "'project/x' is a link"),
    "a pipe": (member("project/x", b"", 0o600 | stat.S_IFIFO), "something else that is no file"),
    "a name in capitals": (member("README.MD"), "'README.md' and 'README.MD' are the same"),
    "letters of two forms": (member("project/TRAIN.py"), "are the same on some systems"),
    "a file that is a folder": (member("README.md/x"), "'README.md' is a file and a folder"),
    "compressed": (
        member("project/x", b"0" * 10**6, how=zipfile.ZIP_DEFLATED),
        "'project/x' is compressed",
    ),
    "sizes that are not there": (said_larger, "larger than they can be"),
    "not a zip": (lambda path: path.write_bytes(b"nothing"), "it is no whole zip file"),
    "cut off": (
        lambda path: path.write_bytes(path.read_bytes()[:-30]),
        "it is no whole zip file",
    ),
    "a byte of a file": (bytes_changed(b"layers = 3", b"layers = 4"), "no whole zip file (Bad CRC"),
    "no export": (lambda path: rewritten(path, {"a.txt": b""}), "it has no manifest.json"),
    "another manifest": (
        lambda path: rewritten(path, {**archive.read(path), "manifest.json": b"{}"}),
        "manifest.json is none of an export",
    ),
    "one more file": (member("extra.txt"), "it has 'extra.txt', which is no part of it"),
    "one file less": (
        lambda path: rewritten(
            path, {n: c for n, c in archive.read(path).items() if n != "README.md"}
        ),
        "it has no 'README.md', which manifest.json lists",
    ),
    "another readme": (
        lambda path: rewritten(path, {**archive.read(path), "README.md": b"x"}),
        "'README.md' does not fit its digest",
    ),
    "other code": (
        edited(lambda c: c.update({"project/train.py": b"import os\n"})),
        "'project/train.py' is not what the record says",
    ),
    "other data": (
        edited(lambda c: c.update({"project/data/small.csv": b"9,9\n"})),
        "'project/data/small.csv' is not what the record says",
    ),
    "more code": (
        edited(lambda c: c.update({"project/keras.py": b"import os\n"})),
        "the record says nothing of 'project/keras.py'",
    ),
    "less code": (
        edited(lambda c: c.pop("project/pkg/model.py")),
        "it has no 'project/pkg/model.py', which the record needs",
    ),
    "another diff": (
        edited(lambda c: c.update({"git.diff": b"x"})),
        "git.diff is not what the record says",
    ),
    "another record": (
        edited(lambda c: c.update({"record.json": c["record.json"].replace(b"0x", b"-0x", 1)})),
        "run.zip was changed after it was written",
    ),
    "an unknown file, listed": (
        edited(lambda c: c.update({"about.json": b"{}"})),
        "it has 'about.json', which is no part of it",
    ),
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("what", HOSTILE)
def test_what_is_no_export_is_refused(what, home, again, tmp_path, monkeypatch):
    path = elsewhere(exported(), tmp_path, monkeypatch)
    change, says = HOSTILE[what]
    change(path)
    result = command("verify", path, *FORCED)
    assert result.exit_code == 2, result.output
    assert says in result.stderr
    assert "run.zip" in result.stderr
    assert json.loads(result.stdout)["verdict"] == "could not tell"
    assert again == []
    assert sorted(p.name for p in tmp_path.rglob("*") if tmp_path / "home" not in p.parents) == [
        "elsewhere",
        "home",
        "run.zip",
    ]


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_files_of_one_name_are_refused(home):
    path = exported()
    member("README.md")(path)
    with pytest.raises(ExportError, match=r"'README.md' and 'README.md' are the same"):
        reading.read(path)


def test_too_much_is_refused(home, monkeypatch):
    path = exported()
    monkeypatch.setattr(archive, "MOST_FILES", 3)
    with pytest.raises(ExportError, match="it has more than 3 files"):
        reading.read(path)
    monkeypatch.setattr(archive, "MOST_FILES", 100)
    monkeypatch.setattr(archive, "MOST_BYTES", 1000)
    with pytest.raises(ExportError, match="more than an export may have"):
        reading.read(path)
    with pytest.raises(ExportError, match="it would have more than 1,000 bytes"):
        making.make(records(home)[0], Path("x.zip"), max_data=10**6)


def test_a_newer_export_says_what_to_do(home):
    path = exported()
    contents = archive.read(path)
    contents["manifest.json"] = contents["manifest.json"].replace(b'"schema": 1', b'"schema": 2')
    rewritten(path, contents)
    result = command("verify", path, *FORCED)
    assert result.exit_code == 2
    assert "Install a newer repro_keras" in result.stderr


# All of it


@pytest.mark.slow
def test_an_export_of_a_run_is_the_same_elsewhere(tmp_path):
    folder = make_project(tmp_path / "project")
    assert shell("run", "train.py", f"--out={folder}/x", cwd=folder).returncode == 0
    result = shell("export", "-o", tmp_path / "run.zip", cwd=folder)
    assert result.returncode == 0, result.stderr
    shutil.rmtree(folder)
    (tmp_path / "elsewhere").mkdir()
    result = shell("verify", "--yes", "../run.zip", cwd=tmp_path / "elsewhere")
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.splitlines()[-1] == "The same"
