#include "devices/own_weights.h"

#include <gtest/gtest.h>

#include <cstring>

#include "base/memory_registry.h"
#include "checkpoint/checkpoint.h"
#include "experts/expert_file_map.h"
#include "rewrite/synth.h"
#include "rewrite/testing/checkpoint_test_util.h"

namespace oxidized {
namespace {

using testing::ExpectError;
using testing::TempFolder;

class OwnedModel : public ::testing::TestWithParam<CheckpointFormat> {
 protected:
  OwnedModel() {
    SynthOptions options;
    options.preset = "tiny";
    options.format = GetParam();
    options.out = folder_.path() / (GetParam() == CheckpointFormat::kGguf ? "model.gguf" : "model");
    Synthesize(options);
    checkpoint_ = OpenCheckpoint(options.out);
    for (const MappedFile& file : checkpoint_.files) {
      paths_.push_back(file.path());
      contents_.push_back(testing::ReadFile(file.path()));
    }
  }
  // No byte of any file is left.
  void LoseFiles() {
    for (const auto& path : paths_) std::filesystem::resize_file(path, 0);
  }

  TempFolder folder_;
  Checkpoint checkpoint_;
  std::vector<std::filesystem::path> paths_;
  std::vector<std::string> contents_;
};

TEST_P(OwnedModel, KeepsEveryByteWhenItsFilesAreLost) {
  int64_t last = 0, all = 0;
  OwnWeights(checkpoint_.files, {.progress = [&](int64_t done, int64_t total) {
               EXPECT_GT(done, last);
               last = done, all = total;
             }});
  EXPECT_EQ(last, all);
  LoseFiles();
  for (size_t i = 0; i < contents_.size(); ++i) {
    const auto bytes = checkpoint_.files[i].bytes();
    EXPECT_FALSE(checkpoint_.files[i].Maps(bytes.data(), 1));
    ASSERT_EQ(bytes.size(), contents_[i].size());
    EXPECT_EQ(std::memcmp(bytes.data(), contents_[i].data(), bytes.size()), 0);
  }
}

TEST_P(OwnedModel, LeavesStoredExpertsMappedAndNothingElse) {
  const ExpertFileMap map(checkpoint_.weights, checkpoint_.files);
  ASSERT_EQ(map.num_stored(), 4 * 8);
  int64_t total = 0;
  const auto stored = map.stored_parts();
  OwnWeights(checkpoint_.files, {.unread = {stored.begin(), stored.end()},
                                 .progress = [&](int64_t, int64_t all) { total = all; }});
  LoseFiles();
  // Byte by byte what is not an expert's, also between two of them and on a page that both have.
  int64_t others = 0, experts = 0;
  for (size_t i = 0; i < contents_.size(); ++i) {
    std::vector<bool> of_expert(contents_[i].size());
    const auto bytes = checkpoint_.files[i].bytes();
    for (const auto& part : stored) {
      if (part.data() < bytes.data() || part.data() >= bytes.data() + bytes.size()) continue;
      std::fill_n(of_expert.begin() + (part.data() - bytes.data()), part.size(), true);
      experts += std::ssize(part);
    }
    for (size_t at = 0; at < bytes.size(); ++at) {
      if (of_expert[at]) continue;
      ++others;
      ASSERT_EQ(bytes[at], static_cast<std::byte>(contents_[i][at])) << at;
    }
  }
  EXPECT_EQ(experts, map.stored_bytes());
  EXPECT_GE(total, others);
  EXPECT_LT(total, others + experts / 2) << "experts were read, too";
  // The registry tells them apart.
  int64_t owned = 0;
  for (const MemoryEntry& entry : MemoryEntries())
    owned += entry.memory_class == MemoryClass::kWeights ? entry.bytes : 0;
  EXPECT_EQ(owned, total);
}

TEST_P(OwnedModel, IsRefusedBeforeTheFirstByteWhenItDoesNotFit) {
  int64_t total = 0;
  for (const std::string& content : contents_) total += std::ssize(content);
  const OwnedWeights what{.model = "the model",
                          .beside_bytes = 1000,
                          .remedy = {Setting::kNone, "buy some"},
                          .progress = [](int64_t, int64_t) { ADD_FAILURE() << "something was read"; }};
  ExpectError(ErrorKind::kNoMemory, {"the model: needs", "MiB of memory", "available; buy some"},
              [&] { OwnWeights(checkpoint_.files, what, total + 999); });
  EXPECT_TRUE(checkpoint_.files[0].Maps(checkpoint_.files[0].bytes().data(), 1));
  OwnWeights(checkpoint_.files, {.beside_bytes = 1000}, total + 1000);
}

TEST_P(OwnedModel, AFileThatShrankBeforeItWasReadIsNamed) {
  std::filesystem::resize_file(paths_.front(), 4096);
  ExpectError(ErrorKind::kBadFile, {paths_.front().filename().string(), "became shorter"},
              [&] { OwnWeights(checkpoint_.files, {}); });
}

INSTANTIATE_TEST_SUITE_P(Formats, OwnedModel,
                         ::testing::Values(CheckpointFormat::kHuggingFace, CheckpointFormat::kGguf),
                         [](const auto& param_info) {
                           return param_info.param == CheckpointFormat::kGguf ? "gguf" : "safetensors";
                         });

}  // namespace
}  // namespace oxidized
