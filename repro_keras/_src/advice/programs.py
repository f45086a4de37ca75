"""Rules that look at the whole of a script: what comes too late, and what threads draw."""

import ast

from repro_keras._src.advice.source import Found, Source

_PLAIN = ("keras", "tensorflow.keras", "tf_keras")
_BUILDERS = ("keras.Sequential", "keras.Model", "keras.layers.", "keras.models.")
_BUILDERS += ("keras.applications.",)
_SEEDS = {"keras.utils.set_random_seed", "keras.v1.set_random_seed"}
_POOLS = {
    "concurrent.futures.ThreadPoolExecutor",
    "concurrent.futures.ProcessPoolExecutor",
    "multiprocessing.Pool",
    "multiprocessing.pool.Pool",
    "multiprocessing.pool.ThreadPool",
}
_POOL_METHODS = {"submit", "map", "imap", "imap_unordered", "starmap", "apply_async", "map_async"}
_THREADS = {"threading.Thread", "threading.Timer"}
_TF_DRAWS = {"normal", "uniform", "truncated_normal", "categorical", "shuffle", "gamma", "poisson"}
_TF_DRAWS |= {"randint", "dropout", "beta", "binomial"}
_NO_DRAWS = {"seed", "getstate", "setstate", "get_state", "set_state", "set_seed"}


def find(source: Source) -> Found:
    """What comes too late in a script, and what its threads draw, by rule."""
    yield from _late_imports(source)
    yield from _late_seeds(source)
    yield from _draws_in_threads(source)


def _late_imports(source: Source) -> Found:
    """The first import of plain Keras, of those that are made in any case."""
    plain = None
    for node in source.tree.body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            modules = _modules(node)
            if any(_is_in(module, "repro_keras") for module in modules):
                if plain is not None:
                    yield "late-import", plain
                return
            if any(_is_in(module, keras) for module in modules for keras in _PLAIN):
                plain = plain or node


def _modules(node: ast.Import | ast.ImportFrom) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [] if node.level else [f"{node.module}.{alias.name}" for alias in node.names]


def _is_in(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def _late_seeds(source: Source) -> Found:
    """The only seed of a script, where it comes after what was built in the same function."""
    seeds = [n for n in source.nodes if isinstance(n, ast.Call) and _is_seed(source, n)]
    if len({source.function(seed) for seed in seeds}) != 1:
        return
    function = source.function(seeds[0])
    first = min(seeds, key=lambda seed: seed.lineno)
    built = [
        n
        for n in source.nodes
        if isinstance(n, ast.Call) and source.function(n) is function and _builds(source, n)
    ]
    if any(call.lineno < first.lineno for call in built):
        yield "late-seed", first


def _is_seed(source: Source, call: ast.Call) -> bool:
    name = source.called(call)
    if name == "keras.repro.configure":
        return any(keyword.arg == "seed" for keyword in call.keywords)
    return name in _SEEDS


def _builds(source: Source, call: ast.Call, depth: int = 0) -> bool:
    """Whether a call makes a layer or a model, or calls a function of the script that does."""
    if source.called(call).startswith(_BUILDERS):
        return True
    function = source.definition(call.func)
    if function is None or depth == 3:
        return False
    inside = (n for n in ast.walk(function) if isinstance(n, ast.Call))
    return any(_builds(source, n, depth + 1) for n in inside)


def _draws_in_threads(source: Source) -> Found:
    for function in _run_by_threads(source):
        for node in ast.walk(function):
            if isinstance(node, ast.Call) and _draws(source, node):
                yield "thread-draw", node


def _run_by_threads(source: Source) -> list[ast.AST]:
    """The functions of a script that threads, or processes of a pool, run."""
    has_pool = any(source.called(n) in _POOLS for n in source.nodes)
    targets: list[ast.AST] = []
    for node in source.nodes:
        if isinstance(node, ast.ClassDef):
            if any(source.name(base) == "threading.Thread" for base in node.bases):
                targets += [n for n in node.body if getattr(n, "name", "") == "run"]
        elif source.called(node) in _THREADS:
            assert isinstance(node, ast.Call)
            targets += [k.value for k in node.keywords if k.arg in ("target", "function")]
            targets += node.args[1:2]
        elif has_pool and isinstance(node, ast.Call) and node.args:
            attribute = node.func
            if isinstance(attribute, ast.Attribute) and attribute.attr in _POOL_METHODS:
                targets.append(node.args[0])
    found = [n if isinstance(n, ast.FunctionDef) else source.definition(n) for n in targets]
    return [function for function in dict.fromkeys(found) if function is not None]


def _draws(source: Source, call: ast.Call) -> bool:
    """Whether a call draws from a global generator."""
    module, _, name = source.called(call).rpartition(".")
    if module not in ("random", "numpy.random", "tensorflow.random", "keras.random"):
        return False
    if module in ("tensorflow.random", "keras.random"):
        is_seeded = any(keyword.arg == "seed" for keyword in call.keywords)
        return name in _TF_DRAWS and not is_seeded
    return name.islower() and name not in (*_NO_DRAWS, "default_rng")
