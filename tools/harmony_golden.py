#!/usr/bin/env python3
"""Makes tests/golden/harmony/ by running the openai-harmony package over generated conversations.

Usage: harmony_golden.py RANKS_FOLDER [OUTPUT_FOLDER]
RANKS_FOLDER holds o200k_base.tiktoken. Needs the PyPI package openai-harmony; deterministic.

The vocabulary is not in the repository, so a golden holds the prompt's text with special tokens spelled out, and the
count and FNV-1a-64 digest of its ids (as little-endian 32-bit integers) for a test that is given the vocabulary.
"""

import hashlib
import json
import os
import random
import sys
from importlib.metadata import version
from pathlib import Path

WORDS = (
    "the weather in São Paulo is 21°C; don't panic! <|end|> <|start|>assistant naïve 日本語 🙂👍🏽 x=1 {\"a\": [1, 2]} "
    "functions lookup\tTab 12345678 I'LL null re\u0301sume\u0301 https://example.org/a?b=c to=all // comment `code` "
    "\u00a0 ﬁ 𝒳 ␊ “quoted” <|channel|>final <|constrain|> e.g. any Array<any> true -0.5 \\n \u2028 end."
).split(" ")


class Generator:
    def __init__(self, seed):
        self.r = random.Random(seed)

    def maybe(self, p=0.5):
        return self.r.random() < p

    def text(self, most=9, newlines=True):
        words = [self.r.choice(WORDS) for _ in range(self.r.randint(0 if most > 6 else 1, most))]
        separators = [" ", " ", " ", " ", "  "] + (["\n", "\n\n", "\r\n", " \n"] if newlines else [])
        out = ""
        for word in words:
            out += word + self.r.choice(separators)
        return out if self.maybe(0.1) else out.strip(" ")

    def identifier(self):
        return self.r.choice(["city", "unit", "query", "max_results", "a", "b-c", "$ref", "naïve", "Id2", "items", "opt"])

    def value(self):
        return self.r.choice(
            [10, -1, 0, 1.5, 1.0, 1e20, 1e16, 123456789012345680.0, 1.25e-7, 0.0001, -0.00001, 2**53, 2**64 - 1,
             -(2**63), True, False, None, "text", "with \"quotes\"", "line\nbreak", "", [], ["a", "b"], [1, [2.5, None]],
             {}, {"z": 1, "a": "é"}, {"k": {"x": [True]}}, "\u001f\u007f\u2028"])

    def schema(self, depth=0):
        r = self.r
        kinds = ["string", "string", "enum", "number", "integer", "boolean", "types", "any", "oddities"]
        if depth < 3:
            kinds += ["object", "object", "object", "array", "array", "oneOf", "oneOf"]
        kind = r.choice(kinds)
        s = {}
        if kind == "enum":
            s = {"type": "string", "enum": r.choice([["a", "b"], ["celsius", "fahrenheit"], ["x", 1, None, "y\"z"], [], [1, 2], ["null"]])}
        elif kind == "types":
            s = {"type": r.choice([["string", "null"], ["integer", "number"], ["object", "array"], [], [1, 2], ["boolean"]])}
            if self.maybe(0.3):
                s["properties"] = {"ignored": {"type": "string"}}
        elif kind == "object":
            s = self.object_schema(depth)
        elif kind == "array":
            s = {"type": "array"}
            if self.maybe(0.85):
                s["items"] = self.schema(depth + 1)
        elif kind == "oneOf":
            s = {"oneOf": [self.schema(depth + 1) for _ in range(r.randint(0, 3))]}
            if self.maybe(0.2):
                s["type"] = "string"
        elif kind == "oddities":
            s = r.choice([{"anyOf": [{"type": "string"}]}, {"allOf": []}, {"$ref": "#/x"}, {"const": 3}, {"enum": ["a"]},
                          {"type": "null"}, {"type": 3}, {"oneOf": "not an array", "type": "string"}, {}, True, "text", [],
                          {"type": "string", "enum": "a"}, {"type": "object", "properties": [1]}, {"type": "array", "items": True},
                          {"type": "object", "required": ["a"]}, {"oneOf": {}}])
        elif kind != "any":
            s = {"type": kind}
        if not isinstance(s, dict):
            return s
        extras = {
            "description": lambda: r.choice(["A thing", "Shared text", self.text(6), "two\nlines", 5]),
            "title": lambda: r.choice(["Title", self.text(3), 1]),
            "default": self.value,
            "nullable": lambda: r.choice([True, True, False, "yes"]),
            "examples": lambda: r.choice([["hello", "world"], [], [1, 2], ["x", 3, "y\"z"], "no"]),
            "additionalProperties": lambda: False,
            "required": lambda: ["a", 1],
        }
        for key, make in extras.items():
            if key not in s and self.maybe(0.28 if key != "required" else 0.05):
                s[key] = make()
        if self.maybe(0.3):  # the order of keywords says nothing
            items = list(s.items())
            r.shuffle(items)
            s = dict(items)
        return s

    def object_schema(self, depth=0):
        s = {"type": "object"}
        if self.maybe(0.9):
            s["properties"] = {self.identifier(): self.schema(depth + 1) for _ in range(self.r.randint(0, 4 - depth))}
            names = list(s["properties"])
            if names and self.maybe():
                s["required"] = self.r.sample(names, self.r.randint(0, len(names)))
        return s

    def description(self):
        return self.r.choice(["", "Looks it up.", "First line.\nSecond line.", "Blank\n\nbetween\n", "CR\r\nLF", "lone\rCR\r", "\n", self.text(8)])

    def tool(self):
        tool = {"name": self.r.choice(["get_weather", "lookup", "f", "send-mail"]), "description": self.description()}
        kind = self.r.random()
        if kind < 0.15:
            tool["parameters"] = None
        elif kind < 0.9:
            tool["parameters"] = self.object_schema(1) if self.maybe(0.7) else self.schema(1)
        return tool

    def namespace(self, name, tools=None):
        space = {"name": name, "tools": [self.tool() for _ in range(self.r.randint(0, 2))] if tools is None else tools}
        if self.maybe(0.4):
            space["description"] = self.r.choice([self.description(), None])
        return space

    def system_content(self, builtin):
        r = self.r
        c = {"type": "system_content"}
        if self.maybe(0.8):
            c["model_identity"] = r.choice(["You are ChatGPT, a large language model trained by OpenAI.", "You are é.", ""])
        if self.maybe(0.8):
            c["reasoning_effort"] = r.choice(["Low", "Medium", "High"])
        if self.maybe(0.5):
            c["conversation_start_date"] = "2025-06-28"
        if self.maybe(0.7):
            c["knowledge_cutoff"] = "2024-06"
        if self.maybe(0.8):
            c["channel_config"] = {
                "valid_channels": r.choice([["analysis", "commentary", "final"], ["analysis", "final"], [], ["final"]]),
                "channel_required": self.maybe(0.7),
            }
        if self.maybe(0.08):
            c["tools"] = {name: builtin[name] for name in r.sample(["browser", "python"], r.randint(0, 2))}
        elif self.maybe(0.1):
            c["tools"] = {"zeta": self.namespace("zeta"), "Alpha": self.namespace("Alpha"), "functions": self.namespace("other name")}
        return c

    def developer_content(self):
        c = {"type": "developer_content"}
        if self.maybe(0.7):
            c["instructions"] = self.r.choice([self.text(), "Answer like a robot.", ""])
        if self.maybe(0.6):
            c["tools"] = {"functions": self.namespace("functions", [self.tool() for _ in range(self.r.randint(0, 2))])}
            if self.maybe(0.15):
                c["tools"]["extra"] = self.namespace("extra")
        return c

    def message(self, role, text, **fields):
        content = text if self.maybe(0.5) else [{"type": "text", "text": text}]
        if self.maybe(0.06):
            content = [{"type": "text", "text": self.text(4)} for _ in range(self.r.randint(0, 3))]
        return {"role": role, "content": content, **fields}

    def turn(self):
        r = self.r
        out = [self.message("user", self.text(), **({"name": "bob"} if self.maybe(0.1) else {}))]
        for _ in range(r.choice([0, 0, 1, 2])):
            if self.maybe(0.6):
                out.append(self.message("assistant", self.text(), channel="analysis"))
            if self.maybe(0.2):
                out.append(self.message("assistant", self.text(5), channel="commentary"))
            tool = r.choice(["functions.get_weather", "functions.lookup", "browser.search", "python"])
            channel = "commentary" if tool.startswith("functions") else "analysis"
            fields = {"recipient": tool, "channel": channel}
            kind = r.choice(["<|constrain|>json", "json", "code", None, "<|constrain|>"])
            if kind:
                fields["content_type"] = kind
            out.append(self.message("assistant", json.dumps({"q": self.text(3)}), **fields))
            result = {"name": tool, "channel": channel}
            if self.maybe(0.8):
                result["recipient"] = "assistant"
            out.append(self.message("tool", self.text(), **result))
        if self.maybe(0.6):
            out.append(self.message("assistant", self.text(), channel="analysis"))
        if self.maybe(0.75):
            fields = {"channel": "final"} if self.maybe(0.95) else r.choice([{}, {"channel": "odd"}])
            if self.maybe(0.05):
                fields["recipient"] = "all"
            out.append(self.message("assistant", self.text(), **fields))
        return out

    def conversation(self, builtin):
        messages = []
        if self.maybe(0.45):
            messages.append({"role": "system", "content": [self.system_content(builtin)]})
        if self.maybe(0.45):
            messages.append({"role": "developer", "content": [self.developer_content()]})
        for _ in range(self.r.choice([0, 1, 1, 2, 2])):
            messages += self.turn()
        return {"messages": messages}


