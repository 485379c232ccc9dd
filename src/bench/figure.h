// A measured figure: every sample of it, its median and spread, and how much of the machine's ceilings it
// used. What `bench` and --benchmark-moe print is made of these. Holds no clock and measures nothing.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "executor/step_batch.h"

namespace oxidized::cli {

struct Sample {
  double value = 0.0;             // in the figure's unit
  double seconds = 0.0;           // the timed part
  double bytes = 0.0;             // that had to be read in it: weights and KV
  double flops = 0.0;             // operations in it, a multiply-add is two
  double read_bytes_per_s = 0.0;  // memory's ceiling, probed beside the sample
  int64_t major_faults = 0;       // pages read from disk meanwhile: such a sample measured the disk
  double waited_share = 0.0;  // time that threads that compute waited for other processes' work, summed, over
                              // the time of the run, at most 1; NaN: this kernel does not say

  // Others had the processors for a part of the time that shows.
  bool disturbed() const { return waited_share > 0.05; }
};

struct Figure {
  std::string test = {};     // "pp512", "kernels", "layers"
  std::string subject = {};  // what of it, "" if it is one figure: "bf16_bf16w_matmul", "layer 3"
  int64_t rows = 0;          // tokens worked on at once, 0 where that says nothing
  int threads = 0;
  std::string tier = {};          // of the kernels that ran; "": none did
  std::string unit = {};          // "tokens/s", "ms", "us"
  double arithmetic_per_s = 0.0;  // ceiling of the instructions used here; 0: none is known
  std::vector<Sample> samples = {};
  std::vector<StageCost> stages = {};  // sums over the samples, if the executor times its stages
  int64_t steps = 0;                   // that they are the sums of
};

// Where a figure stands over its samples. NaN where nothing was counted.
struct Summary {
  double median = 0.0, min = 0.0, max = 0.0;
  double gb_per_s = 0.0, gflop_per_s = 0.0;
  double memory_share = 0.0, arithmetic_share = 0.0;  // of the ceilings, 1 = all
  double probe_min_gb_per_s = 0.0, probe_max_gb_per_s = 0.0;
  int64_t major_faults = 0;
};
Summary Summarize(const Figure& figure);

double Median(std::vector<double> values);  // NaN of none

// The higher of the two shares, as a person reads it: "93 % mem", "61 % arith", "" where nothing is known.
std::string ShareText(const Summary& summary);

}  // namespace oxidized::cli
