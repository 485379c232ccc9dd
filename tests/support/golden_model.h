// The goldens of the forward pass that tools/golden_model.py makes: reading them, and holding an executor's
// run against them. For the golden tests of every executor.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "support/matrix.h"
#include "support/single_sequence.h"

namespace oxidized::test {

struct GoldenModel {
  std::filesystem::path folder;
  std::string name;
  std::vector<std::string> checkpoints;  // subfolders: layouts of the same weights, "mxfp4" first
  std::vector<int32_t> prompt;
  std::vector<int64_t> tap_rows;      // prompt positions whose taps are stored, ascending
  int64_t logit_rows_from = 0;        // logits are stored from this prompt position on
  std::vector<int32_t> continuation;  // greedy
  double transformers_bf16_mean_kl =
      0;  // of transformers' own bf16 run against f32, over the stored logit rows

  // What a run must keep to be compared: SingleSequenceOptions::keep_from.
  int64_t keep_from() const;

  // tap [layers][tap_rows, cols] (one entry for a tap outside the layers), logits [rows, V]
  std::vector<Matrix> ReadTap(std::string_view name) const;
  Matrix ReadLogits() const;
};

// Every <folder>/*/manifest.json, by name.
std::vector<GoldenModel> ReadGoldenModels(const std::filesystem::path& folder);

// Where taps of any layer or the logits (from sink and tap) are farther from the golden than `tolerance` of
// the range, or missing. `worst`, if any, gets the largest relative error of each name.
std::vector<std::string> TapAndLogitDifferences(const GoldenModel& golden, const SingleSequenceResult& run,
                                                double tolerance,
                                                std::map<std::string, double>* worst = nullptr);

// The same as GoogleTest expectations. The largest errors go into the test's report as properties.
void ExpectTapsAndLogits(const GoldenModel& golden, const SingleSequenceResult& run, double tolerance);

// The stored logit rows of a run made with keep_from().
Matrix GoldenLogitRows(const GoldenModel& golden, const Matrix& logits);

// Mean over the rows of KL(softmax(expected) || softmax(actual)), in nats a token.
double MeanKl(const Matrix& expected, const Matrix& actual);

}  // namespace oxidized::test
