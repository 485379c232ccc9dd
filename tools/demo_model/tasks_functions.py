"""Calling declared functions, using their results, doing without them, and answering in a JSON schema."""

import copy
import json
import re
from dataclasses import dataclass

import world as W
from conversation import Function, Message, Sample
from families import ALIKE, FAMILIES, FIRST, Argument, Family, city, done, path, person, plain_text, record, text
from grammar import grammar
from phrasing import ask, capitalised, dressed, fill, listed, name_of_something, reply, think, word
from tasks_dialogue import sentences


def camel(name):
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


@dataclass
class Declared:
    """A family as one conversation declares it: the function, and where each of its arguments goes."""

    family: Family
    function: Function
    places: dict  # argument -> names that lead to it

    def call(self, arguments):
        out = {}
        for name, where in self.places.items():
            if name in arguments:
                inner = out
                for step in where[:-1]:
                    inner = inner.setdefault(step, {})
                inner[where[-1]] = arguments[name]
        order = list(self.function.properties or {})
        return {k: out[k] for k in order if k in out}


HOLDERS = {"address": ["address", "address", "home", "location", "where"]}


def declare(r, f, wanted=(), opaque=""):
    """Declares the family with the arguments that are wanted, those that it must have, and perhaps others."""
    style = camel if r.random() < 0.15 else str
    properties, required, places = {}, [], {}
    items = [(k, a) for k, a in f.arguments.items() if k in wanted or not a.optional or r.random() < 0.6]
    if r.random() < 0.25:
        r.shuffle(items)
    taken = {n for a in f.arguments.values() for n in a.names}  # invented arguments are named by any word
    holders = {h: r.choice([n for n in HOLDERS[h] if n not in taken]) for h in HOLDERS}
    names = set()
    vague = opaque and r.random() < 0.5
    for key, a in items:
        name = style(r.choice([n for n in a.names if n not in names] or [key]))
        schema = a.schema(r)
        if vague:
            name = "xyzuvw"[len(places)] if r.random() < 0.6 else f"arg{len(places) + 1}"
            schema["description"] = r.choice(a.descriptions or [key])
        names.add(name)
        if a.inside:
            holder = properties.setdefault(holders[a.inside], {"type": "object", "properties": {}, "required": []})
            holder["properties"][name] = schema
            if not a.optional:
                holder["required"].append(name)
                if holders[a.inside] not in required:
                    required.append(holders[a.inside])
            places[key] = (holders[a.inside], name)
        else:
            properties[name] = schema
            if not a.optional:
                required.append(name)
            places[key] = (name,)
    description = r.choice(f.descriptions)
    description = description if r.random() < 0.85 else description.rstrip(".")
    if r.random() < 0.06:
        description += r.choice([" ", "\n"]) + r.choice([" ", "\n"]).join(sentences(r, "detail", r.choice([1, 2, 3])))
    properties = None if not properties and r.random() < 0.5 else properties
    return Declared(f, Function(opaque or style(r.choice(f.names)), description, properties, required), places)


def opaque_names(r, many):
    """Names that say nothing: only the description tells what is what."""
    stem = r.choice(["fn_", "tool_", "f", "op", "func", "action_", "tool"])
    marks = r.choice(["abcdefgh", "12345678", "xyzuvwst"])
    return [stem + marks[i] for i in range(many)] if r.random() < 0.7 else [word(r) + str(i) for i in range(many)]


def others(r, without, most=3, alike=""):
    """Families that are declared beside another one, often such as are like it."""
    many = r.randrange(0, most + 1)
    near = [k for group in ALIKE if alike in group for k in group if k not in without]
    pool = [k for k in FAMILIES if k not in without]
    out = []
    for _ in range(many):
        k = r.choice(near if near and r.random() < 0.45 else pool)
        if k not in out:
            out.append(k)
    return out


