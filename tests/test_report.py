"""`repro-keras report`: a page about a run, or about two and how they differ."""

import html.parser
import json
import math
import os
import random
import re
import shutil
import subprocess
import time

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from test_cli import command, loaded_by
from test_diff import (
    another_cpu,
    initial,
    killed,
    layers,
    learning_rate,
    loss,
    planted,
    rounding,
    sha,
    state,
    versions,
)

from repro_keras._src import project, record, report
from repro_keras._src.comparing import compare, trails
from repro_keras._src.errors import SaveError
from repro_keras._src.report import pictures, sides
from repro_keras._src.runs import store
from repro_keras.cli import main

EVIL = "\"><script>alert(1)</script>&'</style></title>\u202e\x1b[2J" + "x" * 400


def page(*statements):
    verdict = compare.compare(*statements) if len(statements) == 2 else None
    return report.page(statements, verdict)


class Page(html.parser.HTMLParser):
    """The elements and the text of a page."""

    def __init__(self, content):
        super().__init__()
        self.elements, self.words, self._within = [], [], []
        self.feed(content)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self._within.append(tag)

    def handle_endtag(self, tag):
        while self._within.pop() != tag:
            pass

    def handle_data(self, data):
        if "style" not in self._within:
            self.words.append(data)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    @property
    def text(self):
        return re.sub(r"\s+", " ", " ".join(self.words))

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


# What is on it


def test_two_runs_that_differ():
    found = Page(page(planted(), planted(rounding, layers, versions)))
    assert "≠ Different" in found.text
    assert "fit 1, epoch 2, step 2 (step 5 of the run), the loss" in found.text
    assert "Layers that differ after that epoch: net/dense, net/dense_1" in found.text
    assert "first difference: step 5" in found.text
    assert re.search(r"1 Versions numpy 2\.4\.6 and 2\.5\.0", found.text)
    # How far apart they are is said of losses, and these are no numbers of float32.
    apart = abs(int((0.2 * (1 + 1e-7) - 0.2) / math.ulp(0.2)))
    assert f"The two losses are {apart:,} units in the last place (ulp) of float64" in found.text
    labels = [svg["aria-label"] for svg in found.all("svg") if "aria-label" in svg]
    assert any(label.startswith("Loss of each step: A from 1 to 0.1111 in 9") for label in labels)
    said = "net/dense: 4 columns, 1 different, 3 the same; first different: fit 1, epoch 2."
    assert said in labels
    assert "net/dropout: 4 columns, 4 the same." in labels
    assert "loss: 9 steps, 1 different, 8 the same." in labels
    assert "metric loss: 4 columns, 3 the same, 1 not compared." in labels


def test_two_runs_that_are_the_same():
    found = Page(page(planted(), planted()))
    assert "✓ The same" in found.text
    assert "difference" not in found.text
    assert "Likely causes" not in found.text
    assert "Distance" not in found.text
    assert not any("mark" in path.get("class", "") for path in found.all("path"))


def test_what_was_not_compared_is_not_said_to_be_the_same():
    def unseen(run):
        run.trail[0].steps.loss[1] = None
        run.trail[2].layers = {}

    found = Page(page(planted(unseen), planted(unseen, killed)))
    assert "? Could not tell" in found.text
    assert "B was killed: it is compared as far as it came." in found.text
    labels = [svg["aria-label"] for svg in found.all("svg") if "aria-label" in svg]
    assert any(label.startswith("loss: 9 steps, ") and "not compared" in label for label in labels)
    assert any(label.startswith("net/dense: ") and "not compared" in label for label in labels)

    # A layer that only one has, and parts of another model, are not compared either.
    def another_model(run):
        run.trail[1].model = 1
        run.trail[2].layers["net/new"] = sha("new")

    runs = [planted().predicate, planted(another_model).predicate]
    assert len(sides.names_of(runs)) == 4
    found = {line.name: line.same for line in sides.layers(runs)}
    assert found["model 1: net/new"] == [None] * 4
    assert found["model 1: net/dense"] == [True, True, None, True]
    assert found["model 2: net/dense"] == [None] * 4


