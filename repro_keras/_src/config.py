"""`ReproConfig`, and putting it in force: at import, as libraries load, and when it is changed."""

import dataclasses
import operator
import os
import random
import sys
import warnings

from repro_keras._src import backends, blas, cpu, hooks, seeding
from repro_keras._src.bits import ROOT_SEED_MAX
from repro_keras._src.errors import ConfigError, ReproWarning, StageError

DEVICES = ("cpu", "gpu")
GUARANTEES = ("machine", "portable")
GUARDS = ("warn", "error", "off")
OFF = os.environ.get("REPRO_KERAS_OFF", "").strip().lower() not in ("", "0", "false")
"""Whether `REPRO_KERAS_OFF` asks for plain Keras: nothing is set, seeded or wrapped then."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReproConfig:
    """The configuration in force, as `repro.config()` returns it.

    Attributes:
        seed: the root seed, from 0 to 2**32 - 1.
        device: `"cpu"` or `"gpu"`.
        threads: size of the intra-op, inter-op, BLAS and OpenMP thread pools. The bits depend on
            it.
        guarantee: `"portable"` or, on CPUs that cannot have it, `"machine"`; `"none"` where
            repro_keras is switched off or runs on an untested Keras.
        python_seed: the seed of `random`; `None` means `seed`.
        numpy_seed: the seed of `numpy.random`; `None` means `seed`.
        backend_seed: the backend's global seed; `None` means `seed`.
        guard: what happens where the user's code draws from the operating system: `"warn"`,
            `"error"` or `"off"`. No bits depend on it.
    """

    seed: int = 0
    device: str = "cpu"
    threads: int = 1
    guarantee: str = "portable"
    python_seed: int | None = None
    numpy_seed: int | None = None
    backend_seed: int | None = None
    guard: str = "warn"

    def seed_of(self, generator: str) -> int:
        """The seed of `"python"`, `"numpy"` or `"backend"`: its own, or the one seed."""
        own = getattr(self, f"{generator}_seed")
        return self.seed if own is None else own


@dataclasses.dataclass(frozen=True)
class Stage:
    """When a setting is read for the last time.

    Attributes:
        settings: the fields of `ReproConfig` that are read then.
        name: what the stage is called in errors.
        module: the module whose import ends it.
        until_started: whether it lasts on, after that import, until the backend's first op.
        why: what reads the settings.
    """

    settings: tuple[str, ...]
    name: str
    module: str
    until_started: bool
    why: str

    def over(self) -> bool:
        if self.module not in sys.modules:
            return False
        return not self.until_started or backends.started()


STAGES = (
    Stage(
        ("guarantee",),
        "before TensorFlow is imported",
        "tensorflow",
        False,
        "TensorFlow's operations are made exact as it is imported, or are not",
    ),
    Stage(
        ("device",),
        "before TensorFlow is imported",
        "tensorflow",
        False,
        "TensorFlow looks for GPUs once",
    ),
    Stage(
        ("threads",),
        "before the first TensorFlow op",
        "tensorflow",
        True,
        "TensorFlow starts its thread pools at its first op and never resizes them",
    ),
    Stage(
        ("seed", "python_seed", "numpy_seed", "backend_seed"),
        "at any time",
        "",
        False,
        "generators can be seeded again; names count afresh from there on",
    ),
    Stage(("guard",), "at any time", "", False, "it is read at each call that is guarded"),
)

BLAS_SWITCHES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)
_GPU_SWITCHES = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES")
_ONEDNN_SWITCHES = ("TF_ENABLE_ONEDNN_OPTS", "ONEDNN_MAX_CPU_ISA")
_NUMPY_SWITCH = "NPY_DISABLE_CPU_FEATURES"

started_before = False
"""Whether the backend was started when repro_keras was imported."""

_config = ReproConfig()
_outside: dict[str, str | None] = {}  # what the environment said before us


def switches(config: ReproConfig) -> dict[str, str | None]:
    """The environment variables that a configuration sets (`None`: removes)."""
    portable = config.guarantee == "portable"
    result: dict[str, str | None] = dict.fromkeys(BLAS_SWITCHES, str(config.threads))
    # TensorFlow's own default for the first depends on the CPU.
    result["TF_ENABLE_ONEDNN_OPTS"] = "1"
    result["ONEDNN_MAX_CPU_ISA"] = "AVX2" if portable else "DEFAULT"
    result["OPENBLAS_CORETYPE"] = blas.KERNELS if portable else None
    features = _outside.get(_NUMPY_SWITCH)
    beyond = cpu.beyond_in_numpy() if portable else None
    result[_NUMPY_SWITCH] = f"{features} {beyond}" if features and beyond else beyond or features
    flags = _outside.get("XLA_FLAGS")
    if portable:  # the last one wins
        flags = f"{flags} {cpu.flags_of_xla()}" if flags else cpu.flags_of_xla()
    result["XLA_FLAGS"] = flags
    for switch in _GPU_SWITCHES:
        result[switch] = "-1" if config.device == "cpu" else _outside.get(switch)
    return result


def config() -> ReproConfig:
    """The frozen `ReproConfig` in force.

    Example:

    >>> repro.config().threads
    1
    """
    return _config


def recorded() -> dict[str, str | int | None]:
    """The settings that bits depend on: what a record and the state of training keep of them."""
    settings = dataclasses.asdict(_config)
    del settings["guard"]
    return settings


_UNSET = object()


def configure(
    *,
    seed=_UNSET,
    device=_UNSET,
    threads=_UNSET,
    guarantee=_UNSET,
    python_seed=_UNSET,
    numpy_seed=_UNSET,
    backend_seed=_UNSET,
    guard=_UNSET,
) -> ReproConfig:
    """Sets the process-wide configuration; what is not given stays as it is.

    Call it right after `import repro_keras`. Giving any seed seeds again: Python's, NumPy's and
    the backend's generators, and names count afresh, as after `keras.utils.set_random_seed`.

    Args:
        seed: the root seed, an integer (Python's or NumPy's) from 0 to 2**32 - 1.
        device: `"cpu"`, or `"gpu"` where there is one.
        threads: size of the intra-op, inter-op, BLAS and OpenMP thread pools, from 1. The bits
            depend on it, so that more than 1 needs `guarantee="machine"`.
        guarantee: `"portable"`, the same bits on every x86-64 CPU with AVX2 and FMA (the default
            there), or `"machine"`, on CPUs of one model (the default elsewhere).
        python_seed: a seed for `random` alone; `None` for the one seed.
        numpy_seed: a seed for `numpy.random` alone; `None` for the one seed.
        backend_seed: a seed for the backend's global generator alone; `None` for the one seed.
        guard: `"warn"`, `"error"` or `"off"`: what happens where a line of yours draws from the
            operating system (docs/doctor.md). No bits depend on it.

    Returns:
        The `ReproConfig` in force from here on.

    Raises:
        ConfigError: where a value is not one of those.
        StageError: where a setting would change and it is too late for it; nothing is changed
            then. It names the stage and the import to move.

    Example:

    ```python
    import repro_keras as keras
    from repro_keras import repro

    repro.configure(seed=7)
    ```
    """
    given = {name: value for name, value in locals().items() if value is not _UNSET}
    new = _checked({**dataclasses.asdict(_config), **given})
    if OFF:
        return _config
    for stage in STAGES:
        changed = [s for s in stage.settings if getattr(new, s) != getattr(_config, s)]
        if changed and stage.over():
            raise StageError(
                f"{changed[0]}={getattr(new, changed[0])!r} comes too late: it must be set "
                f"{stage.name}, because {stage.why}. In force: "
                f"{changed[0]}={getattr(_config, changed[0])!r}. Move `import repro_keras` and "
                f"`repro.configure(...)` above the first use of Keras and above "
                f"`import {stage.module}`, or set REPRO_KERAS_{changed[0].upper()}."
            )
    _put_in_force(new, reseed=any(name.endswith("seed") for name in given), gpu_now=True)
    return _config


def begin() -> None:
    """Puts the environment's configuration in force, at the import of repro_keras."""
    global _config, started_before
    if OFF:
        _config = dataclasses.replace(_config, guarantee="none")
        return
    config = _from_environment()
    _warn_hash_seed()
    for switch in switches(config):
        _outside[switch] = os.environ.get(switch)
    for switch in _ONEDNN_SWITCHES:
        theirs, ours = _outside[switch], switches(config)[switch]
        if theirs is not None and theirs != ours:
            warnings.warn(
                f"The environment says {switch}={theirs}; repro_keras uses {switch}={ours}, so "
                "that the bits do not depend on the shell. Unset it to be rid of this warning.",
                ReproWarning,
                stacklevel=_to_importer(),
            )
    if backends.loaded():  # what can be too late comes first: then nothing is half done
        backends.check_before(config)
        started_before = backends.started()
    _put_in_force(config, reseed=True, gpu_now=False)
    hooks.after_import("numpy", lambda: _apply_numpy(_config, reseed=True))
    # SciPy has a BLAS of its own.
    hooks.after_import("scipy.linalg", lambda: blas.limit(_config.threads))
    hooks.after_import("numpy", _guard)
    hooks.after_import("tensorflow", lambda: _apply_backend(_config, reseed=True))


