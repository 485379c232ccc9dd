// --date: the date that a conversation's system message names.
#pragma once

#include <optional>
#include <string>

#include "cli/options/command.h"

namespace oxidized::cli {

struct DateWish {
  bool today = true;                // whatever day it is then
  std::optional<std::string> date;  // else: ISO; nullopt: none

  std::optional<std::string> Now() const;
};

Value Date(DateWish& wish);

}  // namespace oxidized::cli