def test_one_run():
    def frozen(run):
        for segment in run.trail:
            segment.layers["net/dense"] = run.models[0].initial["net/dense"]

    found = Page(page(planted(frozen)))
    assert "python train.py --epochs 3" in found.text
    assert "9 steps, last loss 0.111111111" in found.text
    assert "Nothing is compared: this is one run." in found.text
    labels = [svg["aria-label"] for svg in found.all("svg") if "aria-label" in svg]
    assert "net/dense: 4 columns, 3 unchanged, 1 not compared." in labels
    assert any(label.startswith("net/dense_1: 4 columns, 3 changed, 1 not") for label in labels)
    assert "x of fit 1" in found.text
    assert "model/0/weights" in found.text
    assert not any(path.get("class") == "curve b" for path in found.all("path"))


def test_data_that_came_by_batch_are_in_the_trail():
    def undigested(run):
        run.data[0].digest = None

    def by_batch(run):
        undigested(run)
        run.trail[0].steps.batch = ["0" * 16] * len(run.trail[0].steps.loss)

    assert "x of fit 1 no digest" in Page(page(planted(undigested))).text
    assert "x of fit 1 by its batches, in the trail" in Page(page(planted(by_batch))).text


def test_runs_without_steps_or_epochs():
    def nothing(run):
        run.trail, run.models = [], []

    def by_hand(run):
        for segment in run.trail:
            segment.fit = segment.epoch = segment.model = None
            segment.layers, segment.metrics = {}, {}
            segment.steps.optimizer = [0, 1, 0]

    assert "No step is on the record." in page(planted(nothing))
    assert "No step is on the record." in page(planted(nothing), planted(nothing))
    assert "Different" in page(planted(), planted(nothing))
    found = Page(page(planted(by_hand), planted(by_hand, loss)))
    assert "Loss of each step, optimizer 2" in found.text
    assert len([path for path in found.all("path") if path.get("class") == "curve b"]) == 2

    def no_losses(run):
        for segment in run.trail:
            segment.steps.loss = [None, "nan", "inf"]

    assert "none is on the record" in page(planted(no_losses), planted(no_losses))


@pytest.mark.parametrize("change", [loss, rounding, state, learning_rate, layers, initial, killed])
def test_a_page_says_what_diff_says(change):
    one, other = planted(), planted(change)
    runs = [one.predicate, other.predicate]
    found, difference = sides.beside(runs), trails.first_difference(*runs)
    assert found.equal.count(True) == trails.count_steps(*runs).same
    if difference is not None and difference.kind in ("step", "state"):
        assert found.equal.index(False) == difference.step - 1
        columns = {"the loss": "loss", "the learning rate": "learning_rate"}
        assert False in found.same[columns.get(difference.what, "state")]
    where = {loss: "step 5", layers: "after step 6", initial: "before step 1"}.get(change, "")
    assert f"first difference: {where}" in page(one, other) or change is killed
    differ = [line.name for line in sides.layers(runs) if False in line.same]
    assert sorted(differ) == sorted(difference.layers if change in (layers, initial) else [])


# It is safe, stands by itself, and can be read


def evil(run):
    run.code.target, run.code.arguments = f"{EVIL}.py", [EVIL]
    run.code.files[0].path = EVIL.replace("\x1b", "")
    run.environment[EVIL] = run.configuration[EVIL] = EVIL
    run.software.packages[EVIL] = run.software.python = EVIL
    run.software.loaded.append(EVIL)
    run.machine.model = run.machine.system = run.machine.architecture = EVIL
    run.machine.instruction_sets, run.machine.caches = [EVIL], {EVIL: 1}
    run.error, run.status = EVIL, "failed"
    run.data[0].argument = run.data[0].call = run.data[0].type = run.data[1].call = EVIL
    run.data[0].digest = None
    run.read[0].path = EVIL
    run.models[0].name = EVIL
    run.models[0].initial = {EVIL: sha("evil")}
    run.code.git.commit = EVIL
    for segment in run.trail:
        segment.layers[EVIL] = sha(EVIL)
        segment.metrics[EVIL] = (1.0).hex()


