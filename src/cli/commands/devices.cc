// `devices`: every row of the table of devices, with its memory, or why it is not available and what to do.
#include <nlohmann/json.hpp>

#include "base/printable.h"
#include "base/text_table.h"
#include "cli/options/command.h"
#include "cli/terminal/terminal.h"
#include "cli/terminal/wording.h"
#include "devices/device.h"

namespace oxidized::cli {
namespace {

using Json = nlohmann::ordered_json;

// "cuda:1"; of one alone "cpu".
std::string NameOf(const DeviceRow& row, const DeviceInstance& one, size_t count) {
  return count == 1 ? row.name : fmt::format("{}:{}", row.name, one.index);
}

double Gib(int64_t bytes) { return static_cast<double>(bytes) / (1024.0 * 1024.0 * 1024.0); }

std::string DevicesText() {
  std::string text = "devices, in the order that --device auto tries them:\n";
  const auto line = [&text](const std::string& name, const std::string& what) {
    text += WrapBehind(fmt::format("{:<12}", name), what, kTableColumns) + '\n';
  };
  for (const DeviceRow& row : Devices()) {
    const DeviceAvailability found = row.available();
    for (const DeviceInstance& one : found.instances) {
      line(NameOf(row, one, found.instances.size()),
           fmt::format("{}: {:.1f} GiB, {:.1f} GiB of it available{}{}", one.name, Gib(one.memory_bytes),
                       Gib(one.available_bytes), one.hardware ? "" : "; a driver in software",
                       row.automatic && one.hardware ? "" : "; only when asked for by name"));
    }
    if (found.instances.empty())
      line(row.name, fmt::format("not available: {}; {}", found.why_not, found.what_to_do.Text(FlagOf)));
  }
  return text;
}

std::string DevicesJson() {
  Json rows = Json::array();
  for (const DeviceRow& row : Devices()) {
    const DeviceAvailability found = row.available();
    Json instances = Json::array();
    for (const DeviceInstance& one : found.instances) {
      instances.push_back({{"index", one.index},
                           {"name", one.name},
                           {"memory_bytes", one.memory_bytes},
                           {"available_bytes", one.available_bytes},
                           {"hardware", one.hardware}});
    }
    const bool available = !found.instances.empty();
    rows.push_back({{"device", row.name},
                    {"what", row.what},
                    {"available", available},
                    {"automatic", row.automatic},
                    {"instances", std::move(instances)},
                    {"why_not", available ? Json() : Json(found.why_not)},
                    {"what_to_do", available ? Json() : Json(found.what_to_do.Text(FlagOf))}});
  }
  return rows.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace

Action AddDevices(Command& command) {
  const auto json = std::make_shared<bool>(false);
  command.AddFlag("--json", *json, "As JSON");
  return [json] {
    WriteAnswer(*json ? DevicesJson() : DevicesText());
    return 0;
  };
}

}  // namespace oxidized::cli
