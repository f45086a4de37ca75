"""Every public name of Keras, with kind, place and signature: walk.py [plain]."""

import importlib
import inspect
import json
import os
import pkgutil
import re
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
plain = "plain" in sys.argv
if not plain:
    import repro_keras
import keras  # noqa: E402


def public_modules(package):
    names = [""]
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        name = module.name.removeprefix(f"{package.__name__}.")
        if not name.startswith(("src", "_")):
            names.append(name)
    return sorted(names)


def describe(value):
    try:
        signature = re.sub(r" at 0x[0-9a-f]+", "", str(inspect.signature(value)))
    except (TypeError, ValueError):
        signature = ""
    bases = [f"{b.__module__}.{b.__qualname__}" for b in getattr(value, "__mro__", ())]
    return [
        type(value).__name__,
        getattr(value, "__module__", ""),
        getattr(value, "__qualname__", ""),
        signature,
        bases,
        (inspect.getdoc(value) or "")[:80] if callable(value) else "",
    ]


modules = public_modules(keras)
result = {"names": {}, "not the same": []}
for name in modules:
    module = importlib.import_module(f"keras.{name}".rstrip("."))
    public = sorted(n for n in dir(module) if not n.startswith("_"))
    result["names"][name] = {n: describe(getattr(module, n)) for n in public}
    if not plain:
        twin = importlib.import_module(f"repro_keras.{name}".rstrip("."))
        if name and twin is not module:
            result["not the same"].append(name)
        space = {}
        exec(f"from repro_keras{'.' + name if name else ''} import *", space)
        for n in public:
            if getattr(twin, n) is not getattr(module, n) or space[n] is not getattr(module, n):
                result["not the same"].append(f"{name}.{n}")
if not plain:
    result["only ours"] = sorted(set(dir(repro_keras)) - set(dir(keras)))
    result["gained"] = [n for n in ("repro", "v1") if hasattr(keras, n)]
from_tf = []
import keras._tf_keras.keras as tf_keras  # noqa: E402

for name in public_modules(tf_keras):
    twin = importlib.import_module(f"keras._tf_keras.keras.{name}".rstrip("."))
    here = result["names"].get(name, {})
    for n in sorted(n for n in dir(twin) if not n.startswith("_") and n not in here):
        path = f"{name}.{n}".strip(".")
        if plain:
            from_tf.append(path)
        else:
            module = importlib.import_module(f"repro_keras.{name}".rstrip("."))
            if getattr(module, n) is getattr(twin, n):
                from_tf.append(path)
result["only tf.keras"] = from_tf
json.dump(result, sys.stdout)
