#include "checkpoint/packed_file.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cstring>

#include "audit/verify.h"
#include "base/sha256.h"
#include "rewrite/convert.h"
#include "rewrite/packed_file_writer.h"
#include "rewrite/testing/checkpoint_test_util.h"

namespace oxidized {
namespace {

using testing::ExpectError;
using testing::ReadFile;
using testing::TempFolder;
using testing::WriteFile;
namespace fs = std::filesystem;

void Synth(const fs::path& out, uint64_t seed = 7, LayoutTypes types = {}) {
  SynthOptions options;
  options.preset = "tiny";
  options.num_layers = 2;
  options.seed = seed;
  options.out = out;
  options.types = types;
  Synthesize(options);
}

// A small model and the file of it.
struct Made {
  TempFolder folder;
  fs::path model = folder.path() / "model", file = folder.path() / "dense.packed";
  PackedFileWritten written;
  Made() {
    Synth(model);
    written = WritePackedFile({.in = model, .out = file});
  }
  fs::path weights() const { return model / "model.safetensors"; }
};

std::shared_ptr<const PackedDense> Open(const fs::path& file, Checkpoint& checkpoint, bool* all_compared) {
  ThreadTeam team(2);
  bool all = false;
  auto packed =
      OpenPackedFile(file, checkpoint, PackedFileCheck::kValues, team, [&](int64_t, int64_t) { all = true; });
  if (all_compared != nullptr) *all_compared = all;
  return packed;
}

void ExpectRefused(const Made& made, const std::vector<std::string>& parts) {
  ExpectError(ErrorKind::kBadFile, parts, [&] {
    Checkpoint checkpoint = OpenCheckpoint(made.model);
    Open(made.file, checkpoint, nullptr);
  });
}

TEST(PackedFile, HoldsWhatPackingGives) {
  const Made made;
  EXPECT_EQ(made.written.file_bytes, static_cast<int64_t>(fs::file_size(made.file)));
  Checkpoint checkpoint = OpenCheckpoint(made.model);
  bool all = true;
  const auto packed = Open(made.file, checkpoint, &all);
  EXPECT_FALSE(all) << "files of the same sizes and times: a sample is enough";
  ThreadTeam team(2);
  const PackedDense here(checkpoint.weights, team, {});
  EXPECT_EQ(packed->packed_bytes(), here.packed_bytes());
  EXPECT_EQ(packed->stored_bytes(), made.written.stored_bytes);
  const MappedFile& file = checkpoint.files.back();
  EXPECT_EQ(file.path(), made.file);
  int64_t matrices = 0;
  for (const auto& [index, m] : PackedDense::Candidates(checkpoint.weights)) {
    const PackedDense::Packed* p = packed->Of(*m);
    ASSERT_EQ(p != nullptr, here.Of(*m) != nullptr) << index;
    if (p == nullptr) continue;
    ++matrices;
    EXPECT_TRUE(file.Maps(p->view.blocks, 1));
    std::vector<std::byte> row(static_cast<size_t>(m->row_bytes()));
    for (int64_t r = 0; r < m->rows; ++r) {
      UnpackBf16Row(p->view, r, m->cols, row.data());
      ASSERT_EQ(std::memcmp(row.data(), m->data + r * m->row_bytes(), row.size()), 0) << index << ' ' << r;
    }
  }
  EXPECT_EQ(matrices, made.written.matrices);
}

TEST(PackedFile, ACopyOfTheModelIsComparedWhole) {
  const Made made;
  for (const CheckpointFormat format : {CheckpointFormat::kHuggingFace, CheckpointFormat::kGguf}) {
    ConvertOptions copy;
    copy.in = made.model;
    copy.out = made.folder.path() / fmt::format("copy-{}", Name(format));
    copy.format = format;
    ConvertCheckpoint(copy);
    Checkpoint checkpoint = OpenCheckpoint(copy.out);
    bool all = false;
    EXPECT_GT(Open(made.file, checkpoint, &all)->packed_bytes(), 0);
    EXPECT_TRUE(all);
  }
}

// One bit of one value in the middle of a matrix, which no sample looks at.
TEST(PackedFile, AChangedModelIsRefused) {
  const Made made;
  Checkpoint checkpoint = OpenCheckpoint(made.model);
  const MatrixView& m = checkpoint.weights.unembedding;
  ASSERT_GT(m.bytes(), 8192);
  const auto at = static_cast<size_t>(m.data - checkpoint.files[0].bytes().data() + m.bytes() - 100);
  std::string bytes = ReadFile(made.weights());
  bytes[at] ^= 1;
  WriteFile(made.weights(), bytes);
  fs::last_write_time(made.weights(), fs::last_write_time(made.weights()) + std::chrono::seconds(1));
  ExpectRefused(made, {"dense.packed", "made from a model with other values than", "model",
                       "name the file that was made from this model"});
}

TEST(PackedFile, AnotherModelOfTheSameSizesAndTimesIsRefused) {
  const Made made;
  const auto time = fs::last_write_time(made.weights());
  Synth(made.folder.path() / "other", 8);
  fs::copy_file(made.folder.path() / "other/model.safetensors", made.weights(),
                fs::copy_options::overwrite_existing);
  fs::last_write_time(made.weights(), time);
  ExpectRefused(made, {"made from a model with other values than"});
}

TEST(PackedFile, AModelOfAnotherShapeOrTypeIsRefused) {
  const Made made;
  fs::remove_all(made.model);
  Synth(made.model, 7, {.dense = DType::kF32});
  ExpectRefused(made, {"holds layer 0's q, which", "does not have in bf16"});
}

TEST(PackedFile, ADamagedFileIsRefused) {
  const Made made;
  const std::string whole = ReadFile(made.file);
  const auto with = [&](size_t at, char value) {
    std::string bytes = whole;
    bytes[at] = value;
    return bytes;
  };
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"", "not a file of packed dense weights"},
      {"{}", "not a file of packed dense weights"},
      {"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"},
      {whole.substr(0, 350), "was it truncated?"},
      {whole.substr(0, 400), "was it truncated?"},
      {whole.substr(0, whole.size() / 2), "was it truncated?"},
      {whole.substr(0, whole.size() - 64), "was it truncated?"},
      {whole + std::string(64, '\0'), "its header says"},
      {with(8, 1), "has version 1, this program reads 2; delete it and make it again"},
      {with(15, 1), "was it truncated?"},        // matrices
      {with(16, 'X'), "its header is damaged"},  // a digest
      {with(17, whole[17] == '0' ? '1' : '0'), "its header is damaged"},
      {with(384 + 24 + 3, 0x7F), "was it truncated?"},                 // blocks kept aside
      {with(384 + 8 + 7, 0x7F), "matrix 0 of its header is damaged"},  // rows
      {with(384 + 32, 1), "its header is damaged"},                    // a high byte
      {with(384 + 64, 0), "matrix 1 of its header is damaged"},        // the same matrix again
      {with(384 + 64 * static_cast<size_t>(made.written.matrices) + 7, char(0x80)), "do not add up"},
  };
  for (const auto& [bytes, message] : cases) {
    WriteFile(made.file, bytes);
    ExpectRefused(made, {"dense.packed", message});
  }
}

