#include "hub/pull.h"

#include <iterator>

#include "base/error.h"
#include "base/file_status.h"
#include "base/printable.h"
#include "hub/cache.h"
#include "hub/download.h"
#include "hub/file_lock.h"
#include "hub/hub_client.h"
#include "hub/listing.h"
#include "hub/partial_file.h"
#include "hub/selection.h"
#include "hub/text.h"

namespace oxidized::hub {
namespace {

constexpr int64_t kDiskMargin = 64 << 20;  // the rest of the system wants to live, too

struct Need {
  int64_t total_bytes = 0;    // of all files
  int64_t missing_bytes = 0;  // not in the cache, counting partial files as missing
  int64_t disk_bytes = 0;     // that must still be found on the disk
  int missing_files = 0;
};

Need Count(const Selection& selection, const RepoCache& cache, const std::string& commit) {
  Need need;
  for (const RepoFile& file : selection.files) {
    if (file.hash.empty())
      Fail(ErrorKind::kNetwork, "the hub does not give a hash of {}, so it cannot be checked",
           Quoted(file.path));
    need.total_bytes += file.size_bytes;
    if (cache.HasSnapshotFile(commit, file) || cache.HasBlob(file)) continue;
    need.missing_bytes += file.size_bytes;
    need.disk_bytes +=
        std::max<int64_t>(0, file.size_bytes - PartialFile::AllocatedBytes(cache.BlobPath(file)));
    ++need.missing_files;
  }
  return need;
}

// One file into the snapshot. Returns the bytes fetched.
int64_t Provide(HubClient& client, const RepoCache& cache, const std::string& commit, const RepoFile& file,
                Meter& meter) {
  if (cache.HasSnapshotFile(commit, file)) return 0;
  const FileLock lock(cache.LockPath(file), [&] {
    meter.Remark(fmt::format("{}: waiting for another process that fetches it", Quoted(file.path)));
  });
  const bool fetch =
      !cache.HasBlob(file) && !cache.HasSnapshotFile(commit, file);  // that process may be done
  if (fetch) DownloadBlob(client, cache, commit, file, meter);
  if (!cache.HasSnapshotFile(commit, file)) cache.Link(commit, file, fetch);
  return fetch ? file.size_bytes : 0;
}

void RefuseIncomplete(const RepoSpec& spec, const RepoListing& listing, const std::string& missing) {
  if (missing.empty()) return;
  throw Error(ErrorKind::kNetwork,
              {.component = fmt::format("{}@{}", spec.id, listing.commit.substr(0, 8)),
               .found = fmt::format("the repository does not list {}: the model is not complete there",
                                    Quoted(missing)),
               .remedies = {{Setting::kInclude, "fetch files by name (`pull` with {})"}}});
}

std::vector<std::string> IndexFiles(const RepoCache& cache, const std::string& commit) {
  const std::filesystem::path index = cache.SnapshotPath(commit) / kIndexFile;
  return FilesOfIndex(IsFile(index) ? ReadWholeFile(index, kMaxListingBytes) : std::string());
}

}  // namespace

std::optional<std::filesystem::path> FindInCache(const RepoSpec& spec, const Settings& settings) {
  const RepoCache cache(settings, spec.id);
  const auto commit = cache.CommitOf(spec.revision);
  if (!commit) return std::nullopt;
  try {
    const Selection selection = SelectFiles(cache.ListSnapshot(*commit), spec);
    const std::vector<std::string> index = IndexFiles(cache, *commit);
    if (!MissingWeights(selection, &index).empty()) return std::nullopt;
    const std::filesystem::path folder = cache.SnapshotPath(*commit);
    return selection.model.empty() ? folder : folder / selection.model;
  } catch (const AmbiguousModel&) {
    if (settings.offline) throw;
    return std::nullopt;
  } catch (const Error&) {
    return std::nullopt;  // nothing there fits; what the hub has will
  }
}

PulledModel Pull(const RepoSpec& spec, const std::vector<std::string>& patterns, const Settings& settings,
                 const PullWatch& watch) {
  const RepoCache cache(settings, spec.id);
  if (settings.offline) {
    const auto here = patterns.empty() ? FindInCache(spec, settings) : std::nullopt;
    if (here) return {.path = *here, .commit = cache.CommitOf(spec.revision).value_or(""), .files = 0};
    Fail(ErrorKind::kBadFile,
         "{}: not, or not wholly, in the cache {}, and HF_HUB_OFFLINE forbids to fetch it", spec.id,
         settings.cache_dir.string());
  }
  HubClient client(settings, spec, watch);
  const RepoListing listing = client.List();
  const Selection selection = SelectFiles(listing, spec, patterns);
  const bool whole = patterns.empty();  // whoever names files may want a part
  if (whole) RefuseIncomplete(spec, listing, MissingWeights(selection, nullptr));
  const Need need = Count(selection, cache, listing.commit);
  Meter meter(watch, need.total_bytes);
  meter.Remark(fmt::format("{}@{}: {}, {}; {} of them, {}, to fetch into {}", spec.id,
                           listing.commit.substr(0, 8), Counted(std::ssize(selection.files), "file"),
                           Bytes(need.total_bytes), need.missing_files, Bytes(need.missing_bytes),
                           cache.root().string()));
  const int64_t free_bytes = FreeDiskBytes(cache.root());
  if (need.disk_bytes > 0 && need.disk_bytes > free_bytes - kDiskMargin) {
    Fail(ErrorKind::kNoMemory,
         "{}: needs {} more on the disk of {}, {} are free; HF_HOME names another place", spec.id,
         Bytes(need.disk_bytes), settings.cache_dir.string(), Bytes(free_bytes));
  }
  cache.Create();
  meter.AtHand(need.total_bytes - need.missing_bytes);

  PulledModel pulled;
  bool index_at_hand = false;
  for (const RepoFile& file : selection.files) {
    if (whole && !index_at_hand &&
        IsWeights(file.path)) {  // small files come first: the index is there by now
      const std::vector<std::string> index = IndexFiles(cache, listing.commit);
      RefuseIncomplete(spec, listing, MissingWeights(selection, &index));
      index_at_hand = true;
    }
    pulled.fetched_bytes += Provide(client, cache, listing.commit, file, meter);
    ++pulled.files;
  }
  cache.WriteRef(spec.revision, listing.commit);
  pulled.commit = listing.commit;
  pulled.path = cache.SnapshotPath(listing.commit);
  if (!selection.model.empty()) pulled.path /= selection.model;
  return pulled;
}

std::filesystem::path OpenHubModel(const std::string& text, const PullWatch& watch) {
  const RepoSpec spec = ParseRepoSpec(text);
  if (auto found = FindInCache(spec, CacheSettings())) return *found;
  return Pull(spec, {}, SettingsFromEnvironment(), watch).path;
}

}  // namespace oxidized::hub
