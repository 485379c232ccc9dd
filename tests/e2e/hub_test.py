"""`pull` and `--model-path hf:…` against a hub on this machine (hub_server.py): what arrives, what is resumed, what is said
when the hub misbehaves, and that no file appears in the cache under a hash that was not checked.

Run by ctest with OXIDIZED_PROGRAM set to the program (an emulator may stand before it, separated by '|').
"""

import json
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import unittest

import hub_server
from hub_server import Fault, Repo

PROGRAM = [word for word in os.environ["OXIDIZED_PROGRAM"].split("|") if word]
NATIVE = len(PROGRAM) == 1 and not os.environ.get("OXIDIZED_SANITIZED")
ROOT = pathlib.Path(__file__).resolve().parents[2]
USAGE, BAD_FILE, NO_MEMORY, NETWORK = 2, 3, 4, 9
MIB = 1 << 20
ID = "openai/gpt-oss-mini"


def demo_files():
    demo = ROOT / "models/demo"
    return {path.name: path.read_bytes() for path in demo.iterdir() if path.is_file()}


def weights(size, seed):
    return random.Random(seed).randbytes(size)


class HubTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.hub = hub_server.HubServer()
        cls.hub.repos[ID] = Repo(
            {
                "config.json": b'{"model_type": "gpt_oss"}',
                "tokenizer.json": weights(100_000, 1),
                "LICENSE": b"Apache-2.0\n",
                "README.md": b"not needed",
                "empty.safetensors": b"",
                "model-00001-of-00002.safetensors": weights(9 * MIB + 12345, 2),
                "model-00002-of-00002.safetensors": weights(50_000, 3),
                "model.safetensors.index.json": json.dumps(
                    {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
                ).encode(),
                "original/model.safetensors": weights(1000, 4),
                "metal/model.bin": weights(1000, 5),
            }
        )

    @classmethod
    def tearDownClass(cls):
        cls.hub.close()

    def setUp(self):
        self.hub.reset()
        self.home = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.home)
        self.cache = self.home / "hub"

    def environment(self, extra=None):
        env = {
            k: v
            for k, v in os.environ.items()
            if not k.startswith(("OXIDIZED_", "HF_", "HUGGING", "TRANSFORMERS_")) and not k.lower().endswith("_proxy")
        }
        env |= {"HF_HOME": str(self.home), "HF_ENDPOINT": self.hub.endpoint, "OXIDIZED_HUB_BACKOFF_MS": "10"}
        return {k: v for k, v in (env | (extra or {})).items() if v is not None}

    def start(self, *arguments, environment=None):
        return subprocess.Popen(
            PROGRAM + [str(a) for a in arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.environment(environment),
        )

    def run_program(self, *arguments, environment=None):
        process = self.start(*arguments, environment=environment)
        process.out, process.err = process.communicate(timeout=120)
        return process

    def pulled(self, spec=ID, *arguments, repo=None, environment=None, files=None):
        """Pulls, checks that each file of the snapshot has the right bytes, and gives the program's stderr."""
        process = self.run_program("pull", spec, *arguments, environment=environment)
        self.assertEqual(process.returncode, 0, process.err)
        repo = repo or self.hub.repos[spec.split("@")[0].split(":")[0]]
        snapshot = self.snapshot(repo, spec)
        there = {str(p.relative_to(snapshot)) for p in snapshot.rglob("*") if p.is_file()}
        if files is not None:
            self.assertEqual(there, set(files))
        for path in there:
            self.assertEqual((snapshot / path).read_bytes(), repo.files[path], path)
        self.assertTrue(pathlib.Path(process.out.rstrip("\n")).is_relative_to(snapshot), process.out)
        self.check_blobs()
        return process.err

    def snapshot(self, repo, spec=ID):
        name = "models--" + spec.split("@")[0].split(":")[0].replace("/", "--")
        return self.cache / name / "snapshots" / repo.commit

    def refused(self, code, says, *arguments, environment=None):
        process = self.run_program(*(arguments or ("pull", ID)), environment=environment)
        self.assertEqual(process.returncode, code, process.err)
        self.assertEqual(process.out, "")
        errors = [line for line in process.err.splitlines() if ": error: " in line]
        self.assertEqual(len(errors), 1, process.err)
        self.assertRegex(errors[0], says)
        self.check_blobs()
        return process.err

    def check_blobs(self):
        """The invariant: whatever has a hash for a name has that hash."""
        for blob in self.cache.glob("models--*/blobs/*"):
            if blob.name.endswith((".incomplete", ".tmp")):
                continue
            content = blob.read_bytes()
            lfs = len(blob.name) == 64
            self.assertEqual(hub_server.content_hash(content, lfs), blob.name, f"{blob} was not checked")

    def downloads(self, path="00001-of"):
        return [r for r in self.hub.requests if r.method == "GET" and r.server == "cdn" and path in r.path]

    # --- what arrives ----------------------------------------------------------------------------------------------

    def test_pull_makes_the_standard_layout(self):
        wanted = [p for p in self.hub.repos[ID].files if "/" not in p and p != "README.md"]
        err = self.pulled(files=wanted)
        self.assertIn("7 files", err)
        root = self.cache / "models--openai--gpt-oss-mini"
        self.assertEqual((root / "refs/main").read_text(), "a" * 40)
        for path in wanted:
            link = root / "snapshots" / ("a" * 40) / path
            target = os.readlink(link)
            self.assertEqual(target, "../../blobs/" + self.hub.repos[ID].hash(path))
        self.assertEqual([p.name for p in (root / "blobs").iterdir() if not re.fullmatch("[0-9a-f]{40,64}", p.name)], [])
        self.assertGreater(len(self.downloads()), 2, "a large file comes in several ranges")
        self.assertTrue((self.cache / "CACHEDIR.TAG").exists())
        # A second pull asks for the list and nothing else.
        self.hub.requests.clear()
        self.pulled(files=wanted)
        self.assertEqual(len(self.hub.requests), 1, self.hub.requests)

    def test_patterns_revisions_and_nested_files(self):
        repo = self.hub.repos[ID]
        self.pulled(ID + "@" + repo.commit, "--include", "original/*", files=["original/model.safetensors"])
        link = self.snapshot(repo) / "original/model.safetensors"
        self.assertTrue(os.readlink(link).startswith("../../../blobs/"))
        self.assertFalse((self.cache / "models--openai--gpt-oss-mini/refs").exists(), "a commit needs no ref")
        self.refused(USAGE, "no file of .* matches 'x/\\*'", "pull", ID, "--include", "x/*")
        for bad in ("gpt-oss", "../x", "a/b/c", "a/..", "a--b/c", "a/b@", "a/b@../x", "a/b:", "a/b:x y", "", "a/b.git"):
            self.refused(USAGE, "expected org/name|not a branch|not a name of", "pull", bad)

    def test_gguf_repositories(self):
        files = {f"gpt-oss-20b-{q}.gguf": weights(1000, q) for q in ("F16", "Q4_K_M", "Q4_K")}
        files |= {f"Q8_0/gpt-oss-20b-Q8_0-0000{i}-of-00003.gguf": weights(2000, i) for i in (1, 2, 3)}
        self.hub.repos["unsloth/gpt-oss-20b-GGUF"] = repo = Repo(files | {"config.json": b"{}", "README.md": b""})
        spec = "unsloth/gpt-oss-20b-GGUF"
        self.refused(USAGE, "4 GGUF models fit.*gpt-oss-20b-F16, gpt-oss-20b-Q4_K", "pull", spec)
        self.refused(USAGE, "no GGUF file is called …-Q5_0.gguf; found: ", "pull", spec + ":Q5_0")
        self.pulled(spec + ":q4_k", files=["gpt-oss-20b-Q4_K.gguf"])
        parts = sorted(p for p in files if p.startswith("Q8_0/"))
        self.pulled(spec + ":Q8_0", files=["gpt-oss-20b-Q4_K.gguf"] + parts)
        process = self.run_program("pull", spec + ":Q8_0")
        self.assertEqual(process.out, f"{self.snapshot(repo, spec)}/{parts[0]}\n")

    def test_where_links_cannot_be_made_files_are_moved(self):
        self.pulled(environment={"HF_HUB_DISABLE_SYMLINKS": "1"})
        self.assertEqual([p for p in self.snapshot(self.hub.repos[ID]).iterdir() if p.is_symlink()], [])
        self.hub.requests.clear()
        self.pulled(environment={"HF_HUB_DISABLE_SYMLINKS": "1"})
        self.assertEqual(len(self.hub.requests), 1)

    def test_cache_variables(self):
        place = self.home / "elsewhere"
        for variables, where in (
            ({"HF_HUB_CACHE": "$HF_HOME/elsewhere/a"}, place / "a"),
            ({"HF_HOME": None, "XDG_CACHE_HOME": str(place)}, place / "huggingface/hub"),
            ({"HF_HOME": None, "XDG_CACHE_HOME": None, "HOME": str(place)}, place / ".cache/huggingface/hub"),
            ({"HF_HOME": "~/b", "HOME": str(place)}, place / "b/hub"),
        ):
            process = self.run_program("pull", ID, "--include", "LICENSE", environment=variables)
            self.assertEqual(process.returncode, 0, process.err)
            self.assertTrue((where / "models--openai--gpt-oss-mini/refs/main").exists(), variables)

    # --- hf: as a model path ---------------------------------------------------------------------------------------

    def test_model_path_downloads_once_and_then_needs_no_network(self):
        self.hub.repos["us/demo"] = Repo(demo_files(), commit="d" * 40)
        first = self.run_program("inspect", "hf:us/demo")
        self.assertEqual(first.returncode, 0, first.err)
        self.assertGreater(len(self.hub.requests), 2)
        self.hub.requests.clear()
        offline = {"HF_ENDPOINT": "http://127.0.0.1:1", "HF_HUB_OFFLINE": "1"}
        for environment in ({}, offline):
            second = self.run_program("inspect", "hf:us/demo", environment=environment)
            self.assertEqual(second.returncode, 0, second.err)
            self.assertEqual(second.out, first.out)
        self.assertEqual(self.run_program("pull", "us/demo", environment=offline).out,
                         str(self.snapshot(self.hub.repos["us/demo"], "us/demo")) + "\n")
        self.assertEqual(self.hub.requests, [])
        # A file that went missing is fetched again.
        (self.snapshot(self.hub.repos["us/demo"], "us/demo") / "config.json").unlink()
        self.refused(BAD_FILE, "HF_HUB_OFFLINE forbids", "inspect", "hf:us/demo", environment=offline)
        third = self.run_program("inspect", "hf:us/demo")
        self.assertEqual(third.out, first.out, third.err)

    # --- what was fetched ------------------------------------------------------------------------------------------

    def test_list_and_rm(self):
        self.assertIn("no model in", self.run_program("list").out)
        self.refused(BAD_FILE, "us/demo is not in the cache", "rm", "us/demo")
        self.hub.repos["us/demo"] = Repo(demo_files(), commit="d" * 40)
        self.hub.repos["us/other"] = Repo(demo_files(), commit="e" * 40)
        for name in ("us/demo", "us/other"):
            self.assertEqual(self.run_program("pull", name).returncode, 0)
        (self.snapshot(self.hub.repos["us/other"], "us/other") / "config.json").unlink()
        table = self.run_program("list").out.splitlines()
        self.assertEqual(table[0].split("  ")[0], "model, last used first")
        self.assertEqual(len(table), 1 + 2 * 2)  # a line below each model says its form
        for line in table:
            self.assertLessEqual(len(line), 80, line)
        forms = {row.split()[0]: form.strip() for row, form in zip(table[1::2], table[2::2])}
        self.assertEqual(forms, {"hf:us/demo": "Hugging Face safetensors, MXFP4 experts",
                                 "hf:us/other": "not whole: pull goes on with it"})
        listed = json.loads(self.run_program("list", "--json").out)
        there = self.snapshot(self.hub.repos["us/demo"], "us/demo").iterdir()
        size = sum(path.stat().st_size for path in there)
        self.assertEqual({row["name"]: row["bytes"] for row in listed}["hf:us/demo"], size + 40)  # and the ref
        # A name without hf: says where the model is.
        self.refused(BAD_FILE, "did you mean hf:us/demo. it was fetched before", "inspect", "us/demo")
        self.refused(USAGE, "deleted whole", "rm", "us/other", "us/demo@v1")
        self.refused(USAGE, "deleted whole", "rm", "us/demo@main")
        link = self.cache / "models--us--linked"
        link.symlink_to(self.cache / "models--us--demo")
        self.assertNotIn("linked", self.run_program("list").out)
        link.unlink()
        self.assertEqual(self.run_program("rm", "hf:us/demo", "us/other").returncode, 0)
        self.assertEqual(list(self.cache.glob("models--*")), [])
        self.assertIn("no model in", self.run_program("list").out)

    def test_what_only_the_network_needs_is_not_in_the_way_of_the_cache(self):
        self.hub.repos["us/demo"] = Repo(demo_files(), commit="d" * 40)
        self.assertEqual(self.run_program("pull", "us/demo").returncode, 0)
        token = self.home / "token that is a pipe"
        os.mkfifo(token)
        for setting in ({"HF_TOKEN_PATH": str(token)}, {"HF_ENDPOINT": "ftp://x"}, {"OXIDIZED_HUB_TRIES": "many"}):
            with self.subTest(setting):
                self.assertIn("us/demo", self.run_program("list", environment=setting).out)
                self.assertEqual(self.run_program("inspect", "hf:us/demo", environment=setting).returncode, 0)
                self.assertNotEqual(self.run_program("pull", "us/other", environment=setting).returncode, 0)

    def test_names_of_other_programs_are_told_theirs_here(self):
        for name, says in [("gpt-oss:20b", r"hf:openai/gpt-oss-20b. `pull openai/gpt-oss-20b` fetches it \(13.8 GB\)"),
                           ("gpt-oss-120b", r"hf:openai/gpt-oss-120b. .*\(65.3 GB\)"),
                           ("openai/gpt-oss-20b", "hf:openai/gpt-oss-20b"),
                           ("https://huggingface.co/openai/gpt-oss-20b", "hf:openai/gpt-oss-20b"),
                           ("unsloth/gpt-oss-20b-GGUF:Q4_K_M", "pull unsloth/gpt-oss-20b-GGUF:Q4_K_M"),
                           ("HF:openai/gpt-oss-20b", "hf:openai/gpt-oss-20b"), ("openai/gpt-oss-20b/", "hf:openai/gpt-oss-20b"),
                           ("http://huggingface.co/openai/gpt-oss-20b", "hf:openai/gpt-oss-20b"),
                           ("huggingface.co/openai/gpt-oss-20b/blob/main/config.json", "hf:openai/gpt-oss-20b"),
                           ("ollama://gpt-oss:20b", "hf:openai/gpt-oss-20b"),
                           ("a/b/c", "a/b/c: no such file or folder: expected")]:
            self.refused(BAD_FILE, says, "inspect", name)
            self.refused(BAD_FILE, says, "run", name, "Hello")
        self.refused(USAGE, "did you mean openai/gpt-oss-20b.", "pull", "gpt-oss:20b")
        self.refused(USAGE, "did you mean openai/gpt-oss-120b.", "inspect", "hf:gpt-oss-120b")
        self.assertEqual(self.hub.requests, [])

    # --- what is said when something is wrong ----------------------------------------------------------------------

    def test_refusals(self):
        repos = self.hub.repos
        repos["us/gated"] = Repo({"config.json": b"{}", "m.safetensors": b"x"}, gated=True, token="hf_right")
        repos["us/secret"] = Repo({"config.json": b"{}", "m.safetensors": b"x"}, token="hf_right")
        self.refused(NETWORK, "us/gated is gated: accept its terms at .*/us/gated and set HF_TOKEN", "pull", "us/gated")
        self.refused(
            NETWORK, "is gated.*account of your token", "pull", "us/gated", environment={"HF_TOKEN": "hf_wrong"}
        )
        self.refused(NETWORK, "no model us/secret, or it is private and needs HF_TOKEN", "pull", "us/secret")
        self.refused(NETWORK, "no model us/none", "pull", "us/none", environment={"HF_TOKEN": "hf_right"})
        self.refused(NETWORK, "no branch, tag or commit 'v9'", "pull", ID + "@v9")
        parts = {f"model-0000{i}-of-00002.safetensors": weights(100, str(i)) for i in (1, 2)}
        index = {"weight_map": {f"t{i}": name for i, name in enumerate(parts)}}
        for name, extra in (("index", {"model.safetensors.index.json": json.dumps(index).encode()}), ("plain", {})):
            first = dict(list(parts.items())[:1])
            repos[f"us/{name}"] = Repo({"config.json": b"{}"} | first | extra)
            self.refused(NETWORK, "does not list '(model-00002-of|part 2 of 2)", "pull", f"us/{name}")
            self.pulled(f"us/{name}", "--include", "*.safetensors", files=None)
        self.pulled("us/secret", environment={"HF_TOKEN": " hf_right\n"})
        (self.home / "token").write_text("hf_right\n")
        self.pulled("us/gated")
        self.refused(BAD_FILE, "HF_HUB_OFFLINE", "pull", ID, environment={"HF_HUB_OFFLINE": "1"})
        self.refused(NETWORK, "cannot be reached", environment={"HF_ENDPOINT": "http://127.0.0.1:1"})
        self.refused(NETWORK, "cannot be reached: Could not", environment={"HF_ENDPOINT": "http://no.such.invalid"})
        for endpoint in ("ftp://x", "huggingface.co", "https://"):
            self.refused(USAGE, "HF_ENDPOINT", environment={"HF_ENDPOINT": endpoint})
        self.refused(USAGE, "token", environment={"HF_TOKEN": "a\nX-Evil: 1"})

    def test_the_token_goes_to_the_hub_alone(self):
        self.pulled(environment={"HF_TOKEN": "hf_secret"})
        for request in self.hub.requests:
            expected = "Bearer hf_secret" if request.server == "hub" else None
            self.assertEqual(request.headers.get("authorization"), expected, request)
        self.assertTrue(any(r.server == "cdn" for r in self.hub.requests))
        # Not over plain HTTP to another host; and through the proxy of the environment.
        self.hub.requests.clear()
        shutil.rmtree(self.cache)
        process = self.run_program(
            "pull",
            ID,
            "--include",
            "LICENSE",
            environment={
                "HF_TOKEN": "hf_secret", "HF_ENDPOINT": "http://hub.example", "http_proxy": self.hub.endpoint
            },
        )
        self.assertEqual(process.returncode, 0, process.err)
        self.assertIn("the token is not sent over plain HTTP", process.err)
        self.assertTrue(self.hub.requests[0].path.startswith("http://hub.example/api/models/"))
        self.assertFalse(any("authorization" in r.headers for r in self.hub.requests))

    def test_a_hub_that_is_busy_is_asked_again(self):
        for path in ("/api/models/", "/resolve/", "00001-of"):
            for status in (429, 500, 502, 503, 504):
                for method in ("GET", "HEAD"):
                    self.hub.faults.append(Fault(path, 1, method, status))
        # (Each request fails at most five times in a row: the sixth try is the last.)
        self.hub.faults = [f for f in self.hub.faults if f.path != "00001-of" or f.status < 503]
        err = self.pulled()
        self.assertIn("HTTP 503; trying again in", err)

    def test_retry_after_is_obeyed_within_reason(self):
        self.hub.faults = [Fault("/api/", 1, status=429, headers={"Retry-After": "1"})]
        begun = time.monotonic()
        self.pulled()
        self.assertGreater(time.monotonic() - begun, 0.95)
        self.hub.faults = [Fault("/api/", status=429, headers={"Retry-After": "86400"})]
        self.refused(NETWORK, "HTTP 429: asks to come back in 86400 s")
        self.hub.faults = [Fault("/api/", status=503, headers={"X-Error-Message": "down\x1b[2J for a while"})]
        err = self.refused(NETWORK, r"the file list of .*: HTTP 503 'down.*for a while' \(tried 6 times\)")
        self.assertNotIn("\x1b", err)

    def test_cuts_and_stalls_are_gone_on_from(self):
        for fault in (
            Fault("00001-of", 5, cut_after=300_000),
            Fault("00001-of", 3, chunked=True, cut_after=100_000),
            Fault("00001-of", 3, status=403),  # the signed address has run out
            Fault("00001-of", 1, stall_after=200_000),
        ):
            self.hub.reset()
            self.hub.faults = [fault]
            with self.subTest(fault=fault):
                self.pulled(environment={"HF_HUB_DOWNLOAD_TIMEOUT": "1"})
                sent = sum(r.sent for r in self.downloads())
                self.assertLess(sent, len(self.hub.repos[ID].files["model-00001-of-00002.safetensors"]) + 6 * MIB)
            shutil.rmtree(self.cache)

    def test_servers_that_cut_for_good(self):
        self.hub.faults = [Fault("00001-of", cut_after=0)]
        self.refused(NETWORK, r"00001-of.*\(tried 6 times\)")
        self.hub.faults = [Fault("00001-of", status=403)]
        self.refused(NETWORK, r"00001-of.*HTTP 403 \(tried 6 times\)")
        self.hub.faults = [Fault("00001-of", status=404)]
        self.refused(NETWORK, "00001-of.*HTTP 404")

    def test_ranges_ignored(self):
        self.hub.faults = [Fault("00001-of", ignore_range=True)]
        self.assertIn("sends no ranges", self.pulled())
        shutil.rmtree(self.cache)
        self.hub.faults = [Fault("00001-of", 9, ignore_range=True), Fault("00001-of", 2, cut_after=MIB)]
        self.pulled()
        shutil.rmtree(self.cache)
        self.hub.faults = [Fault("00001-of", ignore_range=True, cut_after=MIB)]
        self.refused(NETWORK, r"00001-of.*\(tried 6 times\)")

    def test_wrong_bytes_never_become_a_blob(self):
        self.hub.faults = [Fault("00002-of", wrong_bytes=True)]
        self.refused(NETWORK, "00002-of.*wrong bytes: their hash is .* says .*; removed")
        self.hub.faults = [Fault("config.json", wrong_bytes=True)]
        shutil.rmtree(self.cache)
        self.refused(NETWORK, "'config.json': wrong bytes")
        blobs = {path.name for path in self.cache.glob("models--*/blobs/*")}
        self.assertEqual(blobs, {self.hub.repos[ID].hash("LICENSE")}, "what came before")
        self.assertFalse((self.cache / "models--openai--gpt-oss-mini/refs").exists(), "no ref to a part of a snapshot")

    def test_answers_that_are_not_what_was_asked_for(self):
        for fault, says in (
            (Fault("00001-of", content_range="bytes 5-10/11"), "was asked for bytes .* and sent 'bytes 5-10/11'"),
            (Fault("00001-of", content_range="nonsense"), "and sent 'nonsense'"),
            (Fault("00002-of", extra=7), "sends 50007 bytes, the file list says 50000"),
            (Fault("00002-of", extra=7, chunked=True), "sent more than the 50000 bytes"),
            (Fault("00002-of", content_length=60000, cut_after=50000), "sends 60000 bytes"),
            (Fault("00002-of", body=b"short"), "sends 5 bytes"),
            (Fault("resolve.*00001", method="HEAD", status=302,
                   headers={"X-Linked-Etag": '"' + "0" * 64 + '"', "Location": "http://x/"}), "with the hash 0000"),
            (Fault("resolve.*00001", method="HEAD", status=302,
                   headers={"X-Linked-Size": "7", "Location": "http://x/"}), "served with 7 bytes"),
            (Fault("resolve", method="HEAD", status=302), "redirects to ''"),
            (Fault("resolve", method="HEAD", status=302, headers={"Location": "ftp://x/"}), "redirects to 'ftp://x/'"),
            (Fault("resolve", method="HEAD", status=302, headers={"Location": "/x/resolve/y"}), "without end"),
            (Fault("api", status=200, body=b"<html>"), "not valid JSON"),
        ):  # fmt: skip
            self.hub.reset()
            self.hub.faults = [fault]
            with self.subTest(says=says):
                self.refused(NETWORK, says)
            shutil.rmtree(self.cache, ignore_errors=True)

    def test_hostile_lists(self):
        good = self.hub.listing(self.hub.repos[ID])

        def entry(**fields):
            return {**good, "siblings": [{"rfilename": "config.json", "size": 2, "blobId": "b" * 40, **fields}]}

        for name in ("../x", "/etc/passwd", "a/../../x", "a//b", "", ".", "a\0b", "a\nb", "x" * 300, "a\\b", "a/./b"):
            self.hub.lists[ID] = json.dumps(entry(rfilename=name)).encode()
            with self.subTest(name=name):
                self.refused(NETWORK, "is not a name that a file of a repository can have")
        for listing, says in (
            (entry(size=-1), "the size of"),
            (entry(size=1 << 62), "the size of"),
            (entry(size="2"), "the size of"),
            (entry(blobId="../../x"), "SHA-1 is expected"),
            (entry(lfs={"sha256": "..", "size": 2}), "SHA-256 is expected"),
            (entry(rfilename=7), "without a name"),
            ({**good, "sha": "../.."}, "no commit"),
            ({**good, "siblings": good["siblings"] * 2}, "appears twice"),
            ({**good, "siblings": [7]}, "not a JSON object"),
            ([], "expected a JSON object"),
            ("[" * 100_000, "not valid JSON"),
            ('{"sha":' * 5000, "not valid JSON"),
        ):
            self.hub.lists[ID] = (listing if isinstance(listing, str) else json.dumps(listing)).encode()
            with self.subTest(says=says):
                self.refused(NETWORK, says)
        listing = json.loads(json.dumps(good))
        listing["siblings"][0].pop("blobId")
        self.hub.lists[ID] = json.dumps(listing).encode()
        self.refused(NETWORK, "does not give a hash of 'config.json'")
        listing = entry(size=2)
        listing["siblings"].append(
            {"rfilename": "m.safetensors", "lfs": {"sha256": "c" * 64, "size": 1 << 49}, "size": 1 << 49}
        )
        self.hub.lists[ID] = json.dumps(listing).encode()
        self.refused(NO_MEMORY, "needs 562.9 TB more on the disk of .*HF_HOME")
        self.assertFalse(self.cache.exists(), "nothing is made before there is room for it")

    # --- interrupted ------------------------------------------------------------------------------------------------

    def test_interrupt_is_orderly_and_resumed(self):
        size = len(self.hub.repos[ID].files["model-00001-of-00002.safetensors"])
        self.hub.bytes_per_second = 2 * MIB
        process = self.start("pull", ID)
        self.wait_for(lambda: sum(r.sent for r in self.downloads()) > 2 * MIB)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
        self.assertEqual(process.returncode, 130)
        before = sum(r.sent for r in self.downloads())
        self.assertLess(before, size)
        self.hub.reset()
        self.assertIn("going on after", self.pulled())
        self.assertLess(sum(r.sent for r in self.downloads()), size - MIB)

    def wait_for(self, condition):
        end = time.monotonic() + 60
        while not condition():
            self.assertLess(time.monotonic(), end, "waited in vain")
            time.sleep(0.01)

    def test_killed_at_any_moment(self):
        """kill -9 again and again, with bytes that are wrong at times: no unchecked blob, and in the end all is right."""
        generator = random.Random(7)
        self.hub.bytes_per_second = 6 * MIB
        for attempt in range(10 if NATIVE else 3):
            self.hub.faults = [Fault("safetensors", 1, wrong_bytes=True)] if attempt % 3 == 2 else []
            process = self.start("pull", ID)
            try:
                process.communicate(timeout=generator.uniform(0.02, 0.5))
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
            self.check_blobs()
            if process.returncode == 0:
                shutil.rmtree(self.cache)
        self.hub.reset()
        self.pulled()

    def test_a_damaged_leftover_is_fetched_anew(self):
        repo, path = self.hub.repos[ID], "model-00001-of-00002.safetensors"
        blobs = self.cache / "models--openai--gpt-oss-mini/blobs"
        blobs.mkdir(parents=True)
        partial = blobs / (repo.hash(path) + ".oxidized.incomplete")
        ranges = blobs / (repo.hash(path) + ".oxidized-ranges.incomplete")
        size = len(repo.files[path])
        partial.write_bytes(bytes(size))
        ranges.write_text(f"0 {size}\n")
        self.assertIn("was damaged; fetching it anew", self.pulled())
        for text in ("x", "0 99999999999999999999\n", f"0 {size + 1}\n", "5 3\n", "0 5\n3 9\n", "0 5"):
            shutil.rmtree(self.snapshot(repo))
            (blobs / repo.hash(path)).unlink()
            partial.write_bytes(bytes(size))
            ranges.write_text(text)
            self.assertNotIn("going on", self.pulled())
        # What huggingface_hub left is the beginning of the file.
        shutil.rmtree(self.snapshot(repo))
        (blobs / repo.hash(path)).unlink()
        (blobs / (repo.hash(path) + ".incomplete")).write_bytes(repo.files[path][: 6 * MIB])
        self.hub.requests.clear()
        self.assertIn("going on after 6.3 MB", self.pulled())
        self.assertLess(sum(r.sent for r in self.downloads()), size - 5 * MIB)

    def test_two_pulls_at_once_fetch_everything_once(self):
        self.hub.bytes_per_second = 4 * MIB
        first, second = self.start("pull", ID), self.start("pull", ID)
        errors = [process.communicate(timeout=60)[1] for process in (first, second)]
        self.assertEqual((first.returncode, second.returncode), (0, 0), errors)
        self.assertIn("waiting for another process", errors[0] + errors[1])
        size = len(self.hub.repos[ID].files["model-00001-of-00002.safetensors"])
        self.assertEqual(sum(r.sent for r in self.downloads()), size)
        self.check_blobs()


if __name__ == "__main__":
    unittest.main()
