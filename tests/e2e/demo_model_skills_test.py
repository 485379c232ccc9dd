"""What models/demo can do, measured on conversations that were held out of its training: the engine answers greedily, and
the answers are held to the thresholds that the model was shipped with. tools/demo_model/evaluate.py picks and judges them:
the set `first`, which no later training may contain either, so that a successor is held to the same.
"""

import collections
import concurrent.futures
import os
import pathlib
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEMO = str(ROOT / "models/demo")
sys.path.insert(0, str(ROOT / "tools/demo_model"))
sys.dont_write_bytecode = True
import evaluate  # noqa: E402

PROGRAM = [word for word in os.environ["OXIDIZED_PROGRAM"].split("|") if word][-1]
COUNT = 420
AT_LEAST = {"arithmetic": 0.90, "sorting": 0.90, "strings": 0.90, "function calls": 0.95, "all": 0.90}


class Skills(unittest.TestCase):
    def test_held_out_conversations(self):
        records = evaluate.first(COUNT, DEMO)
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            answers = list(pool.map(lambda r: evaluate.ask(PROGRAM, DEMO, r["prompt"]), records))
        right, total, reasoning = collections.Counter(), collections.Counter(), collections.defaultdict(list)
        for record, (text, _) in zip(records, answers):
            for key in (record["group"], "all"):
                total[key] += 1
                right[key] += evaluate.fits(record["expected"], text)
            reasoning[record["effort"]].append(len(evaluate.read(text)[0]))
        for key, share in AT_LEAST.items():
            self.assertGreaterEqual(total[key], 20, f"{key}: too few to judge")
            self.assertGreaterEqual(right[key], share * total[key], f"{key}: {right[key]} of {total[key]}")
        low, medium, high = (sum(reasoning[e]) / len(reasoning[e]) for e in ("low", "medium", "high"))
        self.assertLess(low, medium)
        self.assertLess(medium, high)


if __name__ == "__main__":
    unittest.main()
