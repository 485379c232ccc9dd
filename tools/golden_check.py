#!/usr/bin/env python3
"""Compares the committed goldens of the forward pass with the sha256 sums in their manifests: a file that is missing,
unknown or changed is named, and the exit code is 1. Needs the standard library only; ctest runs it as golden.sums."""

import hashlib
import json
import sys
from pathlib import Path

MODELS = Path(__file__).resolve().parent.parent / "tests" / "golden" / "model"


def findings(folder: Path) -> list[str]:
    manifest = folder / "manifest.json"
    sums = json.loads(manifest.read_text())["files"]
    found = {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and path != manifest
    }
    return [f"{folder.name}/{name}" for name in sorted(sums.keys() | found.keys()) if sums.get(name) != found.get(name)]


def main() -> int:
    folders = [manifest.parent for manifest in sorted(MODELS.glob("*/manifest.json"))]
    bad = [name for folder in folders for name in findings(folder)]
    for name in bad:
        print(f"{name}: missing, unknown or changed", file=sys.stderr)
    if not folders:
        print(f"{MODELS}: no goldens", file=sys.stderr)
    return 1 if bad or not folders else 0


if __name__ == "__main__":
    raise SystemExit(main())
