#!/usr/bin/env python3
"""Makes the committed goldens of the forward pass: tests/golden/model/<config>/.

For each configuration: a random checkpoint in the published Hugging Face form (mxfp4/), for some the same weights in
the dequantised, transposed layout that save_pretrained writes (bf16/), and what transformers' GptOssForCausalLM
computes from it in float32 on the CPU, attention and experts in eager form (taps/*.npy, and manifest.json with the
prompt, the greedy continuation, the divergence of transformers' own bf16 run, versions and a sha256 for each file).

Needs torch, transformers, accelerate, safetensors and numpy; the tests of the engine need none of them. The checkpoint
files depend on numpy's generator only. The taps come out bit-identical with the same versions on the same kind of CPU
(torch chooses its kernels by instruction set); elsewhere they differ in the last bits. tools/golden_check.py compares
the committed files with the sums in their manifests.

  tools/golden_model.py [--only NAME ...]
"""

import argparse
import hashlib
import json
import os
import platform
import re
import shutil
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
sys.dont_write_bytecode = True

import numpy as np
import torch
import transformers

sys.path.insert(0, str(Path(__file__).resolve().parent))
from golden import capture, weights  # noqa: E402
from golden.configs import CONFIGS, Golden  # noqa: E402

OUT = Path(__file__).resolve().parent.parent / "tests" / "golden" / "model"
CONTINUATION = 64
TOLERANCE = 1e-4  # of the logits' range: what the engine must reach
LAYER_TAPS = (
    "attention_norm", "query", "key", "value", "attention", "attention_out", "attention_residual", "mlp_norm",
    "router_logits", "moe_out", "residual",
)  # fmt: skip


class Unsuitable(Exception):
    """This seed gives a model whose comparison would be fragile or would not test what it should."""


def require(sound: bool, what: str) -> None:
    if not sound:
        raise Unsuitable(what)


def sorted_gap(values: np.ndarray, rank: int) -> float:
    """The smallest difference, over all rows, between the values of rank `rank` and `rank` + 1 (1 is the highest)."""
    ordered = -np.sort(-values, axis=-1)
    return float((ordered[..., rank - 1] - ordered[..., rank]).min())


def kl_per_row(reference: np.ndarray, other: np.ndarray) -> np.ndarray:
    p, q = (torch.log_softmax(torch.from_numpy(x).double(), -1) for x in (reference, other))
    return (p.exp() * (p - q)).sum(-1).numpy()


def save(folder: Path, name: str, values: np.ndarray) -> None:
    np.save(folder / f"{name}.npy", np.ascontiguousarray(values, dtype=np.float32))


def assert_reads_back(model, expected: dict[str, torch.Tensor]) -> None:
    held = model.state_dict()
    assert held.keys() == expected.keys(), held.keys() ^ expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(held[name].float(), tensor), f"transformers reads {name} otherwise than it was meant"


