#include "hub/cache.h"

#include <unistd.h>

#include <fstream>
#include <limits>

#include "base/error.h"
#include "base/file_status.h"
#include "base/sha256.h"
#include "hub/text.h"

namespace oxidized::hub {
namespace fs = std::filesystem;
namespace {

std::string FolderName(const std::string& id) {
  std::string name = "models--" + id;
  for (size_t slash = name.find('/'); slash != name.npos; slash = name.find('/'))
    name.replace(slash, 1, "--");
  return name;
}

bool IsFileOfSize(const fs::path& path, int64_t size_bytes) {
  std::error_code error;
  return fs::is_regular_file(path, error) && static_cast<int64_t>(fs::file_size(path, error)) == size_bytes &&
         !error;
}

void CreateFolders(const fs::path& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) Fail(ErrorKind::kBadFile, "{}: the folder cannot be made: {}", path.string(), error.message());
}

}  // namespace

RepoCache::RepoCache(const Settings& settings, const std::string& id)
    : cache_dir_(settings.cache_dir),
      root_(settings.cache_dir / FolderName(id)),
      symlinks_(settings.symlinks) {}

fs::path RepoCache::LockPath(const RepoFile& file) const {
  return cache_dir_ / ".locks" / root_.filename() / (file.hash + ".lock");
}

void RepoCache::Create() const {
  CreateFolders(root_ / "blobs");
  // Backup programs leave the folder out (https://bford.info/cachedir/).
  const fs::path tag = cache_dir_ / "CACHEDIR.TAG";
  std::error_code error;
  if (!fs::exists(tag, error)) {
    std::ofstream(tag) << "Signature: 8a477f597d28d172789f06886806bc55\n"
                          "# This file is a cache directory tag: downloaded models can be fetched again.\n"
                          "# For information about cache directory tags see https://bford.info/cachedir/\n";
  }
}

std::optional<std::string> RepoCache::CommitOf(const std::string& revision) const {
  if (IsSha1Hex(revision)) return revision;
  constexpr size_t kMostRefBytes = 256;
  const fs::path ref = root_ / "refs" / revision;
  if (!IsFile(ref)) return std::nullopt;
  std::string commit = ReadWholeFile(ref, kMostRefBytes);
  while (!commit.empty() && (commit.back() == '\n' || commit.back() == ' ')) commit.pop_back();
  return IsSha1Hex(commit) ? std::optional(commit) : std::nullopt;
}

void RepoCache::WriteRef(const std::string& revision, const std::string& commit) const {
  if (CommitOf(revision) == commit) return;
  const fs::path path = root_ / "refs" / revision;
  CreateFolders(path.parent_path());
  const fs::path temporary = path.string() + "." + std::to_string(::getpid()) + ".tmp";
  std::ofstream(temporary) << commit;
  std::error_code error;
  if (fs::file_size(temporary, error) == commit.size() && !error) fs::rename(temporary, path, error);
  if (error) Fail(ErrorKind::kBadFile, "{}: cannot be written: {}", path.string(), error.message());
}

RepoListing RepoCache::ListSnapshot(const std::string& commit) const {
  constexpr int kDeepest = 4;
  RepoListing listing;
  listing.commit = commit;
  const fs::path folder = SnapshotPath(commit);
  std::error_code error;
  for (fs::recursive_directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    if (it.depth() >= kDeepest) it.disable_recursion_pending();
    std::error_code status;
    if (!it->is_regular_file(status)) continue;
    const auto size = it->file_size(status);
    if (!status)
      listing.files.push_back(
          {it->path().lexically_relative(folder).string(), static_cast<int64_t>(size), ""});
  }
  return listing;
}

bool RepoCache::HasSnapshotFile(const std::string& commit, const RepoFile& file) const {
  return IsFileOfSize(SnapshotPath(commit) / file.path, file.size_bytes);
}

bool RepoCache::HasBlob(const RepoFile& file) const { return IsFileOfSize(BlobPath(file), file.size_bytes); }

void RepoCache::Link(const std::string& commit, const RepoFile& file, bool fresh) const {
  const fs::path link = SnapshotPath(commit) / file.path, blob = BlobPath(file);
  CreateFolders(link.parent_path());
  std::error_code error;
  fs::remove(link, error);
  if (symlinks_) {
    fs::create_symlink(blob.lexically_relative(link.parent_path()), link, error);
    if (!error || HasSnapshotFile(commit, file)) return;  // made by another process meanwhile
  }
  if (fresh) {
    fs::rename(blob, link, error);
  } else {
    const fs::path temporary = link.string() + "." + std::to_string(::getpid()) + ".tmp";
    fs::copy_file(blob, temporary, fs::copy_options::overwrite_existing, error);
    if (!error) fs::rename(temporary, link, error);
    std::error_code ignored;
    if (error) fs::remove(temporary, ignored);
  }
  if (error)
    Fail(ErrorKind::kBadFile, "{}: cannot be made from {}: {}", link.string(), blob.string(),
         error.message());
}

int64_t FreeDiskBytes(const fs::path& path) {
  for (fs::path at = path; !at.empty(); at = at.parent_path()) {
    std::error_code error;
    const fs::space_info space = fs::space(at, error);
    if (!error)
      return static_cast<int64_t>(std::min<uintmax_t>(space.available, std::numeric_limits<int64_t>::max()));
    if (at == at.parent_path()) break;
  }
  return std::numeric_limits<int64_t>::max();
}

}  // namespace oxidized::hub
