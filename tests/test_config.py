"""The configuration: values, stages, what it sets, and what it says when it is too late."""

import archspec.cpu
import numpy as np
import pytest
from fresh import error_of, run, run_json

from repro_keras._src import cpu

SHOW = """
import json, os, random
import repro_keras as keras
from repro_keras import repro
{configure}
import numpy as np
import tensorflow as tf
import threadpoolctl, dataclasses
x = tf.matmul(tf.ones((2, 2)), tf.ones((2, 2)))
from tensorflow.python.framework import config as framework_config
from tensorflow.python.util import _pywrap_util_port
print(json.dumps(dict(
    config=dataclasses.asdict(repro.config()),
    intra=tf.config.threading.get_intra_op_parallelism_threads(),
    inter=tf.config.threading.get_inter_op_parallelism_threads(),
    gpus=len(tf.config.get_visible_devices("GPU")),
    deterministic=framework_config.is_op_determinism_enabled(),
    onednn=_pywrap_util_port.IsMklEnabled(),
    blas=[p["num_threads"] for p in threadpoolctl.threadpool_info()],
    env={{k: os.environ.get(k) for k in ("OMP_NUM_THREADS", "TF_ENABLE_ONEDNN_OPTS",
        "ONEDNN_MAX_CPU_ISA", "CUDA_VISIBLE_DEVICES", "OPENBLAS_CORETYPE")}},
    draws=[random.random(), float(np.random.rand()), float(tf.random.normal(()))],
    keras=float(keras.random.normal(())),
)))
"""


def shown(configure="", **options):
    return run_json("-c", SHOW.format(configure=configure), **options)


def test_the_defaults_are_in_force():
    result = shown()
    assert result["config"] == {
        "seed": 0,
        "device": "cpu",
        "threads": 1,
        "guarantee": "portable",
        "python_seed": None,
        "numpy_seed": None,
        "backend_seed": None,
        "guard": "warn",
    }
    assert (result["intra"], result["inter"], result["gpus"]) == (1, 1, 0)
    assert result["deterministic"]
    assert result["onednn"]
    assert set(result["blas"]) == {1}
    assert result["env"] == {
        "OMP_NUM_THREADS": "1",
        "TF_ENABLE_ONEDNN_OPTS": "1",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "CUDA_VISIBLE_DEVICES": "-1",
        "OPENBLAS_CORETYPE": "Haswell",
    }
    again = shown(hash_seed=3, cores="0")
    assert again == result


@pytest.mark.slow
@pytest.mark.parametrize("how", ["call", "environment", "numpy"])
def test_settings_by_call_and_by_environment(how):
    if how == "environment":
        settings = {"SEED": "7", "THREADS": "2", "GUARANTEE": "machine"}
        result = shown(env={f"REPRO_KERAS_{name}": value for name, value in settings.items()})
    elif how == "call":
        result = shown("repro.configure(seed=7, threads=2, guarantee='machine')")
    else:
        result = shown(
            "import numpy as np\n"
            "repro.configure(seed=np.uint8(7), threads=np.int64(2), guarantee='machine')"
        )
    assert (result["config"]["seed"], result["config"]["threads"]) == (7, 2)
    assert result["config"]["guarantee"] == "machine"
    assert result["env"]["ONEDNN_MAX_CPU_ISA"] == "DEFAULT"
    assert result["env"]["OPENBLAS_CORETYPE"] is None
    assert result["intra"] == 2
    assert set(result["blas"]) == {2}
    assert result["env"]["OMP_NUM_THREADS"] == "2"
    seeded = shown("keras.utils.set_random_seed(7)")
    assert result["draws"] == seeded["draws"]
    assert result["keras"] == seeded["keras"] != shown()["keras"]


@pytest.mark.slow
def test_the_three_seeds_apart():
    result = shown("repro.configure(seed=1, python_seed=2, numpy_seed=3, backend_seed=4)")
    whole = [shown(f"repro.configure(seed={seed})") for seed in (1, 2, 3, 4)]
    assert result["keras"] == whole[0]["keras"]
    assert result["draws"] == [whole[i + 1]["draws"][i] for i in range(3)]
    back = shown("repro.configure(seed=1, python_seed=2); repro.configure(python_seed=None)")
    assert back["draws"] == whole[0]["draws"]


