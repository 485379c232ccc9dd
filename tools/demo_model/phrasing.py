"""How a task is written: a question drawn from its grammar, then the reasoning and the answer that the model shall learn.

Every answer follows from its context alone, so that one text is right. The wording (before values, frame and mistakes come
in) and the values are the keys by which samples are held out (see split.py).
The reasoning grows strictly with the effort: low is a note, medium the steps, high the steps and a check.
"""

import re

import world as W
from conversation import Message, Sample
from grammar import grammar

EFFORTS = ("low", "medium", "high")
KEYS = {c: n for row in ("qwertyuiop", "asdfghjkl", "zxcvbnm") for c, n in zip(row, row[1:] + row[-2])}
MARKS = [('"', '"')] * 6 + [("'", "'")] * 4 + [("“", "”")] * 3 + [("‘", "’")] * 2 + [("`", "`")] * 2 + [
    ("«", "»"), ("„", "“"), ("*", "*"), ("**", "**"), ("<", ">"), ("(", ")"), ("_", "_"), ("'", "’"), ('"', "'"), ("[", "]")]  # fmt: skip


def quoted(r, text, bare=0.35):
    if r.random() < bare:
        return text
    left, right = MARKS[int(r.random() * len(MARKS))]
    return left + text + right


ONES = """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen
eighteen nineteen""".split()
TENS = "zero ten twenty thirty forty fifty sixty seventy eighty ninety".split()


