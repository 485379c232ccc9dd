#!/usr/bin/env python3
"""Makes assets/o200k_base.tokens.zst, the vocabulary built into the program, from tiktoken's rank file; and the rank file from it.

    tools/o200k_asset.py O200K_BASE_TIKTOKEN [OUT]
    tools/o200k_asset.py --unpack O200K_BASE_TIKTOKEN     writes the rank file, as tiktoken and openai-harmony want it

Form, before compression by the `zstd` command (Debian package zstd): one byte of length for each token in the order of
ids, then the bytes of all tokens in the same order. A rank file says nothing more: rank = line number = id.
"""

import base64
import hashlib
import pathlib
import subprocess
import sys

RANK_FILE_SHA256 = "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d"
TOKENS = 199_998
ASSET = pathlib.Path(__file__).resolve().parents[1] / "assets/o200k_base.tokens.zst"


def pack(rank_file: bytes) -> bytes:
    tokens = []
    for line in rank_file.splitlines():
        text, rank = line.split()
        if int(rank) != len(tokens):
            raise ValueError(f"rank {rank.decode()} on line {len(tokens) + 1}: expected ranks in order, without gaps")
        tokens.append(base64.b64decode(text, validate=True))
    if len(tokens) != TOKENS:
        raise ValueError(f"{len(tokens)} tokens, expected {TOKENS}")
    return bytes(len(token) for token in tokens) + b"".join(tokens)


def unpack(packed: bytes) -> bytes:
    lines, at = [], TOKENS
    for rank, length in enumerate(packed[:TOKENS]):
        lines.append(b"%s %d\n" % (base64.b64encode(packed[at : at + length]), rank))
        at += length
    return b"".join(lines)


def checked(rank_file: bytes, name: str) -> bytes:
    sha256 = hashlib.sha256(rank_file).hexdigest()
    if sha256 != RANK_FILE_SHA256:
        raise ValueError(f"{name}: sha256 {sha256}, expected {RANK_FILE_SHA256}")
    return rank_file


def main() -> int:
    if len(sys.argv) == 3 and sys.argv[1] == "--unpack":
        packed = subprocess.run(["zstd", "-dc", ASSET], stdout=subprocess.PIPE, check=True).stdout
        pathlib.Path(sys.argv[2]).write_bytes(checked(unpack(packed), str(ASSET)))
        return 0
    if len(sys.argv) not in (2, 3):
        print(__doc__, file=sys.stderr)
        return 2
    rank_file = checked(pathlib.Path(sys.argv[1]).read_bytes(), sys.argv[1])
    out = pathlib.Path(sys.argv[2]) if len(sys.argv) == 3 else ASSET
    packed = pack(rank_file)
    # No checksum and no name in the frame: the same bytes from the same version of zstd.
    command = ["zstd", "-19", "--no-check", f"--stream-size={len(packed)}", "--quiet", "--stdout"]
    out.write_bytes(subprocess.run(command, input=packed, stdout=subprocess.PIPE, check=True).stdout)
    print(f"{out}: {out.stat().st_size} bytes of {len(packed)}, sha256 {hashlib.sha256(out.read_bytes()).hexdigest()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
