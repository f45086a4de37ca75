"""Sessions of TensorFlow 1: the threads that they run in, and the states of random ops."""

import contextlib
import functools
import inspect
import weakref
from typing import Any

from tensorflow.core.protobuf import config_pb2, rewriter_config_pb2
from tensorflow.python.client.session import BaseSession
from tensorflow.python.eager import context
from tensorflow.python.framework import errors, ops
from tensorflow.python.ops import gen_dataset_ops

from repro_keras._src import backends, config
from repro_keras._src.backends import subnormals
from repro_keras._src.backends.tensorflow import passes_left_out
from repro_keras._src.errors import ConfigError, DataError
from repro_keras._src.patches import graphs, random_ops
from repro_keras._src.patches.patch import Patch

_INTER_OP = "inter_op_parallelism_threads"

_begun: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()
"""For each session: the version of its graph, and how many of its random ops have a state."""


def config_proto(given: config_pb2.ConfigProto | None = None) -> config_pb2.ConfigProto:
    """A `ConfigProto` with what the configuration asks for where `given` leaves it open.

    Raises:
        ConfigError: where `given` asks for other threads or a GPU.
    """
    wanted = config.config()
    proto = config_pb2.ConfigProto()
    if given is not None:
        proto.CopyFrom(given)
    if config.OFF:
        return proto
    threads, asked = wanted.threads, proto.intra_op_parallelism_threads
    if asked not in (0, threads):
        fix = f"REPRO_KERAS_THREADS={asked}"
        if wanted.guarantee == "portable":  # has one thread
            fix += " and REPRO_KERAS_GUARANTEE=machine"
        raise ConfigError(
            f"The ConfigProto asks for intra_op_parallelism_threads={asked}, and repro_keras is "
            f"configured for {threads}. The bits depend on it, and TensorFlow has one pool in a "
            f"process, so that it would pass over it in silence. Leave it out, or set {fix}."
        )
    proto.intra_op_parallelism_threads = threads
    _run_in_the_calling_thread(proto, of_functions=threads)
    if wanted.device == "cpu":
        if proto.device_count.get("GPU", 0) > 0:
            raise ConfigError(
                f"The ConfigProto asks for {proto.device_count['GPU']} GPUs, and device='cpu' is "
                "configured. Leave device_count out, or set REPRO_KERAS_DEVICE=gpu and "
                "REPRO_KERAS_GUARANTEE=machine."
            )
        proto.device_count["GPU"] = 0
    rewrites = proto.graph_options.rewrite_options
    for grappler_pass in passes_left_out(wanted):
        setattr(rewrites, grappler_pass, rewriter_config_pb2.RewriterConfig.OFF)
    return proto


_CALLING_THREAD = -1


def _run_in_the_calling_thread(proto: config_pb2.ConfigProto, of_functions: int) -> None:
    """Has a session run one operation after the other, in the thread that calls it.

    A graph leaves it open whether a variable is read before or after it is written, where neither
    hangs on the other: `session.run([train, summaries])` with a histogram of the weights. With a
    pool, also of one thread, it is now this, now that: of 15 sessions with the same small graph, as
    many as eight results came out.

    Args:
        proto: the session's configuration, which is changed.
        of_functions: the size of the pool of functions, which a configuration has that says nothing
            of sessions.
    """
    asked = proto.inter_op_parallelism_threads
    own = [pool.num_threads for pool in proto.session_inter_op_thread_pool]
    if asked not in (0, 1, _CALLING_THREAD, of_functions) or own:
        said = f"session_inter_op_thread_pool of {own}" if own else f"{_INTER_OP}={asked}"
        raise ConfigError(
            f"The ConfigProto asks for {said}, and a session of repro_keras has one thread, the "
            "one that calls it: with more, operations that read a variable and that write it come "
            "in any order. Leave it out."
        )
    can = subnormals.can_be_taken_for_0()
    proto.inter_op_parallelism_threads = _CALLING_THREAD if can else 1
    proto.use_per_session_threads = False  # would be a pool


def _configure(original):
    @functools.wraps(original)
    def __init__(self, target="", graph=None, config=None):
        self._session, self._closed = None, True  # for `__del__`, where an error comes below
        if config is None:
            config = context.context().config
        if isinstance(config, config_pb2.ConfigProto):  # TensorFlow refuses what is none
            config = config_proto(config)
        original(self, target, graph, config)
        backends.session_was_made()

    return __init__


def _as_in_a_pool(original):
    if not subnormals.can_be_taken_for_0():
        return original

    @functools.wraps(original)
    def method(*args, **kwargs):
        with subnormals.taken_for_0():
            return original(*args, **kwargs)

    return method


