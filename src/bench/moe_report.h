// `bench moe` for people (table), for programs (one JSON record) and as a picture (SVG).
#pragma once

#include <string>

#include "bench/moe.h"

namespace oxidized {

// `verbose`: each run of each layer too; else layers are a line of medians each.
std::string MoeBenchTable(const MoeBenchResult& result, bool verbose);
std::string MoeBenchJson(const MoeBenchResult& result);
// One expert's product against its roofline, the layers' times, the three loads.
std::string MoeBenchPicture(const MoeBenchResult& result);

}  // namespace oxidized