def more_evil(run):
    evil(run)
    run.trail[1].steps.loss[1] = "inf"
    run.trail[1].layers[EVIL] = sha("other")
    run.software.packages[EVIL] += "1"
    run.environment[EVIL] += "1"
    run.models[0].initial[EVIL] = sha("other")


@pytest.fixture
def bad():
    """Two records whose every name is an attack."""
    found = [planted(evil), planted(more_evil)]
    for statement in found:
        statement.subject[0].name = EVIL
    return found


TAGS = set(
    re.findall(
        r"\w+",
        "html head meta title style body main h1 h2 h3 section div strong span p code footer table "
        "thead tbody tr th td figure figcaption b svg path details summary",
    )
)


def test_all_that_records_say_is_escaped(bad):
    for statements in ([bad[0]], bad):
        content = page(*statements)
        found = Page(content)
        assert {tag for tag, _ in found.elements} <= TAGS
        names = {name for _, attributes in found.elements for name in attributes}
        assert not [name for name in names if name.startswith("on")]
        assert "script" not in {tag for tag, _ in found.elements}
        assert content.count("</style>") == content.count("</title>") == 1
        assert "<script" in found.text  # it is shown as what it is
        assert "\u202e" not in content
        assert "\x1b" not in content


def test_no_name_hides_another():
    def same_names(run):
        run.environment["CPU"] = run.environment["Python"] = "hidden"
        run.configuration["CPU"] = run.configuration["PYTHONHASHSEED"] = "hidden"
        run.read[0].path = "x of fit 1"

    found = Page(page(planted(same_names))).text
    for said in ("CPU AMD EPYC (zen3), 2 cores", "Python 3.11.7", "PYTHONHASHSEED 0"):
        assert said in found
    assert found.count("x of fit 1") == 2


@pytest.mark.parametrize("other", [[], [planted(loss, layers, another_cpu)]])
def test_it_loads_nothing(other):
    content = page(planted(), *other)
    found = Page(content)
    for word in ("http:", "https:", "url(", "@import", "<script", "<link", "src=", "href="):
        assert word not in content
    policy = [m["content"] for m in found.all("meta") if "http-equiv" in m]
    assert policy == ["default-src 'none'; style-src 'unsafe-inline'"]
    assert found.all("html") == [{"lang": "en"}]


def test_each_picture_is_said_in_words():
    found = Page(page(planted(), planted(loss, layers)))
    for svg in found.all("svg"):
        assert svg.get("aria-hidden") == "true" or (svg["role"] == "img" and svg["aria-label"])
    assert len(found.all("svg")) > 8
    # The numbers are in a table too.
    assert "As numbers: 3 parts of the trail" in found.text


# It is small


def long(epochs, count, seed=0, steps=100_000):
    """A run of many steps; of another seed, nothing is the same."""
    draw = random.Random(seed)
    size = steps // epochs

    def segment(number):
        return record.Segment(
            steps=record.Steps(
                loss=[draw.random().hex() for _ in range(size)],
                learning_rate=[(1e-3).hex()] * size,
                state=[f"{draw.getrandbits(64) % 2:016x}" for _ in range(size)],
            ),
            fit=0,
            model=0,
            epoch=number,
            layers={f"net/layer_{n}": sha(f"{draw.random() < 0.5}") for n in range(count)},
        )

    def change(run):
        run.trail = [segment(number) for number in range(epochs)]

    return planted(change)


@pytest.mark.parametrize(("epochs", "count"), [(10, 20), (1000, 200)])
def test_a_hundred_thousand_steps_are_less_than_a_megabyte(epochs, count):
    one, other = long(epochs, count), long(epochs, count, 1)
    begin = time.process_time()
    content = page(one, other)
    assert time.process_time() - begin < 3
    assert len(content.encode()) < 1_000_000
    assert "100,000 steps: of each of 720 columns, the lowest and the highest loss" in content
    assert ("53 more are not drawn" in content) == (count == 200)
    assert ("(800 more)" in content) == (epochs == 1000)


