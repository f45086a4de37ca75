"""Records: what is in them, reading them, and comparing them."""

import errno
import json
import os
from pathlib import Path

import msgspec
import pytest
from fresh import ROOT, error_of

from repro_keras._src import project, record
from repro_keras._src.comparing import compare
from repro_keras._src.errors import RecordError, RunError, SaveError
from repro_keras._src.runs import checks, journal, launch, store

EXAMPLES = sorted((ROOT / "examples" / "records").glob("*.json"))


def steps(losses, state="0" * 16):
    return record.Steps(
        loss=[loss.hex() for loss in losses],
        learning_rate=[(0.1).hex()] * len(losses),
        state=[state] * len(losses),
    )


def epoch(number, losses, layers=None, **facts):
    return record.Segment(
        steps=steps(losses),
        fit=0,
        model=0,
        epoch=number,
        metrics={"loss": (sum(losses) / len(losses)).hex()},
        layers=layers or {"net/dense": "a" * 64},
        **facts,
    )


def statement(trail, subject=None, **facts):
    run = record.Run(
        schema=record.SCHEMA,
        **{
            "status": "finished",
            "code": record.Code(kind="script", target="train.py"),
            "configuration": {"seed": 0, "guarantee": "machine"},
            "environment": {},
            "software": record.Software(python="3.11.0", packages={}, loaded=[]),
            "machine": record.Machine(
                system="Linux x86_64",
                model="A CPU",
                architecture="zen2",
                instruction_sets=["avx2"],
                caches={"L2": 1},
                cores=2,
            ),
            "models": [record.Model(name="net", type="Sequential", initial={"net/d": "b" * 64})],
            **facts,
        },
        trail=record.chained(trail),
    )
    subject = subject or {"trail": "c" * 64, "model/0/weights": "d" * 64}
    return record.Statement(
        type=record.STATEMENT,
        subject=[record.Subject(name=n, digest={"sha256": v}) for n, v in subject.items()],
        predicate_type=record.PREDICATE,
        predicate=run,
    )


TRAIL = [epoch(0, [0.5, 0.25]), epoch(1, [0.125, 0.0625])]


@pytest.fixture
def written(tmp_path):
    path = tmp_path / "record.json"
    record.write(path, statement(TRAIL))
    return path


def test_a_record_is_read_as_it_was_written(written):
    again = record.read(written)
    assert again.predicate.trail == record.chained(TRAIL)
    copy = written.with_name("copy.json")
    record.write(copy, again)
    assert copy.read_bytes() == written.read_bytes()
    content = json.loads(written.read_text())
    assert content["_type"] == "https://in-toto.io/Statement/v1"
    assert {"subject", "predicateType", "predicate"} < set(content)


def test_the_published_schema_is_current():
    assert json.loads((ROOT / "docs" / "record.schema.json").read_text()) == record.schema()


def test_the_schema_says_what_records_are():
    import jsonschema

    for path in EXAMPLES:
        jsonschema.validate(json.loads(path.read_text()), record.schema())


def test_ten_thousand_steps_take_less_than_a_megabyte(tmp_path):
    losses = [0.1234567 * (i + 1) for i in range(10_000)]
    many = epoch(0, losses)
    many.steps.state = [f"{i * 0x5851F42D4C957F2D % 2**64:016x}" for i in range(10_000)]
    record.write(tmp_path / "r.json", statement([many]))
    assert 100_000 < (tmp_path / "r.json").stat().st_size < 1_000_000


