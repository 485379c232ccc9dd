#include "checkpoint/json_file.h"

#include <fmt/core.h>

#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/lfs_pointer.h"
#include "base/mapped_file.h"
#include "base/text_input.h"
#include "checkpoint/message_text.h"

namespace oxidized {
namespace {

// nlohmann keeps the last of two equal keys silently, and nests as deep as the text does.
class Guard {
 public:
  explicit Guard(const std::string& name) : name_(name) {}

  bool operator()(int depth, nlohmann::json::parse_event_t event, nlohmann::json& parsed) {
    using Event = nlohmann::json::parse_event_t;
    constexpr int kDeepest = 32;
    if (depth > kDeepest) Fail(ErrorKind::kBadFile, "{}: nested more than {} deep", name_, kDeepest);
    switch (event) {
      case Event::object_start:
        keys_.emplace_back();
        break;
      case Event::object_end:
        keys_.pop_back();
        break;
      case Event::key: {
        const auto& key = parsed.get_ref<const std::string&>();
        if (!keys_.back().insert(key).second) {
          Fail(ErrorKind::kBadFile, "{}: the key {} appears twice", name_, Quoted(key));
        }
        break;
      }
      default:
        break;
    }
    return true;
  }

 private:
  const std::string& name_;
  std::vector<std::set<std::string>> keys_;  // of the objects that are open
};

}  // namespace

std::string ReadSmallFile(const std::filesystem::path& path, size_t max_bytes) {
  const MappedFile file = MappedFile::Open(path);
  const auto bytes = file.bytes();
  RefuseLfsPointer(bytes, path);
  if (bytes.size() > max_bytes) {
    Fail(ErrorKind::kBadFile, "{}: {} bytes long, expected at most {}", path.string(), bytes.size(),
         max_bytes);
  }
  return DecodeText({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, path.string());
}

nlohmann::json ParseSmallJson(std::string_view text, const std::string& name) {
  if (text.size() > kMaxSmallJsonBytes) {
    Fail(ErrorKind::kBadFile, "{}: {} bytes long, expected at most {}", name, text.size(),
         kMaxSmallJsonBytes);
  }
  nlohmann::json parsed;
  try {
    // The guard is large: nlohmann copies the callback into a std::function, hence the reference.
    Guard guard(name);
    parsed =
        nlohmann::json::parse(text, [&guard](int depth, nlohmann::json::parse_event_t event,
                                             nlohmann::json& value) { return guard(depth, event, value); });
  } catch (const nlohmann::json::exception& error) {
    Fail(ErrorKind::kBadFile, "{}: not valid JSON: {}", name, Quoted(error.what()));
  }
  if (!parsed.is_object())
    Fail(ErrorKind::kBadFile, "{}: expected a JSON object, found {}", name, parsed.type_name());
  return parsed;
}

double ShortestDecimal(float value) { return std::stod(fmt::format("{}", value)); }

}  // namespace oxidized
