"""The tasks: each draws a question and writes the reasoning and the answer that the model shall learn.

Every answer follows from its context alone, so that one text is right. A question is a phrasing ("core") within a frame
of politeness; (task, core, frame) and the values are the keys by which samples are held out (see split.py).
The reasoning grows strictly with the effort: low is a note, medium the steps, high the steps and a check.
"""

import json

import world as W
from conversation import Function, Message, Sample

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
        text = text.lower() if text.isascii() and not any(isinstance(v, str) and v != v.lower() for v in values.values()) else text
    elif plain < 0.16:
        text = text.rstrip("?.!")
    return text, f"{task}/{core}/{FRAMES[frame]}"


def think(effort, note, steps, check):
    return {"low": note, "medium": f"{steps} {note}", "high": f"{steps} {note} {check}"}[effort]


def reply(reasoning, answer):
    return [Message("assistant", reasoning, "analysis"), Message("assistant", answer, "final")]


def plain(r, task, effort, cores, values, key, note, steps, check, answer):
    text, template = ask(r, task, cores, **values)
    return Sample(task, [template, key] if key else [template], effort, [Message("user", text)],
                  reply(think(effort, note, steps, check), answer))


# --- arithmetic ---

def digits(n):
    return [int(d) for d in str(n)][::-1]


def add_steps(a, b):
    x, y, carry, out = digits(a), digits(b), 0, []
    for i in range(max(len(x), len(y))):
        p, q = x[i] if i < len(x) else 0, y[i] if i < len(y) else 0
        total = p + q + carry
        out.append(f"{p}+{q}{f'+{carry}' if carry else ''}={total}")
        carry = total // 10
    return ", ".join(out) + f": {a + b}."


def subtract_steps(a, b):
    if a < b:
        return f"{a} is less than {b}. {b}-{a}: {subtract_steps(b, a)} So -{b - a}."
    x, y, borrow, out = digits(a), digits(b), 0, []
    for i in range(len(x)):
        p, q = x[i] - borrow, y[i] if i < len(y) else 0
        borrow = int(p < q)
        out.append(f"{p + 10 * borrow}-{q}={p + 10 * borrow - q}")
    return ", ".join(out) + f": {a - b}."


ADD = ["What is {a} + {b}?", "What is {a} plus {b}?", "Add {a} and {b}.", "Calculate {a} + {b}.", "{a} + {b} = ?", "{a}+{b}",
       "Compute the sum of {a} and {b}.", "How much is {a} plus {b}?", "What do you get if you add {b} to {a}?"]
SUBTRACT = ["What is {a} - {b}?", "What is {a} minus {b}?", "Subtract {b} from {a}.", "Calculate {a} - {b}.", "{a} - {b} = ?",
            "{a}-{b}", "How much is {a} minus {b}?", "Take {b} away from {a}."]
MULTIPLY = ["What is {a} * {b}?", "What is {a} times {b}?", "Multiply {a} by {b}.", "Calculate {a} * {b}.", "{a} * {b} = ?",
            "{a}*{b}", "How much is {a} times {b}?", "Compute the product of {a} and {b}.", "What is {a} x {b}?"]
DIVIDE = ["What is {a} / {b}?", "What is {a} divided by {b}?", "Divide {a} by {b}.", "Calculate {a} / {b}.", "{a} / {b} = ?",
          "{a}/{b}", "How much is {a} divided by {b}?", "How often does {b} fit into {a}?"]
STORIES = ["{n} has {a} {w}s and gets {b} more. How many {w}s does {n} have?", "There are {a} {w}s here and {b} {w}s there. How many are there in all?",
           "{n} had {a} {w}s and gave away {b}. How many are left?", "Of {a} {w}s {n} sold {b}. How many {w}s remain?"]


def number(r):
    return r.randrange(10) if r.random() < 0.2 else r.randrange(100)


