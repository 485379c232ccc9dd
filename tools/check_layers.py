#!/usr/bin/env python3
"""Fails on an #include edge that the floors of docs/architecture.md do not allow, and on what only a program may do.

    tools/check_layers.py [REPOSITORY]

Reads src/**/*.{h,cc,cu,cuh}, the public headers of include/ and the DEPS of each module's CMakeLists.txt. Needs nothing
but Python. Its own test, which plants bad edges and bad lines, is tools/check_layers_test.py; both are registered with ctest.
"""

import re
import sys
from pathlib import Path

# A module includes itself and modules on lower floors, never its neighbours.
FLOORS = {
    "base": 0,
    "tensor": 1, "parallel": 1, "sampling": 1,
    "model": 2, "tokenizer": 2, "kernels": 2,
    "moe": 3, "kv": 3, "checkpoint": 3, "hub": 3, "harmony": 3,
    "audit": 4, "experts": 4, "executor": 4,
    "rewrite": 5, "engine": 5, "devices": 5,
    "chat": 6,
    "model_host": 7,
    "api": 8, "report": 8,
    "bench": 9, "server": 9,
    "cli": 10,
}

# What the engine may know of the executor: the contract. It knows nothing of text, files or arithmetic.
ENGINE_SEES = {"executor/executor.h", "executor/step_batch.h"}
ENGINE_NEVER = {"tokenizer", "harmony", "kernels", "checkpoint", "hub"}

# Concrete executors are named by the rows of devices/ alone, and what a row's folder holds by nobody else. Above it,
# nobody sees forms of weights that only one device reads.
CONCRETE_EXECUTOR = re.compile(r"executor/(?!testing/)\w+/")
DEVICE_FOLDER = re.compile(r"devices/\w+/")
DEVICE_FORM = re.compile(r"model/(arrange|packed_dense)\.h$")

# What programs see of the library: include/oxidized/. It needs nothing of ours, and api/ alone carries it out.
PUBLIC = "oxidized"

# Tests of readers look at files that the writers made, whatever the floors.
TESTS_SEE = {"audit", "rewrite"}

# Headers that cost seconds in every file that includes them, or that belong behind one of our own: in .cc files, or in
# a header that nothing but .cc files of its own module includes.
HEAVY = re.compile(r"(CLI/|nlohmann/(?!json_fwd)|simdjson|pcre2|boost/|prometheus/|curl/|openssl/|cuda|cublas|nccl)")

# Only tests see these: fakes, what several tests of a module share, and the comparator of tests/support. Tests are
# *_test.cc, *_bench.cc, *_test_*.h and testing/ folders.
TEST_ONLY = re.compile(r"(executor/testing/|support/|gtest/|gmock/|benchmark/|.*_test_\w+\.h$)")
TEST_STEM = re.compile(r"_(test|bench)$|_test_\w+$")

# What a library leaves to the program around it, and where that is. A flag is a spelling of the command line: libraries
# name settings (base/setting.h). The one line that a library writes to a terminal is that of OX_CHECK, before it aborts.
PROGRAM = "cli"
FLAG = re.compile(r"(?<![\w-])--[a-z][a-z-]*\w")
STYLE_SHEET = "var(--"  # CSS writes its own names so
TERMINAL = re.compile(r"\b(std::(cout|cerr|clog|print|println)|stdout|stderr|STD(OUT|ERR)_FILENO|v?printf|puts|putchar|"
                      r"perror|std(out|err)_\w*sink\w*|isatty)\b")
MAY_WRITE = {"base/error.cc"}
PROGRAMS_OWN = [
    (re.compile(r"\b(setenv|putenv|unsetenv|clearenv)\b"), "a library does not change the environment"),
    (TERMINAL, "a library does not write to a terminal: it returns, throws Error or logs (base/log.h)"),
]
PROGRAM_FILE = re.compile(r"/proc/(self|thread-self)/exe\b")
# Comments, string literals (raw ones too) and everything else, so that each is looked at as what it is.
TOKEN = re.compile(r'''(?P<comment>//[^\n]*|/\*.*?\*/)|(?P<string>R"(?P<raw>[^(\s]*)\(.*?\)(?P=raw)"|"(?:\\.|[^"\\\n])*")|'''
                   r"(?P<char>'(?:\\.|[^'\\\n])+')", re.DOTALL)

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)
DEPS = re.compile(r"oxidized_module\((\w+)(.*?)\)", re.DOTALL)


def is_test(path):
    return bool(TEST_STEM.search(path.stem)) or "testing" in path.parts


