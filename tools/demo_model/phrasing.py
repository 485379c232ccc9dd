"""How a task is written: it draws a question and writes the reasoning and the answer that the model shall learn.

Every answer follows from its context alone, so that one text is right. A question is a phrasing ("core") within a frame
of politeness; (task, core, frame) and the values are the keys by which samples are held out (see split.py).
The reasoning grows strictly with the effort: low is a note, medium the steps, high the steps and a check.
"""

import world as W
from conversation import Message, Sample

FRAMES = ["{}", "{}", "{}", "Hi! {}", "Hello. {}", "Hey there, {l}", "Quick question: {l}", "I need some help. {}", "{} Thanks!",
          "{} Thank you.", "Please help me: {l}", "One more thing: {l}", "Can you help? {}", "OK, {l}"]  # fmt: skip
EFFORTS = ("low", "medium", "high")


def ask(r, task, cores, **values):
    """A question and its template key."""
    core, frame = r.randrange(len(cores)), r.randrange(len(FRAMES))
    text = cores[core].format(**values)
    lower = text if text.startswith("I ") else text[0].lower() + text[1:]
    text = FRAMES[frame].format(text, l=lower)
    plain = r.random()
    if plain < 0.08:
        text = (
            text.lower()
            if text.isascii() and not any(isinstance(v, str) and v != v.lower() for v in values.values())
            else text
        )
    elif plain < 0.16:
        text = text.rstrip("?.!")
    return text, f"{task}/{core}/{FRAMES[frame]}"


def think(effort, note, steps, check):
    return {"low": note, "medium": f"{steps} {note}", "high": f"{steps} {note} {check}"}[effort]


def reply(reasoning, answer):
    return [Message("assistant", reasoning, "analysis"), Message("assistant", answer, "final")]


def plain(r, task, effort, cores, values, key, note, steps, check, answer):
    text, template = ask(r, task, cores, **values)
    return Sample(
        task,
        [template, key] if key else [template],
        effort,
        [Message("user", text)],
        reply(think(effort, note, steps, check), answer),
    )


VOWELS, CONSONANTS = "aeiou", "bcdfghjklmnprstvwz"


def word(r):
    if r.random() < 0.45:
        return r.choice(W.WORDS)
    out = ""
    for _ in range(r.randrange(2, 5)):
        out += r.choice([r.choice(CONSONANTS) + r.choice(VOWELS), r.choice(VOWELS) + r.choice(CONSONANTS)])
    return out[: r.randrange(3, 9)]