def change(path, old, new):
    text = path.read_text()
    assert text.count(old) >= 1
    path.write_text(text.replace(old, new, 1))


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ((0.125).hex(), (0.126).hex(), "does not fit its digest in fit 1, epoch 2"),
        ('"c' + "c" * 63, '"e' + "c" * 63, "what it says does not fit its digest"),
        ('"seed": 0', '"seed": 1', "what it says does not fit its digest"),
        ('"schema": 1', '"schema": 2', "written by a newer repro_keras: its schema is 2"),
        ('"schema": 1', '"schema": "1"', "Expected `int`, got `str` - at `$.predicate.schema`"),
        ('"schema": 1', '"extra": 0, "schema": 1', "unknown field `extra`"),
        ("urn:repro-keras:run", "https://slsa.dev/provenance/v1", "is not a record of repro_keras"),
    ],
)
def test_a_changed_record_is_refused(written, old, new, says):
    change(written, old, new)
    with pytest.raises(RecordError) as error:
        record.read(written)
    assert says in str(error.value)
    assert "record.json" in str(error.value)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (f'"{(0.125).hex()}"', '"zz"', "matching regex"),
        (f'"{(0.125).hex()}"', '"0x1.0p+9999"', "matching regex"),
        (f'"{"0" * 16}"', '"0"', "matching regex"),
        (f'"{(0.125).hex()}", ', "", "the columns of `steps` have [1, 2, 2] entries"),
        ('"sha256": "c', '"sha512": "c', "the subject 'trail' has no `sha256`"),
        ('"model/0/weights"', '"file/../a"', "the path '../a' should be relative"),
        ('"target": "train.py"', '"target": "/train.py"', "the path '/train.py' should be"),
        ('"train.py"', '"train.py", "folder": "a/../../b"', "the path 'a/../../b' should be"),
        ('"trail": [', '"unseen": [""], "trail": [', "the path '' should be relative"),
    ],
)
def test_a_record_of_another_form_is_refused(written, old, new, says):
    change(written, old.replace(", ", ","), new.replace(", ", ","))
    with pytest.raises(RecordError) as error:
        record.read(written)
    assert says in str(error.value)


@pytest.mark.parametrize("value", [0.0, -0.0, 5e-324, 1.7e308, -1.5, float("inf"), float("nan")])
def test_every_float_is_a_hex(value):
    assert msgspec.convert(value.hex(), record.Hex) == value.hex()


def test_what_is_no_record_is_refused(tmp_path, written):
    content = written.read_bytes()
    written.write_bytes(content[:-50])
    with pytest.raises(RecordError, match="cut off"):
        record.read(written)
    written.write_bytes(b"\x80\x81")
    with pytest.raises(RecordError, match="should be the record of a run"):
        record.read(written)
    written.write_text("[" * 200_000)
    with pytest.raises(RecordError, match="should be the record of a run"):
        record.read(written)
    written.write_text("[1]")
    with pytest.raises(RecordError, match="Received: 'list'"):
        record.read(written)
    with pytest.raises(RecordError, match="No such file"):
        record.read(tmp_path / "none.json")


def test_a_full_disk_leaves_the_old_record(written, monkeypatch):
    before = written.read_bytes()

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SaveError, match="No space left"):
        record.write(written, statement(TRAIL[:1]))
    assert written.read_bytes() == before


def test_a_full_disk_ends_the_journal_and_nothing_else(tmp_path, monkeypatch):
    diary = journal.Journal(tmp_path)
    diary.write("rows", rows=journal.packed([(0.5, 0.1, 0, 0, None)]))

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.warns(UserWarning, match="not recorded any further"):
        diary.write("rows", rows=journal.packed([]))
    diary.write("finish")
    story = journal.Story(tmp_path)
    assert story.count() == 1
    assert not story.ended


def test_a_journal_that_was_cut_off_is_read_to_there(tmp_path):
    diary = journal.Journal(tmp_path)
    diary.write("fit_begin", fit=0, model=0)
    diary.write("rows", rows=journal.packed([(0.5, 0.1, 0, 0, None)]))
    diary.write("epoch", epoch=0, metrics={}, layers={})
    diary.write("rows", rows=journal.packed([(0.25, 0.1, 0, 0, None)]))
    diary.close()
    path = tmp_path / journal.NAME
    path.write_bytes(path.read_bytes() + b'{"event":"rows","lo')
    first, second = journal.Story(tmp_path).trail
    assert (first.epoch, first.complete, len(first.steps.loss)) == (0, True, 1)
    assert (second.fit, second.epoch, second.complete) == (0, None, False)