def drop_per_turn(messages):
    """The guide's rule, written independently of the C++: analysis between a user message and a later final goes."""
    kept, turn = [], []

    def close():
        finals = [i for i, m in enumerate(turn) if m["role"] == "assistant" and m.get("channel") == "final"]
        last = finals[-1] if finals else -1
        for i, m in enumerate(turn):
            is_function = m.get("recipient", "").startswith("functions.") or (
                m["role"] == "tool" and m.get("name", "").startswith("functions."))
            if i >= last or m.get("channel") != "analysis" or is_function:
                kept.append(m)
        turn.clear()

    for m in messages:
        if m["role"] == "user":
            close()
        turn.append(m)
    close()
    return kept


def fnv1a64(ids):
    digest = 0xCBF29CE484222325
    for i in ids:
        for byte in i.to_bytes(4, "little"):
            digest = ((digest ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return f"{digest:016x}"


def dump(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def main():
    os.environ["TIKTOKEN_ENCODINGS_BASE"] = sys.argv[1]
    out = Path(sys.argv[2] if len(sys.argv) > 2 else Path(__file__).parent.parent / "tests/golden/harmony")
    out.mkdir(parents=True, exist_ok=True)
    import openai_harmony as h

    encoding = h.load_harmony_encoding(h.HarmonyEncodingName.HARMONY_GPT_OSS)
    inner = encoding._inner  # takes JSON text as it is: the package's own classes would drop nulls and fill in defaults
    builtin = {"browser": h.ToolNamespaceConfig.browser().model_dump(), "python": h.ToolNamespaceConfig.python().model_dump()}
    files = {}

    def render(conversation, drop, form):
        if drop == "turn":
            # Whether functions are declared does not depend on what is dropped.
            conversation = {"messages": drop_per_turn(conversation["messages"])}
        text, config = dump(conversation), {"auto_drop_analysis": drop == "library"}
        if form == "completion":
            return inner.render_conversation_for_completion(conversation_json=text, next_turn_role="assistant", config=config)
        if form == "training":
            return inner.render_conversation_for_training(conversation_json=text, config=config)
        return inner.render_conversation(conversation_json=text, config=config)

    lines = []
    for i in range(540):
        g = Generator(i)
        conversation = g.conversation(builtin)
        drop = ["library", "turn", "none"][i % 3]
        form = ["completion", "conversation", "training"][i // 3 % 3]
        ids = render(conversation, drop, form)
        lines.append(dump({"conversation": conversation, "drop": drop, "form": form, "text": inner.decode_utf8(ids),
                           "count": len(ids), "digest": fnv1a64(ids)}))
    files["render.jsonl"] = lines

    lines = []
    for i in range(800):
        g = Generator(10_000 + i)
        schema = g.object_schema() if g.maybe(0.4) else g.schema()
        tool = {"name": "f", "description": "", "parameters": schema}
        message = {"role": "developer", "content": [
            {"type": "developer_content", "tools": {"functions": {"name": "functions", "tools": [tool]}}}]}
        if schema is None:
            continue
        text = inner.decode_utf8(inner.render(message_json=dump(message), render_options={"conversation_has_function_tools": True}))
        before, after = "type f = (_: ", ") => any;\n\n} // namespace functions<|end|>"
        begin = text.index(before) + len(before)
        assert text.endswith(after)
        lines.append(dump({"schema": schema, "typescript": text[begin:-len(after)]}))
    files["schemas.jsonl"] = lines

    lines = []
    for i in range(300):
        g = Generator(20_000 + i)
        stream, role = parse_stream(g)
        ids = encoding.encode(stream, allowed_special="all")
        messages = json.loads(inner.parse_messages_from_completion_tokens(ids, role, True))
        lines.append(dump({"stream": stream, "role": role, "messages": messages}))
    files["parse.jsonl"] = lines

    # What Conversation.to_json() of the Python classes gives, for the reader and the writer.
    lines = []
    for i in range(0, 540, 12):
        conversation = Generator(i).conversation(builtin)
        lines.append(h.Conversation.from_json(dump(conversation)).to_json())
    files["to_json.jsonl"] = lines

    manifest = {"script": "tools/harmony_golden.py", "openai-harmony": version("openai-harmony"), "sha256": {}}
    for name, lines in files.items():
        data = ("\n".join(lines) + "\n").encode()
        (out / name).write_bytes(data)
        manifest["sha256"][name] = hashlib.sha256(data).hexdigest()
        print(name, len(lines), "lines", len(data), "bytes")
    (out / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")


def parse_stream(g):
    """A stream that openai-harmony's strict parser accepts, in every form of header that occurs."""
    r = g.r
    names = ["functions.get_weather", "functions.a_b", "browser.search", "python", "get_weather"]
    types = ["", " <|constrain|>json", " json", " code", "<|constrain|>json"]

    def plain_text():
        text = g.text(10)
        for marker in ("<|end|>", "<|start|>", "<|channel|>", "<|constrain|>"):
            text = text.replace(marker, "<marker>")  # a special token inside content is where the two parsers differ
        return text

    def header(role_word):
        kind = r.choice(["analysis", "final", "commentary", "call", "call2", "call3", "none", "other"])
        name, content_type = r.choice(names), r.choice(types)
        if kind == "call":
            return f"{role_word}<|channel|>commentary to={name}{content_type}"
        if kind == "call2":
            return f"{role_word} to={name}<|channel|>{r.choice(['commentary', 'analysis'])}{content_type}"
        if kind == "call3":
            return f"{role_word} to={name}{content_type}"
        if kind == "none":
            return role_word
        if kind == "other":
            return f"{role_word}<|channel|>{r.choice(['thoughts', 'Final', 'comment'])}"
        return f"{role_word}<|channel|>{kind}"

    role = r.choice(["assistant", "assistant", "assistant", None])
    stream = ""
    for i in range(r.randint(1, 5)):
        if i == 0 and role:
            stream += header(r.choice(["", "", "", "assistant"]))
        else:
            choice = r.random()
            if choice < 0.75:
                stream += "<|start|>" + header("assistant")
            elif choice < 0.9:
                stream += f"<|start|>{r.choice(names)} to=assistant<|channel|>commentary"
            else:
                stream += f"<|start|>{r.choice(['user', 'system', 'developer'])}"
        stream += "<|message|>" + plain_text()
        stream += r.choice(["<|end|>", "<|end|>", "<|return|>", "<|call|>"])
    if g.maybe(0.2) and stream.rindex("<|message|>") > 0:
        stream = stream[: stream.rindex("<|message|>") + 11] + plain_text()  # cut in the content
    return stream, role


if __name__ == "__main__":
    main()