def test_a_thinned_curve_has_the_extremes():
    values = [(place, float(place % 7)) for place in range(10_000)]
    values[4321] = (4321, 99.0)
    values[8765] = (8765, -99.0)
    (line,) = pictures.strokes(values, 10_000, 100)
    assert len(line) == 200
    assert {(4321, 99.0), (8765, -99.0)} <= set(line)
    assert line == sorted(line)
    # Few are drawn as they are, with a gap where there is no number.
    few = [(0, 1.0), (1, None), (2, math.nan), (3, 2.0), (4, 3.0), (5, math.inf)]
    assert pictures.strokes(few, 6, 100) == [[(0, 1.0)], [(3, 2.0), (4, 3.0)]]
    assert pictures.strokes([], 0, 100) == []


def test_one_that_differs_is_seen_among_many():
    for place in range(0, 1000, 37):
        values = [True] * 1000
        values[place] = False
        found = pictures.merged(values, 240)
        assert len(found) == 240
        assert found.count(False) == 1
    assert pictures.merged([None, None, None, True], 2) == [None, True]
    assert pictures.merged([True, None], 5) == [True, None]


@pytest.mark.parametrize("unit", ["float32", "float64"])
def test_the_distance_in_ulp(unit):
    kind = np.dtype(unit).type
    for number in (1.0, -1.0, 0.0, 3e-40, 2.0**20, float(np.finfo(unit).max) / 2):
        x = kind(number)
        y = np.nextafter(np.nextafter(x, kind(np.inf)), kind(np.inf))
        assert sides.distance(float(x), float(y), unit) == 2
        assert sides.distance(float(y), float(x), unit) == 2
    tiny = np.finfo(unit).smallest_subnormal
    assert sides.distance(float(tiny), -float(tiny), unit) == 2
    assert sides.distance(-0.0, 0.0, unit) == 0
    assert sides.distance(math.nan, 0.0, unit) is None
    assert sides.distance(math.inf, 0.0, unit) is None


# The command


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """A project with three runs: the second differs from the others."""
    (tmp_path / "pyproject.toml").touch()
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / project.RUNS / "runs"
    for number, (name, changes) in enumerate([("aaaa", []), ("bbbb", [loss]), ("cccc", [])]):
        place = folder / f"20260101-00000{number}-{name}"
        place.mkdir(parents=True)
        record.write(place / store.RECORD, planted(*changes))
    return tmp_path


def made(*arguments):
    return CliRunner().invoke(main, ["report", *map(str, arguments)])


def test_exit_codes_and_places(runs):
    found = made("aaaa", "bbbb", "-o", "ab.html")
    assert (found.exit_code, found.output.splitlines()[1]) == (1, "Different")
    assert re.fullmatch(r"ab\.html: \d+ kB", found.output.splitlines()[0])
    assert made("aaaa", "cccc").exit_code == 0
    assert (runs / "20260101-000000-aaaa-20260101-000002-cccc.html").exists()
    found = made()
    assert found.exit_code == 0
    assert found.output.startswith("20260101-000002-cccc.html: ")
    record.write(runs / "killed.json", planted(killed))
    assert made("aaaa", "killed.json", "-o", "k.html").exit_code == 2
    assert (runs / "k.html").exists()
    assert made("none").exit_code == 2
    assert made("aaaa", "-o", "nowhere/page.html").exit_code == 2


def test_a_record_is_not_replaced_by_its_page(runs):
    path = runs / "record.json"
    record.write(path, planted())
    before = path.read_bytes()
    found = made(path, "-o", "record.json")
    assert found.exit_code == 2
    assert "is a record" in found.output
    assert path.read_bytes() == before


def test_a_page_is_whole_or_not_there(runs, monkeypatch):
    made("aaaa", "-o", "page.html")
    before = (runs / "page.html").read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(SaveError, match="No space left"):
        report.write(runs / "page.html", planted(loss))
    assert (runs / "page.html").read_bytes() == before
    assert len(list(runs.glob("*page.html*"))) == 1


