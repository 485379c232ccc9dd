#include "model_host/model_paths.h"

#include <cstdlib>

#include "base/error.h"
#include "base/printable.h"

namespace oxidized {

std::filesystem::path DefaultModelPath() {
  if (const char* chosen = std::getenv("OXIDIZED_MODEL"); chosen != nullptr && *chosen != '\0') return chosen;
  std::error_code ignored;
  const auto program = std::filesystem::read_symlink("/proc/self/exe", ignored).parent_path();
  const std::filesystem::path places[] = {program / "../models/demo", program / "models/demo",
                                          program / "../share/oxidized_gpt_oss/models/demo"};
  for (const auto& place : places) {
    if (std::filesystem::exists(place / "config.json", ignored)) return place.lexically_normal();
  }
  Fail(ErrorKind::kBadFile, "no model given and none found at {}; name one with --model-path",
       places[0].lexically_normal().string());
}

std::filesystem::path ResolveModelPath(const std::filesystem::path& path, const hub::PullWatch& watch) {
  if (path.empty()) return DefaultModelPath();
  if (hub::IsHubPath(path.string())) return hub::OpenHubModel(path.string(), watch);
  std::error_code none;
  if (std::filesystem::exists(path, none) || none) return path;
  const std::string name = hub::GuessSpec(path.string());
  if (name.empty()) return path;  // whoever opens it says that it is not there
  std::string fetched = fmt::format("`pull {}` fetches it", name);
  if (const int64_t bytes = hub::KnownPullBytes(name); bytes > 0)
    fetched += fmt::format(" ({:.1f} GB)", static_cast<double>(bytes) / 1e9);
  if (FindModelHere("hf:" + name)) fetched = "it was fetched before";
  Fail(ErrorKind::kBadFile, "{}: no such file or folder; did you mean hf:{}? {}",
       EscapeUnprintable(path.string()), name, fetched);
}

std::optional<std::filesystem::path> FindModelHere(const std::filesystem::path& path) {
  if (path.empty()) return DefaultModelPath();
  if (!hub::IsHubPath(path.string())) return path;
  return hub::FindInCache(hub::ParseRepoSpec(path.string()), hub::SettingsFromEnvironment());
}

}  // namespace oxidized
