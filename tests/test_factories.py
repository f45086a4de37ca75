"""Every weight and generator is seeded from its name, whoever makes it and how."""

import forks
import pytest
from fresh import run_json, run_together

OURS, PLAIN = ("repro_keras",), ("keras",)


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=pytest.mark.slow) for name in ("zoo.py", "builders.py")],
)
def runs(request):
    script = request.param
    first, second = run_together(
        ((script, *OURS), {"hash_seed": 0}),
        ((script, *OURS), {"hash_seed": 5, "cores": "0"}),
    )
    results = {
        "first": first,
        "second": second,
        "noisy": forks.run_json(script, *OURS, "noise"),
        "other root": forks.run_json(script, *OURS, "seed=1"),
        "plain": forks.run_json(script, *PLAIN),
        "plain again": forks.run_json(script, *PLAIN),
    }
    if script == "zoo.py":
        assert first["left out"] == []
        results = {key: value["layers"] for key, value in results.items()}
    return results


def test_two_processes_make_the_same(runs):
    assert runs["first"] == runs["second"]


def test_plain_keras_does_not(runs):
    for way, pair in runs["plain"].items():
        if way != "RMSNormalization":  # made of ones: here for its weight, nothing is drawn
            assert pair != runs["plain again"][way], way


def test_what_is_unrelated_changes_nothing(runs):
    assert runs["first"] == runs["noisy"]


def test_two_of_a_kind_differ(runs):
    for way, (one, two) in runs["first"].items():
        if way != "RMSNormalization":
            assert one != two, way


def test_the_root_seed_matters(runs):
    for way, pair in runs["first"].items():
        if way != "RMSNormalization":
            assert pair != runs["other root"][way], way


def test_what_plain_keras_makes_equal_stays_equal_and_the_rest_differs(runs):
    """Zeros stay zeros, and where plain Keras draws anew we draw anew."""
    for way, pair in runs["plain"].items():
        assert _which_are_equal(runs["first"][way]) == _which_are_equal(pair), way


def _which_are_equal(pair):
    one, two = pair
    if isinstance(one, dict):
        one, two = one["weights"], two["weights"]
        return {weight: one[weight] == two[weight] for weight in one}
    return [a == b for a, b in zip(one, two, strict=True)]


def test_the_users_seed_wins_and_a_derived_one_by_hand_is_the_same():
    ours, plain = run_together((("by_hand.py", *OURS), {}), (("by_hand.py", *PLAIN), {}))
    assert ours["explicit"] == plain["explicit"]
    assert ours["derived"] == ours["by hand"]
    assert ours["derived"]["variables"] == plain["by hand"]["variables"]


def test_the_distribution_is_untouched():
    ours, plain = run_together((("moments.py", *OURS), {}), (("moments.py", *PLAIN), {}))
    assert ours.keys() == plain.keys()
    for name, (mean, deviation, low, high) in plain.items():
        size = 256 * 256
        assert ours[name][0] == pytest.approx(mean, abs=6 * deviation / size**0.5), name
        assert ours[name][1] == pytest.approx(deviation, rel=0.02), name
        assert ours[name][2] >= low * 1.25 - 1e-6, name
        assert ours[name][3] <= high * 1.25 + 1e-6, name


@pytest.mark.slow
def test_set_random_seed_in_a_loop_gives_different_repeatable_models():
    one = run_json("-c", SEED_LOOP, hash_seed=1)
    two = run_json(
        "-c", SEED_LOOP.replace("pass  # EXTRA", "keras.layers.Dense(2)(x)"), hash_seed=2
    )
    assert one == two
    assert len(set(one["digests"])) == 3
    assert one["digests again"] == one["digests"]
    assert one["seeds"] == [3, 4, 5]


SEED_LOOP = """
import json
import repro_keras as keras
from repro_keras import repro
x = keras.ops.ones((1, 4))
def build():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3), keras.layers.Dropout(.5)])
    keras.layers.Dense(1)
    return repro.digest([model, model(x, training=True), keras.random.normal((2,))])
pass  # EXTRA
digests, again, seeds = [], [], []
for s in (3, 4, 5):
    keras.utils.set_random_seed(s)
    digests.append(build())
    seeds.append(repro.config().seed)
for s in (3, 4, 5):
    keras.utils.set_random_seed(s)
    again.append(build())
print(json.dumps({"digests": digests, "digests again": again, "seeds": seeds}))
"""


def test_clear_session_starts_names_afresh():
    result = run_json(
        "-c",
        """
import json
import repro_keras as keras
from repro_keras import repro
def build():
    return repro.digest(keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)]))
first, second = build(), build()
keras.utils.clear_session()
third = build()
keras.backend.clear_session()
print(json.dumps([first, second, third, build()]))
""",
    )
    first, second, third, fourth = result
    assert first == third == fourth != second
