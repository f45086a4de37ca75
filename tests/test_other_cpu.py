"""Python as on another make of CPU: `tools/other_cpu`."""

import json
import subprocess
import sys

import pytest
from fresh import OTHER_CPU, environment, needs_other_cpus, run


def other_cpu(*arguments, **options):
    options = {"env": environment(), **options}  # without the switches for the CPU that is there
    return subprocess.run(
        [sys.executable, OTHER_CPU, *arguments], capture_output=True, text=True, **options
    )


# OpenBLAS asks the CPU itself: /proc/cpuinfo still tells of the real one.
CPU = """
import json, sys
import numpy, threadpoolctl
cpu = threadpoolctl.threadpool_info()[0]["architecture"]
"""
TELL = CPU + "import repro_keras; print(json.dumps([cpu, sys.prefix, sys.argv[1:]]))"


@needs_other_cpus
@pytest.mark.parametrize(("cpu", "name"), [(None, "Haswell"), ("Nehalem", "Nehalem")])
def test_code_runs_on_another_cpu_in_this_environment(cpu, name):
    options = ["--cpu", cpu] if cpu else []
    told = json.loads(other_cpu(*options, "-c", TELL, "--cpu", "-x").stdout)
    assert told == [name, sys.prefix, ["--cpu", "-x"]]


@needs_other_cpus
def test_modules_and_scripts_run_and_warn_of_nothing(tmp_path):
    module = other_cpu("-m", "json.tool", "--compact", input='{"a": 1}')
    assert (module.stdout.strip(), module.stderr) == ('{"a":1}', "")
    script = tmp_path / "script.py"
    script.write_text("import sys; sys.exit(int(sys.argv[1]))")
    assert other_cpu(script, "3").returncode == 3


@needs_other_cpus
def test_a_cpu_that_is_not_known():
    assert "Haswell" in other_cpu("--list").stdout
    result = other_cpu("--cpu", "Z80", "-c", "")
    assert result.returncode == 2
    assert "no CPU is called Z80" in result.stderr


def test_no_emulator_says_what_to_install():
    result = other_cpu("-c", "", env={**environment(), "PATH": ""})
    assert result.returncode == 2
    assert "apt-get install qemu-user-static" in result.stderr


@needs_other_cpus
def test_a_fresh_process_on_another_cpu():
    assert run("-c", CPU + "print(cpu)", cpu="Haswell").stdout.strip() == "Haswell"
