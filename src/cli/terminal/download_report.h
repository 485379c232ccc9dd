// How a download shows on stderr: one moving line on a terminal, else a plain line now and then.
#pragma once

#include <string>

#include "hub/meter.h"

namespace oxidized::cli {

// For Pull, and for a model path hf:… that has to be fetched first.
hub::PullWatch ReportDownloads();

// "model.safetensors: 5.1 GB of 13.8 GB, 94.2 MB/s, 1 min 32 s left": at most 80 columns.
std::string DownloadLine(const hub::PullProgress& progress);

}  // namespace oxidized::cli
