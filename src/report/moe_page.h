// --moe-report: one page of HTML that needs nothing but itself (moe_page.html, built into the program, and
// the data).
#pragma once

#include <string>
#include <string_view>

#include "report/moe_report.h"

namespace oxidized {

// What tells such a page (base/output_file.h).
inline constexpr std::string_view kMoePageSign = "<meta name=\"generator\" content=\"oxidized_gpt_oss\">";

std::string MoePage(const MoeReport& report);

}  // namespace oxidized
