"""Why two runs differ: what their records say that may be the cause, the likeliest first."""

import dataclasses
import difflib
import re
from collections.abc import Callable

from repro_keras._src import record
from repro_keras._src.comparing import compare
from repro_keras._src.comparing.compare import in_both, versions
from repro_keras._src.comparing.trails import Difference, changed
from repro_keras._src.words import listed, shell, short


@dataclasses.dataclass(frozen=True)
class Cause:
    """Something that may be why two runs differ.

    Attributes:
        what: what it is, in a word.
        evidence: what the records say of it.
        excluded: why it cannot matter, by the guarantee; `None` where it may.
    """

    what: str
    evidence: str
    excluded: str | None = None


def likely(
    recorded: record.Statement, now: record.Statement, verdict: compare.Verdict
) -> list[Cause]:
    """What may be why two runs came to something else, the likeliest first.

    Only what is in the records, and cannot be ruled out by them, is named: versions of packages
    that neither run loaded, the number of cores, and data of a `fit` after the first difference
    are not. Where they hold nothing, that is said.

    Args:
        recorded: the first record.
        now: the second.
        verdict: what comparing them came to.

    Returns:
        The causes; none where nothing that came out differs.
    """
    if not verdict.different:
        return []
    then, here = recorded.predicate, now.predicate
    difference = verdict.difference
    found = {}
    for kind, evidence_of in _KINDS.items():
        evidence = evidence_of(then, here, difference)
        if evidence:
            excluded = _excluded(then, here) if kind == "CPU" else None
            found[kind] = Cause(kind, evidence, excluded)
    causes = [found[kind] for kind in _order(difference) if kind in found]
    if all(cause.excluded or cause.what in _CONSEQUENCES for cause in causes):
        causes.append(Cause("unknown", _unknown(recorded, now, difference)))
    return sorted(causes, key=lambda cause: cause.excluded is not None)


_CONSEQUENCES = ("arrays", "draws")
"""What differs because of something else, that the records may not hold."""

_ARITHMETIC = ("configuration", "switches", "versions", "CPU")


def _order(difference: Difference | None) -> list[str]:
    """The kinds of causes, the likeliest first, for what differs first."""
    kinds = list(_KINDS)
    if difference is not None and (difference.small or difference.kind == "state"):
        # Other arithmetic: other data or seeds move a loss by more than that.
        return sorted(kinds, key=lambda kind: kind not in _ARITHMETIC)
    if difference is not None and difference.kind == "batch":
        # That another batch came is known; what the records hold besides may be why it did.
        return sorted(kinds, key=lambda kind: kind == "arrays")
    if difference is not None and difference.step == 0:
        # Initial weights are made before any data is seen: of a seed, a name and a shape.
        return sorted(kinds, key=lambda kind: kind in ("data", "arrays", "draws"))
    return kinds


# What the records say. Each takes the two runs and the first difference.


def _command(then: record.Run, here: record.Run, _) -> str:
    one, other = then.code, here.code
    if (one.kind, one.target) != (other.kind, other.target):
        return f"the {one.kind} {one.target} and the {other.kind} {other.target}"
    if one.arguments != other.arguments:
        return f"arguments {_words(one.arguments)} and {_words(other.arguments)}"
    return f"folder {one.folder} and {other.folder}" if one.folder != other.folder else ""


def _words(arguments: list[str]) -> str:
    return f"`{shell(arguments)}`" if arguments else "none"


def _code(then: record.Run, here: record.Run, _) -> str:
    one, other = in_both(then, here, lambda run: {f.path: f.sha256 for f in run.code.files})
    said = _which(one, other)
    commits = [run.code.git.commit[:12] for run in (then, here) if run.code.git is not None]
    if said and len(set(commits)) == 2:
        said += f" (git commits {' and '.join(commits)})"
    return said


def _which(one: dict, other: dict) -> str:
    """Which of the things that two runs have differ, and which only one has."""
    differ = [key for key in changed(one, other) if key in one and key in other]
    said = [f"{listed(differ)} {'differs' if len(differ) == 1 else 'differ'}"] if differ else []
    for names, which in ((one.keys() - other, "first run"), (other.keys() - one, "second run")):
        if names:
            said.append(f"{listed(sorted(names))} only in the {which}")
    return "; ".join(said)


def _pairs(one: dict, other: dict) -> str:
    """What differs, with both values."""
    keys = changed(one, other)
    return listed([f"{key} {short(one.get(key))} and {short(other.get(key))}" for key in keys])


