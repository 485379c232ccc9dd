#include "checkpoint/hf/safetensors.h"

#include <gtest/gtest.h>

#include <cstring>

#include "rewrite/testing/checkpoint_test_util.h"

namespace oxidized {
namespace {

std::string File(const std::string& header, size_t data_bytes, std::optional<uint64_t> claimed_length = {}) {
  const uint64_t length = claimed_length.value_or(header.size());
  return std::string(reinterpret_cast<const char*>(&length), 8) + header + std::string(data_bytes, 'd');
}

std::vector<SafetensorsEntry> Parse(const std::string& file) {
  return ParseSafetensors(std::as_bytes(std::span(file)), "weights.safetensors");
}

std::string Tensor(const std::string& name, const std::string& dtype, const std::string& shape, int64_t begin,
                   int64_t end) {
  return fmt::format(R"("{}":{{"dtype":"{}","shape":{},"data_offsets":[{},{}]}})", name, dtype, shape, begin,
                     end);
}

TEST(Safetensors, TensorsComeInTheOrderOfTheirBytes) {
  const std::string header =
      R"({"__metadata__":{"format":"pt"},)" + Tensor("b", "U8", "[3]", 8, 11) + "," +
      Tensor("a", "F32", "[1,2]", 0, 8) + "," + Tensor("scalar", "BF16", "[]", 11, 13) + "," +
      Tensor("empty", "F64", "[4,0]", 13, 13) + "," + Tensor("half", "F4", "[2,3]", 13, 16) + "}   ";
  const auto entries = Parse(File(header, 16));
  ASSERT_EQ(entries.size(), 5u);
  const auto data = static_cast<int64_t>(8 + header.size());
  EXPECT_EQ(entries[0].name, "a");
  EXPECT_EQ(entries[0].dtype, DType::kF32);
  EXPECT_EQ(entries[0].shape, (std::vector<int64_t>{1, 2}));
  EXPECT_EQ(entries[0].begin, data);
  EXPECT_EQ(entries[0].end, data + 8);
  EXPECT_EQ(entries[1].name, "b");
  EXPECT_EQ(entries[2].begin, data + 11);  // a BF16 at an odd place is legal
  EXPECT_TRUE(entries[2].shape.empty());
  EXPECT_EQ(entries[3].name, "empty");
  EXPECT_EQ(entries[4].dtype, DType::kF4);
}

TEST(Safetensors, NoTensorAtAllIsLegal) {
  EXPECT_TRUE(Parse(File("{}", 0)).empty());
  EXPECT_TRUE(Parse(File(R"({"__metadata__":{}})", 0)).empty());
}

TEST(Safetensors, DamageIsNamed) {
  const std::string good = Tensor("a", "U8", "[4]", 0, 4);
  const auto with = [](const std::string& tensors) { return "{" + tensors + "}"; };
  std::string too_many_dimensions = "[1,1,1,1,1,1,1,1,4]";
  struct Case {
    std::string file;
    std::vector<std::string> parts;
  };
  const Case cases[] = {
      {"", {"0 bytes long"}},
      {"1", {": 1 byte long"}},
      {"1234567", {"7 bytes long"}},
      {File("", 0), {"does not begin with '{'"}},
      {File(" " + with(good), 4), {"does not begin with '{'"}},
      {File(with(good), 4, 1000), {"truncated", "1000"}},
      {File(with(good), 4, 100'000'001), {"100000001", "at most 100000000"}},
      {File(with(good), 4, ~uint64_t{0}), {"18446744073709551615"}},
      {File(with(good), 4, ~uint64_t{0} - 7), {"at most 100000000"}},
      {File(with(good), 4, with(good).size() - 1), {"JSON"}},
      {File(with(good) + "{}", 4), {"follows the header"}},
      {File(with(good) + ",", 4), {"JSON"}},
      {File(with(good) + std::string(1, '\0'), 4), {"weights.safetensors"}},
      {File("{\"a\xff\":1}", 0), {"JSON", "UTF"}},
      {File("{\"a\":[", 0), {"weights.safetensors"}},
      {File(with(good), 3), {"\"a\"", "[0, 4]", "3 data bytes"}},
      {File(with(good), 5), {"1 byte after the last tensor"}},
      {File("{}", 1), {"1 byte after the last tensor"}},
      {File(with(good + "," + good), 4), {"\"a\" appears twice"}},
      {File(with(R"("__metadata__":{},"__metadata__":{},)" + good), 4), {"__metadata__", "twice"}},
      {File(with(R"("__metadata__":{"k":1},)" + good), 4), {"__metadata__", "\"k\""}},
      {File(with(R"("__metadata__":[])"), 0), {"JSON"}},
      {File(with(good + "," + Tensor("b", "U8", "[2]", 2, 4)), 4), {"\"b\"", "overlaps"}},
      {File(with(good + "," + Tensor("b", "U8", "[2]", 6, 8)), 8), {"\"b\"", "hole"}},
      {File(with(Tensor("b", "U8", "[4]", 1, 5)), 5), {"\"b\"", "hole"}},
      {File(with(Tensor("b", "U8", "[4]", 4, 0)), 4), {"\"b\"", "[4, 0]"}},
      {File(with(Tensor("b", "BF16", "[4]", 0, 4)), 4), {"\"b\"", "4 bytes", "needs 8"}},
      {File(with(Tensor("b", "F4", "[3]", 0, 2)), 2), {"\"b\"", "whole number of bytes"}},
      {File(with(Tensor("b", "Q7", "[4]", 0, 4)), 4), {"\"b\"", "unknown dtype \"Q7\""}},
      {File(with(Tensor("b", "U8", "[4294967296,4294967296]", 0, 4)), 4), {"\"b\"", "overflows"}},
      {File(with(Tensor("b", "U8", "[9007199254740992,1024,0]", 0, 0)), 0), {"\"b\"", "overflows"}},
      {File(with(Tensor("b", "U8", "[9007199254740993]", 0, 4)), 4), {"\"b\"", "shape", "2^53"}},
      {File(with(Tensor("b", "U8", "[-4]", 0, 4)), 4), {"\"b\"", "shape"}},
      {File(with(Tensor("b", "U8", "[4.0]", 0, 4)), 4), {"\"b\"", "shape"}},
      {File(with(Tensor("b", "U8", "[\"4\"]", 0, 4)), 4), {"\"b\"", "shape"}},
      {File(with(Tensor("b", "U8", "4", 0, 4)), 4), {"\"b\"", "shape"}},
      {File(with(Tensor("b", "U8", too_many_dimensions, 0, 4)), 4), {"\"b\"", "more than 8 dimensions"}},
      {File(with(R"("b":{"dtype":"U8","shape":[4]})"), 4), {"\"b\"", "lacks data_offsets"}},
      {File(with(R"("b":{"shape":[4],"data_offsets":[0,4]})"), 4), {"\"b\"", "lacks dtype"}},
      {File(with(R"("b":{"dtype":"U8","data_offsets":[0,4]})"), 4), {"\"b\"", "lacks shape"}},
      {File(with(R"("b":{"dtype":"U8","dtype":"U8","shape":[4],"data_offsets":[0,4]})"), 4),
       {"\"dtype\"", "twice"}},
      {File(with(R"("b":{"dtype":"U8","shape":[4],"data_offsets":[0,4],"x":1})"), 4), {"unknown key \"x\""}},
      {File(with(R"("b":{"dtype":"U8","shape":[4],"data_offsets":[0]})"), 4), {"1 number, expected 2"}},
      {File(with(R"("b":{"dtype":"U8","shape":[4],"data_offsets":[0,2,4]})"), 4), {"more than 2"}},
      {File(with(R"("b":7)"), 4), {"\"b\"", "not an object"}},
      {File(with(R"("b\n\u0001":7)"), 4), {"\"b\\x0a\\x01\""}},
      {File(with(Tensor(std::string(1025, 'n'), "U8", "[4]", 0, 4)), 4), {"name of 1025 bytes"}},
      {File("{\"a\":" + std::string(100'000, '[') + std::string(100'000, ']') + "}", 0),
       {"\"a\"", "not an object"}},
  };
  for (const Case& c : cases) {
    std::vector<std::string> parts = c.parts;
    parts.push_back("weights.safetensors");
    testing::ExpectError(ErrorKind::kBadFile, parts, [&] { Parse(c.file); });
  }
}

TEST(Safetensors, EveryTruncationAndEveryChangedByteIsSurvived) {
  const std::string header =
      "{" + Tensor("a", "U8", "[4]", 0, 4) + "," + Tensor("b", "F32", "[2]", 4, 12) + "}";
  const std::string good = File(header, 12);
  for (size_t size = 0; size < good.size(); ++size) EXPECT_THROW(Parse(good.substr(0, size)), Error) << size;
  for (size_t at = 0; at < 8 + header.size(); ++at) {
    for (const char replacement : {'\0', '{', '}', '"', ',', '[', '9', '\\', '\xff'}) {
      std::string changed = good;
      changed[at] = replacement;
      try {
        for (const SafetensorsEntry& entry : Parse(changed)) {
          EXPECT_LE(entry.begin, entry.end);
          EXPECT_LE(entry.end, static_cast<int64_t>(changed.size()));
        }
      } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::kBadFile);
      }
    }
  }
}

}  // namespace
}  // namespace oxidized
