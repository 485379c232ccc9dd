// A loaded model at a terminal: one request at a time, its text shown as it comes. A client of EngineLoop, as
// a server is; what an answer means to a conversation is chat/'s. For --prompt (generate.cc), the chat
// (interactive.cc) and the MoE benchmark, which only wants it loaded.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "chat/answer_request.h"
#include "chat/opening.h"
#include "cli/options/options.h"
#include "cli/terminal/terminal.h"
#include "moe/trace.h"
#include "report/report.h"

namespace oxidized::cli {

// Throws Error(kUsage) for routing that this model does not have.
void CheckRouting(const RoutingPolicy& routing, const ModelConfig& config);
// Says so if routing is not the model's own.
void WarnOfRouting(const RoutingPolicy& routing, const ModelConfig& config);

// What a device does with the weights while it is opened, for a status line.
std::string ProgressText(PrepareStage stage, const DeviceOptions& options, int64_t done, int64_t total);

class TerminalModel {
 public:
  // Loads the model, with progress on a terminal. Throws Error. `options` must outlive this and may change
  // between requests.
  explicit TerminalModel(const GenerateOptions& options);

  Runtime& runtime() { return *runtime_; }
  SideStream& side() { return side_; }

  // What routing has done so far; nullopt: nothing asks for it. Its views live until the next call.
  std::optional<MoeReport> moe_report();
  // Writes --moe-report, and says if --moe-trace could not be written. Throws Error(kBadFile).
  void WriteMoeFiles();
  // Puts --moe-trace under its name: after the last answer. Throws Error(kBadFile).
  void CloseTrace();
  // How the engine spent its time so far.
  struct EngineTotals {
    StageTotals prefill, decode;
  };
  EngineTotals engine_totals() const;

  // The next answer of a conversation, or what goes on after a raw prompt, with the options of this moment.
  AnswerRequest ChatAnswer(const Conversation& conversation);
  AnswerRequest RawAnswer(std::string_view prompt);
  int64_t PromptTokens(const Conversation& conversation);

  // Runs one request to its end and shows what it says as it comes. A pending signal ends it. Throws Error if
  // it cannot begin; one that fails later is an answer with an error, for EndAnswer.
  FinishedAnswer Run(AnswerRequest& answer);

 private:
  void WatchRouting();
  AnswerOptions OptionsOfAnswer();
  void Show(AnswerParser& parser);

  const GenerateOptions& options_;
  SideStream side_;
  std::unique_ptr<Runtime> runtime_;
  std::unique_ptr<RoutingCollector> routing_;
  std::unique_ptr<TraceWriter> trace_;
  std::optional<Delta::Kind> last_shown_;
  EngineTotals reported_;  // what the last moe_report() views
};

// What --system, --developer and the like say of the opening messages.
OpeningOptions OpeningOf(const GenerateOptions& options);

// The tables that --show-moe-metrics, --memory-stats and --verbose ask for; the closing line for a person at
// a terminal and with --verbose.
void ReportAnswer(const GenerateOptions& options, const FinishedAnswer& answer, TerminalModel& model,
                  bool person);

// Calls `report`, which writes what the options ask for. After a failed answer too: what was gathered until
// then is worth having when it is not known why it failed. Throws that failure then, whatever became of the
// report.
void EndAnswer(const FinishedAnswer& answer, const std::function<void()>& report);

// What to say when the token limit ended the reasoning, and when the model ended its turn without an answer
// or a call.
std::string CutInReasoning(const FinishedAnswer& answer);
std::string NothingSaid(const FinishedAnswer& answer);

}  // namespace oxidized::cli
