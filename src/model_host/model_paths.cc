#include "model_host/model_paths.h"

#include "base/error.h"
#include "base/printable.h"

namespace oxidized {

std::filesystem::path ResolveModelPath(const std::filesystem::path& path, const hub::PullWatch& watch) {
  if (path.empty())
    throw Error(ErrorKind::kBadFile, {.setting = Setting::kModelPath, .found = "no model is named"});
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
  if (path.empty()) return std::nullopt;
  if (!hub::IsHubPath(path.string())) return path;
  return hub::FindInCache(hub::ParseRepoSpec(path.string()), hub::CacheSettings());
}

}  // namespace oxidized
