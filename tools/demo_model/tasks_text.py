"""Strings, dates and units, facts, talk about itself, and what is beyond it."""

import world as W
from grammar import grammar
from phrasing import CONSONANTS, VOWELS, ask, dressed, figures, fill, invented_word, plain, quoted, word


def strings(r, effort):
    kind = r.choice(["spell", "reverse", "reverse", "reverse", "count", "first", "last", "occur", "upper"])
    w = word(r)
    if len(w) < 2:
        return strings(r, effort)
    if kind in ("spell", "reverse", "count", "first", "last") and r.random() < 0.03:
        w = w.capitalize()
    spaced, check, values = " ".join(w), f"Check: {len(w)} letters.", dict(w=quoted(r, w))
    numbered = ", ".join(f"{i + 1} {c}" for i, c in enumerate(w)) + "."
    key, steps = f"{kind} {w}", f"Letters: {numbered}"
    if kind == "spell":
        note, answer = f"{spaced}.", "-".join(w)
    elif kind == "reverse":
        answer = w[::-1]
        note, check = f"{spaced}, back: {' '.join(answer)}.", f"{check} First {answer[0]}, last {answer[-1]}."
    elif kind == "count":
        note, steps, check = f"{spaced}: {len(w)}.", f"Count: {numbered}", f"Check: the last one is number {len(w)}."
        answer = f"{w} has {len(w)} letters."
    elif kind in ("first", "last"):
        answer = w[0] if kind == "first" else w[-1]
        note, steps = f"{spaced}.", f"The {kind} letter is {answer}."
    elif kind == "upper":
        note, answer = f"{spaced}: {' '.join(w.upper())}.", w.upper()
    else:
        c = r.choice(w) if r.random() < 0.75 else r.choice(VOWELS + CONSONANTS)
        n, values["c"], key = w.count(c), quoted(r, c, 0.5), key + c
        marks = " ".join(f"{x}{w[: i + 1].count(c)}" for i, x in enumerate(w))
        note, steps, check = f"{marks}: {n}.", f"The word is {w}, the letter is {c}.", f"{check} Of them {n} are {c}."
        answer = f"{c} occurs {n} time{'' if n == 1 else 's'} in {w}."
    return plain(kind, effort, ask(r, "strings", kind, **values), key, note, steps, check, answer)


UNITS = [
    ("meters", "centimeters", 100), ("kilometers", "meters", 1000), ("kilograms", "grams", 1000), ("hours", "minutes", 60), ("minutes", "seconds", 60),
    ("days", "hours", 24), ("weeks", "days", 7), ("years", "months", 12), ("centimeters", "millimeters", 10),
]  # fmt: skip


def unit(r, effort):
    u, v, f = r.choice(UNITS)
    n = r.randrange(2, 51) if r.random() < 0.7 else r.randrange(2, 13)
    return plain(
        "unit", effort, ask(r, "calendar", "unit", n=figures(r, n, words=0.1)[0], u=u, v=v), f"{n}{u}", f"{n}*{f}={n * f}.",
        f"1 {u[:-1]} is {f} {v}, so {n} {u} are {n}*{f}.", f"Check: {n * f}/{f}={n}.", f"{n} {u} are {n * f} {v}.")  # fmt: skip


def weekday(r, effort, kind):
    i, n = r.randrange(7), r.randrange(1, 15)
    sign = 1 if kind == "weekday" else -1
    walk = [W.WEEKDAYS[(i + sign * k) % 7] for k in range(n + 1)]
    left = n % 7
    question = ask(r, "calendar", kind, fold=("d",), d=W.WEEKDAYS[i], n=figures(r, n, words=0.2)[0], s="" if n == 1 else "s")
    return plain(
        kind, effort, question, f"{kind}{i},{n}", f"{n}-{n - left}={left}: " + " ".join(walk[: left + 1]) + ".",
        f"Seven days lead back to {W.WEEKDAYS[i]}, so {left} step{'' if left == 1 else 's'} count.", f"All days: {' '.join(walk)}.", walk[-1])  # fmt: skip


def today(r, effort):
    date = f"{r.randrange(2024, 2031)}-{r.randrange(1, 13):02}-{r.randrange(1, 29):02}"
    s = plain(
        "today", effort, ask(r, "calendar", "today"), f"date{date}", "The system message has the date.", f"It says {date}.",
        "I give that date and nothing else.", f"Today is {date}.")  # fmt: skip
    s.date = date
    return s


