#include "hub/inventory.h"

#include <sys/stat.h>

#include <algorithm>
#include <optional>

#include "base/error.h"
#include "hub/cache.h"
#include "hub/pull.h"

namespace oxidized::hub {
namespace fs = std::filesystem;
namespace {

constexpr std::string_view kFolder = "models--";

// "models--org--name" -> "org/name".
std::optional<std::string> IdOf(const std::string& folder) {
  if (!folder.starts_with(kFolder)) return std::nullopt;
  std::string id = folder.substr(kFolder.size());
  const size_t dashes = id.find("--");
  if (dashes == id.npos) return std::nullopt;
  id.replace(dashes, 2, "/");
  try {
    if (ParseRepoSpec(id).id != id) return std::nullopt;
  } catch (const Error&) {
    return std::nullopt;
  }
  return id;
}

// Calls `visit` for each entry below a folder, as far as it can be read.
template <typename Visit>
void ForFiles(const fs::path& folder, Visit visit) {
  std::error_code error;
  for (fs::recursive_directory_iterator at(folder, fs::directory_options::skip_permission_denied, error), end;
       !error && at != end; at.increment(error))
    visit(at->path());
}

std::string RevisionOf(const fs::path& root) {
  std::string revision = "main";
  int found = 0;
  std::error_code error;
  ForFiles(root / "refs", [&](const fs::path& ref) {
    if (!fs::is_regular_file(fs::symlink_status(ref, error))) return;
    if (found++ == 0) revision = fs::relative(ref, root / "refs", error).string();
  });
  return found == 1 ? revision : "main";
}

CachedModel Describe(const fs::path& root, const std::string& id, const Settings& settings) {
  CachedModel model;
  model.spec.id = id;
  model.spec.revision = RevisionOf(root);
  ForFiles(root, [&](const fs::path& path) {
    struct stat file = {};
    if (lstat(path.c_str(), &file) != 0 || !S_ISREG(file.st_mode)) return;
    model.bytes += file.st_size;
    model.last_used = std::max<int64_t>(model.last_used, std::max(file.st_atime, file.st_mtime));
  });
  try {
    model.path = FindInCache(model.spec, settings).value_or(fs::path());
  } catch (const Error&) {  // several models in one repository
    model.path = root;
  }
  return model;
}

}  // namespace

std::vector<CachedModel> ListCache(const Settings& settings) {
  std::vector<CachedModel> models;
  std::error_code error;
  for (fs::directory_iterator at(settings.cache_dir, error), end; !error && at != end; at.increment(error)) {
    const auto id = IdOf(at->path().filename().string());
    std::error_code none;
    if (id && fs::is_directory(at->symlink_status(none)))
      models.push_back(Describe(at->path(), *id, settings));
  }
  if (error && error != std::errc::no_such_file_or_directory)
    Fail(ErrorKind::kBadFile, "{}: {}", settings.cache_dir.string(), error.message());
  std::sort(models.begin(), models.end(), [](const CachedModel& a, const CachedModel& b) {
    return a.last_used != b.last_used ? a.last_used > b.last_used : a.spec.id < b.spec.id;
  });
  return models;
}

int64_t RemoveFromCache(const std::string& id, const Settings& settings) {
  const fs::path root = RepoCache(settings, id).root();
  std::error_code error;
  if (!fs::is_directory(fs::symlink_status(root, error)))
    Fail(ErrorKind::kBadFile, "{} is not in the cache ({})", id, settings.cache_dir.string());
  const int64_t bytes = Describe(root, id, settings).bytes;
  fs::remove_all(root, error);
  if (error) Fail(ErrorKind::kBadFile, "{}: cannot be deleted: {}", root.string(), error.message());
  fs::remove_all(settings.cache_dir / ".locks" / root.filename(), error);
  return bytes;
}

}  // namespace oxidized::hub
