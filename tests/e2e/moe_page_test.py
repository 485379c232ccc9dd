"""The page of --moe-report, in a real browser without a window (Debian: chromium). Skipped where there is none, but for
what can be seen without.

Run by ctest with OXIDIZED_PROGRAM set to the program (an emulator may stand before it, separated by '|').
"""

import html.parser
import json
import os
import pathlib
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest

PROGRAM = [word for word in os.environ["OXIDIZED_PROGRAM"].split("|") if word]
BROWSER = next((b for b in ("chromium", "chromium-browser", "google-chrome") if shutil.which(b)), None)


class Page(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp())
        cls.file = cls.folder / "report.html"
        env = {k: v for k, v in os.environ.items() if not k.startswith("OXIDIZED_")}
        result = subprocess.run(
            PROGRAM + ["-p", "What is the capital of France?", "--seed", "3", "--json", "--show-moe-metrics", "--moe-report", str(cls.file)],
            capture_output=True, env=env, timeout=300)
        assert result.returncode == 0, result.stderr.decode()
        cls.moe = json.loads(result.stdout)["moe"]
        cls.text = cls.file.read_text()

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder)

    def test_it_needs_nothing_but_itself(self):
        class Links(html.parser.HTMLParser):
            found = []

            def handle_starttag(self, tag, attributes):
                self.found += [f"{tag} {k}={v}" for k, v in attributes if k in ("src", "href", "data", "action")]

        Links().feed(self.text)
        self.assertEqual(Links.found, [])
        self.assertNotRegex(self.text, r"url\(|@import|https?://|fetch\(")

    def test_its_data_are_those_of_the_run(self):
        data = json.loads(re.search(r'type="application/json">(.*?)</script>', self.text, re.S).group(1))
        self.assertEqual(data["layers"], self.moe["layers"])
        bins = data["timeline"]["bins"]
        self.assertEqual(sum(b["tokens"] for b in bins), self.moe["layers"][0]["tokens"])
        for number, layer in enumerate(self.moe["layers"]):
            self.assertEqual([sum(b["counts"][number][e] for b in bins) for e in range(data["experts"])], layer["counts"])

    def dom(self, *options):
        result = subprocess.run(
            [BROWSER, "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={self.folder / 'profile'}",
             *options, "--dump-dom", self.file.as_uri()], capture_output=True, timeout=120)
        self.assertEqual(result.returncode, 0, result.stderr.decode())
        return result.stdout.decode()

    @unittest.skipUnless(BROWSER, "no browser (Debian: chromium)")
    def test_a_browser_draws_it(self):
        experts, layers = self.moe["experts"], len(self.moe["layers"])
        for options in (["--window-size=1200,900"], ["--window-size=390,800"], ["--force-dark-mode"]):
            dom = self.dom(*options)
            self.assertNotIn("data-error", dom)
            self.assertIn('data-ready="1"', dom)
            heat = re.search(r'<div class="wide" id="heat">(.*?)</div>', dom, re.S).group(1)
            self.assertEqual(heat.count("data-t="), layers * experts)
            for number, layer in enumerate(self.moe["layers"]):
                for expert, count in enumerate(layer["counts"]):
                    self.assertIn(f"layer {number}, expert {expert}\n{count} choices", heat)
            pairs = re.search(r'<div id="pairs" class="wide">(.*?)</div>', dom, re.S).group(1)
            self.assertEqual(pairs.count("data-t="), experts * (experts - 1))
            tiles = re.search(r'<div class="tiles" id="tiles">(.*?)<div class="bar">', dom, re.S).group(1)
            for phase in ("prefill", "decode"):
                of_phase = self.moe[phase]["layers"]
                mean = sum(layer["max_over_mean"] for layer in of_phase) / layers
                self.assertIn(f"{phase} {of_phase[0]['tokens']}<", tiles)
                self.assertRegex(tiles, rf"over the mean</span><small>[^/]*{phase} {mean:.2f}<")
            self.assertNotIn("NaN", dom.split("</main>")[0])
            self.assertNotIn("undefined", dom.split("</main>")[0])

    def test_a_router_that_is_not_finite_leaves_all_figures_finite(self):
        model, page = self.folder / "poisoned", self.folder / "poisoned.html"
        shutil.copytree(pathlib.Path(__file__).parents[2] / "models" / "demo", model)
        weights = model / "model.safetensors"
        data = bytearray(weights.read_bytes())
        (length,) = struct.unpack("<Q", data[:8])
        begin, end = json.loads(data[8 : 8 + length])["model.layers.1.mlp.router.weight"]["data_offsets"]
        data[8 + length + begin : 8 + length + end] = b"\xff\x7f" * ((end - begin) // 2)  # bf16 NaN
        weights.write_bytes(data)
        env = {k: v for k, v in os.environ.items() if not k.startswith("OXIDIZED_")}
        result = subprocess.run(PROGRAM + ["-m", str(model), "-p", "Hello", "--json", "--show-moe-metrics", "--moe-report", str(page)],
                                capture_output=True, env=env, timeout=300)
        self.assertEqual(result.returncode, 7, result.stderr)
        self.assertNotRegex(result.stderr.decode(), r"(?i)\bnan\b|\binf\b")
        self.assertRegex(result.stderr.decode(), r"ties: \d+ rows of router logits that are not finite")
        script = page.read_text()
        text = re.search(r'type="application/json">(.*?)</script>', script, re.S).group(1)
        for layers in (json.loads(result.stdout)["moe"]["layers"], json.loads(text)["layers"]):
            self.assertIn("router_entropy", layers[0])
            self.assertNotIn("router_not_finite", layers[0])
            for layer in layers[1:]:
                self.assertEqual(layer["router_not_finite"], layer["tokens"])
                self.assertNotIn("router_entropy", layer)
            self.assertNotIn("null", json.dumps(layers))
        if shutil.which("node") is None:
            self.skipTest("no node")
        # The page's own script on a document that is hardly one: that it comes to its end, and what it draws.
        stub = """const places = {}, at = (id) => places[id] ??= {innerHTML: "", textContent: "", value: "1", style: {}, dataset: {},
          children: [], clientWidth: 600};
          globalThis.window = globalThis; globalThis.innerWidth = 1200; globalThis.addEventListener = () => {};
          globalThis.document = {getElementById: at, documentElement: {dataset: {}}};
          at("data").textContent = require("fs").readFileSync(0, "utf8");
        """
        drawn = """
          console.log(JSON.stringify([document.documentElement.dataset.ready, Object.values(places).map((p) => p.innerHTML)]));"""
        script = re.search(r"<script>(.*?)</script>", script, re.S).group(1)
        (self.folder / "page.js").write_text(stub + script + drawn)
        ran = subprocess.run(["node", self.folder / "page.js"], input=text.encode(), capture_output=True, timeout=120)
        self.assertEqual(ran.returncode, 0, ran.stderr.decode())
        ready, html = json.loads(ran.stdout)
        self.assertEqual(ready, "1")
        self.assertNotRegex(" ".join(html), "NaN|undefined|null|Infinity")


if __name__ == "__main__":
    if BROWSER is None:
        print("SKIPPED in part: no browser (Debian: chromium)")
        result = unittest.TextTestRunner(verbosity=2).run(unittest.defaultTestLoader.loadTestsFromTestCase(Page))
        sys.exit(77 if result.wasSuccessful() else 1)
    unittest.main(verbosity=2)
