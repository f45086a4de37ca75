"""Scripts in the style of yesterday, rewritten by `repro-keras migrate`: what they come to."""

import shutil
from pathlib import Path

import forks
import numpy as np
import pytest

from repro_keras._src.migrate import migrate

pytestmark = pytest.mark.slow

YESTERDAY = Path(__file__).parent / "fixtures" / "yesterday"
SCRIPTS = sorted(path.name for path in YESTERDAY.glob("*.py"))


@pytest.fixture(scope="module")
def today(tmp_path_factory):
    """The scripts as they are rewritten."""
    folder = tmp_path_factory.mktemp("today") / "scripts"
    shutil.copytree(YESTERDAY, folder)
    found = list(migrate([folder], write=True))
    assert all(file.written and not file.left for file in found)
    assert {Path(file.file).name for file in found} >= set(SCRIPTS)
    return folder


@pytest.fixture(scope="module")
def losses():
    """The losses of those that ran, by their names."""
    return {}


@pytest.mark.parametrize("name", SCRIPTS)
def test_each_comes_to_the_same_bits_in_two_processes(today, tmp_path, losses, name):
    one = forks.run_json(today / name, hash_seed="0", cwd=today)
    two = forks.run_json(today / name, hash_seed="1", cwd=tmp_path)
    losses[name] = one["losses"]
    assert len(one["losses"]) >= 2
    assert np.isfinite(one["losses"]).all()
    assert one == two


def test_as_it_was_it_comes_to_something_else():
    script = YESTERDAY / "subclassed.py"
    assert forks.run_json(script) != forks.run_json(script)


@pytest.mark.parametrize("name", ["convnet.py", "gradient_tape.py", "several_fits.py"])
def test_with_every_seed_given_it_is_what_it_was(today, losses, name):
    """The same to float's precision: the sums of plain Keras are split among threads."""
    now = losses.get(name) or forks.run_json(today / name)["losses"]
    then = forks.run_json(YESTERDAY / name)["losses"]
    np.testing.assert_allclose(now, then, rtol=1e-5)