def in_words(n, dash="-"):
    if n < 20:
        return ONES[n]
    return TENS[n // 10] + (dash + ONES[n % 10] if n % 10 else "") if n < 100 else str(n)


def figures(r, *numbers, words=0.1):
    """The numbers as they are typed: mostly in digits."""
    if r.random() < words:
        dash = "-" if r.random() < 0.75 else " "
        return [in_words(n, dash) for n in numbers]
    return [str(n) for n in numbers]


JOINS = [", "] * 8 + [" "] * 3 + ["; ", "; ", ",", ", and ", " and ", " / ", "/", "\n", "\n", " - ", " | ", "\n- ", "\n* ", " & ", ", then "]


def listed(r, items):
    """Items as they are typed: with commas, "and", lines, brackets."""
    if len(items) > 1 and r.random() < 0.45:
        last = (" and ", " and ", " and ", ", and ", " & ", " or ", ", ")[int(r.random() * 7)]
        text = ", ".join(items[:-1]) + last + items[-1]
    else:
        join = JOINS[int(r.random() * len(JOINS))]
        text = (join if join[0] == "\n" and len(join) > 1 else "") + join.join(items)
    if "\n" not in text and r.random() < 0.12:
        left, right = r.choice(["[]", "()", "{}", '""', "::"])
        text = left.replace(":", "") + text + right.replace(":", "")
    return text


def mistyped(r, text):
    """One small mistake in a word that is not a value."""
    words = [m for m in re.finditer(r"[a-z]{4,}", text) if text[m.start() - 1 : m.start()] != "{"]
    if not words:
        return text
    word = r.choice(words)
    at = r.randrange(word.start(), word.end() - 1)
    a, b = text[at], text[at + 1]
    new = r.choice([b + a, a + a + b, b, KEYS[a] + b])
    return text[:at] + new + text[at + 2 :]


def capitalised(text):
    text = re.sub(r"(?<![\w{'])i(?=\b(?!\w|\}))", "I", text)
    return re.sub(r"(^|[.!?] +|\n)([a-z])", lambda m: m[1] + m[2].upper(), text)


def uppercase(text):
    return "".join(part if part[:1] == "{" else part.upper() for part in re.split(r"(\{\w+\})", text))


def framed(r, text):
    """Politeness and remarks before and after."""
    frames, kind = grammar("common"), r.random()
    if kind < 0.32:
        before = frames.draw(r, "before")
        text = before + ("\n" if before[-1] in ".:!?" and r.random() < 0.08 else " ") + text
    if kind < 0.07 or kind > 0.83:
        if text[-1].isalnum():
            text += r.choice([",", ".", "?", ",", ""])
        elif text[-1] == "}":  # where the value ends must be seen
            text += r.choice([",", ".", "?", ".", "!"])
        text += " " + frames.draw(r, "after")
    return text


def dressed(r, text, frame=True, fold=()):
    """The wording as somebody types it, and the values with it; `fold` names those that change their case with it."""
    if frame:
        text = framed(r, text)
    values = None
    if r.random() < 0.09:
        text = mistyped(r, text)
        if r.random() < 0.3:
            text = mistyped(r, text)
    case = r.random()
    if case < 0.76:
        text = capitalised(text)
    elif case > 0.97:
        text, values = uppercase(text), str.upper
    elif r.random() < 0.7:
        values = str.lower
    kind = r.random()
    if kind < 0.1:
        text = text.rstrip("?.!")
    elif kind < 0.13:
        text = text.rstrip("?.!") + r.choice(["!", "??", " ?", "...", "!!", " !", " .", "?!"])
    elif kind < 0.2:
        text = text.replace("'", "’" if kind < 0.16 else "")
    elif kind < 0.215:
        text = r.choice([" {}", "{} ", "{}\n", "\n{}"]).replace("{}", text)
    return text, (values if fold else None)


def fill(text, values):
    return re.sub(r"\{(\w+)\}", lambda m: values[m[1]] if m[1] in values else m[0], text)


def ask(r, name, task, frame=True, fold=(), **values):
    """A question from a grammar, and its wording as a key."""
    wording = grammar(name).draw(r, task)
    text, case = dressed(r, wording, frame, fold)
    if case:
        values.update({name: case(values[name]) for name in fold})
    return fill(text, values), f"{task}/{wording}"


def think(effort, note, steps, check):
    return {"low": note, "medium": f"{steps} {note}", "high": f"{steps} {note} {check}"}[effort]


def reply(reasoning, answer):
    return [Message("assistant", reasoning, "analysis"), Message("assistant", answer, "final")]


def plain(task, effort, question, key, note, steps, check, answer):
    text, wording = question
    keys = [wording, key] if key else [wording]
    return Sample(task, keys, effort, [Message("user", text)], reply(think(effort, note, steps, check), answer))


VOWELS, CONSONANTS = "aeiou", "bcdfghjklmnprstvwz"
ONSETS = "b c d f g h j k l m n p qu r s t v w x y z bl br ch cl cr dr fl fr gl gr kn pl pr sc sh sk sl sm sn sp st str sw th thr tr tw wh wr".split()
NUCLEI = "a e i o u a e i o u y ai au aw ay ea ee ei ew ie oa oi oo ou ow oy ue".split()
CODAS = "b ck d ff g k l ll m mp n nd ng nk nt p r rd rk rm rn rt s sh sk sp ss st t th tch v x ze le ce ge ke me ne te se re".split()
ENDINGS = "er ing ed ion tion ness ly ment ous al ive able est ful less ity y ish ar or ist ism age ure ance en le on an et ow".split()


def invented_word(r):
    kind, out = r.random(), ""
    if kind < 0.3:
        for _ in range(r.randrange(2, 5)):
            c, v = CONSONANTS[int(r.random() * 18)], VOWELS[int(r.random() * 5)]
            out += c + v if r.random() < 0.5 else v + c
        return out[: r.randrange(3, 9)]
    if kind < 0.36:
        return "".join(r.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(r.randrange(2, 8)))
    for _ in range(r.choice([1, 1, 2, 2, 2, 3])):
        out += r.choice(ONSETS) + r.choice(NUCLEI) + (r.choice(CODAS) if r.random() < 0.5 else "")
    return (out + r.choice(ENDINGS) if r.random() < 0.35 else out)[:12]


def word(r):
    return r.choice(W.WORDS) if r.random() < 0.5 else invented_word(r)


def name_of_something(r):
    return word(r).capitalize()


def phrase(r, most=3):
    """A few words that mean nothing together, or a chore."""
    kind = r.random()
    if kind < 0.3:
        return r.choice(W.CHORES if kind < 0.15 else W.PHRASES)
    return " ".join(word(r) for _ in range(r.randrange(1, most + 1)))
