"""The command line from outside: what it refuses, in one clear line each, and what is made of its table of options: help,
manual page, completions.

Run by ctest with OXIDIZED_PROGRAM set to the program (an emulator may stand before it, separated by '|').
"""

import json
import os
import re
import shutil
import struct
import subprocess
import unittest

from command_line import BAD_FILE, CONTEXT_FULL, PROGRAM, ROOT, TOKENIZER, UNSUPPORTED, USAGE, CommandLine, read_npy, run


class Options(CommandLine):
    # --- what is wrong ---------------------------------------------------------------------------------------------

    def test_a_short_option_takes_a_value_behind_an_equals_sign(self):
        self.assertEqual(run("tokenize", "-m=" + str(ROOT / "models/demo"), "Hello").stdout,
                         run("tokenize", "-m", ROOT / "models/demo", "Hello").stdout)

    def test_help_knows_a_command_of_a_group_by_its_own_name(self):
        self.assertEqual(run("help", "simulate").stdout, run("moe", "simulate", "--help").stdout)

    def test_bad_options(self):
        for arguments, says in [
            ((), "nothing to do"),
            (("--bogus",), "--bogus"),
            (("-p",), "--prompt"),
            (("-p", "x", "--temperature", "-1"), "--temperature"),
            (("-p", "x", "--temperature", "nan"), "nan"),
            (("-p", "x", "--temperature", "hot"), "hot"),
            (("-p", "x", "--top-p", "0"), "--top-p"),
            (("-p", "x", "--top-p", "1.5"), "--top-p"),
            (("-p", "x", "--top-k", "-3"), "--top-k"),
            (("-p", "x", "--min-p", "2"), "--min-p"),
            (("-p", "x", "--max-tokens", "-1"), "--max-tokens"),
            (("-p", "x", "--max-tokens", "99999999999999999999"), "--max-tokens"),
            (("-p", "x", "--seed", "-1"), "--seed"),
            (("-p", "x", "--context", "0"), "--context"),
            (("-p", "x", "--threads", "0"), "--threads"),
            (("-p", "x", "--precision", "f64"), "f64"),
            (("-p", "x", "--activations", "int4"), "int4"),
            (("-p", "x", "--activations", "int8", "--executor", "reference"), "--activations"),
            (("-p", "x", "--executor", "abacus"), "abacus"),
            (("-p", "x", "--device", "abacus"), "abacus"),
            (("-p", "x", "--routing-strategy", "random"), "random"),
            (("-p", "x", "--expert-capacity-factor", "0"), "--expert-capacity-factor"),
            (("-p", "x", "--num-experts", "0"), "--num-experts"),
            (("-p", "x", "--experts-per-token", "0"), "--experts-per-token"),
            (("-p", "x", "--reasoning-effort", "extreme"), "extreme"),
            (("-p", "x", "--date", "2026-13-45"), "2026-13-45"),
            (("-p", "x", "--date", "yesterday"), "yesterday"),
            (("-p", "x", "--enable-moe=false"), "mixture-of-experts"),
            (("-p", "x", "--use-mmap=perhaps"), "--use-mmap: 'perhaps' is neither true nor false"),
            (("-p", "x", "--interactive"), "--interactive"),
            (("--interactive", "--raw"), "--raw"),
            (("--interactive", "--json"), "--json"),
            (("-p", ""), "empty"),
            (("-p", "x", "--stop", ""), "--stop: ''"),
            (("-p", "x", "-p", "y"), "--prompt: given 2 times"),
            (("-p", "x", "--seed", "1", "--seed", "2"), "--seed: given 2 times"),
            (("-p", "x", "--use-mmap", "--use-mmap=false"), "--use-mmap: given as 'true' and as 'false'"),
            (("-p", "x", "--config", "/dev/null", "--config", "/dev/stdin"), "--config: given as '/dev/null'"),
            (("-p", "x", "--config", "/"), "/: is a folder"),
            (("-p", "x", "--config", "/nonexistent.conf"), "nonexistent"),
            (("synth", "--preset", "huge", "--out", "x"), "huge"),
            (("synth", "--preset", "tiny"), "--out"),
            (("logits", "--out", "x.npy"), "--tokens"),
            (("frobnicate",), "frobnicate"),
            (("-p", "x", "--benchmark-runs", "5"), "--benchmark-moe"),
            (("-p", "x", "--moe-trace-logits"), "--moe-trace"),
            (("--benchmark-moe", "--moe-report", "r"), "--benchmark-moe"),
            (("-p", "x", "--config", "/dev/zero"), "/dev/zero"),
            (("-p", "x", "--date", "2024-02-30"), "2024-02-30"),
            (("-p", "x", "--raw", "--system", "y"), "--system"),
            (("--temperature", "0", "inspect"), "--temperature before inspect has no effect"),
            (("bnech",), "'bnech' is not a command; the nearest is `bench`"),
            (("-ngl", "99"), "-ngl: --device auto"),
            (("moe", "simulat"), "'simulat' is not a command of moe; the nearest is `moe simulate`"),
            (("harmony", "rendr", "x"), "'rendr' is not a command of harmony; the nearest is `harmony render`"),
            (("bench", "moee"), "'moee' is not a command of bench; the nearest is `bench moe`"),
            (("-p", "x", "--enforce-eager"), "--enforce-eager: there is nothing to switch off"),
            (("-p", "x", "-cmoe"), "-cmoe: --expert-memory"), (("-if", "-p", "x"), "-if: -i begins a chat"),
            (("signin",), "signin: HF_TOKEN"),
            (("-p", "x", "--json", "true"), "--json true: --json takes no value"),
            (("-n",), "--max-tokens: the value is missing"), (("-p",), "--prompt: the value is missing"),
            (("--temperatur", "3"), "the nearest is --temperature"),
            (("bench", "-n", "128"), "bench pp512 tg128"),
            (("What is it?",), "a question is asked with --prompt TEXT"),
            (("--use-mmap", "maybe"), "expected --use-mmap=BOOL"),
            (("tokenize", "--jsonl", "text"), "text"),
        ]:
            with self.subTest(arguments=arguments):
                self.refused(USAGE, says, *arguments)

    def test_options_that_would_do_nothing_are_refused_by_what_they_need(self):
        for arguments, says in [
            (("-p", "x", "--expert-eviction", "lru"), "--expert-eviction needs --expert-memory"),
            (("-p", "x", "--expert-prefetch=false"), "--expert-prefetch needs --expert-memory"),
            (("bench", "--expert-prefetch"), "--expert-prefetch needs --expert-memory: "),
            (("-p", "x", "--moe-window", "5"),
             "--moe-window needs --show-moe-metrics, --moe-report or --interactive"),
            (("-p", "x", "--moe-window", "5", "--json=false"), "--moe-window needs"),
            (("-p", "x", "--moe-trace-logits"), "--moe-trace-logits needs --moe-trace"),
            (("-p", "x", "--benchmark-plot", "x.svg"), "--benchmark-plot needs --benchmark-moe"),
            (("--benchmark-moe", "--max-tokens", "5"), "--max-tokens has no effect with --benchmark-moe"),
            (("--benchmark-moe", "--speculate", "off"), "--speculate has no effect with --benchmark-moe"),
            (("--benchmark-moe", "-t", "x"), "--tokenizer-path has no effect with --benchmark-moe"),
            (("-p", "x", "--raw", "--show-reasoning"), "--show-reasoning has no effect with --raw"),
            (("-p", "x", "--use-metal", "--device", "cpu"), "--device cpu contradicts --use-metal: "),
            (("-p", "x", "--use-metal=false", "--device", "metal"), "--device metal contradicts --use-metal=false: "),
            (("moe", "simulate", "--trace", "t", "--layers", "3"), "--layers needs --synthetic"),
            (("moe", "simulate", "--trace", "t", "--tokens", "3"), "--tokens needs --synthetic"),
            (("moe", "simulate", "--trace", "t", "--experts=8"), "--experts needs --synthetic"),
            (("moe", "simulate", "--trace", "t", "--save-trace", "s"), "--save-trace needs --synthetic"),
            (("moe", "simulate", "--trace", "t", "--synthetic", "uniform"), "exclude each other"),
            (("moe", "simulate", "--synthetic", "uniform", "--phase", "decode"), "--phase needs --trace"),
            (("bench", "--json", "--markdown"), "--json and --markdown exclude each other"),
            (("bench", "--csv", "--stages"), "--stages and --csv exclude each other"),
            (("tokenize", "-m", "m", "-t", TOKENIZER, "x"), "--model-path has no effect with --tokenizer-path"),
            (("detokenize", "-m", "m", "-t", TOKENIZER, "1"), "--model-path has no effect with --tokenizer-path"),
            (("harmony", "render", "-m", "m", "-t", TOKENIZER, "x"), "--model-path has no effect with"),
            (("harmony", "parse", "-m", "m", "-t", TOKENIZER, "x"), "--model-path has no effect with"),
            (("harmony", "render", "--text", "-t", TOKENIZER, "x"), "--tokenizer-path has no effect with --text"),
        ]:
            with self.subTest(arguments=arguments):
                self.refused(USAGE, says, *arguments)

    def test_the_environment_holds_defaults_for_what_can_use_them(self):
        config = self.folder / "defaults.conf"
        config.write_text("moe-window = 7\nsystem = Be brief.\n")
        for how in [{"environment": {"OXIDIZED_MOE_WINDOW": "7", "OXIDIZED_SYSTEM": "Be brief."}},
                    {"environment": {"OXIDIZED_CONFIG": str(config)}}]:
            result = run("-m", self.model, "--raw", "-p", "x", "--max-tokens", "1", **how)
            self.assertEqual(result.returncode, 0, result.stderr)
            record = json.loads(run("-m", self.model, "--raw", "-p", "x " * 20, "--max-tokens", "1", "--json", "--show-moe-metrics", **how).stdout)
            self.assertEqual(record["moe"]["window"]["tokens"], 7)
        # What is written goes before a default that contradicts it.
        config.write_text("interactive = true\n")
        for how in [{"environment": {"OXIDIZED_INTERACTIVE": "true"}}, {"environment": {"OXIDIZED_CONFIG": str(config)}}]:
            result = run("-m", self.model, "-p", "x", "--max-tokens", "1", "--json", **how)
            self.assertEqual(json.loads(result.stdout)["tokens"]["generated"], 1)
        result = run("-m", self.model, "--interactive", stdin="/help\n", environment={"OXIDIZED_PROMPT": "x", "OXIDIZED_JSON": "1"})
        self.assertEqual((result.returncode, b"/reset" in result.stderr), (0, True), result.stderr)
        self.refused(USAGE, "exclude each other", "-m", self.model,
                     environment={"OXIDIZED_PROMPT": "x", "OXIDIZED_INTERACTIVE": "1"})
        # One option may be there what another one needs; a contradiction stays one.
        result = run("-m", self.model, "--raw", "-p", "x " * 20, "--max-tokens", "1", "--moe-window", "5",
                     environment={"OXIDIZED_SHOW_MOE_METRICS": "1"})
        self.assertIn(b"last 5", result.stderr)
        self.refused(USAGE, "exclude each other", environment={"OXIDIZED_JSON": "1", "OXIDIZED_INTERACTIVE": "1"})

    def test_a_bad_value_in_the_environment_names_its_variable(self):
        for variable, value, says in [("MAX_TOKENS", "abc", "--max-tokens: 'abc' is not a whole number"),
                                      ("USE_MMAP", "maybe", "--use-mmap: 'maybe' is neither true nor false")]:
            self.refused(USAGE, f"error: OXIDIZED_{variable}: {says}", "-p", "x", environment={f"OXIDIZED_{variable}": value})
        self.refused(USAGE, "error: --max-tokens: 'x'", "-p", "x", "--max-tokens", "x", environment={"OXIDIZED_MAX_TOKENS": "y"})

    def test_an_error_after_parsing_says_who_set_the_options_it_names(self):
        reference = ("-m", self.model, "-p", "x", "--executor", "reference")
        config = self.folder / "pack.conf"
        config.write_text("# a default\npack-weights = true\n")
        packs = "--pack-weights: the reference executor takes weights as stored; use --device cpu"
        for environment, more, says in [
            ({"OXIDIZED_PACK_WEIGHTS": "1"}, (), f"{packs} (OXIDIZED_PACK_WEIGHTS sets --pack-weights)"),
            ({"OXIDIZED_PACK_WEIGHTS": "1"}, ("--config", config), f"{packs} ({config}:2 sets --pack-weights)"),
            ({"OXIDIZED_PACK_WEIGHTS": "1"}, ("--pack-weights",), packs),
            ({"OXIDIZED_ACTIVATIONS": "int8"}, (), "(OXIDIZED_ACTIVATIONS sets --activations)"),
        ]:
            self.refused(USAGE, says, *reference, *more, environment=environment)
            if "--pack-weights" in more:
                self.assertNotIn(b" sets ", run(*reference, *more, environment=environment).stderr)
        if os.cpu_count() > 1:
            self.refused(USAGE, "(OXIDIZED_THREADS sets --threads)", *reference, environment={"OXIDIZED_THREADS": "2"})
        both = {"OXIDIZED_JSON": "1", "OXIDIZED_INTERACTIVE": "1"}
        self.refused(USAGE, "exclude each other (OXIDIZED_INTERACTIVE sets --interactive, OXIDIZED_JSON sets --json)",
                     environment=both)

    def test_what_chooses_among_tokens_is_idle_when_the_most_likely_is_taken(self):
        arguments = ("-m", self.model, "--raw", "-p", "x", "--max-tokens", "1", "--seed", "1", "--top-p", "0.5")
        idle = run(*arguments, "--temperature", "0")
        self.assertEqual(idle.returncode, 0)
        self.assertIn(b"warning: --top-p, --seed: no effect with --temperature", idle.stderr)
        self.assertNotIn(b"no effect", run(*arguments, "--temperature", "1").stderr)
        self.assertNotIn(b"no effect", run(*arguments[:6], "--temperature", "0", environment={"OXIDIZED_SEED": "1"}).stderr)

    def test_help_that_cannot_be_written(self):
        for command in ["--help", "tokenize --help", "man", "--version"]:
            for redirection, code in [(">&-", 141), (">/dev/full", BAD_FILE)]:
                done = subprocess.run(["sh", "-c", " ".join(PROGRAM) + f" {command} {redirection}"], capture_output=True)
                self.assertEqual(done.returncode, code, (command, redirection, done.stderr))
                self.assertEqual(b"standard output: " in done.stderr, code == BAD_FILE)

    def test_a_budget_below_the_experts_in_force_is_refused(self):
        for more in [(), ("--dry-run",)]:
            self.refused(USAGE, "a token uses 6 in a layer; give at least", "-m", self.model, "-p", "x",
                         "--expert-memory", "12.5%", "--experts-per-token", "6", *more)
        result = run("-m", self.model, "--raw", "-p", "x", "--max-tokens", "1", "--expert-memory", "3.2%",
                     "--routing-strategy", "switch")
        self.assertEqual(result.returncode, 0, result.stderr)

    def test_no_result_overwrites_what_is_read(self):
        model = self.folder / "kept"
        shutil.copytree(self.model, model)
        tokens, settings, tokenizer = (self.folder / name for name in ("ids", "settings.conf", "own_tokenizer.json"))
        tokens.write_text("1 2 3")
        settings.write_text("seed = 1\n")
        shutil.copy(TOKENIZER, tokenizer)
        weights = model / "model.safetensors"
        soft, hard = self.folder / "soft", self.folder / "hard"
        soft.symlink_to(weights)
        hard.hardlink_to(model / "config.json")
        gguf = self.folder / "gguf" / "m.gguf"
        gguf.parent.mkdir()
        shard = gguf.with_name("m-00002-of-00002.gguf")
        for file in (gguf, shard, gguf.with_name("tokenizer.json")):
            file.write_text("GGUF")
        read = [*model.iterdir(), tokens, settings, tokenizer, *gguf.parent.iterdir()]
        before = {file: file.read_bytes() for file in read}

        answer = ("-m", model, "-p", "x", "--max-tokens", 1)
        for file in (*model.iterdir(), soft, hard):
            self.refused(USAGE, f"{file} would overwrite what is read, a file of the model, {model}/", *answer, "--moe-trace", file)
        self.refused(USAGE, f"{soft} would overwrite what is read, a file of the model, {weights}", *answer, "--moe-report", soft)
        self.refused(USAGE, f"{soft} would overwrite what is read, a file of the model, {weights}", "-m", model, "--benchmark-moe", "--benchmark-plot", soft)
        self.refused(USAGE, "overwrite", "-m", weights, "-p", "x", "--moe-trace", model / "config.json")
        self.refused(USAGE, "--tokenizer-path", *answer, "-t", tokenizer, "--moe-report", tokenizer)
        self.refused(USAGE, "--config", *answer, "--config", settings, "--moe-trace", settings)
        self.refused(USAGE, "--config", "moe", "simulate", "--synthetic", "uniform", "--save-trace", settings,
                     environment={"OXIDIZED_CONFIG": str(settings)})
        logits = ("logits", "-m", model, "--tokens", tokens, "--out")
        self.refused(USAGE, "--tokens", *logits, tokens)
        self.refused(USAGE, "a file of the model", *logits, hard)
        for file in gguf.parent.iterdir():
            self.refused(USAGE, "a file of the model", "-m", gguf, "-p", "x", "--moe-trace", file)
        for file, content in before.items():
            self.assertEqual(file.read_bytes(), content, file)

        beside = gguf.with_name("trace")  # another's file beside a GGUF file is not the model's
        beside.write_text("old")
        self.refused(BAD_FILE, "m.gguf", "-m", gguf, "-p", "x", "--moe-trace", beside, "--force")
        link, missing = self.folder / "link", self.folder / "missing"
        link.symlink_to(missing)
        for pair in ((link, missing), (missing, link)):
            self.refused(USAGE, "name the same file", *answer, "--moe-trace", pair[0], "--moe-report", pair[1])

    def test_options_of_later_versions_are_refused_by_name(self):
        for arguments in [
            ("--device", "cuda"),
            ("--device", "cuda:1"),
            ("--device", "vulkan"),
            ("--device", "metal"),
        ]:
            with self.subTest(arguments=arguments):
                self.refused(UNSUPPORTED, arguments[0], "-m", self.model, "-p", "x", *arguments)

    def test_devices_are_listed_with_their_memory_or_why_they_are_not_there(self):
        rows = {row["device"]: row for row in json.loads(run("devices", "--json").stdout)}
        self.assertEqual(list(rows), ["cuda", "metal", "vulkan", "cpu", "reference"])
        text = run("devices").stdout.decode()
        for name, row in rows.items():
            self.assertIn(f"\n{name} ", "\n" + text)
            self.assertEqual(row["available"], bool(row["instances"]))
            if row["available"]:
                self.assertIsNone(row["why_not"])
                for instance in row["instances"]:
                    self.assertGreater(instance["memory_bytes"], 0)
                    self.assertIn(instance["name"], text)
            else:  # what the list says is what the error says
                why = f"{row['why_not']}; {row['what_to_do']}"
                self.assertIn(f"{name} not available: {why}", " ".join(text.split()))  # lines end at 80 columns
                self.refused(UNSUPPORTED, f"--device {name}: {why}", "-m", self.model, "-p", "x", "--device", name)
        self.assertFalse(rows["reference"]["automatic"])

    def test_device_is_the_choice_and_executor_its_alias(self):
        tokens = self.folder / "ids"
        tokens.write_text("1 2 3 4 5")

        def logits(*device, environment=None):
            out = self.folder / "out.npy"
            result = run("logits", "-m", self.model, "--tokens", tokens, "--out", out, *device, environment=environment or {})
            self.assertEqual(result.returncode, 0, result.stderr)
            return out.read_bytes()

        reference = logits("--device", "reference")
        self.assertNotEqual(reference, logits("--device", "cpu"))
        self.assertEqual(logits("--device", "auto"), logits("--device", "cpu"))
        self.assertEqual(logits("--device", "cpu:0"), logits())
        for same in [("--executor", "reference"), ("--device", "cpu", "--executor", "reference"),
                     ("--device", "auto", "--executor", "reference"), ("--device", "reference", "--executor", "auto")]:
            self.assertEqual(logits(*same), reference, same)
        self.assertEqual(logits("--executor", "reference", environment={"OXIDIZED_DEVICE": "cpu"}), reference)
        self.assertEqual(logits(environment={"OXIDIZED_EXECUTOR": "reference"}), reference)
        for contradiction in [("--device", "reference", "--executor", "cpu"), ("--executor", "cpu", "--device", "cuda")]:
            self.refused(USAGE, "they say the same thing", "-m", self.model, "-p", "x", *contradiction)
        # Who is nearer to the user decides: command line, config file, environment.
        config = self.folder / "device.toml"
        for before, environment, words in [
            ("executor = reference", {}, ("--device", "cpu")), ("device = reference", {}, ("--executor", "cpu")),
            ("", {"OXIDIZED_EXECUTOR": "reference"}, ("--device", "cpu")),
            ("", {"OXIDIZED_DEVICE": "reference"}, ("--executor", "cpu")),
            ("executor = cpu", {"OXIDIZED_DEVICE": "reference"}, ()),
        ]:
            config.write_text("[logits]\n" + before + "\n")
            self.assertEqual(logits(*words, environment=environment | {"OXIDIZED_CONFIG": str(config)}),
                             logits("--device", "cpu"), (before, environment, words))
        for environment, words in [({"OXIDIZED_USE_METAL": "true"}, ("--device", "cpu")),
                                   ({"OXIDIZED_DEVICE": "metal"}, ("--use-metal=false",)),
                                   ({}, ("--use-metal=false", "--device", "reference"))]:
            ran = run("-m", self.model, "-p", "x", "--raw", "--max-tokens", "1", *words, environment=environment)
            self.assertEqual((ran.returncode, b"etal" in ran.stderr), (0, False), ran.stderr)
        self.refused(USAGE, "OXIDIZED_DEVICE sets --device", "-m", self.model, "-p", "x",
                     environment={"OXIDIZED_DEVICE": "reference", "OXIDIZED_EXECUTOR": "cpu"})
        self.refused(UNSUPPORTED, "--device metal:1", "-m", self.model, "-p", "x", "--device", "metal:1")
        self.refused(USAGE, "cuda:x", "-m", self.model, "-p", "x", "--device", "cuda:x")
        self.refused(UNSUPPORTED, "--device cpu:1", "-m", self.model, "-p", "x", "--device", "cpu:1")

    def test_layers_that_differ_run_on_every_device(self):
        model, tokens = self.folder / "mixed", self.folder / "ids"
        self.assertEqual(run("synth", "--preset", "mixed", "--out", model).returncode, 0)
        config = json.loads((model / "config.json").read_text())
        self.assertEqual([b["sliding_window"] for b in config["block_configs"]], [32, None, 64, None])
        self.assertEqual([b["num_local_experts"] for b in config["block_configs"]], [8, 8, 4, 4])
        tokens.write_text(" ".join(str(i * 7 % 3000) for i in range(120)))
        rows = {}
        for device in ("reference", "cpu"):
            out = self.folder / f"{device}.npy"
            result = run("logits", "-m", model, "--tokens", tokens, "--out", out, "--device", device, "--precision", "f32")
            self.assertEqual(result.returncode, 0, result.stderr)
            rows[device] = read_npy(out)[1]
        worst = max(abs(a - b) for a, b in zip(rows["reference"], rows["cpu"]))
        self.assertLess(worst, 1e-4 * (max(rows["reference"]) - min(rows["reference"])))
        answer = ("-m", model, "-t", TOKENIZER, "--raw", "-p", "Hello there " * 20, "--max-tokens", "8", "--seed", "1", "--json", "--show-moe-metrics",
                  "--memory-stats")
        record = json.loads(run(*answer).stdout)
        self.assertEqual([len(layer["counts"]) for layer in record["moe"]["layers"]], [8, 8, 4, 4])
        self.assertEqual([pool["window"] for pool in record["memory_stats"]["kv"]], [0, 32, 64])
        self.assertEqual(json.loads(run(*answer, "--expert-memory", "25%").stdout)["text"], record["text"])
        self.refused(USAGE, "may be chosen", *answer, "--experts-per-token", "5")
        self.refused(UNSUPPORTED, "layers that differ", "convert", model, self.folder / "mixed.gguf", "--format", "gguf")
        self.assertIn(b"4 or 8", run("inspect", model).stdout)
        self.assertEqual(run("verify", model).returncode, 0)

    def test_options_that_the_model_cannot_follow(self):
        for what in (("-p", "x"), ("--dry-run",)):
            self.refused(USAGE, "8 experts", "-m", self.model, *what, "--num-experts", "9")
            self.refused(USAGE, "may be chosen", "-m", self.model, *what, "--experts-per-token", "9")
        self.refused(USAGE, "131072", "-m", self.model, "-p", "x", "--context", "131073")

    def test_prompt_longer_than_the_context(self):
        self.refused(CONTEXT_FULL, "context holds 16", "-m", self.model, "--raw", "-p", "a b c d " * 20, "--context", "16")

    def test_answers_that_are_cut(self):
        result = run("-m", self.model, "--raw", "-p", "Hi", "--context", "8", "--seed", "1")
        self.assertEqual(result.returncode, CONTEXT_FULL)
        self.assertIn(b"--context", result.stderr)
        result = run("-m", self.model, "--raw", "-p", "Hi", "--max-tokens", "3", "--seed", "1")
        self.assertEqual(result.returncode, 0)
        self.assertIn(b"cut after 3 tokens", result.stderr)
        result = run("-m", self.model, "-p", "Hi", "--max-tokens", "0")
        self.assertEqual((result.returncode, result.stdout), (6, b""))
        self.assertIn(b"--max-tokens 0: the prompt was read, nothing was written", result.stderr)

    def test_broken_models(self):
        self.refused(BAD_FILE, "nonexistent", "-m", "/nonexistent", "-p", "x")
        empty = self.folder / "empty"
        empty.mkdir()
        self.refused(BAD_FILE, "config.json", "-m", empty, "-p", "x")

        truncated = self.folder / "truncated"
        shutil.copytree(self.model, truncated)
        weights = truncated / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:-1000])
        self.refused(BAD_FILE, "model.safetensors", "-m", truncated, "-p", "x")

        damaged = self.folder / "damaged"
        shutil.copytree(self.model, damaged)
        (damaged / "config.json").write_text("{ not json")
        self.refused(BAD_FILE, "config.json", "-m", damaged, "-p", "x")

        no_tokenizer = self.folder / "no_tokenizer"
        shutil.copytree(self.model, no_tokenizer)
        (no_tokenizer / "tokenizer.json").unlink()
        self.refused(BAD_FILE, "--tokenizer-path", "-m", no_tokenizer, "-p", "x")

    def test_a_tokenizer_that_does_not_fit(self):
        document = json.loads(TOKENIZER.read_text())
        document["added_tokens"].append(dict(document["added_tokens"][0], id=100000, content="<|far|>"))
        misfit = self.folder / "misfit.json"
        misfit.write_text(json.dumps(document))
        self.refused(BAD_FILE, "100000", "-m", self.model, "-t", misfit, "-p", "x")
        misfit.write_text('{"model": {"type": "Unigram"}}')
        self.refused(BAD_FILE, "misfit.json", "-m", self.model, "-t", misfit, "-p", "x")

    def test_config_files_are_understood_or_refused(self):
        config = self.folder / "odd.conf"
        for text, says in [
            ("max-tokns = 2", "'max-tokns' is not an option"),
            ("max-tokens : 2", "'max-tokens : 2' is not an option"),
            ("\x02\x01garbage", "garbage' is not an option"),
            ("config = x", "'config' has no place in a file of options"),
            ("stop =", "--stop: ''"),
            ("temperature = 1 2", "--temperature: '1 2' is not a number"),
            ("top-k = 6", "'top-k' is set in line 3 already"),
            ("temperature", "'temperature' has no value: write `temperature = T`"),
            ("threads # 2", "'threads' has no value: write `threads = N`"),
            ("temperature = hot", "--temperature: 'hot' is not a number"),
            ('"temperature" = 1000', "--temperature: '1000'"),
            ("use-mmap = perhaps", "perhaps"),
            ("show-reasoning = loud", "--show-reasoning: 'loud' is not one of"),
            ("date = 2024-02-30", "--date: '2024-02-30' is not a date"),
            ("precision = f64 # really", "f64"),
            ("[nowhere]\nx = 1", "'[nowhere]' is not a command"),
        ]:
            with self.subTest(text):
                config.write_text(f"# options\n\ntop-k = 5\n{text}\n")
                self.refused(USAGE, f"error: {config}:4: ", "-p", "x", "--config", config)
                self.refused(USAGE, says, "-p", "x", "--config", config)
        config.write_text("temperature = hot\n")  # what the command line sets is not the file's fault
        self.refused(USAGE, "error: --temperature: 'cold'", "-p", "x", "--config", config, "--temperature", "cold")
        config.write_bytes(b"\xef\xbb\xbfmodel-identity = You are one, or two.\n")  # a mark of byte order, a text of several words
        told = run("-m", self.model, "-p", "x", "--max-tokens", "1", "--json", "--date", "none", "--config", config)
        said = run("-m", self.model, "-p", "x", "--max-tokens", "1", "--json", "--date", "none",
                   "--model-identity", "You are one, or two.")
        self.assertEqual(*(json.loads(result.stdout)["tokens"]["prompt"] for result in (told, said)))
        self.refused(USAGE, "/dev/stdin:1: --top-k: 'x'", "-p", "x", "--config", "/dev/stdin", stdin="top-k = x\n")
        self.refused(USAGE, "no such file", "-p", "x", environment={"OXIDIZED_CONFIG": "/nonexistent"})

    def test_results_go_to_regular_files_only(self):
        tokens = self.folder / "some_tokens"
        tokens.write_text("1 2 3")
        pipe = self.folder / "pipe"
        os.mkfifo(pipe)
        for target in [pipe, self.folder]:
            self.refused(BAD_FILE, "not a regular file", "logits", "-m", self.model, "--tokens", tokens, "--out", target)
        target, link = self.folder / "target.npy", self.folder / "link.npy"
        target.write_text("old")
        link.symlink_to(target)
        self.assertEqual(run("logits", "-m", self.model, "--tokens", tokens, "--out", link, "--force").returncode, 0)
        self.assertTrue(link.is_symlink())
        self.assertEqual(read_npy(target)[0][0], 3)

    def test_control_characters_in_names_do_not_reach_the_terminal(self):
        self.refused(BAD_FILE, "nope", "-m", "/tmp/\x1b[31mnope", "-p", "x")
        self.assertNotIn(b"\x1b", run("-m", "/tmp/\x1b[31mnope", "-p", "x").stderr)

    def test_bad_token_files(self):
        ids = self.folder / "ids"
        out = self.folder / "out.npy"
        for text, says in [("", "no token ids"), ("1 two 3", "two"), ("1 -2", "-2"), ("1 99999999999", "99999999999"),
                           ("5000000", "vocabulary")]:
            with self.subTest(text=text):
                ids.write_text(text)
                self.refused(USAGE if text == "5000000" else BAD_FILE, says, "logits", "-m", self.model, "--tokens", ids, "--out", out)
                self.assertFalse(out.exists())
        self.assertEqual([p.name for p in self.folder.glob("*.partial*")], [])

    def test_a_misspelt_variable_is_named(self):
        result = run("--version", environment={"OXIDIZED_CPU_TEIR": "avx2", "OXIDIZED_PROGRAM": "x", "OXIDIZED_MAX_TOKENS": "5"})
        self.assertEqual(result.returncode, 0)
        self.assertEqual(result.stderr.decode(),
                         "oxidized_gpt_oss: warning: the environment sets OXIDIZED_CPU_TEIR, which this program does not know; "
                         "the nearest name it knows is OXIDIZED_CPU_TIER\n")

    def test_every_variable_is_in_the_manual_and_the_readme(self):
        source = (ROOT / "src/cli/options/environment.cc").read_text()
        names = re.findall(r'\{"(OXIDIZED_\w+)", "', source)
        self.assertGreater(len(names), 3)
        for text in run("man").stdout.decode(), (ROOT / "README.md").read_text():
            for name in names:
                self.assertIn(name, text)

    def test_non_finite_weights_end_the_request(self):
        poisoned = self.folder / "poisoned"
        shutil.copytree(self.model, poisoned)
        weights = poisoned / "model.safetensors"
        data = bytearray(weights.read_bytes())
        (length,) = struct.unpack("<Q", data[:8])
        begin, end = json.loads(data[8 : 8 + length])["model.norm.weight"]["data_offsets"]
        data[8 + length + begin : 8 + length + end] = b"\xff\x7f" * ((end - begin) // 2)  # bf16 NaN
        weights.write_bytes(data)
        self.refused(7, "not finite", "-m", poisoned, "-p", "x")
        record = run("-m", poisoned, "-p", "x", "--json")
        self.assertEqual(record.returncode, 7)
        self.assertEqual(json.loads(record.stdout)["stop_reason"], "error")

    # --- made of the option table ----------------------------------------------------------------------------------

    def long_options(self, *command):
        return set(re.findall(r"(?m)^ +(?:-\w,)?(--[\w-]+)", run(*command, "--help").stdout.decode()))

    def test_words_of_other_programs(self):
        plain = ("--temperature", "0", "--date", "2026-01-31", "--max-tokens")
        expected = run("-m", self.model, "-p", "Hello there", *plain, "8").stdout
        for words in [("run", self.model, "Hello", "there", *plain[:-1], "-n", "8"),
                      ("-m", self.model, "-p", "Hello there", "--temp", "0", "--date", "2026-01-31", "--n-predict=8"),
                      ("-m", self.model, "-p", "Hello there", *plain[:-1], "--max_tokens", "8", "--use-mmap", "false")]:
            result = run(*words)
            self.assertEqual((result.returncode, result.stdout), (0, expected), (words, result.stderr))
        shown = run("inspect", self.model).stdout
        for words in [("show", self.model), ("-m", self.model, "inspect"), ("inspect", "-m", self.model)]:
            self.assertEqual(run(*words).stdout, shown, words)
        self.assertEqual(run("help", "inspect").stdout, run("inspect", "--help").stdout)
        self.assertEqual(run("version").stdout, run("--version").stdout)
        chat = run("chat", self.model, "-n", "2", stdin="/help\n")
        self.assertEqual(chat.returncode, 0)
        self.assertIn(b"/reasoning", chat.stderr)

    def test_the_manual_page_has_every_option(self):
        page = run("man").stdout.decode()
        self.assertTrue(page.startswith(".TH OXIDIZED_GPT_OSS 1"))
        plain = page.replace("\\-", "-")
        expected = self.long_options() | self.long_options("harmony", "render") | self.long_options("synth")
        self.assertGreater(len(expected), 30)
        self.assertEqual({name for name in expected if f"\\fB{name}\\fR" not in plain}, set())
        if shutil.which("groff"):
            shown = subprocess.run(["groff", "-man", "-ww", "-Tutf8"], input=page.encode(), capture_output=True)
            self.assertEqual((shown.returncode, shown.stderr), (0, b""))

    def test_flags_take_a_value_behind_an_equals_sign_only(self):
        text = run("--help").stdout.decode()
        page = run("man").stdout.decode().replace("\\-", "-")
        for name in ["use-mmap", "use-metal", "enable-moe", "expert-prefetch"]:
            self.assertIn(f"--{name}[=BOOL] ", text)
            self.assertIn(f"\\fB--{name}\\fR[=\\fIBOOL\\fR]", page)
            self.assertIn(f"'--{name}=-[", run("completion", "zsh").stdout.decode())
        self.assertIn("--show-reasoning[=dim|plain|hidden] ", text)
        self.assertIn("-p,--prompt TEXT ", text)
        self.assertNotRegex(text, r"(?m)^ +--\S+[{ ]BOOL")

    def test_bash_completion(self):
        script = self.folder / "completion.bash"
        script.write_bytes(run("completion", "bash").stdout)

        def complete(*words):
            asked = 'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _oxidized_gpt_oss; echo "${COMPREPLY[*]}"'
            done = subprocess.run(["bash", "-c", asked, "bash", script, "oxidized_gpt_oss", *words], capture_output=True)
            self.assertEqual(done.stderr, b"")
            return done.stdout.decode().split()

        self.assertLessEqual(self.long_options(), set(complete("")))
        self.assertLessEqual({"inspect", "synth", "harmony"}, set(complete("")))
        self.assertEqual(complete("--prec"), ["--precision"])
        self.assertEqual(complete("--precision", ""), ["auto", "bf16", "f16", "f32"])
        self.assertEqual(complete("--routing-strategy", "s"), ["switch"])
        self.assertEqual(complete("--use-mmap", "="), ["true", "false"])
        self.assertEqual(complete("--use-mmap", "=", "f"), ["false"])
        self.assertEqual(complete("--show-reasoning", "=", "p"), ["plain"])
        self.assertEqual(complete("--precision", "=", "b"), ["bf16"])
        self.assertIn("inspect", complete("--use-mmap", "in"))
        self.assertEqual(complete("synth", "--preset", "t"), ["tiny"])
        self.assertEqual(complete("harmony", "r"), ["render"])
        self.assertEqual(complete("harmony", "render", "--dr"), ["--drop-rule"])
        self.assertEqual(complete("--model-path", str(self.model)[:-1]), [str(self.model)])

    def test_other_completions_are_valid_scripts(self):
        for shell in ["zsh", "fish"]:
            script = self.folder / f"completion.{shell}"
            script.write_bytes(run("completion", shell).stdout)
            for name in ["precision", "routing-strategy", "preset"]:
                self.assertIn(name, script.read_text())
            if shutil.which(shell):
                checked = subprocess.run([shell, "-n", script], capture_output=True)
                self.assertEqual((checked.returncode, checked.stderr), (0, b""))
        if shutil.which("fish"):
            asked = f"source {self.folder}/completion.fish; complete -C 'oxidized_gpt_oss harmony re'"
            done = subprocess.run(["fish", "-c", asked], capture_output=True, env={**os.environ, "HOME": str(self.folder)})
            self.assertEqual(done.stdout.decode().split("\t")[0], "render")
        self.refused(USAGE, "tcsh", "completion", "tcsh")


if __name__ == "__main__":
    unittest.main(verbosity=1)