def test_users_seeds_keep_their_meaning():
    code = """
import json, random
import {face}
import numpy as np, tensorflow as tf
random.seed(5); np.random.seed(6); tf.random.set_seed(7)
print(json.dumps([random.random(), float(np.random.rand()), float(tf.random.normal(()))]))
"""
    assert run_json("-c", code.format(face="repro_keras")) == run_json(
        "-c", code.format(face="keras")
    )


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (
            "threads=0",
            "threads must be an integer from 1 to 1024. Received: threads=0 (of type int",
        ),
        ("threads=2.0", "threads must be an integer"),
        ("threads=True", "threads must be an integer"),
        (
            "seed=1.5",
            "seed must be an integer from 0 to 4294967295. Received: seed=1.5 (of type fl",
        ),
        ("seed=-1", "seed must be an integer from 0"),
        ("seed=2**200", "seed must be an integer from 0"),
        ("seed='7'", "(of type str)"),
        ("seed=None", "(of type NoneType)"),
        ("numpy_seed=-3", "numpy_seed must be an integer"),
        ("device='tpu'", "device must be one of 'cpu', 'gpu'. Received: device='tpu'"),
        ("device=['cpu']", "(of type list)"),
        ("guard='on'", "guard must be one of 'warn', 'error', 'off'. Received: guard='on'"),
        ("guarantee='none'", "guarantee must be one of 'machine', 'portable'"),
        ("threads=2", "guarantee='portable' needs threads=1"),
        ("threads=2", "ask for guarantee='machine' with it (REPRO_KERAS_GUARANTEE=machine)"),
        ("device='gpu'", "holds on CPUs only"),
        ("device='gpu'", "ask for guarantee='machine' with it (REPRO_KERAS_GUARANTEE=machine)"),
        ("device='gpu', guarantee='machine'", "device='gpu' needs a GPU"),
        ("shards=2", "unexpected keyword argument 'shards'"),
    ],
)
def test_bad_values_by_call(call, said):
    code = (
        f"from repro_keras import repro\nbefore = repro.config()\ntry:\n    repro.configure({call})"
    )
    after = "\nexcept Exception as error:\n    assert repro.config() == before\n    raise"
    assert said in error_of(code + after)


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("REPRO_KERAS_THREADS", "two", "threads must be an integer"),
        ("REPRO_KERAS_SEED", "-1", "The environment says REPRO_KERAS_SEED=-1."),
        ("REPRO_KERAS_THREADS", "2", "REPRO_KERAS_GUARANTEE=machine"),
        ("REPRO_KERAS_DEVICE", "cuda", "device must be one of"),
        ("REPRO_KERAS_DEVICE", "gpu", "REPRO_KERAS_GUARANTEE=machine"),
        ("REPRO_KERAS_GUARANTEE", "always", "guarantee must be one of"),
        ("REPRO_KERAS_GUARD", "on", "The environment says REPRO_KERAS_GUARD=on."),
        ("REPRO_KERAS_SHARDS", "4", "REPRO_KERAS_SHARDS, which repro_keras does not know"),
        ("REPRO_KERAS_SEEDS", "4", "It knows: REPRO_KERAS_BACKEND_SEED"),
    ],
)
def test_bad_values_by_environment(variable, value, said):
    error = error_of("import repro_keras", env={variable: value})
    assert "ConfigError" in error
    assert said in error


def test_a_gpu_by_environment_that_is_not_there():
    env = {"REPRO_KERAS_DEVICE": "gpu", "REPRO_KERAS_GUARANTEE": "machine"}
    error = error_of("import repro_keras as k; k.layers", env=env)
    assert "device='gpu' needs a GPU" in error


@pytest.mark.parametrize(
    ("guarantee", "before", "call", "said"),
    [
        (
            "machine",
            "import tensorflow as tf; tf.ones(2) + 1",
            "threads=2",
            "threads=2 comes too late: it must be set before the first TensorFlow op",
        ),
        ("machine", "import tensorflow", "device='gpu'", "before TensorFlow is imported"),
        (
            "portable",
            "import tensorflow",
            "threads=2, guarantee='machine'",
            "guarantee='machine' comes too late: it must be set before TensorFlow is imported",
        ),
        (
            "machine",
            "import tensorflow",
            "guarantee='portable'",
            "guarantee='portable' comes too late: it must be set before TensorFlow is imported",
        ),
    ],
)
def test_what_comes_too_late_names_the_stage_and_the_import(guarantee, before, call, said):
    code = f"from repro_keras import repro\n{before}\nold = repro.config()\ntry:\n"
    code += f"    repro.configure(seed=9, {call})\nexcept repro.ReproError:\n"
    code += "    assert repro.config() == old\n    raise"
    error = error_of(code, env={"REPRO_KERAS_GUARANTEE": guarantee})
    assert "StageError" in error
    assert said in error
    assert "Move `import repro_keras`" in error


