#include "rewrite/writer.h"

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <csignal>

#include "base/interrupt.h"
#include "checkpoint/checkpoint.h"
#include "rewrite/convert.h"
#include "rewrite/safetensors_writer.h"
#include "rewrite/testing/checkpoint_test_util.h"

namespace oxidized {
namespace {

using testing::ExpectError;
using testing::TempFolder;
namespace fs = std::filesystem;

void MakeModel(const fs::path& out) {
  SynthOptions options;
  options.preset = "tiny";
  options.num_layers = 2;
  options.out = out;
  Synthesize(options);
}

struct Target {
  CheckpointFormat format;
  const char* name;
};
constexpr Target kTargets[] = {{CheckpointFormat::kHuggingFace, "out"},
                               {CheckpointFormat::kGguf, "out.gguf"}};

TEST(Convert, AKilledRunLeavesNothingUnderTheName) {
  const TempFolder temp;
  MakeModel(temp.path() / "hf");
  for (const Target& target : kTargets) {
    ConvertOptions options;
    options.in = temp.path() / "hf";
    options.out = temp.path() / target.name;
    options.format = target.format;
    for (const WritePhase phase : {WritePhase::kWriting, WritePhase::kReadingBack}) {
      const pid_t child = ::fork();
      if (child == 0) {
        options.progress = [&](WritePhase now, int64_t, int64_t) {
          if (now == phase) ::raise(SIGKILL);
        };
        ConvertCheckpoint(options);
        ::_exit(0);
      }
      int status = 0;
      ASSERT_EQ(::waitpid(child, &status, 0), child);
      ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
      EXPECT_FALSE(fs::exists(options.out));
      EXPECT_TRUE(fs::exists(options.out.string() + ".partial-" + std::to_string(child)));
    }
    options.progress = nullptr;
    ConvertCheckpoint(options);  // what the killed runs left is not in the way
    EXPECT_EQ(OpenCheckpoint(options.out).config.num_layers, 2);
    ExpectError(ErrorKind::kBadFile, {target.name, "nothing is overwritten"},
                [&] { ConvertCheckpoint(options); });
  }
}

TEST(Convert, AnInterruptedRunCleansUp) {
  const TempFolder temp;
  MakeModel(temp.path() / "hf");
  SetInterruptCheck([] { return true; });
  ConvertOptions options;
  options.in = temp.path() / "hf";
  options.out = temp.path() / "out.gguf";
  options.format = CheckpointFormat::kGguf;
  EXPECT_THROW(ConvertCheckpoint(options), Interrupted);
  SetInterruptCheck(nullptr);
  EXPECT_EQ(std::distance(fs::directory_iterator(temp.path()), {}), 1);
}

TEST(Convert, RoomIsCheckedBeforeTheFirstByte) {
  const TempFolder temp;
  MakeModel(temp.path() / "hf");
  for (const Target& target : kTargets) {
    ConvertOptions options;
    options.in = temp.path() / "hf";
    options.out = temp.path() / target.name;
    options.format = target.format;
    options.free_bytes = [](const fs::path& folder) {
      EXPECT_TRUE(fs::is_directory(folder));
      return int64_t{1'000'000};
    };
    bool began = false;
    options.progress = [&](WritePhase, int64_t, int64_t) { began = true; };
    ExpectError(ErrorKind::kNoMemory, {"has 1 MB free", "needs ", " MB"},
                [&] { ConvertCheckpoint(options); });
    EXPECT_FALSE(began);
    EXPECT_EQ(std::distance(fs::directory_iterator(temp.path()), {}), 1);
  }
}

TEST(Writer, ANameThatCannotBeGivenIsRefusedBeforeTheFirstByte) {
  const TempFolder temp;
  fs::create_directory(temp.path() / "empty");
  fs::create_directory_symlink("empty", temp.path() / "link");
  fs::create_symlink("absent", temp.path() / "dangling");
  WritePlan plan;
  plan.files = {PlanSafetensors("model.safetensors", {{{"a", DType::kU8, {3}}}})};
  plan.fill = [](const TensorSpec&, int64_t, std::span<std::byte>) { ADD_FAILURE() << "wrote"; };
  for (const char* name : {"link", "link/", "dangling", ".", "empty/.", "empty/.."}) {
    plan.out = temp.path() / name;
    ExpectError(ErrorKind::kBadFile, {temp.path().string()}, [&] { WriteFiles(plan); });
  }
  plan.out = "";
  ExpectError(ErrorKind::kUsage, {"is empty"}, [&] { WriteFiles(plan); });
  EXPECT_TRUE(fs::is_empty(temp.path() / "empty"));
  EXPECT_EQ(std::distance(fs::directory_iterator(temp.path()), {}), 3);
}

TEST(Writer, ReadsBackWhatItWrote) {
  const TempFolder temp;
  WritePlan plan;
  plan.out = temp.path() / "m";
  plan.files = {
      PlanSafetensors("model.safetensors", {{{"a", DType::kU8, {10'000'000}}}, {{"b", DType::kU8, {3}}}})};
  plan.fill = [](const TensorSpec& tensor, int64_t offset, std::span<std::byte> out) {
    for (size_t i = 0; i < out.size(); ++i)
      out[i] = static_cast<std::byte>((static_cast<size_t>(offset) + i) * 31 + tensor.name.size());
  };
  plan.read_back = true;
  for (const int64_t damaged : {int64_t{5'000'000}, int64_t{9'999'999}, int64_t{10'000'002}, int64_t{-30}}) {
    plan.before_read_back = [&](const fs::path& partial) {
      const fs::path file = partial / "model.safetensors";
      std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
      const auto at = plan.files[0].tensors[0].begin + damaged;
      stream.seekg(at);
      const char byte = static_cast<char>(stream.get() ^ 1);
      stream.seekp(at);
      stream.put(byte);
    };
    ExpectError(ErrorKind::kBadFile,
                {"model.safetensors", damaged < 0 ? "header" : "read back from the disk"},
                [&] { WriteFiles(plan); });
    EXPECT_TRUE(fs::is_empty(temp.path()));
  }
  plan.before_read_back = nullptr;
  int64_t written = 0, read = 0;
  plan.progress = [&](WritePhase phase, int64_t done, int64_t) {
    (phase == WritePhase::kWriting ? written : read) = done;
  };
  EXPECT_EQ(WriteFiles(plan), 10'000'003);
  EXPECT_EQ(written, 10'000'003);
  EXPECT_EQ(read, 10'000'003);
}

}  // namespace
}  // namespace oxidized
