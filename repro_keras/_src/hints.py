"""What the text of a script says about one of its lines: for the doctor and for the guard."""

import re


def is_ignored(line: str) -> bool:
    """Whether a line ends with `# repro: ignore`."""
    return re.search(r"#\s*repro:\s*ignore\b", line) is not None


def is_set_later(line: str, text: str) -> bool:
    """Whether the text seeds the generator that a line makes, or gives it a state."""
    assigned = re.match(r"\s*([\w.]+)\s*(?::[^=]+)?=[^=]", line)
    if assigned is None:
        return False
    name = re.escape(assigned[1])
    later = rf"(?<![\w.]){name}\.((seed|setstate|set_state)\(|(bit_generator\.)?state\s*=[^=])"
    return re.search(later, text) is not None
