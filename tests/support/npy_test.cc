#include "support/npy.h"

#include <gtest/gtest.h>

#include <fstream>
#include <string>

#include "base/error.h"

namespace oxidized::test {
namespace {

// A folder of this test's own, removed at its end.
class Npy : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto* test = ::testing::UnitTest::GetInstance()->current_test_info();
    folder_ = std::filesystem::path(::testing::TempDir()) / (std::string("npy_test_") + test->name());
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::filesystem::path Put(const std::string& bytes) const {
    const auto path = folder_ / "planted.npy";
    std::ofstream(path, std::ios::binary) << bytes;
    return path;
  }

  std::filesystem::path folder_;
};

// A version 1 file with this header text and these data.
std::string File(const std::string& header, const std::string& data) {
  std::string bytes = "\x93NUMPY\x01";
  bytes += '\0';
  bytes += static_cast<char>(header.size() & 0xff);
  bytes += static_cast<char>(header.size() >> 8);
  return bytes + header + data;
}

const std::string kHeader = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }\n";
const std::string kData(24, '\x01');

template <typename T>
void RoundTrip(const std::filesystem::path& path, const std::vector<T>& values,
               const std::vector<int64_t>& shape) {
  WriteNpy(path, std::span(values), shape);
  EXPECT_EQ(std::filesystem::file_size(path) % 64, values.size() * sizeof(T) % 64) << "data are aligned";
  const NpyArray back = ReadNpy(path);
  EXPECT_EQ(back.shape, shape);
  EXPECT_EQ(back.as<T>(), values);
}

TEST_F(Npy, RoundTripsEveryTypeAndRank) {
  RoundTrip<float>(folder_ / "a.npy", {1.5f, -0.0f, 3e-40f, 1e38f, 2.0f, -7.25f}, {2, 3});
  RoundTrip<int32_t>(folder_ / "b.npy", {1, -2, INT32_MAX}, {3});
  RoundTrip<int64_t>(folder_ / "c.npy", {INT64_MIN, 5}, {1, 2, 1});
  RoundTrip<float>(folder_ / "d.npy", {4.0f}, {});
  RoundTrip<float>(folder_ / "e.npy", {}, {0, 5});
}

TEST_F(Npy, ReadsWhatNumpyWrites) {
  // numpy.save of a vector: no comma after the last size but in one-tuples.
  const auto path =
      Put(File("{'descr': '<i4', 'fortran_order': False, 'shape': (2,), }", {"\1\0\0\0\2\0\0\0", 8}));
  EXPECT_EQ(ReadNpy(path).as<int32_t>(), (std::vector<int32_t>{1, 2}));
}

TEST_F(Npy, AnotherTypeThanAskedForIsAnError) {
  EXPECT_EQ(ReadNpy(Put(File(kHeader, kData))).as<float>().size(), 6u);
  EXPECT_THROW(ReadNpy(Put(File(kHeader, kData))).as<int32_t>(), Error);
}

TEST_F(Npy, EveryCutFileIsAnError) {
  const std::string whole = File(kHeader, kData);
  for (size_t size = 0; size < whole.size(); ++size)
    EXPECT_THROW(ReadNpy(Put(whole.substr(0, size))), Error) << size;
  EXPECT_THROW(ReadNpy(Put(whole + "x")), Error);
  EXPECT_THROW(ReadNpy(folder_ / "absent.npy"), Error);
}

TEST_F(Npy, HostileHeadersAreErrors) {
  for (const char* shape :
       {"(2, 4)", "(2, -3)", "(4294967296, 4294967296, 4294967296)", "(99999999999999999999,)", "(2, x)",
        "(2 3)", "6", "(2, 3", "(0, 9223372036854775807)"}) {
    const std::string header =
        std::string("{'descr': '<f4', 'fortran_order': False, 'shape': ") + shape + ", }";
    EXPECT_THROW(ReadNpy(Put(File(header, kData))), Error) << shape;
  }
  for (const char* header : {"", "{}", "{'descr': '<f8', 'fortran_order': False, 'shape': (3,), }",
                             "{'descr': '>f4', 'fortran_order': False, 'shape': (6,), }",
                             "{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }",
                             "{'descr': '<f4, 'fortran_order': False, 'shape': (6,), }",
                             "{'descr': '<f4', 'fortran_order': False, 'shape': (6,), } more"}) {
    EXPECT_THROW(ReadNpy(Put(File(header, kData))), Error) << header;
  }
  std::string version = File(kHeader, kData);
  version[6] = 9;
  EXPECT_THROW(ReadNpy(Put(version)), Error);
}

}  // namespace
}  // namespace oxidized::test
