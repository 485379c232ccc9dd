// One repository in huggingface_hub's cache:
//
//   models--org--name/blobs/HASH                    contents, each under its hash
//                     refs/main                     the commit that a branch or tag stood at
//                     snapshots/COMMIT/config.json  -> ../../blobs/HASH
//   .locks/models--org--name/HASH.lock              held while a blob is made
//
// Reads what huggingface_hub wrote and writes what it reads. A blob appears under its name by a rename alone,
// after its hash was checked (download.h); nothing here writes contents.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "hub/listing.h"
#include "hub/settings.h"

namespace oxidized::hub {

class RepoCache {
 public:
  RepoCache(const Settings& settings, const std::string& id);

  const std::filesystem::path& root() const { return root_; }
  std::filesystem::path BlobPath(const RepoFile& file) const { return root_ / "blobs" / file.hash; }
  std::filesystem::path LockPath(const RepoFile& file) const;
  std::filesystem::path SnapshotPath(const std::string& commit) const { return root_ / "snapshots" / commit; }

  // The commit that `revision` stood at when it was pulled last; a whole commit id stands for itself.
  // nullopt: never pulled, or not a ref that anybody could have written.
  std::optional<std::string> CommitOf(const std::string& revision) const;
  // Replaces the ref in one step. Does nothing when it says so already or `revision` is the commit.
  void WriteRef(const std::string& revision, const std::string& commit) const;

  // A snapshot as a listing: the files at hand (links that lead nowhere left out), their sizes, no hashes.
  RepoListing ListSnapshot(const std::string& commit) const;

  bool HasSnapshotFile(const std::string& commit, const RepoFile& file) const;  // there, with the right size
  bool HasBlob(const RepoFile& file) const;                                     // likewise
  // Puts the blob into the snapshot as a relative link; where links cannot be made it is moved there if
  // `fresh` (nobody else links to it) and copied otherwise. Throws Error(kBadFile).
  void Link(const std::string& commit, const RepoFile& file, bool fresh) const;

  // Makes the folders. Throws Error(kBadFile) when it cannot.
  void Create() const;

 private:
  std::filesystem::path cache_dir_, root_;
  bool symlinks_;
};

// Bytes that may still be written at `path` or the nearest folder above it that exists. A large number where
// the system does not say.
int64_t FreeDiskBytes(const std::filesystem::path& path);

}  // namespace oxidized::hub