def arithmetic(r, effort):
    kind = r.choices("+-*/s", [5, 5, 6, 3, 2])[0]
    if kind == "/":
        b, q = r.randrange(2, 13), r.randrange(0, 50)
        a = b * q + (r.randrange(b) if r.random() < 0.3 else 0)
        if a > 99:
            a = a % 100
        q, m = divmod(a, b)
        rest = f", {a}-{b * q}={m}" if m else ""
        answer = f"{a} / {b} = {q}" + (f" remainder {m}." if m else ".")
        return plain(r, "divide", effort, DIVIDE, dict(a=a, b=b), f"/{a},{b}", f"{q}*{b}={b * q}{rest}.",
                     f"{q + 1}*{b}={b * q + b} is more than {a}.", f"Check: {b * q}+{m}={a}.", answer)
    a, b = number(r), number(r)
    if kind == "s":
        core = r.randrange(4)
        if core >= 2 and a < b:
            a, b = b, a
        total = a + b if core < 2 else a - b
        sign = "+" if core < 2 else "-"
        steps = add_steps(a, b) if core < 2 else subtract_steps(a, b)
        check = f"Check: {total}-{b}={a}." if core < 2 else f"Check: {total}+{b}={a}."
        values = dict(a=a, b=b, n=r.choice(W.NAMES), w=r.choice(["apple", "pear", "book", "coin", "stone", "stamp", "card", "shell"]))
        return plain(r, f"story{core}", effort, [STORIES[core]], values, f"+{min(a, b)},{max(a, b)}" if core < 2 else f"-{a},{b}", f"{a}{sign}{b}={total}.", steps, check, f"{total}.")
    if kind == "+":
        if r.random() < 0.1:
            a = r.randrange(1000)
        return plain(r, "add", effort, ADD, dict(a=a, b=b), f"+{min(a, b)},{max(a, b)}", f"{a}+{b}={a + b}.", add_steps(a, b),
                     f"Check: {a + b}-{b}={a}.", f"{a} + {b} = {a + b}.")
    if kind == "-":
        if a < b and r.random() < 0.6:
            a, b = b, a
        return plain(r, "subtract", effort, SUBTRACT, dict(a=a, b=b), f"-{a},{b}", f"{a}-{b}={a - b}.", subtract_steps(a, b),
                     f"Check: {a - b}+{b}={a}.", f"{a} - {b} = {a - b}.")
    tens, ones = b // 10 * 10, b % 10
    if tens and ones:
        parts = f"{a}*{tens}={a * tens}, {a}*{ones}={a * ones}"
        note = f"{parts}, {a * tens}+{a * ones}={a * b}." if effort == "low" else f"{a}*{b}={a * b}."
        steps = f"{parts}. {a * tens}+{a * ones}: {add_steps(a * tens, a * ones)}"
    else:
        note, steps = f"{a}*{b}={a * b}.", f"One factor is {'zero' if not ones else 'a single digit'}{' at the end' if not ones and tens else ''}."
    check = f"Check: {b}*{a} ends in {b % 10 * (a % 10) % 10}, and so does {a * b}."
    return plain(r, "multiply", effort, MULTIPLY, dict(a=a, b=b), f"*{min(a, b)},{max(a, b)}", note, steps, check, f"{a} * {b} = {a * b}.")


# --- comparing and sorting ---

COMPARE = ["Which is larger, {a} or {b}?", "Which number is larger: {a} or {b}?", "Compare {a} and {b}.", "What is the larger of {a} and {b}?",
           "Is {a} or {b} larger?", "Which is bigger, {a} or {b}?", "Tell me the bigger number: {a} or {b}."]
EXTREME = ["What is the {w} of {x}?", "Find the {w} of {x}.", "Which of {x} is the {w}?", "Give me the {w} of {x}.", "The {w} of {x}?"]
SORT = ["Sort {x}.", "Sort these numbers: {x}.", "Put {x} in ascending order.", "Order these numbers from smallest to largest: {x}.",
        "Arrange {x} from small to large.", "Sort {x} in ascending order.", "Please sort the list {x}.", "Sort the numbers {x}."]
SORT_DOWN = ["Sort {x} in descending order.", "Put {x} in descending order.", "Order these numbers from largest to smallest: {x}.",
             "Arrange {x} from large to small.", "Sort {x} from largest to smallest.", "List {x}, largest first."]
SORT_WORDS = ["Sort these words: {x}.", "Put the words {x} in alphabetical order.", "Sort {x} by alphabet.", "Order {x} alphabetically.",
              "Arrange these words by alphabet: {x}.", "Alphabetical order of {x}?"]


def selection(values):
    left, out = list(values), []
    while left:
        out.append(f"{' '.join(map(str, left))}: {left[0] if len(left) == 1 else min(left)}")
        left.remove(min(left))
    return "; ".join(out) + "."


