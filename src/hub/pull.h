// Models of the hub: `pull` and `--model-path hf:org/name`. The front door of hub/, which model_host/ and
// cli/ use.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "hub/meter.h"
#include "hub/repo_spec.h"
#include "hub/settings.h"

namespace oxidized::hub {

struct PulledModel {
  std::filesystem::path path;  // what opens: the snapshot folder, or a .gguf file in it
  std::string commit;
  int files = 0;
  int64_t fetched_bytes = 0;  // the rest was there
};

// Asks the hub for the files of the spec (or those that `patterns` name), fetches what the cache lacks, and
// makes the snapshot complete; the ref is written last, so that it never leads to less than it did. Resumable
// at any moment. Throws Interrupted; Error(kUsage: nothing fits the spec; kNetwork; kNoMemory: the disk is
// too small; kBadFile: the cache cannot be written, or HF_HUB_OFFLINE is set).
PulledModel Pull(const RepoSpec& spec, const std::vector<std::string>& patterns, const Settings& settings,
                 const PullWatch& watch);

// The model of the spec if the cache holds all of it; no request is made.
std::optional<std::filesystem::path> FindInCache(const RepoSpec& spec, const Settings& settings);

// What "hf:…" opens: from the cache without any request if it is there, else pulled now. Throws like Pull.
std::filesystem::path OpenHubModel(const std::string& text, const PullWatch& watch);

}  // namespace oxidized::hub