def declare_all(r, families, wanted=()):
    """The first family's declaration, and the functions of all in any order."""
    names = opaque_names(r, len(families)) if r.random() < 0.1 else [""] * len(families)
    taken, out = set(), []
    for f, name in zip(families, names):
        d = declare(r, f, wanted if not out else (), name)
        if d.function.name not in taken:
            taken.add(d.function.name)
            out.append(d)
    functions = [d.function for d in out]
    r.shuffle(functions)
    return out[0], functions


def declare_others(r, without=(), most=3):
    families = [FAMILIES[k] for k in others(r, without, most)]
    return declare_all(r, families)[1] if families else []


def slots(pattern):
    return [k for k in re.findall(r"\{(\w+)\}", pattern)]


VERBS = """paint:Paints repair:Repairs open:Opens close:Closes lock:Locks wash:Washes move:Moves start:Starts stop:Stops count:Counts check:Checks
find:Finds hide:Hides sell:Sells clean:Cleans fill:Fills build:Builds cut:Cuts mark:Marks scan:Scans print:Prints rename:Renames archive:Archives
assign:Assigns approve:Approves cancel:Cancels enable:Enables disable:Disables measure:Measures sort:Sorts merge:Merges tag:Tags""".split()
QUALITIES = "color size speed level name owner place mode count weight label city status date reason number width depth target source".split()


def invent(r):
    """A family that no table has: a verb and a noun with arguments of any names, and its patterns."""
    verb, does = r.choice(VERBS).split(":")
    noun = word(r)
    arguments = {}
    for q in r.sample(QUALITIES, r.choice([0, 1, 1, 2, 2, 3])):
        kind = r.random()
        name = q if r.random() < 0.8 else word(r)
        if kind < 0.35:
            a = Argument([name], [f"The {name}"], lambda r: r.randrange(100), "integer")
        elif kind < 0.5:
            values = tuple(dict.fromkeys(word(r) for _ in range(3)))
            a = Argument([name], [f"The {name}"], lambda r, values=values: r.choice(values), "string", values)
        elif kind < 0.9:
            a = Argument([name], [f"The {name}", f"Which {name}"], r.choice([word, person, city, text, path]), "string", (), r.random() < 0.5)
        else:
            a = Argument([name], [f"The {name}"], word, "string", (), False, r.choice(["address"]))
        arguments[name] = a
    f = Family(r.choice([f"{verb}_{noun}", f"{verb}_{noun}", f"{noun}_{verb}", f"{verb}_the_{noun}"]).split(), [f"{does} the {noun}.", f"{does} a {noun}."],
               arguments, "", [done(), done(), record, plain_text(text)])  # fmt: skip
    said = r.choice([" with {} {{}}", ", {} {{}}", ", {}: {{}}", ", {} = {{}}", " ({} {{}})"])
    tail = "".join(said.format(k).replace("{}", "{" + k + "}") for k in arguments) if arguments else ""
    if len(arguments) > 1 and "with" in said:
        tail = " with " + " and ".join(f"{k} {{{k}}}" for k in arguments)
    head = r.choice([f"{verb} the {noun}", f"{verb} the {noun}", f"{verb} {noun}", f"please {verb} the {noun}", f"can you {verb} the {noun}",
                     f"i want you to {verb} the {noun}", f"call {f.names[0]}", f"use {f.names[0]}", f"run {f.names[0]}"])  # fmt: skip
    return f, head + tail + r.choice([".", "", "?", " please."])


def express(r, f, pattern):
    """A pattern's arguments, and the text with them."""
    arguments = {k: f.arguments[k].draw(r) for k in slots(pattern)}
    said = {k: f.arguments[k].said(r, v) for k, v in arguments.items()}
    return arguments, said


def reasoned(r, effort, d, given, functions, need):
    said = ", ".join(f"{k} {v}" for k, v in flat(given))
    wish = f"The user wants {need}: {said}." if said else f"The user wants {need}."
    names = ", ".join(x.name for x in functions)
    return think(effort, f"Call {d.function.name}.", wish, f"Declared: {names}. It is {d.function.name} that fits.")


def flat(given):
    for k, v in given.items():
        if isinstance(v, dict):
            yield from flat(v)
        else:
            yield k, v


