// "auto", or a name with a number behind it, to a row of the table.
#include <algorithm>
#include <charconv>

#include "base/error.h"
#include "base/log.h"
#include "base/printable.h"
#include "devices/device.h"

namespace oxidized {
namespace {

constexpr std::string_view kAuto = "auto";

const DeviceRow* Find(std::string_view name, std::span<const DeviceRow> rows) {
  const auto found =
      std::find_if(rows.begin(), rows.end(), [&](const DeviceRow& row) { return name == row.name; });
  return found == rows.end() ? nullptr : &*found;
}

DeviceOptions With(const DeviceOptions& options, int32_t instance) {
  DeviceOptions chosen = options;
  chosen.instance = instance;
  ExecutorLimits& limits = chosen.limits;
  limits.max_step_tokens = std::max(limits.max_step_tokens, limits.max_sequences);  // all may decode
  return chosen;
}

double Gib(int64_t bytes) { return static_cast<double>(bytes) / (1024.0 * 1024.0 * 1024.0); }

// Why the model is not for this device; nullopt: it is.
std::optional<Fault> WhyNot(const DeviceRow& row, const Checkpoint& metadata, const DeviceOptions& options) {
  try {
    const DevicePlan plan = row.plan(metadata, options, /*measure=*/false);
    if (plan.memory.fits) return std::nullopt;
    return Fault{.found = fmt::format("the model needs {:.2f} GiB, {:.2f} GiB are available",
                                      Gib(plan.memory.needed_bytes), Gib(plan.input.available_bytes))};
  } catch (const Error& error) {  // something is asked for that it does not do
    if (error.kind() != ErrorKind::kUsage && error.kind() != ErrorKind::kUnsupported) throw;
    return error.fault();
  }
}

}  // namespace

const DeviceRow& DeviceNamed(std::string_view name) {
  const DeviceRow* row = Find(name, Devices());
  OX_CHECK(row != nullptr);
  return *row;
}

std::optional<DeviceChoice> ParseDeviceChoice(std::string_view text, std::span<const DeviceRow> rows) {
  if (text == kAuto) return DeviceChoice{};
  const size_t colon = text.find(':');
  DeviceChoice choice{std::string(text.substr(0, colon)), 0};
  if (Find(choice.name, rows) == nullptr) return std::nullopt;
  if (colon == std::string_view::npos) return choice;
  const std::string_view number = text.substr(colon + 1);
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), choice.instance);
  if (error != std::errc() || end != number.data() + number.size() || choice.instance < 0)
    return std::nullopt;
  return choice;
}

std::string DeviceWords(std::span<const DeviceRow> rows) {
  std::string words(kAuto);
  for (const DeviceRow& row : rows) words += std::string("|") + row.name;
  return words;
}

ChosenDevice ChooseDevice(const DeviceChoice& choice, const DeviceOptions& options,
                          const std::function<const Checkpoint&()>& metadata,
                          std::span<const DeviceRow> rows) {
  if (!choice.automatic()) {
    const DeviceRow* row = Find(choice.name, rows);
    OX_CHECK(row != nullptr);
    const DeviceAvailability found = row->available();
    const std::string asked =
        choice.instance == 0 ? row->name : fmt::format("{}:{}", row->name, choice.instance);
    if (found.instances.empty())
      throw Error(ErrorKind::kUnsupported, {.setting = Setting::kDevice,
                                            .value = asked,
                                            .found = found.why_not,
                                            .remedies = {found.what_to_do}});
    if (std::none_of(found.instances.begin(), found.instances.end(),
                     [&](const DeviceInstance& one) { return one.index == choice.instance; })) {
      throw Error(ErrorKind::kUnsupported,
                  {.setting = Setting::kDevice,
                   .value = asked,
                   .found = "there is no such one, only " + Counted(found.instances.size(), "device")});
    }
    return {row, With(options, choice.instance)};
  }

  std::vector<ChosenDevice> candidates;
  for (const DeviceRow& row : rows) {
    if (!row.automatic) continue;
    for (const DeviceInstance& one : row.available().instances) {
      if (!one.hardware) continue;
      candidates.push_back({&row, With(options, one.index)});
      break;
    }
  }
  if (candidates.empty())
    throw Error(ErrorKind::kUnsupported,
                {.setting = Setting::kDevice, .value = "auto", .found = "no device is available"});
  for (size_t i = 0; i + 1 < candidates.size(); ++i) {
    std::optional<Fault> why_not = WhyNot(*candidates[i].row, metadata(), candidates[i].options);
    if (!why_not) return candidates[i];
    why_not->component = fmt::format("{} is not used", candidates[i].row->name);
    why_not->remedies = {{Setting::kNone, fmt::format("trying {}", candidates[i + 1].row->name)}};
    LogFault(LogLevel::kWarning, *why_not);
  }
  return candidates.back();
}

}  // namespace oxidized
