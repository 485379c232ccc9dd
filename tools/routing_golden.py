#!/usr/bin/env python3
"""Makes tests/golden/routing/: what transformers' gpt-oss computes when its router follows another policy.

The router's forward is replaced by an independent PyTorch statement of each policy (docs/moe.md); everything else is
transformers' own. For each case: logits of the last rows (float32 .npy) and, for each layer, how many choices every
expert served, how many were dropped and how many a lower-ranked expert took over. The prompt is one step: capacity
counts all its tokens. Checkpoint and prompt are those of tests/golden/model/<model>/.

Needs torch and transformers; the tests of the engine need neither.
"""

import json
import math
import os
import sys
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
sys.dont_write_bytecode = True

import numpy as np
import torch
import transformers

sys.path.insert(0, str(Path(__file__).resolve().parent))
from golden import capture  # noqa: E402

GOLDEN = Path(__file__).resolve().parent.parent / "tests" / "golden"
ROWS = 8
CASES = [  # name, model, strategy, capacity factor, experts a token, usable experts
    ("switch", "published-rope", "switch", None, None, None),
    ("switch-tight", "published-rope", "switch", 0.3, None, None),
    ("switch-roomy", "odd-constants", "switch", 8.0, None, None),
    ("expert1", "published-rope", "expert1", None, None, None),
    ("topk-capacity", "published-rope", "topk", 1.0, None, None),
    ("topk-tight", "odd-constants", "topk", 0.4, None, None),
    ("topk-two", "odd-constants", "topk", None, 2, None),
    ("topk-first-three", "odd-constants", "topk", None, 3, 3),
]


def choose(logits, strategy, factor, k, usable):
    """[T, E] -> weights [T, K], experts [T, K], dropped, rerouted. An unused place has weight 0."""
    tokens = logits.shape[0]
    logits = logits[:, :usable]
    k = k if strategy == "topk" else 1
    if strategy == "switch" and factor is None:
        factor = 1.0
    room = torch.full((usable,), math.inf)
    if factor is not None and strategy != "expert1":
        room.fill_(math.ceil(factor * tokens * k / usable))
    order = torch.argsort(logits, dim=-1, descending=True, stable=True)
    weights = torch.zeros(tokens, k)
    experts = torch.zeros(tokens, k, dtype=torch.long)
    dropped = rerouted = 0
    for t in range(tokens):
        candidates = order[t] if strategy == "topk" and factor is not None else order[t, :k]
        open_ranks = [r for r, e in enumerate(candidates.tolist()) if room[e] > 0][:k]
        taken = candidates[open_ranks]
        room[taken] -= 1
        dropped += k - len(open_ranks)
        rerouted += sum(rank >= k for rank in open_ranks)
        # Unused places must name other experts than the used ones; their weight is 0.
        rest = [e for e in order[t].tolist() if e not in taken.tolist()]
        experts[t] = torch.tensor(taken.tolist() + rest[: k - len(open_ranks)])
        if len(open_ranks) == 0:
            continue
        if strategy == "topk":
            weights[t, : len(open_ranks)] = torch.softmax(logits[t, taken], dim=-1)
        elif strategy == "switch":
            weights[t, 0] = torch.softmax(logits[t], dim=-1)[taken[0]]
        else:
            weights[t, 0] = 1.0
    return weights, experts, dropped, rerouted


@torch.no_grad()
def main():
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    out = GOLDEN / "routing"
    out.mkdir(exist_ok=True)
    manifest = {"made_by": "tools/routing_golden.py",
                "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
                "cases": []}  # fmt: skip
    for name, model_name, strategy, factor, k, usable in CASES:
        folder = GOLDEN / "model" / model_name
        prompt = json.loads((folder / "manifest.json").read_text())["prompt"]
        model = capture.load(folder / "mxfp4", torch.float32, mxfp4=True)
        layers = []
        for block in model.model.layers:
            router = block.mlp.router

            def forward(hidden, router=router):
                logits = torch.nn.functional.linear(hidden, router.weight, router.bias)
                weights, experts, dropped, rerouted = choose(
                    logits, strategy, factor, k or router.top_k, usable or router.num_experts)  # fmt: skip
                served = torch.bincount(experts[weights > 0], minlength=router.num_experts)
                layers.append({"counts": served.tolist(), "dropped": dropped, "rerouted": rerouted})
                return logits, weights, experts

            router.forward = forward
        logits = capture.forward_logits(model, prompt)
        np.save(out / f"{name}.npy", np.ascontiguousarray(logits[-ROWS:], dtype=np.float32))
        manifest["cases"].append({"name": name, "model": model_name, "strategy": strategy, "capacity_factor": factor,
                                  "experts_per_token": k, "num_experts": usable, "layers": layers})  # fmt: skip
        print(name, [(layer["dropped"], layer["rerouted"]) for layer in layers])
    (out / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")


if __name__ == "__main__":
    main()
