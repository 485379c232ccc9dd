"""Answers from outside: what they are made of, what they leave behind, and how they end.

Run by ctest with OXIDIZED_PROGRAM set to the program (an emulator may stand before it, separated by '|').
"""

import json
import math
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

import scripted_model
from command_line import BAD_FILE, CONTEXT_FULL, PROGRAM, TOKENIZER, USAGE, CommandLine, read_npy, run


class Answers(CommandLine):
    # --- what is right ---------------------------------------------------------------------------------------------

    def test_stdout_is_the_answer_alone(self):
        result = self.answer("-p", "Hello", "--verbose", "--show-moe-metrics", "--memory-stats")
        record = json.loads(self.answer("-p", "Hello", "--json").stdout)
        self.assertEqual(result.stdout.decode().rstrip("\n"), record["text"].rstrip("\n"))
        self.assertIn(b"max/mean", result.stderr)
        self.assertIn(b"KV cache", result.stderr)
        self.assertEqual(self.answer("-p", "-", stdin="Hello").stdout, result.stdout)

    def test_json_record(self):
        plain = ["text", "reasoning", "stop_reason", "seed", "tokens", "timings"]
        record = json.loads(self.answer("-p", "Hello", "--json").stdout)
        self.assertEqual(list(record), plain)
        self.assertEqual(list(json.loads(self.answer("-p", "Hello", "--json", "--show-moe-metrics").stdout)), plain + ["moe"])
        self.assertEqual(list(json.loads(self.answer("-p", "Hello", "--json", "--memory-stats").stdout)),
                         plain + ["memory", "memory_stats"])
        record = json.loads(self.answer("-p", "Hello", "--json", "--show-moe-metrics", "--memory-stats").stdout)
        self.assertEqual(
            list(record), ["text", "reasoning", "stop_reason", "seed", "tokens", "timings", "moe", "memory", "memory_stats"]
        )
        self.assertEqual(record["stop_reason"], "length")
        self.assertEqual(record["tokens"]["generated"], 12)
        rows = record["tokens"]["prompt"] + 11  # the last token is never fed
        for layer in record["moe"]["layers"]:
            self.assertEqual(sum(layer["counts"]), 2 * rows)
            self.assertEqual((layer["dropped"], layer["rerouted"]), (0, 0))
        self.assertGreater(record["timings"]["decode_ms"], 0)
        self.assertIn("mapped", {entry["class"] for entry in record["memory"]})
        classes = [(entry["class"], entry["what"]) for entry in record["memory_stats"]["classes"]]
        self.assertIn(("mapped", "model files"), classes)
        self.assertEqual([word for pair in classes for word in pair if "  " in word], [])

    def test_same_seed_same_text(self):
        expected = self.answer("-p", "Tell me").stdout
        for arguments in [("--chunk-tokens", "1"), ("--chunk-tokens", "7"), ("--use-mmap=false",), ("--context", "4096")]:
            with self.subTest(arguments=arguments):
                self.assertEqual(self.answer("-p", "Tell me", *arguments).stdout, expected)
        self.assertNotEqual(run("-m", self.model, "--seed", 4, "--max-tokens", 12, "--date", "2026-01-31", "-p", "Tell me").stdout, expected)

    def test_interleaved_rows_give_the_same_text(self):
        # The demo model: all its experts' matrices have a multiple of 32 rows.
        demo = pathlib.Path(__file__).parents[2] / "models" / "demo"
        ask = ["-m", demo, "--seed", 3, "--temperature", 1, "--reasoning-effort", "low", "-p", "What is 12 + 30?", "--activations", "int8", "--verbose"]
        mapped, copied = run(*ask), run(*ask, "--use-mmap=false")
        self.assertEqual((mapped.returncode, copied.returncode), (0, 0), mapped.stderr + copied.stderr)
        self.assertEqual(mapped.stdout, copied.stdout)
        self.assertNotIn(b"interleaved", mapped.stderr)
        self.assertRegex(copied.stderr, rb"rows interleaved for 8-bit activations: 6\.8 MB in \d+ ms")
        self.assertRegex(run(*ask[:-3], "--verbose", "--use-mmap=false").stderr, rb"blocks of MXFP4 grouped: 6\.8 MB in \d+ ms|avx2|avx512,|neon|scalar")
        # Beside a store only dense matrices could be, and here these are BF16.
        self.assertNotIn(b"interleaved", run(*ask, "--expert-memory", "50%").stderr)

    def test_greedy_needs_no_seed(self):
        one = run("-m", self.model, "--raw", "-p", "abc", "--temperature", "0", "--max-tokens", "10")
        two = run("-m", self.model, "--raw", "-p", "abc", "--temperature", "0", "--max-tokens", "10")
        self.assertEqual(one.stdout, two.stdout)

    def test_experts_can_be_restricted(self):
        record = json.loads(self.answer("-p", "Hello", "--json", "--show-moe-metrics", "--num-experts", "3").stdout)
        for layer in record["moe"]["layers"]:
            self.assertEqual(layer["counts"][3:], [0] * 5)
            self.assertTrue(all(layer["counts"][:3]))
        record = json.loads(self.answer("-p", "Hello", "--json", "--show-moe-metrics", "--experts-per-token", "5").stdout)
        rows = record["tokens"]["prompt"] + 11
        self.assertEqual(sum(record["moe"]["layers"][0]["counts"]), 5 * rows)

    def test_routing_strategies(self):
        for strategy in ["switch", "expert1"]:
            result = self.answer("-p", "Hello", "--json", "--show-moe-metrics", "--routing-strategy", strategy)
            self.assertIn(b"change the model's answers", result.stderr)
            record = json.loads(result.stdout)
            layer = record["moe"]["layers"][0]
            self.assertEqual(sum(layer["counts"]) + layer["dropped"], record["tokens"]["prompt"] + 11)
        tight = json.loads(self.answer("-p", "Hello " * 50, "--json", "--show-moe-metrics", "--expert-capacity-factor", "0.2").stdout)
        self.assertGreater(sum(layer["dropped"] for layer in tight["moe"]["layers"]), 0)
        roomy = json.loads(self.answer("-p", "Hello " * 50, "--json", "--show-moe-metrics", "--expert-capacity-factor", "1.5").stdout)
        self.assertGreater(sum(layer["rerouted"] for layer in roomy["moe"]["layers"]), 0)

    def test_environment_and_config_file(self):
        expected = self.answer("-p", "Hello", "--top-k", "1").stdout
        self.assertEqual(self.answer("-p", "Hello", environment={"OXIDIZED_TOP_K": "1"}).stdout, expected)
        config = self.folder / "oxidized.conf"
        config.write_text("top-k = 1\n")
        self.assertEqual(self.answer("-p", "Hello", "--config", config).stdout, expected)

    def test_stop_strings(self):
        text = json.loads(self.answer("-p", "Hello", "--json").stdout)["text"]
        stop = text[5:8]
        record = json.loads(self.answer("-p", "Hello", "--json", "--stop", stop).stdout)
        self.assertEqual(record["text"], text[: text.index(stop)])
        self.assertEqual(record["stop_reason"], "stop_string")

    def test_use_metal_says_what_is_used_instead(self):
        self.assertIn(b"CPU is used", self.answer("-p", "x", "--use-metal").stderr)
        self.assertNotIn(b"CPU is used", self.answer("-p", "x", "--use-metal=false").stderr)
        self.assertNotIn(b"CPU is used", self.answer("-p", "x").stderr)

    def test_the_demo_model_is_the_default(self):
        result = run("--raw", "-p", "Hello", "--max-tokens", "4", "--seed", "1")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn(b"models/demo", result.stderr)
        self.assertEqual(run("inspect").returncode, 0)
        other = run("--raw", "-p", "Hello", "--max-tokens", "1", environment={"OXIDIZED_MODEL": str(self.model)})
        self.assertEqual(other.returncode, 0, other.stderr)

    def test_the_built_in_vocabulary_needs_no_file(self):
        text = "Hello, World! <|start|>"
        ordinary = run("tokenize", "-t", "o200k_harmony", text).stdout.decode().split()
        self.assertEqual(ordinary, "13225 11 5922 0 464 91 5236 91 29".split())
        special = run("tokenize", "-t", "o200k_harmony", "--specials", text).stdout.decode().split()
        self.assertEqual(special, "13225 11 5922 0 220 200006".split())
        self.assertEqual(run("detokenize", "-t", "o200k_harmony", *special).stdout.decode(), text)

    def test_tokenize_and_detokenize(self):
        text = "naïve café — 日本語 <|start|>"
        ids = run("tokenize", "-t", TOKENIZER, text).stdout.decode().split()
        self.assertEqual(run("detokenize", "-t", TOKENIZER, *ids).stdout.decode(), text)
        specials = run("tokenize", "-t", TOKENIZER, "--specials", text).stdout.decode().split()
        self.assertLess(len(specials), len(ids))
        self.assertEqual(run("detokenize", "-t", TOKENIZER, "-", stdin=" ".join(specials)).stdout.decode(), text)
        lines = [text, "", "a\nb", "\u0000\u001b"]
        jsonl = run("tokenize", "-t", TOKENIZER, "--jsonl", stdin="".join(json.dumps(t) + "\n" for t in lines))
        self.assertEqual([list(map(str, json.loads(l))) for l in jsonl.stdout.splitlines()][0], ids)
        back = run("detokenize", "-t", TOKENIZER, "--jsonl", stdin=jsonl.stdout.decode())
        self.assertEqual([json.loads(l) for l in back.stdout.splitlines()], lines)
        self.refused(BAD_FILE, "line 1", "tokenize", "-t", TOKENIZER, "--jsonl", stdin="nonsense\n")
        self.refused(USAGE, "77777777", "detokenize", "-t", TOKENIZER, "77777777")

    def test_logits_are_the_same_bits_for_every_chunk_and_thread_count(self):
        tokens = self.folder / "tier_tokens"
        tokens.write_text(" ".join(str((i * 53) % 1000) for i in range(100)))
        verbose = run("--version", "--verbose").stdout.decode()
        listed = next(line for line in verbose.splitlines() if line.startswith("cpu tiers:"))
        tiers = re.sub(r"\w+ \(not on this machine\)", "", listed.split(":")[1]).split()
        self.assertIn("scalar", tiers)
        out = self.folder / "tier.npy"
        by_tier = {}
        for tier in tiers:
            for precision in ["f32", "bf16", "f16"]:
                seen = set()
                for chunk, threads, more in [(1, 1, []), (7, 2, []), (512, 1, []), (512, 2, ["--use-mmap=false"]), (33, 3, [])]:
                    result = run("logits", "-m", self.model, "--tokens", tokens, "--out", out, "--executor", "cpu",
                                 "--precision", precision, "--chunk-tokens", chunk, "--threads", threads, *more,
                                 environment={"OXIDIZED_CPU_TIER": tier})
                    self.assertEqual(result.returncode, 0, result.stderr)
                    seen.add(out.read_bytes())
                self.assertEqual(len(seen), 1, f"{tier} {precision}: chunks or threads changed the logits")
                by_tier[tier, precision] = seen.pop()
            seen = set()
            for chunk, threads in [(1, 1), (512, 2), (33, 3)]:
                result = run("logits", "-m", self.model, "--tokens", tokens, "--out", out, "--activations", "int8",
                             "--chunk-tokens", chunk, "--threads", threads, environment={"OXIDIZED_CPU_TIER": tier})
                self.assertEqual(result.returncode, 0, result.stderr)
                self.assertEqual(result.stderr.count(b"lossy"), 1, result.stderr)
                seen.add(out.read_bytes())
            self.assertEqual(len(seen), 1, f"{tier} int8: chunks or threads changed the logits")
            self.assertNotIn(seen.pop(), [by_tier[tier, p] for p in ["f32", "bf16", "f16"]], "--activations does nothing")
        self.assertNotEqual(by_tier["scalar", "f32"], by_tier["scalar", "bf16"], "--precision does nothing")
        self.refused(USAGE, "abacus", "-m", self.model, "-p", "x", environment={"OXIDIZED_CPU_TIER": "abacus"})

    def test_logits_and_perplexity_agree(self):
        ids = [(i * 37) % 1000 for i in range(60)]
        tokens = self.folder / "tokens"
        tokens.write_text(" ".join(map(str, ids)))
        files = []
        for chunk in [1, 7, 512]:
            out = self.folder / f"logits{chunk}.npy"
            result = run("logits", "-m", self.model, "--tokens", tokens, "--out", out, "--chunk-tokens", chunk)
            self.assertEqual(result.returncode, 0, result.stderr)
            files.append(out.read_bytes())
        self.assertTrue(files[0] == files[1] == files[2], "chunking changed the logits")
        (rows, width), values = read_npy(self.folder / "logits512.npy")
        self.assertEqual(rows, len(ids))
        nll = 0.0
        for position in range(rows - 1):
            row = values[position * width : (position + 1) * width]
            top = max(row)
            nll -= row[ids[position + 1]] - top - math.log(sum(math.exp(x - top) for x in row))
        result = run("perplexity", "-m", self.model, "--tokens", "--json", tokens)
        self.assertEqual(result.returncode, 0, result.stderr)
        record = json.loads(result.stdout)
        self.assertEqual(record["tokens"], rows - 1)
        self.assertAlmostEqual(record["nll"], nll / (rows - 1), places=4)

    def test_interactive_without_a_terminal(self):
        result = run("-m", self.model, "-i", "--seed", "1", "--max-tokens", "5", stdin="Hello\n/reset\n/bogus\n/quit\n")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertGreater(len(result.stdout), 1)
        self.assertIn(b"/bogus is not a command", result.stderr)

    def test_a_chat_without_a_terminal_ends_with_5_in_a_full_context(self):
        for stdin, code, says in [("Hi\n" + "a b c d " * 60 + "\n", CONTEXT_FULL, b"/drop forgets"),
                                  ("a b c d " * 60 + "\n/stats\nHi\n/stats\n", 0, b"1 answer, 1 token written"),
                                  ("/quit now\n", 0, b"/quit takes nothing behind it, not 'now'")]:
            result = run("-m", self.model, "-i", "--context", "200", "--max-tokens", "1", stdin=stdin)
            self.assertEqual(result.returncode, code, result.stderr)
            self.assertIn(says, result.stderr)

    def test_harmony_parse_says_which_id_is_too_large(self):
        result = run("harmony", "parse", "-t", TOKENIZER, "-", stdin="1 4294967295")
        self.assertEqual(result.returncode, BAD_FILE)
        self.assertIn(b"4294967295 at byte 2 is larger than any token id", result.stderr)

    # --- what a model may do: see scripted_model.py ----------------------------------------------------------------

    def scripted(self, name, script, *arguments, loop_to=None):
        folder = self.folder / name
        if not folder.exists():
            scripted_model.make(PROGRAM, folder, script, loop_to)
        return run("-m", folder, "-p", "x", "--temperature", "0", *arguments)

    def endless(self, *arguments):
        return self.scripted("endless", ["<|channel|>analysis<|message|>", "Hm, so "], *arguments, loop_to="H")

    def test_reasoning_is_hidden_or_shown_and_can_be_cut(self):
        limits = ("--max-reasoning-tokens", 8, "--max-tokens", 30)
        for view in ["--show-reasoning", "--show-reasoning=dim", "--show-reasoning=plain"]:
            result = self.endless(view, *limits)
            self.assertEqual((result.returncode, result.stdout), (0, b"Hm, so Hm, so Hm, so H\n"))
            self.assertEqual(result.stderr.decode().splitlines()[0], "Hm, so ")
            self.assertIn(b"the answer was cut after 30 tokens", result.stderr)
        for view in [(), ("--show-reasoning=hidden",)]:
            self.assertNotIn(b"Hm", self.endless(*view, *limits).stderr)
        self.refused(USAGE, "loud", "-m", self.model, "-p", "x", "--show-reasoning=loud")

    def test_a_limit_inside_the_reasoning_gives_no_answer(self):
        result = self.endless("--max-tokens", 20)
        self.assertEqual((result.returncode, result.stdout), (6, b""))
        self.assertEqual(result.stderr.count(b"\n"), 1)
        for remedy in [b"--max-tokens", b"--reasoning-effort"]:
            self.assertIn(remedy, result.stderr)

    def test_a_tool_call_is_shown_and_not_run(self):
        script = ["<|channel|>commentary to=functions.f<|message|>{}<|call|>"]
        result = self.scripted("tool", script)
        self.assertEqual((result.returncode, result.stdout), (0, b""))
        self.assertEqual(result.stderr, b"tool call (not run): functions.f\n{}\n")
        record = json.loads(self.scripted("tool", script, "--json").stdout)
        self.assertEqual((record["stop_reason"], record["text"]), ("tool_call", ""))

    def test_the_final_channel_is_the_answer_whatever_else_its_header_says(self):
        for name, header in [("json", "final json"), ("code", "final code"), ("all", "final to=all"), ("user", "final to=user"),
                             ("constrained", "final <|constrain|>json"), ("tool", "final to=functions.f")]:
            result = self.scripted(f"final-{name}", ["<|channel|>" + header + "<|message|>", '{"a":1}<|return|>'])
            self.assertEqual((result.returncode, result.stdout, result.stderr), (0, b'{"a":1}\n', b""), header)

    def test_a_turn_without_an_answer_says_so(self):
        for name, script in [("analysis", ["<|channel|>analysis<|message|>Hm.<|return|>"]), ("empty", ["<|channel|>final<|message|><|return|>"]),
                             ("unknown", ["<|channel|>final_x<|return|>"]), ("at-once", ["<|return|>"])]:
            result = self.scripted(f"nothing-{name}", script)
            self.assertEqual((result.returncode, result.stdout), (10, b""), (name, result.stderr))
            self.assertEqual(result.stderr.count(b"\n"), 1, result.stderr)
            self.assertIn(b"without an answer", result.stderr)
            record = json.loads(self.scripted(f"nothing-{name}", script, "--json").stdout)
            self.assertEqual(record["stop_reason"], "no_answer")

    def test_a_runaway_stops_before_it_speaks_for_the_user(self):
        result = self.scripted("runaway", ["Yes.", "<|end|><|start|>user<|message|>And"], "--max-tokens", 50)
        self.assertEqual((result.returncode, result.stdout, result.stderr), (0, b"Yes.\n", b""))

    # --- tables ----------------------------------------------------------------------------------------------------

    def test_routing_table_agrees_with_the_record(self):
        table = self.answer("-p", "Hello", "--show-moe-metrics").stderr.decode()
        layers = json.loads(self.answer("-p", "Hello", "--json", "--show-moe-metrics").stdout)["moe"]["layers"]
        rows = re.findall(r"(?m)^ *(\d+) +([\d.]+) +([\d.]+) +([\d.]+) +(\d+) % +(\d+): (\d+) % +(\d+)  (\S+)$", table)
        self.assertEqual(sorted(int(row[0]) for row in rows), list(range(len(layers))))
        deviations = [float(row[2]) for row in rows]
        self.assertEqual(deviations, sorted(deviations, reverse=True), "the worst balanced layer comes first")
        for row in rows:
            layer = layers[int(row[0])]
            counts = layer["counts"]
            mean = sum(counts) / len(counts)
            deviation = math.sqrt(sum((count - mean) ** 2 for count in counts) / len(counts))
            self.assertAlmostEqual(float(row[1]), max(counts) / mean, delta=0.006)
            self.assertAlmostEqual(float(row[2]), deviation / mean, delta=0.006)
            self.assertAlmostEqual(float(row[3]), layer["gini"], delta=0.006)
            self.assertAlmostEqual(float(row[4]), 100 * layer["load_entropy"], delta=0.51)
            self.assertEqual((int(row[5]), int(row[7])), (counts.index(max(counts)), counts.count(0)))
            self.assertAlmostEqual(float(row[6]), 100 * max(counts) / sum(counts), delta=0.51)
            bars = "·▁▂▃▄▅▆▇█"
            self.assertEqual(row[8], "".join(bars[-(-8 * count // max(counts))] for count in counts))

    def test_experts_on_demand_answer_the_same(self):
        whole = json.loads(self.answer("-p", "Hello", "--json", "--memory-stats").stdout)
        self.assertIsNone(whole["memory_stats"]["expert_store"])
        for options in [("25%",), ("50%", "--expert-eviction", "frequency"), ("300KiB", "--expert-prefetch=false")]:
            with self.subTest(options=options):
                part = json.loads(self.answer("-p", "Hello", "--json", "--memory-stats", "--expert-memory", *options).stdout)
                self.assertEqual(part["text"], whole["text"])
                store = part["memory_stats"]["expert_store"]
                self.assertGreater(store["misses"], 0)
                self.assertGreater(store["bytes_read"], 0)
                self.assertLessEqual(store["resident"], store["slots"])
                self.assertEqual(store["hits"] + store["late"] + store["misses"], sum(expert["uses"] for expert in store["experts"]))
                self.assertEqual(store["misses"], sum(expert["misses"] for expert in store["experts"]))
                self.assertEqual(store["prefetches"] > 0, "--expert-prefetch=false" not in options)
        table = self.answer("-p", "Hello", "--memory-stats", "--expert-memory", "25%").stderr.decode()
        self.assertRegex(table, r"expert slots +\d+ +\d+ +\d+")
        self.assertRegex(table, r"uses found their expert")
        self.refused(USAGE, "give at least", "-m", self.model, "-p", "x", "--expert-memory", "1000")
        self.refused(USAGE, "not an amount", "-m", self.model, "-p", "x", "--expert-memory", "much")
        self.refused(USAGE, "--device cpu", "-m", self.model, "-p", "x", "--expert-memory", "50%", "--executor", "reference")

    @unittest.skipIf(os.environ.get("OXIDIZED_SANITIZED"), "a sanitizer explains SIGBUS in its own way")
    def test_a_mapped_model_that_loses_its_bytes_is_one_line_and_a_code(self):
        copy = self.folder / "shrinking"
        shutil.copytree(self.model, copy)
        # A chat that waits: the file shrinks between two answers.
        chat = subprocess.Popen(
            PROGRAM + ["-m", str(copy), "--interactive", "--max-tokens", "4"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        chat.stdin.write(b"/help\n")
        chat.stdin.flush()
        while b"/reset" not in chat.stderr.readline() and chat.poll() is None:
            pass
        for file in copy.glob("*.safetensors"):
            os.truncate(file, 8192)
        _, said = chat.communicate(b"Hello\n", timeout=120)
        self.assertEqual(chat.returncode, BAD_FILE, said)
        self.assertRegex(said.decode(), r"error: .*shrinking.*safetensors: a part of the mapped model could not be read")

    @unittest.skipIf(os.environ.get("OXIDIZED_SANITIZED"), "a sanitizer explains SIGBUS in its own way")
    def test_threads_that_meet_the_missing_bytes_together_report_them_once(self):
        copy = self.folder / "shrinking-under-threads"
        for _ in range(10):
            shutil.copytree(self.model, copy, dirs_exist_ok=True)
            process = self.start_long_answer(copy)
            os.truncate(copy / "model.safetensors", 4096)
            _, said = process.communicate(timeout=120)
            self.assertEqual(process.returncode, BAD_FILE, said)
            self.assertRegex(said.decode(), r"\Aoxidized_gpt_oss: error: \S*safetensors: a part of the mapped model [^\n]*\n\Z")

    def test_a_lost_file_ends_an_answer_at_most_where_weights_are_memory_of_its_own(self):
        for options, code in [(["--expert-memory", "25%"], 7), (["--use-mmap=false"], 0)]:
            with self.subTest(options=options), tempfile.TemporaryDirectory(dir=self.folder) as folder:
                copy = pathlib.Path(folder) / "vanishing"
                shutil.copytree(self.model, copy)
                chat = subprocess.Popen(
                    PROGRAM + ["-m", str(copy), "--interactive", "--max-tokens", "4", *options],
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
                chat.stdin.write(b"/help\n")
                chat.stdin.flush()
                while b"/reset" not in chat.stderr.readline() and chat.poll() is None:
                    pass
                os.truncate(copy / "model.safetensors", 0)
                _, said = chat.communicate(b"Hello\nAgain\n/memory\n", timeout=120)
                said = said.decode()
                self.assertEqual(chat.returncode, code, said)  # without a terminal an answer that failed ends the chat
                if code != 0:
                    self.assertEqual(said.count("error:"), 1, said)
                    self.assertRegex(said, r"(?m)^oxidized_gpt_oss: error: \S*safetensors: ends at byte 0, an expert was expected at \d+: was the file truncated\?\n\Z")
                else:
                    self.assertNotIn("error:", said)
                    self.assertIn("resident in the process", said)

    def test_a_step_that_fails_leaves_the_reports_of_what_there_was(self):
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            copy, page, trace = (pathlib.Path(folder) / name for name in ("model", "page.html", "run.trace"))
            reports = [str(word) for word in ("--expert-memory", "25%", "--memory-stats", "--show-moe-metrics", "--verbose",
                                              "--moe-report", page, "--moe-trace", trace)]

            def fail(begin, meanwhile=lambda: None, **how):
                shutil.copytree(self.model, copy, dirs_exist_ok=True)
                process = begin()
                os.truncate(copy / "model.safetensors", 0)
                meanwhile()
                text, said = process.communicate(timeout=120, **how)
                self.assertEqual(process.returncode, 7, said)
                self.assertRegex(said.decode(), r"oxidized_gpt_oss: error: \S*safetensors: ends at byte 0, [^\n]*\n\Z")
                return text, said.decode()

            def chat():
                process = subprocess.Popen(PROGRAM + ["-m", str(copy), "--interactive", *reports],
                                           stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
                process.stdin.write(b"/help\n")
                process.stdin.flush()
                while b"/reset" not in process.stderr.readline() and process.poll() is None:
                    pass
                return process

            middle = lambda: self.start_long_answer(copy, *reports)
            text, said = fail(middle)
            self.assertTrue(text.endswith(b"\n"))
            for part in ("resident in the process", "expert cache: ", "prefill: "):
                self.assertIn(part, said)
            self.assertIn("</html>", page.read_text())
            self.assertGreater(json.loads(run("moe", "simulate", "--trace", trace, "--json").stdout)["tokens"], 1)

            page.unlink()
            _, said = fail(middle, meanwhile=page.mkdir)  # what cannot be written either does not hide the failure
            self.assertRegex(said, r"(?m)^oxidized_gpt_oss: warning: .*page.html")
            self.assertIn("resident in the process", said)

            page.rmdir()
            _, said = fail(chat, input=b"Hello\n")  # before the first token
            self.assertIn("resident in the process", said)
            self.assertIn("</html>", page.read_text())

    def test_one_is_no_plural(self):
        said = run("-m", self.model, "--raw", "-p", "Hello", "--max-tokens", "1", "--verbose").stderr.decode()
        self.assertRegex(said, r"(?m)^1 token; first in ")
        self.assertRegex(said, r"(?m)^prefill: 1 step, \d+ rows, ")

    def test_dry_run_says_what_fits_and_loads_nothing(self):
        result = run("-m", self.model, "--dry-run", "--expert-memory", "50%")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn(b"It fits.", result.stdout)
        plan = json.loads(run("-m", self.model, "--dry-run", "--json", "--expert-memory", "50%").stdout)
        self.assertTrue(plan["fits"])
        self.assertEqual(plan["experts"]["resident"] * 2, plan["experts"]["all"])
        self.assertAlmostEqual(plan["speed"]["hit_rate"], 0.5)
        self.assertGreater(plan["speed"]["disk_bytes_per_s"], 0)
        self.assertGreater(plan["speed"]["tokens_per_s"], 0)
        self.assertEqual(plan["bytes"]["needed"], sum(plan["bytes"][part] for part in ["dense_weights", "expert_pool", "kv", "activations", "rest"]))
        for more in ((), ("--use-mmap=false",), ("--expert-memory", "50%")):
            plain, packed = (json.loads(run("-m", self.model, "--dry-run", "--json", *more, *pack).stdout)["bytes"]
                             for pack in ((), ("--pack-weights",)))
            size = packed["packed_dense_weights"]  # instead of what it was packed from, four thirds of it at most
            self.assertGreater(size, 0)
            self.assertGreaterEqual(packed["dense_weights"], plain["dense_weights"] - size // 3)
            self.assertLess(packed["dense_weights"], plain["dense_weights"] - size // 9)
            self.assertEqual(packed["own_dense_weights"], packed["dense_weights"] if more else size)
            self.assertEqual(plain["packed_dense_weights"], 0)

    @unittest.skipIf(len(PROGRAM) > 1 or os.environ.get("OXIDIZED_SANITIZED"), "an emulator or sanitizer has memory of its own")
    def test_memory_classes_sum_to_what_the_process_has(self):
        weights = sum(file.stat().st_size for file in self.model.glob("*.safetensors")) / 2**20
        for mapping, kind in [("--use-mmap=true", "mapped"), ("--use-mmap=false", "weights"), ("--expert-memory=50%", "experts")]:
            text = self.answer("-p", "Hello " * 200, "--memory-stats", mapping).stderr.decode()
            rows = re.findall(r"(?m)^ +([\d.]+) +([\d.]+)  (\w+) +(\S.*)$", text)
            self.assertLessEqual({kind, "kv", "activations", "tokenizer", "heap", "program", "stack"}, {row[2] for row in rows}, text)
            by_class = {row[2]: float(row[0]) for row in rows}
            if kind == "experts":  # dense weights are read whole, experts as they are asked for
                self.assertLess(by_class["mapped"], 0.2 * weights)
                self.assertGreater(by_class["weights"], 0.3)
            else:
                self.assertAlmostEqual(by_class[kind], weights, delta=0.1 + 0.1 * weights)
            self.assertGreater(by_class["kv"], 0.3)
            total = float(re.search(r"(?m)^ +([\d.]+) +sum$", text)[1])
            process = float(re.search(r"(?m)^ +([\d.]+) +resident in the process", text)[1])
            difference = float(re.search(r"(?m)^ +([-+][\d.]+) +difference", text)[1])
            self.assertAlmostEqual(sum(float(row[0]) for row in rows), total, delta=0.05 * len(rows))
            self.assertAlmostEqual(process - total, difference, delta=0.11)
            self.assertLess(abs(difference), max(2, 0.05 * process), text)

    # --- ends that are not ours ------------------------------------------------------------------------------------

    def start_long_answer(self, model=None, *more):
        env = {k: v for k, v in os.environ.items() if not k.startswith("OXIDIZED_")}
        process = subprocess.Popen(
            PROGRAM + ["-m", str(model or self.model), "--raw", "-p", "Hello", "--max-tokens", "100000", "--seed", "1", *more],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env,
        )
        process.stdout.read(1)
        return process

    def test_interrupts(self):
        for number, code in [(signal.SIGINT, 130), (signal.SIGTERM, 143)]:
            process = self.start_long_answer()
            process.send_signal(number)
            process.communicate(timeout=60)
            self.assertEqual(process.returncode, code)

    def test_interrupts_while_reading_and_writing(self):
        for arguments in [("--raw", "-p", "-"), ("tokenize", "-"), ("tokenize", "--jsonl"),
                          ("synth", "--preset", "gpt-oss-20b", "--layers", "1", "--out", self.folder / "unfinished")]:
            with self.subTest(arguments=arguments):
                process = subprocess.Popen(PROGRAM + [str(a) for a in arguments], stdin=subprocess.PIPE,
                                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                time.sleep(0.5)
                process.send_signal(signal.SIGINT)
                self.assertEqual(process.wait(timeout=60), 130)
                process.stdin.close()
        self.assertEqual(list(self.folder.glob("unfinished*")), [])

    def test_closed_stdout(self):
        process = self.start_long_answer()
        process.stdout.close()
        process.wait(timeout=60)
        process.stderr.close()
        self.assertEqual(process.returncode, 141)

    def chat_into(self, redirection):
        command = " ".join(PROGRAM) + f" -m {self.model} -i --max-tokens 4 --seed 1 {redirection}"
        return subprocess.run(["sh", "-c", command], input=b"one\n/reset\ntwo\n", capture_output=True, timeout=120)

    def test_a_chat_whose_stdout_is_gone_ends(self):
        chat = subprocess.Popen(
            PROGRAM + ["-m", str(self.model), "-i", "--max-tokens", "4", "--seed", "1"], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        chat.stdin.write(b"one\n")
        chat.stdin.flush()
        chat.stdout.readline()
        chat.stdout.close()
        chat.stdin.write(b"two\n")
        chat.stdin.flush()  # and stays open
        self.assertEqual(chat.wait(timeout=60), 141)
        chat.stdin.close()
        chat.stderr.close()
        self.assertEqual(self.chat_into(">&-").returncode, 141)
        full = self.chat_into(">/dev/full")
        self.assertEqual(full.returncode, BAD_FILE)
        self.assertEqual(full.stderr.count(b"standard output: "), 1, full.stderr)

    def test_a_closed_stdout_is_no_other_file(self):
        trace = self.folder / "trace"
        command = " ".join(PROGRAM) + f" -m {self.model} --raw -p x --max-tokens 4 --moe-trace {trace} >&-"
        result = subprocess.run(["sh", "-c", command], capture_output=True, timeout=120)
        self.assertEqual(result.returncode, 141, result.stderr)
        self.assertEqual(trace.read_bytes()[:8], b"OXMOETRC")


if __name__ == "__main__":
    unittest.main(verbosity=1)
