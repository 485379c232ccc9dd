// --benchmark-moe for people (table), for programs (one JSON record) and as a picture (SVG).
#pragma once

#include <string>
#include <vector>

#include "cli/commands/benchmark_moe_sections.h"

namespace oxidized::cli {

struct MoeSectionResult {
  MoeSection section;
  std::vector<MoeFigure> figures;
};

// `verbose`: each run of each layer too; else layers are a line of medians each.
std::string MoeBenchTable(const MoeBenchContext& context, const std::vector<MoeSectionResult>& results,
                          bool verbose);
std::string MoeBenchJson(const MoeBenchContext& context, const std::vector<MoeSectionResult>& results);
// One expert's product against its roofline, the layers' times, the three loads.
std::string MoeBenchPicture(const MoeBenchContext& context, const std::vector<MoeSectionResult>& results);

}  // namespace oxidized::cli
