"""The versions of a record as files that installers know: `pylock.toml`, `requirements.txt`.

A package that was installed from an index does not keep the digest of its wheel (RECORD has those
of the files in it), so that a hash is known only of what was installed from a URL, or by its
commit.
"""

import importlib.metadata
import json
import re

import msgspec

from repro_keras._src import record

_HEADER = """\
# What was installed where the run was recorded (PEP 751): {count} packages, {hashed} with a source.
# The others were installed from an index: such a package does not keep the hash of its wheel.
"""


def pylock(software: record.Software) -> tuple[str, int]:
    """A `pylock.toml`, and of how many packages it has the source with a hash or commit.

    Args:
        software: of a record; sources are those of the packages of the same version that are
            installed here.
    """
    tables, hashed = [], 0
    sources = _sources()
    for name, version in _named(software).items():
        source = sources.get((name, version))
        hashed += source is not None
        # A source tree may give itself another version each time.
        told = [] if source and "vcs" in source else [f"version = {_text(version)}"]
        tables.append("\n".join(["[[packages]]", f"name = {_text(name)}", *told, *_table(source)]))
    begin = [
        'lock-version = "1.0"',
        f'requires-python = "=={software.python}"',
        'created-by = "repro-keras"',
    ]
    header = _HEADER.format(hashed=hashed, count=len(tables))
    return "\n\n".join([header + "\n".join(begin), *tables]) + "\n", hashed


def requirements(software: record.Software) -> str:
    """The same for `pip install -r`, but for repro_keras, which a reader has."""
    named = _named(software).items()
    return "".join(f"{name}=={version}\n" for name, version in named if name != "repro-keras")


def _named(software: record.Software) -> dict[str, str]:
    """Versions by names, sorted."""
    named = ((_normal(name), version) for name, version in software.packages.items())
    return dict(sorted(named))


def _normal(name: str) -> str:
    """A package's name as PEP 503 writes it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _sources() -> dict[tuple[str, str], dict]:
    """Where installed packages came from, for those that say so (PEP 610) and can be had there."""
    found = {}
    for package in importlib.metadata.distributions():
        text = package.read_text("direct_url.json")
        name = package.metadata["Name"]
        if not text or not name:
            continue
        told = json.loads(text)
        url = told.get("url", "")
        if not url.startswith("https://") or "@" in url:  # a path of this machine, or a password
            continue
        archive, vcs = told.get("archive_info", {}), told.get("vcs_info")
        kind, _, digest = archive.get("hash", "").partition("=")  # the older form
        hashes = archive.get("hashes") or ({kind: digest} if digest else {})
        source = None
        if vcs:
            source = {"vcs": {"type": vcs["vcs"], "url": url, "commit-id": vcs["commit_id"]}}
        elif hashes:
            source = {"archive": {"url": url, "hashes": hashes}}
        if source is not None:
            if "subdirectory" in told:
                next(iter(source.values()))["subdirectory"] = told["subdirectory"]
            found[_normal(name), package.version] = source
    return found


def _table(source: dict | None) -> list[str]:
    lines = []
    for kind, facts in (source or {}).items():
        lines.append(f"[packages.{kind}]")
        for key, value in facts.items():
            if isinstance(value, dict):
                inner = ", ".join(f"{name} = {_text(digest)}" for name, digest in value.items())
                lines.append(f"{key} = {{{inner}}}")
            else:
                lines.append(f"{key} = {_text(value)}")
    return lines


def _text(value: str) -> str:
    """A TOML string; JSON's are of the same form."""
    return msgspec.json.encode(value).decode()
