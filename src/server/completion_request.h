// The body of POST /v1/completions: a raw prompt, as text or token ids, without the chat format. The text of
// a special token in it becomes that token.
#pragma once

#include "server/prepared.h"
#include "server/request_body.h"

namespace oxidized::server {

// Throws ApiError.
PreparedRequest ReadCompletionRequest(const RequestObject& request, const RequestContext& context);

// An array of token ids, each one of the vocabulary. Throws ApiError.
std::vector<int32_t> ReadTokenIds(const OrderedJson& ids, const std::string& place,
                                  const Tokenizer& tokenizer);

}  // namespace oxidized::server
