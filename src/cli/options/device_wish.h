// Which device computes, by --device and by the names it had before: --executor and --use-metal. Who is
// nearer to the user decides (command line, then config file, then environment); two of one place that differ
// are refused.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cli/options/command.h"

namespace oxidized::cli {

class DeviceWish {
 public:
  // Adds --device and --executor, and what settles them once all is parsed. `choice` must live until then.
  static std::shared_ptr<DeviceWish> Add(Command& command, DeviceChoice& choice);
  // Adds --use-metal: Metal where it is, else auto; =false: the CPU. This must live until all is parsed.
  void AddUseMetal(Command& command);

 private:
  struct Way {
    Command::Given given;
    std::string written;  // "--executor reference"
    DeviceChoice choice;
  };

  explicit DeviceWish(DeviceChoice& choice) : choice_(choice) {}
  static bool Agree(const DeviceChoice& wide, const DeviceChoice& narrow);
  void Settle();  // throws Error(kUsage)

  DeviceChoice& choice_;
  Way device_, executor_, use_metal_;
  bool metal_ = true;  // what --use-metal says
};

}  // namespace oxidized::cli