def test_what_does_not_change_is_never_too_late():
    code = """
from repro_keras import repro
import repro_keras as keras
keras.ops.ones(2) + 1
repro.configure(threads=1, device="cpu", guarantee="portable")
print(repro.configure(seed=4).seed)
"""
    assert run("-c", code).stdout.split()[-1] == "4"


def test_tensorflow_imported_before_but_not_started_works():
    code = """
import tensorflow as tf
import json
import repro_keras as keras
from repro_keras import repro
repro.configure(threads=3)
tf.ones(2) + 1
print(json.dumps([tf.config.threading.get_intra_op_parallelism_threads(), repro.doctor()]))
"""
    env = {"TF_ENABLE_ONEDNN_OPTS": "1", "REPRO_KERAS_GUARANTEE": "machine"}
    assert run_json("-c", code, env=env) == [3, []]


@pytest.mark.parametrize(
    ("before", "env", "said"),
    [
        (
            "import tensorflow as tf; tf.ones(2) + 1",
            {},
            "was started before repro_keras was imported, with as many as cores intra-op",
        ),
        (
            "import tensorflow as tf\n"
            "tf.config.threading.set_intra_op_parallelism_threads(1)\n"
            "tf.config.threading.set_inter_op_parallelism_threads(1)\n"
            "tf.ones(2) + 1",
            {},
            "may have chosen its kernels by the make of CPU already",
        ),
        ("import tensorflow", {"TF_ENABLE_ONEDNN_OPTS": "0"}, "with its oneDNN operations off"),
    ],
)
def test_tensorflow_used_before_says_which_import_to_move(before, env, said):
    error = error_of(f"{before}\nimport repro_keras", env={"TF_ENABLE_ONEDNN_OPTS": "1", **env})
    assert "StageError" in error
    assert said in error
    assert "Move `import repro_keras` above `import tensorflow`" in error


def test_numpy_imported_before_has_its_pool_pinned():
    code = """
import numpy as np
import repro_keras, threadpoolctl
print({p["num_threads"] for p in threadpoolctl.threadpool_info()}, np.random.rand())
"""
    assert run("-c", code).stdout.startswith("{1} 0.5488135")


def test_one_warning_for_a_random_hash_seed():
    code = "import repro_keras, repro_keras.repro"
    warned = run("-c", code, hash_seed=None).stderr
    assert warned.count("ReproWarning") == 1
    assert "<string>:1: ReproWarning: PYTHONHASHSEED is random" in warned
    for hash_seed in ("0", "17"):
        assert run("-c", code, hash_seed=hash_seed).stderr == ""


@pytest.mark.slow
def test_a_switch_of_the_shell_that_is_overruled_is_said():
    stderr = run("-c", "import repro_keras", env={"TF_ENABLE_ONEDNN_OPTS": "0"}).stderr
    assert "The environment says TF_ENABLE_ONEDNN_OPTS=0; repro_keras uses" in stderr
    assert shown(env={"TF_ENABLE_ONEDNN_OPTS": "0"}) == shown()


# The emulator shows the features of the CPU that is there.
ELSEWHERE = """
import builtins, io, json, warnings
real = open
def open_(file, *args, **kwargs):
    if file == "/proc/cpuinfo":
        return io.StringIO("processor: 0\\nflags\\t\\t: fpu sse4_2 avx f16c rdrand\\nbugs: none\\n")
    return real(file, *args, **kwargs)
builtins.open = open_
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    from repro_keras import repro
    first = repro.config().guarantee
    repro.configure(threads=2)
print(json.dumps([first, repro.config().guarantee, [str(w.message) for w in caught]]))
"""


def test_a_cpu_that_cannot_be_portable_has_machine_and_says_so_once():
    guarantee, still, said = run_json("-c", ELSEWHERE)
    assert guarantee == still == "machine"
    assert len(said) == 1
    assert said[0].startswith("The guarantee is 'machine' here")
    assert "this one lacks avx2 and fma. Set REPRO_KERAS_GUARANTEE=machine" in said[0]


def test_there_asking_for_machine_is_silent_and_for_portable_an_error():
    asked = {"REPRO_KERAS_GUARANTEE": "machine"}
    assert run_json("-c", ELSEWHERE, env=asked) == ["machine", "machine", []]
    error = error_of(ELSEWHERE, env={"REPRO_KERAS_GUARANTEE": "portable"})
    assert "needs an x86-64 CPU with AVX2 and FMA; this one lacks avx2 and fma" in error
    assert "Use guarantee='machine'" in error


