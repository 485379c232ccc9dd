"""Limits of the shell (ulimit) on stack and memory: a line and a code of docs/errors.md, not a crash.

Run by ctest with OXIDIZED_PROGRAM set to the program (an emulator may stand before it, separated by '|').
"""

import os
import subprocess
import sys
import unittest

from command_line import PROGRAM, CommandLine

NO_MEMORY, NOT_STARTED = 4, 127


class Limits(CommandLine):
    def under(self, limit, *arguments):
        line = f'{limit} && exec "$@"'
        return subprocess.run(["bash", "-c", line, "bash", *PROGRAM, *(str(a) for a in arguments)], input=b"", capture_output=True, timeout=120)

    def commands(self):
        return {"answer": ("-m", self.model, "-p", "x", "--max-tokens", 2, "--raw"), "chat": ("-m", self.model, "--interactive"),
                "inspect": ("inspect", self.model), "verify": ("verify", self.model), "help": ("--help",), "version": ("--version", "-v")}

    def test_a_small_stack_is_one_line(self):
        for name, arguments in self.commands().items():
            for kib in (64, 128, 255):
                with self.subTest(name, kib=kib):
                    result = self.under(f"ulimit -s {kib}", *arguments)
                    self.assertEqual((result.returncode, result.stdout), (NO_MEMORY, b""), result.stderr)
                    self.assertEqual(result.stderr, b"oxidized_gpt_oss: error: the limit on the stack is below 256 KiB: raise it (ulimit -s)\n")
            self.assertEqual(self.under("ulimit -s 256", *arguments).returncode, 0, name)

    @unittest.skipIf(os.environ.get("OXIDIZED_SANITIZED"), "a sanitizer reserves terabytes")
    def test_little_memory_is_one_line(self):
        seen = set()
        for name, arguments in self.commands().items():
            for kib in (*range(20_000, 300_000, 20_000 if name == "answer" else 40_000), 48_000, 49_152, 50_000):
                with self.subTest(name, kib=kib):
                    result = self.under(f"ulimit -v {kib}", *arguments)
                    seen.add(result.returncode)
                    self.assertIn(result.returncode, (0, NO_MEMORY, NOT_STARTED), result.stderr)
                    if result.returncode == NO_MEMORY:
                        self.assertEqual(result.stderr.count(b"error: "), 1, result.stderr)
        self.assertIn(NO_MEMORY, seen)


if __name__ == "__main__":
    if sys.platform != "linux":
        sys.exit(77)
    unittest.main(verbosity=2)
