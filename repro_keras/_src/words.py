"""How values are said to people, in a few characters."""

import shlex


def short(value) -> str:
    """A value in a few characters, a digest by its beginning."""
    if value is None:
        return "none"
    text = str(value)
    if len(text) == 64 and not set(text) - set("0123456789abcdef"):
        return text[:12]
    return text if len(text) <= 40 else text[:37] + "…"


def number(value) -> str:
    """A float that is recorded exactly, readable too; anything else in short."""
    if isinstance(value, str) and value.lstrip("-").startswith("0x"):
        return f"{float.fromhex(value):.9g} ({value})"
    return short(value)


def listed(names: list[str], most: int = 3) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def shell(words: list[str]) -> str:
    """Words as a shell takes them; nothing in them can move the cursor of a terminal."""
    return " ".join(map(_quoted, words))


def _quoted(word: str) -> str:
    if not word.isprintable():
        return "$" + repr(word)
    if word and not set(word) & set(" \t\"'\\$`|&;<>()*?[]#~!"):
        return word
    return shlex.quote(word)


def plain(text: str) -> str:
    """A line in which nothing can move the cursor of a terminal."""
    text = text.expandtabs()
    return text if text.isprintable() else repr(text)
