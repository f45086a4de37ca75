"""`repro-keras diff`: what differs between two records, where first, and why."""

import hashlib
import itertools
import json

import msgspec
import pytest
from click.testing import CliRunner
from projects import edit, make_project, records, shell
from test_cli import command, loaded_by

from repro_keras._src import bits, project, record
from repro_keras._src.comparing import causes, compare
from repro_keras._src.runs import store
from repro_keras.cli import main

LAYERS = ("net/dense", "net/dropout", "net/dense_1")
NUMBERS = "data/numbers.csv"


def sha(text):
    return hashlib.sha256(text.encode()).hexdigest()


def file(path, content=""):
    return record.File(path=path, sha256=sha(path + content), size=1)


def epoch(number):
    losses = [(1 / (3 * number + step + 1)).hex() for step in range(3)]
    return record.Segment(
        steps=record.Steps(
            loss=losses,
            learning_rate=[(0.1).hex()] * 3,
            state=[sha(loss)[:16] for loss in losses],
        ),
        fit=0,
        model=0,
        epoch=number,
        metrics={"loss": losses[-1]},
        layers={layer: sha(f"{layer} {number}") for layer in LAYERS},
    )


def made():
    """A record of three epochs of three steps."""
    names = ("generators", "history", "model/0/weights", "model/0/optimizer", "file/log.txt")
    return record.Statement(
        type=record.STATEMENT,
        subject=[record.Subject(name=name, digest={"sha256": sha(name)}) for name in names],
        predicate_type=record.PREDICATE,
        predicate=record.Run(
            schema=record.SCHEMA,
            status="finished",
            exit_code=0,
            code=record.Code(
                kind="script",
                target="train.py",
                arguments=["--epochs", "3"],
                files=[file("helper.py"), file("train.py")],
                git=record.Git(commit="a" * 40),
            ),
            configuration={"seed": 0, "threads": 1, "device": "cpu", "guarantee": "machine"},
            environment={"PYTHONHASHSEED": "0"},
            software=record.Software(
                python="3.11.7",
                packages={"keras": "3.15.1", "numpy": "2.4.6", "pandas": "3.1.1"},
                loaded=["keras", "numpy"],
            ),
            machine=record.Machine(
                system="Linux x86_64",
                model="AMD EPYC",
                architecture="zen3",
                instruction_sets=["avx2", "fma"],
                caches={"L2": 524288},
                cores=2,
            ),
            data=[
                record.Data(call="fit 0", argument=name, type="ndarray", digest=sha(name))
                for name in ("x", "y")
            ],
            read=[file(NUMBERS)],
            models=[
                record.Model(name="net", type="Sequential", initial={x: sha(x) for x in LAYERS})
            ],
            trail=[epoch(number) for number in range(3)],
        ),
    )


def planted(*changes):
    """The record with changes, which are functions of its run or of its subjects."""
    statement = made()
    for change in changes:
        change(statement.predicate)
    statement.predicate.trail = record.chained(statement.predicate.trail)
    return statement


def came_out(statement, name, value="other"):
    """The record with another digest of something that came out."""
    for subject in statement.subject:
        if subject.name == name:
            subject.digest["sha256"] = sha(value)
    return statement


def compared(one, other):
    verdict = compare.compare(one, other)
    return verdict, causes.likely(one, other, verdict)


def kinds(found):
    return [cause.what for cause in found]


def loss(run):  # by as much as other data does
    run.trail[1].steps.loss[1] = (0.3).hex()


def rounding(run):
    run.trail[1].steps.loss[1] = (0.2 * (1 + 1e-7)).hex()


def state(run):
    run.trail[1].steps.state[1] = "f" * 16


def learning_rate(run):
    run.trail[1].steps.learning_rate[1] = (0.01).hex()


def layers(run):
    run.trail[1].layers["net/dense_1"] = run.trail[1].layers["net/dense"] = "f" * 64