def ordering(r, effort):
    kind = r.choices(["compare", "extreme", "sort", "words"], [2, 2, 5, 3])[0]
    if kind == "compare":
        a, b = r.sample(range(100 if r.random() < 0.7 else 1000), 2)
        return plain(r, "compare", effort, COMPARE, dict(a=a, b=b), f"cmp{a},{b}", f"{max(a, b)} > {min(a, b)}.",
                     f"The numbers are {a} and {b}; the larger one is {max(a, b)}.", f"Check: {max(a, b)}-{min(a, b)} is {abs(a - b)}, above zero.",
                     f"{max(a, b)} is larger than {min(a, b)}.")
    if kind == "words":
        words, letters = [], set()
        while len(words) < (r.randrange(2, 6)):
            w = r.choice(W.WORDS)
            if w[0] not in letters:
                words.append(w), letters.add(w[0])
        order = sorted(words)
        return plain(r, "sort_words", effort, SORT_WORDS, dict(x=", ".join(words)), "words" + ",".join(words),
                     f"{''.join(w[0] for w in words)}: {''.join(w[0] for w in order)}.",
                     "First letters: " + ", ".join(f"{w[0]} {w}" for w in words) + ".",
                     "In order: " + ", ".join(f"{w[0]} {w}" for w in order) + ".", ", ".join(order))
    values = r.sample(range(100), r.randrange(3, 7))
    text = ", ".join(map(str, values))
    key = "list" + text
    if kind == "extreme":
        word, value = r.choice([("largest", max(values)), ("smallest", min(values))])
        running, seen = [], values[0]
        for v in values[1:]:
            seen = max(seen, v) if word == "largest" else min(seen, v)
            running.append(seen)
        return plain(r, "extreme", effort, EXTREME, dict(x=text, w=word), key, f"{word}: {value}.",
                     f"Start with {values[0]}: " + " ".join(map(str, running)) + ".", f"Check: no other number is {'larger' if word == 'largest' else 'smaller'} than {value}.",
                     f"The {word} is {value}.")
    up = sorted(values)
    down = r.random() < 0.35
    answer = ", ".join(map(str, up[::-1] if down else up))
    check = f"Check: {len(values)} numbers in, {len(values)} numbers out. The smallest is {up[0]}, the largest {up[-1]}."
    if down:
        return plain(r, "sort_down", effort, SORT_DOWN, dict(x=text), key, f"Up: {' '.join(map(str, up))}.", selection(values), check, answer)
    return plain(r, "sort", effort, SORT, dict(x=text), key, f"{' '.join(map(str, up))}.", selection(values), check, answer)


# --- strings ---

SPELL = ["Spell {w}.", "Spell the word {w}.", "How do you spell {w}?", "Write {w} letter by letter.", "What are the letters of {w}?", "Spell out {w}."]
REVERSE = ["Reverse {w}.", "Reverse the word {w}.", "Write {w} backwards.", "What is {w} backwards?", "Spell {w} from back to front.", "Turn {w} around."]
COUNT = ["How many letters does {w} have?", "Count the letters of {w}.", "How long is the word {w}?", "Number of letters in {w}?", "What is the length of {w}?"]
FIRST = ["What is the first letter of {w}?", "Which letter does {w} begin with?", "First letter of {w}?", "Tell me the first letter of {w}."]
LAST = ["What is the last letter of {w}?", "Which letter does {w} end with?", "Last letter of {w}?", "Tell me the last letter of {w}."]
OCCUR = ["How many times does {c} occur in {w}?", "How often is the letter {c} in {w}?", "Count the {c} in {w}.", "How many {c} are in {w}?"]
UPPER = ["Write {w} in capital letters.", "Uppercase {w}.", "Write {w} in uppercase.", "Turn {w} into capitals."]
VOWELS, CONSONANTS = "aeiou", "bcdfghjklmnprstvwz"


def word(r):
    if r.random() < 0.45:
        return r.choice(W.WORDS)
    out = ""
    for _ in range(r.randrange(2, 5)):
        out += r.choice([r.choice(CONSONANTS) + r.choice(VOWELS), r.choice(VOWELS) + r.choice(CONSONANTS)])
    return out[: r.randrange(3, 9)]


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
        return plain(r, kind, effort, REVERSE, values, key, f"{spaced}, back: {' '.join(back)}.", f"Letters: {numbered}",
                     f"{check} First {back[0]}, last {back[-1]}.", back)
    if kind == "count":
        return plain(r, kind, effort, COUNT, values, key, f"{spaced}: {len(w)}.", f"Count: {numbered}", f"Check: the last one is number {len(w)}.",
                     f"{w} has {len(w)} letters.")
    if kind in ("first", "last"):
        c = w[0] if kind == "first" else w[-1]
        return plain(r, kind, effort, FIRST if kind == "first" else LAST, values, key, f"{spaced}.", f"The {kind} letter is {c}.", check, c)
    if kind == "upper":
        return plain(r, kind, effort, UPPER, values, key, f"{spaced}: {' '.join(w.upper())}.", f"Letters: {numbered}", check, w.upper())
    c = r.choice(w) if r.random() < 0.75 else r.choice(VOWELS + CONSONANTS)
    n = w.count(c)
    marks = " ".join(f"{x}{w[: i + 1].count(c)}" for i, x in enumerate(w))
    return plain(r, kind, effort, OCCUR, dict(w=w, c=c), key + c, f"{marks}: {n}.", f"The word is {w}, the letter is {c}.", f"{check} Of them {n} are {c}.",
                 f"{c} occurs {n} time{'' if n == 1 else 's'} in {w}.")


# --- dates and units ---

UNITS = [("meters", "centimeters", 100), ("kilometers", "meters", 1000), ("kilograms", "grams", 1000), ("hours", "minutes", 60),
         ("minutes", "seconds", 60), ("days", "hours", 24), ("weeks", "days", 7), ("years", "months", 12), ("centimeters", "millimeters", 10)]