def check_include(path, quote, target):
    """The complaint about one #include of `path` (relative to src/), or None."""
    module = path.parts[0]
    if HEAVY.match(target):
        return None
    if TEST_ONLY.match(target):
        if not is_test(path):
            return f"{target} is for tests only"
        if target.split("/")[0] not in FLOORS:
            return None
    if quote == "<":
        if target.split("/")[0] in FLOORS and "/" in target:
            return f"our own header {target} in angle brackets"
        return None

    other = target.split("/")[0]
    if other == PUBLIC:
        return None if module == "api" else f"only api carries out the public headers: {target}"
    if other not in FLOORS or "/" not in target or ".." in target.split("/"):
        return f'"{target}" does not begin with a known module (include root: src/)'
    if other == module:
        return None
    if other in TESTS_SEE and is_test(path):
        return None
    if FLOORS[other] >= FLOORS[module]:
        return f"{module} (F{FLOORS[module]}) must not include {other} (F{FLOORS[other]}): {target}"
    if module == "engine" and other in ENGINE_NEVER:
        return f"engine must not know {other}: {target}"
    if module == "engine" and other == "executor" and target not in ENGINE_SEES and not TEST_ONLY.match(target):
        return f"engine sees only {', '.join(sorted(ENGINE_SEES))} of executor, not {target}"
    if is_test(path):
        return None
    if CONCRETE_EXECUTOR.match(target) and module != "devices":
        return f"only devices names a concrete executor: {target}"
    if DEVICE_FOLDER.match(target):
        return f"a device is a row of devices/device.h, its folder is its own: {target}"
    if DEVICE_FORM.match(target) and FLOORS[module] > FLOORS["devices"]:
        return f"how a device keeps its weights is its own business: {target}"
    return None


def check_program(path, text):
    """(line, complaint) for each thing in the text of `path` that only the program may do."""
    if path.parts[0] == PROGRAM or is_test(path):
        return
    code, at = [], 0  # the text without comments and literals, of the same length
    for token in TOKEN.finditer(text):
        code += [text[at:token.start()], re.sub(r"[^\n]", " ", token[0])]
        at = token.end()
        string = token["string"]
        if not string:
            continue
        line = text.count("\n", 0, token.start()) + 1
        if STYLE_SHEET not in string:
            for flag in FLAG.finditer(string):
                yield line, f"{flag[0]} is a flag: a library names the setting (base/setting.h), {PROGRAM} the flag"
        if PROGRAM_FILE.search(string):
            yield line, "a library does not look for the program that it is in"
    code = "".join(code) + text[at:]
    for pattern, complaint in PROGRAMS_OWN:
        if pattern is TERMINAL and str(path) in MAY_WRITE:
            continue
        for found in pattern.finditer(code):
            yield code.count("\n", 0, found.start()) + 1, f"{found[0]}: {complaint}"


def check_repository(root):
    """All complaints about the tree at `root`, as lines `file:line: complaint`, and the number of files read."""
    src = root / "src"
    complaints = []
    heavy = {}  # a header of ours -> the heavy header that it includes
    includes = []  # (includer, line, target) of every quoted include
    files = sorted(p for p in src.rglob("*") if p.suffix in (".h", ".cc", ".cu", ".cuh"))
    for file in files:
        path = file.relative_to(src)
        if path.parts[0] not in FLOORS:
            complaints.append(f"src/{path}:1: unknown module {path.parts[0]}: give it a floor in {Path(__file__).name}")
            continue
        text = file.read_text(encoding="utf-8")
        for match in INCLUDE.finditer(text):
            line = text.count("\n", 0, match.start(1)) + 1
            complaint = check_include(path, match[1], match[2])
            if complaint:
                complaints.append(f"src/{path}:{line}: {complaint}")
            if path.suffix == ".h" and HEAVY.match(match[2]):
                heavy[str(path)] = match[2]
            includes.append((path, line, match[2]))
        complaints += [f"src/{path}:{line}: {complaint}" for line, complaint in check_program(path, text)]

    public = sorted((root / "include").rglob("*.h"))
    for file in public:
        text = file.read_text(encoding="utf-8")
        for match in INCLUDE.finditer(text):
            standard = match[1] == "<" and "/" not in match[2] and "." not in match[2]
            if not standard and not match[2].startswith(f"{PUBLIC}/"):
                complaints.append(f"{file.relative_to(root)}:{text.count(chr(10), 0, match.start(1)) + 1}: "
                                  f"a public header needs the standard library alone, not {match[2]}")

    for path, line, target in includes:
        if target in heavy and (path.suffix == ".h" or path.parts[0] != target.split("/")[0]):
            complaints.append(f"src/{path}:{line}: {target} brings in the heavy header {heavy[target]}: "
                              f"only .cc files of its own module may include it")

    for file in sorted(src.glob("*/CMakeLists.txt")):
        for module, arguments in DEPS.findall(file.read_text(encoding="utf-8")):
            dependencies = re.search(r"\bDEPS\s+([a-z_\s]+)", arguments)
            for other in dependencies[1].split() if dependencies else []:
                if FLOORS.get(other, 99) >= FLOORS.get(module, -1):
                    complaints.append(f"{file.relative_to(root)}:1: {module} must not depend on {other}")
    return complaints, len(files) + len(public)


def main():
    root = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent)
    complaints, files = check_repository(root)
    for complaint in complaints:
        print(complaint)
    if files == 0:
        print(f"no sources under {root}/src")
        return 1
    print(f"{files} files, {len(complaints)} complaints")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