def initial(run):
    run.models[0].initial["net/dense_1"] = "f" * 64


def another_cpu(run):
    run.machine.model = "Intel Xeon"
    run.machine.instruction_sets = ["avx2", "avx512f", "fma"]
    run.machine.caches = {"L2": 1048576}


def portable(run):
    run.configuration["guarantee"] = "portable"


def versions(run):
    run.software.packages["numpy"] = "2.5.0"


def not_loaded(run):
    run.software.packages["pandas"] = "3.2.0"


def code(run):
    run.code.files[0] = file("helper.py", "edited")


def arrays(run):
    run.data[0].digest = sha("other x")


def data(run):
    run.read[0] = file(NUMBERS, "edited")


def arguments(run):
    run.code.arguments[1] = "4"


def seed(run):
    run.configuration["seed"] = 7


def threads(run):
    run.configuration["threads"] = 8


def hash_seed(run):
    run.environment["PYTHONHASHSEED"] = "1"


def switch(run):
    run.environment["TF_ENABLE_ONEDNN_OPTS"] = "0"


def cores(run):
    run.machine.cores = 64


# Where they differ first


def test_equal_records_are_the_same():
    verdict, found = compared(planted(), planted())
    assert verdict.same is True
    assert verdict.difference is None
    assert found == []


STEP = "fit 1, epoch 2, step 2 (step 5 of the run)"


@pytest.mark.parametrize(
    ("change", "where", "what", "kind"),
    [
        (loss, STEP, "the loss", "step"),
        (state, STEP, "the weights after it (fingerprint)", "state"),
        (learning_rate, STEP, "the learning rate", "step"),
        (layers, "fit 1, epoch 2, after its last step 6", "the layer net/dense,", "layer"),
        (initial, "Before the first step of model 1 (net)", "the initial weights of", "initial"),
    ],
)
def test_the_first_difference_is_named(change, where, what, kind):
    for one, other in ((planted(), planted(change)), (planted(change), planted())):
        verdict, found = compared(one, other)
        assert verdict.same is False
        first = verdict.difference
        assert first.where == where
        assert first.what.startswith(what)
        assert first.kind.startswith(kind)
        assert kinds(found) == ["unknown"]
        before = f"step {first.step}" if first.step else "the first step of model 1 (net)"
        assert f"nothing that they hold differs before {before};" in found[0].evidence
        assert "`repro-keras doctor train.py`" in found[0].evidence


def test_the_layers_of_its_epoch_are_named_in_order():
    verdict, _ = compared(planted(), planted(loss, layers))
    assert (verdict.difference.what, verdict.difference.step) == ("the loss", 5)
    assert verdict.difference.layers == ["net/dense", "net/dense_1"]


def test_a_model_that_is_statementsof_a_trained_one():
    def second(run):
        run.models.append(record.Model(name="new", type="Sequential", initial={"new/d": "0" * 64}))
        run.trail[2].model, run.trail[2].fit, run.trail[2].epoch = 1, 1, 0

    def follows(run):
        run.models[1].initial["new/d"] = "1" * 64

    first = compared(planted(second), planted(second, loss, follows))[0].difference
    assert (first.where, first.what) == (STEP, "the loss")
    verdict, found = compared(planted(second), planted(second, follows))
    first = verdict.difference
    assert (first.where, first.step) == ("Before the first step of model 2 (new)", 6)
    assert "before the first step of model 2 (new);" in found[0].evidence


def test_what_was_trained():
    verdict, _ = compared(planted(), planted(lambda run: setattr(run.trail[1], "model", 1)))
    first = verdict.difference
    assert (first.what, first.recorded) == ("what was trained", "fit 1, epoch 2, model 1")


def test_of_two_differences_the_first_is_named():
    last = planted(lambda run: run.trail[2].steps.loss.__setitem__(0, "nan"), loss)
    assert compared(planted(), last)[0].difference.step == 5