CONVERT = ["How many {v} are {n} {u}?", "Convert {n} {u} to {v}.", "What is {n} {u} in {v}?", "{n} {u} in {v}?", "Express {n} {u} in {v}.", "How many {v} are in {n} {u}?"]
WEEKDAY = ["What day is {n} days after {d}?", "Today is {d}. What day is it in {n} days?", "Which weekday comes {n} days after {d}?", "If today is {d}, which day is it in {n} days?"]
WEEKDAY_BACK = ["What day was {n} days before {d}?", "Today is {d}. What day was it {n} days ago?", "Which weekday is {n} days before {d}?"]
NEXT_MONTH = ["Which month comes after {m}?", "What month follows {m}?", "What is the month after {m}?", "Name the month after {m}."]
MONTH_LENGTH = ["How many days does {m} have?", "How many days are in {m}?", "How long is {m} in days?", "Number of days in {m}?"]
MONTH_NUMBER = ["Which month is number {n}?", "What is month number {n}?", "Name month {n} of the year."]
TODAY = ["What is the date today?", "What is today's date?", "Which date is it?", "What day is it today?", "Tell me the date.", "Today's date?"]


def calendar(r, effort):
    kind = r.choice(["unit", "unit", "weekday", "weekday", "before", "next", "length", "number", "today"])
    if kind == "unit":
        u, v, f = r.choice(UNITS)
        n = r.randrange(2, 51)
        return plain(r, kind, effort, CONVERT, dict(n=n, u=u, v=v), f"{n}{u}", f"{n}*{f}={n * f}.", f"1 {u[:-1]} is {f} {v}, so {n} {u} are {n}*{f}.",
                     f"Check: {n * f}/{f}={n}.", f"{n} {u} are {n * f} {v}.")
    if kind in ("weekday", "before"):
        i, n = r.randrange(7), r.randrange(1, 15)
        sign = 1 if kind == "weekday" else -1
        walk = [W.WEEKDAYS[(i + sign * k) % 7] for k in range(n + 1)]
        left = n % 7
        return plain(r, kind, effort, WEEKDAY if sign > 0 else WEEKDAY_BACK, dict(d=W.WEEKDAYS[i], n=n), f"{kind}{i},{n}",
                     f"{n}-{n - left}={left}: " + " ".join(walk[: left + 1]) + ".", f"Seven days lead back to {W.WEEKDAYS[i]}, so {left} step{'' if left == 1 else 's'} count.",
                     f"All days: {' '.join(walk)}.", walk[-1])
    if kind == "today":
        date = f"{r.randrange(2024, 2031)}-{r.randrange(1, 13):02}-{r.randrange(1, 29):02}"
        s = plain(r, kind, effort, TODAY, {}, f"date{date}", "The system message has the date.", f"It says {date}.", "I give that date and nothing else.", f"Today is {date}.")
        s.date = date
        return s
    i = r.randrange(12)
    m = W.MONTHS[i]
    if kind == "next":
        a = W.MONTHS[(i + 1) % 12]
        return plain(r, kind, effort, NEXT_MONTH, dict(m=m), "", f"After {m}: {a}.", f"{m} is month {i + 1}.", f"Month {(i + 1) % 12 + 1} is {a}.", a)
    if kind == "number":
        return plain(r, kind, effort, MONTH_NUMBER, dict(n=i + 1), "", f"{i + 1}: {m}.", "January is month 1.", "December is month 12.", m)
    n = W.MONTH_DAYS[i]
    return plain(r, kind, effort, MONTH_LENGTH, dict(m=m), "", f"{m}: {n}.", f"{m} is month {i + 1}.", "Only February is shorter than 30 days.",
                 f"{m} has {n} days." + (" In a leap year it has 29." if i == 1 else ""))


# --- facts and talk ---

CAPITAL = ["What is the capital of {c}?", "Which city is the capital of {c}?", "Name the capital of {c}.", "Tell me the capital of {c}.", "Capital of {c}?", "What's the capital of {c}?"]
COUNTRY = ["{c} is the capital of which country?", "Which country has the capital {c}?", "Of which country is {c} the capital?"]
CONTINENT = ["On which continent is {c}?", "Which continent is {c} on?", "Where is {c}, on which continent?", "Name the continent of {c}."]
FACT = ["{q}?", "{q}?", "{q}, please?", "{q}, do you know?", "{q}, can you tell me?"]


def fact_parts(r):
    """cores, values, subject, short answer, answer"""
    kind = r.random()
    if kind < 0.35:
        c = r.choice(list(W.CAPITALS))
        return CAPITAL, dict(c=c), f"the capital of {c}", W.CAPITALS[c], f"The capital of {c} is {W.CAPITALS[c]}."
    if kind < 0.45:
        c = r.choice(list(W.CAPITALS))
        return COUNTRY, dict(c=W.CAPITALS[c]), f"the country of {W.CAPITALS[c]}", c, f"{W.CAPITALS[c]} is the capital of {c}."
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
    return plain(r, "facts", effort, cores, values, "", f"{short}.", f"The user asks for {subject}.", "I know it, and one sentence is enough.", answer)


