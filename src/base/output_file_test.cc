#include "base/output_file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

#include "base/error.h"
#include "base/file_in_use.h"
#include "base/mapped_file.h"

namespace oxidized {
namespace {

namespace fs = std::filesystem;

class OutputFileTest : public ::testing::Test {
 protected:
  OutputFileTest() {
    folder_ = fs::temp_directory_path() / ("oxidized-output-" + std::to_string(::getpid()));
    fs::create_directories(folder_);
  }
  ~OutputFileTest() override { fs::remove_all(folder_); }

  std::string ReadBack(const char* name) const {
    std::ostringstream text;
    text << std::ifstream(folder_ / name).rdbuf();
    return text.str();
  }
  void Put(const char* name, const char* text) const { std::ofstream(folder_ / name) << text; }
  void ExpectRefused(const OutputName& name, ErrorKind kind) const {
    try {
      WriteOutput(name, "new");
      ADD_FAILURE() << name.path;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), kind) << error.what();
    }
  }

  fs::path folder_;
};

TEST_F(OutputFileTest, TheNameHoldsTheOldFileOrTheWholeNewOne) {
  Put("a", "sign: old");
  const OutputName name{folder_ / "a", {.sign = "sign"}};
  {
    OutputFile file(name);
    file.Write("half");
    EXPECT_EQ(ReadBack("a"), "sign: old");
  }
  EXPECT_EQ(ReadBack("a"), "sign: old");
  EXPECT_FALSE(fs::exists(PartialName(name.path)));
  WriteOutput(name, "sign: new");
  EXPECT_EQ(ReadBack("a"), "sign: new");
  WriteOutput({folder_ / "b"}, "new");
  EXPECT_EQ(ReadBack("b"), "new");
}

TEST_F(OutputFileTest, OthersFilesAndLinksOnlyIfTold) {
  Put("others", "precious");
  Put("empty", "");
  fs::create_symlink("others", folder_ / "link");
  fs::create_symlink("nothing", folder_ / "dangling");
  for (const char* name : {"others", "link", "dangling"})
    ExpectRefused({folder_ / name, {.sign = "sign"}}, ErrorKind::kUsage);
  ExpectRefused({folder_, {.replace = true}}, ErrorKind::kBadFile);
  ExpectRefused({folder_ / "others" / "below"}, ErrorKind::kBadFile);
  ExpectRefused({folder_ / std::string(300, 'n')}, ErrorKind::kBadFile);
  EXPECT_EQ(ReadBack("others"), "precious");
  WriteOutput({folder_ / "empty"}, "new");
  WriteOutput({folder_ / "link", {.replace = true}}, "told");
  EXPECT_EQ(ReadBack("others"), "told");
  EXPECT_TRUE(fs::is_symlink(folder_ / "link"));
  WriteOutput({folder_ / "dangling", {.replace = true}}, "told");
  EXPECT_EQ(ReadBack("nothing"), "told");
}

TEST_F(OutputFileTest, WhatIsInUseNeverUnderAnyName) {
  Put("model", "weights");
  fs::create_hard_link(folder_ / "model", folder_ / "hard");
  fs::create_symlink("model", folder_ / "soft");
  {
    const MappedFile model = MappedFile::Open(folder_ / "model");
    const MappedFile moved = model.MapAgain();
    for (const char* name : {"model", "hard", "soft"})
      ExpectRefused({folder_ / name, {.replace = true}}, ErrorKind::kUsage);
  }
  KeepInUse(std::filesystem::path("/proc/self/exe"));
  ExpectRefused({"/proc/self/exe", {.replace = true}}, ErrorKind::kUsage);
  WriteOutput({folder_ / "model", {.replace = true}}, "new");
  EXPECT_EQ(ReadBack("hard"), "weights");
}

}  // namespace
}  // namespace oxidized
