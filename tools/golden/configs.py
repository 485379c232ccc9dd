"""The small gpt-oss configurations whose outputs are committed as goldens.

Each one exists for the ways in which it differs from the published shape; `why` says which. The published form of
config.json is made here as well, so that what the loader reads is spelled out once.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Golden:
    name: str
    why: str
    seed: int  # first seed tried; the manifest names the one that was taken
    layers: int
    hidden: int  # M
    heads: int  # H
    kv_heads: int  # G
    head_dim: int  # D
    experts: int  # E
    top_k: int  # K
    width: int  # F
    vocab: int  # V
    window: int
    prompt_tokens: int
    original_context: int = 4096
    factor: float = 32.0
    beta_fast: float = 32.0
    beta_slow: float = 1.0
    theta: float = 150000.0
    eps: float = 1e-5
    swiglu_limit: float = 7.0
    sink_mean: float = 1.5
    full_layers: tuple[int, ...] | None = None  # None: the published rule, odd layers are full
    tap_rows: tuple[int, ...] = field(default=())
    logit_rows_from: int = 0
    shards: int = 1
    bf16_layout: bool = False  # also write the dequantised, transposed layout

    def layer_types(self) -> list[str]:
        full = self.full_layers
        if full is None:
            full = tuple(range(1, self.layers, 2))
        return ["full_attention" if i in full else "sliding_attention" for i in range(self.layers)]

    def published_config(self) -> dict:
        """config.json with every field of the published one."""
        return {
            "architectures": ["GptOssForCausalLM"],
            "attention_bias": True,
            "attention_dropout": 0.0,
            "eos_token_id": self.vocab - 3,
            "experts_per_token": self.top_k,
            "head_dim": self.head_dim,
            "hidden_act": "silu",
            "hidden_size": self.hidden,
            "initial_context_length": self.original_context,
            "initializer_range": 0.02,
            "intermediate_size": self.width,
            "layer_types": self.layer_types(),
            "max_position_embeddings": int(self.original_context * self.factor),
            "model_type": "gpt_oss",
            "num_attention_heads": self.heads,
            "num_experts_per_tok": self.top_k,
            "num_hidden_layers": self.layers,
            "num_key_value_heads": self.kv_heads,
            "num_local_experts": self.experts,
            "output_router_logits": False,
            "pad_token_id": self.vocab - 5,
            "quantization_config": {
                "modules_to_not_convert": [
                    "model.layers.*.self_attn",
                    "model.layers.*.mlp.router",
                    "model.embed_tokens",
                    "lm_head",
                ],
                "quant_method": "mxfp4",
            },
            "rms_norm_eps": self.eps,
            "rope_scaling": {
                "beta_fast": self.beta_fast,
                "beta_slow": self.beta_slow,
                "factor": self.factor,
                "original_max_position_embeddings": self.original_context,
                "rope_type": "yarn",
                "truncate": False,
            },
            "rope_theta": self.theta,
            "router_aux_loss_coef": 0.9,
            "sliding_window": self.window,
            "swiglu_limit": self.swiglu_limit,
            "tie_word_embeddings": False,
            "transformers_version": "4.55.0.dev0",
            "use_cache": True,
            "vocab_size": self.vocab,
        }

    def generation_config(self) -> dict:
        return {
            "bos_token_id": self.vocab - 4,
            "do_sample": True,
            "eos_token_id": [self.vocab - 3, self.vocab - 5],
            "pad_token_id": self.vocab - 5,
            "transformers_version": "4.55.0.dev0",
        }


CONFIGS = [
    Golden(
        name="base", why="H*D != M, F != M, window shorter than the prompt; also in the dequantised layout",
        seed=101, layers=2, hidden=64, heads=4, kv_heads=2, head_dim=32, experts=4, top_k=2, width=96, vocab=257,
        window=8, prompt_tokens=48, tap_rows=(0, 1, 6, 7, 8, 9, 21, 31, 32, 33, 40, 47), bf16_layout=True,
    ),
    Golden(
        name="published-rope", why="the published head size, YaRN constants and window; one KV head",
        seed=200, layers=3, hidden=64, heads=4, kv_heads=1, head_dim=64, experts=8, top_k=4, width=64, vocab=401,
        window=128, prompt_tokens=150, tap_rows=(0, 1, 63, 126, 127, 128, 129, 149),
    ),
    Golden(
        name="one-expert-per-token", why="K = 1, as many KV heads as heads, M = F = H*D (a forgotten transpose "
        "changes no shape), small original context; also in the dequantised layout",
        seed=300, layers=2, hidden=96, heads=6, kv_heads=6, head_dim=16, experts=4, top_k=1, width=96, vocab=263,
        window=16, prompt_tokens=70, original_context=32, tap_rows=(0, 1, 14, 15, 16, 17, 31, 32, 33, 69),
        bf16_layout=True,
    ),
    Golden(
        name="dense", why="a single expert, four layers, a window of five, YaRN with original context 64",
        seed=401, layers=4, hidden=64, heads=2, kv_heads=1, head_dim=32, experts=1, top_k=1, width=128, vocab=211,
        window=5, prompt_tokens=100, original_context=64, tap_rows=(0, 1, 4, 5, 6, 63, 64, 65, 99),
    ),
    Golden(
        name="many-experts", why="32 experts, four a token, narrow experts; checkpoint in three shards with an index",
        seed=522, layers=2, hidden=64, heads=8, kv_heads=2, head_dim=16, experts=32, top_k=4, width=32, vocab=333,
        window=20, prompt_tokens=64, tap_rows=(0, 1, 18, 19, 20, 21, 31, 32, 63), shards=3,
    ),
    Golden(
        name="odd-constants", why="another layer order, epsilon, clamp limit, theta and YaRN betas: nothing of these "
        "may be hard-wired",
        seed=600, layers=3, hidden=128, heads=4, kv_heads=2, head_dim=32, experts=8, top_k=4, width=32, vocab=307,
        window=24, prompt_tokens=60, original_context=16, factor=8.0, beta_fast=8.0, beta_slow=2.0, theta=10000.0,
        eps=1e-2, swiglu_limit=3.0, full_layers=(0, 1), tap_rows=(0, 1, 22, 23, 24, 25, 31, 32, 59),
    ),
    Golden(
        name="past-4096", why="positions beyond the original context, published YaRN constants; every expert chosen, "
        "since among thousands of rows some would nearly tie",
        seed=702, layers=2, hidden=64, heads=2, kv_heads=1, head_dim=64, experts=4, top_k=4, width=32, vocab=200,
        window=128, prompt_tokens=4200, tap_rows=tuple(range(4192, 4200)), logit_rows_from=4136, sink_mean=4.0,
    ),
]
