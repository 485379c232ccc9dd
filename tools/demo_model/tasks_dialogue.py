"""Developer instructions, short and long, and remembering over turns."""

import json

import world as W
from conversation import Message, Sample
from grammar import grammar
from phrasing import ask, capitalised, fill, in_words, name_of_something, plain, quoted, reply, think, word
from tasks_numbers import arithmetic, ordering
from tasks_text import calendar, facts, known, strings, talk

# How an answer is changed: from its short and its full form.
STYLES = {
    "upper": ("capital letters", lambda short, full: full.upper()),
    "brief": ("a short answer", lambda short, full: short),
    "bold": ("bold", lambda short, full: f"**{full}**"),
    "json": ("JSON", lambda short, full: json.dumps({"answer": short}, ensure_ascii=False)),
    "bullet": ("a list", lambda short, full: f"- {full}"),
    "lower": ("small letters", lambda short, full: full.lower()),
}
MARKS = ["Over", "Sir", "Ahoy", "Done", "Well", "Indeed", "Captain", "Amen", "Okay", "Boss", "Friend", "Hooray"]
KEEP = ("German", "French", "Spanish", "JSON", "Markdown")


def sentences(r, task, many):
    """Sentences of a policy: names, numbers and things that do not matter."""
    out = []
    for _ in range(many):
        text = grammar("policy").draw(r, task)
        values = dict(n=r.choice(W.NAMES), w=word(r), d=r.choice(W.WEEKDAYS), h=str(r.randrange(1, 24)), y=str(r.randrange(1980, 2030)))
        out.append(fill(capitalised(text), values))
    return out


def written(r, task, **values):
    """An instruction as a developer writes it."""
    text = grammar("dialogue").draw(r, task)
    case = r.random()
    text = capitalised(text) if case < 0.8 else text.upper() if case < 0.84 and task in ("upper", "lower", "brief") else text
    return fill(text.rstrip(".") if r.random() < 0.1 else text, values), f"instruct/{task}/{text}"


