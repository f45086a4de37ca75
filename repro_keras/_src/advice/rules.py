"""What the doctor looks for in a script: each rule, why it is one, and the fix."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Rule:
    """A rule.

    Attributes:
        why: why what it catches is not the same in each run.
        fix: what to do about it.
    """

    why: str
    fix: str


RULES = {
    "unseeded-generator": Rule(
        "Without a seed it takes one from the operating system, another in each run.",
        'Give it a seed, such as repro.seed_for("a name").',
    ),
    "system-entropy": Rule(
        "It draws from the operating system, which no seed repeats.",
        'Draw from a generator with a seed: random.Random(repro.seed_for("a name")).',
    ),
    "clock-seed": Rule(
        "A seed from the clock, the process or an address is another in each run.",
        'Use a number, or repro.seed_for("a name").',
    ),
    "clock-loop": Rule(
        "How far it comes until then hangs on the speed of the machine.",
        "Count epochs or steps instead.",
    ),
    "hash": Rule(
        "The hash of a string is another in each process, and that of most objects is an address.",
        "Use zlib.crc32(text.encode()), or hashlib.",
    ),
    "file-order": Rule(
        "Files come in the order of the file system, which a copy of the folder does not have.",
        "Put sorted(…) around it.",
    ),
    "set-order": Rule(
        "A set of strings or objects has another order in each process.",
        "Put sorted(…) around the set, or use a dict, which keeps its order.",
    ),
    "thread-draw": Rule(
        "Which thread draws first from the global generator is another in each run.",
        "Give each task a generator of its own, with a seed made from the task's number.",
    ),
    "late-seed": Rule(
        "What was built above has not got its weights from this seed.",
        "Move it above the first layer.",
    ),
    "late-import": Rule(
        "What Keras makes before `import repro_keras` is not seeded by name.",
        "Move `import repro_keras` above it, or swap this import too.",
    ),
}
