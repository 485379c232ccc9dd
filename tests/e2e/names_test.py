"""Names of files that no terminal should get as they are, and names under which there is no file: for every command.

Run by ctest with OXIDIZED_PROGRAM set to the program (an emulator may stand before it, separated by '|').
"""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

from command_line import BAD_FILE, PROGRAM, TOKENIZER, USAGE, CommandLine, run

# Sets a terminal's title, ends a line, is not UTF-8, turns the direction of writing round.
EVIL = b"e\x1b]0;owned\x07v\ni\xffl\xe2\x80\xae"
SHOWN = r"e\x1b]0;owned\x07v\x0ai\xffl\u202e"


class Names(CommandLine):
    def setUp(self):
        self.there = pathlib.Path(tempfile.mkdtemp(dir=self.folder))

    def start(self, *arguments, **how):
        env = {k: v for k, v in os.environ.items() if not k.startswith("OXIDIZED_")}
        return subprocess.run(PROGRAM + [a if isinstance(a, bytes) else str(a) for a in arguments],
                              **{"input": b"", "capture_output": True, "timeout": 300, "env": env, **how})

    def reads(self, model, file, out):
        """Every command that reads, with a model and another file."""
        answer = ("-m", model, "-p", "x", "--seed", 1, "--max-tokens", 2, "--raw")
        return {
            "answer": (*answer, "--verbose"), "answer as JSON": (*answer, "--json"), "tokenizer": (*answer, "-t", file),
            "config": (*answer, "--config", file), "prompt": ("-m", model, "-f", file, "--raw", "--max-tokens", 0), "dry run": ("-m", model, "--dry-run"),
            "packed": (*answer, "--packed-weights", file), "chat": ("-m", model, "--interactive"),
            "inspect": ("inspect", model), "inspect as JSON": ("inspect", model, "--json"), "verify": ("verify", model),
            "verify as JSON": ("verify", model, "--json"), "tokenize": ("tokenize", "-m", model, "x"),
            "logits": ("logits", "-m", model, "--tokens", file, "--out", out), "perplexity": ("perplexity", "-m", model, file),
            "bench": ("bench", "-m", model, "pp2", "--runs", 1), "bench as JSON": ("bench", "-m", model, "pp2", "--runs", 1, "--json"),
            "bench moe": ("bench", "moe", "-m", model, "--runs", 1), "plot": ("bench", "plot", "--out", out, file),
            "convert": ("convert", model, out), "packed-dense": ("convert", model, out, "--format", "packed-dense"),
            "synth": ("synth", "--preset", "tiny", "--out", out, "--tokenizer", file), "simulate": ("moe", "simulate", "--trace", file),
            "render": ("harmony", "render", file), "parse": ("harmony", "parse", "-m", model, file),
        }

    def writes(self, out):
        answer = ("-m", self.model, "-p", "x", "--seed", 1, "--max-tokens", 2, "--raw")
        return {
            "page": (*answer, "--moe-report", out), "trace": (*answer, "--moe-trace", out),
            "logits": ("logits", "-m", self.model, "--tokens", self.there / "ids", "--out", out),
            "simulate": ("moe", "simulate", "--synthetic", "uniform", "--tokens", 5, "--save-trace", out),
            "convert": ("convert", self.model, out), "synth": ("synth", "--preset", "tiny", "--out", out),
            "packed-dense": ("convert", self.model, out, "--format", "packed-dense"),
        }

    # --- one printable form ----------------------------------------------------------------------------------------

    def printable(self, result, escaped=True, marks=True):
        for stream in (result.stdout, result.stderr):
            text = stream.decode("utf-8")  # what is not UTF-8 raises
            odd = [c for c in text if (ord(c) < 32 and c not in "\n\t") or ord(c) == 127 or 128 <= ord(c) < 160 or (marks and c == "\u202e")]
            self.assertEqual(odd, [], text)
        said = (result.stdout + result.stderr).decode()
        self.assertNotIn("internal error", said)
        if escaped and "owned" in said:
            self.assertIn(SHOWN, said)
        return said

    def test_every_command_shows_a_name_in_one_form(self):
        evil = os.path.join(os.fsencode(self.there), EVIL)
        shutil.copytree(self.model, os.fsdecode(evil))
        file, out = evil + b".file", evil + b".out"
        showed = set()
        for name, arguments in self.reads(evil, file, out).items():
            with self.subTest(name):
                for content in (b"", b"1 2 3", b'{"x": 1}', None) if file in arguments else (b"",):
                    if content is None:
                        if os.path.exists(file):
                            os.unlink(file)
                    else:
                        pathlib.Path(os.fsdecode(file)).write_bytes(content)
                    said = self.printable(self.start(*arguments), escaped="JSON" not in name,
                                          marks=name != "answer as JSON")
                    if SHOWN in said:
                        showed.add(name)
                    if os.path.isdir(out):
                        shutil.rmtree(out)
                    elif os.path.exists(out):
                        os.unlink(out)
        self.assertLessEqual({"answer", "dry run", "inspect", "verify", "bench", "bench moe", "convert", "synth", "plot", "tokenizer",
                              "config", "prompt", "logits", "perplexity", "simulate", "render", "parse"}, showed)
        pathlib.Path(self.there / "ids").write_text("1 2 3")
        for name, arguments in self.writes(out).items():
            with self.subTest(name):
                self.printable(self.start(*arguments))
                again = self.printable(self.start(*arguments, *(() if name in ("convert", "synth", "packed-dense") else ("--force",))))
                if name in ("convert", "synth", "packed-dense"):
                    self.assertIn(SHOWN, again)
                shutil.rmtree(out) if os.path.isdir(out) else os.unlink(out)
        chat = EVIL.replace(b"\n", b"").replace(b"\xff", b"")
        said = self.printable(escaped=False, result=self.start("-m", self.model, "--interactive", input=b"/save /no" + chat + b"/x\n/load " + chat + b"\n/" + chat))
        self.assertEqual(said.count(SHOWN.replace(r"\x0a", "").replace(r"\xff", "")), 3, said)

    # --- names under which nothing can be --------------------------------------------------------------------------

    def test_no_name_is_an_internal_error(self):
        round_, long_ = self.there / "round", self.there / ("n" * 300)
        round_.symlink_to(round_)
        (self.there / "ids").write_text("1 2 3")
        below = self.there / "ids" / "below"
        for odd in (round_, long_, below, round_ / "x"):
            cases = {**self.reads(odd, odd, self.there / "out"), **self.writes(odd)}
            for name in cases if odd == long_ else ("answer", "tokenizer", "config", "verify", "trace", "synth", "packed-dense"):
                arguments = cases[name]
                with self.subTest(name, odd=odd):
                    result = self.start(*arguments)
                    said = result.stderr.decode()
                    self.assertIn(result.returncode, (BAD_FILE, USAGE), f"{arguments} {said}")
                    self.assertNotIn("internal error", said)
                    self.assertEqual(said.count("error: "), 1, said)

    @unittest.skipUnless(os.geteuid() == 0, "needs to be root to be somebody else")
    def test_a_folder_that_may_not_be_read(self):
        closed = self.there / "closed"
        shutil.copytree(self.model, closed / "model")
        empty = self.there / "empty"
        empty.mkdir(mode=0o300)
        (self.there / "ids").write_text("1 2 3")
        for folder in (self.folder, self.there):
            folder.chmod(0o755)
        closed.chmod(0o000)
        self.addCleanup(closed.chmod, 0o700)
        nobody = {"user": 65534, "group": 65534, "extra_groups": []}
        model, file = closed / "model", closed / "model" / "config.json"
        cases = {**self.reads(model, file, closed / "out"), **self.writes(closed / "out")}
        cases["into it"] = ("synth", "--preset", "tiny", "--out", closed)
        cases["into one that cannot be listed"] = ("synth", "--preset", "tiny", "--out", empty)
        for name, arguments in cases.items():
            with self.subTest(name):
                result = self.start(*arguments, **nobody)
                said = result.stderr.decode()
                self.assertIn(result.returncode, (BAD_FILE, USAGE), said)
                self.assertIn("Permission denied", said)
                self.assertEqual(said.count("error: "), 1, said)

    # --- what is not a file ----------------------------------------------------------------------------------------

    def test_pipes_and_devices_are_refused_and_not_waited_for(self):
        pipe = self.there / "pipe"
        os.mkfifo(pipe)
        (self.there / "ids").write_text("1 2 3")
        for odd in (pipe, "/dev/zero"):
            for name, arguments in {**self.reads(odd, odd, self.there / "out"), **self.writes(odd)}.items():
                with self.subTest(name, odd=odd):
                    result = self.start(*arguments, timeout=60)
                    self.assertIn(result.returncode, (BAD_FILE, USAGE), f"{arguments} {result.stderr}")
                    self.assertEqual(result.stderr.count(b"error: "), 1, result.stderr)

    def test_a_part_of_a_model_that_is_a_pipe_is_refused(self):
        for name in ("config.json", "generation_config.json", "tokenizer.json", "model.safetensors", "model.safetensors.index.json"):
            with self.subTest(name):
                model = self.there / f"model-{name}"
                shutil.copytree(self.model, model)
                (model / name).unlink(missing_ok=True)
                os.mkfifo(model / name)
                for arguments in (("-m", model, "-p", "x", "--max-tokens", 2, "--raw"), ("verify", model)):
                    result = self.start(*arguments, timeout=60)
                    # An index beside a whole model is not used.
                    unused = name == "model.safetensors.index.json" and arguments[0] == "-m"
                    self.assertEqual(result.returncode, 0 if unused else BAD_FILE, result.stderr)
                    self.assertIn(f"{name}: not a regular file", (result.stdout + result.stderr).decode())
        hub = self.there / "hub"
        refs = hub / "models--a--b" / "refs"
        refs.mkdir(parents=True)
        os.mkfifo(refs / "main")
        env = {**os.environ, "HF_HUB_CACHE": str(hub), "HF_HUB_OFFLINE": "1"}
        result = self.start("-m", "hf:a/b", "-p", "x", env=env, timeout=60)
        self.assertEqual(result.returncode, BAD_FILE, result.stderr)
        self.assertIn(b"refs/main: not a regular file", result.stderr)

    def test_pipes_that_a_shell_hands_on_are_read(self):
        program = " ".join(PROGRAM)
        def shell(line):
            return subprocess.run(["bash", "-c", line], input=b"", capture_output=True, timeout=120)
        ask = f"{program} -m {self.model} --seed 1 --max-tokens 3 --json"
        config = shell(f"{ask} -p x --config <(sleep 0.3; echo max-tokens = 2)")
        self.assertEqual(shell(f"{ask} -p x --config <(echo seed = 5)").returncode, 0)
        self.assertEqual(json.loads(config.stdout)["tokens"]["generated"], 3, config.stderr)  # the command line has the last word
        self.assertEqual(shell(f"{ask} -f <(echo hello)").returncode, 0)

    def test_a_signal_while_options_are_read_gives_its_code(self):
        for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)):
            for arguments in (("-p", "x", "--config", "/dev/stdin"), ("-f", "-"), ("-p", "-"), ("tokenize", "-t", str(TOKENIZER), "-")):
                with self.subTest(code=code, arguments=arguments):
                    process = subprocess.Popen(PROGRAM + list(arguments), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
                    self.addCleanup(process.communicate)
                    while not self.waits(process):
                        time.sleep(0.01)
                    process.send_signal(number)
                    self.assertEqual(process.wait(60), code)

    def waits(self, process):
        """Whether its main thread sleeps, with its handlers installed."""
        status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
        caught = int(status.split("SigCgt:")[1].split()[0], 16)
        return "State:\tS" in status and caught & 1 << (signal.SIGTERM - 1)


if __name__ == "__main__":
    unittest.main(verbosity=2)