def test_rows_keep_every_bit():
    rows = [
        (-0.0, 1e-310, 2**64 - 1, 0, 0),
        (None, float("inf"), 0, 7, None),
        (0.1, -0.1, 1, 2**32 - 1, 2**64 - 1),
    ]
    found = journal.unpacked(journal.packed(rows))
    assert [repr(row) for row in found] == [repr(row) for row in rows]


# Comparing


def verdict(other, **facts):
    return compare.compare(statement(TRAIL, **facts), other)


def test_equal_records_are_the_same():
    found = verdict(statement(TRAIL))
    assert found.same is True
    assert found.difference is None
    assert all(row.same for row in found.rows)


@pytest.mark.parametrize(
    ("trail", "where", "what"),
    [
        ([epoch(0, [0.5, 0.3]), TRAIL[1]], "fit 1, epoch 1, step 2 (step 2 of the run)", "loss"),
        ([TRAIL[0], epoch(1, [0.2, 0.1])], "fit 1, epoch 2, step 1 (step 3 of the run)", "loss"),
        ([TRAIL[0], epoch(1, [0.125])], "fit 1, epoch 2", "the number of steps"),
        (TRAIL[:1], "fit 1, epoch 2", "the trail"),
        ([*TRAIL, epoch(2, [0.1])], "fit 1, epoch 3", "the trail"),
        (
            [TRAIL[0], epoch(1, [0.125, 0.0625], {"net/dense": "f" * 64})],
            "fit 1, epoch 2, after its last step 4",
            "the layer net/dense",
        ),
    ],
)
def test_the_first_difference_is_named(trail, where, what):
    found = verdict(statement(trail))
    assert found.same is False
    assert found.difference.where == where
    assert what in found.difference.what


def test_the_column_that_differs_is_named():
    for column, name in (("learning_rate", "the learning rate"), ("state", "the weights after it")):
        trail = msgspec.convert(msgspec.to_builtins(TRAIL), list[record.Segment])
        getattr(trail[1].steps, column)[1] = (0.7).hex() if column != "state" else "f" * 16
        found = verdict(statement(trail))
        assert "step 2 (step 4 of the run)" in found.difference.where
        assert found.difference.what.startswith(name)


def test_initial_weights_come_first():
    other = [record.Model(name="net", type="Sequential", initial={"net/d": "e" * 64})]
    found = verdict(statement([epoch(0, [1.0])], models=other))
    assert found.difference.where == "Before the first step of model 1 (net)"
    assert "net/d" in found.difference.what


def test_what_came_out_is_compared():
    found = verdict(statement(TRAIL, {"trail": "c" * 64, "model/0/weights": "0" * 64}))
    assert {row.what: row.same for row in found.rows}["final weights"] is False
    files = {"trail": "c" * 64, "model/0/weights": "d" * 64, "file/a.txt": "0" * 64}
    found = verdict(statement(TRAIL, files))
    assert {row.what: row.same for row in found.rows}["files"] is False


def test_an_interrupted_run_is_compared_as_far_as_it_came():
    cut = [TRAIL[0], record.Segment(steps=steps([0.125]), fit=0, model=0, complete=False)]
    found = compare.compare(statement(cut, status="killed"), statement(TRAIL))
    assert found.same is None  # its end is not known
    assert found.difference is None
    cut[1] = record.Segment(steps=steps([0.2]), fit=0, model=0, complete=False)
    found = compare.compare(statement(cut, status="killed"), statement(TRAIL))
    assert found.same is False
    assert "step 1 (step 3 of the run)" in found.difference.where


