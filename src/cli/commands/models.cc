// `list` and `rm`: the models that `pull` and hf: fetched.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/printable.h"
#include "base/text_table.h"
#include "checkpoint/checkpoint.h"
#include "cli/options/command.h"
#include "cli/terminal/terminal.h"
#include "hub/inventory.h"

namespace oxidized::cli {
namespace {

std::string Gigabytes(int64_t bytes) { return fmt::format("{:.2f} GB", static_cast<double>(bytes) / 1e9); }

std::string FormOf(const hub::CachedModel& model) {
  if (model.path.empty()) return "not whole: pull goes on with it";
  try {
    return OpenCheckpoint(model.path, {.metadata_only = true}).format;
  } catch (const Error&) {
    return "does not open: inspect says why";
  }
}

std::string NameOf(const hub::CachedModel& model) {
  const std::string& revision = model.spec.revision;
  return "hf:" + model.spec.id + (revision == "main" ? "" : "@" + revision);
}

int List(bool json) {
  const hub::Settings settings = hub::CacheSettings();
  const std::vector<hub::CachedModel> models = hub::ListCache(settings);
  if (json) {
    nlohmann::ordered_json all = nlohmann::ordered_json::array();
    for (const hub::CachedModel& model : models)
      all.push_back({{"name", NameOf(model)},
                     {"bytes", model.bytes},
                     {"form", FormOf(model)},
                     {"last_used", model.last_used},
                     {"path", model.path.string()}});
    WriteAnswer(all.dump(2, ' ', /*ensure_ascii=*/true, nlohmann::ordered_json::error_handler_t::replace) +
                "\n");
    return 0;
  }
  if (models.empty()) {
    WriteAnswer(fmt::format("no model in {}; `pull openai/gpt-oss-20b` fetches one\n",
                            EscapeUnprintable(settings.cache_dir.string())));
    return 0;
  }
  TextTable table{{"model, last used first", "size", "last used"}, {}};
  for (const hub::CachedModel& model : models) {
    table.rows.push_back({NameOf(model), Gigabytes(model.bytes), LocalMinute(model.last_used)});
    table.rows.push_back({"  " + FormOf(model)});
  }
  WriteAnswer(Aligned(table));
  return 0;
}

int Remove(const std::vector<std::string>& names) {
  std::vector<std::string> ids;  // all are looked at before the first is deleted
  for (const std::string& name : names) {
    const hub::RepoSpec spec = hub::ParseRepoSpec(name);
    if (name.find('@') != std::string::npos || !spec.quant.empty())
      Fail(ErrorKind::kUsage, "{}: a model is deleted whole: rm {}", EscapeUnprintable(name), spec.id);
    ids.push_back(spec.id);
  }
  const hub::Settings settings = hub::CacheSettings();
  for (const std::string& id : ids)
    WriteAnswer(fmt::format("deleted {}: {}\n", id, Gigabytes(hub::RemoveFromCache(id, settings))));
  return 0;
}

}  // namespace

Action AddList(Command& command) {
  const auto json = std::make_shared<bool>(false);
  command.AddFlag("--json", *json, "As JSON");
  return [json] { return List(*json); };
}

Action AddRemove(Command& command) {
  const auto names = std::make_shared<std::vector<std::string>>();
  command.AddPositional("model", Words(*names, "MODEL"), "org/name, as `list` shows it; several may be given")
      .Required();
  return [names] { return Remove(*names); };
}

}  // namespace oxidized::cli
