"""What the program writes: what it may replace, what is left when it cannot, and how that is told.

Run by ctest with OXIDIZED_PROGRAM set to the program (an emulator may stand before it, separated by '|').
"""

import os
import pathlib
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

from command_line import BAD_FILE, PROGRAM, USAGE, CommandLine, run


class Output(CommandLine):
    def setUp(self):
        self.there = pathlib.Path(tempfile.mkdtemp(dir=self.folder))
        self.tokens = self.there / "tokens"
        self.tokens.write_text("1 2 3")
        self.record = self.there / "record.json"
        shutil.copy(self.bench, self.record)
        self.before = sorted(p.name for p in self.there.iterdir())

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.bench = cls.folder / "bench.json"
        measured = run("bench", "-m", cls.model, "pp2", "pp4", "--runs", 1, "--json")
        assert measured.returncode == 0, measured.stderr
        cls.bench.write_bytes(measured.stdout)

    def writers(self, target):
        """Every command that writes a file that an option names, with it."""
        answer = ("-m", self.model, "-p", "x", "--seed", 1, "--max-tokens", 30, "--raw")
        return {
            "page": (*answer, "--moe-report", target),
            "trace": (*answer, "--moe-trace", target),
            "logits": ("logits", "-m", self.model, "--tokens", self.tokens, "--out", target),
            "simulated trace": ("moe", "simulate", "--synthetic", "uniform", "--tokens", 500, "--layers", 2, "--save-trace", target),
        }

    def left(self):
        return sorted(p.name for p in self.there.iterdir() if p.name not in self.before)

    def good(self, *arguments, **how):
        result = run(*arguments, **how)
        self.assertEqual(result.returncode, 0, result.stderr)
        return result

    def test_what_a_chat_reads_is_never_replaced(self):
        script, config, chat = self.there / "script", self.there / "defaults.conf", ("-m", self.model, "-i", "--max-tokens", 2)
        link = self.there / "link"
        link.symlink_to(script)
        config.write_text("max-tokens = 2\n")
        for target, more in [(script, ()), (link, ()), (config, ("--config", config))]:
            script.write_text(f"hi\n/save! {target}\n")
            before = target.read_bytes()
            with open(script, "rb") as stdin:
                result = subprocess.run(PROGRAM + [str(word) for word in (*chat, *more)], stdin=stdin, capture_output=True)
            self.assertIn(b"that this program reads, writes or runs", result.stderr)
            self.assertEqual(target.read_bytes(), before)
        out = self.there / "out"
        with open(out, "wb") as stdout:
            result = subprocess.run(PROGRAM + ["-m", str(self.model), "-p", "x", "--max-tokens", "2", "--moe-report", str(out)],
                                    stdout=stdout, stderr=subprocess.PIPE)
        self.assertEqual((result.returncode, out.read_bytes()), (USAGE, b""), result.stderr)

    def test_one_name_is_written_once_at_a_time(self):
        trace = self.there / "t"
        result = run("-m", self.model, "-i", "--max-tokens", 2, "--moe-trace", trace, stdin=f"hi\n/save {trace}\n/save! {trace}\n")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(result.stderr.count(b"this run is writing it already"), 2, result.stderr)
        self.assertTrue(trace.read_bytes()[:64])
        self.assertEqual(self.left(), ["t"])

    def test_who_may_read_a_file_stays(self):
        page = self.there / "page"
        self.good(*self.writers(page)["page"])
        page.chmod(0o600)
        self.good(*self.writers(page)["page"])
        self.assertEqual(page.stat().st_mode & 0o777, 0o600)

    def test_what_only_has_the_name_of_a_partial_stays(self):
        folder, file = self.there / "model.partial-999999", self.there / "page.partial-999999"
        folder.mkdir()
        (folder / "thesis.txt").write_text("thesis")
        file.write_text("thesis")
        made = self.good("synth", "--preset", "tiny", "--out", self.there / "model")
        self.assertIn(b"it stays", made.stderr)
        self.assertIn(b"it stays", self.good(*self.writers(self.there / "page")["page"]).stderr)
        self.assertEqual(((folder / "thesis.txt").read_text(), file.read_text()), ("thesis", "thesis"))
        # An empty one is what a run leaves that was killed at once.
        file.write_text("")
        self.assertIn(b"removed", self.good(*self.writers(self.there / "page")["page"]).stderr)
        self.assertFalse(file.exists())

    def test_only_files_of_its_own_kind_are_replaced_unasked(self):
        target, others, link = self.there / "target", self.there / "others", self.there / "link"
        for name, arguments in self.writers(target).items():
            with self.subTest(name):
                self.good(*arguments)
                first = target.read_bytes()
                self.good(*arguments)  # again: its own
                self.assertEqual(len(target.read_bytes()) > 0, len(first) > 0)
                for stranger in (b"precious", b"\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1), }"):
                    target.write_bytes(stranger)
                    self.refused(USAGE, "is there already, and is not such a file of this program; --force replaces it", *arguments)
                    self.assertEqual(target.read_bytes(), stranger)
                self.good(*arguments, "--force")
                self.assertNotEqual(target.read_bytes(), stranger)
                target.unlink()

                others.write_bytes(b"precious")
                link.symlink_to(others)
                through = [link if word == target else word for word in arguments]
                self.refused(USAGE, f"{link}: is a symbolic link to {others}; --force writes there", *through)
                self.assertEqual(others.read_bytes(), b"precious")
                self.good(*through, "--force")
                self.assertTrue(link.is_symlink())
                self.assertNotEqual(others.read_bytes(), b"precious")
                link.unlink()
                others.unlink()
        self.assertEqual(self.left(), [])

    def test_what_runs_is_never_replaced(self):
        for name in ("link", "hard"):
            link = self.there / name
            program = pathlib.Path(PROGRAM[-1])
            if name == "link":
                link.symlink_to(program)
            else:
                try:
                    link.hardlink_to(program)
                except OSError:
                    continue  # another file system
            for arguments in self.writers(link).values():
                self.refused(USAGE, "a file that this program reads, writes or runs", *arguments, "--force")
            link.unlink()

    def test_a_chat_saves_over_nothing_that_it_reads(self):
        model, alias = self.there / "model", self.there / "alias"
        shutil.copytree(self.model, model)
        alias.hardlink_to(model / "model.safetensors")
        before = {file: file.read_bytes() for file in model.iterdir()}
        lines = "".join(f"/save! {file}\n" for file in [*model.iterdir(), alias, PROGRAM[-1]])
        said = self.good("-m", model, "--interactive", stdin=lines).stderr.decode()
        self.assertEqual(said.count("a file that this program reads, writes or runs: give it another name"), len(before) + 2, said)
        self.assertEqual({file: file.read_bytes() for file in model.iterdir()}, before)
        own = self.there / "own.json"
        self.good("-m", model, "--interactive", stdin=f"/save {own}\n/load {own}\n/save {own}\n")
        said = self.good("-m", model, "--interactive", stdin=f"/save {own}\n/save! {own}\n").stderr.decode()
        self.assertRegex(said, r"(?s)is there already.*/save! FILE replaces it.*saved 1 message")

    def test_pictures_of_bench_plot_follow_the_rule(self):
        out = self.there / "pictures"
        plot = ("bench", "plot", "--out", out, self.record)
        self.good(*plot)
        self.good(*plot)
        picture = next(out.iterdir())
        picture.write_text("precious")
        self.refused(USAGE, "--force replaces it", *plot)
        self.assertEqual(picture.read_text(), "precious")
        self.good(*plot, "--force")

    def limited(self, blocks, *arguments):
        def limit():
            resource.setrlimit(resource.RLIMIT_FSIZE, (blocks * 512, blocks * 512))

        return subprocess.run(PROGRAM + [str(a) for a in arguments], input=b"", capture_output=True, timeout=300, preexec_fn=limit)

    def test_a_limit_on_files_is_one_line_and_leaves_nothing(self):
        target = self.there / "target"
        more = {"synth": ("synth", "--preset", "tiny", "--out", target),
                "convert": ("convert", self.model, target.with_suffix(".gguf")),
                "packed": ("convert", self.model, target, "--format", "packed-dense")}
        for name, arguments in {**self.writers(target), **more}.items():
            with self.subTest(name):
                result = self.limited(2, *arguments)
                said = result.stderr.decode()
                self.assertEqual(result.returncode, BAD_FILE, said)
                self.assertEqual(said.count("error: "), 1, said)
                self.assertIn("larger than the limit on files allows (ulimit -f)", said)
                self.assertEqual(self.left(), [])

    @unittest.skipUnless(sys.platform == "linux" and os.geteuid() == 0, "needs to mount a file system")
    def test_a_full_disk_is_one_line_and_leaves_nothing(self):
        disk = self.there / "disk"
        disk.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", disk], capture_output=True).returncode != 0:
            self.skipTest("cannot mount")
        self.addCleanup(subprocess.run, ["umount", disk])
        for name in ("simulated trace", "page", "logits"):
            with self.subTest(name):
                result = run(*self.writers(disk / "target")[name])
                said = result.stderr.decode()
                self.assertEqual(result.returncode, BAD_FILE, said)
                self.assertEqual(said.count("error: "), 1, said)
                self.assertIn("No space left on device", said)
                self.assertEqual(list(disk.iterdir()), [])

    def test_what_a_killed_run_left_is_named_and_removed(self):
        target = self.there / "target"
        dead = subprocess.Popen([sys.executable, "-c", ""])
        dead.wait()
        # A dead run's, a living one's, and names that only look like one.
        left = self.there / f"target.partial-{dead.pid}"
        kept = [self.there / name for name in (f"target.partial-{os.getpid()}", "target.partial-", "target.partial-1x",
                                               f"target2.partial-{dead.pid}")]
        convert = ("convert", self.model, target.with_suffix(".gguf"))
        for name, arguments in {**self.writers(target), "synth": ("synth", "--preset", "tiny", "--out", target)}.items():
            with self.subTest(name):
                self.good(*arguments)
                for file in kept:
                    file.write_text("cut")
                if target.is_dir():
                    left.mkdir()
                    (left / "model.safetensors").write_text("cut")
                    shutil.rmtree(target)
                else:
                    left.write_bytes(target.read_bytes()[:4000])
                    target.unlink()
                said = self.good(*arguments).stderr.decode()
                self.assertIn(f"warning: {left}: a run that was killed left it; removed\n", said)
                self.assertFalse(left.exists())
                for file in kept:
                    self.assertTrue(file.exists(), file)
                shutil.rmtree(target) if target.is_dir() else target.unlink()
        folder = self.there / f"target.gguf.partial-{dead.pid}"
        folder.mkdir()
        self.assertIn("left it; removed", self.good(*convert).stderr.decode())
        self.assertFalse(folder.exists())

    def test_a_name_that_is_as_long_as_names_may_be(self):
        name = "n" * 255
        self.good(*self.writers(self.there / name)["trace"])
        self.assertEqual(self.left(), [name])

    def test_the_second_of_two_conversions_says_what_happened(self):
        out = self.there / "out"
        process = subprocess.Popen(PROGRAM + ["synth", "--preset", "small", "--out", str(out)], stderr=subprocess.PIPE)
        partial = pathlib.Path(f"{out}.partial-{process.pid}")
        while process.poll() is None and not partial.exists():
            pass
        process.send_signal(signal.SIGSTOP)
        shutil.copytree(self.model, out)
        process.send_signal(signal.SIGCONT)
        said = process.communicate(timeout=300)[1].decode()
        self.assertEqual(process.returncode, BAD_FILE, said)
        self.assertIn(f"error: {out}: something else was written there meanwhile; nothing is overwritten\n", said)
        self.assertFalse(partial.exists())


if __name__ == "__main__":
    unittest.main(verbosity=2)
