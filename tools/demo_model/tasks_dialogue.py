"""Developer instructions, and remembering over turns."""

import json

import world as W
from conversation import Message, Sample
from phrasing import ask, reply, think, word
from tasks_numbers import arithmetic, ordering
from tasks_text import CAPITAL, calendar, fact_parts, facts, strings, talk

STYLES = [
    (
        [
            "Answer in capital letters.",
            "Write everything in uppercase.",
            "Use capital letters only.",
            "Shout: answer in capitals.",
        ],
        "capital letters",
        lambda short, full: full.upper(),
    ),
    (
        [
            "Answer with one word.",
            "Answer as briefly as possible.",
            "Give only the answer, no sentence.",
            "Be as short as you can.",
        ],
        "a short answer",
        lambda short, full: short,
    ),
    (
        ["Answer in bold.", "Write the answer in bold Markdown.", "Use bold text."],
        "bold",
        lambda short, full: f"**{full}**",
    ),
    (
        [
            "Answer as a JSON object with the key answer.",
            "Reply in JSON with one key, answer.",
            "Put the answer into JSON under the key answer.",
        ],
        "JSON",
        lambda short, full: json.dumps({"answer": short}),
    ),
    (
        ["Answer as a bullet point.", "Use a Markdown list.", "Write the answer as a list item."],
        "a list",
        lambda short, full: f"- {full}",
    ),
    (
        ["Answer in lowercase.", "Do not use capital letters.", "Write everything in small letters."],
        "small letters",
        lambda short, full: full.lower(),
    ),
]
SUFFIX = [
    "End every answer with {x}.",
    "Always finish with {x}.",
    "The last word of your answer must be {x}.",
    "Put {x} after every answer.",
]
PREFIX = [
    "Begin every answer with {x}.",
    "Always start with {x}.",
    "The first word of your answer must be {x}.",
    "Put {x} before every answer.",
]
MARKS = ["Over", "Sir", "Ahoy", "Done", "Well", "Indeed", "Captain", "Amen", "Okay", "Boss", "Friend", "Hooray"]
LANGUAGE = [
    "Answer in {g}.",
    "Always answer in {g}.",
    "Reply in {g}.",
    "Speak {g}.",
    "Use {g} only.",
    "The user reads {g}: answer in {g}.",
]


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
        s = Sample(
            "language",
            [template, f"language{core}{template}"],
            effort,
            [Message("user", text)],
            reply(
                think(
                    effort, f"{g}.", f"The user {subject}.", f"The developer wants {g}, so I write one sentence in {g}."
                ),
                answer,
            ),
        )
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
        note, check = (
            f"{short}, {mark} {'last' if after else 'first'}.",
            f"The developer wants {mark} {'after' if after else 'before'} the answer.",
        )
    s = Sample(
        task,
        [template, f"{instruction}{values}"],
        effort,
        [Message("user", text)],
        reply(think(effort, note, f"The user asks for {subject}.", check), answer),
    )
    s.instructions = instruction
    return s


TELL = [
    (
        "name",
        ["My name is {x}.", "I am {x}.", "Call me {x}.", "You can call me {x}."],
        "Nice to meet you, {x}.",
        ["What is my name?", "Do you remember my name?", "What am I called?", "Who am I?", "Tell me my name."],
        "Your name is {x}.",
        lambda r: r.choice(W.NAMES),
    ),
    (
        "number",
        ["My lucky number is {x}.", "Remember the number {x}.", "Keep {x} in mind.", "The number is {x}."],
        "I will remember {x}.",
        ["What is my number?", "Which number did I tell you?", "Do you remember the number?", "What was the number?"],
        "The number is {x}.",
        lambda r: str(r.randrange(1000)),
    ),
    (
        "color",
        ["My favorite color is {x}.", "I like {x} best.", "I love the color {x}.", "The color I like is {x}."],
        "{x} is a nice color.",
        [
            "What is my favorite color?",
            "Which color do I like?",
            "Do you remember my color?",
            "What color do I like best?",
        ],
        "Your favorite color is {x}.",
        lambda r: r.choice(W.COLORS),
    ),
    (
        "city",
        ["I live in {x}.", "My home is {x}.", "My home town is {x}.", "I come from {x}."],
        "I hear that {x} is a nice place.",
        ["Where do I live?", "In which city do I live?", "Do you remember my home?", "Which city is my home?"],
        "You live in {x}.",
        lambda r: r.choice(W.CITIES),
    ),
    (
        "pet",
        ["My pet is called {x}.", "I have a pet called {x}.", "My dog is called {x}.", "My cat is called {x}."],
        "{x} is a good name.",
        ["What is my pet called?", "Do you remember my pet?", "What is the name of my pet?", "Tell me my pet's name."],
        "Your pet is called {x}.",
        lambda r: word(r).capitalize(),
    ),
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
        return Sample(
            "told",
            [template, f"{kind} {x}"],
            effort,
            [Message("user", text)],
            reply(
                think(
                    effort, f"{kind}: {x}.", f"The user tells me the {kind}.", "There is no question, so I confirm it."
                ),
                told(i, x),
            ),
        )
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
        return Sample(
            "not_told",
            [template],
            effort,
            context + [Message("user", question)],
            reply(
                think(
                    effort,
                    f"No {kind} told.",
                    f"The user wants the {kind}.",
                    "The conversation does not have it, so I say that.",
                ),
                "You have not told me that yet.",
            ),
        )
    question, template2 = ask(r, f"recall {kind}", questions)
    return Sample(
        "memory",
        [template, template2, f"{kind} {x}"],
        effort,
        context + [Message("user", question)],
        reply(
            think(
                effort, f"{kind}: {x}.", f"The user wants the {kind}.", f"Earlier the user said: {text.split('! ')[-1]}"
            ),
            answer.format(x=x),
        ),
    )


SHORT = [arithmetic, ordering, strings, calendar, facts, talk]


def turn(r, effort):
    s = r.choice(SHORT)(r, "low")
    if s.date:
        return turn(r, effort)
    return [s.context[-1], Message("assistant", s.answer().content, "final")]
