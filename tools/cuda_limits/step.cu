#include "host.h"
namespace limits {
void MeasureStep(const Setup&) {}
}  // namespace limits