def calling(d, given, reasoning):
    content = json.dumps(given, ensure_ascii=False)
    return [Message("assistant", reasoning, "analysis"), Message("assistant", content, "commentary", f"functions.{d.function.name}")]


def returned(d, result):
    content = result if isinstance(result, str) else json.dumps(result, ensure_ascii=False)
    return Message("tool", content, "commentary", "assistant", f"functions.{d.function.name}")


def error(r, arguments):
    """A result that is an error, and what is said about it."""
    values = [str(v) for v in arguments.values()] or ["it"]
    what = r.choice(W.ERRORS).format(x=r.choice(values), w=word(r), n=r.randrange(100))
    kind = r.random()
    if kind < 0.5:
        return {"error": what}, f"That did not work: {what}."
    if kind < 0.62:
        return {"status": "error", r.choice(["message", "reason", "detail"]): what}, f"That did not work: {what}."
    if kind < 0.72:
        return {r.choice(["ok", "success"]): False, r.choice(["reason", "error", "message"]): what}, f"That did not work: {what}."
    return r.choice(["Error: ", "error: ", "Failed: ", "ERROR: "]) + what, f"That did not work: {what}."


def outcome(r, f, arguments, errors=0.2):
    return error(r, arguments) if r.random() < errors else r.choice(f.results)(r, arguments)


def answered(r, effort, d, need):
    return think(effort, "The result is there.", f"{d.function.name} returned it, and the user wants {need}.", "No other call is needed, so I answer.")


def values_of(family, arguments):
    """The key of a call's values: none where it has none, or all such calls of a family would be held out together."""
    return [f"{family}{arguments}"] if arguments else []


def one_call(r, effort):
    """A call, or what follows its result."""
    if r.random() < 0.17:
        f, pattern = invent(r)
        family, need = "", "that"
        text, _ = dressed(r, pattern, frame=r.random() < 0.4)
        wording = ""
    else:
        family = r.choice([k for k in FAMILIES if k not in FIRST] if r.random() < 0.6 else list(FIRST))
        f = FAMILIES[family]
        need, wording = f.need, grammar("functions").draw(r, family)
        text, _ = dressed(r, wording, frame=r.random() < 0.5)
        pattern = wording
    arguments, said = express(r, f, pattern)
    text = fill(text, said)
    d, functions = declare_all(r, [f, *(FAMILIES[k] for k in others(r, (family,), 3, family))], arguments)
    given = d.call(arguments)
    call = calling(d, given, reasoned(r, effort, d, given, functions, need))
    keys = values_of(family, arguments) + ([f"call {family}/{wording}"] if wording else [])
    if r.random() < 0.6:
        s = Sample("call", keys, effort, [Message("user", text)], call)
    else:
        result, answer = outcome(r, f, arguments)
        kept = call if r.random() < 0.65 else call[1:]  # a server may leave the reasoning out
        context = [Message("user", text), *kept, returned(d, result)]
        s = Sample("result", keys, effort, context, reply(answered(r, effort, d, need), answer))
    s.functions = functions
    return s


def refused(r, effort):
    """Nothing that is declared fits."""
    family = r.choice(list(FIRST) if r.random() < 0.45 else list(FAMILIES))
    f = FAMILIES[family]
    wording = grammar("functions").draw(r, family)
    arguments, said = express(r, f, wording)
    text = fill(dressed(r, wording)[0], said)
    # Without a calculator the model would have to calculate with large numbers: that is refused too.
    reasoning = think(effort, "No function fits.", f"The user wants {f.need}.", "None of the declared functions can do it, so I refuse.")
    s = Sample("refuse", [f"call {family}/{wording}", *values_of(family, arguments)], effort, [Message("user", text)], reply(reasoning, f"I have no function for {f.need}."))
    near = {"lookup": ("search",), "search": ("lookup",), "reminder": ("timer", "alarm", "note"), "weather": ("forecast",), "forecast": ("weather",),
            "timer": ("reminder", "alarm"), "alarm": ("reminder", "timer", "clock"), "stock": ("currency", "search"), "note": ("reminder", "write", "message"),
            "read": ("run", "list"), "list": ("run", "read"), "write": ("run", "note"), "delete": ("run",), "joke fact": ("lookup", "search")}  # fmt: skip
    families = others(r, (family, *near.get(family, ())), 3)
    if not families and family not in FIRST:
        families = [r.choice([k for k in FAMILIES if k != family and k not in near.get(family, ())])]
    s.functions = declare_all(r, [FAMILIES[k] for k in families])[1] if families else []
    return s


