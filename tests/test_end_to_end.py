"""The promise, end to end: a script that trains on real data gives the same bits in any process."""

import subprocess
import sys

import pytest
from fresh import ROOT, environment, run_together

WHAT = ("initial weights", "generators", "losses", "final weights", "optimizer", "predictions")


def train(*arguments, **options):
    return ("train.py", *arguments), options


@pytest.fixture(scope="module")
def runs():
    """Three runs of repro_keras, on other cores and with other hash seeds, and two of Keras."""
    return run_together(
        train("repro_keras", hash_seed=0, cores="0"),
        train("repro_keras", hash_seed=1, cores="0,1"),
        train("repro_keras", hash_seed=None),
        train("keras", hash_seed=0, cores="0"),
        train("keras", hash_seed=0, cores="0"),
    )


@pytest.mark.parametrize("what", [*WHAT, "draws"])
def test_the_same_on_one_core_and_two_for_any_hash_seed(runs, what):
    one, two, three, *_ = runs
    assert one["loss falls"]
    assert one[what] == two[what] == three[what]


@pytest.mark.parametrize("what", [*WHAT, "draws"])
def test_plain_keras_is_not(runs, what):
    *_, plain, again = runs
    assert plain["loss falls"]
    assert plain[what] != again[what]


@pytest.mark.slow
def test_the_demonstration():
    result = subprocess.run(
        [sys.executable, ROOT / "examples" / "demo.py", "--epochs=1"],
        env=environment(extras=True),
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "to the last bit" in " ".join(result.stdout.split())
    assert [row for row in result.stdout.splitlines() if "the same" in row]
    assert [row for row in result.stdout.splitlines() if "different" in row]
