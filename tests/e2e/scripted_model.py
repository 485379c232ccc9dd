"""A model that says what a test wants: layers that add nothing, an embedding and an unembedding that make each token
be followed by the next one of a script. So reasoning, tool calls, runaways and endless answers come when asked for.
"""

import json
import pathlib
import struct
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOKENIZER = ROOT / "tests/golden/tokenizer/tokenizer.json"


def make(program, folder, script, loop_to=None):
    """`script`: pieces of text with Harmony's markers, said after "assistant", where the prompt ends. No token may occur
    twice. At its end it goes back to the text `loop_to`, if given; otherwise to the token with id 0."""

    def ids(text):
        said = subprocess.run(program + ["tokenize", "-t", str(TOKENIZER), "--specials", text], check=True, capture_output=True)
        return [int(word) for word in said.stdout.split()]

    subprocess.run(program + ["synth", "--preset", "tiny", "--seed", "1", "--out", str(folder), "--tokenizer", str(TOKENIZER)],
                   check=True, capture_output=True)
    chain = ids("assistant") + [token for piece in script for token in ids(piece)]
    assert len(set(chain)) == len(chain), "a token occurs twice"
    following = list(zip(chain, chain[1:] + ([ids(loop_to)[0]] if loop_to else [])))

    path = pathlib.Path(folder) / "model.safetensors"
    data = bytearray(path.read_bytes())
    (length,) = struct.unpack("<Q", data[:8])
    tensors = json.loads(data[8 : 8 + length])

    def fill(name, ones):
        begin, end = (8 + length + offset for offset in tensors[name]["data_offsets"])
        data[begin:end] = bytes(end - begin)
        for row, column in ones:
            at = begin + 2 * (row * tensors[name]["shape"][1] + column)
            data[at : at + 2] = b"\x80\x3f"  # bf16 1.0

    for name in tensors:
        if "o_proj" in name or "down_proj_b" in name:  # biases and blocks: zeros whatever the scales
            fill(name, [])
    fill("model.embed_tokens.weight", [(token, place) for place, (token, _) in enumerate(following)])
    fill("lm_head.weight", [(after, place) for place, (_, after) in enumerate(following)])
    begin, end = (8 + length + offset for offset in tensors["model.norm.weight"]["data_offsets"])
    data[begin:end] = b"\x80\x3f" * ((end - begin) // 2)
    path.write_bytes(data)
    return folder
