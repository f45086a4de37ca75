"""The page: one file without scripts, which loads nothing, the same bytes for the same records."""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from repro_keras._src import atomic, record
from repro_keras._src.comparing import causes, compare, saying
from repro_keras._src.comparing.causes import Cause
from repro_keras._src.report import figures, sides
from repro_keras._src.report.figures import LETTERS, Mark
from repro_keras._src.report.pictures import WIDTH, text
from repro_keras._src.report.sides import Sides
from repro_keras._src.report.style import STYLE
from repro_keras._src.words import listed, number, short

_MOST = 200
_SIGNS = {True: ("yes", "✓"), False: ("no", "≠"), None: ("open", "?")}
_WORDS = {True: "yes", False: "no", None: "?"}


def write(path: str | os.PathLike, *statements: record.Statement) -> compare.Verdict | None:
    """Writes the page of a run, or of two, whole or not at all.

    Args:
        path: where to.
        statements: one record or two.

    Returns:
        What comparing the two came to; `None` of one.

    Raises:
        SaveError: where it cannot be written.
    """
    verdict = compare.compare(statements[0], statements[1]) if len(statements) == 2 else None
    content = page(statements, verdict).encode()
    with atomic.replacing(path) as place:
        Path(place).write_bytes(content)
    return verdict


def page(statements: Sequence[record.Statement], verdict: compare.Verdict | None = None) -> str:
    """The page of one record; of two with what comparing them came to.

    Nothing but the records is on it, so that the same records make the same page.
    """
    runs = [statement.predicate for statement in statements]
    commands = [compare.command_of(statement) for statement in statements]
    title = commands[0] if len(set(commands)) == 1 else " and ".join(commands)
    found = sides.beside(runs)
    if verdict is None:
        top = _one_run(statements[0], found)
        end = _section("Code and data", _given(runs[0]))
        end += _section("What came out", _digests(record.subjects(statements[0]).items()))
    else:
        likely = causes.likely(statements[0], statements[1], verdict)
        top = _verdict(statements, verdict, found)
        top += _section("Likely causes", _causes(likely)) if likely else ""
        top += _section("What was compared", _rows(verdict))
        end = ""
    body = (
        f"<h1>{text(title, 500)}</h1>{top}"
        + _section("Losses", _losses(runs, found, verdict))
        + _section("Layers and metrics", _maps(runs))
        + _section("Environment", _environment(runs))
        + end
        + "<footer>Made by <code>repro-keras report</code> from "
        + ("the record" if verdict is None else "two records")
        + " alone; docs/record.md says what a record holds.</footer>"
    )
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>{text(title)}: repro-keras report</title><style>{STYLE}</style></head>\n"
        f"<body><main>{body}</main></body></html>\n"
    )


def _section(title: str, content: str) -> str:
    return f"\n<section><h2>{title}</h2>{content}</section>" if content else ""


# What it came to


def _one_run(statement: record.Statement, found: Sides) -> str:
    run = statement.predicate
    steps = sum(len(segment.steps.loss) for segment in run.trail)
    known = [loss for loss in found.losses[0] if loss is not None]
    loss = f", last loss {known[-1]:.9g} (<code>{known[-1].hex()}</code>)" if known else ""
    lost = f", and {found.lost[0]:,} that went by unseen" if found.lost[0] else ""
    return (
        f'<div class="verdict {"yes" if run.status == "finished" else ""}">'
        f"<strong>{_outcome(run)}</strong>"
        f"<p>{steps:,} steps{lost}{loss}. Nothing is compared: this is one run.</p>"
        f'<p class="soft">{_identity(statement)}</p></div>'
    )


def _outcome(run: record.Run) -> str:
    said = run.status.capitalize() + (f" ({run.error})" if run.error else "")
    said += f", exit code {run.exit_code}" if run.exit_code else ""
    return text(said + ", cut off" * run.cut_off)


def _identity(statement: record.Statement) -> str:
    """By what a record is known, wherever it lies."""
    git = statement.predicate.code.git
    commit = "" if git is None else f", git commit {git.commit[:12]}{', changed' * bool(git.diff)}"
    return f"Record <code>{statement.predicate.seal[:12]}</code>{text(commit)}."


def _verdict(statements: Sequence[record.Statement], verdict: compare.Verdict, found: Sides) -> str:
    kind, sign = _SIGNS[verdict.same]
    said = [f"<p>{text(line, 1000)}</p>" for line in saying.reasons(verdict, saying.IN_TWO)]
    apart = _apart(verdict, found)
    if apart:
        said.insert(1, f"<p>The two losses are {apart}.</p>")
    for letter, statement in zip(LETTERS, statements, strict=True):
        run = statement.predicate
        if not run.ended:
            how = "cut off" if run.cut_off else run.status
            said.append(f"<p>{letter} was {how}: it is compared as far as it came.</p>")
    several = any(row.what == "command" for row in verdict.rows)
    for letter, statement in zip(LETTERS, statements, strict=True):
        code = f"<code>{text(compare.command_of(statement), 500)}</code>. " if several else ""
        said.append(
            f'<p class="soft">{letter}: {code}{_outcome(statement.predicate)}. '
            f"{_identity(statement)}</p>"
        )
    word = saying.VERDICTS[verdict.same].capitalize()
    return (
        f'<div class="verdict {kind}"><strong><span aria-hidden="true">{sign}</span> {word}'
        f"</strong>{''.join(said)}</div>"
    )


