"""Grammars of wordings: the tables in wordings/*.txt, and what draws from them, counts them and lists them.

  <slot> = one | two | three       a slot of this file (or of common.txt)
  task: pattern                    one of the patterns of a task; there may be any number of lines
Within a pattern: [a|b|] is one of its alternatives, <slot> one of the slot's, {x} the place of a value. A line that begins
with spaces goes on. Patterns are written in small letters; phrasing.py sees to capitals, punctuation and mistakes.
"""

import re
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent / "wordings"


def parse(text, slots):
    """A pattern as a list of strings and of lists of such alternatives."""
    tokens = re.findall(r"[\[\]|]|<\w+>|[^\[\]|<]+|<", text)
    at = 0

    def sequence():
        nonlocal at
        out = []
        while at < len(tokens) and tokens[at] not in "|]":
            token = tokens[at]
            at += 1
            if token == "[":
                out.append(choices())
                at += 1
            elif token.startswith("<") and token[1:-1] in slots:
                out.append(slots[token[1:-1]])
            else:
                out.append(token)
        return out

    def choices():
        nonlocal at
        out = [sequence()]
        while at < len(tokens) and tokens[at] == "|":
            at += 1
            out.append(sequence())
        return out

    return choices()


def draw(r, alternatives):
    parts = alternatives[int(r.random() * len(alternatives))]
    return "".join([part if isinstance(part, str) else draw(r, part) for part in parts])


def count(alternatives):
    total = 0
    for parts in alternatives:
        product = 1
        for part in parts:
            product *= 1 if isinstance(part, str) else count(part)
        total += product
    return total


def tidy(text):
    return re.sub(r" +([?.!,:;])(?![\d)])", r"\1", re.sub(r" {2,}", " ", text)).strip(" ")


class Grammar:
    def __init__(self, name):
        self.slots = {} if name == "common" else dict(grammar("common").slots)
        self.tasks = {}
        text = re.sub(r"\n +", " ", (FOLDER / f"{name}.txt").read_text())
        lines = [line.replace("\\n", "\n") for line in text.splitlines() if line and line[0] != "#"]
        for line in lines:
            if slot := re.match(r"<(\w+)> = ", line):
                self.slots[slot[1]] = parse(line[slot.end() :], self.slots)
        for line in lines:
            if not re.match(r"<\w+> = ", line):
                task, _, pattern = line.partition(": ")
                self.tasks.setdefault(task, []).extend(parse(pattern, self.slots))

    def draw(self, r, task):
        return tidy(draw(r, self.tasks[task]))

    def count(self, task):
        return count(self.tasks[task])


@cache
def grammar(name):
    return Grammar(name)