def test_more_steps_in_one():
    shorter = planted(lambda run: run.trail.pop())
    for one, other, said in (
        (shorter, planted(), ("over before", "longer")),
        (planted(), shorter, ("longer", "over before")),
    ):
        first = compared(one, other)[0].difference
        assert (first.where, first.what) == ("fit 1, epoch 3", "the trail")
        assert (first.recorded, first.now) == said

    def cut(run):
        for column in (run.trail[1].steps.loss, run.trail[1].steps.learning_rate):
            column.pop()
        run.trail[1].steps.state.pop()

    first = compared(planted(), planted(cut))[0].difference
    assert (first.what, first.recorded, first.now) == ("the number of steps", "3", "2")


def killed(run):
    run.status, run.exit_code = "killed", None
    run.trail = [
        run.trail[0],
        record.Segment(
            steps=record.Steps(
                **{name: column[:2] for name, column in columns(run.trail[1]).items()}
            ),
            fit=0,
            model=0,
            complete=False,
        ),
    ]


def columns(segment):
    return msgspec.structs.asdict(segment.steps)


def test_a_killed_run_is_compared_as_far_as_it_came():
    for one, other in ((planted(), planted(killed)), (planted(killed), planted())):
        verdict, found = compared(one, other)
        assert verdict.same is None
        assert verdict.difference is None
        assert found == []
        assert "final weights" not in [row.what for row in verdict.rows]
        assert {row.same for row in verdict.rows if row.what != "outcome"} == {True}
    for one, other in ((planted(), planted(loss, killed)), (planted(loss, killed), planted())):
        verdict, _ = compared(one, other)
        assert verdict.same is False
        assert verdict.difference.step == 5
    shorter = planted(lambda run: run.trail.pop(), lambda run: run.trail.pop())
    for one, other in ((shorter, planted(killed)), (planted(killed), shorter)):
        assert compare.compare(one, other).same is False  # it ended before the other was killed


def test_a_generator_and_an_output_file():
    for name, row in (("generators", "generators"), ("file/log.txt", "files")):
        verdict, found = compared(planted(), came_out(planted(), name))
        assert verdict.same is False
        assert verdict.difference is None
        assert verdict.different == [row]
        assert kinds(found) == ["unknown"]
        state = "other states" if name == "generators" else "the same state"
        assert f"the global generators ended in {state}" in found[0].evidence
        assert "before the end of the trail" in found[0].evidence


def test_the_verdict_does_not_hang_on_the_order():
    changes = (loss, rounding, state, learning_rate, layers, initial, another_cpu, code, arrays)
    ends = (killed, lambda run: setattr(run, "cut_off", True), lambda run: run.trail.pop(), cores)
    statements = [planted(change, end) for change in changes for end in ends]
    for one, other in itertools.combinations(statements, 2):
        (verdict, found), (back, found_back) = compared(one, other), compared(other, one)
        assert verdict.same is back.same
        assert kinds(found) == kinds(found_back)
        if verdict.difference is None:
            assert back.difference is None
        else:
            assert verdict.difference.where == back.difference.where
            assert verdict.difference.recorded == back.difference.now


# Why they do


@pytest.mark.parametrize(
    ("change", "cause", "says"),
    [
        (code, "code", "helper.py differs"),
        (arrays, "arrays", "x of fit 1 differs"),
        (data, "data", "data/numbers.csv differs"),
        (arguments, "command", "arguments `--epochs 3` and `--epochs 4`"),
        (seed, "seed", "seed 0 and 7"),
        (threads, "configuration", "threads 1 and 8"),
        (versions, "versions", "numpy 2.4.6 and 2.5.0"),
        (another_cpu, "CPU", "AMD EPYC and Intel Xeon; only one has the instruction sets avx512f"),
        (switch, "switches", "TF_ENABLE_ONEDNN_OPTS none and 0"),
        (hash_seed, "hash seed", "PYTHONHASHSEED 0 and 1"),
    ],
)
def test_the_cause_is_named(change, cause, says):
    verdict, found = compared(planted(), planted(loss, change))
    assert verdict.difference.step == 5
    assert found[0].what == cause
    assert says in found[0].evidence
    # Where only what was handed over differs, what made it so is not on the records.
    assert kinds(found[1:]) == (["unknown"] if cause == "arrays" else [])
    # What made no difference is no cause.
    assert compared(planted(), planted(change))[1] == []


