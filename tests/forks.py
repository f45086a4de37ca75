"""Fast processes for tests: forked from one that has loaded TensorFlow and Keras, nothing of ours.

A fresh process spends most of its time loading these, and they start nothing before they are used.
In a fork `import keras` finds it loaded, and to everybody it seems to be loaded only then. What a
test says of the seam can be seen in a fork; what it says of stages, environments, cores and hash
seeds needs `fresh.run`.
"""

import atexit
import functools
import importlib
import importlib.util
import json
import os
import runpy
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

import fresh
import numpy as np


def run(script, *arguments, hash_seed="0", env=None, cwd=None, check=True):
    """Runs a script in a fork, as `fresh.run` does in a fresh process.

    There is one process to fork from for each hash seed.

    Its `atexit` functions are not called, and what reads the environment as it is loaded (NumPy,
    TensorFlow) has read the parent's.
    """
    with tempfile.TemporaryDirectory() as folder:
        out, errors = Path(folder, "out"), Path(folder, "errors")
        argv = [str(fresh.SCRIPTS / script), *map(str, arguments)]
        parent = _parent(str(hash_seed))
        call = {"argv": argv, "out": str(out), "errors": str(errors), "env": env or {}, "cwd": cwd}
        parent.stdin.write(json.dumps(call, default=str) + "\n")
        parent.stdin.flush()
        code = int(parent.stdout.readline())
        result = subprocess.CompletedProcess(argv, code, out.read_text(), errors.read_text())
    if check and code:
        raise AssertionError(f"{' '.join(argv)[:200]} failed:\n{result.stderr[-3000:]}")
    return result


def run_json(script, *arguments, **options):
    """Runs a script in a fork and reads the last line it prints as JSON."""
    return json.loads(run(script, *arguments, **options).stdout.splitlines()[-1])


@functools.cache
def _parent(hash_seed):
    environment = {
        **fresh.environment(extras=True),
        **fresh.TENSORFLOW_FIRST,
        "PYTHONHASHSEED": hash_seed,
    }
    process = subprocess.Popen(
        [sys.executable, __file__],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    atexit.register(process.stdin.close)
    return process


class _Loaded:
    """Finds and "loads" modules that are loaded already, each when it is asked for, and with it
    the others."""

    def __init__(self, *names):
        self.modules = {name: sys.modules.pop(name) for name in names}

    def find_spec(self, fullname, path=None, target=None):
        if fullname not in self.modules:
            return None
        return importlib.util.spec_from_loader(fullname, self, is_package=True)

    def create_module(self, spec):
        module = self.modules[spec.name]
        spec.origin = module.__file__
        spec.submodule_search_locations = module.__path__
        return module

    def exec_module(self, module):
        for name in self.modules:
            importlib.import_module(name)


def serve():
    """Forks a process for each line of the input, and says how each ended."""
    import keras  # noqa: F401 - and TensorFlow, which loads Keras where it comes first

    sys.meta_path.insert(0, _Loaded("keras", "tensorflow"))
    for line in sys.stdin:
        call = json.loads(line)
        child = os.fork()
        if not child:
            _become(**call)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _become(argv, out, errors, env, cwd):
    for path, descriptor in ((os.devnull, 0), (out, 1), (errors, 2)):
        opened = os.open(path, os.O_RDWR | os.O_CREAT)
        os.dup2(opened, descriptor)
        os.close(opened)
    sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w")  # noqa: SIM115
    os.environ.update(env)
    os.chdir(cwd or os.getcwd())
    np.random.seed()  # a fork of Python's generator has its own seed, one of NumPy's the parent's
    sys.argv = argv
    sys.path[0] = str(Path(argv[0]).parent)
    code = 0
    try:
        runpy.run_path(argv[0], run_name="__main__")
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    serve()
