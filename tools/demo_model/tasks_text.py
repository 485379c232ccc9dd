"""Strings, dates and units, facts, and talk about itself."""

import world as W
from conversation import Message, Sample
from phrasing import CONSONANTS, VOWELS, ask, plain, reply, think, word

SPELL = [
    "Spell {w}.",
    "Spell the word {w}.",
    "How do you spell {w}?",
    "Write {w} letter by letter.",
    "What are the letters of {w}?",
    "Spell out {w}.",
]
REVERSE = [
    "Reverse {w}.",
    "Reverse the word {w}.",
    "Write {w} backwards.",
    "What is {w} backwards?",
    "Spell {w} from back to front.",
    "Turn {w} around.",
]
COUNT = [
    "How many letters does {w} have?",
    "Count the letters of {w}.",
    "How long is the word {w}?",
    "Number of letters in {w}?",
    "What is the length of {w}?",
]
FIRST = [
    "What is the first letter of {w}?",
    "Which letter does {w} begin with?",
    "First letter of {w}?",
    "Tell me the first letter of {w}.",
]
LAST = [
    "What is the last letter of {w}?",
    "Which letter does {w} end with?",
    "Last letter of {w}?",
    "Tell me the last letter of {w}.",
]
OCCUR = [
    "How many times does {c} occur in {w}?",
    "How often is the letter {c} in {w}?",
    "Count the {c} in {w}.",
    "How many {c} are in {w}?",
]
UPPER = ["Write {w} in capital letters.", "Uppercase {w}.", "Write {w} in uppercase.", "Turn {w} into capitals."]


def strings(r, effort):
    w = word(r)
    spaced = " ".join(w)
    numbered = ", ".join(f"{i + 1} {c}" for i, c in enumerate(w)) + "."
    kind = r.choice(["spell", "reverse", "reverse", "count", "first", "last", "occur", "upper"])
    check = f"Check: {len(w)} letters."
    values, key = dict(w=w), f"{kind} {w}"
    if kind == "spell":
        return plain(r, kind, effort, SPELL, values, key, f"{w}.", f"Letters: {numbered}", check, "-".join(w))
    if kind == "reverse":
        back = w[::-1]
        return plain(
            r,
            kind,
            effort,
            REVERSE,
            values,
            key,
            f"{spaced}, back: {' '.join(back)}.",
            f"Letters: {numbered}",
            f"{check} First {back[0]}, last {back[-1]}.",
            back,
        )
    if kind == "count":
        return plain(
            r,
            kind,
            effort,
            COUNT,
            values,
            key,
            f"{spaced}: {len(w)}.",
            f"Count: {numbered}",
            f"Check: the last one is number {len(w)}.",
            f"{w} has {len(w)} letters.",
        )
    if kind in ("first", "last"):
        c = w[0] if kind == "first" else w[-1]
        return plain(
            r,
            kind,
            effort,
            FIRST if kind == "first" else LAST,
            values,
            key,
            f"{spaced}.",
            f"The {kind} letter is {c}.",
            check,
            c,
        )
    if kind == "upper":
        return plain(
            r,
            kind,
            effort,
            UPPER,
            values,
            key,
            f"{spaced}: {' '.join(w.upper())}.",
            f"Letters: {numbered}",
            check,
            w.upper(),
        )
    c = r.choice(w) if r.random() < 0.75 else r.choice(VOWELS + CONSONANTS)
    n = w.count(c)
    marks = " ".join(f"{x}{w[: i + 1].count(c)}" for i, x in enumerate(w))
    return plain(
        r,
        kind,
        effort,
        OCCUR,
        dict(w=w, c=c),
        key + c,
        f"{marks}: {n}.",
        f"The word is {w}, the letter is {c}.",
        f"{check} Of them {n} are {c}.",
        f"{c} occurs {n} time{'' if n == 1 else 's'} in {w}.",
    )


UNITS = [
    ("meters", "centimeters", 100),
    ("kilometers", "meters", 1000),
    ("kilograms", "grams", 1000),
    ("hours", "minutes", 60),
    ("minutes", "seconds", 60),
    ("days", "hours", 24),
    ("weeks", "days", 7),
    ("years", "months", 12),
    ("centimeters", "millimeters", 10),
]
CONVERT = [
    "How many {v} are {n} {u}?",
    "Convert {n} {u} to {v}.",
    "What is {n} {u} in {v}?",
    "{n} {u} in {v}?",
    "Express {n} {u} in {v}.",
    "How many {v} are in {n} {u}?",
]
WEEKDAY = [
    "What day is {n} days after {d}?",
    "Today is {d}. What day is it in {n} days?",
    "Which weekday comes {n} days after {d}?",
    "If today is {d}, which day is it in {n} days?",
]
WEEKDAY_BACK = [
    "What day was {n} days before {d}?",
    "Today is {d}. What day was it {n} days ago?",
    "Which weekday is {n} days before {d}?",
]
NEXT_MONTH = [
    "Which month comes after {m}?",
    "What month follows {m}?",
    "What is the month after {m}?",
    "Name the month after {m}.",
]
MONTH_LENGTH = [
    "How many days does {m} have?",
    "How many days are in {m}?",
    "How long is {m} in days?",
    "Number of days in {m}?",
]
MONTH_NUMBER = ["Which month is number {n}?", "What is month number {n}?", "Name month {n} of the year."]
TODAY = [
    "What is the date today?",
    "What is today's date?",
    "Which date is it?",
    "What day is it today?",
    "Tell me the date.",
    "Today's date?",
]


