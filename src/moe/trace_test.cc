#include "moe/trace.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmath>
#include <csignal>
#include <fstream>

#include "base/error.h"

namespace oxidized {
namespace {

class TraceTest : public ::testing::Test {
 protected:
  void TearDown() override { std::filesystem::remove(path_); }

  std::vector<std::byte> Bytes() const {
    std::ifstream file(path_, std::ios::binary);
    const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    const auto* data = reinterpret_cast<const std::byte*>(text.data());
    return {data, data + text.size()};
  }
  void ExpectRefused(const std::vector<std::byte>& bytes, const std::string& says) const {
    try {
      const TraceReader reader(bytes, "f");
      TraceRecord record;
      for (int64_t i = 0; i < reader.size(); ++i) reader.Read(i, record);
      ADD_FAILURE() << "accepted; expected: " << says;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kBadFile);
      EXPECT_NE(std::string(error.what()).find(says), std::string::npos) << error.what();
    }
  }
  // Two tokens of one layer, three experts, two a token; what a step of a wider policy looks like.
  void WriteTwo(bool logits) {
    TraceWriter writer({path_, {.sign = kTraceSign}}, {{1, 3, 2, 3}, logits, 1000});
    std::vector<int32_t> experts = {2, 0, -1, 1, -1, -1};
    std::vector<float> weights = {0.75f, 0.25f, 0, 1, 0, 0};
    std::vector<uint8_t> dropped = {0, 1}, rerouted = {1, 0};
    const std::vector<float> z = {1, 0.5f, 2, 4, 7, 4};
    const std::vector<int32_t> tokens = {11, 12};
    const RoutedRows layer{3, experts, weights, dropped, rerouted};
    const std::span<const float> of_layer = z;
    writer.OnRows({5, 9, RoutingPhase::kDecode, 30, tokens, {&layer, 1}, {&of_layer, 1}});
    writer.Close();
  }

  const std::filesystem::path path_ =
      std::filesystem::temp_directory_path() / ("trace_test_" + std::to_string(::getpid()));
};

TEST_F(TraceTest, ReadsWhatWasWritten) {
  for (const bool logits : {false, true}) {
    WriteTwo(logits);
    const TraceReader reader = TraceReader::Open(path_);
    EXPECT_EQ(reader.header().shape, (RoutingShape{1, 3, 2, 3}));
    EXPECT_EQ(reader.header().expert_bytes, 1000);
    ASSERT_EQ(reader.size(), 2);
    EXPECT_EQ(reader.torn_bytes(), 0);
    TraceRecord record;
    reader.Read(0, record);
    EXPECT_EQ(record.experts, (std::vector<int32_t>{2, 0}));
    EXPECT_EQ(record.weights, (std::vector<float>{0.75f, 0.25f}));
    EXPECT_EQ(record.margins, (std::vector<float>{0.5f}));
    EXPECT_EQ(record.rerouted[0], 1);
    EXPECT_EQ(record.position, 30u);
    reader.Read(1, record);
    EXPECT_EQ(record.sequence, 5u);
    EXPECT_EQ(record.step, 9u);
    EXPECT_EQ(record.position, 31u);
    EXPECT_EQ(record.token, 12);
    EXPECT_EQ(record.phase, RoutingPhase::kDecode);
    EXPECT_EQ(record.experts, (std::vector<int32_t>{1, -1}));
    EXPECT_EQ(record.margins, (std::vector<float>{0.0f}));  // a tie for the second place
    EXPECT_EQ(record.dropped[0], 1);
    EXPECT_EQ(record.logits, logits ? (std::vector<float>{4, 7, 4}) : std::vector<float>());
  }
}

TEST_F(TraceTest, EveryPrefixIsATraceOfItsWholeRecords) {
  WriteTwo(true);
  const std::vector<std::byte> whole = Bytes();
  const size_t record = (whole.size() - 64) / 2;
  for (size_t size = 64; size <= whole.size(); ++size) {
    const TraceReader reader(std::span<const std::byte>(whole).first(size), "f");
    ASSERT_EQ(reader.size(), static_cast<int64_t>((size - 64) / record));
    ASSERT_EQ(reader.torn_bytes(), static_cast<int64_t>((size - 64) % record));
  }
  for (size_t size = 0; size < 64; ++size)
    ExpectRefused({whole.begin(), whole.begin() + static_cast<ptrdiff_t>(size)}, "not a routing trace");
}

TEST_F(TraceTest, DamageIsNamed) {
  WriteTwo(false);
  const auto damaged = [bytes = Bytes()](size_t at, int value) {
    std::vector<std::byte> copy = bytes;
    copy[at] = static_cast<std::byte>(value);
    return copy;
  };
  ExpectRefused(damaged(0, 'x'), "not a routing trace");
  ExpectRefused(damaged(8, 2), "trace version 2");
  ExpectRefused(damaged(16, 1), "records of 1 byte,");
  ExpectRefused(damaged(20, 0), "0 layers");
  ExpectRefused(damaged(23, 255), "layers");
  ExpectRefused(damaged(28, 4), "4 a token");
  ExpectRefused(damaged(36, 2), "flags 0x2");
  ExpectRefused(damaged(64 + 16, 2), "record 0 has phase 2");
  ExpectRefused(damaged(64 + 20, 3), "record 0, layer 0: expert 3, the model has 3");
}

TEST_F(TraceTest, WhatCannotBeWrittenIsReportedAtTheEndAndLeavesNothing) {
  std::signal(SIGXFSZ, SIG_IGN);  // as the program does
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const rlimit header_alone{64, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &header_alone), 0);
  {
    TraceWriter writer({path_, {.sign = kTraceSign}}, {{1, 3, 2, 3}, false, 0});
    TraceRecord record;
    record.Resize({{1, 3, 2, 3}, false, 0});
    EXPECT_NO_THROW(writer.Check());
    writer.Write(record);
    EXPECT_THROW(writer.Check(), Error);
    EXPECT_THROW(writer.Close(), Error);
  }
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  EXPECT_FALSE(std::filesystem::exists(path_));
  EXPECT_FALSE(std::filesystem::exists(PartialName(path_)));
}

TEST(Trace, AFileThatCannotBeMadeIsNamed) {
  EXPECT_THROW(TraceWriter({"/nowhere/trace"}, {{1, 1, 1, 1}, false, 0}), Error);
}

}  // namespace
}  // namespace oxidized
