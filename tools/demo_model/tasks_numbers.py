"""Arithmetic, comparing and sorting."""

import world as W
from phrasing import ask, figures, listed, plain, quoted


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


def number(r):
    return r.randrange(10) if r.random() < 0.2 else r.randrange(100)


def add(r, effort, a, b, question, answer):
    steps, check = add_steps(a, b), f"Check: {a + b}-{b}={a}."
    return plain(question[2], effort, question[:2], f"+{min(a, b)},{max(a, b)}", f"{a}+{b}={a + b}.", steps, check, answer)


def subtract(r, effort, a, b, question, answer):
    steps, check = subtract_steps(a, b), f"Check: {a - b}+{b}={a}."
    return plain(question[2], effort, question[:2], f"-{a},{b}", f"{a}-{b}={a - b}.", steps, check, answer)


def multiply(r, effort, a, b, question, answer):
    tens, ones = b // 10 * 10, b % 10
    if tens and ones:
        parts = f"{a}*{tens}={a * tens}, {a}*{ones}={a * ones}"
        note = f"{parts}, {a * tens}+{a * ones}={a * b}." if effort == "low" else f"{a}*{b}={a * b}."
        steps = f"{parts}. {a * tens}+{a * ones}: {add_steps(a * tens, a * ones)}"
    else:
        note = f"{a}*{b}={a * b}."
        steps = f"One factor is {'zero' if not ones else 'a single digit'}{' at the end' if not ones and tens else ''}."
    check = f"Check: {b}*{a} ends in {b % 10 * (a % 10) % 10}, and so does {a * b}."
    return plain(question[2], effort, question[:2], f"*{min(a, b)},{max(a, b)}", note, steps, check, answer)


def divide(r, effort, a, b, question, answer):
    q, m = divmod(a, b)
    note = f"{q}*{b}={b * q}{f', {a}-{b * q}={m}' if m else ''}."
    steps = f"{q + 1}*{b}={b * q + b} is more than {a}."
    return plain(question[2], effort, question[:2], f"/{a},{b}", note, steps, f"Check: {b * q}+{m}={a}.", answer)


OPERATIONS = {"+": ("add", add), "-": ("subtract", subtract), "*": ("multiply", multiply), "/": ("divide", divide)}
SUM = ["sum", "sum", "total", "sum total"]


def operands(r, sign, story):
    if sign == "/":
        b, q = r.randrange(2, 13), r.randrange(1 if story else 0, 50)
        a = b * q + (r.randrange(b) if r.random() < 0.3 and not story else 0)
        return (b * (q % 8 + 1) if story else a % 100, b) if a > 99 else (a, b)
    a, b = number(r), number(r)
    if sign == "*" and story:
        a, b = r.randrange(2, 21), r.randrange(2, 13)
    if sign == "+" and not story and r.random() < 0.1:
        a = r.randrange(1000)
    if sign == "-" and a < b and (story or r.random() < 0.6):
        a, b = b, a
    return a, b