def test_what_cannot_matter_is_not_named_or_last():
    assert kinds(compared(planted(), planted(loss, not_loaded, cores))[1]) == ["unknown"]
    one, other = planted(portable), planted(portable, rounding, another_cpu)
    found = compared(one, other)[1]
    assert kinds(found) == ["unknown", "CPU"]
    assert found[1].excluded == "under `portable` it should not matter"
    found = compared(one, planted(portable, rounding, another_cpu, hash_seed))[1]
    assert kinds(found) == ["hash seed", "CPU"]
    # One of them did not have that guarantee.
    found = compared(planted(), planted(portable, rounding, another_cpu))[1]
    assert found[0].excluded is None


def test_arrays_of_a_later_fit_are_no_cause():
    def later(run):
        run.data.append(record.Data(call="fit 1", argument="x", type="ndarray", digest="0" * 64))
        run.data.append(record.Data(call="predict 0", argument="x", type="ndarray"))

    def statementsfrom_it(run):
        run.data[-2].digest = "1" * 64

    found = compared(planted(later), planted(later, loss, statementsfrom_it))[1]
    assert kinds(found) == ["unknown"]
    assert "x of predict 1 could not be digested" in found[0].evidence


def test_causes_are_ranked_by_what_differs_first():
    both = (versions, another_cpu, code, arrays)
    large = kinds(compared(planted(), planted(loss, *both))[1])
    assert large == ["code", "arrays", "versions", "CPU"]
    small = kinds(compared(planted(), planted(rounding, *both))[1])
    assert small == ["versions", "CPU", "code", "arrays"]
    first = kinds(compared(planted(), planted(initial, arrays, data, seed, versions))[1])
    assert first == ["seed", "versions", "data", "arrays"]


def test_runs_of_different_scripts():
    def script(run):
        run.code.target = "other.py"
        run.code.files[1] = file("other.py")

    verdict, found = compared(planted(), planted(loss, script))
    assert verdict.same is False
    assert verdict.rows[0].what == "command"
    assert kinds(found) == ["command", "code"]
    assert found[0].evidence == "the script train.py and the script other.py"
    assert "train.py only in the first run; other.py only in the second" in found[1].evidence


def test_a_run_that_went_on_with_another():
    def resumed(run):
        run.parent, run.resumed = "a" * 64, 4

    found = compared(planted(), planted(loss, resumed))[1]
    assert [(c.what, c.evidence) for c in found] == [("resuming", "went on after step none and 4")]

    def resumed_later(run):
        run.parent, run.resumed = "a" * 64, 6

    assert kinds(compared(planted(), planted(loss, resumed_later))[1]) == ["unknown"]


def test_files_that_nobody_saw_written_and_those_ignored():
    def unseen(run):
        run.unseen = ["log.txt"]

    def ignored(run):
        run.unchecked = ["log.txt"]

    other = planted(unseen)
    other.subject = [s for s in other.subject if s.name != "file/log.txt"]
    assert compare.compare(planted(unseen), other).same is None
    assert compare.compare(other, planted(unseen)).same is None
    assert compare.compare(other, planted(unseen), alone=True).same is False
    assert compare.compare(planted(), planted(ignored)).same is True