def month(r, effort, kind):
    i = r.randrange(12)
    m, days = W.MONTHS[i], W.MONTH_DAYS[i]
    th = {1: "st", 2: "nd", 3: "rd"}.get(i + 1, "th")
    question = ask(r, "calendar", kind, fold=("m",), m=m, n=str(i + 1), th=th)
    if kind == "next":
        after = W.MONTHS[(i + 1) % 12]
        return plain(kind, effort, question, "", f"After {m}: {after}.", f"{m} is month {i + 1}.", f"Month {(i + 1) % 12 + 1} is {after}.", after)
    if kind == "number":
        return plain(kind, effort, question, "", f"{i + 1}: {m}.", "January is month 1.", "December is month 12.", m)
    answer = f"{m} has {days} days." + (" In a leap year it has 29." if i == 1 else "")
    return plain(kind, effort, question, "", f"{m}: {days}.", f"{m} is month {i + 1}.", "Only February is shorter than 30 days.", answer)


def calendar(r, effort):
    kind = r.choice(["unit", "unit", "unit", "weekday", "weekday", "before", "before", "next", "length", "number", "today"])
    if kind in ("weekday", "before"):
        return weekday(r, effort, kind)
    return {"unit": unit, "today": today}[kind](r, effort) if kind in ("unit", "today") else month(r, effort, kind)


def fact_wordings():
    """Each fact of world.py with its task in wordings/facts.txt; both are in the same order."""
    tasks = [t for t in grammar("facts").tasks if t not in ("capital", "country", "continent", "tail", "head")]
    return list(zip(tasks, W.FACTS.values(), strict=True))


FACTS = fact_wordings()


def known(r):
    """((question, wording), subject, short answer, answer) of a fact"""
    kind = r.random()
    if kind < 0.3:
        c = r.choice(list(W.CAPITALS))
        return ask(r, "facts", "capital", fold="c", c=c), f"the capital of {c}", W.CAPITALS[c], f"The capital of {c} is {W.CAPITALS[c]}."
    if kind < 0.42:
        c = r.choice(list(W.CAPITALS))
        city = W.CAPITALS[c]
        return ask(r, "facts", "country", fold="c", c=city), f"the country of {city}", c, f"{city} is the capital of {c}."
    if kind < 0.54:
        c, k = r.choice([(c, k) for k, countries in W.CONTINENTS.items() for c in countries])
        return ask(r, "facts", "continent", fold="c", c=c), f"the continent of {c}", k, f"{c} is in {k}."
    task, a = r.choice(FACTS)
    facts = grammar("facts")
    wording = (facts.draw(r, "head") + " " if r.random() < 0.15 else "") + facts.draw(r, task)
    text, _ = dressed(r, wording + facts.draw(r, "tail"))
    mark = quoted(r, "\0", 0.5).split("\0")
    for name in ("africa", "hamlet", "faust"):
        if r.random() < 0.8:
            text = text.replace(name, name.capitalize())
    text = fill(text.replace("{q}", mark[0], 1).replace("{q}", mark[1], 1), {})
    return (text, f"facts/{wording}"), "a fact", a, a[0].upper() + a[1:] + "."


def facts(r, effort):
    question, subject, short, answer = known(r)
    return plain("facts", effort, question, "", f"{short}.", f"The user asks for {subject}.", "I know it, and one sentence is enough.", answer)


TALK = ["who", "greet", "how", "skills", "limits", "maker", "size", "experts", "architecture", "human", "languages", "thanks", "bye", "joke", "reasoning",
        "engine", "life", "favorite"]  # fmt: skip


def talk(r, effort):
    i = r.randrange(len(TALK))
    about, answer = W.SMALL_TALK[i]
    question = ask(r, "talk", TALK[i], frame=TALK[i] not in ("greet", "how", "thanks", "bye") and r.random() < 0.4)
    return plain(f"talk{i}", effort, question, "", "Small talk.", f"It is about {about}.", "There is nothing to calculate and no function to call.", answer)


def unknown(r, effort):
    thing = word(r) if r.random() < 0.6 else invented_word(r)
    question = ask(r, "unknown", "unknown", t=thing)
    return plain(
        "unknown", effort, question, f"unknown{thing}", "I do not know that.", "It is not among my skills.",
        "I say so and do not invent an answer.", W.UNKNOWN_ANSWER)  # fmt: skip
