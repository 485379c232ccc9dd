#include "rewrite/safetensors_writer.h"

#include <fmt/core.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

namespace oxidized {
namespace {

using Json = nlohmann::ordered_json;

// Length, JSON and spaces up to a multiple of 64 bytes, so that tensors of even shapes are aligned in the
// mapping.
std::string HeaderOf(const std::vector<PlannedTensor>& tensors) {
  Json header;
  header["__metadata__"] = {{"format", "pt"}};
  int64_t offset = 0;
  for (const PlannedTensor& tensor : tensors) {
    const TensorSpec& spec = tensor.spec;
    const int64_t end = offset + spec.bytes();
    header[spec.name] = {{"dtype", Name(spec.dtype)}, {"shape", spec.shape}, {"data_offsets", {offset, end}}};
    offset = end;
  }
  std::string text = header.dump();
  constexpr size_t kAlignment = 64;
  text.resize((text.size() + sizeof(uint64_t) + kAlignment - 1) / kAlignment * kAlignment - sizeof(uint64_t),
              ' ');
  const uint64_t length = text.size();
  return std::string(reinterpret_cast<const char*>(&length), sizeof(length)) + text;
}

}  // namespace

PlannedFile PlanSafetensors(std::string file_name, std::vector<PlannedTensor> tensors) {
  PlannedFile file;
  file.name = std::move(file_name);
  file.header = HeaderOf(tensors);
  file.bytes = static_cast<int64_t>(file.header.size());
  for (PlannedTensor& tensor : tensors) {
    tensor.begin = file.bytes;
    file.bytes += tensor.spec.bytes();
  }
  file.tensors = std::move(tensors);
  return file;
}

std::vector<PlannedFile> PlanShards(std::vector<PlannedTensor> tensors, int64_t shard_bytes) {
  std::sort(tensors.begin(), tensors.end(),
            [](const PlannedTensor& a, const PlannedTensor& b) { return a.spec.name < b.spec.name; });
  std::vector<std::vector<PlannedTensor>> shards(1);
  int64_t bytes = 0;
  for (PlannedTensor& tensor : tensors) {
    if (!shards.back().empty() && bytes + tensor.spec.bytes() > shard_bytes) {
      shards.emplace_back();
      bytes = 0;
    }
    bytes += tensor.spec.bytes();
    shards.back().push_back(std::move(tensor));
  }
  std::vector<PlannedFile> files;
  const size_t last = shards.size() - 1;
  for (size_t i = 0; i <= last; ++i) {
    files.push_back(PlanSafetensors(
        last == 0 ? "model.safetensors" : fmt::format("model-{:05}-of-{:05}.safetensors", i, last),
        std::move(shards[i])));
  }
  return files;
}

std::string SafetensorsIndexJson(const std::vector<PlannedFile>& files) {
  Json map = Json::object();
  int64_t total_bytes = 0;
  for (const PlannedFile& file : files) {
    for (const PlannedTensor& tensor : file.tensors) {
      map[tensor.spec.name] = file.name;
      total_bytes += tensor.spec.bytes();
    }
  }
  return Json{{"metadata", {{"total_size", total_bytes}}}, {"weight_map", std::move(map)}}.dump(2) + "\n";
}

}  // namespace oxidized
