"""Conversations in the Harmony format, as text with the special tokens spelled out.

Renders what the generator needs of the format: the system message with date and effort, a developer message with
instructions and functions, and messages of every role. evaluate.py compares it with the openai-harmony package.
"""

import json
from dataclasses import dataclass, field

IDENTITY = "You are ChatGPT, a large language model trained by OpenAI."


@dataclass
class Function:
    name: str
    description: str
    properties: dict | None  # name -> JSON schema; objects may hold further ones. None: nothing is said of parameters
    required: list


@dataclass
class Message:
    role: str
    content: str
    channel: str = ""
    recipient: str = ""  # "functions.NAME" of a call; "assistant" of a result
    name: str = ""  # of a tool


@dataclass
class Sample:
    """A context and the messages with which the model shall continue it; only those are trained."""

    task: str
    keys: list  # the template and the values: what decides whether a sample is held out
    effort: str
    context: list
    reply: list
    date: str = ""
    instructions: str = ""
    functions: list = field(default_factory=list)
    identity: str = IDENTITY
    forced: str = ""  # what was written for the model before it goes on: a header, or a reasoning that was cut and a header

    def reasoning(self):
        return "".join(m.content for m in self.reply if m.channel == "analysis")

    def answer(self):
        return self.reply[-1]


def typescript(schema, indent=""):
    """The type as openai-harmony writes it, as far as the generator declares such: no unions, no titles or examples."""
    kind = schema.get("type")
    if kind == "object":
        said = f"{indent}// {schema['description']}\n" if "description" in schema else ""
        return said + "{\n" + typescript_properties(schema.get("properties", {}), schema.get("required", []), indent) + indent + "}"
    if kind == "array":
        return typescript(schema["items"], indent) + "[]"
    if "enum" in schema:
        return " | ".join(f'"{value}"' for value in schema["enum"])
    return {"string": "string", "integer": "number", "number": "number", "boolean": "boolean"}[kind]


def typescript_properties(properties, required, indent=""):
    lines = []
    for name, schema in properties.items():
        if "description" in schema:
            lines.append(f"{indent}// {schema['description']}\n")
        default = ""
        if "default" in schema:
            value = schema["default"]
            default = f" // default: {value if 'enum' in schema else json.dumps(value)}"
        lines.append(f"{indent}{name}{'' if name in required else '?'}: {typescript(schema, indent + '    ')},{default}\n")
    return "".join(lines)


def render_function(f):
    lines = [f"// {line}" for line in f.description.splitlines()]
    if f.properties is None:
        return "\n".join([*lines, f"type {f.name} = () => any;\n"])
    return "\n".join([*lines, f"type {f.name} = (_: {{\n{typescript_properties(f.properties, f.required)}}}) => any;\n"])


def render_system(s):
    first = [s.identity, "Knowledge cutoff: 2024-06"] + ([f"Current date: {s.date}"] if s.date else [])
    channels = "# Valid channels: analysis, commentary, final. Channel must be included for every message."
    if s.functions:
        channels += "\nCalls to these tools must go to the commentary channel: 'functions'."
    return "\n\n".join(["\n".join(first), f"Reasoning: {s.effort}", channels])


def render_developer(s):
    parts = []
    if s.instructions:
        parts.append(f"# Instructions\n\n{s.instructions}")
    if s.functions:
        declared = "\n".join(render_function(f) for f in s.functions)
        parts.append(f"# Tools\n\n## functions\n\nnamespace functions {{\n\n{declared}\n}} // namespace functions")
    return "\n\n".join(parts)


def render_message(m, last="<|end|>"):
    text = "<|start|>" + (m.name if m.role == "tool" else m.role)
    if m.recipient:
        text += f" to={m.recipient}"
    if m.channel:
        text += f"<|channel|>{m.channel}"
    call = m.role == "assistant" and m.recipient
    if call:
        text += " <|constrain|>json"
    return f"{text}<|message|>{m.content}" + ("<|call|>" if call else last)


def render_prompt(s):
    messages = [Message("system", render_system(s))]
    if s.instructions or s.functions:
        messages.append(Message("developer", render_developer(s)))
    return "".join(map(render_message, messages + s.context)) + "<|start|>assistant" + s.forced


def render_reply(s):
    """What follows the prompt, which already opened the first message."""
    text = "".join(map(render_message, s.reply[:-1])) + render_message(s.reply[-1], "<|return|>")
    if s.forced:
        return text.partition("<|message|>")[2]
    return text.removeprefix("<|start|>assistant")
