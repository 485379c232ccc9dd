// The routing trace: every computed token, layer by layer, as fixed-length binary records (docs/moe.md has
// the format; tools/moe_trace.py reads it with NumPy). Written record by record as the engine goes, under a
// partial name (base/output_file.h) until it is closed: what a crash leaves there is a whole trace of what
// was computed; a torn last record is ignored by readers.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/mapped_file.h"
#include "base/output_file.h"
#include "moe/routing_observer.h"

namespace oxidized {

struct TraceHeader {
  RoutingShape shape;
  bool logits = false;       // records hold the routers' logits too
  int64_t expert_bytes = 0;  // what one expert takes in memory, the mean over all; 0: unknown
};

// One token. Arrays over [L, K], [L] and, with logits, [L, E].
struct TraceRecord {
  uint32_t sequence = 0;
  uint32_t step = 0;
  uint32_t position = 0;
  int32_t token = 0;
  RoutingPhase phase = RoutingPhase::kPrefill;
  std::vector<int32_t> experts;  // -1: none
  std::vector<float> weights;    // rounded to f16 in the file
  std::vector<float> margins;    // RouterMargin; infinity: no further expert
  std::vector<uint8_t> dropped, rerouted;
  std::vector<float> logits;

  void Resize(const TraceHeader& header);
};

// What tells a trace (base/output_file.h).
inline constexpr std::string_view kTraceSign = "OXMOETRC";

class TraceWriter final : public RoutingObserver {
 public:
  // Throws like OutputFile.
  TraceWriter(const OutputName& name, const TraceHeader& header);
  // Closes; what cannot be written is passed over then.
  ~TraceWriter() override;

  void OnRows(const ObservedRows& rows) override;
  void Write(const TraceRecord& record);
  // Throws Error(kBadFile) if anything could not be written so far: a full disk must not end a request.
  void Check() const;
  // Puts the trace under its name, unless Check throws. Once; nothing is written after it.
  void Close();

 private:
  void Append(const TraceRecord& record);
  void Flush();

  TraceHeader header_;
  std::optional<OutputFile> file_;  // nullopt: closed
  std::optional<Error> error_;      // the first failure
  TraceRecord record_;
  std::string buffer_;
};

class TraceReader {
 public:
  // Throws Error(kBadFile) if this is not a trace.
  static TraceReader Open(const std::filesystem::path& path);
  // `bytes` must outlive the reader; `name` is for messages.
  TraceReader(std::span<const std::byte> bytes, std::string name);

  const TraceHeader& header() const { return header_; }
  int64_t size() const { return size_; }  // whole records
  int64_t torn_bytes() const { return torn_bytes_; }
  // Throws Error(kBadFile) if record i holds what no writer writes.
  void Read(int64_t i, TraceRecord& record) const;

 private:
  std::shared_ptr<MappedFile> file_;
  std::span<const std::byte> bytes_;
  std::string name_;
  TraceHeader header_;
  size_t header_bytes_ = 0, record_bytes_ = 0;
  int64_t size_ = 0, torn_bytes_ = 0;
};

}  // namespace oxidized
