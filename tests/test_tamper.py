"""No change of a record or of a stored state goes unseen, whatever is changed; nothing is run."""

import json
from pathlib import Path

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner
from fresh import ROOT
from test_record import TRAIL, statement, steps

from repro_keras._src import record
from repro_keras._src.comparing import compare
from repro_keras._src.errors import FileFormatError, RecordError, ReproWarning
from repro_keras._src.runs import verify
from repro_keras._src.state import files, folder, value
from repro_keras.cli import main

A, B = "a" * 64, "b" * 64


def full():
    """A record in which each field has a value of its own."""
    first = msgspec.structs.replace(
        TRAIL[0],
        generators={"numpy": "8" * 64, "python": A},
        by_batch={"mae": ["0x1.8p+0", "0x1.0p-1"]},
        batch_ends=[1, 3],
    )
    part = record.Segment(steps=steps([0.5, 0.25]), lost=1, complete=False)
    part.steps.optimizer = [0, 1]
    part.steps.batch = ["0" * 16, None]
    code = record.Code(
        kind="script",
        target="src/train.py",
        arguments=["--epochs", "2"],
        folder="src",
        files=[
            record.File(path=f"src/{n}.py", sha256=d, size=1) for n, d in (("train", A), ("x", B))
        ],
        git=record.Git(commit="c" * 40, diff=A),
    )
    return statement(
        [first, *TRAIL[1:], part],
        {
            "trail": A,
            "history": B,
            "model/0/weights": "c" * 64,
            "model/0/optimizer": "d" * 64,
            "generators": "e" * 64,
            "file/net.keras": "f" * 64,
            "file/log.csv": A,
        },
        code=code,
        configuration={"seed": 0, "guarantee": "machine", "python_seed": None},
        environment={"PYTHONHASHSEED": "0", "TF_ENABLE_ONEDNN_OPTS": "1"},
        software=record.Software(
            python="3.11.0",
            packages={"keras": "3.15.1", "numpy": "2.4.6", "pandas": "3.1.1"},
            loaded=["keras", "numpy"],
        ),
        exit_code=1,
        error="ValueError",
        status="failed",
        data=[
            record.Data(call="fit 0", argument="x", type="ndarray", digest=A),
            record.Data(call="fit 0", argument="y", type="ndarray", digest=B, calls=2),
        ],
        read=[record.File(path=f"data/{n}.csv", sha256=d, size=1) for n, d in (("a", A), ("b", B))],
        models=[
            record.Model(name="net", type="Sequential", initial={"net/d": A, "net/e": B}),
            record.Model(name="other", type="Functional", initial={"other/d": A}),
        ],
        from_inside=True,
        read_input=True,
        ignored=["logs/*", "*.tmp"],
        unchecked=["logs/a", "logs/b"],
        unseen=["net.keras", "log.csv"],
        states=["states", "more"],
        parent=A,
        resumed=1,
    )


def plain(found):
    """A record as the JSON that is written."""
    sealed = msgspec.structs.replace(found.predicate, seal=record._seal(found))
    return msgspec.to_builtins(msgspec.structs.replace(found, predicate=sealed))


FULL = plain(full())
EXAMPLES = [json.loads(p.read_text()) for p in sorted((ROOT / "examples/records").glob("m*.json"))]


def another(leaf):
    """Another value of the same form."""
    if isinstance(leaf, bool):
        return not leaf
    if isinstance(leaf, int):
        return leaf + 1
    if leaf is None:
        return 0
    if leaf.lstrip("-").startswith("0x"):
        return (float.fromhex(leaf) + 1).hex()
    if len(leaf) in (16, 40, 64) and not set(leaf) - set("0123456789abcdef"):
        return ("0" if leaf[0] != "0" else "1") + leaf[1:]
    return leaf + "x"