_SEEDS = ("seed", "python_seed", "numpy_seed", "backend_seed")


def _seed(then: record.Run, here: record.Run, _) -> str:
    return _pairs(*({n: run.configuration.get(n) for n in _SEEDS} for run in (then, here)))


def _configuration(then: record.Run, here: record.Run, _) -> str:
    def settings(run: record.Run) -> dict:
        return {n: value for n, value in run.configuration.items() if n not in _SEEDS}

    return _pairs(settings(then), settings(here))


def _files(then: record.Run, here: record.Run, _) -> str:
    return _which(*in_both(then, here, lambda run: {f.path: f.sha256 for f in run.read}))


def _arrays(then: record.Run, here: record.Run, difference: Difference | None) -> str:
    def digests(run: record.Run) -> dict:
        before = {record.name_of_data(d) for d in run.data if _is_before(d, difference)}
        return {name: digest for name, digest in compare.handed(run).items() if name in before}

    if difference is not None and difference.kind == "batch":
        return f"another batch: {difference.where}"
    return _which(*in_both(then, here, digests))


def _draws(then: record.Run, here: record.Run, difference: Difference | None) -> str:
    one, other = compare.draws(then, here)
    last = None if difference is None else difference.fit
    names = [n for n in changed(one, other) if last is None or int(n.split()[-1]) <= last + 1]
    return f"in another state: {listed(names)}" if names else ""


def _is_before(data: record.Data, difference: Difference | None) -> bool:
    """Whether it was handed over before the first difference, as far as that can be told."""
    if difference is None or difference.fit is None:
        return True
    fit = re.match(r"fit (\d+)", data.call)
    return fit is not None and int(fit[1]) <= difference.fit


def _versions(then: record.Run, here: record.Run, _) -> str:
    return _pairs(*versions(then, here))


def _cpu(then: record.Run, here: record.Run, _) -> str:
    a, b = then.machine, here.machine
    said = [
        f"{one} and {other}"
        for one, other in ((a.system, b.system), (a.model, b.model))
        if one != other
    ]
    sets = sorted(set(a.instruction_sets) ^ set(b.instruction_sets))
    if sets:
        said.append(f"only one has the instruction sets {listed(sets)}")
    if a.caches != b.caches:
        said.append(f"caches: {_pairs(a.caches, b.caches)}")
    return "; ".join(said)


def _excluded(then: record.Run, here: record.Run) -> str | None:
    portable = all(r.configuration.get("guarantee") == "portable" for r in (then, here))
    if portable and then.machine.system == here.machine.system:
        return "under `portable` it should not matter"
    return None


def _switches(then: record.Run, here: record.Run, _) -> str:
    def switches(run: record.Run) -> dict:
        return {
            name: value
            for name, value in run.environment.items()
            if name != _HASH_SEED
            and name.removeprefix("REPRO_KERAS_").lower() not in run.configuration  # there already
        }

    return _pairs(switches(then), switches(here))


_HASH_SEED = "PYTHONHASHSEED"


def _hash_seed(then: record.Run, here: record.Run, _) -> str:
    return _pairs(*({_HASH_SEED: run.environment.get(_HASH_SEED)} for run in (then, here)))


def _resumed(then: record.Run, here: record.Run, difference: Difference | None) -> str:
    if (then.parent, then.resumed) == (here.parent, here.resumed):
        return ""
    steps = [run.resumed for run in (then, here) if run.resumed is not None]
    if difference is not None and difference.step <= min(steps, default=0):
        return ""  # it differs before
    return "went on after step " + " and ".join(
        str(run.resumed) if run.resumed is not None else "none" for run in (then, here)
    )


_KINDS: dict[str, Callable[[record.Run, record.Run, Difference | None], str]] = {
    "command": _command,
    "code": _code,
    "seed": _seed,
    "data": _files,
    "arrays": _arrays,
    "draws": _draws,
    "configuration": _configuration,
    "switches": _switches,
    "versions": _versions,
    "CPU": _cpu,
    "resuming": _resumed,
    "hash seed": _hash_seed,
}
"""What may be the cause, the likeliest first where nothing speaks for another order."""

NAMES = {
    "command": "The command",
    "code": "The code",
    "seed": "The seed",
    "data": "The data that was read",
    "arrays": "The data that was handed over",
    "draws": "Draws from global generators",
    "configuration": "The configuration",
    "switches": "Environment variables",
    "versions": "Versions",
    "CPU": "The CPU",
    "resuming": "Resuming",
    "hash seed": "The order of sets",
    "unknown": "Something that the records do not hold",
}


