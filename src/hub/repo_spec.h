// What a person writes to name a model of the hub: org/name[@revision][:QUANT], with "hf:" before it where a
// path could stand too.
#pragma once

#include <cstdint>
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

// The model of the hub that a name of another program, of a site or of nothing else most likely means:
// "gpt-oss:20b" (Ollama), "openai/gpt-oss-20b", "https://huggingface.co/org/name". As it is written behind
// "hf:". "": none.
std::string GuessSpec(std::string_view text);

// Bytes that a pull of the repository fetches, of those everybody uses, as their listings say; 0: not known.
int64_t KnownPullBytes(std::string_view id);

// With or without "hf:". Throws Error(kUsage) saying what is wrong with it.
RepoSpec ParseRepoSpec(std::string_view text);

}  // namespace oxidized::hub