def environment_outside() -> dict[str, str]:
    """The environment as it was before repro_keras set its switches: for processes of others."""
    result = dict(os.environ)
    for switch, value in _outside.items():
        if value is None:
            result.pop(switch, None)
        else:
            result[switch] = value
    return result


def with_hash_seed(environment: dict[str, str]) -> dict[str, str]:
    """An environment in which sets have the same order in each process."""
    seed = environment.get("PYTHONHASHSEED", "random")
    return {**environment, "PYTHONHASHSEED": seed if seed.isdigit() else "0"}


def root_seed_was_set(seed: int) -> None:
    """`keras.utils.set_random_seed(seed)` was called: it is the root seed from here on."""
    global _config
    _config = dataclasses.replace(
        _config, seed=seed, python_seed=None, numpy_seed=None, backend_seed=None
    )
    seeding.set_root_seed(seed)


def lose_guarantee() -> None:
    """An untested Keras is used on the user's own risk."""
    global _config
    _config = dataclasses.replace(_config, guarantee="none")


def _put_in_force(new: ReproConfig, *, reseed: bool, gpu_now: bool) -> None:
    global _config
    old, _config = _config, new  # in force already for the hooks that run below
    environment = switches(new)
    before = {switch: os.environ.get(switch) for switch in environment}
    _write_environment(environment)
    try:
        if "numpy" in sys.modules:
            _apply_numpy(new, reseed=reseed)
        if backends.loaded():
            _apply_backend(new, reseed=reseed)
        if new.device == "gpu" and gpu_now:
            backends.require_gpu(new)
    except Exception:
        _config = old
        _write_environment(before)
        raise
    if "numpy" in sys.modules and before["OPENBLAS_CORETYPE"] != environment["OPENBLAS_CORETYPE"]:
        blas.choose_again()
    if "numpy" in sys.modules and before[_NUMPY_SWITCH] != environment[_NUMPY_SWITCH]:
        _warn_numpy_too_early()
    if reseed:
        random.seed(new.seed_of("python"))
        seeding.set_root_seed(new.seed)
    _guard()


