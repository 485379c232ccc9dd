#include "support/golden_model.h"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>

#include "base/error.h"
#include "executor/taps.h"
#include "support/compare.h"
#include "support/npy.h"

namespace oxidized::test {
namespace {

constexpr std::string_view kStoredTaps[] = {
    tap::kEmbedding, tap::kAttentionNorm, tap::kQuery,        tap::kKey,
    tap::kValue,     tap::kAttention,     tap::kAttentionOut, tap::kAttentionResidual,
    tap::kMlpNorm,   tap::kRouterLogits,  tap::kMoeOut,       tap::kResidual,
    tap::kFinalNorm,
};

bool OutsideLayers(std::string_view name) { return name == tap::kEmbedding || name == tap::kFinalNorm; }

Matrix Pick(const Matrix& all, std::span<const int64_t> positions, int64_t first_position) {
  Matrix picked{static_cast<int64_t>(positions.size()), all.cols, {}};
  for (const int64_t position : positions) {
    OX_CHECK(position >= first_position && position - first_position < all.rows);
    const auto row = all.row(position - first_position);
    picked.values.insert(picked.values.end(), row.begin(), row.end());
  }
  return picked;
}

// log(sum(exp(x)))
double LogSumExp(std::span<const float> x) {
  const double highest = *std::max_element(x.begin(), x.end());
  double sum = 0.0;
  for (const float v : x) sum += std::exp(static_cast<double>(v) - highest);
  return highest + std::log(sum);
}

}  // namespace

int64_t GoldenModel::keep_from() const { return std::min(logit_rows_from, tap_rows.front()); }

std::vector<Matrix> GoldenModel::ReadTap(std::string_view tap) const {
  const std::filesystem::path path = folder / "taps" / (std::string(tap) + ".npy");
  const NpyArray array = ReadNpy(path);
  const std::vector<float>& values = array.as<float>();
  const size_t rank = array.shape.size();
  if (rank != 2 && rank != 3) Fail(ErrorKind::kBadFile, "{}: rank {}, expected 2 or 3", path.string(), rank);
  const int64_t rows = array.shape[rank - 2], cols = array.shape[rank - 1];
  std::vector<Matrix> layers;
  for (auto from = values.begin(); from != values.end(); from += rows * cols)
    layers.push_back({rows, cols, {from, from + rows * cols}});
  return layers;
}

Matrix GoldenModel::ReadLogits() const { return ReadTap(tap::kLogits).at(0); }

std::vector<GoldenModel> ReadGoldenModels(const std::filesystem::path& folder) {
  std::vector<GoldenModel> models;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    std::ifstream file(entry.path() / "manifest.json");
    if (!file) continue;
    const auto json = nlohmann::json::parse(file);
    GoldenModel model;
    model.folder = entry.path();
    json.at("name").get_to(model.name);
    json.at("checkpoints").get_to(model.checkpoints);
    json.at("prompt").get_to(model.prompt);
    json.at("tap_rows").get_to(model.tap_rows);
    json.at("logit_rows_from").get_to(model.logit_rows_from);
    json.at("continuation").get_to(model.continuation);
    json.at("transformers_bf16").at("mean_kl").get_to(model.transformers_bf16_mean_kl);
    models.push_back(std::move(model));
  }
  std::sort(models.begin(), models.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return models;
}

Matrix GoldenLogitRows(const GoldenModel& golden, const Matrix& logits) {
  std::vector<int64_t> positions(golden.prompt.size() - static_cast<size_t>(golden.logit_rows_from));
  std::iota(positions.begin(), positions.end(), golden.logit_rows_from);
  return Pick(logits, positions, golden.keep_from());
}

std::vector<std::string> TapAndLogitDifferences(const GoldenModel& golden, const SingleSequenceResult& run,
                                                double tolerance, std::map<std::string, double>* worst) {
  std::vector<std::string> differences;
  const auto expect_close = [&](const Matrix& actual, const Matrix& expected, const std::string& name,
                                int32_t layer) {
    const std::string what = layer < 0 ? name : fmt::format("{} of layer {}", name, layer);
    const Comparison comparison = Compare(actual, expected, {.tolerance = tolerance});
    if (!comparison.failure.empty()) differences.push_back(what + ": " + comparison.failure);
    if (worst != nullptr) (*worst)[name] = std::max((*worst)[name], comparison.relative);
  };
  const auto expect_rows = [&](const Matrix& shown, const std::string& what) {
    const int64_t kept = static_cast<int64_t>(golden.prompt.size()) - golden.keep_from();
    if (shown.rows != kept)
      differences.push_back(fmt::format("{}: {} rows were shown, expected {}", what, shown.rows, kept));
    return shown.rows == kept;
  };

  for (const std::string_view view : kStoredTaps) {
    const std::string name(view);
    const std::vector<Matrix> expected = golden.ReadTap(name);
    for (int32_t i = 0; i < static_cast<int32_t>(expected.size()); ++i) {
      const int32_t layer = OutsideLayers(name) ? -1 : i;
      const auto found = run.taps.find({name, layer});
      if (found == run.taps.end()) {
        differences.push_back(fmt::format("{} of layer {} was never shown", name, layer));
        continue;
      }
      if (!expect_rows(found->second, fmt::format("{} of layer {}", name, layer))) continue;
      expect_close(Pick(found->second, golden.tap_rows, golden.keep_from()), expected[static_cast<size_t>(i)],
                   name, layer);
    }
    // No layer more than transformers has, either.
    const auto beyond = static_cast<int32_t>(expected.size());
    if (run.taps.contains({name, OutsideLayers(name) ? 0 : beyond}))
      differences.push_back(fmt::format("{}: more layers were shown than there are", name));
  }

  const Matrix logits = golden.ReadLogits();
  for (const Matrix* shown : {&run.logits, &run.logits_tap}) {
    if (expect_rows(*shown, "logits")) expect_close(GoldenLogitRows(golden, *shown), logits, "logits", -1);
  }
  return differences;
}

void ExpectTapsAndLogits(const GoldenModel& golden, const SingleSequenceResult& run, double tolerance) {
  std::map<std::string, double> worst;
  for (const std::string& difference : TapAndLogitDifferences(golden, run, tolerance, &worst))
    ADD_FAILURE() << difference;
  for (const auto& [name, error] : worst) ::testing::Test::RecordProperty(name, fmt::format("{:.2e}", error));
}

double MeanKl(const Matrix& expected, const Matrix& actual) {
  OX_CHECK(expected.rows == actual.rows && expected.cols == actual.cols && expected.rows > 0);
  double total = 0.0;
  for (int64_t r = 0; r < expected.rows; ++r) {
    const auto p = expected.row(r), q = actual.row(r);
    const double p_norm = LogSumExp(p), q_norm = LogSumExp(q);
    for (size_t i = 0; i < p.size(); ++i) {
      const double log_p = static_cast<double>(p[i]) - p_norm;
      total += std::exp(log_p) * (log_p - (static_cast<double>(q[i]) - q_norm));
    }
  }
  return total / static_cast<double>(expected.rows);
}

}  // namespace oxidized::test
