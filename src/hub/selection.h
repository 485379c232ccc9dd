// Which files of a repository are wanted: those that a model in the published layout opens with, one GGUF
// model, or what patterns name. Works on the hub's list and on a snapshot folder alike.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "hub/listing.h"
#include "hub/repo_spec.h"

namespace oxidized::hub {

struct Selection {
  std::vector<RepoFile> files;  // small ones first, weights in the order of their names
  // What to open, relative to the snapshot: empty for its root folder, else a .gguf file, or
  // "original" where nothing else opens.
  std::string model;
  int64_t total_bytes() const;
};

// Several models fit: whoever asked must say which.
class AmbiguousModel : public Error {
  using Error::Error;
};

// `patterns` (wildcards * ? [abc] over the whole path, as huggingface_hub's allow_patterns) override
// everything else. Throws Error(kUsage): nothing matches, or several GGUF models and no :QUANT that picks
// one (AmbiguousModel).
Selection SelectFiles(const RepoListing& listing, const RepoSpec& spec,
                      const std::vector<std::string>& patterns = {});

// What of the model a selection lacks, for people ("part 2 of 3 of x-Q8_0.gguf"); empty: nothing. Every part
// of a split GGUF or of safetensors whose names are numbered, and the files that `index_files` (FilesOfIndex)
// names; nullptr: the index is not at hand yet.
std::string MissingWeights(const Selection& selection, const std::vector<std::string>* index_files);

bool IsWeights(const std::string& path);  // by its name

inline constexpr const char* kIndexFile = "model.safetensors.index.json";

}  // namespace oxidized::hub