def make(c: Golden, seed: int, folder: Path) -> dict:
    tensors = weights.random_weights(c, seed)
    weights.write_published_checkpoint(c, tensors, folder / "mxfp4")
    prompt = np.random.default_rng(seed + 1_000_000).integers(0, c.vocab, c.prompt_tokens).tolist()

    model = capture.load(folder / "mxfp4", torch.float32, mxfp4=True)
    expected = weights.expected_f32(tensors)
    assert_reads_back(model, expected)

    recorder = capture.record(model, prompt)
    logits = recorder.stacked("logits")
    scale = float(logits.max() - logits.min())
    continuation = capture.greedy(model, prompt, CONTINUATION)
    # One pass without a KV cache over prompt and continuation: an independent witness, and the margins of each step.
    again = capture.forward_logits(model, prompt + continuation[:-1])[c.prompt_tokens - 1 :]
    assert again.argmax(-1).tolist() == continuation, "greedy decoding with and without a KV cache differ"

    statistics = {
        "logit_range": scale,
        "logit_std": float(logits.std()),
        "sink_mass": float(np.mean(recorder.sink_mass)),
        "peak_attention": float(np.mean(recorder.peak)),
        "gates_clamped": recorder.over_gate / recorder.units,
        "ups_clamped": recorder.over_up / recorder.units,
        "smallest_top2_margin": sorted_gap(again, 1),
        "distinct_continuation_tokens": len(set(continuation)),
    }
    router = recorder.stacked("router_logits")
    if c.top_k < c.experts:
        statistics["smallest_router_margin"] = sorted_gap(router, c.top_k)
        require(statistics["smallest_router_margin"] > 2e-5 * np.ptp(router), "the router nearly ties")
    used = np.argsort(-router, axis=-1)[..., : c.top_k]
    require(all(len(np.unique(layer)) == c.experts for layer in used), "an expert is never used")
    require(statistics["smallest_top2_margin"] > 4 * TOLERANCE * scale, "two best tokens nearly tie")
    require(statistics["distinct_continuation_tokens"] >= 12, "the continuation goes round in a small circle")
    require(2.0 < statistics["logit_std"] < 6.0, "the logits' spread is not that of a model")
    require(0.02 < statistics["sink_mass"] < 0.8, "the sinks take nothing or all")
    require(0.05 < statistics["peak_attention"] < 0.9, "attention is uniform or one-hot")
    require(1e-4 < statistics["gates_clamped"] < 0.3 and statistics["ups_clamped"] > 1e-4, "the clamp is not tested")

    taps = folder / "taps"
    taps.mkdir()
    rows = list(c.tap_rows)
    for name in ("embedding", "final_norm"):
        save(taps, name, recorder.stacked(name)[rows])
    for name in LAYER_TAPS:
        save(taps, name, recorder.stacked(name)[:, rows])
    reference = logits[c.logit_rows_from :]
    save(taps, "logits", reference)

    # transformers' own bf16 run of the same checkpoint: what "as good as bf16" means.
    rounded = capture.load(folder / "mxfp4", torch.bfloat16, mxfp4=True)
    bf16_logits = capture.forward_logits(rounded, prompt)[c.logit_rows_from :]
    kl = kl_per_row(reference, bf16_logits)

    layouts = ["mxfp4"]
    if c.bf16_layout:
        layouts.append("bf16")
        write_dequantised(c, expected, folder / "bf16")
        dequantised = capture.load(folder / "bf16", torch.float32, mxfp4=False)
        assert_reads_back(dequantised, expected)

    return {
        "made_by": "tools/golden_model.py",
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "numpy": np.__version__,
        },
        "name": c.name,
        "why": c.why,
        "seed": seed,
        "checkpoints": layouts,
        "prompt": prompt,
        "tap_rows": rows,
        "logit_rows_from": c.logit_rows_from,
        "continuation": continuation,
        "statistics": statistics,
        "transformers_bf16": {
            "rows": len(kl),
            "mean_kl": float(kl.mean()),
            "max_kl": float(kl.max()),
            "max_error_of_range": float(np.abs(bf16_logits - reference).max() / scale),
            "top1_agreement": float((bf16_logits.argmax(-1) == reference.argmax(-1)).mean()),
        },
        "files": {
            str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        },
    }


def write_dequantised(c: Golden, expected: dict[str, torch.Tensor], folder: Path) -> None:
    """What save_pretrained of a dequantised model leaves behind, config.json included."""
    fields = c.published_config()
    for name in ("quantization_config", "transformers_version"):
        del fields[name]
    model = transformers.GptOssForCausalLM(transformers.GptOssConfig(**fields)).to(torch.bfloat16)
    model.load_state_dict({name: tensor.to(torch.bfloat16) for name, tensor in expected.items()})
    model.save_pretrained(folder)


def make_with_good_seed(c: Golden, folder: Path) -> dict:
    for seed in range(c.seed, c.seed + 30):
        try:
            return make(c, seed, folder)
        except Unsuitable as reason:
            print(f"{c.name}: seed {seed}: {reason}", file=sys.stderr)
            shutil.rmtree(folder)
            folder.mkdir()
    raise SystemExit(f"{c.name}: no seed fits")


def as_text(manifest: dict) -> str:
    """JSON with one line for each list of numbers."""
    text = json.dumps(manifest, indent=1)
    return re.sub(r"\[[\s\d,]+\]", lambda found: " ".join(found[0].split()), text) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=[], metavar="NAME", help="only these configurations")
    options = parser.parse_args()

    torch.set_num_threads(1)  # sums in a fixed order
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    for c in CONFIGS:
        if options.only and c.name not in options.only:
            continue
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary) / c.name
            folder.mkdir()
            manifest = make_with_good_seed(c, folder)
            (folder / "manifest.json").write_text(as_text(manifest))
            target = OUT / c.name
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(folder, target)
        size = sum(p.stat().st_size for p in target.rglob("*") if p.is_file())
        print(json.dumps({"name": c.name, "bytes": size, "seed": manifest["seed"], **manifest["statistics"],
                          **manifest["transformers_bf16"]}))  # fmt: skip
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
