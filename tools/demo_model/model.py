"""The model: its configuration, transformers' class that holds it, and an equivalent forward pass that trains fast.

The forward pass differs from GptOssForCausalLM only in how it computes: several conversations share a row, attention
runs in one fused kernel whose output is then scaled for the sink, and every expert computes every token, with weight
zero where the router did not choose it. `python model.py` compares the two on the CPU.
"""

import torch
import torch.nn.functional as F

VOCABULARY, SPECIAL_BASE = 2048, 2027
RETURN, END_OF_TEXT, START_OF_TEXT, CALL = SPECIAL_BASE + 4, SPECIAL_BASE + 1, SPECIAL_BASE, SPECIAL_BASE + 14
LAYERS, HIDDEN, HEADS, KV_HEADS, HEAD_DIM = 8, 256, 8, 2, 64
EXPERTS, ACTIVE, WIDTH, WINDOW = 8, 2, 256, 64
LIMIT, ALPHA, EPS = 7.0, 1.702, 1e-5

CONFIG = {
    "architectures": ["GptOssForCausalLM"], "attention_bias": True, "attention_dropout": 0.0, "eos_token_id": RETURN,
    "experts_per_token": ACTIVE, "head_dim": HEAD_DIM, "hidden_act": "silu", "hidden_size": HIDDEN,
    "initial_context_length": 4096, "initializer_range": 0.02, "intermediate_size": WIDTH,
    "layer_types": ["full_attention" if n % 2 else "sliding_attention" for n in range(LAYERS)],
    "max_position_embeddings": 131072, "model_type": "gpt_oss", "num_attention_heads": HEADS,
    "num_experts_per_tok": ACTIVE, "num_hidden_layers": LAYERS, "num_key_value_heads": KV_HEADS,
    "num_local_experts": EXPERTS, "output_router_logits": False, "pad_token_id": END_OF_TEXT,
    "quantization_config": {
        "modules_to_not_convert": ["model.layers.*.self_attn", "model.layers.*.mlp.router", "model.embed_tokens", "lm_head"],
        "quant_method": "mxfp4",
    },
    "rms_norm_eps": EPS,
    "rope_scaling": {"beta_fast": 32.0, "beta_slow": 1.0, "factor": 32.0, "original_max_position_embeddings": 4096,
                     "rope_type": "yarn", "truncate": False},
    "rope_theta": 150000, "router_aux_loss_coef": 0.9, "sliding_window": WINDOW, "swiglu_limit": LIMIT,
    "tie_word_embeddings": False, "transformers_version": "4.55.0.dev0", "use_cache": True, "vocab_size": VOCABULARY,
}  # fmt: skip
GENERATION_CONFIG = {"bos_token_id": START_OF_TEXT, "do_sample": True, "eos_token_id": [RETURN, END_OF_TEXT],
                     "pad_token_id": END_OF_TEXT, "transformers_version": "4.55.0.dev0"}  # fmt: skip


def transformers_model():
    from transformers import GptOssConfig, GptOssForCausalLM

    fields = {
        k: v for k, v in CONFIG.items() if k not in ("quantization_config", "transformers_version", "architectures")
    }
    return GptOssForCausalLM(GptOssConfig(**fields, attn_implementation="eager", experts_implementation="eager"))


def initial(seed):
    torch.manual_seed(seed)
    model = transformers_model().float()
    with torch.no_grad():
        for name, p in model.named_parameters():
            if name.endswith("down_proj") or name.endswith("o_proj.weight"):
                p.mul_((2 * LAYERS) ** -0.5)
    return model


def mxfp4(w):
    """Expert weights [E, in, out] -> (nearest MXFP4 values, powers of two [E, in/32, 1, out]); blocks run along `in`."""
    e, rows, cols = w.shape
    blocks = w.float().reshape(e, rows // 32, 32, cols)
    amax = blocks.abs().amax(2, keepdim=True).clamp(min=2.0**-100)
    scale = torch.exp2(torch.ceil(torch.log2(amax / 7)))  # the largest falls into (3.5, 7], and 6 is the largest value
    a = (blocks / scale).abs()
    a = torch.where(a < 2, (a * 2).round() / 2, torch.where(a < 4, a.round(), (a / 2).round() * 2)).clamp(max=6)
    return (a * blocks.sign() * scale).reshape(e, rows, cols), scale


def stored(name, w):
    """The value that the checkpoint will hold, with the gradient of w."""
    q = mxfp4(w)[0] if name.endswith("_proj") else w.bfloat16().float()
    return w + (q - w).detach()


def rms_norm(x, scale):
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + EPS) * scale


def rope(x, cos, sin):
    a, b = x.chunk(2, -1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), -1)


