"""What a cell is called: the name that it was given, or one that its text makes."""

import hashlib
import re

_GIVEN = re.compile(r"%%repro[ \t]+(\S.*?)\s*$")
_COMMENT = re.compile(r"(^|\s)#.*")


def given_name(text: str) -> str | None:
    """The name after `%%repro` on a cell's first line; `None` where there is none.

    >>> given_name("%%repro net\\nbuild()"), given_name("build()")
    ('net', None)
    """
    found = _GIVEN.match(text.lstrip().partition("\n")[0])
    return found[1] if found else None


def name_of(text: str) -> str:
    """The name that a cell's text makes; docs/bits.md has the rule, and it can never change.

    Comments, blank lines, what is at the ends of lines, and magics that take the whole cell
    (`%%time`) make no other name. Where a string has a ` #` in it, what follows counts for as
    little as a comment.

    >>> name_of("a = 1") == name_of("%%time\\n# a comment\\n\\na = 1  # and another")
    True
    """
    lines = (_COMMENT.sub("", line).rstrip() for line in text.splitlines())
    kept = "\n".join(line for line in lines if line and not line.startswith("%%"))
    return "cell-" + hashlib.sha256(kept.encode()).hexdigest()[:12]


def without_name(lines: list[str]) -> list[str]:
    """A cell's lines as IPython is to run them: the one with `%%repro NAME` is for us."""
    if not lines or _GIVEN.match(lines[0]) is None:
        return lines
    if len(lines) > 1 and lines[1].startswith("%%"):  # a magic comes first, or is none
        return lines[1:]
    return ["\n", *lines[1:]]  # so that errors name the lines as the cell has them
