"""What `other_cpu` and `told_cpu` are given: options of theirs, and then a command of Python's."""


def split(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Our options, and the command: ours begin with two dashes, Python's with one."""
    end = 0
    while end < len(arguments) and arguments[end].startswith("--"):
        end += 2 if arguments[end] == "--cpu" else 1
    return arguments[:end], arguments[end:]
