"""The installed tree by itself: what it shows, and the programs of examples/ built against it and run.

Needs OXIDIZED_BUILD (a build folder that is up to date), OXIDIZED_CMAKE, OXIDIZED_CXX and OXIDIZED_NM.
"""

import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

BUILD, CMAKE, CXX, NM = (os.environ[f"OXIDIZED_{name}"] for name in ("BUILD", "CMAKE", "CXX", "NM"))


def run(*command, stdin="", cwd=None):
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("OXIDIZED_", "CMAKE_PREFIX"))}
    return subprocess.run([str(word) for word in command], input=stdin, capture_output=True, text=True, cwd=cwd,
                          env=environment, timeout=300)


class InstalledTree(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp())
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.prefix = cls.folder / "installed"
        cls.must(CMAKE, "--install", BUILD, "--prefix", cls.prefix)
        (cls.library,) = cls.prefix.glob("lib*/**/liboxidized.so")
        cls.model = cls.prefix / "share/oxidized_gpt_oss/models/demo"
        (examples,) = cls.prefix.glob("share/doc/*/examples")
        cls.programs = cls.folder / "build"
        cls.must(CMAKE, "-S", examples, "-B", cls.programs, f"-DCMAKE_PREFIX_PATH={cls.prefix}",
                 f"-DCMAKE_CXX_COMPILER={CXX}", "-DCMAKE_CXX_FLAGS=-Wall -Wextra -Wpedantic -Werror",
                 "-DSTATIC_EXAMPLE=ON")
        cls.must(CMAKE, "--build", cls.programs, "--parallel", 2)

    @classmethod
    def must(cls, *command):
        done = run(*command, cwd=cls.folder)
        assert done.returncode == 0, done.stdout + done.stderr

    def example(self, name, *arguments, stdin=""):
        done = run(self.programs / name, *arguments, stdin=stdin, cwd=self.folder)
        self.assertEqual(done.stderr, "")
        self.assertEqual(done.returncode, 0)
        return done.stdout

    def test_headers_need_the_standard_library_alone(self):
        headers = sorted((self.prefix / "include/oxidized").iterdir())
        lines = 0
        for header in headers:
            text = header.read_text("utf-8")
            lines += text.count("\n")
            for name in re.findall(r"^\s*#\s*include\s*(.*?)\s*(?://.*)?$", text, re.MULTILINE):
                self.assertRegex(name, r'^(<[a-z_]+>|"oxidized/[a-z_]+\.h")$', header)
        self.assertEqual([header.name for header in headers], ["abi.h", "error.h", "generate.h", "model.h"])
        self.assertLess(lines, 350)

    def test_the_library_shows_its_api_and_nothing_else(self):
        names = run(NM, "--dynamic", "--defined-only", "--extern-only", "--demangle", "--format=posix", self.library)
        self.assertEqual(names.returncode, 0, names.stderr)
        shown = [re.sub(r" [A-Za-z]( [0-9a-f]+)*\s*$", "", line).split("@@")[0] for line in names.stdout.splitlines()]
        ours = re.compile(r"(typeinfo for |typeinfo name for |vtable for )?oxidized::v1::|OXIDIZED_1$")
        self.assertEqual([name for name in shown if not ours.match(name)], [])
        for expected in ("oxidized::v1::Model::Open(", "oxidized::v1::Generation::Next()", "typeinfo for oxidized::v1::Error"):
            self.assertTrue(any(name.startswith(expected) for name in shown), expected)
        inner = re.compile(r"Impl|Inner|Outer|Guarded|Rethrow|CallersFunctions")
        self.assertEqual([name for name in shown if inner.search(name.split("(")[0])], [])

    def test_the_library_has_its_interfaces_number(self):
        (number,) = re.findall(r"namespace v(\d+) \{", (self.prefix / "include/oxidized/error.h").read_text("utf-8"))
        self.assertEqual(self.library.resolve().name, f"liboxidized.so.{number}")

    def test_another_version_is_not_found(self):
        (self.folder / "other").mkdir(exist_ok=True)
        for version, found in (("0.1", True), ("0.2", False), ("1.0", False)):
            (self.folder / "other/CMakeLists.txt").write_text(
                "cmake_minimum_required(VERSION 3.22)\nproject(other LANGUAGES NONE)\n"
                f"find_package(oxidized {version} CONFIG REQUIRED)\n")
            done = run(CMAKE, "-S", self.folder / "other", "-B", self.folder / f"other/{version}",
                       f"-DCMAKE_PREFIX_PATH={self.prefix}")
            self.assertEqual(done.returncode == 0, found, done.stderr)

    def test_chat(self):
        messages = "hi! i'm Nora\nWhat is my name?\nWhat's the weather in Paris?\n"
        said = self.example("chat", self.model, stdin=messages)
        lines = said.splitlines()
        self.assertEqual(lines[0], "Nice to meet you, Nora.")
        self.assertIn("Nora", lines[1])
        self.assertRegex(lines[2], r'^\[get_weather \{"location": "Paris"\}\]$')
        self.assertIn("18", lines[3])
        self.assertEqual(self.example("chat_static", self.model, stdin=messages), said)

    def test_batch(self):
        questions = [f"What is {n} + 3?" for n in range(20)]
        answers = self.example("batch", self.model, stdin="\n".join(questions) + "\n").splitlines()
        self.assertEqual(answers, [f"stop: {n} + 3 = {n + 3}." for n in range(20)])

    def test_routing(self):
        lines = self.example("routing", self.model, "What is 2 + 3?").splitlines()
        self.assertEqual(lines[0], "2 + 3 = 5.")
        rows = [line.split() for line in lines[3:]]
        self.assertEqual([row[0] for row in rows], [str(layer) for layer in range(8)])
        for row in rows:
            shares = [float(share.rstrip("%")) for share in row[3:]]
            self.assertEqual(len(shares), 8)
            self.assertAlmostEqual(sum(shares), 100.0, delta=0.5)

    def test_an_error_says_what_to_do(self):
        done = run(self.programs / "chat", self.folder / "nothing", cwd=self.folder)
        self.assertEqual(done.returncode, 3)
        self.assertIn("nothing", done.stderr)
        self.assertIn("inspect", done.stderr)


if __name__ == "__main__":
    unittest.main()