def talk(r, effort):
    i = r.randrange(len(W.SMALL_TALK))
    wordings, about, answer = W.SMALL_TALK[i]
    return plain(r, f"talk{i}", effort, wordings, {}, "", "Small talk.", f"It is about {about}.", "There is nothing to calculate and no function to call.", answer)


def unknown(r, effort):
    thing = word(r)
    text, template = ask(r, "unknown", [u.replace("{}", "{t}") for u in W.UNKNOWN], t=thing)
    return Sample("unknown", [template, f"unknown{thing}"], effort, [Message("user", text)],
                  reply(think(effort, "I do not know that.", "It is not among my skills.", "I say so and do not invent an answer."), W.UNKNOWN_ANSWER))


# --- developer instructions ---

STYLES = [
    (["Answer in capital letters.", "Write everything in uppercase.", "Use capital letters only.", "Shout: answer in capitals."], "capital letters", lambda short, full: full.upper()),
    (["Answer with one word.", "Answer as briefly as possible.", "Give only the answer, no sentence.", "Be as short as you can."], "a short answer", lambda short, full: short),
    (["Answer in bold.", "Write the answer in bold Markdown.", "Use bold text."], "bold", lambda short, full: f"**{full}**"),
    (["Answer as a JSON object with the key answer.", "Reply in JSON with one key, answer.", "Put the answer into JSON under the key answer."], "JSON",
     lambda short, full: json.dumps({"answer": short})),
    (["Answer as a bullet point.", "Use a Markdown list.", "Write the answer as a list item."], "a list", lambda short, full: f"- {full}"),
    (["Answer in lowercase.", "Do not use capital letters.", "Write everything in small letters."], "small letters", lambda short, full: full.lower()),
]
SUFFIX = ["End every answer with {x}.", "Always finish with {x}.", "The last word of your answer must be {x}.", "Put {x} after every answer."]
PREFIX = ["Begin every answer with {x}.", "Always start with {x}.", "The first word of your answer must be {x}.", "Put {x} before every answer."]
MARKS = ["Over", "Sir", "Ahoy", "Done", "Well", "Indeed", "Captain", "Amen", "Okay", "Boss", "Friend", "Hooray"]
LANGUAGE = ["Answer in {g}.", "Always answer in {g}.", "Reply in {g}.", "Speak {g}.", "Use {g} only.", "The user reads {g}: answer in {g}."]


def instructed(r, effort):
    kind = r.random()
    if kind < 0.3:
        i = r.randrange(3)
        g = ["German", "French", "Spanish"][i]
        core = r.randrange(len(LANGUAGE))
        if r.random() < 0.25:
            text, template = ask(r, "greet", W.SMALL_TALK[1][0])
            answer, subject = W.HELLO_ABROAD[g], "greets"
        else:
            c = r.choice(list(W.ABROAD))
            text, template = ask(r, "facts", CAPITAL, c=c)
            answer, subject = W.SAY_ABROAD[g].format(*W.ABROAD[c][i].split(":")), f"asks for the capital of {c}"
        s = Sample("language", [template, f"language{core}{template}"], effort, [Message("user", text)],
                   reply(think(effort, f"{g}.", f"The user {subject}.", f"The developer wants {g}, so I write one sentence in {g}."), answer))
        s.instructions = LANGUAGE[core].format(g=g)
        return s
    cores, values, subject, short, full = fact_parts(r)
    text, template = ask(r, "facts", cores, **values)
    if kind < 0.7:
        i = r.randrange(len(STYLES))
        wordings, name, style = STYLES[i]
        instruction, answer, task = r.choice(wordings), style(short, full), "style"
        note = f"In {name}: {short}." if name != "a short answer" else f"Short: {short}."
        check = f"The developer wants {name}."
    else:
        mark = r.choice(MARKS)
        after = r.random() < 0.5
        instruction = r.choice(SUFFIX if after else PREFIX).format(x=mark)
        answer, task = (f"{full} {mark}" if after else f"{mark} {full}"), "mark"
        note, check = f"{short}, {mark} {'last' if after else 'first'}.", f"The developer wants {mark} {'after' if after else 'before'} the answer."
    s = Sample(task, [template, f"{instruction}{values}"], effort, [Message("user", text)],
               reply(think(effort, note, f"The user asks for {subject}.", check), answer))
    s.instructions = instruction
    return s


# --- memory over turns ---

