"""Counts the distinct phrasings that each kind's grammar gives, and checks that no question of held_out/ is trained.

  python wordings.py [--conversations N]
"""

import argparse
import random

import held_out as H
import split
from evaluate import GROUPS
from grammar import grammar

# kind -> its grammars' tasks. Frames, casing, quotes, mistakes and values come on top and are not counted.
TABLES = {
    "arithmetic": ("arithmetic", None), "comparing": ("comparing", None), "sorting": ("sorting", None), "strings": ("strings", None),
    "dates and units": ("calendar", None), "facts": ("facts", None), "small talk": ("talk", None), "beyond its knowledge": ("unknown", None),
    "developer instructions": ("dialogue", ("language", "upper", "brief", "bold", "json", "bullet", "lower", "after", "before")),
    "memory over turns": ("dialogue", ("tell", "recall")), "function calls": ("functions", None), "several calls": ("functions", None),
    "results of functions": ("functions", None), "no function fits": ("functions", None), "JSON schema": ("schema", None),
}  # fmt: skip
ENOUGH = 300


def phrasings(kind, enough=2000):
    """Distinct wordings among draws from each of a kind's tasks; it stops when there are enough."""
    name, tasks = TABLES[kind]
    table, r, found = grammar(name), random.Random(1), set()
    for task in table.tasks:
        if tasks is None or task.split()[0] in tasks:
            found.update(table.draw(r, task) for _ in range(min(table.count(task), 400)))
        if len(found) > enough:
            break
    return len(found)


def trained_questions(conversations, seed=5 * 1_000_003):
    """The questions of the first conversations of the training."""
    draw = split.samples(seed)
    for _ in range(conversations):
        yield from (m.content.lower() for m in next(draw).context if m.role == "user")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--conversations", type=int, default=20_000)
    options = parser.parse_args()
    for kind in GROUPS:
        found = phrasings(kind)
        print(f"{kind}: {'over ' if found > 2000 else ''}{min(found, 2000)} phrasings")
        assert found >= ENOUGH, kind
    written = H.texts()
    assert not written & set(trained_questions(options.conversations))
    print(f"none of {len(written)} held-out questions among those of {options.conversations} trained conversations")
