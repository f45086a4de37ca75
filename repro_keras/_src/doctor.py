"""What in this process is not reproducible, and the fix."""

import dataclasses
import importlib.metadata
import os
import sys

from repro_keras._src import backends, blas, config, cpu, guard, patches


def doctor() -> list[str]:
    """Prints the configuration, stages, patch table, and what is amiss in this process.

    Nothing is loaded for it: what it says of NumPy, Keras and the backend holds for as far as
    they are loaded. Of the models that were trained, or predicted, it names the operations that
    were not compared on other makes of CPU.

    Returns:
        What is amiss, a sentence each with the fix; empty where nothing is.

    Example:

    ```python
    repro.doctor()
    ```
    """
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    amiss = findings()

    table = Table(title="Configuration", title_justify="left")
    table.add_column("setting")
    table.add_column("value")
    table.add_column("can be changed")
    stages = {name: stage for stage in config.STAGES for name in stage.settings}
    for field in dataclasses.fields(config.ReproConfig):
        value = getattr(config.config(), field.name)
        stage = stages[field.name]
        when = f"{stage.name} — too late now" if stage.over() else stage.name
        table.add_row(field.name, "as seed" if value is None else str(value), when)
    console.print(table)

    table = Table(title="Environment switches", title_justify="left")
    table.add_column("switch")
    table.add_column("value")
    for switch in sorted(config.switches(config.config())):
        table.add_row(switch, os.environ.get(switch, "(unset)"))
    console.print(table)

    table = Table(title="Packages", title_justify="left")
    table.add_column("package")
    table.add_column("version")
    table.add_column("loaded")
    for package in ("repro_keras", "keras", "tensorflow", "numpy", "h5py"):
        loaded = "yes" if package in sys.modules else "no"
        table.add_row(package, _version(package), loaded)
    console.print(table)

    table = Table(
        title=f"Patches (tested on Keras {patches.TESTED[0]} to {patches.TESTED[1]})",
        title_justify="left",
    )
    table.add_column("patch", overflow="fold")
    table.add_column("why")
    for row in patches.installed:
        table.add_row(row.name, row.why + (f" ({row.issue})" if row.issue else ""))
    if patches.installed:
        console.print(table)
    if "keras" not in sys.modules and not config.OFF:
        console.print("Patches of Keras: none yet; they are put in place when it is loaded.")

    if amiss:
        console.print("Amiss:")
        for finding in amiss:
            console.print(f"  • {finding}", soft_wrap=True, markup=False)
    else:
        console.print("Nothing amiss.")
    return amiss


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def findings() -> list[str]:
    """What is amiss in this process, as `doctor` says it, without printing."""
    if config.OFF:
        return ["REPRO_KERAS_OFF is set: this is plain Keras. Unset it."]
    found = []
    if sys.flags.hash_randomization and os.environ.get("PYTHONHASHSEED", "random") == "random":
        found.append(
            "PYTHONHASHSEED is random: loops over sets of strings in your code differ from run "
            "to run. Start Python with PYTHONHASHSEED=0."
        )
    for switch, value in sorted(config.switches(config.config()).items()):
        if os.environ.get(switch) != value:
            found.append(
                f"{switch} was changed to {os.environ.get(switch)!r} after repro_keras set it to "
                f"{value!r}. Remove that line."
            )
    if config.config().guarantee == "none":
        found.append(
            "This Keras is untested (REPRO_KERAS_UNTESTED=1): nothing is guaranteed. Install "
            f"Keras {patches.TESTED[0]} to {patches.TESTED[1]}."
        )
    if patches.left_out:
        found.append(f"Patches left out: {', '.join(sorted(patches.left_out))}.")
    found += [f"{file}, line {line}: {said}" for (file, line), said in guard.caught.items()]
    found += backends.amiss(config.config())
    return found + _large_pools() + _other_kernels() + _beyond_avx2() + _not_compared()


def _large_pools() -> list[str]:
    if "numpy" not in sys.modules:
        return []
    import threadpoolctl

    threads = config.config().threads
    return [
        f"The {pool['internal_api']} thread pool of {os.path.basename(pool['filepath'])} has "
        f"{pool['num_threads']} threads, not {threads}: it was loaded before repro_keras or "
        "resized. Move `import repro_keras` to the top of the script."
        for pool in threadpoolctl.threadpool_info()
        if pool["num_threads"] != threads
    ]


def _other_kernels() -> list[str]:
    if "numpy" not in sys.modules or config.config().guarantee != "portable":
        return []
    return [
        f"{library} computes with kernels for {kernels}, not for {blas.KERNELS} as on every make "
        "of CPU: it was loaded before repro_keras. Move `import repro_keras` to the top of the "
        "script."
        for library, kernels in blas.kernels().items()
        if kernels != blas.KERNELS
    ]


def _beyond_avx2() -> list[str]:
    if config.config().guarantee != "portable":
        return []
    said = cpu.beyond_in_loaded_numpy()
    return [] if said is None else [said]


def _not_compared() -> list[str]:
    if "keras" not in sys.modules or config.config().guarantee != "portable":
        return []
    from repro_keras._src import compared

    return compared.findings()
