#include "hub/repo_spec.h"

#include "base/error.h"
#include "hub/text.h"

namespace oxidized::hub {
namespace {

constexpr std::string_view kPrefix = "hf:";

bool IsWord(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

bool All(std::string_view text, std::string_view others) {
  for (const char c : text) {
    if (!IsWord(c) && others.find(c) == others.npos) return false;
  }
  return !text.empty();
}

// huggingface_hub's rules (utils/_validators.py): letters, digits, '-', '_' and '.', neither "--" nor "..",
// no '-' or '.' at an end, 96 characters, and "--" is what the cache writes for '/'.
bool IsRepoId(std::string_view id) {
  const size_t slash = id.find('/');
  if (slash == id.npos || id.size() > 96) return false;
  for (const std::string_view part : {id.substr(0, slash), id.substr(slash + 1)}) {
    if (!All(part, "-.") || part.find("--") != part.npos || part.find("..") != part.npos) return false;
    if (!IsWord(part.front()) || !IsWord(part.back())) return false;
  }
  return !id.ends_with(".git");
}

// What is meant by Ollama's tags, and by names without their organisation.
std::string KnownName(std::string_view text) {
  for (const char* size : {"20b", "120b"}) {
    for (const char* form : {"gpt-oss:{}", "gpt-oss-{}", "gpt_oss_{}", "gptoss-{}", "gpt-oss{}"}) {
      if (text == fmt::format(fmt::runtime(form), size)) return fmt::format("openai/gpt-oss-{}", size);
    }
  }
  return text == "gpt-oss" || text == "gpt-oss:latest" ? "openai/gpt-oss-20b" : "";
}

}  // namespace

bool IsHubPath(std::string_view text) { return text.starts_with(kPrefix); }

std::string GuessSpec(std::string_view text) {
  if (std::string known = KnownName(text); !known.empty()) return known;
  if (text.starts_with("HF:")) text.remove_prefix(kPrefix.size());
  if (text.starts_with("ollama://")) return GuessSpec(text.substr(std::string_view("ollama://").size()));
  try {
    const RepoSpec spec = ParseRepoSpec(text);
    return spec.id + (spec.revision == "main" ? "" : "@" + spec.revision) +
           (spec.quant.empty() ? "" : ":" + spec.quant);
  } catch (const Error&) {
    return "";
  }
}

int64_t KnownPullBytes(std::string_view id) {
  if (id == "openai/gpt-oss-20b") return 13'800'000'000;
  if (id == "openai/gpt-oss-120b") return 65'300'000'000;
  return 0;
}

RepoSpec ParseRepoSpec(std::string_view text) {
  std::string_view rest = text;
  if (IsHubPath(rest)) rest.remove_prefix(kPrefix.size());
  if (const std::string known = KnownName(rest); !known.empty())
    Fail(ErrorKind::kUsage, "{}: expected org/name[@revision][:QUANT]; did you mean {}?", Quoted(text),
         known);
  if (rest.starts_with("//")) rest.remove_prefix(2);  // hf://org/name, as huggingface_hub writes it
  bool site = false;  // the address of a browser, with or without the page behind the name
  for (const std::string_view prefix : {"https://", "http://", "www.", "huggingface.co/", "hf.co/"}) {
    if (!rest.starts_with(prefix)) continue;
    rest.remove_prefix(prefix.size());
    site |= prefix.ends_with("co/");
  }
  if (site) {
    for (const std::string_view page : {"/tree/main", "/blob/main", "/resolve/main"})
      rest = rest.substr(0, rest.find(page));
  }
  while (rest.ends_with('/')) rest.remove_suffix(1);
  RepoSpec spec;
  if (const size_t colon = rest.find(':'); colon != rest.npos) {
    spec.quant = rest.substr(colon + 1);
    rest = rest.substr(0, colon);
    if (!All(spec.quant, "-.") || spec.quant.size() > 64) {
      Fail(ErrorKind::kUsage, "{}: {} is not a name of a quantisation such as Q4_K_M", Quoted(text),
           Quoted(spec.quant));
    }
  }
  if (const size_t at = rest.find('@'); at != rest.npos) {
    spec.revision = rest.substr(at + 1);
    rest = rest.substr(0, at);
    if (!All(spec.revision, "-./+") || !IsPlainRelativePath(spec.revision)) {
      Fail(ErrorKind::kUsage, "{}: {} is not a branch, tag or commit", Quoted(text), Quoted(spec.revision));
    }
  }
  if (!IsRepoId(rest)) {
    Fail(ErrorKind::kUsage, "{}: expected org/name[@revision][:QUANT], such as openai/gpt-oss-20b",
         Quoted(text));
  }
  spec.id = rest;
  return spec;
}

}  // namespace oxidized::hub
