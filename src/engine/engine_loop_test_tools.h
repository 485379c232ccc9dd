// Requests for tests of EngineLoop, and what came of them.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <utility>
#include <vector>

#include "engine/stream.h"

namespace oxidized {

inline std::vector<int32_t> Prompt(size_t length, int32_t salt = 0) {
  std::vector<int32_t> prompt;
  for (size_t i = 0; i < length; ++i)
    prompt.push_back(static_cast<int32_t>((i * 31 + static_cast<size_t>(salt) * 7) % 97));
  return prompt;
}

inline Request MakeRequest(std::vector<int32_t> prompt, int64_t max_new_tokens) {
  Request request;
  request.prompt = std::move(prompt);
  request.max_new_tokens = max_new_tokens;
  return request;
}

struct Answer {
  std::vector<int32_t> tokens;
  std::vector<Finished> finished;  // one, and the last event
  int64_t progress_events = 0, prefilled = 0;
};

inline void Collect(Answer& answer, Event event) {
  EXPECT_TRUE(answer.finished.empty()) << "an event after Finished";
  if (auto* token = std::get_if<GeneratedToken>(&event)) answer.tokens.push_back(token->token);
  if (auto* end = std::get_if<Finished>(&event)) answer.finished.push_back(std::move(*end));
  if (auto* progress = std::get_if<PrefillProgress>(&event)) {
    ++answer.progress_events;
    answer.prefilled = progress->done;
  }
}

inline Answer ReadToEnd(Stream& stream) {
  Answer answer;
  while (auto event = stream.Next(std::chrono::seconds(60))) Collect(answer, std::move(*event));
  EXPECT_EQ(answer.finished.size(), 1u);
  EXPECT_TRUE(stream.finished());
  return answer;
}

}  // namespace oxidized
