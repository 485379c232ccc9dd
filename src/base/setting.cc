#include "base/setting.h"

#include <iterator>

namespace oxidized {
namespace {

// In the order of the enumeration.
constexpr std::string_view kNames[] = {
    "",
    "activations",
    "context",
    "cpu_tier",
    "device",
    "expert_memory",
    "expert_type",
    "include",
    "max_tokens",
    "model_path",
    "moe_trace",
    "pack_weights",
    "packed_weights",
    "precision",
    "quantize_experts",
    "replace",
    "threads",
    "tokenizer_path",
    "use_mmap",
};
static_assert(std::size(kNames) == kNumSettings);

}  // namespace

std::string_view NameOf(Setting setting) { return kNames[static_cast<size_t>(setting)]; }

std::string Remedy::Text(const Spelling& spelling) const {
  std::string text = words;
  if (const size_t at = text.find("{}"); setting != Setting::kNone && at != std::string::npos)
    text.replace(at, 2, spelling(setting));
  return text;
}

}  // namespace oxidized
