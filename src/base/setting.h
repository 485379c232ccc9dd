// The settings that an error or a warning can name. Libraries know a setting by one name, whatever front end
// it comes from; each front end has its own spelling of it (a flag, a member of a request).
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace oxidized {

enum class Setting : uint8_t {
  kNone,
  kActivations,
  kContext,
  kCpuTier,
  kDevice,
  kExpertMemory,
  kExpertType,
  kInclude,
  kMaxTokens,
  kModelPath,
  kMoeTrace,
  kPackWeights,
  kPackedWeights,
  kPrecision,
  kQuantizeExperts,
  kReplace,
  kThreads,
  kTokenizerPath,
  kUseMmap,
};
inline constexpr int kNumSettings = static_cast<int>(Setting::kUseMmap) + 1;

// "expert_memory"; "" for kNone.
std::string_view NameOf(Setting setting);

// How a front end writes a setting: "--expert-memory".
using Spelling = std::function<std::string(Setting)>;

// What somebody can do about an error. In `words` the setting, if there is one, stands as "{}": {kDevice,
// "use {} cpu"} reads "use device cpu".
struct Remedy {
  Setting setting = Setting::kNone;
  std::string words = {};

  std::string Text(const Spelling& spelling) const;
};

}  // namespace oxidized
