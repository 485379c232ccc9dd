// The API's plain data in the inner code's types, and back.
#pragma once

#include <string>

#include "chat/answer_request.h"
#include "chat/answer_stream.h"
#include "model_host/runtime.h"
#include "oxidized/generate.h"
#include "oxidized/model.h"

namespace oxidized::v1 {

// Throws oxidized::Error(kUsage) naming the member that is out of range.
RuntimeOptions Inner(const OpenOptions& options);
Conversation Inner(const Chat& chat);
// A request of this model, opened with the text that the prompt needs, and the parser of its answer. Throws
// oxidized::Error.
AnswerRequest Inner(const Request& request, const Runtime& runtime);

Progress::Stage Outer(PrepareStage stage);
ModelInfo Outer(const Runtime& runtime);
Delta Outer(oxidized::Delta delta);
// Of a stream that has finished; the error is left to the caller.
Answer Outer(const AnswerStream& stream, const AnswerParser& parser);

}  // namespace oxidized::v1