def test_the_same_records_make_the_same_page(runs):
    elsewhere = runs / "another folder"
    elsewhere.mkdir()
    for name in ("aaaa", "bbbb"):
        (path,) = runs.glob(f".repro/runs/*{name}/record.json")
        shutil.copy(path, elsewhere / f"{name}.json")
    pages = []
    for place, names, seed in (
        (runs, ("aaaa", "bbbb"), "0"),
        (elsewhere, ("aaaa.json", "bbbb.json"), "7"),
    ):
        done = command("report", *names, "-o", "page.html", cwd=place, PYTHONHASHSEED=seed)
        assert done.returncode == 1, done.stderr
        pages.append((place / "page.html").read_bytes())
    assert pages[0] == pages[1]
    assert str(runs).encode() not in pages[0]


def test_both_runs_are_completed_by_the_shell(runs):
    for words, number in (("repro-keras report ", 2), ("repro-keras report aaaa 2026", 3)):
        switches = {"_REPRO_KERAS_COMPLETE": "bash_complete", "COMP_WORDS": words}
        found = command(**switches, COMP_CWORD=str(number)).stdout.splitlines()
        assert [line.rpartition("-")[2] for line in found] == ["aaaa", "bbbb", "cccc"]


def test_neither_keras_nor_numpy_is_loaded(runs):
    assert loaded_by("report", "aaaa", "bbbb") == (1, "set()")


# In a browser

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
WRAPPER = """<!DOCTYPE html><body style="margin:0;display:flex;align-items:flex-start">{frames}
<pre id="said"></pre><script>addEventListener("load", () => {{ said.textContent = JSON.stringify(
[...document.querySelectorAll("iframe")].map(f => f.contentDocument.documentElement).map(
d => [d.clientWidth, d.scrollWidth, d.scrollHeight])) }})</script></body>"""
WIDTHS = (1280, 390, 320)


@pytest.mark.slow
@pytest.mark.skipif(
    CHROMIUM is None, reason="Chromium draws the pages: `apt-get install chromium` installs it."
)
@pytest.mark.parametrize(("scheme", "ground"), [("1", (255, 255, 255)), ("0", (21, 24, 27))])
def test_it_is_drawn_in_its_width_in_light_and_in_dark(tmp_path, bad, scheme, ground):
    report.write(tmp_path / "good.html", planted(), planted(loss, layers, another_cpu))
    report.write(tmp_path / "one.html", planted())
    report.write(tmp_path / "bad.html", *bad)
    frames = [(name, wide) for name in ("good", "one", "bad") for wide in WIDTHS]
    (tmp_path / "all.html").write_text(
        WRAPPER.format(
            frames="".join(
                f'<iframe src="{name}.html" style="border:0;flex:none;width:{wide}px;'
                'height:2000px"></iframe>'
                for name, wide in frames
            )
        )
    )
    done = subprocess.run(
        [
            CHROMIUM,
            *["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"],
            "--allow-file-access-from-files",
            "--virtual-time-budget=5000",
            f"--user-data-dir={tmp_path / 'profile'}",
            f"--blink-settings=preferredColorScheme={scheme}",
            f"--window-size={sum(wide for _, wide in frames)},2000",
            f"--screenshot={tmp_path / 'page.png'}",
            "--dump-dom",
            tmp_path / "all.html",
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    sizes = json.loads(re.search(r'<pre id="said">(.*?)</pre>', done.stdout)[1])
    assert [size[0] for size in sizes] == [wide for _, wide in frames]
    for (name, wide), (_, scrolls, tall) in zip(frames, sizes, strict=True):
        assert scrolls <= wide, (name, wide)
        assert tall > 1000, (name, wide)
    picture = Image.open(tmp_path / "page.png").convert("RGB")
    begin = 0
    for name, wide in frames:
        part = picture.crop((begin, 0, begin + wide, 2000))
        assert part.getpixel((1, 1)) == ground, (name, wide)
        drawn = sum(n for n, color in part.getcolors(2**24) if color != ground)
        assert drawn > part.width * part.height / 50, (name, wide)
        begin += wide