def test_the_diff_of_the_diffs(tmp_path):
    said = "diff --git a/{0} b/{0}\nindex {1}..{1}0 100644\n--- a/{0}\n+++ b/{0}\n"
    said += "@@ -1,2 +1,2 @@\n import keras\n-EPOCHS = 2\n+EPOCHS = {1}\n"
    texts, statements = [], []
    for number in (3, 4):
        text = said.format("data.csv", number) + said.format("src/train.py", number)
        statement = planted()
        statement.predicate.code.files[1] = file("train.py", str(number))
        statement.predicate.code.git.diff = sha(text)
        texts.append(text.encode())
        statements.append(statement)
    (a, b), (one, other) = texts, statements
    assert causes.code_lines(a, one, b, other) == ["-+EPOCHS = 3", "++EPOCHS = 4"]
    assert causes.code_lines(a, planted(), b, other) == ["+-EPOCHS = 2", "++EPOCHS = 4"]
    assert causes.code_lines(a, one, a, one) == []
    (tmp_path / "git.diff").write_bytes(b)
    assert store.git_diff(tmp_path / "record.json", other.predicate.code.git) == b
    (tmp_path / "git.diff").write_text("changed")
    assert store.git_diff(tmp_path / "record.json", other.predicate.code.git) is None
    assert causes.code_lines(a, one, None, other) == []
    one.predicate.code.git.commit = "b" * 40
    assert causes.code_lines(a, one, b, planted()) == []
    assert causes.code_lines(a, planted(lambda run: setattr(run.code, "git", None)), a, one) == []


def test_the_seal_is_of_canonical_json():
    for character in map(chr, range(128)):
        value = {f"a{character}": character, "b": ["c", 1, None, True, -5], "A": {}}
        assert msgspec.json.encode(value, order="sorted") == bits.canonical_json(value)
    assert record._digest(["é", {"\uff5e": 1, "\U0001f600": 2}]) == (
        hashlib.sha256('["é",{"\U0001f600":2,"\uff5e":1}]'.encode()).hexdigest()
    )


