"""The rules of `repro_keras.v1.keras`, one after the other: prints whether each holds."""

import json
import random
import sys
import tempfile
import time

import numpy as np

import repro_keras.v1 as tf
from repro_keras import repro
from repro_keras.v1 import keras
from repro_keras.v1.keras import backend as K  # noqa: N812

L = keras.layers
X = np.sin(np.arange(160, dtype="float32")).reshape(40, 4)
Y = X[:, :1] ** 2


def net(*layers, **options):
    model = keras.Sequential([L.InputLayer((4,)), *layers, L.Dense(1)], **options)
    model.compile("adam", "mse")
    return model


def weights(model):
    return [weight.tolist() for weight in model.get_weights()]


def fitted(*data, model=None, **options):
    """The weights after a training in a new graph."""
    if model is None:
        K.clear_session()
        model = net(L.Dense(6, activation="relu"), L.Dropout(0.5))
    model.fit(*data, verbose=0, epochs=2, **options)
    return weights(model)


def layers_of_one_shape_differ():
    K.clear_session()
    one, other = L.Dense(4), L.Dense(4)
    net(one, other)
    return not np.array_equal(one.get_weights()[0], other.get_weights()[0])


def an_initializer_used_twice_draws_twice():
    K.clear_session()
    found = []
    for initializer in (tf.glorot_uniform_initializer(), keras.initializers.get("he_normal")):
        layers = [L.Dense(4, kernel_initializer=initializer) for _ in range(2)]
        net(*layers)
        found.append(np.array_equal(*(layer.get_weights()[0] for layer in layers)))
    return found == [False, False]


def an_added_layer_moves_only_what_comes_after():
    def built(*more):
        K.clear_session()
        return net(L.Dense(4), *more, L.Dense(4, name="mine")).get_weights()

    one, other = built(), built(L.Dropout(0.5), L.BatchNormalization())
    return all(
        np.array_equal(a, b) for a, b in zip(one[:4], [*other[:2], *other[6:8]], strict=True)
    )


def another_model_moves_nothing_of_another_name():
    def built(*before):
        K.clear_session()
        for model in before:
            model()
        return weights(net(L.Dense(4), name="mine"))

    return built() == built(lambda: net(L.Dense(4)), lambda: net(L.Dense(5), name="other"))


def a_given_seed_is_what_it_is_in_plain_keras():
    K.clear_session()
    initializer = keras.initializers.get({"class_name": "GlorotUniform", "config": {"seed": 5}})
    one, other = (L.Dense(4, kernel_initializer=initializer) for _ in range(2))
    net(one, other)
    wanted = K.eval(tf.random.stateless_uniform([4, 4], [5, 0], -1, 1)) * (6 / 8) ** 0.5
    equal = np.array_equal(one.get_weights()[0], other.get_weights()[0])
    return equal and np.allclose(one.get_weights()[0], wanted, atol=1e-6)


def a_builder_in_a_scope_builds_one_model():
    @repro.scope
    def build():
        return weights(net(L.Dense(4)))

    K.clear_session()
    return build() == build() != weights(net(L.Dense(4)))


def clear_session_starts_afresh():
    return fitted(X, Y) == fitted(X, Y)


def a_new_graph_starts_afresh():
    def build():
        with tf.Graph().as_default():
            return weights(net(L.Dense(4)))

    return build() == build()


def set_random_seed_is_the_root():
    def with_seed(seed):
        keras.utils.set_random_seed(seed)
        return fitted(X, Y)

    one, other, again = with_seed(1), with_seed(2), with_seed(1)
    keras.utils.set_random_seed(0)
    return one == again != other


def a_seed_of_the_graph_counts():
    def with_seed(seed):
        K.clear_session()
        tf.set_random_seed(seed)
        return weights(net(L.Dense(4)))

    return with_seed(1) == with_seed(1) != with_seed(2)


def behaviour_of_version_1_too():
    tf.disable_v2_behavior()
    try:
        one, other = fitted(X, Y), fitted(X, Y)
        random.random(), np.random.rand()
        return one == other == fitted(X, Y)
    finally:
        tf.enable_control_flow_v2()
        tf.enable_resource_variables()


class Items(keras.utils.Sequence):
    """Batches that take a while, differently long each, and maybe draw."""

    def __init__(self, draws=False):
        self.draws = draws
        self.ends = 0

    def __len__(self):
        return 8

    def __getitem__(self, index):
        time.sleep(0.002 * (index % 3))
        batch = slice(5 * index, 5 * index + 5)
        noise = 0.1 * np.random.rand(5, 4) if self.draws else 0
        return X[batch] + noise, Y[batch]

    def on_epoch_end(self):
        self.ends += 1


WAYS = ({}, {"workers": 4}, {"workers": 3, "use_multiprocessing": True}, {"workers": 0})


def workers_make_no_difference():
    found = [fitted(Items(), shuffle=True, **way) for way in WAYS]
    return all(one == found[0] for one in found) and found[0] != fitted(Items(), shuffle=False)


def draws_of_workers_neither():
    found = [fitted(Items(draws=True), validation_data=Items(draws=True), **way) for way in WAYS]
    return all(one == found[0] for one in found)


def an_epoch_ends_when_it_does():
    items = Items()
    fitted(items, workers=2)
    return items.ends == 2


def generators_are_not_read_ahead():
    taken = []

    def batches():
        while True:
            for index in range(8):
                taken.append(index)
                yield X[5 * index : 5 * index + 5], Y[5 * index : 5 * index + 5]

    K.clear_session()
    model = net(L.Dense(4))
    model.fit_generator(batches(), steps_per_epoch=3, epochs=2, verbose=0)
    return len(taken) == 6


def recurrent_layers_have_their_seeds_too():
    def trained(*before):
        K.clear_session()
        for layer in before:
            layer()
        model = net(
            L.Reshape((2, 2)), L.Bidirectional(L.GRU(2, dropout=0.5, recurrent_dropout=0.5))
        )
        return fitted(X, Y, model=model)

    return trained() == trained(lambda: L.GRU(2), lambda: L.Dropout(0.5)(tf.ones([2, 2])))


def data_of_numpy_is_not_drawn_from():
    def trained():
        np.random.seed(random.randrange(100))
        return fitted(X, Y)

    return trained() == trained()


def a_file_loads_and_goes_on_equally():
    def trained():
        K.clear_session()
        with tempfile.TemporaryDirectory() as folder:
            net(L.Dense(4), L.Dropout(0.5)).save(f"{folder}/m.h5")
            return fitted(X, Y, model=keras.models.load_model(f"{folder}/m.h5"))

    return trained() == trained()


RULES = [
    layers_of_one_shape_differ,
    an_initializer_used_twice_draws_twice,
    an_added_layer_moves_only_what_comes_after,
    another_model_moves_nothing_of_another_name,
    a_given_seed_is_what_it_is_in_plain_keras,
    a_builder_in_a_scope_builds_one_model,
    clear_session_starts_afresh,
    a_new_graph_starts_afresh,
    set_random_seed_is_the_root,
    a_seed_of_the_graph_counts,
    workers_make_no_difference,
    draws_of_workers_neither,
    an_epoch_ends_when_it_does,
    generators_are_not_read_ahead,
    recurrent_layers_have_their_seeds_too,
    data_of_numpy_is_not_drawn_from,
    a_file_loads_and_goes_on_equally,
    behaviour_of_version_1_too,
]

if __name__ == "__main__":
    wanted = sys.argv[1:]
    print(json.dumps({r.__name__: r() for r in RULES if not wanted or r.__name__ in wanted}))
