#!/usr/bin/env python3
"""Checks that the program and the huggingface_hub package share one cache, against the hub of tests/e2e/hub_server.py.

    tools/hub_check.py PROGRAM       (needs `pip install huggingface_hub`; no other network)

Not part of the tests: they need nothing but Python's standard library.
"""

import os
import pathlib
import random
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests/e2e"))
import hub_server  # noqa: E402

hub = hub_server.HubServer()
home = pathlib.Path(tempfile.mkdtemp())
os.environ.update(HF_ENDPOINT=hub.endpoint, HF_HOME=str(home), HF_HUB_DISABLE_XET="1", HF_HUB_DISABLE_TELEMETRY="1")
import huggingface_hub  # noqa: E402
from huggingface_hub.utils import WeakFileLock  # noqa: E402

ID = "us/demo"
files = {path.name: path.read_bytes() for path in (ROOT / "models/demo").iterdir() if path.is_file()}
files["original/model.safetensors"] = random.Random(1).randbytes(1000)
repo = hub.repos[ID] = hub_server.Repo(files, commit="d" * 40)
wanted = ["config.json", "tokenizer.json"] + [name for name in files if name.endswith(".safetensors") and "/" not in name]


def program(*arguments, **environment):
    result = subprocess.run(
        [sys.argv[1], *arguments], capture_output=True, text=True, env={**os.environ, **environment}, timeout=120
    )
    assert result.returncode == 0, (arguments, result.stderr)
    return result


ours, theirs, third, fourth = (str(home / name) for name in ("ours", "theirs", "third", "fourth"))

# What the program wrote, the package finds without a network, and has nothing to add to.
pulled = program("pull", ID, HF_HUB_CACHE=ours).stdout.strip()
assert huggingface_hub.snapshot_download(ID, cache_dir=ours, local_files_only=True) == pulled
for name in wanted:
    found = huggingface_hub.hf_hub_download(ID, name, cache_dir=ours, local_files_only=True)
    assert pathlib.Path(found).read_bytes() == files[name], name
hub.requests.clear()
for name in wanted:
    huggingface_hub.hf_hub_download(ID, name, cache_dir=ours)
assert not [r for r in hub.requests if r.method == "GET"], hub.requests
scan = huggingface_hub.scan_cache_dir(ours)
assert not scan.warnings and len(scan.repos) == 1, scan
print(f"huggingface_hub {huggingface_hub.__version__} reads what the program wrote: {len(wanted)} files")

# What the package wrote, the program opens without a request and pulls nothing of.
huggingface_hub.snapshot_download(ID, cache_dir=theirs)
hub.requests.clear()
opened = program("inspect", f"hf:{ID}", HF_HUB_CACHE=theirs, HF_HUB_OFFLINE="1")
assert not hub.requests
program("pull", ID, HF_HUB_CACHE=theirs)
assert len(hub.requests) == 1, hub.requests
assert opened.stdout == program("inspect", f"hf:{ID}", HF_HUB_CACHE=ours).stdout.replace(ours, theirs)
print("the program opens what huggingface_hub wrote, with no request")

# The names and the layout are the same.
def layout(cache):
    root = pathlib.Path(cache) / "models--us--demo"
    links = {str(p.relative_to(root)): os.readlink(p) for p in root.rglob("*") if p.is_symlink()}
    return links, (root / "refs/main").read_text()


(our_links, our_ref), (their_links, their_ref) = layout(ours), layout(theirs)
assert our_links.items() <= their_links.items() and our_ref == their_ref, (our_links, their_links)
print(f"{len(our_links)} links and the ref are the same")

# Each waits for the other's lock.
lock = pathlib.Path(third) / f".locks/models--us--demo/{repo.hash('config.json')}.lock"
lock.parent.mkdir(parents=True)
with WeakFileLock(lock):
    process = subprocess.Popen(
        [sys.argv[1], "pull", ID], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "HF_HUB_CACHE": third},
    )
    time.sleep(1.5)
    assert process.poll() is None, "the program did not wait"
output, errors = process.communicate(timeout=60)
assert process.returncode == 0 and "waiting for another process" in errors, errors
print("the program waits for the lock of huggingface_hub")

hub.requests.clear()
hub.bytes_per_second = 400_000
name = next(n for n in wanted if n.endswith(".safetensors"))
process = subprocess.Popen([sys.argv[1], "pull", ID], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                           env={**os.environ, "HF_HUB_CACHE": fourth})
while not [r for r in hub.requests if name in r.path and r.method == "GET"]:
    time.sleep(0.01)
found = huggingface_hub.hf_hub_download(ID, name, cache_dir=fourth)
assert pathlib.Path(found).read_bytes() == files[name]
process.communicate(timeout=60)
sent = sum(r.sent for r in hub.requests if r.server == "cdn" and name in r.path and r.method == "GET")
assert sent == len(files[name]), (sent, len(files[name]))
print("huggingface_hub waits for the lock of the program")