def _apart(verdict: compare.Verdict, found: Sides) -> str:
    """How far the losses of the first difference are apart, where it is one of losses."""
    difference = verdict.difference
    if difference is None or difference.kind != "step" or difference.what != "the loss":
        return ""
    ulps = found.distances.get(difference.step - 1)
    return "" if ulps is None else f"{_ulps(ulps)} of {found.unit} apart"


def _ulps(count: int) -> str:
    return f"{count:,} {'unit' if count == 1 else 'units'} in the last place (ulp)"


def _causes(found: list[Cause]) -> str:
    rows = [
        (
            str(place),
            f"{causes.NAMES[cause.what]}" + f" ({text(cause.excluded)})" * bool(cause.excluded),
            text(cause.evidence, 1000),
        )
        for place, cause in enumerate(found, 1)
    ]
    note = "The likeliest first, by a rule of thumb; the evidence is from the records."
    return f"<p class=soft>{note}</p>" + _table(("", "what", "what the records say"), rows)


def _rows(verdict: compare.Verdict) -> str:
    rows = []
    for row in verdict.rows:
        same = "no (not judged)" if row.same is False and not row.judged else row.same
        rows.append((text(row.what), text(row.recorded), text(row.now), same))
    return _table(("", "A", "B", "same"), rows)


# Losses


def _losses(runs: list[record.Run], found: Sides, verdict: compare.Verdict | None) -> str:
    if not found.length:
        return "<p>No step is on the record.</p>"
    mark = None
    difference = None if verdict is None else verdict.difference
    if difference is not None:
        after = difference.kind in ("metric", "layer", "trail")
        place = min(max(0.0, difference.step - (0.0 if after else 0.5)), float(found.length))
        where = f"{'after ' * after}step {difference.step}" if difference.step else "before step 1"
        mark = Mark(place, f"first difference: {where}")
    said = figures.losses(found, mark)
    if verdict is not None:
        said += figures.distances(found, mark) + figures.steps(found)
    if found.length > WIDTH:
        said += (
            f'<p class="soft">There are {found.length:,} steps: of each of {WIDTH} columns, the '
            "lowest and the highest loss are drawn, and a column of the strips is different where "
            "one of its steps is.</p>"
        )
    if len(runs) == 2 and [len(s.steps.loss) for s in runs[0].trail] != [
        len(s.steps.loss) for s in runs[1].trail
    ]:
        said += (
            '<p class="soft">The runs have other numbers of steps: their parts are laid side by '
            "side, and what only one has is not compared.</p>"
        )
    return said + _parts(runs, found, mark)