def test_of_a_killed_run_only_what_is_on_the_record_is_compared():
    file = record.File(path="helper.py", sha256="a" * 64, size=1)
    more = {
        "code": record.Code(kind="script", target="train.py", files=[file]),
        "data": [record.Data(call="evaluate 0", argument="x", type="ndarray", digest="c" * 64)],
        "models": [
            record.Model(name="net", type="Sequential", initial={"net/d": "b" * 64}),
            record.Model(name="other", type="Sequential", initial={"other/d": "b" * 64}),
        ],
        "configuration": {"seed": 1, "guarantee": "machine"},  # the script sets it after that
    }
    whole = statement(TRAIL, **more)
    cut = statement(TRAIL[:1], status="killed")
    found = compare.compare(cut, whole)
    assert found.same is None
    assert found.difference is None
    decided = {row.what: row.same for row in found.rows if row.judged}
    assert decided.pop("outcome") is None
    assert set(decided.values()) == {True}
    cut.predicate.data.append(msgspec.structs.replace(more["data"][0], digest="d" * 64))
    assert compare.compare(cut, whole).same is False
    # Where both were cut off, what both have.
    longer = statement(TRAIL, status="killed")
    for one, other in ((cut, longer), (longer, statement(TRAIL[:1], status="killed"))):
        assert compare.compare(one, other).same is None
    # A run that ended before the killed one had come as far is another one.
    assert compare.compare(longer, statement(TRAIL[:1])).same is False


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        ({"status": "killed"}, "this run was killed (SIGKILL)"),
        ({"cut_off": True}, "as the disk was full"),
        ({"status": "failed", "error": "MemoryError"}, "too little memory"),
    ],
)
def test_a_verification_that_was_cut_off_is_not_compared(facts, says, tmp_path):
    cut = statement(TRAIL, **facts)
    with pytest.raises(RunError) as error:
        checks.after(statement(TRAIL), launch.Finished(tmp_path, cut, -9))
    assert says in str(error.value)
    if "cut_off" not in facts:
        checks.after(cut, launch.Finished(tmp_path, cut, -9))


def test_a_crash_is_repeated_or_it_is_not():
    crash = statement(TRAIL, status="failed", error="ValueError", exit_code=1)
    assert compare.compare(crash, crash).same is True
    assert compare.compare(crash, statement(TRAIL)).same is False


# Arguments


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("/home/alice/lr=0.1/x", "{outside}/x"),
        ("-o/home/alice/sec", "-o{outside}/sec"),
        ("file:///home/alice/f", "file://{outside}/f"),
        ("--f=file:///home/alice/f", "--f=file://{outside}/f"),
        ("/project/lr=1/z", "{project}/lr=1/z"),
        ("--o=/project/lr=1/z", "--o={project}/lr=1/z"),
        ("a,/home/alice/b:/project/c", "a,{outside}/b:{project}/c"),
        ("https://example.org/a/b", "https://example.org/a/b"),
        ("--x=1/2", "--x=1/2"),
        ("lr=0.1", "lr=0.1"),
        ("a/b", "a/b"),
    ],
)
def test_arguments_are_recorded_without_absolute_paths(argument, said):
    root = Path("/project")
    assert launch._portable(argument, root) == said
    assert "/home" not in said
    assert launch.expanded([said], root, [argument]) == [argument]
    if "{outside}" in said:
        with pytest.raises(RunError, match="outside of its project"):
            launch.expanded([said], root, None)


# Projects and runs


def test_a_project_is_found_by_its_marks(tmp_path, monkeypatch):
    (tmp_path / "a" / "b").mkdir(parents=True)
    assert project.find(tmp_path / "a" / "b").root == tmp_path / "a" / "b"
    (tmp_path / "a" / "pyproject.toml").touch()
    assert project.find(tmp_path / "a" / "b").root == tmp_path / "a"
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "a")
    assert project.find(tmp_path / "a" / "b").root == tmp_path / "a" / "b"


