"""What the suites of the command line share: a small random model, and how the program is run.

Not a suite by itself; it needs OXIDIZED_PROGRAM as they do.
"""

import array
import os
import pathlib
import shutil
import struct
import subprocess
import tempfile
import unittest

PROGRAM = [word for word in os.environ["OXIDIZED_PROGRAM"].split("|") if word]
ROOT = pathlib.Path(__file__).resolve().parents[2]
TOKENIZER = ROOT / "tests/golden/tokenizer/tokenizer.json"

USAGE, BAD_FILE, CONTEXT_FULL, UNSUPPORTED = 2, 3, 5, 8


def run(*arguments, stdin="", environment=None, timeout=300):
    env = {k: v for k, v in os.environ.items() if not k.startswith("OXIDIZED_") and k != "NO_COLOR"}
    env.update(environment or {})
    return subprocess.run(
        PROGRAM + [str(a) for a in arguments], input=stdin.encode(), capture_output=True, env=env, timeout=timeout
    )


def read_npy(path):
    data = pathlib.Path(path).read_bytes()
    assert data[:8] == b"\x93NUMPY\x01\x00"
    (length,) = struct.unpack("<H", data[8:10])
    header = eval(data[10 : 10 + length].decode())  # a literal written by the program under test
    assert header["descr"] == "<f4" and not header["fortran_order"] and (10 + length) % 64 == 0
    values = array.array("f", data[10 + length :])
    assert len(values) == header["shape"][0] * header["shape"][1]
    return header["shape"], values


class CommandLine(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp())
        cls.model = cls.folder / "tiny"
        made = run("synth", "--preset", "tiny", "--seed", 7, "--out", cls.model, "--tokenizer", TOKENIZER)
        assert made.returncode == 0, made.stderr

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder)

    def refused(self, code, says, *arguments, **how):
        """The program ends with `code`, says nothing on stdout, and one line on stderr that contains `says`."""
        result = run(*arguments, **how)
        stderr = result.stderr.decode()
        self.assertEqual(result.returncode, code, f"{arguments}: {stderr}")
        self.assertEqual(result.stdout, b"", arguments)
        errors = [line for line in stderr.splitlines() if ": error: " in line]
        self.assertEqual(len(errors), 1, stderr)
        self.assertEqual(stderr.count("\n"), 1, stderr)
        self.assertIn(says, errors[0])

    def answer(self, *arguments, **how):
        result = run("-m", self.model, "--seed", 3, "--max-tokens", 12, "--date", "2026-01-31", *arguments, **how)
        self.assertEqual(result.returncode, 0, result.stderr.decode())
        return result
