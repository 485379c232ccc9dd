// One file of a repository into its blob: several ranges at a time, resumed where an earlier attempt ended,
// visible under its name only after its hash was found right.
#pragma once

#include <string>

#include "hub/cache.h"
#include "hub/hub_client.h"
#include "hub/meter.h"

namespace oxidized::hub {

// The caller holds the blob's lock. Throws Interrupted and Error (kNetwork: the hub; kNoMemory: the disk is
// full; kBadFile: the disk) and leaves what came so far for the next attempt, unless its hash was wrong.
void DownloadBlob(HubClient& client, const RepoCache& cache, const std::string& commit, const RepoFile& file,
                  Meter& meter);

}  // namespace oxidized::hub
