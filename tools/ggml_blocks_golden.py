#!/usr/bin/env python3
"""Makes tests/golden/ggml/TYPE.bin: random blocks of each GGUF block type, then their values as little-endian f32.

The values are those of the PyPI `gguf` package (quants.py, MIT), evaluated in float64 and rounded once: for every type
the exact value is either an f32 or a sum of two exact products, so a decoder that rounds once must give these bits.
The first block of a file has every quantised bit set, the second none.

  tools/ggml_blocks_golden.py
"""

import types
from pathlib import Path

import gguf.quants as quants
import numpy as np

OUT = Path(__file__).resolve().parent.parent / "tests" / "golden" / "ggml"
# Type: offsets of its f16 fields.
F16_FIELDS = {"MXFP4": (), "Q8_0": (0,), "Q4_0": (0,), "Q4_1": (0, 2), "Q5_0": (0,), "Q5_1": (0, 2), "IQ4_NL": (0,),
              "Q4_K": (0, 2), "Q5_K": (0, 2), "Q6_K": (208,)}  # fmt: skip
ELEMENTS = 1024


def in_double(dequantise, blocks):
    """quants.py computes in whatever it knows as np.float32."""
    wide = types.SimpleNamespace(**{name: getattr(np, name) for name in dir(np) if not name.startswith("__")})
    wide.float32 = np.float64
    quants.np = wide
    values = dequantise(blocks)
    quants.np = np
    assert values.dtype == np.float64
    return values


def main():
    OUT.mkdir(exist_ok=True)
    rng = np.random.default_rng(20250805)
    for name, fields in F16_FIELDS.items():
        qtype = quants.GGMLQuantizationType[name]
        elements, size = quants.GGML_QUANT_SIZES[qtype]
        blocks = rng.integers(0, 256, size=(ELEMENTS // elements, size), dtype=np.uint8)
        blocks[0], blocks[1] = 0xFF, 0x00
        for at in fields:
            scales = (rng.standard_normal(len(blocks)) * 10.0 ** rng.integers(-6, 3, len(blocks))).astype(np.float16)
            blocks[:, at : at + 2] = scales[:, None].view(np.uint8)
        if name == "MXFP4":  # scale 255 is NaN here, 2^128 there
            blocks[:, 0] = np.concatenate([[254, 0, 1, 2], rng.integers(90, 140, len(blocks) - 4)])
        dequantise = quants._type_traits[qtype].dequantize_blocks
        # MXFP4 makes its scales of f32 bits; all its values are exact in f32.
        values = dequantise(blocks) if name == "MXFP4" else in_double(dequantise, blocks)
        assert values.shape == (len(blocks), elements), name
        (OUT / f"{name}.bin").write_bytes(blocks.tobytes() + values.astype("<f4").tobytes())
        print(name, blocks.nbytes + 4 * values.size)


if __name__ == "__main__":
    main()