TELL = [
    ("name", ["My name is {x}.", "I am {x}.", "Call me {x}.", "You can call me {x}."], "Nice to meet you, {x}.",
     ["What is my name?", "Do you remember my name?", "What am I called?", "Who am I?", "Tell me my name."], "Your name is {x}.", lambda r: r.choice(W.NAMES)),
    ("number", ["My lucky number is {x}.", "Remember the number {x}.", "Keep {x} in mind.", "The number is {x}."], "I will remember {x}.",
     ["What is my number?", "Which number did I tell you?", "Do you remember the number?", "What was the number?"], "The number is {x}.", lambda r: str(r.randrange(1000))),
    ("color", ["My favorite color is {x}.", "I like {x} best.", "I love the color {x}.", "The color I like is {x}."], "{x} is a nice color.",
     ["What is my favorite color?", "Which color do I like?", "Do you remember my color?", "What color do I like best?"], "Your favorite color is {x}.", lambda r: r.choice(W.COLORS)),
    ("city", ["I live in {x}.", "My home is {x}.", "My home town is {x}.", "I come from {x}."], "I hear that {x} is a nice place.",
     ["Where do I live?", "In which city do I live?", "Do you remember my home?", "Which city is my home?"], "You live in {x}.", lambda r: r.choice(W.CITIES)),
    ("pet", ["My pet is called {x}.", "I have a pet called {x}.", "My dog is called {x}.", "My cat is called {x}."], "{x} is a good name.",
     ["What is my pet called?", "Do you remember my pet?", "What is the name of my pet?", "Tell me my pet's name."], "Your pet is called {x}.",
     lambda r: word(r).capitalize()),
]


def told(i, x):
    said = TELL[i][2].format(x=x)
    return said[0].upper() + said[1:]


def memory(r, effort):
    i = r.randrange(len(TELL))
    kind, tell, said, questions, answer, draw = TELL[i]
    x = draw(r)
    text, template = ask(r, f"tell {kind}", tell, x=x)
    if r.random() < 0.25:  # the telling itself
        return Sample("told", [template, f"{kind} {x}"], effort, [Message("user", text)],
                      reply(think(effort, f"{kind}: {x}.", f"The user tells me the {kind}.", "There is no question, so I confirm it."), told(i, x)))
    context = [Message("user", text), Message("assistant", told(i, x), "final")]
    for _ in range(r.choice([0, 1, 1, 2])):
        if r.random() < 0.4:  # something else to remember
            j = r.choice([j for j in range(len(TELL)) if j != i])
            y = TELL[j][5](r)
            context += [Message("user", ask(r, "tell", TELL[j][1], x=y)[0]), Message("assistant", told(j, y), "final")]
        else:
            context += turn(r, effort)
    if r.random() < 0.12:  # never told
        context = [m for m in context if x not in m.content][:2] or []
        if len(context) == 1 or any(told(i, "")[:6] in m.content for m in context):
            context = []
        question, template = ask(r, f"recall {kind}", questions)
        return Sample("not_told", [template], effort, context + [Message("user", question)],
                      reply(think(effort, f"No {kind} told.", f"The user wants the {kind}.", "The conversation does not have it, so I say that."),
                            f"You have not told me that yet."))
    question, template2 = ask(r, f"recall {kind}", questions)
    return Sample("memory", [template, template2, f"{kind} {x}"], effort, context + [Message("user", question)],
                  reply(think(effort, f"{kind}: {x}.", f"The user wants the {kind}.", f"Earlier the user said: {text.split('! ')[-1]}"), answer.format(x=x)))


SHORT = [arithmetic, ordering, strings, calendar, facts, talk]


def turn(r, effort):
    s = r.choice(SHORT)(r, "low")
    if s.date:
        return turn(r, effort)
    return [s.context[-1], Message("assistant", s.answer().content, "final")]


# --- functions ---

def text_argument(description):
    return {"type": "string", "description": description}


class Family:
    def __init__(self, names, descriptions, arguments, cores, draw, results, refusal):
        self.names, self.descriptions, self.arguments = names, descriptions, arguments
        self.cores, self.draw, self.results, self.refusal = cores, draw, results, refusal


def weather_result(r, a):
    t, c = r.randrange(-15, 40), r.choice(["sunny", "cloudy", "rainy", "windy", "snowy", "foggy", "clear", "stormy"])
    unit = a.get("unit", "celsius")
    return {"temperature": t, "unit": unit, "condition": c}, f"It is {t} degrees {unit} and {c} in {a['city']}."


def calculation(r):
    a, b, op = r.randrange(10, 5000), r.randrange(10, 1000), r.choice("+-*")
    return dict(expression=f"{a} {op} {b}")


def calculation_result(r, a):
    value = eval(a["expression"])  # made by calculation()
    return {"result": value}, f"{a['expression']} = {value}."


def lookup_result(r, a):
    w = [r.choice(W.WORDS) for _ in range(2)]
    said = r.choice([f"{a['topic']} is related to {w[0]} and {w[1]}.", f"A {a['topic']} can be found near a {w[0]}.", f"{a['topic']} is another word for {w[0]}."])
    return {"summary": said}, said[0].upper() + said[1:]


def clock_result(r, a):
    t = f"{r.randrange(24):02}:{r.randrange(60):02}"
    return {"time": t}, f"It is {t} in {a['city']}."


def translate_result(r, a):
    said = " ".join(word(r) for _ in range(2))
    return {"translation": said}, f"In {a['language']}: {said}."


