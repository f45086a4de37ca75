"""Fresh processes for tests: identity and stages can only be seen there."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parent / "scripts"
ROOT = Path(__file__).parents[1]
LEAN = Path(__file__).parent / "lean"
OTHER_CPU = ROOT / "tools" / "other_cpu"
TOLD_CPU = ROOT / "tools" / "told_cpu"


SWITCHES = (
    "PYTHONHASHSEED",
    "TF_ENABLE_ONEDNN_OPTS",
    "ONEDNN_MAX_CPU_ISA",
    "NPY_DISABLE_CPU_FEATURES",
    "OPENBLAS_CORETYPE",
    "XLA_FLAGS",
    "CUDA_VISIBLE_DEVICES",
    "HIP_VISIBLE_DEVICES",
)


TENSORFLOW_FIRST = {"TF_ENABLE_ONEDNN_OPTS": "1"}
"""For code that imports TensorFlow before repro_keras: its own default hangs on the make of CPU."""


def environment(*, extras=False):
    """This process's environment without what repro_keras reads, or has set here at its import.

    Args:
        extras: whether there are scikit-learn, pandas and matplotlib in it. Keras imports them
            where it finds them, which is a third of the time that a process takes to begin.
    """
    result = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("REPRO_KERAS_")
        and not name.endswith(("_NUM_THREADS", "_MAXIMUM_THREADS"))
        and name not in SWITCHES
    }
    result["TF_CPP_MIN_LOG_LEVEL"] = "3"
    if not extras:
        paths = [str(LEAN), *filter(None, [result.get("PYTHONPATH")])]
        result["PYTHONPATH"] = os.pathsep.join(paths)
    return result


needs_other_cpus = pytest.mark.skipif(
    shutil.which("qemu-x86_64-static") is None,
    reason="other CPUs are emulated by qemu-x86_64-static: `apt-get install qemu-user-static`",
)

needs_told_cpus = pytest.mark.skipif(
    not all(map(shutil.which, ("gcc", "objdump"))),
    reason="other CPUs are told of by tools/told_cpu: `apt-get install gcc binutils`",
)


def run(
    *arguments,
    hash_seed="0",
    cores=None,
    cpu=None,
    told=None,
    env=None,
    cwd=None,
    check=True,
    extras=False,
):
    """Runs Python in a fresh process.

    Args:
        arguments: a script's name in `tests/scripts` and its arguments, or `"-c"` and code, or
            `"-m"` and a module.
        hash_seed: `PYTHONHASHSEED`; `None` leaves it out.
        cores: the cores it may use, as `taskset -c` takes them.
        cpu: the make of CPU to run as on, of those that `tools/other_cpu --list` names.
        told: the make of CPU that its libraries are told of, by `tools/told_cpu`.
        env: more environment variables; `None` as a value removes one.
        cwd: its working directory.
        check: whether a failure of the process fails the test.
        extras: whether scikit-learn, pandas and matplotlib can be imported there.

    Returns:
        The `CompletedProcess`, with texts.
    """
    process_environment = environment(extras=extras)
    if hash_seed is not None:
        process_environment["PYTHONHASHSEED"] = str(hash_seed)
    for name, value in (env or {}).items():
        if value is None:
            process_environment.pop(name, None)
        else:
            process_environment[name] = value
    command = [sys.executable, *map(str, arguments)]
    if arguments[0] not in ("-c", "-m"):
        command[1] = str(SCRIPTS / command[1])
    if cpu is not None:
        command[1:1] = [str(OTHER_CPU), "--cpu", cpu]
    if told is not None:
        command[1:1] = [str(TOLD_CPU), "--cpu", told]
    if cores is not None:
        assert shutil.which("taskset"), "taskset (util-linux) is needed for the tests"
        command = ["taskset", "-c", cores, *command]
    result = subprocess.run(
        command, env=process_environment, cwd=cwd, capture_output=True, text=True, check=False
    )
    if check and result.returncode:
        raise AssertionError(f"{' '.join(command)[:200]} failed:\n{result.stderr[-3000:]}")
    return result


def run_json(*arguments, **options):
    """Runs Python in a fresh process and reads the last line it prints as JSON."""
    return json.loads(run(*arguments, **options).stdout.splitlines()[-1])


def run_together(*calls):
    """Runs `run_json` calls, each a tuple of arguments and a dict of options, two at once."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(lambda call: run_json(*call[0], **call[1]), calls))


def error_of(code, **options):
    """Runs code that must fail, and returns the last line of its error."""
    result = run("-c", code, check=False, **options)
    assert result.returncode == 1, (result.stdout, result.stderr)
    return result.stderr
