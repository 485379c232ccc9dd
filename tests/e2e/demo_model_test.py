"""The trained model of models/demo answers held-out questions, and token for token as transformers does in float32.

demo_model.json holds prompts with a template or values that were not trained, what is right, and what transformers
decoded greedily from the same file; tools/demo_model/evaluate.py makes it and measures on many more.
Run by ctest with OXIDIZED_PROGRAM set, as the other suites are.
"""

import collections
import json
import os
import pathlib
import re
import subprocess
import tempfile
import unittest

from command_line import read_npy

PROGRAM = [word for word in os.environ["OXIDIZED_PROGRAM"].split("|") if word]
ROOT = pathlib.Path(__file__).resolve().parents[2]
DEMO = ROOT / "models/demo"
RECORDS = json.loads((ROOT / "tests/e2e/demo_model.json").read_text())["prompts"]
if len(PROGRAM) > 1 or os.environ.get("OXIDIZED_SANITIZED"):
    GREEDY = RECORDS[::7]  # emulated or instrumented, each answer takes seconds
else:
    GREEDY = RECORDS
CALL = "<|call|>"


def run(*arguments, stdin=""):
    env = {k: v for k, v in os.environ.items() if not k.startswith("OXIDIZED_")}
    return subprocess.run(PROGRAM + list(arguments), input=stdin.encode(), capture_output=True, env=env, timeout=300)


def continuation(prompt, tokens, precision):
    """Text of at most `tokens` new tokens; what stopped it is left out."""
    result = run("-m", str(DEMO), "--raw", "--temperature", "0", "--precision", precision, "--json", "--max-tokens", str(tokens),
                 "--stop", CALL, "-p", "-", stdin=prompt)  # fmt: skip
    assert result.returncode == 0, result.stderr.decode()
    return json.loads(result.stdout)["text"]


def without_stop(text):
    for stop in (CALL, "<|return|>"):
        text = text.removesuffix(stop)
    return text


def reasoning(reply):
    return reply.partition("<|channel|>analysis<|message|>")[2].partition("<|end|>")[0]


class DemoModel(unittest.TestCase):
    def test_greedy_replies_are_those_of_transformers(self):
        for record in GREEDY:
            with self.subTest(task=record["task"], prompt=record["prompt"][-80:]):
                got = continuation(record["prompt"], len(record["tokens"]), "f32")
                self.assertEqual(without_stop(got), without_stop(record["reply"]))

    def test_every_token_is_the_one_transformers_chose(self):
        """The same replies as ids: fed with transformers' tokens, the highest logit is its next one, every time."""
        with tempfile.TemporaryDirectory() as folder:
            file, out = pathlib.Path(folder) / "ids", pathlib.Path(folder) / "logits.npy"
            for record in GREEDY:
                prompt = run("tokenize", "-m", str(DEMO), "--specials", "-", stdin=record["prompt"]).stdout.decode().split()
                file.write_text(" ".join(prompt + [str(token) for token in record["tokens"][:-1]]))
                result = run("logits", "-m", str(DEMO), "--precision", "f32", "--tokens", str(file), "--out", str(out))
                self.assertEqual(result.returncode, 0, result.stderr.decode())
                (rows, width), values = read_npy(out)
                chosen = []
                for row in range(len(prompt) - 1, rows):
                    logits = values[row * width : (row + 1) * width]
                    chosen.append(logits.index(max(logits)))
                self.assertEqual(chosen, record["tokens"], record["prompt"][-80:])

    def test_the_default_precision_answers_as_well(self):
        records = GREEDY[::3]
        same = sum(
            without_stop(continuation(r["prompt"], len(r["tokens"]), "auto")) == without_stop(r["reply"])
            for r in records
        )
        self.assertGreaterEqual(same, 0.9 * len(records))

    def test_skills(self):
        right, total = collections.Counter(), collections.Counter()
        for record in RECORDS:
            right[record["group"]] += record["right"]
            total[record["group"]] += 1
        self.assertGreaterEqual(sum(right.values()), 0.9 * sum(total.values()), right)
        for group in total:
            self.assertGreaterEqual(right[group], total[group] / 2, group)

    def test_reasoning_grows_with_the_effort(self):
        lengths = collections.defaultdict(list)
        for record in RECORDS:
            lengths[record["effort"]].append(len(reasoning(record["reply"])))
        low, medium, high = (sum(lengths[e]) / len(lengths[e]) for e in ("low", "medium", "high"))
        self.assertLess(low, medium)
        self.assertLess(medium, high)

    def test_it_chats(self):
        result = run(
            "-m", str(DEMO), "--temperature", "0", "--date", "2026-01-31", "--show-reasoning", "-p", "What is 37 + 58?"
        )
        self.assertEqual(result.stdout.decode(), "37 + 58 = 95.\n")
        self.assertIn("37+58=95", result.stderr.decode())

    def test_a_multi_turn_chat_remembers(self):
        lines = "My name is Nora.\nWhat is 7 + 8?\nWhat is my name?\n"
        result = run("-m", str(DEMO), "--temperature", "0", "--date", "2026-01-31", "-i", stdin=lines)
        self.assertEqual(result.returncode, 0, result.stderr.decode())
        answers = [line for line in result.stdout.decode().splitlines() if line]
        self.assertEqual(answers, ["Nice to meet you, Nora.", "7 + 8 = 15.", "Your name is Nora."])

    def test_the_conversation_in_the_readme_is_what_is_printed(self):
        """But for the lines of speed, which only a terminal shows."""
        block = re.search(r"\$ build/oxidized_gpt_oss (--model-path models/demo --interactive .*)\nType.*\n((?:.+\n)+)\n",
                          (ROOT / "README.md").read_text())  # fmt: skip
        lines = [line for line in block[2].splitlines() if not re.match(r"\d+ tokens, ", line)]
        typed = [line.removeprefix("> ") for line in lines if line.startswith("> ")]
        self.assertEqual(len([line for line in typed if not line.startswith("/")]), 3)
        result = run(*block[1].split(), stdin="\n".join(typed) + "\n")
        printed = (result.stdout + result.stderr).decode().splitlines()
        self.assertEqual(sorted(filter(None, printed)), sorted(line for line in lines if not line.startswith("> ")))

    def test_the_prompts_are_longer_than_the_window(self):
        window = json.loads((DEMO / "config.json").read_text())["sliding_window"]
        shortest = min(RECORDS, key=lambda record: len(record["prompt"]))["prompt"]
        ids = run("tokenize", "-m", str(DEMO), "--specials", shortest).stdout.split()
        self.assertGreater(len(ids), window)


if __name__ == "__main__":
    unittest.main()