CITY = ["city", "location", "place", "town"]
FAMILIES = {
    "weather": Family(["get_weather", "current_weather", "get_current_weather", "weather", "weather_now"],
                      ["Gets the current weather.", "Returns the weather of a place.", "The weather at this moment."],
                      {"city": (CITY, text_argument("The city")), "unit": (["unit"], {"type": "string", "enum": ["celsius", "fahrenheit"]})},
                      ["What is the weather in {city}?", "How is the weather in {city}?", "What's the weather like in {city}?", "Is it warm in {city}?", "Tell me the weather in {city}.",
                       "Weather in {city}?", "Do I need an umbrella in {city}?", "How warm is it in {city}?"],
                      lambda r: dict(city=r.choice(W.CITIES) if r.random() < 0.6 else word(r).capitalize()), weather_result, "the weather"),
    "calculator": Family(["calculator", "calculate", "compute", "evaluate"], ["Evaluates an arithmetic expression.", "Calculates exactly.", "A pocket calculator."],
                         {"expression": (["expression", "formula", "input"], text_argument("What to calculate"))},
                         ["What is {expression}?", "Calculate {expression}.", "Compute {expression}.", "How much is {expression}?", "{expression} = ?", "Please calculate {expression}.",
                          "Use the calculator for {expression}."], calculation, calculation_result, "large numbers"),
    "lookup": Family(["lookup", "search", "find_article", "encyclopedia"], ["Looks up a topic.", "Finds an article about a topic.", "Searches the encyclopedia."],
                     {"topic": (["topic", "query", "term"], text_argument("What to look up"))},
                     ["Look up {topic}.", "Search for {topic}.", "Find an article about {topic}.", "Look up the word {topic}.", "What does the encyclopedia say about {topic}?", "Search {topic}."],
                     lambda r: dict(topic=word(r)), lookup_result, "an encyclopedia"),
    "clock": Family(["get_time", "current_time", "clock", "local_time"], ["Gets the local time.", "The time in a city.", "Tells what time it is."],
                    {"city": (CITY, text_argument("The city"))},
                    ["What time is it in {city}?", "Tell me the time in {city}.", "How late is it in {city}?", "Local time in {city}?", "What is the time in {city}?"],
                    lambda r: dict(city=r.choice(W.CITIES) if r.random() < 0.6 else word(r).capitalize()), clock_result, "the time"),
    "reminder": Family(["set_reminder", "remind", "add_reminder", "timer"], ["Sets a reminder.", "Reminds the user later.", "Adds a reminder."],
                       {"text": (["text", "message", "task"], text_argument("What to be reminded of")), "minutes": (["minutes", "delay"], {"type": "integer", "description": "In how many minutes"})},
                       ["Remind me to {text} in {minutes} minutes.", "In {minutes} minutes remind me to {text}.", "Set a reminder: {text}, in {minutes} minutes.",
                        "I have to {text} in {minutes} minutes, remind me."],
                       lambda r: dict(text=r.choice(W.CHORES), minutes=r.randrange(1, 100)),
                       lambda r, a: ({"ok": True}, f"I will remind you in {a['minutes']} minutes."), "reminders"),
    "translate": Family(["translate", "translator", "translate_text"], ["Translates a text.", "Turns a text into another language."],
                        {"text": (["text", "phrase", "source"], text_argument("The text")), "language": (["language", "target"], text_argument("The language to translate to"))},
                        ["Translate {text} to {language}.", "How do you say {text} in {language}?", "Say {text} in {language}.", "What is {text} in {language}?"],
                        lambda r: dict(text=r.choice(W.PHRASES), language=r.choice(["Dutch", "Polish", "Swedish", "Greek", "Turkish", "Finnish", "Czech", "Danish"])),
                        translate_result, "translations"),
}


def declare(r, family):
    """A function of the family, and how its parameters are called there."""
    f = FAMILIES[family]
    names = {argument: r.choice(alternatives) for argument, (alternatives, _) in f.arguments.items()}
    if family == "weather" and r.random() < 0.5:
        del names["unit"]
    schema = {names[a]: f.arguments[a][1] for a in names}
    required = [names[a] for a in names if a != "unit"]
    return Function(r.choice(f.names), r.choice(f.descriptions), schema, required), names


def declare_others(r, without, most=3):
    families = [name for name in FAMILIES if name not in without]
    return [declare(r, name)[0] for name in r.sample(families, r.randrange(0, most + 1))]


