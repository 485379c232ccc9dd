// The body of POST /v1/chat/completions: messages, tools and sampling to a Harmony conversation and what the
// engine is asked. What the format itself means is harmony's and chat's.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "harmony/conversation.h"
#include "server/prepared.h"
#include "server/request_body.h"

namespace oxidized::server {

// Throws ApiError.
PreparedRequest ReadChatRequest(const RequestObject& request, const RequestContext& context);

// The messages and tools of a request as a conversation; fills in what of `prepared` says which calls are
// meant.
Conversation ReadConversation(const RequestObject& request, const RequestContext& context,
                              PreparedRequest& prepared);

}  // namespace oxidized::server