TEST(PackedFile, ValuesThatChangedAreFoundByVerifying) {
  const Made made;
  VerifyOptions options;
  options.path = made.file;
  const auto verify = [&] { return VerifyCheckpoint(options); };
  EXPECT_TRUE(verify().sound());
  EXPECT_EQ(verify().tensors, made.written.matrices);
  std::string bytes = ReadFile(made.file);
  for (const size_t from_end : {size_t{1}, bytes.size() / 2}) {
    bytes[bytes.size() - from_end] ^= 4;
    WriteFile(made.file, bytes);
    const VerifyReport report = verify();
    ASSERT_EQ(report.problem_count, 1);
    EXPECT_NE(report.problems[0].find("its packed values are damaged"), std::string::npos)
        << report.problems[0];
    bytes[bytes.size() - from_end] ^= 4;
  }
  bytes.resize(bytes.size() - 64);
  WriteFile(made.file, bytes);
  ASSERT_EQ(verify().problem_count, 1);
  EXPECT_NE(verify().problems[0].find("was it truncated?"), std::string::npos);
}

TEST(PackedFile, AFileThatIsNotThereOrIsTakenForAModelIsToldWithTheOption) {
  const Made made;
  ExpectError(ErrorKind::kBadFile, {"dense.packed", "packed dense weights", "packed_weights"},
              [&] { OpenCheckpoint(made.file); });
  fs::remove(made.file);
  ExpectRefused(made, {"packed_weights: ", "dense.packed: No such file"});
}

TEST(PackedFile, NothingIsWrittenWhereItDoesNotPay) {
  TempFolder folder;
  Synth(folder.path() / "f32", 7, {.dense = DType::kF32});
  ExpectError(ErrorKind::kUnsupported, {"f32", "nothing to write"},
              [&] { WritePackedFile({.in = folder.path() / "f32", .out = folder.path() / "dense.packed"}); });
  EXPECT_FALSE(fs::exists(folder.path() / "dense.packed"));
  Synth(folder.path() / "bf16");
  WriteFile(folder.path() / "taken", "mine");
  bool read = false;
  ExpectError(ErrorKind::kBadFile, {"taken", "nothing is overwritten"}, [&] {
    WritePackedFile({.in = folder.path() / "bf16",
                     .out = folder.path() / "taken",
                     .packing_progress = [&](int64_t, int64_t) { read = true; },
                     .digest_progress = {}});
  });
  EXPECT_FALSE(read) << "seconds of packing for nothing";
  EXPECT_EQ(ReadFile(folder.path() / "taken"), "mine");
}

}  // namespace
}  // namespace oxidized