def _unknown(
    recorded: record.Statement, now: record.Statement, difference: Difference | None
) -> str:
    """What is left where the records hold no cause, and how to look for it."""
    then, here = recorded.predicate, now.predicate
    said = [f"nothing that they hold differs before {_place(difference)}"]
    if then.ended and here.ended:
        one, other = (record.subjects(statement) for statement in (recorded, now))
        if one.get("generators") and other.get("generators"):
            if one["generators"] == other["generators"]:
                said.append("the global generators ended in the same state")
            else:
                said.append("the global generators ended in other states: something drew more")
    unseen = sorted({name for run in (then, here) for name in _not_seen(run)})
    if unseen:
        said.append(f"{listed(unseen)} could not be digested")
    script = f" {then.code.target}" if then.code.kind != "module" else ""
    return (
        "; ".join(said)
        + ". It may be a generator of its own without a seed, the time, the order of the "
        "files in a folder, another thread, or a file that only TensorFlow or HDF5 opened: "
        f"`repro-keras doctor{script}` looks for these"
    )


def _not_seen(run: record.Run) -> list[str]:
    """The data of which the record has neither a digest nor the batches."""
    by_batch = {f"fit {segment.fit}" for segment in run.trail if segment.steps.batch}
    return [
        record.name_of_data(data)
        for data in run.data
        if not data.digest and (data.call not in by_batch or data.argument == "validation_data")
    ]


def _place(difference: Difference | None) -> str:
    if difference is None:
        return "the end of the trail"
    if difference.kind == "initial weights":
        return difference.where.removeprefix("Before ")
    return f"step {difference.step}"


# Lines


def changed_lines(contents: dict[str, tuple[bytes, bytes]]) -> list[str]:
    """The lines in which files of two runs differ.

    Args:
        contents: by its path, a file of the first run and of the second.

    Returns:
        For each file its path, and the lines: those after `-` are in the first only, those after
        `+` in the second. Of what is no text, that it differs.
    """
    found = []
    for path, pair in contents.items():
        if pair[0] == pair[1]:
            continue
        try:
            one, other = (content.decode().splitlines() for content in pair)
        except UnicodeDecodeError:
            found.append(f"{path}: no text")
            continue
        lines = list(difflib.unified_diff(one, other, n=0, lineterm=""))
        found += [f"{path}, line {_line(lines)}:", *(x for x in lines[2:] if x[:2] != "@@")]
    return found


def _line(lines: list[str]) -> str:
    """The number of the first line that differs, of a unified diff."""
    found = re.search(r"\+(\d+)", next((line for line in lines if line.startswith("@@")), ""))
    return found[1] if found else "?"


def code_lines(
    difference: bytes | None,
    recorded: record.Statement,
    other_difference: bytes | None,
    now: record.Statement,
) -> list[str]:
    """The lines in which the code of two runs of one git commit differs.

    They are those in which what `git diff HEAD` said of that code differs: a line of it after `-`
    is in the first only, after `+` in the second.

    Args:
        difference: what it said before the first run; `None` where that is not kept.
        recorded: the first record.
        other_difference: what it said before the second run.
        now: the second record.

    Returns:
        The lines; empty where the commits are others, or what was kept is not there any more.
    """
    one, other = ({f.path: f.sha256 for f in s.predicate.code.files} for s in (recorded, now))
    files = changed(one, other)
    git, other_git = recorded.predicate.code.git, now.predicate.code.git
    if not files or git is None or other_git is None or git.commit != other_git.commit:
        return []
    lines, others = _diff_of(difference, git, files), _diff_of(other_difference, other_git, files)
    if lines is None or others is None:
        return []
    found = list(difflib.unified_diff(lines, others, n=0, lineterm=""))
    return [line for line in found[2:] if not line.startswith("@@")]


def _diff_of(content: bytes | None, git: record.Git, files: list[str]) -> list[str] | None:
    """What `git diff HEAD` took away from files and added; `None` where it is not known."""
    if git.diff is None:
        return []
    if content is None:
        return None
    found, wanted = [], False
    for line in content.decode(errors="replace").splitlines():
        if line.startswith("diff --git "):
            wanted = line.endswith(tuple(f"/{file}" for file in files))
        if wanted and line.startswith(("+", "-")) and not line.startswith(("+++ ", "--- ")):
            found.append(line)
    return found
