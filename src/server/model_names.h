// Which model a client means: the names that the server was told to serve, in the spellings that clients use.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace oxidized::server {

class ModelNames {
 public:
  // `names`: those of --served-model-name; none: one that follows from the model's path.
  ModelNames(std::vector<std::string> names, const std::filesystem::path& model_path);

  const std::vector<std::string>& names() const { return names_; }
  // The name that answers carry: the one asked for; "" asks for the first. Throws ApiError(404) for another
  // model.
  std::string Resolve(const std::string& asked) const;
  // "openai/gpt-oss-20b", "gpt-oss:20b" and "GPT-OSS-20b" are one model.
  bool Knows(std::string_view name) const;

 private:
  std::vector<std::string> names_;
};

}  // namespace oxidized::server
