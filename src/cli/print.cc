// `man` and `completion`: prints what was made of the option table.
#include "cli/options.h"
#include "cli/terminal.h"

namespace oxidized::cli {

int Run(const PrintOptions& options) {
  WriteAnswer(options.text);
  return 0;
}

}  // namespace oxidized::cli
