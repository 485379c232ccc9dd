"""Runs transformers' GptOssForCausalLM and records its intermediate values under the tap names of the engine.

Every value is what transformers itself computed: module hooks, and a wrapper round its eager attention function for
the values between the projections. Nothing is recomputed here.
"""

from pathlib import Path

import numpy as np
import torch
from transformers import GptOssForCausalLM, Mxfp4Config
from transformers.models.gpt_oss import modeling_gpt_oss


def load(folder: Path, dtype: torch.dtype, mxfp4: bool) -> GptOssForCausalLM:
    quantization = {"quantization_config": Mxfp4Config(dequantize=True)} if mxfp4 else {}
    model = GptOssForCausalLM.from_pretrained(
        folder, dtype=dtype, attn_implementation="eager", experts_implementation="eager", **quantization
    )
    assert model.config._attn_implementation == "eager"
    assert model.get_experts_implementation()[""] == "eager"
    return model.eval()


class Recorder:
    """Taps {name: {layer: [T, cols]}} of one forward pass, and figures that say whether the model is worth testing."""

    def __init__(self, model: GptOssForCausalLM):
        self.model = model
        self.taps: dict[str, dict[int, np.ndarray]] = {}
        self.sink_mass: list[np.ndarray] = []
        self.peak: list[np.ndarray] = []  # largest attention weight of each query
        self.over_gate = self.over_up = self.units = 0

    def _put(self, name: str, layer: int, value: torch.Tensor) -> None:
        assert layer not in self.taps.setdefault(name, {}), f"{name} of layer {layer} came twice"
        # A copy: adding to the stream in place must not change what was recorded.
        self.taps[name][layer] = value.detach().float().reshape(-1, value.shape[-1]).numpy().copy()

    def __enter__(self) -> "Recorder":
        hooks = self.hooks = []

        def output(module, name, layer, pick=lambda out: out):
            hooks.append(module.register_forward_hook(lambda m, args, out: self._put(name, layer, pick(out))))

        body = self.model.model
        output(body.embed_tokens, "embedding", -1)
        for n, block in enumerate(body.layers):
            output(block.input_layernorm, "attention_norm", n)
            output(block.self_attn.o_proj, "attention_out", n)
            hooks.append(
                block.post_attention_layernorm.register_forward_pre_hook(
                    lambda m, args, n=n: self._put("attention_residual", n, args[0])
                )
            )
            output(block.post_attention_layernorm, "mlp_norm", n)
            output(block.mlp.router, "router_logits", n, lambda out: out[0])
            output(block.mlp.experts, "moe_out", n)
            output(block, "residual", n)
            self._watch_gate(block.mlp.experts)
        output(body.norm, "final_norm", -1)
        output(self.model.lm_head, "logits", -1)

        self.eager = eager = modeling_gpt_oss.eager_attention_forward

        def attention(module, query, key, value, *args, **kwargs):
            result = eager(module, query, key, value, *args, **kwargs)
            n = module.layer_idx
            for name, tensor in (("query", query), ("key", key), ("value", value)):
                self._put(name, n, tensor[0].transpose(0, 1).flatten(1))
            self._put("attention", n, result[0][0].flatten(1))
            weights = result[1][0]
            self.sink_mass.append((1 - weights.sum(-1)).mean().item())
            self.peak.append(weights.amax(-1)[:, 8:].mean().item())
            return result

        modeling_gpt_oss.eager_attention_forward = attention
        return self

    def _watch_gate(self, experts) -> None:
        original = type(experts)._apply_gate

        def apply_gate(gate_up):
            self.over_gate += (gate_up[..., ::2] > experts.limit).sum().item()
            self.over_up += (gate_up[..., 1::2].abs() > experts.limit).sum().item()
            self.units += gate_up[..., ::2].numel()
            return original(experts, gate_up)

        experts._apply_gate = apply_gate

    def __exit__(self, *unused) -> None:
        modeling_gpt_oss.eager_attention_forward = self.eager
        for hook in self.hooks:
            hook.remove()
        for block in self.model.model.layers:
            del block.mlp.experts._apply_gate

    def stacked(self, name: str) -> np.ndarray:
        """[layers, T, cols], or [T, cols] for a tap outside the layers."""
        by_layer = self.taps[name]
        if list(by_layer) == [-1]:
            return by_layer[-1]
        assert list(by_layer) == list(range(len(self.model.model.layers)))
        return np.stack(list(by_layer.values()))


@torch.no_grad()
def forward_logits(model: GptOssForCausalLM, tokens: list[int]) -> np.ndarray:
    return model(input_ids=torch.tensor([tokens]), use_cache=False).logits[0].float().numpy()


@torch.no_grad()
def record(model: GptOssForCausalLM, tokens: list[int]) -> Recorder:
    with Recorder(model) as recorder:
        model(input_ids=torch.tensor([tokens]), use_cache=False)
    return recorder


@torch.no_grad()
def greedy(model: GptOssForCausalLM, prompt: list[int], count: int) -> list[int]:
    tokens, cache, step = [], None, prompt
    for _ in range(count):
        out = model(input_ids=torch.tensor([step]), past_key_values=cache, use_cache=True, logits_to_keep=1)
        cache = out.past_key_values
        step = [int(out.logits[0, -1].argmax())]
        tokens += step
    return tokens
