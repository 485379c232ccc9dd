// A loaded model that answers: one request at a time through the engine, its text shown as it comes. Shared
// by
// --prompt (generate.cc) and the chat (interactive.cc); what the text means to a conversation is theirs.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "chat/turn.h"
#include "cli/options/options.h"
#include "cli/terminal/terminal.h"
#include "moe/trace.h"
#include "report/report.h"

namespace oxidized::cli {

// Throws Error(kUsage) for routing that a model of so many experts, K of them a token, has not; warns of
// routing that is not its own.
void CheckRouting(const RoutingPolicy& routing, int32_t num_experts, int32_t experts_per_token);

class Generation {
 public:
  // Loads the model, with progress on a terminal. Throws Error. `options` must outlive this and may change
  // between requests.
  explicit Generation(const GenerateOptions& options);

  Runtime& runtime() { return *runtime_; }
  SideStream& side() { return side_; }

  // What routing has done so far; nullopt: nothing asks for it.
  std::optional<MoeReport> moe_report() const;
  // Writes --moe-report, and says if --moe-trace could not be written. Throws Error(kBadFile).
  void WriteMoeFiles() const;

  // A turn in the chat format, with the options of this moment.
  std::shared_ptr<ChatTurn> NewTurn();
  std::vector<int32_t> Render(const Conversation& conversation);

  // Runs one request to its end and streams what it says. A pending signal ends it. Throws Error if it cannot
  // begin; one that fails later is an outcome with an error, for EndAnswer.
  Outcome Run(std::vector<int32_t> prompt, const std::shared_ptr<Turn>& turn,
              std::vector<int32_t> stop_tokens);

 private:
  void WatchRouting();
  void Show(Turn& turn);

  const GenerateOptions& options_;
  SideStream side_;
  std::unique_ptr<Runtime> runtime_;
  std::unique_ptr<MemoryRegistration> tokenizer_memory_;
  std::unique_ptr<RoutingCollector> routing_;
  std::unique_ptr<TraceWriter> trace_;
  std::optional<Delta::Kind> last_shown_;
};

// The system message and, if there are instructions, the developer message.
Conversation Opening(const GenerateOptions& options);

// The tables that --show-moe-metrics, --memory-stats and --verbose ask for; the closing line for a person at
// a terminal and with --verbose.
void Report(const GenerateOptions& options, const Outcome& outcome, Generation& generation, bool person);

// Calls `report`, which writes what the options ask for. After a failed answer too: what was gathered until
// then is worth having when it is not known why it failed. Throws that failure then, whatever became of the
// report.
void EndAnswer(const Outcome& outcome, const std::function<void()>& report);

}  // namespace oxidized::cli