def two_wishes(r):
    """[(family, arguments)], the text, and its wording: the same for two values, or two things after one another."""
    if r.random() < 0.55:
        family = r.choice([k for k, f in FAMILIES.items() if sum(not a.optional for a in f.arguments.values()) == 1])
        f = FAMILIES[family]
        key = next(k for k, a in f.arguments.items() if not a.optional)
        wording = grammar("functions").draw(r, family)
        while slots(wording) != [key]:
            wording = grammar("functions").draw(r, family)
        first, second = f.arguments[key].draw(r), f.arguments[key].draw(r)
        while second == first:
            second = f.arguments[key].draw(r)
        before = re.search(r"(\bin|\bat|\bfor|\bof|\bto)? ?\{", wording)[1] or ""
        again = f"{before} " if before and r.random() < 0.5 else ""
        both = f.arguments[key].said(r, first, 0) + r.choice([" and ", " and ", " and also ", ", then ", " and then "]) + again + f.arguments[key].said(r, second, 0)
        text = fill(dressed(r, wording, frame=r.random() < 0.4)[0], {key: both})
        return [(family, {key: first}), (family, {key: second})], text, f"two {family}/{wording}"
    families = r.sample(list(FAMILIES), 2)
    wishes, texts, wordings = [], [], []
    shared = {}
    for family in families:
        f = FAMILIES[family]
        wording = grammar("functions").draw(r, family)
        arguments, said = express(r, f, wording)
        for k in arguments:  # often about the same place or person
            if k in shared and r.random() < 0.6:
                arguments[k], said[k] = shared[k]
        shared.update({k: (arguments[k], said[k]) for k in arguments if k in ("city", "room", "to", "path") and (k != "to" or family != "currency")})
        wishes.append((family, arguments))
        texts.append((wording, said))
        wordings.append(wording)
    join = r.choice([" and ", ", and ", ", then ", " and then ", ". ", "; ", ". then ", ". also: ", " and also ", ". after that, "])
    (a, said_a), (b, said_b) = texts
    a = fill(dressed(r, a.rstrip("?.! ") + (r.choice("?.!") if join.startswith(".") else ""), frame=False)[0], said_a)
    b = fill(dressed(r, b, frame=False)[0], said_b)
    join = join[1:] if join[0] == "." and a[-1] in ".?!" else join
    if join.strip() and not join.startswith(".") and join[0] != " " or "and" in join:
        b = b[0].lower() + b[1:] if not wordings[1].startswith("{") else b
    return wishes, a + join + b, f"two {'/'.join(wordings)}"