def dense_attention(q, k, v, documents, sliding):
    """q [B, H, T, D], k, v [B, G, T, D] -> output without sinks, log of the sum of exponentials."""
    t = torch.arange(documents.shape[1], device=documents.device)
    back = t[:, None] - t[None, :]
    mask = (documents[:, None, :, None] == documents[:, None, None, :]) & (back >= 0)
    if sliding:
        mask = mask & (back < WINDOW)
    k, v = (t.repeat_interleave(HEADS // KV_HEADS, 1) for t in (k, v))
    s = (q @ k.transpose(-1, -2) * HEAD_DIM**-0.5).float().masked_fill(~mask, float("-inf"))
    lse = s.logsumexp(-1)
    return (s - lse[..., None]).exp().to(v.dtype) @ v, lse


def layer(p, x, cos, sin, valid, documents, sliding, attention, low):
    """One layer: its output of x [B, T, HIDDEN], and how unevenly its experts were chosen. p: its own parameters."""
    B, T, _ = x.shape

    def linear(x, name):
        return F.linear(x.to(low), p[name + ".weight"].to(low), p[name + ".bias"].to(low))

    h = rms_norm(x, p["input_layernorm.weight"])
    q, k, v = (linear(h, f"self_attn.{c}_proj").view(B, T, -1, HEAD_DIM).transpose(1, 2) for c in "qkv")
    q, k = rope(q.float(), cos, sin).to(low), rope(k.float(), cos, sin).to(low)
    o, lse = attention(q, k, v, documents, sliding)
    o = o * torch.sigmoid(lse.float() - p["self_attn.sinks"].view(1, -1, 1)).to(o.dtype)[..., None]
    x = x + linear(o.transpose(1, 2).reshape(B, T, -1), "self_attn.o_proj").float()

    h = rms_norm(x, p["post_attention_layernorm.weight"]).reshape(B * T, HIDDEN)
    z = F.linear(h, p["mlp.router.weight"], p["mlp.router.bias"])
    top, index = z.topk(ACTIVE, -1)
    w = torch.zeros_like(z).scatter(1, index, top.softmax(-1))
    chosen = torch.zeros_like(z).scatter(1, index, 1.0)
    balance = EXPERTS * ((chosen * valid).sum(0) / (valid.sum() * ACTIVE) * (z.softmax(-1) * valid).sum(0) / valid.sum()).sum()
    up = p["mlp.experts.gate_up_proj"].permute(1, 0, 2).reshape(HIDDEN, -1).to(low)  # [in, E * 2F]
    g = (h.to(low) @ up + p["mlp.experts.gate_up_proj_bias"].reshape(-1).to(low)).float().view(B * T, EXPERTS, WIDTH, 2)
    gate, lin = g[..., 0].clamp(max=LIMIT), g[..., 1].clamp(-LIMIT, LIMIT)
    act = (lin + 1) * gate * torch.sigmoid(gate * ALPHA) * w[..., None]
    y = act.reshape(B * T, -1).to(low) @ p["mlp.experts.down_proj"].reshape(-1, HIDDEN).to(low)
    return x + (y.float() + w @ p["mlp.experts.down_proj_bias"]).view(B, T, HIDDEN), balance


def quantised_layer(p, *rest):
    return layer({name: stored(name, w) for name, w in p.items()}, *rest)


def forward(
    p, tokens, positions, documents, rope_table, attention, low, where=None, quantised=False, layers=(layer, quantised_layer)
):
    """Logits [B, T, V] in `low` precision, or those [N, V] of the places `where` among all B * T, and the load-balance loss.
    p: parameters by transformers' names; `quantised`: with the values that the checkpoint will hold. `layers`: what computes
    a layer without and with that, compiled perhaps: every layer has the same form, so that one compilation serves them all.
    """
    B, T = tokens.shape
    keep = (lambda name: stored(name, p[name])) if quantised else p.__getitem__
    x = keep("model.embed_tokens.weight")[tokens]
    cos, sin = (t[positions][:, None] for t in rope_table)
    valid = (positions >= 0).reshape(-1, 1).float()
    balance = 0.0
    for n in range(LAYERS):
        at = f"model.layers.{n}."
        own = {name.removeprefix(at): w for name, w in p.items() if name.startswith(at)}
        x, uneven = layers[quantised](own, x, cos, sin, valid, documents, n % 2 == 0, attention, low)
        balance = balance + uneven
    if where is not None:
        x = x.reshape(B * T, HIDDEN)[where]
    x = rms_norm(x, keep("model.norm.weight"))
    return F.linear(x.to(low), keep("lm_head.weight").to(low)), balance / LAYERS


def rope_table(model, length, device):
    rotary = model.model.rotary_emb
    angle = torch.arange(length).float()[:, None] * rotary.inv_freq.float().cpu()
    return tuple((f(angle) * rotary.attention_scaling).to(device) for f in (torch.cos, torch.sin))


def check():
    model = initial(1)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(torch.randn_like(p) * 0.05)
    tokens = torch.randint(0, VOCABULARY, (2, 150))
    positions = torch.arange(150).expand(2, -1)
    expected = model(tokens).logits
    got, _ = forward(
        dict(model.named_parameters()),
        tokens,
        positions,
        torch.zeros_like(tokens),
        rope_table(model, 256, "cpu"),
        dense_attention,
        torch.float32,
    )
    error = (got - expected).abs().max() / (expected.max() - expected.min())
    print(
        f"{sum(p.numel() for p in model.parameters())} parameters; differs from transformers by {error:.1e} of the logits' range"
    )
    assert error < 1e-5


if __name__ == "__main__":
    with torch.no_grad():
        check()
