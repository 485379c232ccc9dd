"""Evaluates the shipped model on questions that it was not trained on, greedily, with the engine; makes the committed goldens.

  python evaluate.py run ENGINE [--set wordings|first|own] [--count N] [--model models/demo] [--jobs J]   tables of skills
  python evaluate.py golden [--set first|own] [--count N] [--model models/demo]  tests/e2e/demo_model.json, by transformers in f32
  python evaluate.py render ENGINE                                               rendering against openai-harmony and the engine

The sets: `wordings` are the questions of held_out/, put as people put them, right if the answer holds what is right;
`first` the held-out conversations of the first model, whose wordings the grammars now hold; `own` conversations of the
generator whose wording, values, or both no trained reply has. In the last two the whole answer must be the one right
reply, or the function's name and all arguments. `golden` needs torch, transformers and openai-harmony; `run` needs
openai-harmony for the strict parse and leaves that out without it.
"""

import argparse
import collections
import concurrent.futures
import json
import lzma
import random
import subprocess
import sys
from pathlib import Path

import conversation as C
import held_out as H
import split

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests/e2e/demo_model.json"
SEED = 4242
MAX_TOKENS = 300
GROUPS = {
    "arithmetic": ["add", "subtract", "multiply", "divide", "story"], "sorting": ["sort", "sort_down", "sort_words"],
    "comparing": ["compare", "extreme"], "strings": ["spell", "reverse", "count", "first", "last", "occur", "upper"],
    "dates and units": ["unit", "weekday", "before", "next", "length", "number", "today"], "facts": ["facts"],
    "small talk": ["talk"], "beyond its knowledge": ["unknown"], "developer instructions": ["language", "style", "mark"],
    "memory over turns": ["memory", "told", "not_told"], "function calls": ["call"], "several calls": ["calls", "results"],
    "results of functions": ["result"], "no function fits": ["refuse"], "JSON schema": ["schema"],
}  # fmt: skip
GROUP_OF = {task: group for group, tasks in GROUPS.items() for task in tasks}
LONG = 3500  # characters of a developer message that count as long; about 1000 tokens
SPECIAL = ("long developer messages", "forced headers")  # groups of their own, whatever the task
FIRST_LAYERS, FIRST_GROUPS = 6, 14  # of the first model, and of the conversations that it was measured on
SIZES = {FIRST_LAYERS: "about twelve million", 8: "about sixteen million"}  # what a model of so many layers says of itself


def group_of(s):
    if s.forced:
        return "forced headers"
    if len(C.render_developer(s)) > LONG:
        return "long developer messages"
    return GROUP_OF[s.task.rstrip("0123456789")]


def spread(count):
    """`count` held-out samples, as many of each group as of any other, efforts in turn."""
    draw, taken, out = split.samples(SEED, held_out=True), collections.Counter(), []
    r = random.Random(SEED)
    each = count / ((len(GROUPS) + len(SPECIAL)) * 3)
    while len(out) < count:
        s = split.force(r, next(draw))
        key = group_of(s), s.effort
        if taken[key] < each:
            taken[key] += 1
            out.append(s)
    return out


def record(s):
    answer = s.answer()
    expected = (
        {"call": answer.recipient, "arguments": json.loads(answer.content)}
        if answer.recipient
        else {"final": answer.content}
    )
    return {
        "task": s.task,
        "group": group_of(s),
        "effort": s.effort,
        "prompt": C.render_prompt(s),
        "expected": expected,
    }


def own(count, folder):
    return [record(s) for s in spread(count)]


def first(count, folder):
    """What the first model was measured on: `count` of the 2520 in their order, as many of each group and effort as of any
    other. Only what is true of a model itself depends on the model.
    """
    size = SIZES[json.loads((Path(folder) / "config.json").read_text())["num_hidden_layers"]]
    each, taken, out = count / (FIRST_GROUPS * 3), collections.Counter(), []
    for line in lzma.open(H.FOLDER / "first_model.jsonl.xz", "rt"):
        r = json.loads(line)
        key = r["group"], r["effort"]
        if taken[key] < each:
            taken[key] += 1
            if "final" in r["expected"]:
                r["expected"]["final"] = r["expected"]["final"].replace(SIZES[FIRST_LAYERS], size)
            out.append(r)
    return out[:count]


