"""Routing statistics against an independent computation: the program's figures on one side, NumPy on the routing trace
of the same run on the other (tools/moe_trace.py, and the caches below). Also that watching changes nothing.

Run by ctest with OXIDIZED_PROGRAM set to the program (an emulator may stand before it, separated by '|').
"""

import collections
import json
import os
import pathlib
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import tracemalloc
import unittest

try:
    import numpy as np
except ImportError:
    print("SKIPPED: NumPy is missing (Debian: python3-numpy)")
    sys.exit(77)

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
import moe_trace  # noqa: E402

PROGRAM = [word for word in os.environ["OXIDIZED_PROGRAM"].split("|") if word]
WINDOW = 50


def run(*arguments, stdin="", code=0):
    env = {k: v for k, v in os.environ.items() if not k.startswith("OXIDIZED_")}
    result = subprocess.run(
        PROGRAM + [str(a) for a in arguments], input=stdin.encode(), capture_output=True, env=env, timeout=300
    )
    assert result.returncode == code, (arguments, result.returncode, result.stderr.decode())
    return result


class Folder(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)


class Figures(Folder):
    def close(self, mine, theirs, what):
        if isinstance(theirs, dict):
            for key in theirs:
                self.close(mine[key], theirs[key], f"{what}.{key}")
        elif isinstance(theirs, list):
            self.assertEqual(len(mine), len(theirs), what)
            for i, (a, b) in enumerate(zip(mine, theirs)):
                self.close(a, b, f"{what}[{i}]")
        elif isinstance(theirs, int) or theirs is None:
            self.assertEqual(mine, theirs, what)
        else:
            self.assertAlmostEqual(mine, theirs, delta=1e-6 * max(1.0, abs(theirs)), msg=what)

    def compare(self, layers, trace, select, pairs):
        expected = moe_trace.summary(trace, select)
        self.assertEqual(len(layers), len(expected))
        for number, (mine, theirs) in enumerate(zip(layers, expected)):
            for key, value in theirs.items():
                if key in ("share", "frequency"):  # of the counts and tokens, which are compared
                    continue
                if key == "pairs" and not pairs:
                    continue
                if theirs["tokens"] == 0 and key in ("margin",):
                    continue
                self.close(mine[key], value, f"layer {number} {key}")

    def test_every_figure_is_what_numpy_makes_of_the_trace(self):
        for name, options in {
            "topk": [],
            "capacity": ["--expert-capacity-factor", "0.6", "--chunk-tokens", "24"],
            "switch": ["--routing-strategy", "switch"],
            "fewer": ["--num-experts", "5", "--experts-per-token", "3"],
            "all": ["--num-experts", "2"],  # nobody is left over: no margins
        }.items():
            with self.subTest(name):
                trace_file = self.folder / f"{name}.trace"
                answer = self.any_end(trace_file, options)
                moe = json.loads(answer.stdout)["moe"]
                trace = moe_trace.Trace(trace_file)
                records = trace.records
                self.assertGreater(len(records), WINDOW)
                self.assertEqual(trace.torn_bytes, 0)
                self.assertEqual(moe["experts_per_token"], trace.header["experts_per_token"])
                self.compare(moe["layers"], trace, None, True)
                self.compare(moe["prefill"]["layers"], trace, records["phase"] == moe_trace.PREFILL, False)
                self.compare(moe["decode"]["layers"], trace, records["phase"] == moe_trace.DECODE, False)
                self.assertEqual(moe["window"]["tokens"], WINDOW)
                self.compare(moe["window"]["layers"], trace, slice(len(records) - WINDOW, None), False)
                dropped = sum(layer["dropped"] for layer in moe["layers"])
                rerouted = sum(layer["rerouted"] for layer in moe["layers"])
                self.assertEqual(dropped > 0, name in ("capacity", "switch"))
                self.assertEqual(rerouted > 0, name == "capacity")
                self.check_weights(trace, name)

    def any_end(self, trace_file, options):
        """A changed routing rule may well talk on until it is cut."""
        env = {k: v for k, v in os.environ.items() if not k.startswith("OXIDIZED_")}
        return subprocess.run(
            PROGRAM + ["-p", "Name three colours of the rainbow.", "--seed", "5", "--max-tokens", "40", "--json", "--show-moe-metrics",
                       "--date", "2026-01-31", "--moe-trace", str(trace_file), "--moe-trace-logits", "--moe-window",
                       str(WINDOW), *options], capture_output=True, env=env, timeout=300)

    def check_weights(self, trace, name):
        """The weights in the trace are the softmax over the logits of the experts chosen (switch: over all)."""
        layer = trace.records["layer"]
        chosen = layer["experts"] != moe_trace.NO_EXPERT
        ids = np.where(chosen, layer["experts"], 0).astype(np.int64)
        logits = np.take_along_axis(layer["logits"].astype(np.float64), ids, axis=2)
        if name == "switch":
            all_logits = layer["logits"].astype(np.float64)
            expected = np.exp(logits) / np.exp(all_logits).sum(2, keepdims=True)
        else:
            expected = np.exp(logits) * chosen
            expected = expected / np.maximum(expected.sum(2, keepdims=True), 1e-300)
        self.assertLess(np.abs(np.where(chosen, expected, 0) - layer["weights"]).max(), 1e-3)  # f16

    def test_watching_changes_nothing(self):
        plain = run("-p", "What is two and two?", "--seed", 8, "--date", "none")
        watched = run("-p", "What is two and two?", "--seed", 8, "--date", "none", "--show-moe-metrics", "--moe-trace",
                      self.folder / "t", "--moe-trace-logits", "--moe-report", self.folder / "r.html")
        self.assertEqual(plain.stdout, watched.stdout)
        for line in watched.stderr.decode().splitlines():
            if ": warning: " not in line and not line.startswith("model: "):
                self.assertLessEqual(len(line), 80, line)

    def test_a_chat_shows_the_answer_and_the_whole(self):
        result = run("--interactive", "--seed", 1, "--max-tokens", 20, "--moe-trace", self.folder / "t",
                     stdin="Hello\nHow are you?\n/moe\n")
        text = result.stderr.decode()
        self.assertIn("last answer\nlayers, the worst balanced (by CV) first\nlayer max/mean", text)
        self.assertIn("all 2 answers\nlayers, the worst balanced (by CV) first\nlayer max/mean", text)
        trace = moe_trace.Trace(self.folder / "t")
        self.assertEqual(len(np.unique(trace.records["sequence"])), 2)
        wholes = [line.split()[1] for line in text.splitlines() if line.startswith("all ") and "answers" not in line]
        self.assertEqual(wholes[1], str(len(trace.records)))
        last = trace.records["sequence"] == trace.records["sequence"].max()
        self.assertEqual(wholes[0], str(int(last.sum())))