def _guard() -> None:
    if _config.guard != "off":
        from repro_keras._src import patches

        patches.install_guard()


def _write_environment(values: dict[str, str | None]) -> None:
    for switch, value in values.items():
        if value is None:
            os.environ.pop(switch, None)
        else:
            os.environ[switch] = value


def _apply_numpy(config: ReproConfig, *, reseed: bool) -> None:
    import numpy as np

    if reseed:
        np.random.seed(config.seed_of("numpy"))
    blas.limit(config.threads)


def _apply_backend(config: ReproConfig, *, reseed: bool) -> None:
    backends.apply(config)
    if reseed:
        backends.seed(config.seed_of("backend"))


def _from_environment() -> ReproConfig:
    known = {f"REPRO_KERAS_{field.name.upper()}" for field in dataclasses.fields(ReproConfig)}
    others = {"REPRO_KERAS_OFF", "REPRO_KERAS_UNTESTED"}
    values: dict[str, object] = {}
    for variable, text in os.environ.items():
        if not variable.startswith("REPRO_KERAS_") or variable in others:
            continue
        if variable not in known:
            raise ConfigError(
                f"The environment sets {variable}, which repro_keras does not know. It knows: "
                f"{', '.join(sorted(known | others))}."
            )
        name = variable.removeprefix("REPRO_KERAS_").lower()
        text = text.strip()
        if not text:
            continue
        if name in ("device", "guarantee", "guard"):
            values[name] = text.lower()
        elif text.isascii() and text.isdigit():
            values[name] = int(text)
        else:
            values[name] = text  # refused below, by name
    if "guarantee" not in values and cpu.lacking():
        _warn_no_portable()
        values = {"guarantee": "machine", **values}
    try:
        return _checked({**dataclasses.asdict(ReproConfig()), **values})
    except ConfigError as error:
        said = ", ".join(f"REPRO_KERAS_{name.upper()}={values[name]}" for name in values)
        raise ConfigError(f"{error} (The environment says {said}.)") from None