def _parts(runs: list[record.Run], found: Sides, mark: Mark | None) -> str:
    """The parts of the trail, as numbers: what the pictures say, for who does not see them."""
    count = len(found.starts)
    chosen = set(range(count))
    if count > _MOST:
        chosen = {*range(_MOST // 2), *range(count - _MOST // 2, count)}
        if mark is not None:
            chosen.add(max(n for n, start in enumerate(found.starts) if start <= mark.place))
    rows, before = [], -1
    for part in sorted(chosen):
        if part > before + 1:
            rows.append((f"({part - before - 1:,} more)",))
        rows.append(_part(part, runs, found))
        before = part
    heads = ["part", "steps", "first loss", "last loss", "metrics"]
    if len(runs) == 2:
        heads = ["part", "steps", "last loss of A", "of B", "furthest apart", "same steps"]
    return (
        f"<details><summary>As numbers: {count:,} part{'s' * (count != 1)} of the trail</summary>"
        f"{_table(heads, rows)}</details>"
    )


def _part(part: int, runs: list[record.Run], found: Sides) -> tuple[str, ...]:
    begin = found.starts[part]
    end = found.starts[part + 1] if part + 1 < len(found.starts) else found.length
    segments = [run.trail[part] for run in runs if part < len(run.trail)]
    name = text(record.name_of(segments[0], part) + ", cut off" * (not segments[0].complete))
    known = [[x for x in side[begin:end] if x is not None] for side in found.losses]
    if len(runs) == 1:
        metrics = [f"{k} {number(v).partition(' ')[0]}" for k, v in segments[0].metrics.items()]
        ends = (f"{known[0][0]:.9g}", f"{known[0][-1]:.9g}") if known[0] else ("", "")
        return name, str(end - begin), *ends, text(listed(metrics, 8))
    last = [f"{side[-1]:.9g}" if side else "" for side in known]
    apart = [n for n in map(found.distances.get, range(begin, end)) if n is not None]
    same = found.equal[begin:end].count(True)
    return name, str(end - begin), *last, f"{max(apart):,} ulp" if apart else "", str(same)


def _maps(runs: list[record.Run]) -> str:
    names = sides.names_of(runs)
    layers, alone = sides.layers(runs), len(runs) == 1
    said = figures.layers(layers, names, "Layers by epoch", alone=alone)
    if not alone:
        said += figures.layers(sides.metrics(runs), names, "Metrics by epoch")
    if not said:
        return ""
    note = (
        "Of layers a record has digests only, from before the first step and from the end of each "
        "epoch or save: whether they are the same, and not how far apart they are."
    )
    return f'<p class="soft">{note}</p>{said}'


# What was given, and what came out


_FIRST = ("keras", "tensorflow", "numpy")


def _environment(runs: list[record.Run]) -> str:
    said = _facts([_machine(run) for run in runs])
    said += _titled("Configuration", _facts([_said(run.configuration) for run in runs]))
    said += _titled("Environment variables", _facts([_said(run.environment) for run in runs]))
    packages = [
        {n: run.software.packages.get(n) or "?" for n in run.software.loaded if n not in _FIRST}
        for run in runs
    ]
    names = {name for side in packages for name in side}
    if names:
        said += (
            f"<details><summary>{len(names)} more packages that were loaded</summary>"
            f"{_facts(packages)}</details>"
        )
    return said


def _machine(run: record.Run) -> dict[str, str]:
    software, machine = run.software, run.machine
    return _said(
        {
            "Python": software.python,
            **{name: software.packages.get(name) for name in _FIRST},
            "system": machine.system,
            "CPU": f"{machine.model} ({machine.architecture}), {machine.cores} cores",
            "instruction sets": ", ".join(machine.instruction_sets),
            "caches": ", ".join(f"{name} {size}" for name, size in machine.caches.items()),
        }
    )


def _said(facts: Mapping[str, object]) -> dict[str, str]:
    return {name: str(value) for name, value in facts.items() if value not in (None, "")}


def _titled(title: str, content: str) -> str:
    return f"<h3>{title}</h3>{content}" if content else ""


def _facts(found: list[dict[str, str]]) -> str:
    rows: list[tuple] = []
    names = list(dict.fromkeys(name for side in found for name in side))
    if not names:
        return ""
    if len(found) == 2:
        names.sort(key=lambda name: found[0].get(name) == found[1].get(name))
    for name in names[:_MOST]:
        values = [side.get(name, "") for side in found]
        if len(values) == 1:
            rows.append((text(name), text(values[0], 1000)))
        else:
            same = values[0] == values[1]
            other = "the same" if same else text(values[1] or "none", 1000)
            rows.append((text(name), text(values[0] or "none", 1000), other, same))
    if len(names) > _MOST:
        rows.append((f"({len(names) - _MOST:,} more)",))
    return _table(("", "A", "B", "same") if len(found) == 2 else ("", ""), rows)


def _given(run: record.Run) -> str:
    found = [(file.path, file.sha256) for file in (*run.code.files, *run.read)]
    by_batch = any(segment.steps.batch for segment in run.trail)
    for item in run.data:
        of_fit = item.call.startswith("fit ") and item.argument != "validation_data"
        other = "by its batches, in the trail" if of_fit and by_batch else "no digest"
        found.append((record.name_of_data(item), item.digest or other))
    return _digests(found) if found else ""


def _digests(found: Iterable[tuple[str, str]]) -> str:
    every = list(found)
    rows = [(text(name), f"<code>{text(short(value))}</code>") for name, value in every[:_MOST]]
    if len(every) > _MOST:
        rows.append((f"({len(every) - _MOST:,} more)", ""))
    return _table(("", "SHA-256, its beginning"), rows)


def _table(heads: Sequence[str], rows: Iterable[tuple]) -> str:
    """A table of HTML that is escaped already; `True`, `False` and `None` say the same or not."""
    head = "".join(f'<th scope="col">{name}</th>' for name in heads)
    lines = []
    for row in rows:
        cells = [f'<th scope="row">{row[0]}</th>']
        for value in row[1:]:
            kind = ""
            if not isinstance(value, str):
                kind, value = f' class="{_SIGNS[value][0]}"', _WORDS[value]
            cells.append(f"<td{kind}>{value}</td>")
        cells += ["<td></td>"] * (len(heads) - len(cells))
        lines.append(f"<tr>{''.join(cells)}</tr>")
    header = f"<thead><tr>{head}</tr></thead>" if any(heads) else ""
    # One that may be wider than a phone can be scrolled with the keyboard too.
    scrolls = ' tabindex="0" role="region" aria-label="table"' if len(heads) > 4 else ""
    body = "".join(lines)
    return f'<div class="wide"{scrolls}><table>{header}<tbody>{body}</tbody></table></div>'
