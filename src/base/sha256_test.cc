// Published vectors (FIPS 180-4 examples), streams cut anywhere, and what a file that cannot be read says.
#include "base/sha256.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "base/error.h"

namespace oxidized {
namespace {

constexpr const char* kAbc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
constexpr const char* kEmpty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
constexpr const char* kTwoBlocks = "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1";
constexpr const char* kMillionA = "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0";

std::string Sha256Of(std::string_view text) {
  Sha256 digest;
  digest.Update(text);
  return digest.FinishHex();
}

TEST(Sha256, PublishedVectors) {
  EXPECT_EQ(Sha256Of(""), kEmpty);
  EXPECT_EQ(Sha256Of("abc"), kAbc);
  EXPECT_EQ(Sha256Of("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"), kTwoBlocks);
  EXPECT_EQ(Sha256Of(std::string(1000000, 'a')), kMillionA);
}

TEST(Sha256, WhereTheStreamIsCutDoesNotMatter) {
  const std::string text(1000000, 'a');
  for (const size_t step : {1u, 63u, 64u, 65u, 4096u, 999999u}) {
    Sha256 digest;
    for (size_t at = 0; at < text.size(); at += step) digest.Update(std::string_view(text).substr(at, step));
    EXPECT_EQ(digest.FinishHex(), kMillionA) << step;
  }
}

TEST(Sha256, GitNamesABlobByItsSha1) {
  Digest digest(Digest::Algorithm::kSha1);  // git hash-object of a file "hello\n"
  digest.Update(std::string_view("blob 6\0hello\n", 13));
  EXPECT_EQ(digest.FinishHex(), "ce013625030ba8dba906f756967f9e9ca394464a");
}

TEST(Sha256, OfAFileWithProgress) {
  const std::filesystem::path path =
      std::filesystem::path(testing::TempDir()) / ("sha256_test." + std::to_string(::getpid()));
  std::ofstream(path, std::ios::binary) << std::string(3 << 20, 'x') << "tail";
  Sha256 expected;
  expected.Update(std::string(3 << 20, 'x') + "tail");
  std::vector<int64_t> seen;
  EXPECT_EQ(Sha256OfFile(path, [&](int64_t done) { seen.push_back(done); }), expected.FinishHex());
  ASSERT_FALSE(seen.empty());
  EXPECT_EQ(seen.back(), (3 << 20) + 4);
  EXPECT_TRUE(std::is_sorted(seen.begin(), seen.end()));
  std::filesystem::remove(path);
}

TEST(Sha256, AFileThatCannotBeReadIsNamed) {
  for (const char* path : {"/nonexistent/file", "/"}) {
    try {
      (void)Sha256OfFile(path);
      FAIL() << path;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kBadFile);
      EXPECT_TRUE(std::string(error.what()).starts_with(path)) << error.what();
    }
  }
}

TEST(Sha256, HexIsLowerCaseAndWhole) {
  EXPECT_TRUE(IsSha256Hex(kAbc));
  EXPECT_TRUE(IsSha1Hex("ce013625030ba8dba906f756967f9e9ca394464a"));
  EXPECT_FALSE(IsSha256Hex("ce013625030ba8dba906f756967f9e9ca394464a"));
  EXPECT_FALSE(IsSha1Hex("CE013625030BA8DBA906F756967F9E9CA394464A"));
  EXPECT_FALSE(IsSha256Hex(std::string(63, 'a') + "/"));
}

}  // namespace
}  // namespace oxidized