def _checked(values: dict[str, object]) -> ReproConfig:
    values = dict(values)
    for name in ("seed", "python_seed", "numpy_seed", "backend_seed"):
        if name == "seed" or values[name] is not None:
            values[name] = _integer(name, values[name], 0, ROOT_SEED_MAX)
    values["threads"] = _integer("threads", values["threads"], 1, 1024)
    _one_of("device", values["device"], DEVICES)
    _one_of("guard", values["guard"], GUARDS)
    lost = ("none",) if _config.guarantee == "none" else ()
    _one_of("guarantee", values["guarantee"], GUARANTEES + lost)
    if values["guarantee"] == "portable":
        if values["threads"] != 1:
            raise ConfigError(
                "guarantee='portable' needs threads=1: how a larger pool splits a sum depends on "
                f"its size and on the CPU's caches. Received: threads={values['threads']}. Use "
                "threads=1, or ask for guarantee='machine' with it (REPRO_KERAS_GUARANTEE=machine),"
                " whose bits depend on threads and hold on CPUs of one model."
            )
        if values["device"] != "cpu":
            raise ConfigError(
                "guarantee='portable' holds on CPUs only. Received: "
                f"device={values['device']!r}. Use device='cpu', or ask for guarantee='machine' "
                "with it (REPRO_KERAS_GUARANTEE=machine)."
            )
        if cpu.lacking():
            raise ConfigError(
                "guarantee='portable' needs an x86-64 CPU with AVX2 and FMA; this one lacks "
                f"{' and '.join(cpu.lacking())}. Use guarantee='machine'."
            )
    if lost:
        values["guarantee"] = "none"
    return ReproConfig(**values)  # type: ignore[arg-type]


def _integer(name: str, value: object, low: int, high: int) -> int:
    try:
        if isinstance(value, bool):
            raise TypeError
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        number = None
    if number is None or not low <= number <= high:
        raise ConfigError(
            f"{name} must be an integer from {low} to {high}. Received: {name}={value!r} "
            f"(of type {type(value).__name__})"
        )
    return number


def _one_of(name: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ConfigError(
            f"{name} must be one of {', '.join(map(repr, choices))}. Received: {name}={value!r} "
            f"(of type {type(value).__name__})"
        )


def _is_command() -> bool:
    """Whether this process runs `repro-keras`, which runs scripts in processes of their own."""
    by_name = os.path.basename(sys.argv[0]).removesuffix(".exe") == "repro-keras"
    return by_name or ("-m", "repro_keras") in zip(sys.orig_argv, sys.orig_argv[1:], strict=False)


def _warn_hash_seed() -> None:
    if _is_command():
        return
    if sys.flags.hash_randomization and os.environ.get("PYTHONHASHSEED", "random") == "random":
        warnings.warn(
            "PYTHONHASHSEED is random, and a running process cannot set it. Nothing of "
            "repro_keras depends on it, but a loop over a set of strings in your own code does. "
            "Start Python with PYTHONHASHSEED=0 to be sure.",
            ReproWarning,
            stacklevel=_to_importer(),
        )


def _warn_no_portable() -> None:
    if _is_command():
        return
    warnings.warn(
        "The guarantee is 'machine' here, the same bits on CPUs of one model: 'portable' needs an "
        f"x86-64 CPU with AVX2 and FMA, and this one lacks {' and '.join(cpu.lacking())}. Set "
        "REPRO_KERAS_GUARANTEE=machine to be rid of this warning.",
        ReproWarning,
        stacklevel=_to_importer(),
    )


def _warn_numpy_too_early() -> None:
    said = cpu.beyond_in_loaded_numpy() if _config.guarantee == "portable" else None
    if said is not None:
        warnings.warn(
            f"{said} Or set REPRO_KERAS_GUARANTEE=machine.",
            ReproWarning,
            stacklevel=_to_importer(),
        )


def _to_importer() -> int:
    """The stack level, for `warnings.warn`, of the line outside that led here."""
    level, frame = 1, sys._getframe(1)
    while frame is not None:
        name = frame.f_globals.get("__name__", "")
        if not name.startswith("importlib."):  # `warnings` does not count those
            if not name.startswith("repro_keras"):
                return level
            level += 1
        frame = frame.f_back
    return 1