# The command


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """A project with two runs that differ, and a verification of the second."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".repro").mkdir()
    home = project.Project(tmp_path)
    for name, statement in (
        ("20260101-000000-aaaa", planted()),
        ("20260101-000001-bbbb", planted(loss, layers, versions)),
        ("20260101-000002-cccc", planted()),
    ):
        folder = tmp_path / ".repro" / "runs" / name
        folder.mkdir(parents=True)
        record.write(folder / store.RECORD, statement)
    store.say(folder, verifies="x")
    return home


def diff(*arguments):
    return CliRunner().invoke(main, ["diff", *map(str, arguments)])


def test_diff_tells_people(runs):
    found = diff()
    assert found.exit_code == 1, found.output
    lines = [line.strip() for line in found.output.splitlines()]
    assert lines[0] == "A: 20260101-000000-aaaa, python train.py --epochs 3"
    assert lines[1] == "B: 20260101-000001-bbbb, python train.py --epochs 3"
    rows = [line.split("  ")[0] for line in lines[3:-6]]
    expected = ["code", "environment", "configuration", "data", "initial weights", "steps"]
    expected += ["epochs", "final weights", "optimizer", "generators", "history", "files"]
    assert rows == [*expected, "outcome"]
    assert lines[-6:] == [
        f"First difference. {STEP}, the loss: 0.2 (0x1.999999999999ap-3) in A and 0.3 "
        "(0x1.3333333333333p-2) in B",
        "Layers that differ after that epoch: net/dense, net/dense_1",
        "Likely causes, the likeliest first:",
        "1. Versions: numpy 2.4.6 and 2.5.0",
        "`repro-keras diff A B --replay` runs both again, and names the tensor.",
        "Different",
    ]


def test_diff_tells_programs(runs):
    for arguments in (("aaaa", "bbbb"), ("aaaa",), ()):
        found = json.loads(diff("--json", *arguments).output)
        assert found["verdict"] == "different"
        assert {row["what"] for row in found["rows"] if row["same"] is False} == {
            "environment",
            "steps",
            "epochs",
        }
        first = found["first_difference"]
        assert (first["where"], first["step"], first["kind"]) == (STEP, 5, "step")
        assert first["layers"] == ["net/dense", "net/dense_1"]
        assert [cause["what"] for cause in found["causes"]] == ["versions"]


def test_which_runs_are_meant(runs):
    folder = runs.root / ".repro" / "runs"
    assert diff("aaaa", "cccc").exit_code == 0
    assert diff(folder / "20260101-000000-aaaa", folder / "20260101-000002-cccc").exit_code == 0
    path = folder / "20260101-000000-aaaa" / "record.json"
    assert diff(path, "20260101-000002").exit_code == 0
    found = diff("bbbb")  # the latest other run, as a verification is none
    assert found.output.splitlines()[1].startswith("B: 20260101-000000-aaaa,")
    assert "none.json could not be read: No such file" in diff("none.json").output
    assert diff("none").exit_code == 2
    assert "neither a file nor a run 'none'" in diff("none").output
    assert "is the beginning of 3 runs" in diff("2026").output
    (path.parent / "record.json").unlink()
    assert "There is no other recorded run" in diff("bbbb").output


def test_both_runs_are_completed_by_the_shell(runs):
    for words, number in (("repro-keras diff ", 2), ("repro-keras diff aaaa 2026", 3)):
        switches = {"_REPRO_KERAS_COMPLETE": "bash_complete", "COMP_WORDS": words}
        found = command(**switches, COMP_CWORD=str(number)).stdout.splitlines()
        assert [line.rpartition("-")[2] for line in found] == ["aaaa", "bbbb", "cccc"]


def test_what_statementsno_difference_is_said(runs):
    path = runs.root / "other.json"
    record.write(path, planted(another_cpu))
    found = diff("aaaa", path)
    assert found.exit_code == 0
    assert "Nothing that came out differs. What does: environment" in found.output


def test_a_killed_run_could_not_be_told(runs):
    path = runs.root / "killed.json"
    record.write(path, planted(killed))
    found = diff("aaaa", path)
    assert found.exit_code == 2
    assert "B was killed: it is compared as far as it came." in found.output
    assert json.loads(diff("--json", "aaaa", path).output)["verdict"] == "could not tell"


def test_a_record_that_was_changed_is_refused(runs):
    path = runs.root / ".repro" / "runs" / "20260101-000001-bbbb" / "record.json"
    edit(path, '"seed": 0', '"seed": 1')
    found = diff()
    assert found.exit_code == 2
    assert "was changed after it was written" in found.output
    found = CliRunner().invoke(main, ["diff", "--json"])
    assert "was changed" in json.loads(found.stdout)["reasons"][0]


def test_neither_keras_nor_tensorflow_is_loaded(runs):
    assert loaded_by("diff") == (1, "set()")


@pytest.mark.slow
def test_a_change_of_the_data_is_found(tmp_path):
    make_project(tmp_path)
    assert shell("run", "train.py", cwd=tmp_path).returncode == 0
    edit(tmp_path / NUMBERS, "0.0,0.3", "0.1,0.3")
    assert shell("run", "train.py", cwd=tmp_path).returncode == 0
    done = shell("diff", "--json", cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    found = json.loads(done.stdout)
    one, other = (record.read(path).predicate for path in records(tmp_path))
    losses = [
        [loss for segment in run.trail for loss in segment.steps.loss] for run in (one, other)
    ]
    step = next(i for i, (x, y) in enumerate(zip(*losses, strict=True), 1) if x != y)
    assert found["first_difference"]["step"] <= step
    assert found["first_difference"]["layers"]
    assert [cause["what"] for cause in found["causes"]] == ["data", "arrays"]
    assert found["causes"][0]["evidence"] == "data/numbers.csv differs"