def wordings(count, folder):
    found = [
        {"task": kind, "group": kind.replace("_", " "), "effort": s.effort, "prompt": C.render_prompt(s), "rule": rule}
        for kind, s, rule in H.samples()
    ]
    return found[:: max(1, len(found) // count)][:count]


SETS = {"wordings": wordings, "first": first, "own": own}


def read(text):
    """(reasoning, final text or None, (recipient, body) or None) of a reply's text."""
    reasoning, final, call = "", None, None
    for part in ("<|start|>assistant" + text).split("<|start|>assistant")[1:]:
        header, _, body = part.partition("<|message|>")
        for end in ("<|end|>", "<|return|>", "<|call|>"):
            body = body.removesuffix(end)
        if " to=" in header:
            call = header.split(" to=")[1].split("<|")[0].split()[0], body
        elif "<|channel|>analysis" in header:
            reasoning += body
        elif "<|channel|>final" in header:
            final = body
    return reasoning, final, call


def right_answer(r, text):
    """Whether the reply to a record is right. A reply after a forced header has no header of its own."""
    header = r["prompt"].rpartition("<|start|>assistant")[2]
    whole = (header if header.endswith("<|message|>") else "") + text
    if "rule" in r:
        return H.judge(r["rule"], *read(whole)[1:])
    return fits(r["expected"], whole)


def fits(expected, text):
    _, final, call = read(text)
    if "final" in expected:
        return call is None and final == expected["final"]
    try:
        return call is not None and call[0] == expected["call"] and json.loads(call[1]) == expected["arguments"]
    except ValueError:
        return False


def ask(engine, folder, prompt):
    command = [
        engine,
        "-m",
        folder,
        "--raw",
        "--temperature",
        "0",
        "--json",
        "--show-moe-metrics",
        "--threads",
        "1",
        "--max-tokens",
        str(MAX_TOKENS),
        "--stop",
        "<|call|>",
        "-p",
        "-",
    ]
    done = subprocess.run(command, input=prompt.encode(), capture_output=True, check=True)
    answer = json.loads(done.stdout)
    return answer["text"] + ("<|call|>" if answer["stop_reason"] == "stop_string" else ""), answer


class Strict:
    """openai-harmony's strict parser. Its own vocabulary has other ids, so the text is encoded anew."""

    def __init__(self):
        import openai_harmony as h

        self.h, self.encoding = h, h.load_harmony_encoding(h.HarmonyEncodingName.HARMONY_GPT_OSS)

    def accepts(self, text):
        try:
            ids = self.encoding.encode(text, allowed_special="all")
            return bool(self.encoding.parse_messages_from_completion_tokens(ids, self.h.Role.ASSISTANT, strict=True))
        except Exception:  # any refusal counts, whatever its type
            return False


def run(o):
    records = SETS[o.set or "wordings"](o.count or 2520, o.model)
    with concurrent.futures.ThreadPoolExecutor(o.jobs) as pool:
        answers = list(pool.map(lambda r: ask(o.engine, o.model, r["prompt"]), records))
    try:
        strict = Strict()
    except Exception as reason:
        strict = None
        print(f"strict parse left out: {reason}", file=sys.stderr)
    right, total, length, accepted = collections.Counter(), collections.Counter(), collections.defaultdict(list), 0
    experts = None
    for r, (text, answer) in zip(records, answers):
        good = right_answer(r, text)
        ended = (
            text
            if text.endswith("<|call|>") or answer["stop_reason"] != "stop"
            else text.removesuffix("<|return|>") + "<|return|>"
        )
        accepted += bool(strict and strict.accepts(r["prompt"].rpartition("<|start|>assistant")[2] + ended))
        for key in (r["group"], f"effort {r['effort']}", "all"):
            total[key] += 1
            right[key] += good
        if r["group"] != "forced headers":
            length[r["effort"]].append(len(read(text)[0]))
        counts = [layer["counts"] for layer in answer["moe"]["layers"]]
        experts = counts if experts is None else [[a + b for a, b in zip(x, y)] for x, y in zip(experts, counts)]
        if not good and o.verbose:
            print(
                json.dumps({**r, "prompt": r["prompt"][-600:], "got": text}, ensure_ascii=False),
                file=sys.stderr,
            )
    for key in total:
        print(f"| {key} | {right[key]} of {total[key]} | {100 * right[key] / total[key]:.1f} % |")
    for effort, lengths in length.items():
        print(f"mean reasoning, {effort}: {sum(lengths) / len(lengths):.1f} characters")
    if strict:
        print(f"accepted by strict openai-harmony: {accepted} of {len(records)}")
    if o.experts:
        o.experts.write_text(json.dumps(experts))
    shares = [[c / sum(layer) for c in layer] for layer in experts]
    print(
        f"smallest and largest share of an expert in a layer: {min(map(min, shares)):.3f}, {max(map(max, shares)):.3f}"
    )


def golden(o):
    import torch
    import transformers

    import model as M  # needs torch, which `run` does without
    from tokenizers import Tokenizer

    torch.set_num_threads(2)
    tokenizer = Tokenizer.from_file(str(Path(o.model) / "tokenizer.json"))
    model = transformers.GptOssForCausalLM.from_pretrained(
        o.model, dtype=torch.float32, attn_implementation="eager", experts_implementation="eager",
        quantization_config=transformers.Mxfp4Config(dequantize=True),
    ).eval()  # fmt: skip
    records = []
    for r in SETS[o.set or "own"](o.count or 42, o.model):
        ids = tokenizer.encode(r["prompt"], add_special_tokens=False).ids
        with torch.no_grad():
            out = model.generate(
                torch.tensor([ids]),
                max_new_tokens=MAX_TOKENS,
                do_sample=False,
                eos_token_id=[M.RETURN, M.CALL, M.END_OF_TEXT],
            )
        r["tokens"] = out[0, len(ids) :].tolist()
        r["reply"] = tokenizer.decode(r["tokens"], skip_special_tokens=False)
        r["right"] = right_answer(r, r["reply"])
        records.append(r)
    head = {
        "made_by": "tools/demo_model/evaluate.py golden",
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }
    lines = ",\n".join(json.dumps(r, ensure_ascii=False) for r in records)
    GOLDEN.write_text(json.dumps(head)[:-1] + f', "prompts": [\n{lines}\n]}}\n')
    print(f"{sum(r['right'] for r in records)} of {len(records)} right")


def as_harmony(h, s):
    """The sample as openai-harmony's own conversation, up to the reply."""
    system = (
        h.SystemContent.new()
        .with_model_identity(s.identity)
        .with_reasoning_effort(h.ReasoningEffort(s.effort.capitalize()))
    )
    if s.date:
        system = system.with_conversation_start_date(s.date)
    messages = [h.Message.from_role_and_content(h.Role.SYSTEM, system)]
    if s.instructions or s.functions:
        developer = h.DeveloperContent.new()
        if s.instructions:
            developer = developer.with_instructions(s.instructions)
        if s.functions:
            tools = [
                h.ToolDescription.new(
                    f.name, f.description, None if f.properties is None else {"type": "object", "properties": f.properties, "required": f.required},
                )
                for f in s.functions
            ]
            developer = developer.with_function_tools(tools)
        messages.append(h.Message.from_role_and_content(h.Role.DEVELOPER, developer))
    for m in s.context:
        author = h.Author.new(h.Role.TOOL, m.name) if m.role == "tool" else h.Author(role=h.Role(m.role))
        message = h.Message.from_author_and_content(author, m.content)
        if m.channel:
            message = message.with_channel(m.channel)
        if m.recipient:
            message = message.with_recipient(m.recipient)
        if m.role == "assistant" and m.recipient:
            message = message.with_content_type("<|constrain|>json")
        messages.append(message)
    return h.Conversation.from_messages(messages)


def render(o):
    import openai_harmony as h
    from tokenizers import Tokenizer

    encoding = h.load_harmony_encoding(h.HarmonyEncodingName.HARMONY_GPT_OSS)
    draw = split.samples(77)
    tokenizer = Tokenizer.from_file(str(Path(o.model) / "tokenizer.json"))
    count = o.count or 2000
    for i in range(count):
        s = next(draw)
        s.forced = ""
        document = as_harmony(h, s)
        expected = encoding.decode(encoding.render_conversation_for_completion(document, h.Role.ASSISTANT))
        assert C.render_prompt(s) == expected, f"{C.render_prompt(s)}\n---\n{expected}"
        if i < 40 and o.engine:
            done = subprocess.run(
                [o.engine, "harmony", "render", "-m", o.model, "-"],
                input=document.to_json().encode(),
                capture_output=True,
                check=True,
            )
            ours = [int(t) for t in done.stdout.decode().replace(",", " ").replace("[", " ").replace("]", " ").split()]
            assert ours == tokenizer.encode(C.render_prompt(s), add_special_tokens=False).ids
    print(f"{count} prompts rendered as openai-harmony renders them")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["run", "golden", "render"])
    parser.add_argument("engine", nargs="?")
    parser.add_argument("--model", default=str(ROOT / "models/demo"))
    parser.add_argument("--set", choices=list(SETS), help="run: wordings unless said otherwise; golden: own")
    parser.add_argument("--count", type=int)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--experts", type=Path, help="file for how often each layer chose each expert; picture.py draws it")
    parser.add_argument("--verbose", action="store_true", help="wrong answers on stderr")
    options = parser.parse_args()
    {"run": run, "golden": golden, "render": render}[options.what](options)
