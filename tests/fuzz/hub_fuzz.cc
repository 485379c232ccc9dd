// Any bytes as the hub's file list and as a model.safetensors.index.json: either an Error(kNetwork), or names
// and hashes that can be used as paths; and the choice of files from such a list keeps to the list.
#include <cstdlib>
#include <set>

#include "base/error.h"
#include "base/sha256.h"
#include "hub/listing.h"
#include "hub/range_set.h"
#include "hub/selection.h"
#include "hub/text.h"

namespace {

using namespace oxidized;

void Check(bool condition) {
  if (!condition) std::abort();
}

// Not IsPlainRelativePath, which the code under test relies on: the plain words of what must never get
// through.
void CheckPath(const std::string& path) {
  Check(!path.empty() && path.front() != '/' && path.back() != '/');
  Check(path.find('\0') == path.npos && path.find('\n') == path.npos);
  const std::string framed = "/" + path + "/";
  for (const char* bad : {"/../", "/./", "//"}) Check(framed.find(bad) == framed.npos);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const std::string& file : hub::FilesOfIndex(text)) CheckPath(file);
  if (const auto ranges = hub::RangeSet::Parse(text, 1 << 20)) {
    Check(ranges->total_bytes() <= 1 << 20);
    Check(hub::RangeSet::Parse(ranges->Text(), 1 << 20).has_value());
  }
  try {
    const hub::RepoListing listing = hub::ParseListing(text, "list");
    Check(IsSha1Hex(listing.commit));
    std::set<std::string> paths;
    for (const hub::RepoFile& file : listing.files) {
      CheckPath(file.path);
      Check(paths.insert(file.path).second);
      Check(file.size_bytes >= 0);
      Check(file.hash.empty() || IsSha1Hex(file.hash) || IsSha256Hex(file.hash));
    }
    for (const char* spec : {"a/b", "a/b:Q8_0"}) {
      try {
        const hub::Selection selection = hub::SelectFiles(listing, hub::ParseRepoSpec(spec));
        for (const hub::RepoFile& file : selection.files) Check(paths.contains(file.path));
        Check(selection.model.empty() || paths.contains(selection.model));
        (void)hub::MissingWeights(selection, nullptr);
        const std::vector<std::string> index = hub::FilesOfIndex(text);
        (void)hub::MissingWeights(selection, &index);
      } catch (const Error& error) {
        Check(error.kind() == ErrorKind::kUsage);
      }
    }
  } catch (const Error& error) {
    Check(error.kind() == ErrorKind::kNetwork);
  }
  return 0;
}
