#include "tensor/precision.h"

namespace oxidized {
namespace {

struct Row {
  Precision precision;
  const char* name;
};
constexpr Row kRows[] = {{Precision::kAuto, "auto"},
                         {Precision::kF32, "f32"},
                         {Precision::kBf16, "bf16"},
                         {Precision::kF16, "f16"}};

}  // namespace

const char* Name(Precision precision) {
  for (const Row& row : kRows) {
    if (row.precision == precision) return row.name;
  }
  return "";
}

std::optional<Precision> ParsePrecision(std::string_view name) {
  for (const Row& row : kRows) {
    if (name == row.name) return row.precision;
  }
  return std::nullopt;
}

}  // namespace oxidized