def surrounded(r, instruction, long=None):
    """The instruction alone, after or before a role, or somewhere in a long policy of up to some 1500 tokens."""
    kind = r.random() if long is None else long
    if kind < 0.5:
        return instruction
    if kind < 0.74:
        role = written(r, "plain")[0]
        join = r.choice([" ", " ", "\n", "\n\n"])
        role += "" if role[-1] in ".!" or join != " " else "."
        return role + join + instruction if r.random() < 0.75 else instruction + (join if instruction[-1:] in ".!" or join != " " else ". ") + role
    many = r.choice([3, 5, 8, 12]) if kind < 0.87 else r.choice([20, 40, 60, 90, 125])
    lines = sentences(r, "sentence", many)
    for _ in range(many // 12):
        lines.insert(r.randrange(len(lines)), "\n" + sentences(r, "heading", 1)[0] + "\n")
    lines.insert(r.choice([0, len(lines), r.randrange(len(lines) + 1)]), instruction)
    if r.random() < 0.25:
        return "\n".join(("- " if line[:1] != "\n" else "") + line for line in lines if line)
    return r.choice([" ", " ", "\n"]).join(line for line in lines if line)


def question(r):
    """((question, wording), subject, short answer, answer) of something that an instruction changes."""
    if r.random() < 0.8:
        return known(r)
    s = r.choice([arithmetic, strings, calendar])(r, "low")
    while s.date or s.task.startswith("story") or s.task in ("upper", "today") or len(s.keys) < 2:
        s = r.choice([arithmetic, strings, calendar])(r, "low")
    answer = s.answer().content
    short = {"add": " = ", "subtract": " = ", "multiply": " = ", "divide": " = ", "unit": " are "}.get(s.task)
    if s.task in ("count", "occur"):
        short = next(w for w in answer.split() if w.isdigit())
    else:
        short = answer.split(short)[1].rstrip(".") if short else answer
    return (s.context[0].content, s.keys[0]), s.reply[0].content.rstrip("."), short, answer


def instructed(r, effort):
    kind = r.random()
    if kind < 0.3:
        g = r.choice(list(W.SAY_ABROAD))
        if r.random() < 0.25:
            text, wording = ask(r, "talk", "greet", frame=False)
            answer, subject = W.HELLO_ABROAD[g], "greets"
        else:
            c = r.choice(list(W.ABROAD))
            text, wording = ask(r, "facts", "capital", fold="c", c=c)
            answer, subject = W.SAY_ABROAD[g].format(*W.ABROAD[c][list(W.SAY_ABROAD).index(g)].split(":")), f"asks for the capital of {c}"
        instruction, key = written(r, "language", g=g)
        note, steps, check, task = f"{g}.", f"The user {subject}.", f"The developer wants {g}, so I write one sentence in {g}.", "language"
    else:
        (text, wording), subject, short, full = question(r)
        steps = f"The user asks for {subject}." if " " in subject and subject[0] in "at" else f"{subject}."
        if kind < 0.7:
            style = r.choice(list(STYLES))
            name, change = STYLES[style]
            instruction, key = written(r, style)
            answer, task = change(short, full), "style"
            note = f"In {name}: {short}." if style != "brief" else f"Short: {short}."
            check = f"The developer wants {name}."
        else:
            mark, after = r.choice(MARKS), r.random() < 0.5
            instruction, key = written(r, "after" if after else "before", x=mark)
            answer, task = (f"{full} {mark}" if after else f"{mark} {full}"), "mark"
            note = f"{short}, {mark} {'last' if after else 'first'}."
            check = f"The developer wants {mark} {'after' if after else 'before'} the answer."
    s = Sample(task, [wording, key, f"{task}{instruction}{text}"], effort, [Message("user", text)], reply(think(effort, note, steps, check), answer))
    s.instructions = surrounded(r, instruction)
    return s


def instructed_plainly(r):
    """Instructions that leave the answer as it is."""
    return surrounded(r, written(r, "plain")[0]) if r.random() < 0.85 else surrounded(r, "", r.uniform(0.75, 1))


# What is told: how it is confirmed, and how it is said when it is asked for; what values it has.
TELL = {
    "name": ("Nice to meet you, {x}.", "Your name is {x}.", lambda r: r.choice(W.NAMES) if r.random() < 0.6 else name_of_something(r)),
    "number": ("I will remember {x}.", "The number is {x}.", lambda r: str(r.randrange(1000))),
    "color": ("{x} is a nice color.", "Your favorite color is {x}.", lambda r: r.choice(W.COLORS)),
    "city": ("I hear that {x} is a nice place.", "You live in {x}.", lambda r: r.choice(W.CITIES) if r.random() < 0.7 else name_of_something(r)),
    "pet": ("{x} is a good name.", "Your pet is called {x}.", name_of_something),
}


def told(kind, x):
    said = TELL[kind][0].format(x=x)
    return said[0].upper() + said[1:]


def telling(r, kind, x):
    shown = x.capitalize() if kind == "color" and r.random() < 0.2 else quoted(r, x, 0.93)
    if kind == "number" and r.random() < 0.06:
        shown = in_words(int(x))
    text, wording = ask(r, "dialogue", f"tell {kind}", frame=r.random() < 0.3, fold="x" if kind in ("name", "city", "pet") else "", x=shown)
    return (text[0].upper() + text[1:] if wording.startswith("{x}") and kind == "color" else text), wording


SHORT = [arithmetic, ordering, strings, calendar, facts, talk]


def turn(r, effort):
    s = r.choice(SHORT)(r, "low")
    if s.date:
        return turn(r, effort)
    return [s.context[-1], Message("assistant", s.answer().content, "final")]


def memory(r, effort):
    kind = r.choice(list(TELL))
    x = TELL[kind][2](r)
    text, wording = telling(r, kind, x)
    if r.random() < 0.25:  # the telling itself
        return plain("told", effort, (text, wording), f"{kind} {x}", f"{kind}: {x}.", f"The user tells me the {kind}.",
                     "There is no question, so I confirm it.", told(kind, x))  # fmt: skip
    context = [Message("user", text), Message("assistant", told(kind, x), "final")]
    known_kinds = {kind}
    for _ in range(r.choice([0, 1, 1, 2, 3])):
        if r.random() < 0.45:  # something else to remember
            other = r.choice([k for k in TELL if k != kind])
            y = TELL[other][2](r)
            more = [Message("user", telling(r, other, y)[0]), Message("assistant", told(other, y), "final")]
            known_kinds.add(other)
        else:
            more = turn(r, effort)
        context = more + context if r.random() < 0.3 else context + more
    if r.random() < 0.12:  # never told
        context = [m for _ in range(r.choice([0, 1, 2])) for m in turn(r, effort)]
        if r.random() < 0.5:
            other = r.choice([k for k in TELL if k != kind])
            y = TELL[other][2](r)
            context += [Message("user", telling(r, other, y)[0]), Message("assistant", told(other, y), "final")]
        text, wording = ask(r, "dialogue", f"recall {kind}")
        s = plain("not_told", effort, (text, wording), "", f"No {kind} told.", f"The user wants the {kind}.",
                  "The conversation does not have it, so I say that.", "You have not told me that yet.")  # fmt: skip
        s.context = context + s.context
        return s
    recall, wording2 = ask(r, "dialogue", f"recall {kind}")
    s = plain("memory", effort, (recall, wording2), f"{kind} {x}", f"{kind}: {x}.", f"The user wants the {kind}.",
              f"Earlier the user said: {text.strip()}", TELL[kind][1].format(x=x))  # fmt: skip
    s.keys.append(wording)
    s.context = context + s.context
    return s