def test_what_a_cpu_lacks(monkeypatch, tmp_path):
    file = tmp_path / "cpuinfo"
    monkeypatch.setattr(cpu, "_CPUS", file)
    monkeypatch.setattr(cpu, "_features", cpu._features.__wrapped__)
    monkeypatch.setattr(cpu.platform, "machine", lambda: "x86_64")
    for text, missing in (
        ("flags\t: avx avx2 fma f16c\n", ()),
        ("flags\t: avx avx2 fma4\n", ("fma",)),
        ("Features\t: fp asimd\n", ("avx2", "fma")),  # an x86-64 program on an ARM
    ):
        file.write_text(text)
        assert cpu.lacking.__wrapped__() == missing
    file.unlink()  # where there is no such file, archspec tells
    host = archspec.cpu.host()
    assert cpu.lacking.__wrapped__() == tuple(f for f in ("avx2", "fma") if f not in host)
    monkeypatch.setattr(cpu.platform, "machine", lambda: "arm64")
    assert cpu.lacking.__wrapped__() == ("x86-64",)


def test_what_numpy_has_beyond_avx2(monkeypatch, tmp_path):
    file = tmp_path / "cpuinfo"
    monkeypatch.setattr(cpu, "_CPUS", file)
    monkeypatch.setattr(cpu, "_features", cpu._features.__wrapped__)
    file.write_text("flags\t: avx avx2 fma f16c\n")
    assert cpu.beyond_in_numpy() is None
    file.write_text("flags\t: avx avx2 fma f16c avx512f avx512cd\n")
    named = set(cpu.beyond_in_numpy().split())
    known = set(np._core._multiarray_umath.__cpu_dispatch__)
    assert named == {name for name in known if name.startswith(("AVX512", "X86_V4"))}
    for version, count in (((2, 0), 8), ((2, 2), 8), ((2, 3), 9), ((2, 4), 3), ((3, 0), 3)):
        monkeypatch.setattr(cpu, "_version_of_numpy", lambda version=version: version)
        assert len(cpu.beyond_in_numpy().split()) == count
    monkeypatch.setattr(cpu, "_version_of_numpy", lambda: None)
    assert cpu.beyond_in_numpy() is None


WITH_AVX512 = ELSEWHERE[: ELSEWHERE.index("with warnings")].replace("avx f16c", "avx2 fma avx512f")
USED = """
import os
import repro_keras
import numpy as np
used = np.lib.introspect.opt_func_info("^(exp|sin)$")
current = [loop["current"] for loops in used.values() for loop in loops.values()]
print(json.dumps([os.environ.get("NPY_DISABLE_CPU_FEATURES", ""), " ".join(current)]))
"""


def test_numpy_leaves_avx512_out_under_portable():
    strict = {"PYTHONWARNINGS": "error::ImportWarning"}  # NumPy warns of names it does not know
    switch, used = run_json("-c", WITH_AVX512 + USED, env=strict)
    assert "AVX512_ICL" in switch
    assert "AVX512" not in used.replace("X86_V4", "AVX512")
    own = {"NPY_DISABLE_CPU_FEATURES": "AVX2" if np.__version__ < "2.4" else "X86_V3"}
    switch, used = run_json("-c", WITH_AVX512 + USED, env=own)
    assert switch.startswith(f"{own['NPY_DISABLE_CPU_FEATURES']} ")
    assert "X86_V3" not in used  # NumPy heeds the switch
    assert "AVX2" not in used
    assert run_json("-c", WITH_AVX512 + USED, env={"REPRO_KERAS_GUARANTEE": "machine"})[0] == ""


TOO_EARLY = """
import json, warnings
{first}
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    from repro_keras import repro
    {configure}
import numpy as np
said = [(w.category.__name__, w.filename, w.lineno) for w in caught if "AVX-512" in str(w.message)]
amiss = [text for text in repro.doctor() if "AVX-512" in text]
print(json.dumps([said, len(amiss), np.exp(np.linspace(-9, 9, 999)).tobytes().hex()]))
"""


