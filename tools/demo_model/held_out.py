"""The held-out wordings: questions as people put them, with what is right. They were written before the grammars of
wordings/ were, and are never trained on (split.py leaves out their texts).

A line of held_out/KIND.txt is `question | rule`; further fields before the rule, separated by " | ", are the
instructions, the declared functions (named as in functions.json), a call and its result, or a schema. A conversation has
its turns separated by " // ". judge() says what a rule means; where the answer can be computed, the rule is what to compute.
"""

import json
import re
from pathlib import Path

from conversation import Function, Message, Sample

FOLDER = Path(__file__).parent / "held_out"
EFFORTS = ("low", "medium", "high")
KINDS = [
    "arithmetic", "sorting", "comparing", "strings", "dates_and_units", "facts", "small_talk", "beyond_its_knowledge",
    "developer_instructions", "memory_over_turns", "function_calls", "results_of_functions", "no_function_fits", "json_schema",
]  # fmt: skip
SIGNS = {"german": "Hauptstadt|Hallo", "french": "capitale|Bonjour", "spanish": "capital|Hola"}


def declared():
    out = {}
    for f in json.loads((FOLDER / "functions.json").read_text()):
        parameters = f.get("parameters", {})
        properties = {name.removesuffix("?"): schema for name, schema in parameters.items()}
        required = [name for name in parameters if not name.endswith("?")]
        out[f["name"]] = Function(f["name"], f["description"], properties, required)
    return out


def conversation(kind, fields, functions):
    """(context, functions, instructions) of a line's fields without its rule."""
    if kind == "developer_instructions":
        return [Message("user", fields[1])], [], fields[0]
    if kind == "memory_over_turns":
        said = fields[0].split(" // ")
        turns = [Message("user", t) if i % 2 == 0 else Message("assistant", t, "final") for i, t in enumerate(said)]
        return turns, [], ""
    if kind == "json_schema":
        title, *properties = fields[0].split()
        properties = dict(p.split(":") for p in properties)
        schema = {"type": "object", "properties": {k: {"type": t} for k, t in properties.items()}, "required": list(properties)}
        text = json.dumps(schema, separators=(",", ":"))
        return [Message("user", fields[1])], [], f"Reply with JSON.\n\n# Response Formats\n\n## {title}\n\n{text}"
    if kind in ("function_calls", "results_of_functions", "no_function_fits"):
        context = [Message("user", fields[1])]
        if kind == "results_of_functions":
            name, arguments = fields[2].split(" ", 1)
            context.append(Message("assistant", arguments, "commentary", f"functions.{name}"))
            context.append(Message("tool", fields[3], "commentary", "assistant", f"functions.{name}"))
        return context, [functions[name] for name in fields[0].split()], ""
    return [Message("user", fields[0])], [], ""


def samples():
    """(kind, sample without a reply, rule) of every line."""
    functions = declared()
    for kind in KINDS:
        for i, line in enumerate((FOLDER / f"{kind}.txt").read_text().splitlines()):
            *fields, rule = line.replace("\\n", "\n").split(" | ")
            context, tools, instructions = conversation(kind, fields, functions)
            date = rule.split()[1] if rule.startswith("today ") else "2026-05-17"
            s = Sample(kind, [], EFFORTS[i % 3], context, [], date, instructions, tools)
            yield kind, s, rule


def texts():
    """What no trained conversation may contain as a question, in lower case."""
    return {m.content.lower() for _, s, _ in samples() for m in s.context if m.role == "user"}