class Trace(Folder):
    def test_what_was_written_before_a_kill_is_a_trace(self):
        file = self.folder / "t"
        env = {k: v for k, v in os.environ.items() if not k.startswith("OXIDIZED_")}
        child = subprocess.Popen(
            PROGRAM + ["--interactive", "--max-tokens", "1000", "--moe-trace", str(file)],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env)
        child.stdin.write(b"Hello\n")
        child.stdin.flush()
        self.addCleanup(child.communicate)
        self.addCleanup(child.kill)
        target, file = file, self.folder / f"t.partial-{child.pid}"
        end = time.monotonic() + 120
        while time.monotonic() < end and (not file.exists() or file.stat().st_size < 4000) and child.poll() is None:
            time.sleep(0.01)
        child.send_signal(signal.SIGKILL)
        child.communicate()
        self.assertFalse(target.exists())
        trace = moe_trace.Trace(file)
        self.assertGreater(len(trace.records), 2)
        np.testing.assert_array_equal(trace.records["position"], np.arange(len(trace.records)))
        run("moe", "simulate", "--trace", file, "--budget", "50%")

    def test_files_that_cannot_be_written_are_named_before_the_work_begins(self):
        a_file = self.folder / "file"
        a_file.write_text("x")
        for option in ("--moe-trace", "--moe-report"):
            for target in ("/nowhere/t", self.folder, a_file / "below", self.folder / ("n" * 300)):
                result = run("-m", "/no/model", "-p", "Hi", option, target, code=3)
                self.assertRegex(result.stderr.decode(), rf"^oxidized_gpt_oss: error: {option}: {target}: .*\n\Z")
        for arguments in (("--benchmark-moe", "--benchmark-plot", self.folder),
                          ("logits", "--tokens", a_file, "--out", self.folder),
                          ("moe", "simulate", "--synthetic", "uniform", "--save-trace", self.folder)):
            self.assertIn(str(self.folder), run(*arguments, code=3).stderr.decode())
        # What is looked at is left as it was, and nothing is left behind.
        run("-m", "/no/model", "-p", "Hi", "--moe-trace", a_file, "--moe-report", self.folder / "new", "--force", code=3)
        self.assertEqual(a_file.read_text(), "x")
        self.assertEqual(list(self.folder.iterdir()), [a_file])

    def test_two_results_in_one_file_are_refused(self):
        link, file = self.folder / "link", self.folder / "file"
        link.symlink_to(file)
        for _ in range(2):  # not there yet, and there
            for other in (file, self.folder / ".." / self.folder.name / "file", link):
                result = run("-p", "Hi", "--moe-trace", file, "--moe-report", other, code=2)
                self.assertIn(b"name the same file", result.stderr)
            file.write_text("x")
        self.assertEqual(file.read_text(), "x")

    def test_routing_that_is_the_models_own_is_no_change(self):
        warned = b"change the model's answers"
        self.assertNotIn(warned, run("-p", "Hi", "--max-tokens", 2, "--experts-per-token", 2, "--num-experts", 8, code=6).stderr)
        self.assertIn(warned, run("-p", "Hi", "--max-tokens", 2, "--experts-per-token", 1, code=6).stderr)
        self.assertIn(b"the model has 8 experts", run("-p", "Hi", "--dry-run", "--num-experts", 9, code=2).stderr)

    def test_no_result_overwrites_what_is_read(self):
        model = self.folder / "model"
        shutil.copytree("models/demo", model)
        config, link = self.folder / "config", self.folder / "link"
        config.write_text("moe-window = 7\n")
        link.symlink_to(model / "config.json")
        before = {file: file.read_bytes() for file in [config, *model.iterdir()]}
        for output in ("model/model.safetensors", "model/README.md", "link", "config"):
            for option in ("--moe-trace", "--moe-report"):
                result = run("-m", model, "--config", config, "-p", "Hi", option, self.folder / output, code=2)
                self.assertIn(b"would overwrite what is read", result.stderr)
        where_none_is_named = subprocess.run(
            PROGRAM + ["-p", "Hi", "--moe-report", str(model / "config.json")], capture_output=True, timeout=300,
            env=dict(os.environ, OXIDIZED_MODEL=str(model)))
        self.assertIn(b"would overwrite", where_none_is_named.stderr)
        self.assertEqual({file: file.read_bytes() for file in before}, before)

    def test_the_reader_in_python_refuses_a_damaged_file_in_one_line(self):
        whole = self.folder / "t"
        run("moe", "simulate", "--synthetic", "uniform", "--layers", 2, "--experts", 4, "--experts-per-token", 2,
            "--tokens", 3, "--save-trace", whole)
        data = whole.read_bytes()

        def read(damaged):
            file = self.folder / "damaged"
            file.write_bytes(damaged)
            return subprocess.run([sys.executable, ROOT / "tools/moe_trace.py", file], capture_output=True, text=True)

        def with_word(offset, value):
            return data[:offset] + value.to_bytes(4, "little") + data[offset + 4 :]

        self.assertEqual(read(data).returncode, 0)
        words = {8: 2, 12: 1 << 31, 16: 0, 20: 0, 24: 0, 28: 0, 32: 9, 36: 6, 44: 1 << 31, 48: 1, 60: 1 << 31}
        damaged = [data[:n] for n in (0, 20, 63)] + [with_word(*word) for word in words.items()]
        damaged += [with_word(offset, 0xFFFFFFFF) for offset in range(12, 40, 4)]
        damaged.append(with_word(24, 40000))  # pairs of so many would take 12 GiB
        damaged.append(with_word(64 + 20, 7))  # an expert that the model has not
        for bytes_ in damaged:
            result = read(bytes_)
            self.assertEqual((result.returncode, result.stdout), (1, ""), result.stderr)
            self.assertRegex(result.stderr, r"\Amoe_trace.py: .*\n\Z")
        # The program's reader refuses the same bytes.
        (self.folder / "damaged").write_bytes(with_word(60, 1 << 31))
        self.assertIn(b"bytes 48 to 63", run("moe", "simulate", "--trace", self.folder / "damaged", code=3).stderr)

    def test_a_trace_of_a_huge_shape_takes_little_memory(self):
        def trace(layers, experts):
            file = self.folder / "huge"
            header = struct.pack("<8s8IQ16x", b"OXMOETRC", 1, 64, 20 + layers * 10, layers, experts, 1, experts, 0, 0)
            file.write_bytes(header + struct.pack("<4IB3x", 0, 0, 0, 5, 0) + struct.pack("<HefBB", 3, 1, 1, 0, 0) * layers)
            return moe_trace.Trace(file)

        for layers, experts in ((1, 40000), (1024, 1 << 14), (1025, 8)):
            with self.assertRaisesRegex(ValueError, f"{layers} layers"):
                trace(layers, experts)
        tracemalloc.start()
        (layer,) = moe_trace.summary(trace(1, 1 << 14))
        self.assertLess(tracemalloc.get_traced_memory()[1], 64 << 20)
        tracemalloc.stop()
        self.assertIsNone(layer["pairs"])
        self.assertEqual((sum(layer["counts"]), layer["counts"][3]), (1, 1))