@pytest.mark.skipif(cpu.beyond_in_numpy() is None, reason="this CPU has no AVX-512")
def test_numpy_imported_too_early_is_warned_of_where_the_cpu_has_avx512():
    def found(first="pass", configure="pass", **env):
        return run_json("-c", TOO_EARLY.format(first=first, configure=configure), env=env)

    here = ["ReproWarning", "<string>", 6]
    early, too_early = found(), found("import numpy")
    assert early[:2] == [[], 0]
    assert too_early[:2] == [[here], 1]
    assert too_early[2] != early[2]  # what it is about
    # As the warning says, it goes: by the switch in the shell, as `repro-keras run` has it, or
    assert found("import numpy", NPY_DISABLE_CPU_FEATURES=cpu.beyond_in_numpy()) == early
    machine = {"REPRO_KERAS_GUARANTEE": "machine"}
    assert found("import numpy", **machine) == [[], 0, too_early[2]]
    later = found("import numpy", "repro.configure(guarantee='portable')", **machine)
    assert later[:2] == [[["ReproWarning", "<string>", 7]], 1]


KERNELS = """
import json, zlib
import numpy as np, scipy.linalg

def found():
    x = np.random.RandomState(0).normal(size=(99, 999))
    return zlib.crc32((x @ x.T).tobytes())

before = found()
from repro_keras import repro
from repro_keras._src import blas
{configure}
doctor = [said for said in repro.doctor() if "AVX-512" not in said]  # where the CPU has it
print(json.dumps([before, found(), list(blas.kernels().values()), doctor]))
"""


def test_numpy_imported_before_chooses_its_kernels_anew():
    code = KERNELS.format(configure="")
    there = {"OPENBLAS_CORETYPE": "Sandybridge"}  # as on a CPU of another make
    before, now, kernels, amiss = run_json("-c", code, env=there)
    assert kernels == ["Haswell"] * 2  # NumPy's OpenBLAS, and SciPy's own
    assert amiss == []
    haswell = run_json("-c", code, env={"OPENBLAS_CORETYPE": "Haswell"})
    assert before != haswell[0]  # the control: the bits hang on it
    assert now == haswell[0] == haswell[1]
    code = KERNELS.format(configure="repro.configure(guarantee='machine')")
    before, now, *_ = run_json("-c", code, env={"OPENBLAS_NUM_THREADS": "1"})
    assert now == before  # with those of this CPU


def test_doctor_says_where_numpy_has_other_kernels():
    change = (
        "import os; os.environ['OPENBLAS_CORETYPE'] = 'Sandybridge'; blas.choose_again()\n"
        "os.environ['OPENBLAS_CORETYPE'] = 'Haswell'"
    )
    *_, kernels, amiss = run_json("-c", KERNELS.format(configure=change))
    assert kernels == ["Sandybridge"] * 2
    assert len(amiss) == 2
    assert all("computes with kernels for Sandybridge, not for Haswell" in said for said in amiss)


def test_the_config_is_frozen_and_errors_are_of_one_family():
    code = """
from repro_keras import repro
try:
    repro.config().seed = 3
except AttributeError:
    pass
for wrong in (lambda: repro.configure(threads=0), lambda: repro.seed_for(""),
              lambda: repro.digest(object()), lambda: repro.scope(3)):
    try:
        wrong()
    except repro.ReproError:
        continue
    raise AssertionError
print(repro.config().seed)
"""
    assert run("-c", code).stdout.strip() == "0"


def test_doctor_says_what_is_amiss():
    code = """
import json, os
import repro_keras as keras
from repro_keras import repro
keras.layers
before = repro.doctor()
import tensorflow as tf
os.environ["OMP_NUM_THREADS"] = "5"
tf.config.threading.set_inter_op_parallelism_threads(4)
import threadpoolctl; threadpoolctl.threadpool_limits(2)
print(json.dumps([before, repro.doctor()]))
"""
    result = run("-c", code)
    import json

    before, after = json.loads(result.stdout.splitlines()[-1])
    assert before == []
    assert len(after) >= 3
    assert any("OMP_NUM_THREADS was changed to '5'" in finding for finding in after)
    assert any("4 inter-op threads" in finding for finding in after)
    assert any("has 2 threads, not 1" in finding for finding in after)
    for text in ("Configuration", "before the first TensorFlow op", "weights: Variable.__init__",
                 "Nothing amiss.", "TF_ENABLE_ONEDNN_OPTS", "tensorflow"):  # fmt: skip
        assert text in result.stdout
    early = run("-c", "from repro_keras import repro; repro.doctor()", hash_seed=None).stdout
    assert "none yet" in early
    assert "Start Python with PYTHONHASHSEED=0" in early