def computed(rule):
    """The rule with the answer in place of what is to be computed."""
    name, _, rest = rule.partition(" ")
    words = rest.split()
    if name == "=":
        a, operator, b = re.fullmatch(r"(\d+)([-+*])(\d+)", rest).groups()
        return "numbers", [{"+": int(a) + int(b), "-": int(a) - int(b), "*": int(a) * int(b)}[operator]]
    if name == "div":
        quotient, rest = divmod(int(words[0]), int(words[1]))
        return "numbers", [quotient, rest] if rest else [quotient]
    if name in ("max", "min"):
        return "extreme", {"max": max, "min": min}[name](map(int, words))
    if name in ("up", "down"):
        return "list", [str(n) for n in sorted(map(int, words), reverse=name == "down")]
    if name == "words":
        return "list", sorted(words)
    if name in ("reverse", "upper", "spell", "first", "last"):
        word = words[0]
        return "exact", {"reverse": word[::-1], "upper": word.upper(), "spell": "-".join(word), "first": word[0], "last": word[-1]}[name]
    if name == "count":
        return "numbers", [len(words[0])]
    if name == "occur":
        return "first number", words[0].count(words[1])
    return name, rest


def integers(text):
    return [int(n) for n in re.findall(r"-?\d+", re.sub(r"(?<=\d) - (?=\d)", " minus ", text))]


def has(text, part):
    return re.search(rf"(?<![\w-]){re.escape(part.lower())}(?![\w])", text.lower()) is not None


def plain(text):
    return re.sub(r"\s+", " ", text).strip(" .!\"'").lower()


def same(got, expected):
    """Arguments are equal, whatever the case of their words."""
    if isinstance(expected, dict):
        return isinstance(got, dict) and got.keys() == expected.keys() and all(same(got[k], v) for k, v in expected.items())
    if isinstance(expected, str):
        return isinstance(got, str) and plain(got) == plain(expected)
    return got == expected and isinstance(got, bool) == isinstance(expected, bool)


def loads(text):
    try:
        return json.loads(text)
    except ValueError:
        return None


def judge(rule, final, call):
    """Whether an answer (its final text or None, its call (recipient, body) or None) is what the rule says."""
    name, value = computed(rule)
    if name == "call":
        function, _, arguments = value.partition(" ")
        return call is not None and call[0] == f"functions.{function}" and same(loads(call[1]), json.loads(arguments))
    if call is not None or final is None:
        return False
    if name == "numbers":  # the answer ends with them
        return integers(final)[-len(value) :] == value and "not " not in final
    if name == "first number":
        return integers(final)[:1] == [value]
    if name == "extreme":  # the only number, or the one that the sentence begins or ends with
        found = integers(final)
        return found == [value] or (found[:1] == [value] and "larger" in final) or (found[:1] == [value] and "smaller" in final)
    if name == "list":
        return re.split(r",\s*", final.strip(" .")) == value
    if name == "exact":
        return final.strip(" .!\"'") == value
    if name in ("yes", "no"):
        return final.lower().startswith(name)
    if name == "day":
        return plain(final).split()[-1] == value.lower()
    if name == "today":
        return value in final
    if name == "contains":
        return all(has(final, part) for part in value.split(" & "))
    if name == "any":
        return any(has(final, part) for part in value.split(";"))
    if name == "unknown":
        return has(final, "know that") or has(final, "cannot")
    if name == "nofunction":
        return has(final, "no function")
    if name == "json":
        return same(loads(final), json.loads(value))
    if name in SIGNS:
        return has(final, value) and re.search(SIGNS[name], final) is not None
    if name == "shout":
        return has(final, value) and final == final.upper()
    if name == "small":
        return has(final, value) and final == final.lower()
    if name == "brief":
        return plain(final) == value.lower()
    if name == "bold":
        return has(final, value) and final.startswith("**") and final.endswith("**")
    if name == "bullet":
        return has(final, value) and final.startswith(("- ", "* "))
    if name == "jsonkey":
        document = loads(final)
        return isinstance(document, dict) and list(document) == ["answer"] and has(str(document["answer"]), value)
    if name in ("begins", "ends"):
        mark, fact = value.split(" & ")
        edge = final.startswith(mark) if name == "begins" else final.rstrip(".!").endswith(mark)
        return edge and has(final, fact)
    raise ValueError(f"unknown rule: {rule}")
