// What a person writes to name a model of the hub: org/name[@revision][:QUANT], with "hf:" before it where a
// path could stand too.
#pragma once

#include <string>
#include <string_view>

namespace oxidized::hub {

struct RepoSpec {
  std::string id;                 // "openai/gpt-oss-20b"
  std::string revision = "main";  // branch, tag or commit
  std::string quant;              // which GGUF file of several: "Q4_K_M"; empty: not said
};

// Whether a model path names a model of the hub ("hf:…") rather than a file or folder.
bool IsHubPath(std::string_view text);

// With or without "hf:". Throws Error(kUsage) saying what is wrong with it.
RepoSpec ParseRepoSpec(std::string_view text);

}  // namespace oxidized::hub
