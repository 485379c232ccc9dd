#include "base/mapped_file.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "base/address_space_test_util.h"
#include "base/error.h"

namespace oxidized {
namespace {

namespace fs = std::filesystem;

class ReadAhead : public ::testing::Test {
 protected:
  ReadAhead() {
    std::string name = (fs::temp_directory_path() / "mapped_file_test.XXXXXX").string();
    const int fd = ::mkstemp(name.data());
    EXPECT_GE(fd, 0);
    ::close(fd);
    path_ = name;
    std::ofstream(path_, std::ios::binary) << std::string(static_cast<size_t>(3 * kPage), 'x');
  }
  ~ReadAhead() override { fs::remove(path_); }

  std::vector<int64_t> Progress(const MappedFile& file) const {
    std::vector<int64_t> seen;
    file.ReadAhead({{0, 3 * kPage}}, [&](int64_t done) {
      seen.push_back(done);
      return true;
    });
    return seen;
  }

  const int64_t kPage = ::sysconf(_SC_PAGESIZE);
  fs::path path_;
};

TEST_F(ReadAhead, TheMappingAloneWillDo) {
  const MappedFile file = MappedFile::Open(path_);
  constexpr int kPopulateRead = 22;  // MADV_POPULATE_READ, of Linux 5.14
  if (::madvise(const_cast<std::byte*>(file.bytes().data()), static_cast<size_t>(kPage), kPopulateRead) != 0)
    GTEST_SKIP() << "this kernel reads ahead by file only";
  fs::remove(path_);  // what has no name any more cannot be opened again
  EXPECT_EQ(Progress(file), std::vector<int64_t>{3 * kPage});
}

TEST_F(ReadAhead, WhatTheMappingCannotBringIsReadByFileAsFarAsThereIs) {
  const MappedFile file = MappedFile::Open(path_);
  fs::resize_file(path_, static_cast<uintmax_t>(kPage));
  EXPECT_EQ(Progress(file), std::vector<int64_t>{kPage});
}

// Nothing is wrong with the file.
TEST_F(ReadAhead, AFileThatFindsNoAddressSpaceIsNoBadFile) {
  if (!test::ScarceAddressSpace::Works()) GTEST_SKIP() << "no limit on address space here";
  fs::resize_file(path_, test::ScarceAddressSpace::kPiece);
  const test::ScarceAddressSpace none(0);
  try {
    MappedFile::Open(path_);
    ADD_FAILURE() << "it was mapped";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kNoMemory) << error.what();
  }
}

}  // namespace
}  // namespace oxidized
