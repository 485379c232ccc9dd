// A report of an opened checkpoint: configuration, tensors by group, files, parameters, bytes per decoded
// token and of KV per token. Returns strings; printing is the caller's. Called by the `inspect` command.
#pragma once

#include <string>

#include "checkpoint/checkpoint.h"

namespace oxidized {

std::string InspectText(const Checkpoint& checkpoint);

// {path, format, config:{…}, parameters, costs:{weight_bytes, expert_bytes, decode_bytes, decode_flops,
// prefill_flops, kv_bytes_per_token, kv_bytes_per_token_beyond_window, kv_window_bytes}, converted:{tensors,
// stored_bytes, bytes}, groups:[{name, count, dtype, shape, bytes}], files:[{name, bytes}],
// tokenizers:[path], tensors:[{name, dtype, shape, bytes, file}]}; KV bytes are those of 16-bit values.
std::string InspectJson(const Checkpoint& checkpoint);

}  // namespace oxidized
