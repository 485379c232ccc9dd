"""`convert`, `verify` and `synth` from outside: the same weights in every form, damage found, nothing left behind.

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

PROGRAM = [word for word in os.environ["OXIDIZED_PROGRAM"].split("|") if word]
ROOT = pathlib.Path(__file__).resolve().parents[2]
TOKENIZER = ROOT / "tests/golden/tokenizer/tokenizer.json"

USAGE, BAD_FILE, UNSUPPORTED = 2, 3, 8


def environment():
    return {k: v for k, v in os.environ.items() if not k.startswith("OXIDIZED_")}


def run(*arguments):
    return subprocess.run(
        PROGRAM + [str(a) for a in arguments], capture_output=True, env=environment(), timeout=300, text=True
    )


class Convert(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp())
        cls.hf = cls.folder / "hf"
        cls.good("synth", "--preset", "tiny", "--layers", 2, "--seed", 7, "--out", cls.hf, "--tokenizer", TOKENIZER)
        cls.tokens = cls.folder / "tokens.txt"
        cls.tokens.write_text("1 2 3 4 50 600 3000 17 42")

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder)

    @classmethod
    def good(cls, *arguments):
        done = run(*arguments)
        assert done.returncode == 0, (arguments, done.stderr)
        return done

    def bad(self, code, *arguments):
        done = run(*arguments)
        self.assertEqual(done.returncode, code, done.stderr)
        lines = done.stderr.strip().splitlines()
        self.assertEqual(len(lines), 1, done.stderr)
        return lines[0]

    def logits(self, model):
        out = self.folder / "logits.npy"
        self.good("logits", "-m", model, "--executor", "reference", "--tokens", self.tokens, "--out", out)
        data = out.read_bytes()
        out.unlink()
        return data

    def test_every_form_gives_the_same_logits_and_the_way_back_the_same_file(self):
        expected = self.logits(self.hf)
        original, gguf, back = (self.folder / name for name in ("original", "round.gguf", "back"))
        self.good("convert", self.hf, original, "--format", "original")
        self.good("convert", original, gguf)
        self.good("convert", gguf, back)
        for model in (original, gguf, back):
            self.assertEqual(self.logits(model), expected, model)
        self.assertEqual(
            (back / "model.safetensors").read_bytes(), (self.hf / "model.safetensors").read_bytes()
        )
        text = "Hello, world! 12345 naïve café\n\n  x"
        ids = {self.good("tokenize", "-m", model, text).stdout for model in (self.hf, original, gguf, back)}
        self.assertEqual(len(ids), 1)

    def test_synth_makes_the_same_model_in_every_form(self):
        expected = self.logits(self.hf)
        seed = ("synth", "--preset", "tiny", "--layers", 2, "--seed", 7, "--tokenizer", TOKENIZER, "--out")
        # The name inside a GGUF file is that of the file.
        made, converted = (self.folder / name / "model.gguf" for name in ("made", "converted"))
        self.good(*seed, made)
        self.good("convert", self.hf, converted)
        self.assertEqual(made.read_bytes(), converted.read_bytes())
        self.assertEqual(self.logits(made), expected)
        self.good(*seed, self.folder / "f32.gguf", "--dense-type", "f32", "--expert-type", "f32")
        self.assertEqual(self.logits(self.folder / "f32.gguf"), expected)
        self.good(*seed, self.folder / "made_original", "--format", "original")
        self.assertEqual(self.logits(self.folder / "made_original"), expected)

    def test_narrowing_is_reported(self):
        done = self.good("convert", self.hf, self.folder / "q8.gguf", "--dense-type", "q8_0")
        self.assertRegex(done.stderr, r"dense tensors to Q8_0: \d+ of \d+ values changed, by at most \S+ \(\S+\), rel")
        self.assertEqual(done.stdout, "")
        done = self.good("convert", self.hf, self.folder / "exact.gguf")
        self.assertNotIn("changed", done.stderr)
        wide = self.folder / "wide.gguf"
        done = self.good("convert", self.hf, wide, "--expert-type", "bf16")
        self.assertNotIn("experts from", done.stderr)
        refusal = self.bad(UNSUPPORTED, "convert", wide, self.folder / "narrow.gguf")
        self.assertIn("--expert-type bf16 or f32 keeps them", refusal)

    def test_refusals(self):
        out = self.folder / "refused"
        self.assertIn("nothing is overwritten", self.bad(BAD_FILE, "convert", self.hf, self.hf))
        self.assertIn("named as a GGUF file", self.bad(USAGE, "convert", self.hf, f"{out}.gguf", "--format", "hf"))
        self.assertIn("BF16", self.bad(UNSUPPORTED, "convert", self.hf, out, "--format", "original",
                                       "--dense-type", "q8_0"))
        self.assertIn("no such file", self.bad(BAD_FILE, "convert", self.folder / "absent", out))
        self.assertIn("does not name a file or folder", self.bad(USAGE, "convert", self.hf, ""))
        self.assertIn("cannot have this name", self.bad(BAD_FILE, "convert", self.hf, "."))
        self.assertIn("named as a file", self.bad(USAGE, "convert", self.hf, f"{out}.safetensors"))
        link = self.folder / "link"
        link.symlink_to("nowhere")
        self.assertIn(f"{link}: is a symbolic link", self.bad(BAD_FILE, "convert", self.hf, link))
        self.assertEqual([p for p in self.folder.iterdir() if p.name.startswith("refused")], [])

    def test_dense_weights_packed_once_give_the_same_logits(self):
        model, file = self.folder / "to-pack", self.folder / "dense.packed"
        shutil.copytree(self.hf, model)
        done = self.good("convert", model, file, "--format", "packed-dense")
        self.assertIn(f"{file}: ", done.stderr)
        self.assertIn(f"{file.stat().st_size} bytes for ", done.stderr)
        logits = []
        for more in ((), ("--packed-weights", file), ("--packed-weights", file, "--use-mmap=false"),
                     ("--packed-weights", file, "--expert-memory", "50%")):
            out = self.folder / "packed.npy"
            self.good("logits", "-m", model, "--tokens", self.tokens, "--out", out, *more)
            logits.append(out.read_bytes())
        self.assertEqual(logits[1:], logits[:1] * 3)
        plan = lambda *more: json.loads(self.good("-m", model, "--dry-run", "--json", *more).stdout)["bytes"]
        plain, mapped, owned, packed = (plan(), plan("--packed-weights", file),
                                        plan("--packed-weights", file, "--use-mmap=false"), plan("--pack-weights"))
        self.assertEqual(plain["own_dense_weights"], 0)
        self.assertEqual(mapped["own_dense_weights"], 0)
        self.assertEqual(owned["own_dense_weights"], owned["dense_weights"])
        self.assertLess(mapped["dense_weights"], plain["dense_weights"])
        self.assertEqual(packed["own_dense_weights"], packed["packed_dense_weights"])
        self.assertLessEqual(file.stat().st_size - mapped["packed_dense_weights"], 384 + 64 * (4 * 2 + 1))
        self.assertLessEqual(packed["packed_dense_weights"], mapped["packed_dense_weights"])
        self.assertLess(mapped["packed_dense_weights"], 1.02 * packed["packed_dense_weights"])
        self.assertIn("named as a file of a model", self.bad(USAGE, "convert", model, f"{file}.gguf", "--format",
                                                             "packed-dense"))
        self.assertIn("packed-dense has one form", self.bad(USAGE, "convert", model, self.folder / "other", "--format",
                                                            "packed-dense", "--dense-type", "f32"))
        self.assertIn("nothing is overwritten", self.bad(BAD_FILE, "convert", model, file, "--format", "packed-dense"))
        opened = ("logits", "-m", model, "--tokens", self.tokens, "--out", self.folder / "none.npy", "--packed-weights")
        self.assertIn("in the file already", self.bad(USAGE, *opened, file, "--pack-weights"))
        self.assertIn("takes weights as stored", self.bad(USAGE, *opened, file, "--executor", "reference"))
        self.assertIn("--packed-weights", self.bad(USAGE, "logits", "-m", model, "--tokens", self.tokens, "--out", file,
                                                   "--packed-weights", file))
        self.assertIn("Sound: 9 tensors", self.good("verify", file).stdout)
        self.assertIn("--packed-weights", self.bad(BAD_FILE, "-m", file, "--prompt", "a"))
        damaged = self.folder / "damaged.packed"
        damaged.write_bytes(file.read_bytes()[:-1] + b"?")
        done = run("verify", damaged)
        self.assertEqual(done.returncode, BAD_FILE)
        self.assertIn("its packed values are damaged", done.stdout)
        shutil.rmtree(model)
        self.good("synth", "--preset", "tiny", "--layers", 2, "--seed", 8, "--out", model, "--tokenizer", TOKENIZER)
        self.assertIn("made from a model with other values", self.bad(BAD_FILE, *opened, file))
        self.assertNotIn("delete", self.bad(BAD_FILE, *opened, file))  # another model's good file
        self.assertIn("other values", self.bad(BAD_FILE, "-m", model, "--dry-run", "--packed-weights", file))
        none = self.folder / "no-bf16.gguf"
        self.good("convert", model, none, "--dense-type", "f32")
        for extra in ((), ("--dry-run",)):
            line = self.bad(USAGE, "-m", none, "--prompt", "a", "--pack-weights", *extra)
            self.assertIn("nothing to pack", line)
        self.assertFalse((self.folder / "none.npy").exists())

    def test_an_interrupted_conversion_leaves_nothing(self):
        big = self.folder / "big"
        self.good("synth", "--preset", "small", "--out", big)
        for number, code in ((signal.SIGINT, 130), (signal.SIGHUP, 129), (signal.SIGKILL, -signal.SIGKILL)):
            out = self.folder / f"interrupted-{number}.gguf"
            process = subprocess.Popen(
                PROGRAM + ["convert", str(big), str(out), "--dense-type", "q8_0"],
                stderr=subprocess.PIPE, env=environment(),
            )
            partial = pathlib.Path(f"{out}.partial-{process.pid}")
            while process.poll() is None and not partial.exists():
                time.sleep(0.0005)
            process.send_signal(number)
            process.communicate()
            if process.returncode == 0:
                continue  # it was faster
            self.assertEqual(process.returncode, code)
            self.assertFalse(out.exists())
            self.assertEqual(partial.exists(), number == signal.SIGKILL)

    def test_verify(self):
        done = self.good("verify", self.hf)
        self.assertIn("Sound: 41 tensors", done.stdout)
        report = json.loads(self.good("verify", self.hf, "--json").stdout)
        self.assertTrue(report["sound"])
        damaged = self.folder / "damaged"
        shutil.copytree(self.hf, damaged)
        (damaged / "SHA256SUMS").write_text(
            "".join(f"{f['sha256']}  {f['name']}\n" for f in report["files"])
        )
        self.good("verify", damaged)
        weights = damaged / "model.safetensors"
        data = bytearray(weights.read_bytes())
        length = int.from_bytes(data[:8], "little")
        header = json.loads(data[8 : 8 + length])
        begin, end = header["model.layers.1.mlp.experts.down_proj_scales"]["data_offsets"]
        data[8 + length + begin + 5] = 255
        begin, end = header["lm_head.weight"]["data_offsets"]
        data[8 + length + begin + 2 : 8 + length + begin + 4] = b"\xc0\x7f"  # NaN
        weights.write_bytes(data)
        done = run("verify", damaged)
        self.assertEqual(done.returncode, BAD_FILE)
        self.assertIn("layer 1, expert 0, down: 1 block with the scale byte 255", done.stdout)
        self.assertIn("unembedding: 1 NaN, the first at row 0, column 1", done.stdout)
        self.assertIn("model.safetensors: its digest is", done.stdout)
        done = self.good("convert", damaged, self.folder / "moved.gguf")
        for says in ("layer 1, expert 0, down: 1 block with the scale byte 255", "unembedding: 1 NaN, the first at row 0"):
            self.assertRegex(done.stderr, rf"warning: {damaged}: {says}")
        report = json.loads(run("verify", damaged, "--json").stdout)
        self.assertEqual((report["sound"], report["problem_count"]), (False, 3))
        self.assertIn("no such file", self.bad(BAD_FILE, "verify", self.folder / "absent"))
        weights.write_bytes(data[: len(data) // 2])
        self.assertIn("cannot be opened as a model", run("verify", damaged).stdout)


if __name__ == "__main__":
    unittest.main()
