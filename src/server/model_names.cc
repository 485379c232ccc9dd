#include "server/model_names.h"

#include <fmt/core.h>

#include <algorithm>

#include "server/api_error.h"

namespace oxidized::server {
namespace {

constexpr std::string_view kHub = "hf:";

// Of a model of the hub its name there, without revision and quantisation; else that of the file or folder.
std::string NameOf(const std::filesystem::path& path) {
  std::string name = path.string();
  if (name.starts_with(kHub)) {
    name.erase(0, kHub.size());
    return name.substr(0, name.find_first_of("@:"));
  }
  std::filesystem::path last = path.filename();
  if (last.empty()) last = path.parent_path().filename();
  name = last.extension() == ".gguf" ? last.stem().string() : last.string();
  return name.empty() || name == "." || name == ".." ? "gpt-oss" : name;
}

std::string Plain(std::string_view name) {
  std::string plain(name.substr(name.rfind('/') == std::string_view::npos ? 0 : name.rfind('/') + 1));
  std::transform(plain.begin(), plain.end(), plain.begin(), [](char c) {
    if (c == ':') return '-';
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  });
  return plain;
}

}  // namespace

ModelNames::ModelNames(std::vector<std::string> names, const std::filesystem::path& model_path)
    : names_(std::move(names)) {
  if (names_.empty()) names_.push_back(NameOf(model_path));
}

bool ModelNames::Knows(std::string_view name) const {
  const std::string plain = Plain(name);
  return std::any_of(names_.begin(), names_.end(),
                     [&](const std::string& own) { return Plain(own) == plain; });
}

std::string ModelNames::Resolve(const std::string& asked) const {
  if (asked.empty()) return names_.front();
  if (Knows(asked)) return asked;
  throw ApiError(404,
                 fmt::format("the model \"{}\" is not served here; this is \"{}\" (GET /v1/models)", asked,
                             names_.front()),
                 "model", "model_not_found");
}

}  // namespace oxidized::server
