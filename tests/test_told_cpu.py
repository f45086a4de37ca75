"""Python whose libraries are told of another make of CPU: `tools/told_cpu`."""

import json
import subprocess
import sys

import pytest
from fresh import TOLD_CPU, environment, needs_told_cpus

pytestmark = pytest.mark.slow


def told_cpu(*arguments, **options):
    options = {"env": environment(), **options}  # without the switches for the CPU that is there
    return subprocess.run(
        [sys.executable, TOLD_CPU, *arguments], capture_output=True, text=True, **options
    )


# What Eigen and oneDNN were told of the caches, when they asked.
CACHES = """
import json, os, sys
import repro_keras as keras
from repro_keras._src.backends import caches
caches.set_sizes = lambda folder: None
keras.layers
import tensorflow as tf
tf.linalg.qr(tf.eye(99))
tf.nn.conv2d(tf.ones((1, 9, 9, 3)), tf.ones((3, 3, 3, 4)), 1, "SAME")
*_, eigen, onednn = caches.sizes(os.path.dirname(tf.__file__)).values()
print(json.dumps([eigen, onednn, sys.prefix, sys.argv[1:]]))
"""


@needs_told_cpus
@pytest.mark.parametrize(("cpu", "kib"), [("Zen-2", (32, 512, 16384)), ("Ice-Lake-SP", (48, 1280))])
def test_libraries_are_told_of_another_cpu_in_this_environment(cpu, kib):
    eigen, onednn, *others = json.loads(told_cpu("--cpu", cpu, "-c", CACHES, "--cpu", "-x").stdout)
    assert [size // 1024 for size in eigen[: len(kib)]] == list(kib)
    assert [size // 1024 for size in onednn[:2]] == list(kib[:2])
    assert others == [sys.prefix, ["--cpu", "-x"]]


@needs_told_cpus
def test_exit_codes_and_scripts(tmp_path):
    script = tmp_path / "script.py"
    script.write_text("import sys; sys.exit(int(sys.argv[1]))")
    assert told_cpu(script, "3").returncode == 3
    assert told_cpu("-m", "json.tool", "--compact", input='{"a": 1}').stdout.strip() == '{"a":1}'


@needs_told_cpus
def test_a_fault_is_still_one():
    code = "import ctypes, mmap; m = mmap.mmap(-1, 9, prot=7); m.write(bytes.fromhex('0f0b'));"
    code += "ctypes.CFUNCTYPE(None)(ctypes.addressof(ctypes.c_char.from_buffer(m)))()"
    assert told_cpu("-c", code).returncode == -4  # SIGILL


def test_a_cpu_that_is_not_known():
    assert "Sapphire-Rapids" in told_cpu("--list").stdout
    result = told_cpu("--cpu", "Z80", "-c", "")
    assert result.returncode == 2
    assert "Z80" in result.stderr


def test_no_compiler_says_what_to_install():
    result = told_cpu("-c", "", env={**environment(), "PATH": ""})
    assert result.returncode == 2
    assert "apt-get install gcc binutils" in result.stderr
