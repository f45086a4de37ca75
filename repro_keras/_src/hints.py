"""What the text of a script says about one of its lines: for the doctor and for the guard."""

import re

_IGNORED = re.compile(r"#\s*repro:\s*ignore\b")
_ASSIGNED = re.compile(r"\s*([\w.]+)\s*(?::[^=]+)?=[^=]")


def is_ignored(line: str) -> bool:
    """Whether a line ends with `# repro: ignore`."""
    return _IGNORED.search(line) is not None


def is_set_later(line: str, text: str) -> bool:
    """Whether the text seeds the generator that a line makes, or gives it a state."""
    assigned = _ASSIGNED.match(line)
    if assigned is None:
        return False
    name = re.escape(assigned[1])
    later = rf"(?<![\w.]){name}\.((seed|setstate|set_state)\(|(bit_generator\.)?state\s*=[^=])"
    return re.search(later, text) is not None
