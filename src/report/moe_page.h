// --moe-report: one page of HTML that needs nothing but itself (moe_page.html, built into the program, and
// the data).
#pragma once

#include <string>

#include "report/moe_report.h"

namespace oxidized::cli {

std::string MoePage(const MoeReport& report);

}  // namespace oxidized::cli
