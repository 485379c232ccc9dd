// The order in which a run needs its experts: for each step and layer the distinct experts of all its rows,
// ascending, which is what an ExpertSource is asked for. Made of a trace or of synthetic tokens.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "moe/trace.h"

namespace oxidized {

class AccessStream {
 public:
  struct Request {
    int32_t layer;
    uint32_t begin, end;  // of experts()
  };

  explicit AccessStream(const TraceHeader& header);
  // Records of one step must follow one another, as traces hold them.
  void Add(const TraceRecord& record);
  void Finish();  // after the last record

  const RoutingShape& shape() const { return shape_; }
  int64_t expert_bytes() const { return expert_bytes_; }
  int64_t tokens() const { return tokens_; }
  int64_t steps() const { return steps_; }
  int64_t uses() const { return static_cast<int64_t>(experts_.size()); }
  std::span<const Request> requests() const { return requests_; }
  std::span<const uint16_t> experts(const Request& request) const {
    return std::span(experts_).subspan(request.begin, request.end - request.begin);
  }

 private:
  RoutingShape shape_;
  int64_t expert_bytes_;
  int64_t tokens_ = 0, steps_ = 0;
  uint32_t step_ = 0;
  std::vector<std::vector<uint16_t>> pending_;  // [L] of the step under way
  std::vector<Request> requests_;
  std::vector<uint16_t> experts_;
};

// Throws Error(kBadFile) for a damaged record, or a trace too long to hold (2^32 uses).
AccessStream ReadAccesses(const TraceReader& trace);

// Tokens with made-up routing, one a step, as decoding gives them: the logits of a made-up router, and its K
// best.
//   uniform       every expert equally likely
//   zipf:S        the expert of rank r (a ranking of its own in each layer) with weight r^-S
//   sticky:P      uniform, but each expert that the token before used stays with probability P
//   all-to-one    the same K experts always
struct SyntheticRouting {
  enum class Kind : uint8_t { kUniform, kZipf, kSticky, kAllToOne };
  Kind kind = Kind::kUniform;
  double parameter = 0.0;
};
std::optional<SyntheticRouting> ParseSyntheticRouting(std::string_view text);

class SyntheticTokens {
 public:
  SyntheticTokens(const SyntheticRouting& routing, const TraceHeader& header, uint64_t seed);
  void Next(TraceRecord& record);

 private:
  SyntheticRouting routing_;
  TraceHeader header_;
  uint64_t seed_;
  int64_t token_ = 0;
  std::vector<float> bias_;    // [L, E]
  std::vector<int32_t> last_;  // [L, K]
  std::vector<float> logits_;  // [E]
};

}  // namespace oxidized
