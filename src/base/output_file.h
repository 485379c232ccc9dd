// The one rule for every file that the program writes.
//
//   It is written beside its name, as NAME.partial-PROCESS, and renamed when all of it is on the disk: what
//   stands under the name is the old file or the new one, never a part of it. It never replaces a file that
//   this process reads or runs (file_in_use.h), told to or not. It replaces no file of another program, and
//   nothing through a symbolic link, unless told to. Files of this program are known by a sign that they
//   carry. It replaces regular files only.
//
// What a killed run left beside the name is removed by the next run that writes there, which says so; what
// does not look like a part of such an output is named and stays.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>

namespace oxidized {

struct OutputRule {
  std::string_view sign = {};  // among the first bytes of such a file; empty: none can be told
  bool replace = false;        // told to replace what is there, whoever wrote it (Setting::kReplace)
};

// A name to write to, and what may be replaced there.
struct OutputName {
  std::filesystem::path path;  // empty: none
  OutputRule rule = {};
};

class OutputFile {
 public:
  // Throws Error: kUsage for what may not be replaced, kBadFile for what cannot be written.
  explicit OutputFile(const OutputName& name);
  ~OutputFile();  // what is not published is removed
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  // Both throw Error(kBadFile), naming the file and the reason.
  void Write(std::string_view bytes);
  void Publish();  // once, after all of it is written

 private:
  [[noreturn]] void Failed(int reason) const;
  void Leave();  // others of this run may write there

  OutputName name_;
  std::filesystem::path target_, partial_;
  std::filesystem::path whole_;  // the target, whatever name leads to it
  int fd_ = -1;
};

// Throws what writing there would throw before its first byte. Leaves nothing behind.
void CheckOutput(const OutputName& name);

// Puts `text` under this name. Throws like OutputFile.
void WriteOutput(const OutputName& name, std::string_view text);

// Where a file or folder is written until it is whole: beside its name.
std::filesystem::path PartialName(const std::filesystem::path& name);

// What keeps others from taking a partial file or folder for one of a dead run. `fd` is locked and not
// closed.
void LockPartial(int fd);

// Where bytes written to this name would go: the end of all links, which need not be there yet.
std::filesystem::path EndOfLinks(std::filesystem::path path);

// Removes what dead runs left of this output, with a warning for each: empty files, files that carry
// the sign, and folders that `ours` finds to be such a one.
void RemoveLeftPartials(const std::filesystem::path& name, std::string_view sign,
                        bool (*ours)(const std::filesystem::path& folder) = nullptr);

// errno in words; a limit of this process is named.
std::string WriteErrorText(int reason);

}  // namespace oxidized
