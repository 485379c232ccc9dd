"""Draws samples of the training set or of the held-out set.

One in eleven of the wordings and of the values is held out, chosen by a checksum of its key, so that the split is the
same in every process and run. A trained reply uses no held-out key; a held-out sample uses at least one. Earlier turns of
a conversation are not trained as replies, so they are not filtered. No conversation has a question of held_out/, neither of
the wordings written by hand nor of the first model's conversations.

  python split.py FIRST LAST   draws what the training's batches FIRST to LAST begin with: a seed that cannot be drawn shows
                               here, not after minutes on a GPU
"""

import itertools
import json
import lzma
import random
import re
import sys
import zlib
from functools import cache

import held_out as H
from conversation import Message, render_message
from phrasing import EFFORTS
from tasks import TASKS
from tasks_dialogue import instructed_plainly, turn
from tasks_functions import declare_others, one_call

CALCULATED = ("divide", "add", "subtract", "multiply", "story", "unit")
ALONE = ("memory", "told", "not_told", "today")
FORCEABLE = ("facts", "refuse", "result", "results", "told", "memory", "schema", "unknown", "style", "language", "mark", "upper", "first", "last", "compare")
CUT = ("add", "subtract", "sort", "sort_down", "reverse", "spell", "weekday", "extreme", "count")


def held(key):
    return zlib.crc32(f"held out? {key}".encode()) % 11 == 0


@cache
def excluded():
    """Questions that are measured, in lower case."""
    texts = H.texts()
    for line in lzma.open(H.FOLDER / "first_model.jsonl.xz", "rt"):
        texts.add(re.findall(r"<\|start\|>user<\|message\|>(.*?)<\|end\|>", json.loads(line)["prompt"], re.S)[-1].lower())
    return frozenset(texts)


def earlier_call(r, effort):
    """An earlier turn with a call, its result and an answer, as it stays in a conversation; and what it declared."""
    while True:
        s = one_call(r, effort)
        if s.task == "result":
            kept = [m for m in s.context if m.channel != "analysis"]
            return [*kept, s.answer()], s.functions


def opening(r, s):
    """What precedes the question in a conversation that did not begin with it."""
    if s.date == "" and r.random() < 0.85:
        s.date = f"{r.randrange(2024, 2031)}-{r.randrange(1, 13):02}-{r.randrange(1, 29):02}"
    if not s.instructions and r.random() < 0.13:
        s.instructions = instructed_plainly(r)
    if not s.functions and s.task != "unknown" and r.random() < 0.16:
        without = ("calculator",) if s.task.rstrip("0123456789") in CALCULATED else ()
        s.functions = declare_others(r, without)  # declared, and of no use here
    if s.task in ALONE:
        return s
    kind = r.random()
    if kind < 0.15:
        s.context = [m for _ in range(r.choice([1, 1, 2])) for m in turn(r, s.effort)] + s.context
    elif kind < 0.2:
        earlier, functions = earlier_call(r, s.effort)
        names = {f.name for f in s.functions}
        if not names & {f.name for f in functions} and len(names) + len(functions) <= 4 and s.task.rstrip("0123456789") not in (*CALCULATED, "unknown", "refuse"):
            s.functions = s.functions + functions
            s.context = earlier + s.context
    return s


def force(r, s):
    """The model goes on after a header that was written for it: a call, or an answer with its reasoning left out or cut."""
    kind, last = r.random(), s.answer()
    task = s.task.rstrip("0123456789")
    if last.recipient and kind < 0.08:
        s.forced = render_message(last).partition("<|message|>")[0].removeprefix("<|start|>assistant") + "<|message|>"
        s.reply = [last]
    elif task in FORCEABLE and kind < 0.04:
        s.forced, s.reply = "<|channel|>final<|message|>", [last]
    elif task in FORCEABLE + CUT and kind < 0.06:
        thought = s.reply[0].content
        enough = max(thought.rfind(": "), len(thought) // 2) if task in CUT else r.randrange(len(thought) + 1)
        cut = thought[: r.randrange(enough, len(thought) + 1)]
        s.forced = render_message(Message("assistant", cut, "analysis")).removeprefix("<|start|>assistant")
        s.forced += "<|start|>assistant<|channel|>final<|message|>"
        s.reply = [last]
    return s


def draw(r, held_out):
    while True:
        task = r.choices([t for t, _ in TASKS], [w for _, w in TASKS])[0]
        s = task(r, r.choice(EFFORTS))
        if any(map(held, s.keys)) == held_out:
            s = opening(r, s)
            if not any(m.role == "user" and m.content.lower() in excluded() for m in s.context):
                return s if held_out else force(r, s)


def samples(seed, held_out=False):
    r = random.Random(seed)
    while True:
        yield draw(r, held_out)


def of_batch(seed, i):
    """The training samples of batch i, of which it takes as many as fit: some 500."""
    return samples(seed * 1_000_003 + i)


if __name__ == "__main__":
    first, last = map(int, sys.argv[1:])
    drawn = sum(1 for i in range(first, last) for _ in itertools.islice(of_batch(5, i), 560))
    print(f"{drawn} conversations")
