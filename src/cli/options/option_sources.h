// Which options the environment or a config file set, kept for errors that come after parsing: whoever reads
// "--threads" and did not write it must be told where it stands. Made by parse.cc.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "cli/options/command.h"
#include "cli/terminal/wording.h"

namespace oxidized::cli {

class ConfigFile;

// Who set an option of a parsed command; `words`: the command line's.
Command::Source SourceOf(const CLI::App& command, const CLI::Option& option, const ConfigFile& config,
                         std::span<const std::string> words);

class OptionSources {
 public:
  // Of a parsed command; `words`: the command line's.
  OptionSources(const CLI::App& command, const ConfigFile& config, std::span<const std::string> words);

  // Calls `work`; an Error that names such options leaves with their sources at the end of its line.
  template <typename Work>
  auto Told(Work work) const {
    try {
      return work();
    } catch (const Error& error) {
      const std::string line = oxidized::cli::Told(error);
      throw Error(error.kind(), line + Behind(line));
    }
  }

 private:
  // " (OXIDIZED_THREADS sets --threads)", "" if the message names no option that was set elsewhere.
  std::string Behind(const std::string& message) const;

  struct Source {
    std::string option;  // "--threads"
    std::string place;   // "OXIDIZED_THREADS", "FILE:3"
  };
  std::vector<Source> sources_;
};

}  // namespace oxidized::cli
