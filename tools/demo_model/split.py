"""Draws samples of the training set or of the held-out set.

One in eleven of the templates and of the values is held out, chosen by a checksum of its key, so that the split is the
same in every process and run. A trained reply uses no held-out key; a held-out sample uses at least one. Earlier turns of
a conversation are not trained as replies, so they are not filtered.
"""

import random
import zlib

from phrasing import EFFORTS
from tasks import TASKS
from tasks_dialogue import turn
from tasks_functions import declare_others


def held(key):
    return zlib.crc32(f"held out? {key}".encode()) % 11 == 0


def opening(r, s):
    """What precedes the question in a conversation that did not begin with it."""
    if s.date == "" and r.random() < 0.85:
        s.date = f"{r.randrange(2024, 2031)}-{r.randrange(1, 13):02}-{r.randrange(1, 29):02}"
    if s.task in ("memory", "told", "not_told", "today"):
        return s
    if (
        not s.functions
        and s.task not in ("divide", "add", "subtract", "multiply", "unit", "unknown")
        and r.random() < 0.06
    ):
        s.functions = declare_others(r, [])  # declared, and of no use here
    if r.random() < 0.14:
        s.context = [m for _ in range(r.choice([1, 1, 2])) for m in turn(r, s.effort)] + s.context
    return s


def draw(r, held_out):
    while True:
        task = r.choices([t for t, _ in TASKS], [w for _, w in TASKS])[0]
        s = task(r, r.choice(EFFORTS))
        if any(map(held, s.keys)) == held_out:
            return opening(r, s)


def samples(seed, held_out=False):
    r = random.Random(seed)
    while True:
        yield draw(r, held_out)