def tampered(tree, where="$"):
    """Every change of one thing in a JSON tree, and what was changed; undone afterwards."""
    if isinstance(tree, dict):
        for key in list(tree):
            before = dict(tree)
            del tree[key]
            yield f"{where}.{key} deleted"
            tree.clear()
            tree.update(before)
        tree["added"] = "1"
        yield f"{where} with a key more"
        del tree["added"]
        items = list(tree.items())
    elif isinstance(tree, list):
        before = list(tree)
        for what, after in {
            "reordered": before[::-1],
            "cut": before[:-1],
            "longer": [*before, *before[-1:]],
        }.items():
            if after != before:
                tree[:] = after
                yield f"{where} {what}"
        tree[:] = before
        items = list(enumerate(tree))
    else:
        return
    for key, inner in items:
        place = f"{where}[{key}]" if isinstance(tree, list) else f"{where}.{key}"
        if isinstance(inner, (dict, list)):
            yield from tampered(inner, place)
        else:
            tree[key] = another(inner)
            yield f"{place} changed"
            tree[key] = inner


def read(tree):
    return record.decoded(json.dumps(tree).encode(), Path("record.json"))


def refused(tree):
    """Why a record is not read; `None` where it is."""
    try:
        read(tree)
    except RecordError as error:
        return str(error)
    return None


def test_the_full_record_has_every_field():
    schema = record.schema()["$defs"]
    here = FULL["predicate"]
    for name, found in {
        "Run": here,
        "Code": here["code"],
        "Git": here["code"]["git"],
        "Segment": {**here["trail"][0], **here["trail"][-1]},
        "Steps": here["trail"][-1]["steps"],
        "Data": here["data"][1],
        "Machine": here["machine"],
    }.items():
        assert set(schema[name]["properties"]) - {"cut_off"} == set(found) - {"cut_off"}
    read(FULL)


@pytest.mark.parametrize("tree", [FULL, *EXAMPLES], ids=["full", "mnist_convnet"])
def test_no_change_of_a_record_is_read(tree):
    read(tree)
    count = 0
    for what in tampered(tree):
        count += 1
        assert refused(tree) is not None, what
    assert count > 300
    read(tree)


def test_verify_names_the_record_and_runs_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(verify, "again", None)
    path = tmp_path / "record.json"
    fields = [f"$.predicate.{name}" for name in FULL["predicate"]]
    for what in tampered(FULL):
        field = next((f for f in fields if what.startswith(f)), None)
        if field is None:
            continue
        fields.remove(field)  # one change of each field
        path.write_text(json.dumps(FULL))
        result = CliRunner().invoke(main, ["verify", "--yes", "--allow", "record.json"])
        assert result.exit_code == 2, what
        assert "record.json" in result.stderr, what
    assert fields == []


# Somebody who changes a record can seal it again, which only a signature shows. What came out and
# what is compared is then found by running it; what is left is this.

# It decides how the record is run again: what comes out of that is compared.
GIVEN = ("configuration.python_seed", "code.folder", "environment", "from_inside", "read_input")
# Files that are not compared, as the record says so itself.
LEFT_OUT = ("ignored", "unchecked", "unseen")
# It is only said, and nothing hangs on it.
SAID = (
    "code.files longer",
    "code.files reordered",
    "code.git",
    "data longer",
    "data reordered",
    "machine.architecture",
    "machine.cores",
    "parent",
    "read longer",
    "read reordered",
    "resumed",
    "software.loaded",
    "software.packages with a key more",
    "software.packages.pandas",  # which was not loaded
    "states",
    "trail[0].generators deleted",  # records did not always have them
    "trail[0].generators emptied",
    "trail[0].by_batch deleted",
    "trail[0].by_batch emptied",
    "trail[0].by_batch.mae deleted",
)
SAID_OF_EACH = (".size", ".type", ".name", ".calls", ".lost")


def resealed(tree):
    """The record as who changed it would write it again; `None` where it is refused."""
    try:
        found = msgspec.convert(tree, record.Statement)
        found.predicate.trail = record.chained(found.predicate.trail)
        return read(plain(found))
    except (msgspec.ValidationError, RecordError):
        return None


def is_only_said(what):
    place = what.removeprefix("$.predicate.")
    if place.startswith((*GIVEN, *LEFT_OUT, *SAID)) or what.startswith("$.subject reordered"):
        return True
    if what.startswith("$.subject[0]"):  # `trail`, of which each step is compared
        return True
    field = place.rpartition(" ")[0]
    return place.startswith(("code.", "read", "data", "models", "trail")) and field.endswith(
        SAID_OF_EACH
    )