def requests(trace, phase=None):
    """[(layer, [experts])] in the order a store is asked: of each step and layer, what its tokens use, ascending."""
    records = trace.records
    if phase is not None:
        records = records[records["phase"] == phase]
    result = []
    bounds = np.flatnonzero(np.diff(records["step"])) + 1
    for step in np.split(np.arange(len(records)), bounds):
        for layer in range(trace.header["layers"]):
            used = records["layer"]["experts"][step, layer].ravel()
            distinct = sorted({int(e) for e in used if e != moe_trace.NO_EXPERT})
            if distinct:
                result.append((layer, distinct))
    return result


def lru_misses(requests, slots):
    cache, misses = collections.OrderedDict(), 0
    for layer, experts in requests:
        keys = [(layer, e) for e in experts]
        absent = [key for key in keys if key not in cache]
        misses += len(absent)
        for key in keys:
            if key in cache:
                cache.move_to_end(key)
        for key in absent:
            if len(cache) == slots:
                victim = next(k for k in cache if k not in keys)
                del cache[victim]
            cache[key] = True
    return misses


def belady_misses(requests, slots):
    uses = collections.defaultdict(list)
    for i, (layer, experts) in enumerate(requests):
        for e in experts:
            uses[layer, e].append(i)
    cache, misses = set(), 0
    for i, (layer, experts) in enumerate(requests):
        keys = {(layer, e) for e in experts}
        for key in keys:
            uses[key].pop(0)
        for key in keys - cache:
            misses += 1
            if len(cache) == slots:
                victim = max((k for k in cache if k not in keys), key=lambda k: uses[k][0] if uses[k] else 1 << 60)
                cache.remove(victim)
            cache.add(key)
    return misses


