// How far measuring is, on the person's terminal. For the doors of src/bench/: bench.cc and benchmark_moe.cc.
#pragma once

#include <string>

#include "bench/bench.h"
#include "cli/terminal/terminal.h"

namespace oxidized::cli {

// `side` must outlive what is returned.
inline BenchWatch StatusOn(SideStream& side) {
  return {[&side](const std::string& text) { side.Status(text); },
          [&side](const std::string& text) { side.Line(text); }};
}

}  // namespace oxidized::cli
