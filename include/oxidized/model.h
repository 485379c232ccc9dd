// A model that runs. docs/embedding.md shows how to use it, examples/ has programs.
//
// Threads: every function of a Model may be called from any thread, at the same time as any other. Each model
// has an engine with a thread of its own, which computes the answers of all callers in common steps; the CPU
// device adds a team of OpenOptions::threads. Functions of the caller's are called in its own thread, inside
// the call that was given them; only the one given to Logits runs in the engine's, which waits for it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "oxidized/error.h"
#include "oxidized/generate.h"

namespace oxidized {
OXIDIZED_INLINE namespace v1 {

struct Progress {
  enum class Stage { kDownloading, kPacking, kComparing, kReading, kArranging };
  Stage stage;
  std::int64_t done_bytes, total_bytes;
};

// Which text a model shall know: kChat needs a tokenizer with Harmony's special tokens, kTokens any
// tokenizer, kNone none: such a model has logits, and answers nothing.
enum class Text { kNone, kTokens, kChat };

struct OpenOptions {
  std::string model_path = {};  // a file or folder, or "hf:org/name[@revision][:QUANT]" (docs/download.md)
  std::string tokenizer_path = {};  // empty: the model's own; "o200k_harmony": the built-in one
  Text text = Text::kChat;
  std::string device = "auto";       // "auto", "cpu", "reference", "cuda", "cuda:1"
  std::string precision = "auto";    // "auto", "f32", "bf16", "f16"
  std::string activations = "auto";  // "auto", or "int8": lossy (docs/numerics.md)
  std::int32_t threads = 0;          // of the CPU; 0: one a core
  std::int64_t context = 0;          // tokens of one conversation; 0: the model's
  std::int32_t max_sequences = 8;    // answers computed at a time; more wait
  std::int64_t kv_tokens = 0;        // kept in KV memory for all of them; 0: context
  std::string expert_memory = {};    // experts kept in memory: "4GiB", "25%"; empty: all
  bool use_mmap = true;              // false: weights are read into memory of the process
  bool pack_weights = false;         // dense weights in 12 bits: the same answers, fewer bytes a token
  // Told some times a second, while Open runs. May throw: Open ends with that.
  std::function<void(const Progress&)> progress = {};
};

struct ModelInfo {
  std::string path = {}, format = {};       // of the files: "/models/gpt-oss-20b", "safetensors"
  std::string device = {}, precision = {};  // that compute: a name for people; "bf16"
  std::int32_t layers = 0, experts = 0, experts_per_token = 0;  // experts: the most that a layer has
  std::int32_t vocabulary = 0;                                  // width of a row of logits
  std::int64_t context = 0;                                     // tokens of one conversation
  double load_us = 0.0;
};

using OnDelta = std::function<bool(const Delta&)>;                         // false: end the answer here
using OnDeltaOf = std::function<bool(std::size_t request, const Delta&)>;  // false: end this one
using OnLogits = std::function<void(std::int64_t position, std::span<const float> row)>;

// A handle: copies are the same model, which closes with the last of them and of its Generations.
class OXIDIZED_API Model {
 public:
  // Throws Error (kUsage, kBadFile, kNoMemory, kUnsupported, kNetwork).
  static Model Open(const OpenOptions& options);

  ModelInfo info() const;

  // Text to ids and back. `specials`: the text of a special token becomes that token; else it stays text.
  // Detokenize spells special tokens out. Throws Error (kUsage): an id that the tokenizer does not have.
  Tokens Tokenize(std::string_view text, bool specials = false) const;
  std::string Detokenize(std::span<const std::int32_t> ids) const;
  // The prompt of the next answer. Throws Error (kBadFile): a parameter schema that is not JSON, and the
  // like.
  Tokens Render(const Chat& chat) const;

  // Runs `ids` and calls `row` with the raw logits [vocabulary] behind each position, in order, each once;
  // the row lives until `row` returns. In the engine's thread: `row` must not call this model. If it
  // throws, the run ends and Logits throws that. Throws Error (kUsage, kContextFull, kUnsupported,
  // kRequestFailed).
  void Logits(std::span<const std::int32_t> ids, const OnLogits& row) const;

  // One answer; `on_delta` is given its text as it comes. Throws Error (kUsage, kContextFull, kBadFile,
  // kUnsupported, kRequestFailed, kNoMemory), and what `on_delta` throws, which ends the answer.
  Answer Generate(const Request& request, const OnDelta& on_delta = {}) const;
  // Many answers in common steps, in the order of the requests. One that is refused or fails has
  // End::kError and Answer::error; the others go on. What `on_delta` throws ends all.
  std::vector<Answer> GenerateMany(std::span<const Request> requests, const OnDeltaOf& on_delta = {}) const;
  // Returns once the request is with the engine. Throws as Generate.
  Generation Start(const Request& request) const;

 private:
  struct Impl;
  explicit Model(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

// Where messages beside the results go (a device that "auto" passed over, and the like): one at a time,
// from any thread. Of the whole process; without it nothing is shown. `log` must not call this library.
enum class LogLevel { kInfo, kWarning, kError };
OXIDIZED_API void SetLog(std::function<void(LogLevel level, std::string_view line)> log);

OXIDIZED_API const char* Version();  // of the library: "0.1.0"

}  // namespace v1
}  // namespace oxidized
