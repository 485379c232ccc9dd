"""The measuring commands from outside: every format, every count against the model's shape, never a time.

Run by ctest with OXIDIZED_PROGRAM set to the program (an emulator may stand before it, separated by '|').
"""

import csv
import importlib.util
import io
import json
import os
import pathlib
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import unittest
import xml.etree.ElementTree

PROGRAM = [word for word in os.environ["OXIDIZED_PROGRAM"].split("|") if word]
ROOT = pathlib.Path(__file__).resolve().parents[2]
TOKENIZER = ROOT / "tests/golden/tokenizer/tokenizer.json"
FAKE = ROOT / "tests/e2e/fake_llama_bench.py"
USAGE, BAD_FILE, CONTEXT_FULL = 2, 3, 5


def load_tool(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.dont_write_bytecode = True
    spec.loader.exec_module(module)
    return module


def environment(**more):
    env = {k: v for k, v in os.environ.items() if not k.startswith("OXIDIZED_") and k != "NO_COLOR"}
    env.update(more)
    return env


def run(*arguments, **more):
    return subprocess.run(PROGRAM + [str(a) for a in arguments], capture_output=True, env=environment(**more),
                          timeout=300)


class Shape:
    """What a step of the model must read and do, from config.json alone (the published form: bf16 and MXFP4)."""

    def __init__(self, folder):
        c = json.loads((folder / "config.json").read_text())
        self.layers, self.m, self.f = c["num_hidden_layers"], c["hidden_size"], c["intermediate_size"]
        self.heads, self.kv_heads, self.d = c["num_attention_heads"], c["num_key_value_heads"], c["head_dim"]
        self.experts, self.k = c["num_local_experts"], c["num_experts_per_tok"]
        self.vocab, self.window = c["vocab_size"], c["sliding_window"]
        self.sliding = [kind == "sliding_attention" for kind in c["layer_types"]]
        self.q, self.kv = self.heads * self.d, self.kv_heads * self.d

    def expert_bytes(self):
        return 3 * self.f * self.m // 32 * 17 + 2 * (2 * self.f + self.m)

    def expert_flops(self):
        return 2 * 3 * self.f * self.m

    def keys(self, position):
        """Keys that the token at `position` sees, over all layers."""
        return sum(min(position + 1, self.window) if sliding else position + 1 for sliding in self.sliding)

    def decode_bytes(self, position, kv_element):
        dense = self.layers * (2 * self.q * self.m + 2 * self.kv * self.m + self.experts * self.m) + self.vocab * self.m
        return (2 * dense + self.layers * self.k * self.expert_bytes()
                + self.keys(position) * 2 * self.kv * kv_element)

    def decode_flops(self, position):
        dense = self.layers * (2 * self.q * self.m + 2 * self.kv * self.m + self.experts * self.m) + self.vocab * self.m
        return 2 * dense + self.layers * self.k * self.expert_flops() + self.keys(position) * 4 * self.q


class Bench(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp())
        cls.model = cls.folder / "tiny"
        made = run("synth", "--preset", "tiny", "--seed", 7, "--out", cls.model)
        assert made.returncode == 0, made.stderr
        cls.shape = Shape(cls.model)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder)

    def refused(self, code, says, *arguments):
        result = run(*arguments)
        stderr = result.stderr.decode()
        self.assertEqual(result.returncode, code, stderr)
        self.assertEqual(result.stdout, b"")
        self.assertEqual(stderr.count("\n"), 1, stderr)
        self.assertIn(says, stderr)

    def bench(self, *arguments, **more):
        runs = () if "--runs" in arguments else ("--runs", 2)
        result = run("bench", "-m", self.model, *runs, "--ceiling-seconds", 0.005, *arguments, **more)
        self.assertEqual(result.returncode, 0, result.stderr.decode())
        return result.stdout.decode()

    def record(self, *arguments, **more):
        return json.loads(self.bench("--json", *arguments, **more))

    # --- bench -----------------------------------------------------------------------------------------------------

    def test_bad_requests(self):
        for arguments, says in [
            (("pp0",), "'pp0': tokens must be from 1 to 1048576"), (("pp",), "'pp' is not a test"),
            (("tg99999999999",), "tokens must be from 1 to"), (("tg99999999999999999999999",), "tokens must be"), (("pp-1",), "is not a test"),
            (("tg64@d0",), "the depth must be from 1"), (("tg64@4",), "tg64@4"), (("tg64@d",), "tg64@d"),
            (("b5000",), "sequences must be from 1 to 4096"), (("ttft16@d4",), "ttft16@d4"), (("speed",), "known are"), (("pp16x",), "pp16x"),
            (("--tier", "mmx"), "mmx"), (("--tier", ""), "--tier: '' is none that this machine has"), (("--threads", "1,"), "''"), (("--threads", "0"), "'0'"),
            (("--runs", "0"), "--runs"), (("--ceiling-seconds", "0"), "--ceiling-seconds"), (("--json", "--csv"), "exclude"), (("--csv", "--stages"), "--json"),
            (("pp16", "--executor", "reference", "--threads", "2"), "one thread"),
        ]:
            self.refused(USAGE, says, "bench", "-m", self.model, *arguments)
        self.refused(CONTEXT_FULL, "pp512 needs a context", "bench", "-m", self.model, "--context", 256, "pp512")

    def test_a_record_adds_up(self):
        record = self.record("--stages", "--threads", "1,2", "pp32", "pp8@d24", "tg4", "tg3@d150", "b3@d5", "ttft16")
        self.assertEqual([team["threads"] for team in record["teams"]], [1, 2])
        self.assertEqual([f["test"] for f in record["figures"]],
                         2 * ["pp32", "pp8@d24", "tg4", "tg3@d150", "b3@d5", "ttft16"])
        for team in record["teams"]:
            self.assertGreater(team["read_gb_per_s"], 0)
            self.assertGreater(team["f32_gflop_per_s"], 0)
        for figure in record["figures"]:
            samples = figure["samples"]
            self.assertEqual(len(samples), 2)
            values = [s["value"] for s in samples]
            self.assertAlmostEqual(figure["median"], statistics.median(values))
            self.assertEqual([figure["min"], figure["max"]], sorted(values))
            self.assertAlmostEqual(figure["gb_per_s"],
                                   statistics.median(s["bytes"] / s["seconds"] for s in samples) / 1e9)
            self.assertAlmostEqual(figure["memory_share"], statistics.median(
                s["bytes"] / s["seconds"] / s["probe_gb_per_s"] for s in samples) / 1e9)
            self.assertAlmostEqual(figure["arithmetic_share"], statistics.median(
                s["flops"] / s["seconds"] for s in samples) / 1e9 / figure["arithmetic_ceiling_gflop_per_s"])
            tokens = {"pp32": 32, "pp8@d24": 8, "tg4": 4, "tg3@d150": 3, "b3@d5": 96, "ttft16": 16}[figure["test"]]
            for sample in samples:
                expected = sample["seconds"] * 1e3 if figure["unit"] == "ms" else tokens / sample["seconds"]
                self.assertAlmostEqual(sample["value"], expected, delta=1e-6 * expected)
            self.assertLessEqual(sum(stage["microseconds"] for stage in figure["stages"]),
                                 1.001 * 1e6 * sum(s["seconds"] for s in samples))
            for what in ("bytes", "flops"):
                self.assertEqual(sum(stage[what] for stage in figure["stages"]), sum(s[what] for s in samples))
            steps = {"pp32": 1, "pp8@d24": 1, "tg4": 4, "tg3@d150": 3, "b3@d5": 32, "ttft16": 1}[figure["test"]]
            self.assertEqual(figure["steps"], 2 * steps)

    def test_decode_counts_what_the_shape_says(self):
        for precision, element in (("bf16", 2), ("f32", 4)):
            record = self.record("--precision", precision, "tg4", "tg3@d150")
            # The prompt is one token (or the depth) and two untimed steps follow it.
            for figure, first, steps in zip(record["figures"], (1 + 2, 150 + 2), (4, 3)):
                positions = range(first, first + steps)
                for sample in figure["samples"]:
                    self.assertEqual(sample["bytes"], sum(self.shape.decode_bytes(p, element) for p in positions))
                    self.assertEqual(sample["flops"], sum(self.shape.decode_flops(p) for p in positions))

    def test_more_sequences_than_a_byte_counts(self):
        [figure] = self.record("b600@d1", "--runs", 1, "--stages")["figures"]
        self.assertEqual(figure["steps"], 32)
        [sample] = figure["samples"]
        self.assertAlmostEqual(sample["value"], 32 * 600 / sample["seconds"], delta=1e-6 * sample["value"])

    def test_nothing_timed_was_kept_from_before(self):
        record = self.record("pp32", "ttft32", "pp32@d8")
        flops = [s["flops"] for figure in record["figures"] for s in figure["samples"]]
        self.assertEqual(len(set(flops[:4])), 1, flops)  # prompts of the same length, whether or not seen in this run
        self.assertGreater(min(flops[4:]), flops[0])  # the same rows over more keys

    def test_a_last_chunk_of_one_token_counts_like_the_rest(self):
        [whole] = self.record("pp15", "--runs", 1)["figures"]
        [chunks] = self.record("pp15", "--runs", 1, "--chunk-tokens", 7, "--stages")["figures"]
        self.assertEqual(chunks["steps"], 3)
        self.assertEqual(chunks["samples"][0]["flops"], whole["samples"][0]["flops"])

    def test_formats(self):
        arguments = ["pp16", "tg2"]
        table = self.bench(*arguments)
        for name in arguments:
            self.assertRegex(table, rf"(?m)^{name} +\*?[\d.]+ +[\d.]+\.\.[\d.]+ ")
        self.assertRegex(table, r"(?m)^\d+ threads?, tokens/s; in the order of the tests; probe [\d.]+\.\.[\d.]+ GB/s:$")
        self.assertRegex(table, r"ceilings, tier \w+, \d+ threads?: memory [\d.]+ GB/s, f32 \d+ GFLOP/s")
        markdown = self.bench("--markdown", "--stages", *arguments)
        self.assertRegex(markdown, r"(?m)^\| pp16 \| \d+ \| tokens/s \| [\d.]+ \| [\d.]+ \| [\d.]+ \|")
        self.assertRegex(markdown, r"(?m)^\| gate_up \|")
        rows = list(csv.DictReader(io.StringIO(self.bench("--csv", *arguments))))
        self.assertEqual([row["test"] for row in rows], arguments)
        for row in rows:
            self.assertLessEqual(float(row["min"]), float(row["median"]))
            self.assertLessEqual(float(row["median"]), float(row["max"]))
            self.assertEqual(row["runs"], "2")

    def test_tests_without_a_model(self):
        result = run("bench", "ceilings", "harmony", "--runs", 1, "--ceiling-seconds", 0.005, "--json")
        self.assertEqual(result.returncode, 0, result.stderr)
        record = json.loads(result.stdout)
        self.assertEqual(record["model"], "")
        self.assertEqual([f["subject"] for f in record["figures"]], ["render", "parse"])
        for figure in record["figures"]:
            self.assertGreater(figure["rows"], 90_000)
            sample = figure["samples"][0]
            self.assertAlmostEqual(sample["value"], figure["rows"] / sample["seconds"], delta=1)

    def test_ceilings_end_when_interrupted(self):
        process = subprocess.Popen(PROGRAM + ["bench", "ceilings", "--ceiling-seconds", "60"], env=environment(),
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            time.sleep(1)
            process.send_signal(signal.SIGINT)
            self.assertEqual(process.wait(timeout=20), 130)
        finally:
            process.kill()
            process.wait()

    def test_tiers_and_kernels(self):
        record = self.record("--tier", "scalar", "--threads", 1, "--runs", 1, "kernels")
        self.assertEqual(record["tier"], "scalar")
        names = {figure["subject"] for figure in record["figures"]}
        for name in ("f32_bf16w_matmul", "f32_mxfp4w_moe_gate_up", "f32_mxfp4w_moe_down", "f32_bf16kv_attention",
                     "f32_rms_norm", "int8_q8w_matmul", "f32_packedw_matmul"):
            self.assertIn(name, names)
        s = self.shape
        for figure in record["figures"]:
            sample = figure["samples"][0]
            calls = round(sample["seconds"] * 1e6 / sample["value"])
            if figure["subject"] == "f32_mxfp4w_moe_gate_up":
                self.assertAlmostEqual(sample["bytes"], calls * (2 * s.f * s.m // 32 * 17), delta=1)
                self.assertAlmostEqual(sample["flops"], calls * 2 * figure["rows"] * 2 * s.f * s.m, delta=1)
            if figure["subject"] == "f32_bf16w_matmul":
                self.assertAlmostEqual(sample["bytes"], calls * 2 * s.q * s.m, delta=1)

    def test_reference_executor(self):
        record = self.record("--executor", "reference", "pp4", "tg1")
        self.assertEqual(record["executor"], "reference")
        self.assertEqual((record["tier"], [team["threads"] for team in record["teams"]]), ("", [1]))
        for figure in record["figures"]:
            self.assertGreater(figure["median"], 0)
            self.assertIsNone(figure["memory_share"])  # it counts nothing
            self.assertEqual((figure["threads"], figure["tier"]), (1, ""))
        [row] = csv.DictReader(io.StringIO(self.bench("--executor", "reference", "--csv", "pp4")))
        self.assertEqual((row["threads"], row["tier"]), ("1", ""))
        self.assertNotEqual(self.record("pp4")["figures"][0]["tier"], "")

    def test_how_weights_were_held(self):
        packed = self.folder / "dense.packed"
        self.assertEqual(run("convert", self.model, packed, "--format", "packed-dense").returncode, 0)
        for arguments, held, form, experts, says in [
            ((), "mapped", "none", None, "weights mapped"),
            (("--use-mmap=false",), "read", "none", None, "weights read into memory"),
            (("--pack-weights",), "mapped", "memory", None, "packed in memory"),
            (("--packed-weights", packed), "mapped", "file", None, "packed in a file"),
            (("--expert-memory", "50%"), "read", "none", 0.5, "experts at once"),
        ]:
            weights = self.record("pp4", "--runs", 1, *arguments)["weights"]
            self.assertEqual((weights["held"], weights["packed"], weights["packed_bytes"] > 0),
                             (held, form, form != "none"), arguments)
            store = weights["expert_memory"]
            self.assertEqual(store and store["slots"] / store["experts"], experts, arguments)
            self.assertIn(says, self.bench("pp4", "--runs", 1, *arguments))
        for arguments, activations in [((), ""), (("--activations", "int8"), "int8")]:
            [row] = csv.DictReader(io.StringIO(self.bench("pp4", "--runs", 1, "--csv", *arguments)))
            self.assertEqual(row["activations"], activations)
        record = self.record("pp4", "--activations", "int8", "--use-mmap=false")
        self.assertEqual(record["activations"], "int8")
        self.assertEqual(record["weights"]["arrangement"], "interleaved")
        self.assertGreater(record["weights"]["arranged_bytes"], 0)
        mapped = self.record("pp4", "--activations", "int8")["weights"]
        self.assertEqual((mapped["arrangement"], mapped["arranged_bytes"]), ("stored", 0))
        result = run("bench", "ceilings", "--json", "--ceiling-seconds", 0.005)
        self.assertIsNone(json.loads(result.stdout)["weights"])

    def test_options_that_the_named_tests_have_no_use_for(self):
        for arguments, says in [
            (("ceilings", "-m", self.model), "--model-path has no effect with ceilings: no model"),
            (("ceilings", "harmony", "--precision", "f32"), "--precision has no effect with ceilings harmony"),
            (("kernels", "-m", self.model, "--pack-weights"), "--pack-weights"),
            (("kernels", "-m", self.model, "--expert-memory", "50%"), "--expert-memory"),
            (("kernels", "--stages"), "--stages"), (("kernels", "--seed", "1"), "--seed"),
            (("ceilings", "--runs", "2"), "--runs"), (("ceilings", "--csv"), "--csv"),
            (("pp4", "-m", self.model, "-t", TOKENIZER), "-t"),
            (("pp4", "-m", self.model, "--executor", "reference", "--tier", "scalar"), "--tier"),
        ]:
            self.refused(USAGE, says, "bench", *arguments)
        # A default for whatever can use it.
        result = run("bench", "ceilings", "--ceiling-seconds", 0.005, OXIDIZED_PRECISION="f32")
        self.assertEqual(result.returncode, 0, result.stderr)

    # --- --benchmark-moe -------------------------------------------------------------------------------------------

    def test_benchmark_moe_table(self):
        plot = self.folder / "moe.svg"
        result = run("-m", self.model, "--enable-moe", "--benchmark-moe", "--verbose", "--show-moe-metrics",
                     "--benchmark-plot", plot)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn(b"max/mean", result.stderr)
        text = result.stdout.decode()
        self.assertRegex(text, r"median +spread")
        for row in ["prefill routing", "prefill expert compute", "prefill end to end", "decode routing",
                    "decode expert compute", "decode expert weights", "decode end to end", "all layers routing, 1 row",
                    "all layers combine, 256 rows", "1 row", "512 rows", "uniform, 16 rows", "zipf, 512 rows",
                    "all to one, 512 rows"]:
            line = re.search(rf"(?m)^{row} +(?:(?:us/token|tokens/s|GB/s) +)?(\*?[\d.]+) .*\n  runs: (.*)$", text)
            self.assertIsNotNone(line, row)
            runs = [float(word.lstrip("*")) for word in line[2].split()]
            self.assertEqual(len(runs), 3, row)
            self.assertEqual(float(line[1].lstrip("*")), sorted(runs)[1], row)
            self.assertEqual("*" in line[1], "*" in line[2], row)  # disturbed
        names = {element.tag.split("}")[1] for element in xml.etree.ElementTree.parse(plot).iter()}
        self.assertLessEqual({"svg", "polyline", "rect", "text"}, names)
        self.assertNotIn("nan", plot.read_text())

    def test_runs_beside_other_programs_are_marked(self):
        spinners = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2 * os.cpu_count())]
        try:
            bench = run("bench", "-m", self.model, "--json", "--runs", "2", "--threads", "1", "tg64", "--ceiling-seconds", "0.01")
            moe = run("-m", self.model, "--benchmark-moe", "--benchmark-runs", "1", "--json")
        finally:
            for spinner in spinners:
                spinner.kill()
                spinner.wait()
        [figure] = json.loads(bench.stdout)["figures"]
        [end_to_end] = [s for s in json.loads(moe.stdout)["sections"] if s["section"] == "end_to_end"]
        if figure["samples"][0]["waited_share"] is None:
            self.skipTest("this kernel does not count the time without a processor")
        for sample in figure["samples"]:
            self.assertEqual(sample["disturbed"], sample["waited_share"] > 0.05)
            self.assertLessEqual(sample["waited_share"], 1)
        self.assertTrue(any(sample["disturbed"] for sample in figure["samples"]))
        self.assertIn(b"disturbed in run", bench.stderr)
        self.assertEqual([f["disturbed"] for f in end_to_end["figures"]], 7 * [[True]])
        self.assertIn(b"--benchmark-moe, end_to_end: disturbed in run 1 of 1", moe.stderr)

    def test_no_more_threads_than_processors(self):
        result = run("bench", "-m", self.model, "--json", "--threads", "1000", "--runs", "1", "pp4", "--ceiling-seconds", "0.01")
        self.assertIn(b"--threads 1000: this process may use", result.stderr)
        [team] = json.loads(result.stdout)["teams"]
        self.assertLessEqual(team["threads"], os.cpu_count())

    def test_each_team_is_measured_once(self):
        result = run("bench", "ceilings", "--json", "--threads", "1,1000,1,1001", "--ceiling-seconds", "0.005")
        teams = [team["threads"] for team in json.loads(result.stdout)["teams"]]
        self.assertEqual(teams, sorted({1, max(teams)}))

    def test_benchmark_moe_record(self):
        record = json.loads(run("-m", self.model, "--benchmark-moe", "--benchmark-runs", "2", "--json").stdout)
        self.assertEqual(len(record["metrics"]), 7)
        for metric in record["metrics"]:
            self.assertEqual(len(metric["runs"]), 2)
            self.assertAlmostEqual(metric["median"], sum(metric["runs"]) / 2)
        sections = {section["section"]: section["figures"] for section in record["sections"]}
        self.assertEqual(list(sections), ["end_to_end", "layers", "expert", "load", "store"])
        s = self.shape

        self.assertEqual([f["rows"] for f in sections["expert"]], [2**i for i in range(10)])
        calls = min(8, s.layers * s.experts)
        for figure in sections["expert"]:
            self.assertEqual(figure["bytes"], 2 * [calls * s.expert_bytes()])
            self.assertEqual(figure["flops"], 2 * [calls * figure["rows"] * s.expert_flops()])

        layers = sections["layers"]
        self.assertEqual(len(layers), 2 * 4 * (s.layers + 1))
        for rows in (1, 256):
            for name in ("routing", "dispatch", "experts", "combine"):
                figures = [f for f in layers if f["rows"] == rows and f["name"] == name]
                self.assertEqual([f.get("layer") for f in figures], list(range(s.layers)) + [None])
                for what in ("runs", "bytes", "flops"):
                    for run_number in range(2):
                        parts = [f[what][run_number] for f in figures]
                        self.assertAlmostEqual(sum(parts[:-1]), parts[-1], delta=1e-6 * parts[-1] + 1e-9)
                if name == "routing":
                    self.assertEqual(figures[0]["flops"][0], 2 * rows * s.experts * s.m)
                if name == "experts":
                    self.assertEqual(figures[0]["flops"][0], rows * s.k * s.expert_flops())
                    mean = statistics.mean(figures[0]["bytes"])
                    self.assertAlmostEqual(mean, figures[0]["experts_used"] * s.expert_bytes())
                    if rows == 1:
                        self.assertEqual(figures[0]["experts_used"], s.k)

        load = {(f["name"], f["rows"]): f for f in sections["load"]}
        self.assertEqual(set(load), {(n, r) for n in ("uniform", "zipf", "all to one") for r in (16, 512)})
        for (name, rows), figure in load.items():
            at_once = min(4, s.layers)
            combine = at_once * rows * s.k * s.m
            self.assertEqual(figure["flops"], 2 * [at_once * rows * s.k * s.expert_flops() + 2 * combine])
            self.assertAlmostEqual(statistics.mean(figure["bytes"]),
                                   at_once * figure["experts_used"] * s.expert_bytes())
            if name == "all to one":
                self.assertEqual(figure["experts_used"], s.k)
        self.assertEqual(load["uniform", 512]["experts_used"], s.experts)
        self.assertLessEqual(load["zipf", 16]["experts_used"], s.experts)

        store = {f["name"]: f["runs"] for f in sections["store"]}
        self.assertIn("50 % of experts, decode", store)
        for name, runs in store.items():
            self.assertEqual(len(runs), 2)
            for value in runs:
                self.assertGreaterEqual(value, 0)
                if name.endswith("hits"):
                    self.assertLessEqual(value, 100)
        self.assertGreater(min(store["25 % of experts, read"]), 0)

    def test_bench_moe_is_the_same(self):
        plot = self.folder / "same.svg"
        result = run("bench", "moe", "-m", self.model, "--runs", 1, "--json", "--plot", plot, "--show-moe-metrics",
                     "--experts-per-token", 1)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn(b"max/mean", result.stderr)
        self.assertIn(b"change the model's answers", result.stderr)
        xml.etree.ElementTree.parse(plot)
        here = json.loads(result.stdout)
        there = json.loads(run("-m", self.model, "--benchmark-moe", "--benchmark-runs", 1, "--json").stdout)

        def form(record):
            if isinstance(record, dict):
                return {key: form(value) for key, value in record.items()}
            return [form(value) for value in record] if isinstance(record, list) else None
        self.assertEqual(form(here), form(there))
        layer = [f for s in here["sections"] if s["section"] == "layers" for f in s["figures"]
                 if f["name"] == "experts" and f["rows"] == 1][0]
        self.assertEqual(layer["experts_used"], 1)
        table = run("bench", "moe", "-m", self.model, "--runs", 1, "--expert-eviction", "lru")
        self.assertIn("used: experts of a layer", table.stdout.decode(), table.stderr)
        self.refused(USAGE, "bench moe: the reference executor", "bench", "moe", "-m", self.model, "--executor", "reference")
        self.refused(USAGE, "--runs before moe", "bench", "--runs", "2", "moe", "-m", self.model)
        self.refused(USAGE, "pp512 before moe", "bench", "pp512", "moe", "-m", self.model)

    def test_benchmark_moe_refuses(self):
        self.refused(USAGE, "--device cpu", "-m", self.model, "--benchmark-moe", "--executor", "reference")
        self.refused(USAGE, "--prompt", "-m", self.model, "--benchmark-moe", "-p", "x")
        self.refused(USAGE, "--benchmark-runs", "-m", self.model, "--benchmark-moe", "--benchmark-runs", "0")
        self.refused(USAGE, "--benchmark-plot", "-m", self.model, "-p", "x", "--benchmark-plot", "x.svg")

    # --- tools -----------------------------------------------------------------------------------------------------

    def compare(self, *arguments, mode="ok"):
        """tools/compare_bench.py with ours on the tiny model; an emulator is not put before it."""
        log = self.folder / f"fake-{mode}.log"
        result = subprocess.run(
            [sys.executable, "-B", ROOT / "tools/compare_bench.py", "--ours", PROGRAM[-1], "--theirs", FAKE, "-m",
             self.model, "--threads", "1", "--ours-arguments",
             "--ceiling-seconds 0.005", *arguments],
            capture_output=True, text=True, env=environment(FAKE_BENCH=mode, FAKE_BENCH_LOG=str(log)), timeout=300)
        return result, log.read_text().splitlines() if log.exists() else []

    @unittest.skipIf(len(PROGRAM) > 1, "the tool runs the program itself, not through an emulator")
    def test_compare_bench(self):
        result, calls = self.compare("--runs", "2", "--json", "pp8", "tg2@d4")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(calls, 3 * [f"-m {self.model} -t 1 -r 1 -o json -p 8 -n 0"]
                         + 3 * [f"-m {self.model} -t 1 -r 1 -o json -d 4 -p 0 -n 2"])
        for entry, speed in zip(json.loads(result.stdout), (40.0, 5.0)):
            self.assertEqual([s["who"] for s in entry["samples"]], ["ours", "theirs"] * 2)
            self.assertEqual({s["speed"] for s in entry["samples"] if s["who"] == "theirs"}, {speed})
            self.assertEqual(sum(len(row["ours"]) + len(row["theirs"]) for row in entry["classes"]), 4)
        table, _ = self.compare("--runs", "1", "pp8")
        self.assertIn("| pp8 |", table.stdout)
        for mode, says in [("fails", "failed to load model"), ("text", "no JSON"), ("rows", "2 rows"),
                           ("zero", "avg_ts = 0.0")]:
            result, _ = self.compare("--runs", "1", "pp8", mode=mode)
            self.assertEqual(result.returncode, 1, mode)
            self.assertIn(says, result.stderr)
        for arguments, says in [
            (("b4",), "'b4' is not a test"), (("pp0",), "'pp0': tokens must be from 1 to 1048576"),
            (("tg99999999999",), "tokens must be from"), (("tg4@d9999999",), "the depth must be from"),
            (("pp8", "--theirs-arguments", "-x 'y"), "--theirs-arguments: No closing quotation: -x 'y"),
            (("pp8", "--ours-arguments", '"'), "--ours-arguments: No closing quotation"),
            (("pp8", "--depth-arguments", "-d '{depth}"), "--depth-arguments: No closing quotation"),
            (("pp8", "--depth-arguments", "-d {deep}"), "--depth-arguments: -d {deep}"),
        ]:
            result, calls = self.compare(*arguments, mode="untouched")
            self.assertEqual((result.returncode, calls), (1, []), result.stderr)
            self.assertEqual(result.stderr.count("\n"), 1, result.stderr)
            self.assertIn(says, result.stderr)

    def test_compare_bench_pairs_only_equal_classes(self):
        tool = load_tool("compare_bench")
        self.assertEqual(tool.classes([47.0, 70.0, 48.5, 68.0, 46.0]), [0, 1, 0, 1, 0])
        self.assertEqual(tool.classes([50.0, 51.0, 52.0]), [0, 0, 0])
        samples = [{"who": who, "speed": speed, "probe": probe, "class": number, "faults": 0}
                   for who, speed, probe, number in [("ours", 10.0, 47.0, 0), ("theirs", 8.0, 48.0, 0),
                                                     ("ours", 18.0, 70.0, 1), ("ours", 12.0, 46.0, 0)]]
        slow, fast = tool.compare(samples)
        self.assertAlmostEqual(slow["ratio"], 11.0 / 8.0)
        self.assertAlmostEqual(slow["ratio_min"], 10.0 / 8.0)
        self.assertAlmostEqual(slow["ratio_max"], 12.0 / 8.0)
        self.assertIsNone(fast["ratio"])

    def test_plot(self):
        file = self.folder / "bench.json"
        file.write_text(self.bench("--json", "--threads", "1,2", "pp4", "pp8", "tg2", "tg2@d9", "b2", "b3"))
        out = self.folder / "images"
        self.refused(BAD_FILE, "b=", "bench", "plot", "--out", out, f"a=b={file}")  # the name ends at the first =
        self.refused(BAD_FILE, "not a file of figures that `bench` writes as JSON", "bench", "plot", "--out", out, self.model / "config.json")
        self.refused(USAGE, "--out", "bench", "plot", f"tiny={file}")
        self.assertFalse(out.exists())
        result = run("bench", "plot", "--out", out, f"tiny={file}")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual({p.name for p in out.iterdir()}, {"prompt.svg", "depth.svg", "batch.svg", "threads.svg"})
        self.assertEqual([pathlib.Path(line).name for line in result.stdout.decode().splitlines()],
                         ["prompt.svg", "depth.svg", "batch.svg", "threads.svg"])
        for picture in out.iterdir():
            xml.etree.ElementTree.parse(picture)
        self.assertIn("2 threads", (out / "prompt.svg").read_text())
        alone = json.loads(file.read_text())
        alone["figures"] = alone["figures"][:1]
        file.write_text(json.dumps(alone))
        self.refused(USAGE, "no kind of test has two points", "bench", "plot", "--out", out, file)


if __name__ == "__main__":
    unittest.main()
