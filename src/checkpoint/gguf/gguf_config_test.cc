// Metadata of GGUF files: what it means for the model, and what is refused.
#include <gtest/gtest.h>

#include <cmath>

#include "checkpoint/gguf/gguf_model_test_util.h"

namespace oxidized {
namespace {

using namespace testing;

constexpr ErrorKind kBad = ErrorKind::kBadFile;
constexpr ErrorKind kUnsupported = ErrorKind::kUnsupported;

TEST_F(GgufModel, ConfigurationIsThatOfTheHuggingFaceForm) {
  for (const Naming naming : {Naming::kLlamaCpp, Naming::kOllama}) {
    const ModelConfig c = Open(MakeGguf(hf_, {naming}).Build()).config;
    EXPECT_EQ(c.num_layers, 2);
    EXPECT_EQ(c.hidden_size, 32);
    EXPECT_EQ(c.num_heads, 4);
    EXPECT_EQ(c.num_kv_heads, 2);
    EXPECT_EQ(c.head_dim, 8);
    EXPECT_EQ(c.num_experts, 2);
    EXPECT_EQ(c.experts_per_token, 1);
    EXPECT_EQ(c.expert_width, 64);
    EXPECT_EQ(c.vocab_size, 96);
    EXPECT_EQ(c.sliding_window, 4);
    EXPECT_EQ(c.layers, (std::vector{LayerKind::kSliding, LayerKind::kFull}));
    EXPECT_EQ(c.eos_token_ids, (std::vector<int32_t>{7, 9}));
    EXPECT_EQ(c.rope.theta, 150000.0);
    EXPECT_EQ(c.rope.factor, 32.0);
    EXPECT_EQ(c.rope.original_context, 4096);
    EXPECT_FALSE(c.rope.truncate);
    EXPECT_EQ(c.swiglu_limit, 7.0f);
    EXPECT_EQ(c.swiglu_alpha, 1.702f);
    EXPECT_EQ(c.rms_norm_eps, 1e-5f);
  }
}

TEST_F(GgufModel, KeysThatChangeTheModelAreHonouredOrRefused) {
  const auto config = [&](const std::function<void(GgufBuilder&)>& change) {
    GgufBuilder gguf = MakeGguf(hf_, {});
    change(gguf);
    return Open(gguf.Build()).config;
  };
  const std::string pattern = "gpt-oss.attention.sliding_window_pattern";
  EXPECT_EQ(config([&](auto& g) { g.Array(pattern, 7, 2, {'\0', '\1'}); }).layers,
            (std::vector{LayerKind::kFull, LayerKind::kSliding}));
  EXPECT_EQ(config([&](auto& g) { g.U32(pattern, 1); }).layers,
            (std::vector{LayerKind::kFull, LayerKind::kFull}));
  EXPECT_EQ(config([&](auto& g) { g.U32(pattern, 4); }).layers,
            (std::vector{LayerKind::kSliding, LayerKind::kSliding}));
  const RopeConfig rope = config([&](auto& g) {
                            g.F32("gpt-oss.rope.scaling.yarn_beta_fast", 16.0f);
                            g.F32("gpt-oss.rope.scaling.yarn_beta_slow", 2.0f);
                            g.F32("gpt-oss.rope.scaling.yarn_ext_factor", 1.0f);
                          }).rope;
  EXPECT_EQ(rope.beta_fast, 16.0);
  EXPECT_EQ(rope.beta_slow, 2.0);

  const auto broken = [&](ErrorKind kind, const std::vector<std::string>& parts,
                          const std::function<void(GgufBuilder&)>& change) {
    GgufBuilder gguf = MakeGguf(hf_, {});
    change(gguf);
    ExpectBroken(gguf, kind, parts);
  };
  broken(kBad, {"sliding_window_pattern is an array of 1 bool"},
         [&](auto& g) { g.Array(pattern, 7, 1, {'\1'}); });
  broken(kBad, {"sliding_window_pattern is 0"}, [&](auto& g) { g.U32(pattern, 0); });
  broken(kUnsupported, {"yarn_attn_factor is 2"},
         [&](auto& g) { g.F32("gpt-oss.rope.scaling.yarn_attn_factor", 2.0f); });
  broken(kUnsupported, {"rope.dimension_count is 4", "head size 8"},
         [&](auto& g) { g.U32("gpt-oss.rope.dimension_count", 4); });
  // The value behind a key that is there already: replaced, as the first of a kind.
  const auto replaced = [&](const std::string& key, const std::string& value) {
    return [key, value](GgufBuilder& g) {
      std::erase_if(g.values(), [&](const std::string& v) { return v.starts_with(RawString(key)); });
      if (!value.empty()) g.values().push_back(RawString(key) + value);
    };
  };
  const std::string u32 = Raw(uint32_t{4}), f32 = Raw(uint32_t{6}), text = Raw(uint32_t{8});
  broken(kUnsupported, {"general.architecture is \"llama\"", "only gpt-oss"},
         replaced("general.architecture", text + RawString("llama")));
  broken(kBad, {"general.architecture is missing"}, replaced("general.architecture", ""));
  broken(kBad, {"gpt-oss.block_count is -4, expected 1 to"},
         replaced("gpt-oss.block_count", Raw(uint32_t{5}) + Raw(int32_t{-4})));
  broken(kBad, {"gpt-oss.block_count is missing"}, replaced("gpt-oss.block_count", ""));
  broken(kBad, {"gpt-oss.block_count is a f32", "an integer"},
         replaced("gpt-oss.block_count", f32 + Raw(2.0f)));
  broken(kBad, {"gpt-oss.block_count is an array"},
         replaced("gpt-oss.block_count", Raw(uint32_t{9}) + u32 + Raw(uint64_t{1}) + Raw(2)));
  broken(kBad, {"gpt-oss.expert_count is 4294967295", "32 bits"},
         replaced("gpt-oss.expert_count", u32 + Raw(uint32_t{0xFFFFFFFF})));
  broken(kBad, {"rope.freq_base is nan", "finite"}, replaced("gpt-oss.rope.freq_base", f32 + Raw(NAN)));
  broken(kBad, {"rope.freq_base is a u32"}, replaced("gpt-oss.rope.freq_base", u32 + Raw(1)));
  broken(kUnsupported, {"rope.scaling.type is \"linear\""},
         replaced("gpt-oss.rope.scaling.type", text + RawString("linear")));
  broken(kBad, {"gpt-oss.attention.head_count 4", "gpt-oss.attention.head_count_kv 3"},
         replaced("gpt-oss.attention.head_count_kv", u32 + Raw(3)));
}

}  // namespace
}  // namespace oxidized
