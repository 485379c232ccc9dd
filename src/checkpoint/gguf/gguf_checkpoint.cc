#include "checkpoint/gguf/gguf_checkpoint.h"

#include "base/error.h"
#include "base/log.h"
#include "base/printable.h"
#include "checkpoint/gguf/gguf_config.h"
#include "checkpoint/gguf/gguf_files.h"
#include "checkpoint/gguf/gguf_weights.h"
#include "checkpoint/message_text.h"

namespace oxidized {
namespace {

namespace fs = std::filesystem;

// Rows of the embedding; its other dimension is checked with all shapes.
int64_t VocabSize(const GgufFiles& files, const std::string& name) {
  const auto embedding = files.tensors.find("token_embd.weight");
  if (embedding == files.tensors.end()) {
    Fail(ErrorKind::kBadFile, "{}: tensor \"token_embd.weight\" is missing", name);
  }
  const std::vector<int64_t>& shape = embedding->second.entry.shape;
  if (shape.size() != 2) {
    Fail(ErrorKind::kBadFile, "{}: tensor \"token_embd.weight\" has shape {}, expected two dimensions", name,
         ShapeText(shape));
  }
  return shape.front();
}

std::string FormatName(const Gguf& header, const GgufWeights& weights) {
  std::string types;
  for (const std::string& type : weights.expert_types) types += (types.empty() ? "" : " and ") + type;
  return fmt::format("GGUF version {}, {} names, {} experts", header.version,
                     weights.ollama_names ? "Ollama's" : "llama.cpp's", types);
}

}  // namespace

Checkpoint OpenGguf(const fs::path& file, const OpenOptions& options) {
  const std::string name = file.string();
  GgufFiles files = OpenGgufFiles(file);
  const Gguf& header = files.headers.front();
  Checkpoint checkpoint;
  checkpoint.config = ParseGgufConfig(header, VocabSize(files, name), name);
  GgufWeights weights = BindGgufWeights(checkpoint.config, files, options.decode_to, name);
  if (!options.metadata_only) weights.decoding.Run();
  checkpoint.decoded = weights.decoding.TakeResult();
  if (checkpoint.decoded.ms > 0.0) {
    Log(LogLevel::kInfo, "{}: {} decoded in {:.0f} ms into {} bytes of memory", name,
        Counted(checkpoint.decoded.tensors, "tensor"), checkpoint.decoded.ms, checkpoint.decoded.bytes);
  }
  checkpoint.format = FormatName(header, weights);
  checkpoint.weights = std::move(weights.view);
  checkpoint.path = file;
  checkpoint.vocabulary = FindVocabulary(header, name);
  for (const auto& [tensor_name, tensor] : files.tensors) {
    const GgufTensor& entry = tensor.entry;
    checkpoint.tensors.push_back({std::string(tensor_name), entry.dtype, entry.shape, entry.end - entry.begin,
                                  files.files[tensor.file].path().filename().string()});
  }
  checkpoint.files = std::move(files.files);
  return checkpoint;
}

}  // namespace oxidized
