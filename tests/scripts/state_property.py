"""Random models, callbacks and moments: what goes on is what was never interrupted.

python state_property.py EXAMPLES
"""

import contextlib
import json
import os
import shutil
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import state_cases as cases
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

keras, repro, np = cases.keras, cases.repro, cases.np
L = keras.layers
own = keras.callbacks

LAYERS = {
    "dense": lambda: L.Dense(6, "relu"),
    "dropout": lambda: L.Dropout(0.3),
    "noise": lambda: L.GaussianNoise(0.2),
    "norm": L.BatchNormalization,
    "alpha": lambda: L.AlphaDropout(0.2),
}
CALLBACKS = {
    "early": lambda: own.EarlyStopping("loss", patience=1, restore_best_weights=True),
    "plateau": lambda: own.ReduceLROnPlateau("loss", 0.5, patience=1),
    "schedule": lambda: own.LearningRateScheduler(lambda epoch, rate: rate * 0.9),
    "nan": own.TerminateOnNaN,
}
OPTIMIZERS = {
    "sgd": lambda: keras.optimizers.SGD(0.05, momentum=0.9),
    "adam": lambda: keras.optimizers.Adam(0.05),
    "ema": lambda: keras.optimizers.Adam(0.05, use_ema=True, ema_overwrite_frequency=3),
    "accumulating": lambda: keras.optimizers.Adam(0.05, gradient_accumulation_steps=2),
    "scaled": lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.05)),
}


@some.composite
def trainings(draw):
    return {
        "layers": draw(some.lists(some.sampled_from(sorted(LAYERS)), max_size=4)),
        "callbacks": draw(some.permutations(sorted(CALLBACKS)))[: draw(some.integers(0, 4))],
        "optimizer": draw(some.sampled_from(sorted(OPTIMIZERS))),
        "place": draw(some.integers(0, 4)),
        "save_freq": draw(some.sampled_from((1, 2, 5, "epoch"))),
        "batch_size": draw(some.sampled_from((3, 4, 24))),
        "shuffle": draw(some.sampled_from((True, False, "batch"))),
        "steps_per_epoch": draw(some.sampled_from((None, None, 3))),
        "steps_per_execution": draw(some.sampled_from((1, 1, 2))),
        "validation_split": draw(some.sampled_from((0.0, 0.25))),
        "kills": draw(some.lists(some.integers(0, 20), min_size=1, max_size=3)),
    }


def fit(training, folder, kill=None):
    cases.anew()
    model = keras.Sequential([*(LAYERS[name]() for name in training["layers"]), L.Dense(1)])
    model.compile(
        OPTIMIZERS[training["optimizer"]](),
        "mse",
        metrics=["mae"],
        steps_per_execution=training["steps_per_execution"],
    )
    every = [CALLBACKS[name]() for name in training["callbacks"]]
    place = min(training["place"], len(every))
    every.insert(place, repro.TrainingState(folder / "states", training["save_freq"]))
    every += [own.CSVLogger(folder / "log.csv"), cases.KillAt(kill)]
    names = ("batch_size", "shuffle", "steps_per_epoch", "validation_split")
    options = {name: training[name] for name in names}
    with contextlib.suppress(cases.KilledError):
        history = model.fit(
            cases.rows, cases.targets, epochs=3, verbose=0, callbacks=every, **options
        )
        return {
            "history": history.history,
            "model": repro.digest(model, optimizer=True),
            "generators": repro.digest([np.asarray(v) for v in model.variables]),
            "csv": (folder / "log.csv").read_text(),
            "state": repro.digest(every[place].latest()),
        }
    return None


def main(examples):
    count = 0

    @settings(
        max_examples=int(examples),
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(trainings())
    def check(training):
        nonlocal count
        count += 1
        whole, killed = cases.new_folder(), cases.new_folder()
        expected = fit(training, whole)
        for kill in training["kills"]:
            fit(training, killed, kill)
        found = fit(training, killed)
        assert found == expected
        shutil.rmtree(whole)
        shutil.rmtree(killed)

    check()
    print(json.dumps({"examples": count}))


if __name__ == "__main__":
    main(*sys.argv[1:])