def functions(r, effort):
    family = r.choice(list(FAMILIES))
    f = FAMILIES[family]
    arguments = f.draw(r)
    text, template = ask(r, f"call {family}", f.cores, **arguments)
    key = f"{family}{arguments}"
    if r.random() < 0.2:  # nothing declared fits
        s = Sample("refuse", [template, key], effort, [Message("user", text)],
                   reply(think(effort, "No function fits.", f"The user wants {f.refusal}.", "None of the declared functions can do it, so I refuse."),
                         f"I have no function for {f.refusal}."))
        # Without a calculator the model would have to calculate with large numbers: that is refused too.
        s.functions = declare_others(r, [family])
        return s
    function, names = declare(r, family)
    if "unit" in names and r.random() < 0.5:
        arguments["unit"] = r.choice(["celsius", "fahrenheit"])
        text = text.rstrip("?.!") + f" in {arguments['unit']}" + "?"
    given = {names[a]: v for a, v in arguments.items()}
    said = ", ".join(f"{k} {v}" for k, v in given.items())
    declared = declare_others(r, [family])
    declared.insert(r.randrange(len(declared) + 1), function)
    reasoning = think(effort, f"Call {function.name}.", f"The user wants {f.refusal}: {said}.",
                      f"Declared: {', '.join(x.name for x in declared)}. It is {function.name} that fits.")
    call = [Message("assistant", reasoning, "analysis"),
            Message("assistant", json.dumps(given, ensure_ascii=False), "commentary", f"functions.{function.name}")]
    if r.random() < 0.6:
        s = Sample("call", [template, key], effort, [Message("user", text)], call)
    else:
        result, answer = f.results(r, arguments)
        context = [Message("user", text), *call,
                   Message("tool", json.dumps(result, ensure_ascii=False), "commentary", "assistant", f"functions.{function.name}")]
        s = Sample("result", [template, key], effort, context,
                   reply(think(effort, "The result is there.", f"{function.name} returned it, and the user wants {f.refusal}.", "No other call is needed, so I answer."), answer))
    s.functions = declared
    return s


# --- JSON schema ---

def invented(r):
    return word(r).capitalize()


RECORDS = [
    ("person", dict(name=lambda r: r.choice(W.NAMES) if r.random() < 0.6 else invented(r), age=lambda r: r.randrange(1, 100), city=lambda r: r.choice(W.CITIES)),
     ["{name} is {age} years old and lives in {city}.", "{name} from {city} is {age}.", "In {city} lives {name}, aged {age}.", "{name}, {age}, {city}", "Meet {name}: {age} years old, from {city}."]),
    ("product", dict(item=lambda r: r.choice(W.WORDS), price=lambda r: r.randrange(1, 500), color=lambda r: r.choice(W.COLORS)),
     ["The {color} {item} costs {price} dollars.", "A {item} in {color} for {price} dollars.", "{price} dollars for a {color} {item}.", "Price of the {item}: {price}. Color: {color}."]),
    ("meeting", dict(person=lambda r: r.choice(W.NAMES), day=lambda r: r.choice(W.WEEKDAYS), hour=lambda r: r.randrange(7, 20)),
     ["Meet {person} on {day} at {hour}.", "On {day} at {hour} I see {person}.", "{person} comes on {day}, {hour} o'clock.", "Appointment with {person}: {day}, {hour} o'clock."]),
    ("animal", dict(name=invented, species=lambda r: r.choice(["dog", "cat", "cow", "horse", "mouse", "fox", "goat", "duck"]), legs=lambda r: r.choice([2, 3, 4])),
     ["{name} is a {species} with {legs} legs.", "The {species} {name} has {legs} legs.", "{legs} legs has {name}, my {species}."]),
]
EXTRACT = ["{t}", "Fill in the form: {t}", "Extract the data: {t}", "Data: {t}", "Turn this into JSON: {t}", "Here is the text: {t}"]
SCHEMA_INSTRUCTION = ["Answer in the given format.", "Reply with JSON that fits the schema.", "Extract the data as JSON.", "Use the response format.", "Return only JSON."]


def schema(r, effort):
    i = r.randrange(len(RECORDS))
    title, fields, cores = RECORDS[i]
    values = {k: draw(r) for k, draw in fields.items()}
    core, frame = r.randrange(len(cores)), r.randrange(len(EXTRACT))
    wanted = r.sample(list(fields), r.choice([1, 2, 3, 3]))
    properties = {k: {"type": "integer" if isinstance(values[k], int) else "string"} for k in wanted}
    document = {"type": "object", "properties": properties, "required": wanted}
    instruction = r.choice(SCHEMA_INSTRUCTION)
    out = {k: values[k] for k in wanted}
    s = Sample("schema", [f"schema{i}/{core}/{frame}", f"{title}{values}"], effort, [Message("user", EXTRACT[frame].format(t=cores[core].format(**values)))],
               reply(think(effort, f"JSON with {', '.join(wanted)}.", "From the text: " + ", ".join(f"{k} {v}" for k, v in out.items()) + ".",
                           "The schema wants " + ", ".join(f"{k} as {p['type']}" for k, p in properties.items()) + "."), json.dumps(out, ensure_ascii=False)))
    s.instructions = f"{instruction}\n\n# Response Formats\n\n## {title}\n\n{json.dumps(document, separators=(',', ':'))}"
    return s


TASKS = [(arithmetic, 30), (ordering, 20), (strings, 22), (calendar, 8), (facts, 7), (talk, 5), (unknown, 3), (instructed, 8), (memory, 8), (functions, 18), (schema, 7)]
