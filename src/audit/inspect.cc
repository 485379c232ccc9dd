#include "audit/inspect.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <tuple>

#include "base/printable.h"
#include "base/text_table.h"
#include "checkpoint/json_file.h"
#include "checkpoint/message_text.h"
#include "model/costs.h"

namespace oxidized {
namespace {

// Tensors whose names differ only in the layer number and that have one type and shape: one line of the
// report.
struct Group {
  std::string name;  // "model.layers.*.mlp.router.weight"
  DType dtype;
  std::vector<int64_t> shape;
  int64_t count = 0;
  int64_t bytes = 0;
};

// Replaces the number between "layers." (GGUF: "blk.", original/: "block.") and the next dot by a star.
std::string WithoutLayerNumber(const std::string& name) {
  for (const std::string_view mark : {"layers.", "blk.", "block."}) {
    const size_t before = name.find(mark);
    if (before == std::string::npos) continue;
    const size_t begin = before + mark.size();
    const size_t end = std::min(name.find_first_not_of("0123456789", begin), name.size());
    if (end != begin) return name.substr(0, begin) + "*" + name.substr(end);
  }
  return name;
}

std::vector<Group> GroupTensors(const Checkpoint& checkpoint) {
  using Key = std::tuple<std::string, DType, std::vector<int64_t>>;
  std::map<Key, Group> groups;
  for (const StoredTensor& tensor : checkpoint.tensors) {
    const std::string name = WithoutLayerNumber(tensor.name);
    Group& group = groups[Key(name, tensor.dtype, tensor.shape)];
    group.name = name;
    group.dtype = tensor.dtype;
    group.shape = tensor.shape;
    group.count += 1;
    group.bytes += tensor.bytes;
  }
  std::vector<Group> sorted;
  for (auto& [key, group] : groups) sorted.push_back(std::move(group));
  std::sort(sorted.begin(), sorted.end(), [](const Group& a, const Group& b) {
    return std::tie(b.bytes, a.name) < std::tie(a.bytes, b.name);
  });
  return sorted;
}

// KV memory with 16-bit values: layers with full attention grow with the context, sliding ones stop at the
// window.
struct KvBytes {
  int64_t per_token = 0;  // every layer, as long as no window is full
  int64_t growing = 0;    // full layers only: per token beyond the window
  int64_t windows = 0;    // constant part of the sliding layers once their windows are full
};

KvBytes ComputeKvBytes(const ModelConfig& config, const ModelCosts& costs) {
  constexpr int64_t kBytesPerElement = 2;
  const int64_t layer = costs.kv_elements_per_token * kBytesPerElement;
  KvBytes kv;
  kv.per_token = layer * config.num_layers;
  for (const LayerConfig& one : config.layers) {
    if (one.slides()) {
      kv.windows += layer * *one.window;
    } else {
      kv.growing += layer;
    }
  }
  return kv;
}

std::string Size(int64_t bytes) {
  const auto value = static_cast<double>(bytes);
  if (bytes >= 1'000'000'000) return fmt::format("{:.2f} GB", value * 1e-9);
  if (bytes >= 1'000'000) return fmt::format("{:.2f} MB", value * 1e-6);
  if (bytes >= 10'000) return fmt::format("{:.1f} kB", value * 1e-3);
  return fmt::format("{} B", bytes);
}

std::string Count(int64_t n) {
  const auto value = static_cast<double>(n);
  if (n >= 1'000'000'000) return fmt::format("{:.2f} billion", value * 1e-9);
  return n >= 1'000'000 ? fmt::format("{:.2f} million", value * 1e-6) : std::to_string(n);
}

// Alternating kinds, which every published model has, in two words; anything else letter by letter.
std::string LayerText(const std::vector<LayerConfig>& layers) {
  bool alternating = true;
  std::string letters;
  for (size_t i = 0; i < layers.size(); ++i) {
    letters += layers[i].slides() ? 's' : 'f';
    alternating = alternating && layers[i].slides() == (i % 2 == 0);
  }
  return alternating ? "sliding, full, alternating" : letters + " (s sliding, f full)";
}

// "128", or "128 or 8192" where layers differ.
template <typename Value>
std::string ValuesOf(const std::vector<LayerConfig>& layers, Value value) {
  std::set<int32_t> values;
  for (const LayerConfig& layer : layers) {
    if (const std::optional<int32_t> one = value(layer)) values.insert(*one);
  }
  return values.empty() ? "none" : fmt::format("{}", fmt::join(values, " or "));
}
std::string ExpertsText(const ModelConfig& c) {
  return ValuesOf(c.layers, [](const LayerConfig& layer) { return std::optional(layer.num_experts); });
}
std::string WindowsText(const ModelConfig& c) {
  return ValuesOf(c.layers, [](const LayerConfig& layer) { return layer.window; });
}

std::string ConfigText(const ModelConfig& c) {
  const RopeConfig& rope = c.rope;
  std::string text;
  const auto line = [&](const char* what, const std::string& value) {
    text += WrapBehind(fmt::format("  {:<22}", what), value, kTableColumns) + '\n';
  };
  line("layers (L)", fmt::format("{}: {}", c.num_layers, LayerText(c.layers)));
  line("model width (M)", std::to_string(c.hidden_size));
  line("heads (H, G, D)",
       fmt::format("{} query, {} key/value, of {}", c.num_heads, c.num_kv_heads, c.head_dim));
  line("experts (E, K, F)",
       fmt::format("{}, {} per token, width {}", ExpertsText(c), c.experts_per_token, c.expert_width));
  line("vocabulary (V)", std::to_string(c.vocab_size));
  line("context", fmt::format("{} tokens, sliding window {}", c.max_context, WindowsText(c)));
  line("rope", fmt::format("theta {}, YaRN factor {} over {}, beta {} to {}{}", rope.theta, rope.factor,
                           rope.original_context, rope.beta_fast, rope.beta_slow,
                           rope.truncate ? ", truncated" : ""));
  line("constants", fmt::format("RMS epsilon {}, SwiGLU alpha {}, limit {}", c.rms_norm_eps, c.swiglu_alpha,
                                c.swiglu_limit));
  std::string ids;
  for (const int32_t id : c.eos_token_ids) ids += (ids.empty() ? "" : ", ") + std::to_string(id);
  line("end-of-sequence ids", ids.empty() ? "none" : ids);
  return text;
}

nlohmann::ordered_json ConfigJson(const ModelConfig& c) {
  nlohmann::ordered_json layers = nlohmann::ordered_json::array(), experts = layers, windows = layers;
  for (const LayerConfig& layer : c.layers) {
    layers.push_back(layer.slides() ? "sliding" : "full");
    experts.push_back(layer.num_experts);
    windows.push_back(layer.slides() ? nlohmann::ordered_json(*layer.window) : nullptr);
  }
  return {{"num_layers", c.num_layers},
          {"hidden_size", c.hidden_size},
          {"num_heads", c.num_heads},
          {"num_kv_heads", c.num_kv_heads},
          {"head_dim", c.head_dim},
          {"num_experts", c.most_experts()},
          {"experts_per_token", c.experts_per_token},
          {"expert_width", c.expert_width},
          {"vocab_size", c.vocab_size},
          {"sliding_window", c.shortest_window()},
          {"max_context", c.max_context},
          {"rms_norm_eps", ShortestDecimal(c.rms_norm_eps)},
          {"swiglu_alpha", ShortestDecimal(c.swiglu_alpha)},
          {"swiglu_limit", ShortestDecimal(c.swiglu_limit)},
          {"rope",
           {{"theta", c.rope.theta},
            {"factor", c.rope.factor},
            {"beta_fast", c.rope.beta_fast},
            {"beta_slow", c.rope.beta_slow},
            {"original_context", c.rope.original_context},
            {"truncate", c.rope.truncate},
            {"attention_factor", c.rope.attention_factor}}},
          {"layers", std::move(layers)},
          {"layer_experts", std::move(experts)},
          {"layer_windows", std::move(windows)},
          {"eos_token_ids", c.eos_token_ids},
          {"pad_token_id", c.pad_token_id}};
}

// A table of what every layer has, named without the part that they share, and one of everything else.
std::string TensorTables(const Checkpoint& checkpoint) {
  std::map<std::string, TextTable, std::greater<>> tables;  // by the part that goes into the heading
  for (const Group& group : GroupTensors(checkpoint)) {
    const size_t star = group.name.find("*.");
    const std::string layers = star == std::string::npos ? "" : group.name.substr(0, star + 2);
    TextTable& table = tables[layers];
    if (table.names.empty())
      table.names = {EscapeUnprintable(layers) + (layers.empty() ? "others" : "") + ", largest first", "",
                     "type", "shape", "size"};
    table.rows.push_back({EscapeUnprintable(group.name.substr(layers.size())),
                          fmt::format("{} x", group.count), Name(group.dtype), ShapeText(group.shape),
                          Size(group.bytes)});
  }
  std::string text;
  for (const auto& [layers, table] : tables) text += Aligned(table, "  ");
  return text;
}

}  // namespace

std::string InspectText(const Checkpoint& checkpoint) {
  const ModelCosts costs = ComputeCosts(checkpoint.config, checkpoint.weights);
  const KvBytes kv = ComputeKvBytes(checkpoint.config, costs);
  std::string text = fmt::format("{}\n{}\n\nConfiguration\n{}", EscapeUnprintable(checkpoint.path.string()),
                                 checkpoint.format, ConfigText(checkpoint.config));
  text += fmt::format("\nParameters  {} ({})\n", Count(costs.parameters), costs.parameters);
  text += fmt::format("Weights     {} ({} in experts)\n", Size(costs.weight_bytes), Size(costs.expert_bytes));
  text += fmt::format(
      "Per decoded token\n  weights read          {} ({} B)\n  operations            {:.2f} GFLOP, attention "
      "scores not counted\n",
      Size(costs.decode_bytes), costs.decode_bytes, static_cast<double>(costs.decode_flops) * 1e-9);
  text += fmt::format(
      "KV per token, 16-bit\n  first {:<16}{} ({} B)\n  beyond                {} ({} B), windows {} in all\n",
      fmt::format("{} tokens", checkpoint.config.shortest_window()), Size(kv.per_token), kv.per_token,
      Size(kv.growing), kv.growing, Size(kv.windows));

  text += fmt::format("\nTensors     {}\n", checkpoint.tensors.size()) + TensorTables(checkpoint);
  if (const DecodedTensors& decoded = checkpoint.decoded; decoded.tensors > 0) {
    text += fmt::format("\nConverted at load  {}, {} in the file, {} of memory\n",
                        Counted(decoded.tensors, "tensor"), Size(decoded.stored_bytes), Size(decoded.bytes));
  }
  text += fmt::format("\nFiles       {}\n", checkpoint.files.size());
  TextTable files{{"as they are read", "size"}, {}};
  for (const MappedFile& file : checkpoint.files) {
    files.rows.push_back({EscapeUnprintable(file.path().filename().string()),
                          Size(static_cast<int64_t>(file.bytes().size()))});
  }
  text += Aligned(files, "  ");
  if (checkpoint.vocabulary) {
    text += fmt::format("  a vocabulary of {} tokens in the file\n", checkpoint.vocabulary->tokens.count);
  } else if (checkpoint.tokenizer_candidates.empty()) {
    text += "  no tokenizer in the folder\n";
  }
  for (const auto& path : checkpoint.tokenizer_candidates)
    text += fmt::format("  {}\n", EscapeUnprintable(path.filename().string()));
  return text;
}

std::string InspectJson(const Checkpoint& checkpoint) {
  using Json = nlohmann::ordered_json;
  const ModelCosts costs = ComputeCosts(checkpoint.config, checkpoint.weights);
  const KvBytes kv = ComputeKvBytes(checkpoint.config, costs);
  Json groups = Json::array(), files = Json::array(), tokenizers = Json::array(), tensors = Json::array();
  for (const Group& group : GroupTensors(checkpoint)) {
    groups.push_back({{"name", group.name},
                      {"count", group.count},
                      {"dtype", Name(group.dtype)},
                      {"shape", group.shape},
                      {"bytes", group.bytes}});
  }
  for (const MappedFile& file : checkpoint.files) {
    files.push_back({{"name", file.path().filename().string()}, {"bytes", file.bytes().size()}});
  }
  for (const auto& path : checkpoint.tokenizer_candidates) tokenizers.push_back(path.string());
  for (const StoredTensor& tensor : checkpoint.tensors) {
    tensors.push_back({{"name", tensor.name},
                       {"dtype", Name(tensor.dtype)},
                       {"shape", tensor.shape},
                       {"bytes", tensor.bytes},
                       {"file", tensor.file}});
  }
  const Json report = {{"path", checkpoint.path.string()},
                       {"format", checkpoint.format},
                       {"config", ConfigJson(checkpoint.config)},
                       {"parameters", costs.parameters},
                       {"costs",
                        {{"weight_bytes", costs.weight_bytes},
                         {"expert_bytes", costs.expert_bytes},
                         {"decode_bytes", costs.decode_bytes},
                         {"decode_flops", costs.decode_flops},
                         {"prefill_flops", costs.prefill_flops},
                         {"kv_bytes_per_token", kv.per_token},
                         {"kv_bytes_per_token_beyond_window", kv.growing},
                         {"kv_window_bytes", kv.windows}}},
                       {"converted",
                        {{"tensors", checkpoint.decoded.tensors},
                         {"stored_bytes", checkpoint.decoded.stored_bytes},
                         {"bytes", checkpoint.decoded.bytes}}},
                       {"groups", std::move(groups)},
                       {"files", std::move(files)},
                       {"tokenizers", std::move(tokenizers)},
                       {"tensors", std::move(tensors)}};
  // Paths may hold bytes that are not UTF-8: replaced rather than refused.
  return report.dump(2, ' ', /*ensure_ascii=*/true, Json::error_handler_t::replace) + "\n";
}

}  // namespace oxidized
