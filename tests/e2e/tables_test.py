"""Every table that the program prints fits 80 columns and says how it is ordered.

The one exception is documented: `verify` prints SHA-256 digests, which are 64 wide by themselves.
"""

import re
import unittest

from command_line import run

MODEL = "models/demo"  # a short path: tables stand below it
COLUMNS = 80
FAST = ("--runs", 1, "--ceiling-seconds", 0.005)
# What is not a table: which model answers, what happened (a log line), how long an answer took.
NOT_TABLES = re.compile(r"model: |\S*oxidized_gpt_oss: |\d+ tokens?, ")


class Tables(unittest.TestCase):
    def table(self, order, *arguments, columns=COLUMNS):
        """What the command prints, with `order` in it: the words that say how its rows are ordered."""
        result = run(*arguments)
        self.assertEqual(result.returncode, 0, result.stderr.decode())
        text = (result.stdout + result.stderr).decode()
        lines = [line for line in text.splitlines() if not NOT_TABLES.match(line)]
        self.assertGreater(len(lines), 2, text)
        for line in lines:
            self.assertLessEqual(len(line), columns, f"{arguments}: {line}")
        for words in order:
            self.assertIn(words, text, arguments)
        return text

    def test_the_model_and_the_machine(self):
        text = self.table(["model.layers.*., largest first", "others, largest first", "as they are read"], "inspect", MODEL)
        self.assertNotRegex(text, "[KMG]iB")
        text = self.table(["memory, weights first"], "-m", MODEL, "--dry-run")
        self.assertRegex(text, r"dense weights +[\d.]+ MiB")
        self.assertNotRegex(text, r"\d [kM]B\b")
        self.table(["memory, weights first", "expert pool"], "-m", MODEL, "--dry-run", "--expert-memory", "50%",
                   "--pack-weights")
        self.table(["in the order that --device auto tries them"], "devices")

    def test_digests_are_wider(self):
        digest, spaces = 64, 4
        longest = len("generation_config.json")
        self.table(["as they are read"], "verify", MODEL, columns=digest + spaces + len("      11172808 bytes") + 2 + longest)

    def test_an_answer(self):
        arguments = ("-m", MODEL, "-p", "hi", "--seed", 1, "--memory-stats", "--show-moe-metrics", "--verbose")
        orders = ["what, largest first", "pool, KV before experts", "worst balanced (by CV) first", "stages in their order"]
        text = self.table(orders, *arguments)
        resident = [float(size) for size in re.findall(r"(?m)^ *([\d.]+) +[\d.]+  \w+ ", text)]
        self.assertGreater(len(resident), 4, text)
        self.assertEqual(resident, sorted(resident, reverse=True))
        text = self.table([*orders, "most read", "expert cache"], *arguments, "--expert-memory", "50%")
        self.assertNotRegex(text, r"\d [kM]B\b")

    def test_bench(self):
        order = "in the order of the tests"
        text = self.table(["1 thread; " + order, "stages in the order of a step"], "bench", "-m", MODEL, "pp16", "tg4@d100",
                          "ttft16", "--threads", "1,2", "--stages", *FAST)
        self.assertRegex(text, r"(?m)^tg4@d100 +tokens/s +\*?[\d.]+ +[\d.]+\.\.[\d.]+ ")
        self.table(["kernels, 1 thread, us; " + order], "bench", "-m", MODEL, "kernels", "--threads", 1, *FAST)
        self.table(["harmony, 1 thread, tokens/s; " + order], "bench", "harmony", *FAST)
        for verbose in ((), ("--verbose",)):
            self.table(["in the order they ran"], "bench", "moe", "-m", MODEL, "--runs", 1, *verbose)

    def test_simulated_caches(self):
        self.table(["budgets as given, of each the optimum first"], "moe", "simulate", "--synthetic", "zipf:1", "--tokens", 20,
                   "--budget", "25%,100%,4GiB", "--experts", 128, "--layers", 36)


if __name__ == "__main__":
    unittest.main(verbosity=2)
