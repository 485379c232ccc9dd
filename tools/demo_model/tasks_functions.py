"""Calling declared functions, using their results, and answering in a JSON schema."""

import json

import world as W
from conversation import Function, Message, Sample
from phrasing import ask, reply, think, word


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
    said = r.choice(
        [
            f"{a['topic']} is related to {w[0]} and {w[1]}.",
            f"A {a['topic']} can be found near a {w[0]}.",
            f"{a['topic']} is another word for {w[0]}.",
        ]
    )
    return {"summary": said}, said[0].upper() + said[1:]


def clock_result(r, a):
    t = f"{r.randrange(24):02}:{r.randrange(60):02}"
    return {"time": t}, f"It is {t} in {a['city']}."


def translate_result(r, a):
    said = " ".join(word(r) for _ in range(2))
    return {"translation": said}, f"In {a['language']}: {said}."


CITY = ["city", "location", "place", "town"]
FAMILIES = {
    "weather": Family(
        ["get_weather", "current_weather", "get_current_weather", "weather", "weather_now"],
        ["Gets the current weather.", "Returns the weather of a place.", "The weather at this moment."],
        {
            "city": (CITY, text_argument("The city")),
            "unit": (["unit"], {"type": "string", "enum": ["celsius", "fahrenheit"]}),
        },
        [
            "What is the weather in {city}?",
            "How is the weather in {city}?",
            "What's the weather like in {city}?",
            "Is it warm in {city}?",
            "Tell me the weather in {city}.",
            "Weather in {city}?",
            "Do I need an umbrella in {city}?",
            "How warm is it in {city}?",
        ],
        lambda r: dict(city=r.choice(W.CITIES) if r.random() < 0.6 else word(r).capitalize()),
        weather_result,
        "the weather",
    ),
    "calculator": Family(
        ["calculator", "calculate", "compute", "evaluate"],
        ["Evaluates an arithmetic expression.", "Calculates exactly.", "A pocket calculator."],
        {"expression": (["expression", "formula", "input"], text_argument("What to calculate"))},
        [
            "What is {expression}?",
            "Calculate {expression}.",
            "Compute {expression}.",
            "How much is {expression}?",
            "{expression} = ?",
            "Please calculate {expression}.",
            "Use the calculator for {expression}.",
        ],
        calculation,
        calculation_result,
        "large numbers",
    ),
    "lookup": Family(
        ["lookup", "search", "find_article", "encyclopedia"],
        ["Looks up a topic.", "Finds an article about a topic.", "Searches the encyclopedia."],
        {"topic": (["topic", "query", "term"], text_argument("What to look up"))},
        [
            "Look up {topic}.",
            "Search for {topic}.",
            "Find an article about {topic}.",
            "Look up the word {topic}.",
            "What does the encyclopedia say about {topic}?",
            "Search {topic}.",
        ],
        lambda r: dict(topic=word(r)),
        lookup_result,
        "an encyclopedia",
    ),
    "clock": Family(
        ["get_time", "current_time", "clock", "local_time"],
        ["Gets the local time.", "The time in a city.", "Tells what time it is."],
        {"city": (CITY, text_argument("The city"))},
        [
            "What time is it in {city}?",
            "Tell me the time in {city}.",
            "How late is it in {city}?",
            "Local time in {city}?",
            "What is the time in {city}?",
        ],
        lambda r: dict(city=r.choice(W.CITIES) if r.random() < 0.6 else word(r).capitalize()),
        clock_result,
        "the time",
    ),
    "reminder": Family(
        ["set_reminder", "remind", "add_reminder", "timer"],
        ["Sets a reminder.", "Reminds the user later.", "Adds a reminder."],
        {
            "text": (["text", "message", "task"], text_argument("What to be reminded of")),
            "minutes": (["minutes", "delay"], {"type": "integer", "description": "In how many minutes"}),
        },
        [
            "Remind me to {text} in {minutes} minutes.",
            "In {minutes} minutes remind me to {text}.",
            "Set a reminder: {text}, in {minutes} minutes.",
            "I have to {text} in {minutes} minutes, remind me.",
        ],
        lambda r: dict(text=r.choice(W.CHORES), minutes=r.randrange(1, 100)),
        lambda r, a: ({"ok": True}, f"I will remind you in {a['minutes']} minutes."),
        "reminders",
    ),
    "translate": Family(
        ["translate", "translator", "translate_text"],
        ["Translates a text.", "Turns a text into another language."],
        {
            "text": (["text", "phrase", "source"], text_argument("The text")),
            "language": (["language", "target"], text_argument("The language to translate to")),
        },
        [
            "Translate {text} to {language}.",
            "How do you say {text} in {language}?",
            "Say {text} in {language}.",
            "What is {text} in {language}?",
        ],
        lambda r: dict(
            text=r.choice(W.PHRASES),
            language=r.choice(["Dutch", "Polish", "Swedish", "Greek", "Turkish", "Finnish", "Czech", "Danish"]),
        ),
        translate_result,
        "translations",
    ),
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
        s = Sample(
            "refuse",
            [template, key],
            effort,
            [Message("user", text)],
            reply(
                think(
                    effort,
                    "No function fits.",
                    f"The user wants {f.refusal}.",
                    "None of the declared functions can do it, so I refuse.",
                ),
                f"I have no function for {f.refusal}.",
            ),
        )
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
    reasoning = think(
        effort,
        f"Call {function.name}.",
        f"The user wants {f.refusal}: {said}.",
        f"Declared: {', '.join(x.name for x in declared)}. It is {function.name} that fits.",
    )
    call = [
        Message("assistant", reasoning, "analysis"),
        Message("assistant", json.dumps(given, ensure_ascii=False), "commentary", f"functions.{function.name}"),
    ]
    if r.random() < 0.6:
        s = Sample("call", [template, key], effort, [Message("user", text)], call)
    else:
        result, answer = f.results(r, arguments)
        context = [
            Message("user", text),
            *call,
            Message(
                "tool", json.dumps(result, ensure_ascii=False), "commentary", "assistant", f"functions.{function.name}"
            ),
        ]
        s = Sample(
            "result",
            [template, key],
            effort,
            context,
            reply(
                think(
                    effort,
                    "The result is there.",
                    f"{function.name} returned it, and the user wants {f.refusal}.",
                    "No other call is needed, so I answer.",
                ),
                answer,
            ),
        )
    s.functions = declared
    return s


def invented(r):
    return word(r).capitalize()


RECORDS = [
    (
        "person",
        dict(
            name=lambda r: r.choice(W.NAMES) if r.random() < 0.6 else invented(r),
            age=lambda r: r.randrange(1, 100),
            city=lambda r: r.choice(W.CITIES),
        ),
        [
            "{name} is {age} years old and lives in {city}.",
            "{name} from {city} is {age}.",
            "In {city} lives {name}, aged {age}.",
            "{name}, {age}, {city}",
            "Meet {name}: {age} years old, from {city}.",
        ],
    ),
    (
        "product",
        dict(item=lambda r: r.choice(W.WORDS), price=lambda r: r.randrange(1, 500), color=lambda r: r.choice(W.COLORS)),
        [
            "The {color} {item} costs {price} dollars.",
            "A {item} in {color} for {price} dollars.",
            "{price} dollars for a {color} {item}.",
            "Price of the {item}: {price}. Color: {color}.",
        ],
    ),
    (
        "meeting",
        dict(person=lambda r: r.choice(W.NAMES), day=lambda r: r.choice(W.WEEKDAYS), hour=lambda r: r.randrange(7, 20)),
        [
            "Meet {person} on {day} at {hour}.",
            "On {day} at {hour} I see {person}.",
            "{person} comes on {day}, {hour} o'clock.",
            "Appointment with {person}: {day}, {hour} o'clock.",
        ],
    ),
    (
        "animal",
        dict(
            name=invented,
            species=lambda r: r.choice(["dog", "cat", "cow", "horse", "mouse", "fox", "goat", "duck"]),
            legs=lambda r: r.choice([2, 3, 4]),
        ),
        [
            "{name} is a {species} with {legs} legs.",
            "The {species} {name} has {legs} legs.",
            "{legs} legs has {name}, my {species}.",
        ],
    ),
]
EXTRACT = [
    "{t}",
    "Fill in the form: {t}",
    "Extract the data: {t}",
    "Data: {t}",
    "Turn this into JSON: {t}",
    "Here is the text: {t}",
]
SCHEMA_INSTRUCTION = [
    "Answer in the given format.",
    "Reply with JSON that fits the schema.",
    "Extract the data as JSON.",
    "Use the response format.",
    "Return only JSON.",
]


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
    s = Sample(
        "schema",
        [f"schema{i}/{core}/{frame}", f"{title}{values}"],
        effort,
        [Message("user", EXTRACT[frame].format(t=cores[core].format(**values)))],
        reply(
            think(
                effort,
                f"JSON with {', '.join(wanted)}.",
                "From the text: " + ", ".join(f"{k} {v}" for k, v in out.items()) + ".",
                "The schema wants " + ", ".join(f"{k} as {p['type']}" for k, p in properties.items()) + ".",
            ),
            json.dumps(out, ensure_ascii=False),
        ),
    )
    s.instructions = (
        f"{instruction}\n\n# Response Formats\n\n## {title}\n\n{json.dumps(document, separators=(',', ':'))}"
    )
    return s
