"""Kills trainings at random moments, again and again, and compares what comes out in the end.

    python soak.py KILLS [FAMILY…] [--seed N] [--stock]

Each family is trained once without being interrupted. Then it is trained in processes that are
killed, in the middle of steps, of saving and of validation, until one comes to the end: all of what
came out must be the same, to the byte. Prints one line of JSON, with the misses.
"""

import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

import states  # loads Keras, and starts nothing: the processes are forked from here

NOT_COMPARED = ("resumed", "steps")


class Child:
    """A process that trains a family, and tells of its steps through a pipe."""

    def __init__(self, family, folder, save_freq, stock=False):
        steps, tell = os.pipe()
        self.result = folder / "result.json"
        self.errors = folder / "errors.txt"
        self.pid = os.fork()
        if not self.pid:
            os.close(steps)
            self._train(family, folder, save_freq, tell, stock)
        os.close(tell)
        self.steps = steps

    def _train(self, family, folder, save_freq, tell, stock):
        code = 1
        random.seed(0)  # a fork of Python's has another, of the system's entropy
        try:
            found = states.train(
                family, folder, save_freq, lambda: os.write(tell, b"."), stock=stock
            )
            partial = self.result.with_suffix(".partial")
            partial.write_text(json.dumps(found))
            partial.rename(self.result)
            code = 0
        except BaseException:
            self.errors.write_text(traceback.format_exc())
        os._exit(code)

    def kill_after(self, steps, seconds):
        """Kills it some time after some of its steps, if it comes that far."""
        while steps:
            if not os.read(self.steps, 1):
                return self.wait()
            steps -= 1
        time.sleep(seconds)
        os.kill(self.pid, signal.SIGKILL)
        return self.wait()

    def wait(self):
        _, status = os.waitpid(self.pid, 0)
        os.close(self.steps)
        if os.WIFEXITED(status) and os.WEXITSTATUS(status):
            raise RuntimeError(self.errors.read_text())
        return os.WIFSIGNALED(status)


def uninterrupted(family, save_freq):
    folder = Path(tempfile.mkdtemp(prefix="soak-"))
    began = time.monotonic()
    Child(family, folder, save_freq).wait()
    found = json.loads((folder / "result.json").read_text())
    shutil.rmtree(folder)
    return found, time.monotonic() - began


def killed(family, save_freq, chance, stock=False, at_most=4):
    """Trains a family in processes that are killed; returns what came out, and the kills."""
    folder = Path(tempfile.mkdtemp(prefix="soak-"))
    kills = 0
    for _ in range(at_most):
        child = Child(family, folder, save_freq, stock)
        # Mostly within a step, a save or a validation; sometimes while it starts.
        steps = chance.choice((0, *range(1, 9), *range(1, 25)))
        seconds = chance.random() * (1.5 if not steps else chance.choice((0.002, 0.02, 0.1)))
        if not child.kill_after(steps, seconds):
            break
        kills += 1
    else:
        Child(family, folder, save_freq, stock).wait()
    found = json.loads((folder / "result.json").read_text())
    shutil.rmtree(folder)
    return found, kills


def main(*arguments):
    arguments = list(arguments)
    seed, stock = 0, "--stock" in arguments
    if stock:
        arguments.remove("--stock")
    if "--seed" in arguments:
        place = arguments.index("--seed")
        seed = int(arguments[place + 1])
        del arguments[place : place + 2]
    wanted = int(arguments.pop(0))
    families = arguments or list(states.FAMILIES)
    chance = random.Random(seed)
    references, misses, kills, trainings = {}, [], dict.fromkeys(families, 0), 0
    while sum(kills.values()) < wanted or not all(kills.values()):
        family = min(families, key=kills.__getitem__)
        save_freq = chance.choice((1, 3, 4, "epoch"))
        if (family, save_freq) not in references:
            references[family, save_freq] = uninterrupted(family, save_freq)[0]
        found, count = killed(family, save_freq, chance, stock)
        kills[family] += count
        trainings += 1
        expected = references[family, save_freq]
        differ = [n for n in expected if expected[n] != found[n] and n not in NOT_COMPARED]
        if differ:
            misses.append([family, save_freq, differ])
            print({n: (expected[n], found[n]) for n in differ}, file=sys.stderr)
        print(f"{sum(kills.values())} kills, {misses}", file=sys.stderr, flush=True)
    print(json.dumps({"kills": kills, "trainings": trainings, "misses": misses, "seed": seed}))


if __name__ == "__main__":
    main(*sys.argv[1:])