def test_of_a_record_that_is_sealed_again_what_came_out_is_compared(monkeypatch):
    honest = resealed(FULL)
    here = honest.predicate
    monkeypatch.setattr(verify.machine, "describe", lambda: msgspec.to_builtins(here.machine))
    monkeypatch.setattr(verify.machine, "packages", lambda: here.software.packages)
    monkeypatch.setattr(verify.sys, "version_info", (3, 11, 0))
    assert verify.not_covered(honest) == []
    passed = []
    for what in tampered(FULL):
        if what.rpartition(" ")[0].endswith((".chain", ".seal")):
            continue  # who seals it again makes these anew
        changed = resealed(FULL)
        if changed is None or verify.not_covered(changed):
            continue
        if compare.compare(changed, honest, alone=True).same:
            passed.append(what)
    assert [what for what in passed if not is_only_said(what)] == []
    assert len(passed) > 20  # else nothing was sealed again


# The state of training


@pytest.fixture
def states(tmp_path):
    """A folder of two states."""
    found = folder.Folder(tmp_path / "states", keep=2)
    found.path.mkdir()
    for step in (3, 6):
        found.save(0, made(step))
    return found


def made(step):
    arrays = {
        "model/kernel": np.arange(6, dtype="float32").reshape(2, 3) + step,
        "model/bias": np.zeros(3, "float32"),
    }
    content = value.Content(
        position=value.Position(epoch=1, step=step, total=step),
        facts={"versions": {"keras": "3.15.1"}},
        variables={"model": list(arrays)},
        generators={"python": ["1", "2"]},
        callbacks=[["CSVLogger", {"append": True}]],
    )
    return value.State(content, arrays)


def newest(found):
    return sorted(found.path.glob("*.safetensors"))[-1]


def is_refused(path):
    """Whether a state is refused, by the name of its file."""
    try:
        files.read(path)
    except FileFormatError as error:
        return path.name in str(error)
    return False


def test_no_byte_of_a_state_can_be_changed(states):
    path = newest(states)
    content = path.read_bytes()
    assert int.from_bytes(content[:8], "little") + 8 + 9 * 4 == len(content)  # all is in the loop
    for position in range(len(content)):
        for bit in (0, 5):
            changed = bytearray(content)
            changed[position] ^= 1 << bit
            path.write_bytes(changed)
            assert is_refused(path), position
    path.write_bytes(content)
    assert not is_refused(path)


def test_no_byte_of_a_state_can_be_missing_or_more(states):
    path = newest(states)
    content = path.read_bytes()
    for length in range(len(content)):
        path.write_bytes(content[:length])
        assert is_refused(path), length
    for more in (b"\0", b" ", content):
        path.write_bytes(content + more)
        assert is_refused(path)


def test_the_json_of_a_state_cannot_be_changed(states):
    path = newest(states)
    content = path.read_bytes()
    end = int.from_bytes(content[:8], "little") + 8
    header = json.loads(content[8:end])
    entry = json.loads(header["__metadata__"]["repro_keras.state"])

    def write():
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)
        path.write_bytes(len(text).to_bytes(8, "little") + text + content[end:])

    write()
    assert not is_refused(path)
    for what in tampered(header):
        write()
        assert is_refused(path), what
    for what in tampered(entry):
        inner = json.dumps(entry, separators=(",", ":"))
        header["__metadata__"]["repro_keras.state"] = inner
        write()
        assert is_refused(path), what


@pytest.mark.parametrize(
    "name", ["fit000-epoch00001-step00000009", "fit000-epoch00002-step00000006"]
)
def test_a_state_under_another_name_is_passed_over(states, name):
    expected = newest(states).read_bytes()
    newest(states).rename(states.path / f"{name}.safetensors")
    with pytest.warns(ReproWarning, match=f"{name}.*it is of epoch 1, step 6"):
        found = states.newest(0)
    assert found.position.step == 3
    (states.path / f"{name}.safetensors").rename(
        states.path / "fit000-epoch00001-step00000006.safetensors"
    )
    assert states.newest(0).position.step == 6
    assert newest(states).read_bytes() == expected


def test_two_states_that_were_exchanged_are_passed_over(states):
    first, second = sorted(states.path.glob("*.safetensors"))
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)
    with pytest.warns(ReproWarning, match="and is not: it is of epoch 1"):
        assert states.newest(0) is None