def test_a_copy_has_what_the_run_needs_and_not_what_it_made(tmp_path, monkeypatch):
    monkeypatch.setattr(project, "_LARGE", 15)
    monkeypatch.setattr(project, "_cloned", lambda *_: False)
    root, copy = tmp_path / "root", tmp_path / "copy"
    for name in ("train.py", "data/x.csv", "data/big.bin", "other/y.txt", "out/model.keras"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    (root / "data" / "big.bin").write_text("more than 15 bytes")
    (root / ".repro").mkdir()
    (root / ".cache").mkdir()
    for cache in (".tool", "data/cache"):  # the second is not hidden: it may be the user's data
        (root / cache).mkdir()
        (root / cache / "CACHEDIR.TAG").touch()
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a.txt").write_text("a")
    (root / "linked").symlink_to(outside)
    (root / "latest").symlink_to("other")
    (root / "loop").symlink_to("..")
    home = project.Project(root)
    links = home.copy_to(copy, ["train.py", "data/x.csv"], ["out/model.keras", "new/plot.png"])
    assert (copy / "train.py").read_text() == "train.py"
    assert not (copy / "train.py").is_symlink()
    assert not (copy / "data" / "x.csv").is_symlink()
    assert (copy / "data" / "big.bin").is_symlink()
    assert (copy / "other" / "y.txt").read_text() == "other/y.txt"
    assert list((copy / "out").iterdir()) == []
    (copy / "out" / "model.keras").write_text("new")
    assert (root / "out" / "model.keras").read_text() == "out/model.keras"
    assert not (copy / ".repro").exists()
    assert not (copy / ".tool").exists()
    assert (copy / "data" / "cache" / "CACHEDIR.TAG").exists()
    # Nothing that is written, made or removed there changes the project or what it links to.
    assert (copy / "latest").resolve() == copy / "other"
    assert not (copy / "linked").is_symlink()
    assert not (copy / ".cache").is_symlink()
    assert list(links) == [root / "data" / "big.bin"]
    assert project.changed(links) == []
    project.Project(copy).own(str(copy / "data" / "big.bin"))
    (copy / "data" / "big.bin").write_text("new")
    assert project.changed(links) == []
    (root / "data" / "big.bin").write_text("new")
    assert project.changed(links) == [str(root / "data" / "big.bin")]
    for path in copy.rglob("*"):
        if path.is_file() and path.name != "big.bin":
            path.write_text("new")
    assert (outside / "a.txt").read_text() == "a"
    assert (root / "train.py").read_text() == "train.py"


def test_a_project_of_too_many_files_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(project, "_MANY", 2)
    for name in "abc":
        (tmp_path / name).touch()
    with pytest.raises(RunError, match="more than 2 files"):
        project.Project(tmp_path).snapshot()


def test_runs_are_found_by_a_part_of_their_id(tmp_path):
    home = project.Project(tmp_path)
    with pytest.raises(RunError, match="There is no recorded run"):
        store.find(home, None)
    folders = [store.new(home) for _ in range(3)]
    assert len({folder.name for folder in folders}) == 3
    for folder in folders:
        record.write(folder / store.RECORD, statement(TRAIL))
    assert store.find(home, folders[0].name) == folders[0] / store.RECORD
    assert store.find(home, str(folders[1])) == folders[1] / store.RECORD
    assert store.find(home, folders[1].name[-4:]).parent == folders[1]
    with pytest.raises(RunError, match="the beginning of 3 runs"):
        store.find(home, folders[0].name[:8])
    with pytest.raises(RunError, match="neither a file nor a run"):
        store.find(home, "nothing")
    latest = sorted(folders)[-1]
    assert store.find(home, None).parent == latest
    store.say(latest, verifies="x")
    assert store.find(home, None).parent != latest
    assert (tmp_path / ".repro" / ".gitignore").read_text().endswith("*\n")


def test_a_session_without_a_script_cannot_record_itself():
    error = error_of("import repro_keras\nfrom repro_keras import repro\nrepro.Record()")
    assert "this session has none" in error.splitlines()[-1]


def test_runs_that_begin_within_a_second_come_in_their_order(tmp_path):
    names = [store.new(project.Project(tmp_path)).name for _ in range(12)]
    assert names == sorted(names)
