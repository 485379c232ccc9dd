// What the hub's cache holds, and how to give its room back. No request is made.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "hub/repo_spec.h"
#include "hub/settings.h"

namespace oxidized::hub {

struct CachedModel {
  RepoSpec spec;               // the revision that was pulled; "main" where there are several
  std::filesystem::path path;  // the model if all of it is there, else empty
  int64_t bytes = 0;           // of all revisions, unfinished files included
  int64_t last_used = 0;  // seconds since 1970, by the files' access times, as far as the system keeps them
};

// The last used first. Folders that do not belong to a repository, and links, are passed over. Throws
// Error(kBadFile) where the cache is there and cannot be read.
std::vector<CachedModel> ListCache(const Settings& settings);

// Deletes every revision of a repository; returns the bytes. Throws Error(kBadFile): it is not there, or
// cannot be deleted.
int64_t RemoveFromCache(const std::string& id, const Settings& settings);

}  // namespace oxidized::hub
