#include "checkpoint/hf/hf_config.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "checkpoint/model_files.h"
#include "rewrite/testing/checkpoint_test_util.h"

namespace oxidized {
namespace {

using Json = nlohmann::json;

Json Published() {
  SynthOptions options;
  options.preset = "gpt-oss-20b";
  return Json::parse(PublishedConfigJson(SynthConfig(options)));
}

HfConfig Parse(const Json& json) { return ParseHfConfig(json.dump(), "config.json"); }

TEST(HfConfig, ThePublishedFormIsReadBack) {
  const HfConfig config = Parse(Published());
  EXPECT_TRUE(config.claims_mxfp4);
  EXPECT_FALSE(config.tied_embeddings);
  const ModelConfig& model = config.model;
  EXPECT_EQ(model.num_layers, 24);
  EXPECT_EQ(model.hidden_size, 2880);
  EXPECT_EQ(model.num_heads, 64);
  EXPECT_EQ(model.num_kv_heads, 8);
  EXPECT_EQ(model.head_dim, 64);
  EXPECT_EQ(model.most_experts(), 32);
  EXPECT_EQ(model.least_experts(), 32);
  EXPECT_EQ(model.experts_per_token, 4);
  EXPECT_EQ(model.expert_width, 2880);
  EXPECT_EQ(model.vocab_size, 201088);
  EXPECT_EQ(model.shortest_window(), 128);
  EXPECT_TRUE(model.layers_alike());
  EXPECT_EQ(model.max_context, 131072);
  EXPECT_EQ(model.rms_norm_eps, 1e-5f);
  EXPECT_EQ(model.swiglu_alpha, 1.702f);
  EXPECT_EQ(model.swiglu_limit, 7.0f);
  EXPECT_EQ(model.rope.theta, 150000.0);
  EXPECT_EQ(model.rope.factor, 32.0);
  EXPECT_EQ(model.rope.original_context, 4096);
  EXPECT_FALSE(model.rope.truncate);
  EXPECT_EQ(model.layers[0], (LayerConfig{128, 32}));
  EXPECT_EQ(model.layers[23], (LayerConfig{std::nullopt, 32}));
  EXPECT_EQ(model.eos_token_ids, std::vector<int32_t>{200002});
  EXPECT_EQ(model.pad_token_id, 199999);
}

TEST(HfConfig, AbsentFieldsMeanWhatTransformersMeansByThem) {
  Json json = Published();
  for (const char* key :
       {"layer_types", "rope_scaling", "rope_theta", "swiglu_limit", "head_dim", "sliding_window",
        "quantization_config", "experts_per_token", "max_position_embeddings", "eos_token_id"}) {
    json.erase(key);
  }
  const HfConfig config = Parse(json);
  EXPECT_FALSE(config.claims_mxfp4);
  EXPECT_EQ(config.model.head_dim, 64);
  EXPECT_EQ(config.model.swiglu_limit, 7.0f);
  EXPECT_EQ(config.model.rope.factor, 32.0);
  EXPECT_FALSE(config.model.rope.truncate);
  EXPECT_FALSE(config.model.layers[1].slides());
  EXPECT_TRUE(config.model.eos_token_ids.empty());
}

// As nvidia/gpt-oss-puzzle-88B has it: 64 or 128 experts, windows of 128, 8192 and none.
TEST(HfConfig, LayersMayDiffer) {
  Json json = Published();
  json["model_type"] = "gpt_oss_puzzle";
  json["num_hidden_layers"] = 3;
  json.erase("num_local_experts");
  json.erase("sliding_window");
  json["block_configs"] = {{{"num_local_experts", 128}, {"sliding_window", 128}},
                           {{"num_local_experts", 64}, {"sliding_window", nullptr}},
                           {{"num_local_experts", 64}, {"sliding_window", 8192}}};
  json["layer_types"] = {"sliding_attention", "full_attention", "sliding_attention"};
  const ModelConfig model = Parse(json).model;
  EXPECT_EQ(model.layers, (std::vector<LayerConfig>{{128, 128}, {std::nullopt, 64}, {8192, 64}}));
  EXPECT_EQ(model.most_experts(), 128);
  EXPECT_EQ(model.least_experts(), 64);
  EXPECT_EQ(model.all_experts(), 256);
  EXPECT_FALSE(model.layers_alike());

  const auto broken = [&](std::vector<std::string> parts, auto change) {
    Json bad = json;
    change(bad);
    testing::ExpectError(ErrorKind::kBadFile, parts, [&] { Parse(bad); });
  };
  broken({"layer_types and block_configs differ", "layer 1"},
         [](Json& j) { j["layer_types"][1] = "sliding_attention"; });
  broken({"block_configs[1].", "num_local_experts is missing"},
         [](Json& j) { j["block_configs"][1].erase("num_local_experts"); });
  broken({"sliding_window is 0"}, [](Json& j) { j["block_configs"][0]["sliding_window"] = 0; });
  broken({"num_local_experts is -1"}, [](Json& j) { j["block_configs"][2]["num_local_experts"] = -1; });
  broken({"num_experts_per_tok is 4", "1 to 2"},
         [](Json& j) { j["block_configs"][2]["num_local_experts"] = 2; });
  broken({"layer_types has 2 entries for 3"}, [](Json& j) { j["block_configs"].erase(2); });
  broken({"block_configs", "an array"}, [](Json& j) { j["block_configs"] = 3; });
  broken({"block_configs", "objects"}, [](Json& j) { j["block_configs"][0] = 3; });
}

TEST(HfConfig, RopeParametersHoldTheirOwnTheta) {
  Json json = Published();
  json.erase("rope_scaling");
  json.erase("rope_theta");
  json["swiglu_alpha"] = 1.5;
  json["rope_parameters"] = {{"rope_type", "yarn"}, {"rope_theta", 1000.0},
                             {"factor", 8.0},       {"beta_fast", 16.0},
                             {"beta_slow", 2.0},    {"original_max_position_embeddings", 64},
                             {"truncate", true},    {"attention_factor", 1.25}};
  const ModelConfig model = Parse(json).model;
  EXPECT_EQ(model.swiglu_alpha, 1.5f);
  EXPECT_EQ(model.rope.theta, 1000.0);
  EXPECT_EQ(model.rope.factor, 8.0);
  EXPECT_EQ(model.rope.beta_fast, 16.0);
  EXPECT_EQ(model.rope.beta_slow, 2.0);
  EXPECT_EQ(model.rope.original_context, 64);
  EXPECT_TRUE(model.rope.truncate);
  EXPECT_EQ(model.rope.attention_factor, 1.25);
}

TEST(HfConfig, TruncateAbsentFromTheRopeFieldsIsFalse) {
  Json json = Published();
  json["rope_scaling"].erase("truncate");
  EXPECT_FALSE(Parse(json).model.rope.truncate);
}

TEST(HfConfig, RopeWithoutScaling) {
  Json json = Published();
  json.erase("rope_scaling");
  json["rope_parameters"] = {{"rope_type", "default"}, {"rope_theta", 500.0}};
  EXPECT_EQ(Parse(json).model.rope.factor, 1.0);
  EXPECT_EQ(Parse(json).model.rope.theta, 500.0);
  json["rope_parameters"] = {{"rope_theta", 600.0}};
  EXPECT_EQ(Parse(json).model.rope.factor, 1.0);
  EXPECT_EQ(Parse(json).model.rope.theta, 600.0);
  json.erase("rope_parameters");  // gpt-oss's own
  EXPECT_EQ(Parse(json).model.rope.factor, 32.0);
  EXPECT_EQ(Parse(json).model.rope.original_context, 4096);
}

// As transformers 5 reads it, or not at all.
TEST(HfConfig, RopeFieldsThatCouldMeanTwoThings) {
  const auto refused = [](const Json& json, const std::vector<std::string>& parts) {
    testing::ExpectError(ErrorKind::kBadFile, parts, [&] { Parse(json); });
  };
  Json json = Published();
  json["rope_scaling"] = nullptr;
  refused(json, {"rope_scaling is null", "transformers 4", "transformers 5"});
  json["rope_parameters"] = {{"rope_type", "default"}};
  EXPECT_EQ(Parse(json).model.rope.factor, 1.0);

  json = Published();
  json["rope_scaling"].erase("rope_type");
  refused(json, {"rope_scaling.factor is 32", "rope_type is missing"});

  json = Published();
  json["rope_scaling"].erase("original_max_position_embeddings");
  refused(json, {"original_max_position_embeddings is missing", "131072", "initial_context_length is 4096"});
  json.erase("initial_context_length");
  EXPECT_EQ(Parse(json).model.rope.original_context, 131072);

  json = Published();
  json["rope_scaling"]["rope_theta"] = json["rope_theta"];
  EXPECT_EQ(Parse(json).model.rope.theta, 150000.0);
  json["rope_theta"] = 5.0;
  refused(json, {"rope_theta is 150000, but 5 beside that object"});

  json = Published();
  json["rope_parameters"] = json["rope_scaling"];
  EXPECT_EQ(Parse(json).model.rope.factor, 32.0);
  const auto differ = [&](const char* key, const Json& value, const std::vector<std::string>& parts) {
    Json other = json;
    other["rope_parameters"][key] = value;
    refused(other, parts);
  };
  differ("factor", 16.0, {"factor is 16 in rope_parameters and 32 in rope_scaling"});
  differ("rope_theta", 10000.0, {"rope_theta is 10000 in rope_parameters and 150000 in rope_scaling"});
  differ("original_max_position_embeddings", 8192, {"is 8192 in rope_parameters and 4096 in rope_scaling"});
  differ("truncate", true, {"truncate is true in rope_parameters and false in rope_scaling"});
  differ("rope_type", "default", {"factor is 1 in rope_parameters and 32 in rope_scaling"});
}

TEST(HfConfig, WrongFieldsAreNamed) {
  struct Case {
    const char* key;
    Json value;
    ErrorKind kind;
    std::vector<std::string> parts;
  };
  const auto bad = ErrorKind::kBadFile;
  const auto unsupported = ErrorKind::kUnsupported;
  const Case cases[] = {
      {"model_type", "llama", unsupported, {"model_type", "\"llama\"", "\"gpt_oss\""}},
      {"num_hidden_layers", "4", bad, {"num_hidden_layers is \"4\", expected"}},
      {"model_type", 7, bad, {"model_type", "a string"}},
      {"quantization_config", {{"quant_method", "awq"}}, unsupported, {"quant_method", "\"awq\"", "MXFP4"}},
      {"quantization_config", {{"quant_method", "fp8"}}, unsupported, {"\"fp8\""}},
      {"quantization_config", {{"quant_method", "bitsandbytes"}}, unsupported, {"\"bitsandbytes\""}},
      {"quantization_config", {{"quant_method", "nvfp4"}}, unsupported, {"\"nvfp4\""}},
      {"quantization_config", Json::object(), unsupported, {"quant_method"}},
      {"quantization_config", 3, bad, {"quantization_config", "an object"}},
      {"attention_bias", false, unsupported, {"attention_bias"}},
      {"num_hidden_layers", 0, bad, {"num_hidden_layers is 0"}},
      {"num_hidden_layers", 2000000000, bad, {"num_hidden_layers is 2000000000"}},
      {"num_hidden_layers", 23, bad, {"layer_types has 24 entries for 23 layers"}},
      {"num_hidden_layers", "24", bad, {"num_hidden_layers", "an integer"}},
      {"num_hidden_layers", 24.5, bad, {"num_hidden_layers", "an integer"}},
      {"num_hidden_layers", 1e300, bad, {"num_hidden_layers", "32 bits"}},
      {"num_hidden_layers", 4294967320, bad, {"num_hidden_layers", "32 bits"}},
      {"num_hidden_layers", nullptr, bad, {"num_hidden_layers is missing"}},
      {"hidden_size", 2881, bad, {"hidden_size is 2881", "multiple of 32"}},
      {"intermediate_size", 2890, bad, {"intermediate_size is 2890", "multiple of 32"}},
      {"num_key_value_heads", 7, bad, {"num_attention_heads 64", "num_key_value_heads 7"}},
      {"num_key_value_heads", 0, bad, {"num_key_value_heads is 0"}},
      {"num_experts_per_tok", 33, bad, {"num_experts_per_tok is 33", "experts_per_token is 4"}},
      {"head_dim", 63, bad, {"head_dim is 63"}},
      {"head_dim", -64, bad, {"head_dim is -64"}},
      {"vocab_size", 1 << 30, bad, {"vocab_size"}},
      {"sliding_window", 0, bad, {"sliding_window is 0"}},
      {"rms_norm_eps", 0.0, bad, {"rms_norm_eps"}},
      {"swiglu_limit", -7.0, bad, {"swiglu_limit"}},
      {"swiglu_limit", 1e300, bad, {"swiglu_limit", "finite"}},
      {"rope_theta", "x", bad, {"rope_theta", "a number"}},
      {"rope_scaling",
       {{"rope_type", "linear"}, {"factor", 2.0}},
       unsupported,
       {"rope_scaling.rope_type", "\"linear\""}},
      {"rope_scaling",
       {{"rope_type", "yarn"}, {"factor", 0.5}, {"original_max_position_embeddings", 4096}},
       bad,
       {"factor"}},
      {"rope_scaling",
       {{"rope_type", "yarn"}, {"truncate", 1}, {"original_max_position_embeddings", 4096}},
       bad,
       {"rope_scaling.truncate", "true or false"}},
      {"layer_types", "full_attention", bad, {"layer_types", "an array"}},
      {"layer_types", {"chunked_attention"}, bad, {"layer_types", "chunked_attention"}},
      {"eos_token_id", {1, "x"}, bad, {"eos_token_id", "an integer"}},
  };
  for (const Case& c : cases) {
    Json json = Published();
    json[c.key] = c.value;
    std::vector<std::string> parts = c.parts;
    parts.push_back("config.json: ");
    testing::ExpectError(c.kind, parts, [&] { Parse(json); });
  }
}

TEST(HfConfig, TextThatIsNoConfig) {
  const auto parse = [](const std::string& text) { ParseHfConfig(text, "config.json"); };
  const auto bad = ErrorKind::kBadFile;
  testing::ExpectError(bad, {"not valid JSON"}, [&] { parse(""); });
  testing::ExpectError(bad, {"not valid JSON"}, [&] { parse("{\"model_type\":"); });
  testing::ExpectError(bad, {"expected a JSON object, found array"}, [&] { parse("[]"); });
  testing::ExpectError(bad, {"model_type is missing"}, [&] { parse("{}"); });
  testing::ExpectError(bad, {"\"model_type\" appears twice"},
                       [&] { parse(R"({"model_type":"gpt_oss","model_type":"gpt_oss"})"); });
  testing::ExpectError(bad, {"nested more than"}, [&] { parse("{\"a\":" + std::string(5000, '[')); });
  testing::ExpectError(bad, {"expected at most"}, [&] { parse(std::string((16u << 20) + 1, ' ')); });
}

TEST(HfConfig, GenerationConfigAddsItsEndIdsFirst) {
  ModelConfig config;
  config.eos_token_ids = {200002, 5};
  AddGenerationConfig(R"({"eos_token_id":[200002,199999]})", "generation_config.json", config);
  EXPECT_EQ(config.eos_token_ids, (std::vector<int32_t>{200002, 199999, 5}));
  AddGenerationConfig(R"({"eos_token_id":3})", "generation_config.json", config);
  EXPECT_EQ(config.eos_token_ids, (std::vector<int32_t>{3, 200002, 199999, 5}));
  testing::ExpectError(ErrorKind::kBadFile, {"generation_config.json: eos_token_id"}, [&] {
    AddGenerationConfig(R"({"eos_token_id":{}})", "generation_config.json", config);
  });
}

TEST(SafetensorsIndex, OnlyPlainFileNames) {
  const auto parse = [](const std::string& text) { return ParseSafetensorsIndex(text, "index.json"); };
  const SafetensorsIndex index =
      parse(R"({"metadata":{"total_size":12},"weight_map":{"a":"x y.bin","b":"..z"}})");
  EXPECT_EQ(index.total_bytes, 12);
  EXPECT_EQ(index.file_of_tensor.at("a"), "x y.bin");
  EXPECT_EQ(parse(R"({"metadata":{"total_size":"?"},"weight_map":{"a":"b"}})").total_bytes, std::nullopt);
  for (const char* name : {"../a", "..", ".", "", "/etc/passwd", "a/b", "a\\\\b", "a\\u0000b"}) {
    testing::ExpectError(ErrorKind::kBadFile, {"index.json", "\"t\"", "plain name"},
                         [&] { parse(fmt::format(R"({{"weight_map":{{"t":"{}"}}}})", name)); });
  }
  testing::ExpectError(ErrorKind::kBadFile, {"weight_map"}, [&] { parse("{}"); });
  testing::ExpectError(ErrorKind::kBadFile, {"weight_map"}, [&] { parse(R"({"weight_map":{}})"); });
  testing::ExpectError(ErrorKind::kBadFile, {"\"a\" appears twice"},
                       [&] { parse(R"({"weight_map":{"a":"b","a":"c"}})"); });
  testing::ExpectError(ErrorKind::kBadFile, {"\"a\" is not a string"},
                       [&] { parse(R"({"weight_map":{"a":1}})"); });
}

}  // namespace
}  // namespace oxidized
