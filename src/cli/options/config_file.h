// The file of --config. CLI11 reads it; this remembers where each name stands, so that what is wrong in it is
// told with file and line. Like parse_table.h, it shows CLI11's types and is for the parser's files alone.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace oxidized::cli {

class ConfigFile final : public CLI::ConfigTOML {
 public:
  // `app` must outlive this.
  explicit ConfigFile(const CLI::App& app) : app_(app) {}

  // What the file says of this option is passed over.
  void PassOver(const CLI::Option* option) { passed_over_.push_back(option); }
  // Throws Error(kUsage) for a name that no option has.
  std::vector<CLI::ConfigItem> from_config(std::istream& input) const override;
  // "FILE:3" if a complaint of CLI11 is about an option that the file sets, else "". An option of the
  // command line is asked for by `written`: the file has no say in it.
  template <typename Written>
  std::string PlaceOf(const std::string& complaint, Written written) const {
    for (const Entry& entry : entries_) {
      if (!written(entry.option) && Names(complaint, entry.option)) return entry.place;
    }
    return "";
  }
  // Likewise where the file sets the option of this name.
  std::string PlaceOf(const std::string& option) const {
    return PlaceOf(option, [](const std::string&) { return false; });
  }

  // Whether a complaint is about this option.
  static bool Names(const std::string& complaint, const std::string& option);

 private:
  struct Entry {
    std::string option;  // "--max-tokens"
    std::string place;
  };

  const CLI::App& app_;
  std::vector<const CLI::Option*> passed_over_;
  mutable std::vector<Entry> entries_;  // CLI11 reads through a const interface
};

}  // namespace oxidized::cli