def _in_the_calling_thread(original):
    if not subnormals.can_be_taken_for_0():  # to wait in the one thread of a pool could be for ever
        return original

    @functools.wraps(original)
    def iterator_get_next(iterator, output_types, output_shapes, name=None):
        if graphs.graph_made_by_hand() is None:
            return original(iterator, output_types, output_shapes, name)
        return gen_dataset_ops.iterator_get_next_sync(
            iterator, output_types, output_shapes, name or "IteratorGetNext"
        )

    return iterator_get_next


def _begin_generators(original):
    @functools.wraps(original)
    def _extend_graph(self):
        original(self)
        version, count = _begun.get(self, (0, 0))
        if version != self.graph.version:
            found = random_ops.generators(self.graph)
            _begun[self] = (self.graph.version, len(found))  # first: the run comes by here
            if found[count:]:
                self.run([generator.begin for generator in found[count:]])

    return _extend_graph


def _refuse_queues(original):
    @functools.wraps(original)
    def __init__(self, *args, **kwargs):
        raise DataError(
            "A QueueRunner fills a queue from threads, whose order is another in each run, so that "
            "tf.train.batch, shuffle_batch, string_input_producer and the like cannot be "
            "reproduced. Make the input with tf.data: "
            "v1.data.Dataset.from_tensor_slices(…).shuffle(…).batch(…), "
            "v1.data.make_initializable_iterator(dataset).get_next()."
        )

    return __init__


def _name_relatively(original):
    signature = inspect.signature(original)

    @functools.wraps(original)
    def update_checkpoint_state_internal(*args, **kwargs):
        given = signature.bind(*args, **kwargs)
        given.arguments["save_relative_paths"] = True
        return original(*given.args, **given.kwargs)

    return update_checkpoint_state_internal


def innermost(session) -> BaseSession:
    """The session inside a `MonitoredSession`, whose own runs call its hooks."""
    inner = getattr(session, "_tf_sess", None)
    return session if inner is None else inner()


def variables(graph: ops.Graph) -> dict[str, Any]:
    """The variables of a graph, the local ones too, by their names, sorted."""
    keys = (ops.GraphKeys.GLOBAL_VARIABLES, ops.GraphKeys.LOCAL_VARIABLES)
    found = {v.op.name: v for key in keys for v in graph.get_collection(key)}
    return dict(sorted(found.items()))


def values(session: BaseSession) -> dict[str, Any]:
    """The values of those variables of a session that have one, as arrays."""
    wanted = variables(session.graph)
    try:
        return session.run(wanted) if wanted else {}
    except errors.FailedPreconditionError:
        found = {}
        for name, variable in wanted.items():
            with contextlib.suppress(errors.FailedPreconditionError):
                found[name] = session.run(variable)
        return found


PATCHES = (
    Patch(
        target="tensorflow.python.client.session:BaseSession.__init__",
        parameters=("self", "target", "graph", "config"),
        make=_configure,
        why="a session takes all cores, and passes over another number of threads in silence",
    ),
    *(
        Patch(
            target=f"tensorflow.python.client.session:BaseSession.{method}",
            parameters=parameters,
            make=_as_in_a_pool,
            why="the thread that calls computes with subnormal numbers, and TensorFlow's do not",
        )
        for method, parameters in {
            "_call_tf_sessionrun": (
                *("self", "options", "feed_dict", "fetch_list", "target_list", "run_metadata"),
            ),
            "_Callable.__call__": ("self", "args", "kwargs"),
        }.items()
    ),
    Patch(
        target="tensorflow.python.ops.gen_dataset_ops:iterator_get_next",
        parameters=("iterator", "output_types", "output_shapes", "name"),
        make=_in_the_calling_thread,
        why="a graph made by hand goes on in the thread of its data set, beside the one that calls",
    ),
    Patch(
        target="tensorflow.python.client.session:BaseSession._extend_graph",
        parameters=("self",),
        make=_begin_generators,
        why="gives random ops the state that they begin with, before a session's next run",
    ),
    Patch(
        target="tensorflow.python.training.queue_runner_impl:QueueRunner.__init__",
        parameters=None,  # it is refused with any
        make=_refuse_queues,
        why="threads fill a queue in another order in each run",
    ),
    Patch(
        target=(
            "tensorflow.python.checkpoint.checkpoint_management:update_checkpoint_state_internal"
        ),
        parameters=None,  # one is looked up in the signature
        make=_name_relatively,
        why="the file `checkpoint` names checkpoints by the folder that a run was in",
    ),
)