def calendar(r, effort):
    kind = r.choice(["unit", "unit", "weekday", "weekday", "before", "next", "length", "number", "today"])
    if kind == "unit":
        u, v, f = r.choice(UNITS)
        n = r.randrange(2, 51)
        return plain(
            r,
            kind,
            effort,
            CONVERT,
            dict(n=n, u=u, v=v),
            f"{n}{u}",
            f"{n}*{f}={n * f}.",
            f"1 {u[:-1]} is {f} {v}, so {n} {u} are {n}*{f}.",
            f"Check: {n * f}/{f}={n}.",
            f"{n} {u} are {n * f} {v}.",
        )
    if kind in ("weekday", "before"):
        i, n = r.randrange(7), r.randrange(1, 15)
        sign = 1 if kind == "weekday" else -1
        walk = [W.WEEKDAYS[(i + sign * k) % 7] for k in range(n + 1)]
        left = n % 7
        return plain(
            r,
            kind,
            effort,
            WEEKDAY if sign > 0 else WEEKDAY_BACK,
            dict(d=W.WEEKDAYS[i], n=n),
            f"{kind}{i},{n}",
            f"{n}-{n - left}={left}: " + " ".join(walk[: left + 1]) + ".",
            f"Seven days lead back to {W.WEEKDAYS[i]}, so {left} step{'' if left == 1 else 's'} count.",
            f"All days: {' '.join(walk)}.",
            walk[-1],
        )
    if kind == "today":
        date = f"{r.randrange(2024, 2031)}-{r.randrange(1, 13):02}-{r.randrange(1, 29):02}"
        s = plain(
            r,
            kind,
            effort,
            TODAY,
            {},
            f"date{date}",
            "The system message has the date.",
            f"It says {date}.",
            "I give that date and nothing else.",
            f"Today is {date}.",
        )
        s.date = date
        return s
    i = r.randrange(12)
    m = W.MONTHS[i]
    if kind == "next":
        a = W.MONTHS[(i + 1) % 12]
        return plain(
            r,
            kind,
            effort,
            NEXT_MONTH,
            dict(m=m),
            "",
            f"After {m}: {a}.",
            f"{m} is month {i + 1}.",
            f"Month {(i + 1) % 12 + 1} is {a}.",
            a,
        )
    if kind == "number":
        return plain(
            r,
            kind,
            effort,
            MONTH_NUMBER,
            dict(n=i + 1),
            "",
            f"{i + 1}: {m}.",
            "January is month 1.",
            "December is month 12.",
            m,
        )
    n = W.MONTH_DAYS[i]
    return plain(
        r,
        kind,
        effort,
        MONTH_LENGTH,
        dict(m=m),
        "",
        f"{m}: {n}.",
        f"{m} is month {i + 1}.",
        "Only February is shorter than 30 days.",
        f"{m} has {n} days." + (" In a leap year it has 29." if i == 1 else ""),
    )


CAPITAL = [
    "What is the capital of {c}?",
    "Which city is the capital of {c}?",
    "Name the capital of {c}.",
    "Tell me the capital of {c}.",
    "Capital of {c}?",
    "What's the capital of {c}?",
]
COUNTRY = [
    "{c} is the capital of which country?",
    "Which country has the capital {c}?",
    "Of which country is {c} the capital?",
]
CONTINENT = [
    "On which continent is {c}?",
    "Which continent is {c} on?",
    "Where is {c}, on which continent?",
    "Name the continent of {c}.",
]
FACT = ["{q}?", "{q}?", "{q}, please?", "{q}, do you know?", "{q}, can you tell me?"]


def fact_parts(r):
    """cores, values, subject, short answer, answer"""
    kind = r.random()
    if kind < 0.35:
        c = r.choice(list(W.CAPITALS))
        return CAPITAL, dict(c=c), f"the capital of {c}", W.CAPITALS[c], f"The capital of {c} is {W.CAPITALS[c]}."
    if kind < 0.45:
        c = r.choice(list(W.CAPITALS))
        return (
            COUNTRY,
            dict(c=W.CAPITALS[c]),
            f"the country of {W.CAPITALS[c]}",
            c,
            f"{W.CAPITALS[c]} is the capital of {c}.",
        )
    if kind < 0.55:
        k = r.choice(list(W.CONTINENTS))
        c = r.choice(W.CONTINENTS[k]) if r.random() < 0.9 else "Japan"
        k = next(k for k, v in W.CONTINENTS.items() if c in v)
        return CONTINENT, dict(c=c), f"the continent of {c}", k, f"{c} is in {k}."
    q = r.choice(list(W.FACTS))
    a = W.FACTS[q]
    return FACT, dict(q=q), "a fact", a, a[0].upper() + a[1:] + "."


def facts(r, effort):
    cores, values, subject, short, answer = fact_parts(r)
    return plain(
        r,
        "facts",
        effort,
        cores,
        values,
        "",
        f"{short}.",
        f"The user asks for {subject}.",
        "I know it, and one sentence is enough.",
        answer,
    )


def talk(r, effort):
    i = r.randrange(len(W.SMALL_TALK))
    wordings, about, answer = W.SMALL_TALK[i]
    return plain(
        r,
        f"talk{i}",
        effort,
        wordings,
        {},
        "",
        "Small talk.",
        f"It is about {about}.",
        "There is nothing to calculate and no function to call.",
        answer,
    )


def unknown(r, effort):
    thing = word(r)
    text, template = ask(r, "unknown", [u.replace("{}", "{t}") for u in W.UNKNOWN], t=thing)
    return Sample(
        "unknown",
        [template, f"unknown{thing}"],
        effort,
        [Message("user", text)],
        reply(
            think(effort, "I do not know that.", "It is not among my skills.", "I say so and do not invent an answer."),
            W.UNKNOWN_ANSWER,
        ),
    )