def many_calls(r, effort):
    """Two calls one after another, from any of the three places in them."""
    wishes, text, wording = two_wishes(r)
    keys = list(dict.fromkeys(k for k, _ in wishes))
    needed = [FAMILIES[k] for k in keys]
    opaque = opaque_names(r, 2) if r.random() < 0.08 else ["", ""]
    wanted = {k: [a for family, args in wishes if family == k for a in args] for k in keys}
    declared = {k: declare(r, f, wanted[k], name) for k, f, name in zip(keys, needed, opaque)}
    functions = [d.function for d in declared.values()]
    for k in others(r, keys, 4 - len(keys), keys[0])[: 4 - len(keys)]:
        functions.append(declare(r, FAMILIES[k]).function)
    functions = list({f.name: f for f in functions}.values())
    if len({d.function.name for d in declared.values()}) < len(declared):
        return many_calls(r, effort)
    r.shuffle(functions)
    stage, context, answers = r.choice([0, 1, 1, 2, 2]), [Message("user", text)], []
    keep = r.random() < 0.65
    for n, (family, arguments) in enumerate(wishes):
        d, f = declared[family], FAMILIES[family]
        given = d.call(arguments)
        reasoning = reasoned(r, effort, d, given, functions, f.need)
        call = calling(d, given, f"{'First' if n == 0 else 'Next'}: {reasoning}")
        if n == stage:
            s = Sample("calls", [wording, f"{wishes}"], effort, context, call)
            s.functions = functions
            return s
        result, answer = outcome(r, f, arguments, 0.1)
        context += [*(call if keep else call[1:]), returned(d, result)]
        answers.append(answer)
    said = " ".join(a if a[-1] in ".!?" else a + "." for a in answers)
    s = Sample("results", [wording, f"{wishes}"], effort, context, reply(think(
        effort, "Both results are there.", f"{' and '.join(dict.fromkeys(d.function.name for d in declared.values()))} returned them.",
        "No other call is needed, so I answer."), said))  # fmt: skip
    s.functions = functions
    return s


def functions(r, effort):
    kind = r.random()
    return refused(r, effort) if kind < 0.18 else many_calls(r, effort) if kind < 0.36 else one_call(r, effort)


def whole(most, least=1):
    return lambda r: r.randrange(least, most)


RECORDS = {
    "person": dict(name=lambda r: r.choice(W.NAMES) if r.random() < 0.5 else name_of_something(r), age=whole(100), city=city),
    "product": dict(item=lambda r: r.choice(W.THINGS) if r.random() < 0.5 else word(r), price=whole(500), color=lambda r: r.choice(W.COLORS)),
    "meeting": dict(person=lambda r: r.choice(W.NAMES) if r.random() < 0.6 else name_of_something(r), day=lambda r: r.choice(W.WEEKDAYS), hour=whole(22, 6)),
    "animal": dict(name=name_of_something, species=lambda r: r.choice("dog cat cow horse mouse fox goat duck bird sheep rabbit bear".split()), legs=lambda r: r.choice([2, 3, 4, 4])),
}  # fmt: skip


def schema(r, effort):
    title = r.choice(list(RECORDS))
    values = {k: draw(r) for k, draw in RECORDS[title].items()}
    sentences = grammar("schema")
    tasks = [t for t in sentences.tasks if t.startswith(title)]
    task = f"{title}3" if r.random() < 0.5 else r.choice(tasks)
    wording = sentences.draw(r, task)
    mentioned = [k for k in values if "{" + k + "}" in wording]
    wanted = r.sample(mentioned, r.choice([len(mentioned), len(mentioned), r.randrange(1, len(mentioned) + 1)]))
    text = wording
    if r.random() < 0.4:
        text = sentences.draw(r, "request") + r.choice([" ", " ", "\n"]) + wording
    text = fill(dressed(r, text, frame=r.random() < 0.15)[0], {k: str(v) for k, v in values.items()})
    properties = {k: {"type": "integer" if isinstance(values[k], int) else "string"} for k in wanted}
    document = {"type": "object", "properties": properties, "required": wanted}
    out = {k: values[k] for k in wanted}
    said = "From the text: " + ", ".join(f"{k} {v}" for k, v in out.items()) + "."
    types = "The schema wants " + ", ".join(f"{k} as {p['type']}" for k, p in properties.items()) + "."
    reasoning = think(effort, f"JSON with {', '.join(wanted)}.", said, types)
    s = Sample("schema", [f"schema/{wording}", f"{title}{values}"], effort, [Message("user", text)], reply(reasoning, json.dumps(out, ensure_ascii=False)))
    instruction = fill(capitalised(sentences.draw(r, "instruction")), {})
    s.instructions = f"{instruction}\n\n# Response Formats\n\n## {title}\n\n{json.dumps(document, separators=(',', ':'))}"
    return s
