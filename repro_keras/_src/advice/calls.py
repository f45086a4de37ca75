"""Rules that look at one call: generators, entropy, the clock, `hash`."""

import ast
import re

from repro_keras._src import hints
from repro_keras._src.advice.source import Found, Source

_BIT_GENERATORS = ("PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64", "SeedSequence")
_SEEDED = {
    "random.Random",
    "random.seed",
    "numpy.random.seed",
    "numpy.random.default_rng",
    "numpy.random.RandomState",
    *(f"numpy.random.{name}" for name in _BIT_GENERATORS),
}
_NEVER_SEEDED = {
    "tensorflow.random.Generator.from_non_deterministic_state",
    "tensorflow.random.get_global_generator",
}
_SEEDING = _SEEDED | {
    "keras.utils.set_random_seed",
    "keras.random.SeedGenerator",
    "tensorflow.random.set_seed",
    "tensorflow.random.Generator.from_seed",
    "tensorflow.set_random_seed",
    "tensorflow.compat.v1.set_random_seed",
    "keras.v1.set_random_seed",
    "torch.manual_seed",
}
_ENTROPY = {"os.urandom", "os.getrandom", "uuid.uuid1", "uuid.uuid4", "random.SystemRandom"}
_CLOCKS = {
    *(f"time.{name}" for name in ("time", "monotonic", "perf_counter", "process_time")),
    *(f"time.{name}_ns" for name in ("time", "monotonic", "perf_counter", "process_time")),
    *(f"datetime.datetime.{name}" for name in ("now", "utcnow", "today")),
}
_OF_THE_PROCESS = {"os.getpid", "threading.get_ident", "id", "hash"}
_SEED_NAME = re.compile(r"(?:^|_)(?:seed|random_state)$", re.IGNORECASE)
_REDUCING = (ast.Mod, ast.BitAnd, ast.FloorDiv, ast.Div, ast.RShift)
_CONVERSIONS = {"int", "float", "round", "abs", "str", "hash", "math.floor"}


def find(source: Source) -> Found:
    """What is amiss in the calls of a script, by rule."""
    for node in source.nodes:
        if not isinstance(node, ast.Call):
            continue
        name = source.called(node)
        if name in _NEVER_SEEDED or (name in _SEEDED and _has_no_seed(node)):
            if not _is_seeded_later(source, node):
                yield "unseeded-generator", node
        elif name in _ENTROPY or name.startswith("secrets."):
            if name != "secrets.compare_digest":
                yield "system-entropy", node
        elif name in _CLOCKS or (name in _OF_THE_PROCESS and not _is_of_numbers(node)):
            place = _Flow(source).place(node)
            if place is not None and (place[0] == "clock-seed" or name in _CLOCKS):
                yield place
            elif name == "hash" and _is_reduced(source, node):
                yield "hash", node


def _has_no_seed(call: ast.Call) -> bool:
    given = [*call.args, *(keyword.value for keyword in call.keywords)]
    if not given:
        return True
    return len(given) == 1 and isinstance(given[0], ast.Constant) and given[0].value is None


def _is_seeded_later(source: Source, node: ast.AST) -> bool:
    statement = next((n for n in source.around(node) if isinstance(n, ast.stmt)), node)
    return hints.is_set_later(ast.unparse(statement), ast.unparse(source.tree))


def _is_of_numbers(call: ast.Call) -> bool:
    """Whether what is hashed may be a tuple of numbers, whose hash is the same everywhere."""
    if not call.args or not isinstance(call.args[0], ast.Tuple):
        return False
    inside = list(ast.walk(call.args[0]))
    texts = (n for n in inside if isinstance(n, ast.Constant) and isinstance(n.value, str))
    return not any(texts) and not any(isinstance(n, ast.JoinedStr) for n in inside)


def _is_reduced(source: Source, call: ast.AST) -> bool:
    """Whether a hash becomes a number that means something: `hash(name) % 10`."""
    parent = source.parent(call)
    if source.called(parent) in _CONVERSIONS:
        return _is_reduced(source, parent)
    if getattr(source.function(call), "name", "") == "__hash__":
        return False
    return isinstance(parent, ast.BinOp) and isinstance(parent.op, _REDUCING)


class _Flow:
    """Follows a reading of the clock, through arithmetic and variables, to where it matters."""

    def __init__(self, source: Source):
        self._source = source
        self._seen: set[ast.AST] = set()

    def place(self, node: ast.AST) -> tuple[str, ast.AST] | None:
        """The rule and the place: a seed that is made of it, or a loop that ends by it."""
        if node in self._seen:
            return None
        self._seen.add(node)
        parent = self._source.parent(node)
        match parent:
            case ast.Call():
                name = self._source.called(parent)
                if name in _SEEDING:
                    return "clock-seed", parent
                passes = name in _CONVERSIONS or node is parent.func
                return self.place(parent) if passes else None
            case ast.keyword():
                if parent.arg and _SEED_NAME.search(parent.arg):
                    return "clock-seed", node
            case ast.Assign(targets=[target]) | ast.AnnAssign(target=target):
                return self._variable(target)
            case ast.NamedExpr(target=target):
                return self._variable(target) or self.place(parent)
            case ast.While() if parent.test is node:
                return None if self._waits(parent) else ("clock-loop", node)
            case ast.If() if parent.test is node:
                return ("clock-loop", node) if self._ends(parent) else None
            case ast.expr():
                return self.place(parent)
        return None

    def _variable(self, target: ast.AST) -> tuple[str, ast.AST] | None:
        if not isinstance(target, (ast.Name, ast.Attribute)):
            return None
        if _SEED_NAME.search(target.id if isinstance(target, ast.Name) else target.attr):
            return "clock-seed", target
        found = (self.place(use) for use in self._source.uses(target))
        return next((place for place in found if place), None)

    def _waits(self, loop: ast.AST) -> bool:
        """Whether a loop waits for something, and computes nothing."""
        names = (n.attr for n in ast.walk(loop) if isinstance(n, ast.Attribute))
        return any(name in ("sleep", "wait", "select", "poll") for name in names)

    def _ends(self, branch: ast.If) -> bool:
        """Whether a branch ends a loop, or the training that a callback sees."""
        for node in (n for statement in branch.body for n in ast.walk(statement)):
            if isinstance(node, ast.Attribute) and node.attr == "stop_training":
                return True
            if isinstance(node, (ast.Break, ast.Return)):
                function = self._source.function(branch)
                for loop in self._source.around(branch):
                    if loop is function:
                        break
                    if isinstance(loop, (ast.For, ast.While)):
                        return not self._waits(loop)
        return False