class Simulate(Folder):
    def simulate(self, *arguments):
        return json.loads(run("moe", "simulate", "--json", *arguments).stdout)

    def check(self, trace_file, budgets, phase=None):
        trace = moe_trace.Trace(trace_file)
        asked = requests(trace, phase)
        result = self.simulate("--trace", trace_file, "--budget", ",".join(budgets), *(
            [] if phase is None else ["--phase", ["prefill", "decode"][phase]]))
        self.assertEqual(result["uses"], sum(len(e) for _, e in asked))
        seen = 0
        for row in result["results"]:
            if row["policy"] in ("lru", "belady") and not row["prefetch"]:
                expected = {"lru": lru_misses, "belady": belady_misses}[row["policy"]](asked, row["slots"])
                self.assertEqual(row["misses"], expected, row)
                seen += 1
            self.assertEqual(row["hits"] + row["misses"], result["uses"])
            self.assertEqual(row["bytes_read"], (row["misses"] + row["prefetches"]) * result["expert_bytes"])
        self.assertEqual(seen, 2 * len(budgets))
        return result

    def test_synthetic_traces(self):
        for routing in ("uniform", "zipf:1.1", "sticky:0.8", "all-to-one"):
            with self.subTest(routing):
                file = self.folder / "t"
                shape = ["--layers", 4, "--experts", 16, "--experts-per-token", 2, "--tokens", 300, "--seed", 3]
                direct = self.simulate("--synthetic", routing, *shape, "--save-trace", file)
                read = self.check(file, ["15%", "25%", "50%", "75%"])
                rows = {(r["slots"], r["policy"], r["prefetch"]): r["misses"] for r in read["results"]}
                for row in direct["results"]:  # the trace holds what was simulated
                    if not row["prefetch"]:
                        self.assertEqual(rows[row["slots"], row["policy"], False], row["misses"])
                for (slots, policy, prefetch), misses in rows.items():
                    if not prefetch:
                        self.assertGreaterEqual(misses, rows[slots, "belady", False])

    def test_the_demo_model(self):
        file = self.folder / "t"
        run("-p", "What is the capital of France?", "--seed", 2, "--max-tokens", 60, "--moe-trace", file)
        self.check(file, ["25%", "50%", "75%"], moe_trace.DECODE)

    def test_refusals(self):
        for says, arguments in {
            "one of --trace FILE and --synthetic": [],
            "is none of uniform": ["--synthetic", "zipf"],
            "room for 3 experts": ["--synthetic", "uniform", "--experts", 8, "--layers", 2, "--budget", "20%"],
            "is not a size": ["--synthetic", "uniform", "--budget", "lots"],
        }.items():
            self.assertIn(says, run("moe", "simulate", *arguments, code=2).stderr.decode())
        (self.folder / "no").write_bytes(b"no trace")
        self.assertIn("not a routing trace", run("moe", "simulate", "--trace", self.folder / "no", code=3).stderr.decode())


if __name__ == "__main__":
    unittest.main(verbosity=2)
