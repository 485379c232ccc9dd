#include "report/stage_parts.h"

#include <string_view>

namespace oxidized {

StageParts PartsOf(const StageTotals& totals) {
  constexpr struct {
    std::string_view stage;
    StageSum StageParts::* part;
  } kParts[] = {{"router", &StageParts::routing},
                {"gate_up", &StageParts::experts},
                {"down", &StageParts::experts},
                {"combine", &StageParts::combine}};
  StageParts parts;
  for (const StageCost& stage : totals.stages) {
    parts.all.Add(stage);
    for (const auto& row : kParts) {
      if (stage.stage == row.stage) (parts.*row.part).Add(stage);
    }
  }
  return parts;
}

}  // namespace oxidized
