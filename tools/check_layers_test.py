#!/usr/bin/env python3
"""Plants good and bad edges in a small tree and asks check_layers.py about each."""

import tempfile
import unittest
from pathlib import Path

import check_layers


class CheckLayers(unittest.TestCase):
    def complaints(self, files):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            for name, text in files.items():
                path = root / (name if name.startswith("include/") else f"src/{name}")
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
            return check_layers.check_repository(root)[0]

    def allowed(self, name, include):
        self.assertEqual(self.complaints({name: f"#include {include}\n"}), [])

    def refused(self, name, include, because):
        found = self.complaints({name: f"// first line\n#include {include}\n"})
        self.assertEqual(len(found), 1, found)
        self.assertTrue(found[0].startswith(f"src/{name}:2: "), found[0])
        self.assertIn(because, found[0])

    def test_downward_and_inward_edges_are_allowed(self):
        self.allowed("model/a.h", '"tensor/dtype.h"')
        self.allowed("model/a.h", '"model/b.h"')
        self.allowed("cli/a.cc", '"base/error.h"')
        self.allowed("engine/a.h", '"executor/executor.h"')
        self.allowed("engine/a.h", '"executor/step_batch.h"')
        self.allowed("base/a.h", "<vector>")

    def test_upward_edge(self):
        self.refused("tensor/a.h", '"model/model_config.h"', "must not include model (F2)")
        self.refused("base/a.cc", '"cli/main.h"', "must not include cli (F10)")

    def test_sideways_edge(self):
        self.refused("kv/a.h", '"moe/routing_policy.h"', "must not include moe (F3)")
        self.refused("tokenizer/a.cc", '"model/rope.h"', "must not include model (F2)")

    def test_unknown_module(self):
        self.refused("model/a.h", '"helpers/b.h"', "known module")
        self.refused("model/a.h", '"../tensor/dtype.h"', "known module")
        self.refused("model/a.h", '"model_config.h"', "known module")
        self.assertIn("unknown module", self.complaints({"helpers/a.h": ""})[0])

    def test_engine_sees_only_the_contract(self):
        self.refused("engine/a.cc", '"executor/taps.h"', "engine sees only")
        self.refused("engine/a.cc", '"executor/reference/reference_executor.h"', "engine sees only")
        for module in ("tokenizer", "harmony", "kernels", "checkpoint"):
            self.refused("engine/a.cc", f'"{module}/a.h"', "engine must not know")

    def test_only_devices_name_a_concrete_executor(self):
        self.refused("cli/a.cc", '"executor/reference/reference_executor.h"', "only devices")
        self.refused("chat/a.cc", '"executor/cpu/cpu_executor.h"', "only devices")
        self.refused("model_host/runtime.cc", '"executor/cpu/cpu_executor.h"', "only devices")
        self.refused("model_host/runtime.h", '"executor/reference/reference_executor.h"', "only devices")
        self.refused("bench/a.cc", '"executor/cpu/cpu_moe_stages.h"', "only devices")
        self.refused("cli/a.cc", '"executor/cuda/cuda_executor.h"', "only devices")
        self.refused("cli/a.cc", '"executor/gpu/vulkan/a.h"', "only devices")
        self.allowed("devices/a.cc", '"executor/reference/reference_executor.h"')
        self.allowed("devices/cpu/a.cc", '"executor/cpu/cpu_executor.h"')
        self.allowed("model_host/a_test.cc", '"executor/cpu/cpu_executor.h"')
        self.allowed("cli/a.cc", '"executor/moe_stages.h"')
        self.allowed("executor/a.cc", '"executor/reference/reference_executor.h"')

    def test_a_devices_folder_and_its_weights_are_its_own(self):
        self.refused("model_host/runtime.cc", '"devices/cpu/cpu_device.h"', "its folder is its own")
        self.refused("cli/a.cc", '"devices/cpu/expert_memory.h"', "its folder is its own")
        self.allowed("cli/a.cc", '"devices/device.h"')
        self.allowed("devices/table.cc", '"devices/cpu/cpu_device.h"')
        self.allowed("model_host/a_test.cc", '"devices/cpu/expert_memory.h"')
        self.refused("model_host/runtime.h", '"model/arrange.h"', "its own business")
        self.refused("cli/a.cc", '"model/packed_dense.h"', "its own business")
        self.allowed("devices/cpu/a.cc", '"model/arrange.h"')
        self.allowed("executor/cpu/a.h", '"model/packed_dense.h"')

    def test_test_only_headers(self):
        self.refused("engine/a.cc", '"executor/testing/fake_executor.h"', "tests only")
        self.refused("model/a.cc", "<gtest/gtest.h>", "tests only")
        self.allowed("engine/a_test.cc", '"executor/testing/fake_executor.h"')
        self.allowed("executor/testing/conformance.h", "<gtest/gtest.h>")
        self.refused("model/a.h", '"support/compare.h"', "tests only")
        self.refused("model/a.cc", '"model/model_test_util.h"', "tests only")
        self.allowed("model/a_test.cc", '"support/compare.h"')
        self.allowed("model/a_test.cc", '"model/model_test_util.h"')
        self.allowed("model/model_test_util.h", "<gtest/gtest.h>")
        self.refused("model/a_test.cc", '"kv/kv_test_util.h"', "must not include kv")

    def test_tests_of_readers_use_the_writers(self):
        self.allowed("checkpoint/a_test.cc", '"rewrite/synth.h"')
        self.refused("checkpoint/a.cc", '"rewrite/synth.h"', "must not include rewrite (F5)")
        self.refused("checkpoint/a_test.cc", '"report/a.h"', "must not include report")

    def test_heavy_headers_stay_with_the_files_of_one_module(self):
        for include in ("<CLI/CLI.hpp>", "<nlohmann/json.hpp>", "<simdjson.h>", "<pcre2.h>", "<boost/beast.hpp>",
                        "<cuda_runtime.h>", '"nlohmann/json.hpp"'):
            def user(name):
                return {"base/heavy.h": f"#include {include}\n", name: '\n#include "base/heavy.h"\n'}
            self.allowed("base/a.cc", include)
            self.assertEqual(self.complaints(user("base/a.cc")), [])
            for name in ("base/a.h", "model/a.cc", "model/a_test.cc"):
                found = self.complaints(user(name))
                self.assertEqual(len(found), 1, found)
                self.assertTrue(found[0].startswith(f"src/{name}:2: base/heavy.h brings in the heavy header"), found)
        light = {"base/light.h": "#include <nlohmann/json_fwd.hpp>\n", "model/a.h": '#include "base/light.h"\n'}
        self.assertEqual(self.complaints(light), [])

    def refused_line(self, name, line, because):
        found = self.complaints({name: f"// first line\n{line}\n"})
        self.assertEqual(len(found), 1, found)
        self.assertTrue(found[0].startswith(f"src/{name}:2: "), found[0])
        self.assertIn(because, found[0])

    def test_flags_are_the_programs(self):
        for line in ('Fail("{}: use --device cpu");', 'auto x = "(--dry-run says more)";', 'auto x = "--a-b";',
                     'auto x = R"(leave out --use-mmap=false)";', 'auto x = "\\"--quoted\\"";', 'f(\'"\', "--one");'):
            self.refused_line("devices/a.cc", line, "is a flag")
            self.refused_line("server/a.h", line, "is a flag")
            self.assertEqual(self.complaints({"cli/options/a.cc": line, "devices/a_test.cc": line}), [])
        for line in ('// --device cpu', '/* "--device" */', 'int x = --count;', '"models--org--name"', '"--"', '"a -- b"',
                     '"----"', '"svg { --bg: #fff; } rect { fill: var(--bg); }"', '"https://a" "b"  // "--device"'):
            self.assertEqual(self.complaints({"devices/a.cc": line}), [], line)

    def test_environment_terminal_and_the_programs_file_are_the_programs(self):
        for line, because in (('::setenv("A", "b", 1);', "environment"), ('putenv(text);', "environment"),
                              ('std::cout << 1;', "terminal"), ('std::fprintf(stderr, "x");', "terminal"),
                              ('printf("x");', "terminal"), ('::write(STDERR_FILENO, a, b);', "terminal"),
                              ('bool t = isatty(1);', "terminal"), ('open("/proc/self/exe");', "the program")):
            self.refused_line("hub/a.cc", line, because)
            self.refused_line("bench/a.h", line, because)
            self.assertEqual(self.complaints({"cli/a.cc": line, "hub/a_test.cc": line}), [])
        for line in ('getenv("HOME");', 'open("/proc/self/status");', '// goes to stderr', 'auto x = "stdout";',
                     'std::snprintf(a, b, "x");'):
            self.assertEqual(self.complaints({"hub/a.cc": line}), [], line)
        self.assertEqual(self.complaints({"base/error.cc": 'std::fprintf(stderr, "x");'}), [])
    def test_public_headers_stand_alone_and_belong_to_api(self):
        self.allowed("api/a.cc", '"oxidized/model.h"')
        self.refused("cli/a.cc", '"oxidized/model.h"', "only api")
        self.refused("model/a.h", '"oxidized/model.h"', "only api")
        self.refused("chat/a.cc", '"api/inner.h"', "must not include api (F8)")
        self.allowed("include/oxidized/a.h", '"oxidized/error.h"')
        self.allowed("include/oxidized/a.h", "<vector>")
        for include in ('"base/error.h"', "<fmt/core.h>", "<unistd.h>", '"api/inner.h"'):
            found = self.complaints({"include/oxidized/a.h": f"\n#include {include}\n"})
            self.assertEqual(len(found), 1, found)
            self.assertTrue(found[0].startswith("include/oxidized/a.h:2: a public header needs"), found)

    def test_own_header_in_angle_brackets(self):
        self.refused("model/a.h", "<tensor/dtype.h>", "angle brackets")

    def test_spacing_and_comments(self):
        self.refused("tensor/a.h", '  "model/model_config.h"  // why', "must not include")
        self.assertEqual(self.complaints({"tensor/a.h": '// #include "model/model_config.h"\n'}), [])
        self.assertEqual(len(self.complaints({"tensor/a.h": '#  include\t"model/a.h"\n'})), 1)

    def test_cmake_dependencies(self):
        good = {"model/CMakeLists.txt": "oxidized_module(model DEPS tensor base LIBS x::y)"}
        self.assertEqual(self.complaints(good), [])
        found = self.complaints({"tensor/CMakeLists.txt": "oxidized_module(tensor DEPS\n  base model)"})
        self.assertEqual(found, ["src/tensor/CMakeLists.txt:1: tensor must not depend on model"])

    def test_the_table_is_the_one_in_the_documentation(self):
        text = (Path(check_layers.__file__).resolve().parent.parent / "docs" / "architecture.md").read_text("utf-8")
        for module, floor in check_layers.FLOORS.items():
            self.assertRegex(text, rf"\| `{module}` \| {floor} \|", f"docs/architecture.md: {module} on floor {floor}")


if __name__ == "__main__":
    unittest.main()
