"""Arithmetic, comparing and sorting."""

import world as W
from phrasing import plain


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


ADD = [
    "What is {a} + {b}?",
    "What is {a} plus {b}?",
    "Add {a} and {b}.",
    "Calculate {a} + {b}.",
    "{a} + {b} = ?",
    "{a}+{b}",
    "Compute the sum of {a} and {b}.",
    "How much is {a} plus {b}?",
    "What do you get if you add {b} to {a}?",
]
SUBTRACT = [
    "What is {a} - {b}?",
    "What is {a} minus {b}?",
    "Subtract {b} from {a}.",
    "Calculate {a} - {b}.",
    "{a} - {b} = ?",
    "{a}-{b}",
    "How much is {a} minus {b}?",
    "Take {b} away from {a}.",
]
MULTIPLY = [
    "What is {a} * {b}?",
    "What is {a} times {b}?",
    "Multiply {a} by {b}.",
    "Calculate {a} * {b}.",
    "{a} * {b} = ?",
    "{a}*{b}",
    "How much is {a} times {b}?",
    "Compute the product of {a} and {b}.",
    "What is {a} x {b}?",
]
DIVIDE = [
    "What is {a} / {b}?",
    "What is {a} divided by {b}?",
    "Divide {a} by {b}.",
    "Calculate {a} / {b}.",
    "{a} / {b} = ?",
    "{a}/{b}",
    "How much is {a} divided by {b}?",
    "How often does {b} fit into {a}?",
]
STORIES = [
    "{n} has {a} {w}s and gets {b} more. How many {w}s does {n} have?",
    "There are {a} {w}s here and {b} {w}s there. How many are there in all?",
    "{n} had {a} {w}s and gave away {b}. How many are left?",
    "Of {a} {w}s {n} sold {b}. How many {w}s remain?",
]


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
        return plain(
            r,
            "divide",
            effort,
            DIVIDE,
            dict(a=a, b=b),
            f"/{a},{b}",
            f"{q}*{b}={b * q}{rest}.",
            f"{q + 1}*{b}={b * q + b} is more than {a}.",
            f"Check: {b * q}+{m}={a}.",
            answer,
        )
    a, b = number(r), number(r)
    if kind == "s":
        core = r.randrange(4)
        if core >= 2 and a < b:
            a, b = b, a
        total = a + b if core < 2 else a - b
        sign = "+" if core < 2 else "-"
        steps = add_steps(a, b) if core < 2 else subtract_steps(a, b)
        check = f"Check: {total}-{b}={a}." if core < 2 else f"Check: {total}+{b}={a}."
        values = dict(
            a=a,
            b=b,
            n=r.choice(W.NAMES),
            w=r.choice(["apple", "pear", "book", "coin", "stone", "stamp", "card", "shell"]),
        )
        return plain(
            r,
            f"story{core}",
            effort,
            [STORIES[core]],
            values,
            f"+{min(a, b)},{max(a, b)}" if core < 2 else f"-{a},{b}",
            f"{a}{sign}{b}={total}.",
            steps,
            check,
            f"{total}.",
        )
    if kind == "+":
        if r.random() < 0.1:
            a = r.randrange(1000)
        return plain(
            r,
            "add",
            effort,
            ADD,
            dict(a=a, b=b),
            f"+{min(a, b)},{max(a, b)}",
            f"{a}+{b}={a + b}.",
            add_steps(a, b),
            f"Check: {a + b}-{b}={a}.",
            f"{a} + {b} = {a + b}.",
        )
    if kind == "-":
        if a < b and r.random() < 0.6:
            a, b = b, a
        return plain(
            r,
            "subtract",
            effort,
            SUBTRACT,
            dict(a=a, b=b),
            f"-{a},{b}",
            f"{a}-{b}={a - b}.",
            subtract_steps(a, b),
            f"Check: {a - b}+{b}={a}.",
            f"{a} - {b} = {a - b}.",
        )
    tens, ones = b // 10 * 10, b % 10
    if tens and ones:
        parts = f"{a}*{tens}={a * tens}, {a}*{ones}={a * ones}"
        note = f"{parts}, {a * tens}+{a * ones}={a * b}." if effort == "low" else f"{a}*{b}={a * b}."
        steps = f"{parts}. {a * tens}+{a * ones}: {add_steps(a * tens, a * ones)}"
    else:
        note, steps = (
            f"{a}*{b}={a * b}.",
            f"One factor is {'zero' if not ones else 'a single digit'}{' at the end' if not ones and tens else ''}.",
        )
    check = f"Check: {b}*{a} ends in {b % 10 * (a % 10) % 10}, and so does {a * b}."
    return plain(
        r,
        "multiply",
        effort,
        MULTIPLY,
        dict(a=a, b=b),
        f"*{min(a, b)},{max(a, b)}",
        note,
        steps,
        check,
        f"{a} * {b} = {a * b}.",
    )


