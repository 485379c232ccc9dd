"""Writes trained parameters in the published Hugging Face form: MXFP4 experts, bf16 for everything else."""

import json
import shutil

import torch
from safetensors.torch import load_file, save_file

import model as M

CODES = torch.tensor([0, 0.5, 1, 1.5, 2, 3, 4, 6])


def blocks_and_scales(w):
    """[E, in, out] -> blocks [E, out, in/32, 16] and scales [E, out, in/32] of uint8; the low nibble is the even element."""
    values, scale = M.mxfp4(w)
    e, rows, cols = w.shape
    scaled = (values.reshape(e, rows // 32, 32, cols) / scale).permute(0, 3, 1, 2)  # [E, out, in/32, 32]
    codes = torch.searchsorted(CODES, scaled.abs().contiguous())
    assert torch.equal(CODES[codes], scaled.abs())
    codes = codes + 8 * (scaled < 0)
    exponent = torch.log2(scale).round().long() + 127
    return (codes[..., ::2] | codes[..., 1::2] << 4).to(torch.uint8), exponent[:, :, 0].permute(0, 2, 1).to(torch.uint8)


def write(parameters, tokenizer, folder):
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {}
    for name, w in parameters.items():
        w = w.detach().float().cpu()
        if name.endswith(("gate_up_proj", "down_proj")):
            tensors[name + "_blocks"], tensors[name + "_scales"] = (t.contiguous() for t in blocks_and_scales(w))
        else:
            tensors[name] = w.bfloat16().contiguous()
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    for name, fields in (("config.json", M.CONFIG), ("generation_config.json", M.GENERATION_CONFIG)):
        (folder / name).write_text(json.dumps(fields, indent=2) + "\n")
    shutil.copy(tokenizer, folder / "tokenizer.json")


def read(folder):
    """The parameters of a written checkpoint, by name."""
    out = {}
    stored = load_file(folder / "model.safetensors")
    for name, t in stored.items():
        if name.endswith("_blocks"):
            scales = torch.exp2(stored[name.replace("_blocks", "_scales")].float() - 127)
            codes = torch.stack((t & 15, t >> 4), -1).flatten(-2).long()  # [E, out, in/32, 32]
            values = CODES[codes & 7] * torch.where(codes > 7, -1.0, 1.0) * scales[..., None]
            out[name.removesuffix("_blocks")] = values.flatten(2).transpose(1, 2).contiguous()
        elif not name.endswith("_scales"):
            out[name] = t.float()
    return out