def arithmetic(r, effort):
    sign, story = r.choices("+-*/", [5, 5, 6, 3])[0], r.random() < 0.18
    name, operation = OPERATIONS[sign]
    a, b = operands(r, sign, story)
    if story:
        name, (n, m) = f"story{'+-*/'.index(sign)}", r.sample(W.NAMES, 2)
        shown = dict(n=n, m=m, w=r.choice(W.THINGS_COUNTED))
        result = {"+": a + b, "-": a - b, "*": a * b, "/": a // (b or 1)}[sign]
        answer, task = f"{result}.", f"story{sign}"
    else:
        shown, task = dict(s=r.choice(SUM), g=r.choice([" up", " together", ""]), t=r.choice(["take", "subtract", "remove", "deduct", "take"])), name
        rest = f" remainder {a % b}" if sign == "/" and a % b else ""
        result = {"+": a + b, "-": a - b, "*": a * b, "/": a // (b or 1)}[sign]
        answer = f"{a} {sign} {b} = {result}{rest}."
    x, y = figures(r, a, b, words=0.12)
    return operation(r, effort, a, b, (*ask(r, "arithmetic", task, a=x, b=y, **shown), name), answer)


def selection(values):
    left, out = list(values), []
    while left:
        out.append(f"{' '.join(map(str, left))}: {left[0] if len(left) == 1 else min(left)}")
        left.remove(min(left))
    return "; ".join(out) + "."


def compare(r, effort):
    a, b = r.sample(range(100 if r.random() < 0.75 else 1000), 2)
    x, y = figures(r, a, b, words=0.1)
    task = r.choices(["larger", "smaller", "is>", "is<"], [4, 2, 3, 2])[0]
    high, low = max(a, b), min(a, b)
    name, answer = "compare", f"{high} is larger than {low}."
    if task == "smaller":
        answer = f"{low} is smaller than {high}."
    elif task != "larger":
        holds = (a > b) == (task == "is>")
        answer = f"{'Yes' if holds else 'No'}, {a} is {'larger' if a > b else 'smaller'} than {b}."
    return plain(
        name, effort, ask(r, "comparing", task, a=x, b=y), f"cmp{a},{b}", f"{a} {'>' if a > b else '<'} {b}." if task[:2] == "is" else f"{high} > {low}.",
        f"The numbers are {a} and {b}; the larger one is {high}.", f"Check: {high}-{low} is {high - low}, above zero.", answer)  # fmt: skip


def sort_words(r, effort):
    words, letters = [], set()
    many = r.choice([2, 3, 3, 3, 4, 4, 5, 5, 6])
    while len(words) < many:
        w = r.choice(W.THINGS if r.random() < 0.3 else W.WORDS)
        if w[0] not in letters:
            words.append(w), letters.add(w[0])
    order = sorted(words)
    bare = 1 if r.random() < 0.7 else 0
    shown = [quoted(r, w, bare) for w in words]
    if not bare and r.random() < 0.8:
        mark = quoted(r, "{}", 0)
        shown = [mark.replace("{}", w) for w in words]
    return plain(
        "sort_words", effort, ask(r, "sorting", "sort_words", x=listed(r, shown)), "words" + ",".join(words),
        f"{' '.join(w[0] for w in words)}: {' '.join(w[0] for w in order)}.", "First letters: " + ", ".join(f"{w[0]} {w}" for w in words) + ".",
        "In order: " + ", ".join(f"{w[0]} {w}" for w in order) + ".", ", ".join(order))  # fmt: skip


def ordering(r, effort):
    kind = r.choices(["compare", "extreme", "sort", "words"], [4, 3, 5, 3])[0]
    if kind == "compare":
        return compare(r, effort)
    if kind == "words":
        return sort_words(r, effort)
    values = r.sample(range(100 if r.random() < 0.93 else 1000), r.choice([2, 3, 3, 3, 4, 4, 4, 5, 5, 6, 6]) if kind == "extreme" else r.choice([3, 3, 3, 4, 4, 4, 5, 5, 6, 6, 7]))
    shown, key = listed(r, figures(r, *values, words=0.06)), "list" + ", ".join(map(str, values))
    given = " ".join(map(str, values))
    if kind == "extreme":
        task, value = r.choice([("largest", max(values)), ("smallest", min(values))])
        running, seen = [], values[0]
        for v in values[1:]:
            seen = max(seen, v) if task == "largest" else min(seen, v)
            running.append(seen)
        return plain(
            "extreme", effort, ask(r, "comparing", task, x=shown), key, f"{task} of {given}: {value}." if effort == "low" else f"{task}: {value}.",
            f"Start with {values[0]}: " + " ".join(map(str, running)) + ".",
            f"Check: no other number is {'larger' if task == 'largest' else 'smaller'} than {value}.", f"The {task} is {value}.")  # fmt: skip
    up, task = sorted(values), "sort_down" if r.random() < 0.38 else "sort"
    order = up[::-1] if task == "sort_down" else up
    note = f"{' '.join(map(str, up))}." if task == "sort" else f"Up: {' '.join(map(str, up))}."
    if effort == "low":
        note = f"{given}. {note}"
    check = f"Check: {len(values)} numbers in, {len(values)} numbers out. The smallest is {up[0]}, the largest {up[-1]}."
    return plain(task, effort, ask(r, "sorting", task, x=shown), key, note, selection(values), check, ", ".join(map(str, order)))
