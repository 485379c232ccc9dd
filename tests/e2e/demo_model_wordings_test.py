"""The data that the demonstration model is trained on: enough phrasings of each kind of task, and no question of those that
measure it. Needs neither the program nor a model; tools/demo_model/wordings.py checks many more conversations.
"""

import json
import lzma
import pathlib
import random
import re
import sys
import unittest
from unittest import mock

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools/demo_model"))
sys.dont_write_bytecode = True
import conversation  # noqa: E402
import evaluate  # noqa: E402
import held_out  # noqa: E402
import split  # noqa: E402
import wordings  # noqa: E402

CONVERSATIONS = 3000
KINDS, A_KIND = 14, 40


def questions_of_the_first_set():
    with lzma.open(held_out.FOLDER / "first_model.jsonl.xz", "rt") as lines:
        prompts = [json.loads(line)["prompt"] for line in lines]
    return [re.findall(r"<\|start\|>user<\|message\|>(.*?)<\|end\|>", p, re.S)[-1].lower() for p in prompts]


class Wordings(unittest.TestCase):
    def test_every_kind_has_hundreds_of_phrasings(self):
        self.assertEqual(set(wordings.TABLES), set(evaluate.GROUPS))
        self.assertGreaterEqual(wordings.ENOUGH, 300)
        for kind in evaluate.GROUPS:
            self.assertGreaterEqual(wordings.phrasings(kind, wordings.ENOUGH), wordings.ENOUGH, kind)

    def test_the_held_out_wordings_are_forty_a_kind_and_no_two_are_the_same(self):
        found = [(kind, conversation.render_prompt(s)) for kind, s, _ in held_out.samples()]
        self.assertEqual(len(found), KINDS * A_KIND)
        for kind in held_out.KINDS:
            self.assertEqual(len({prompt for k, prompt in found if k == kind}), A_KIND, kind)

    def test_the_first_set_is_whole(self):
        self.assertEqual(len(evaluate.first(2520, ROOT / "models/demo")), 2520)

    def test_no_measured_question_is_trained(self):
        measured = held_out.texts() | set(questions_of_the_first_set())
        self.assertEqual(set(measured), set(split.excluded()))
        trained = set(wordings.trained_questions(CONVERSATIONS))
        self.assertGreater(len(trained), CONVERSATIONS / 2)
        self.assertEqual(measured & trained, set())

    def test_a_task_that_asks_a_measured_question_is_drawn_again(self):
        """As the last question or in an earlier turn, in capitals or not: what is drawn by chance alone may never show it."""
        bad = sorted(held_out.texts())[::20] + questions_of_the_first_set()[::100]
        plain = next(t for t, _ in split.TASKS)
        planted = iter([text for b in bad for text in (b, b.upper())])
        drawn = []

        def task(r, effort):
            s = plain(r, effort)
            text = next(planted, None)
            if text is not None:
                at = [i for i, m in enumerate(s.context) if m.role == "user"][r.randrange(2) - 1]
                s.context = [*s.context[:at], conversation.Message("user", text), *s.context[at:]]
                s.keys = []  # so that nothing else keeps it out
                drawn.append(text)
            return s

        with mock.patch.object(split, "TASKS", [(task, 1)]):
            r = random.Random(3)
            while len(drawn) < 2 * len(bad):
                s = split.draw(r, held_out=False)
                for m in s.context:
                    self.assertNotIn(m.content.lower(), split.excluded())


if __name__ == "__main__":
    unittest.main()