COMPARE = [
    "Which is larger, {a} or {b}?",
    "Which number is larger: {a} or {b}?",
    "Compare {a} and {b}.",
    "What is the larger of {a} and {b}?",
    "Is {a} or {b} larger?",
    "Which is bigger, {a} or {b}?",
    "Tell me the bigger number: {a} or {b}.",
]
EXTREME = [
    "What is the {w} of {x}?",
    "Find the {w} of {x}.",
    "Which of {x} is the {w}?",
    "Give me the {w} of {x}.",
    "The {w} of {x}?",
]
SORT = [
    "Sort {x}.",
    "Sort these numbers: {x}.",
    "Put {x} in ascending order.",
    "Order these numbers from smallest to largest: {x}.",
    "Arrange {x} from small to large.",
    "Sort {x} in ascending order.",
    "Please sort the list {x}.",
    "Sort the numbers {x}.",
]
SORT_DOWN = [
    "Sort {x} in descending order.",
    "Put {x} in descending order.",
    "Order these numbers from largest to smallest: {x}.",
    "Arrange {x} from large to small.",
    "Sort {x} from largest to smallest.",
    "List {x}, largest first.",
]
SORT_WORDS = [
    "Sort these words: {x}.",
    "Put the words {x} in alphabetical order.",
    "Sort {x} by alphabet.",
    "Order {x} alphabetically.",
    "Arrange these words by alphabet: {x}.",
    "Alphabetical order of {x}?",
]


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
        return plain(
            r,
            "compare",
            effort,
            COMPARE,
            dict(a=a, b=b),
            f"cmp{a},{b}",
            f"{max(a, b)} > {min(a, b)}.",
            f"The numbers are {a} and {b}; the larger one is {max(a, b)}.",
            f"Check: {max(a, b)}-{min(a, b)} is {abs(a - b)}, above zero.",
            f"{max(a, b)} is larger than {min(a, b)}.",
        )
    if kind == "words":
        words, letters = [], set()
        while len(words) < (r.randrange(2, 6)):
            w = r.choice(W.WORDS)
            if w[0] not in letters:
                words.append(w), letters.add(w[0])
        order = sorted(words)
        return plain(
            r,
            "sort_words",
            effort,
            SORT_WORDS,
            dict(x=", ".join(words)),
            "words" + ",".join(words),
            f"{''.join(w[0] for w in words)}: {''.join(w[0] for w in order)}.",
            "First letters: " + ", ".join(f"{w[0]} {w}" for w in words) + ".",
            "In order: " + ", ".join(f"{w[0]} {w}" for w in order) + ".",
            ", ".join(order),
        )
    values = r.sample(range(100), r.randrange(3, 7))
    text = ", ".join(map(str, values))
    key = "list" + text
    if kind == "extreme":
        word, value = r.choice([("largest", max(values)), ("smallest", min(values))])
        running, seen = [], values[0]
        for v in values[1:]:
            seen = max(seen, v) if word == "largest" else min(seen, v)
            running.append(seen)
        return plain(
            r,
            "extreme",
            effort,
            EXTREME,
            dict(x=text, w=word),
            key,
            f"{word}: {value}.",
            f"Start with {values[0]}: " + " ".join(map(str, running)) + ".",
            f"Check: no other number is {'larger' if word == 'largest' else 'smaller'} than {value}.",
            f"The {word} is {value}.",
        )
    up = sorted(values)
    down = r.random() < 0.35
    answer = ", ".join(map(str, up[::-1] if down else up))
    check = (
        f"Check: {len(values)} numbers in, {len(values)} numbers out. The smallest is {up[0]}, the largest {up[-1]}."
    )
    if down:
        return plain(
            r,
            "sort_down",
            effort,
            SORT_DOWN,
            dict(x=text),
            key,
            f"Up: {' '.join(map(str, up))}.",
            selection(values),
            check,
            answer,
        )
    return plain(
        r, "sort", effort, SORT, dict(x=text), key, f"{' '.join(map(str, up))}.", selection(values), check, answer
    )
