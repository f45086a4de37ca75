"""What is known of a graph while it is traced."""

from tensorflow.python.eager import context
from tensorflow.python.framework import ops
from tensorflow.python.ops import control_flow_util


def for_xla() -> bool:
    """Whether it is traced for `jit_compile`."""
    if context.executing_eagerly():
        return False
    return control_flow_util.GraphOrParentsInXlaContext(ops.get_default_graph())
