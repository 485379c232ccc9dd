#include "checkpoint/refusals.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <span>
#include <string_view>

#include "base/error.h"
#include "base/file_status.h"
#include "base/lfs_pointer.h"
#include "checkpoint/json_file.h"
#include "checkpoint/message_text.h"
#include "checkpoint/packed_file.h"

namespace oxidized {
namespace {

namespace fs = std::filesystem;

constexpr const char* kUsePublished =
    "use the published MXFP4 checkpoint, or one saved unquantised (bf16) by transformers' save_pretrained";
constexpr const char* kSaveAsSafetensors =
    "save it as safetensors: transformers' save_pretrained(..., safe_serialization=True)";
constexpr const char* kMergeAdapter =
    "merge it into its base model (peft: merge_and_unload, then save_pretrained) and open the result";
constexpr const char* kUseOriginal =
    "use the safetensors files of the same model, in Hugging Face or original/ form";
constexpr const char* kTokenizerAlone = "a tokenizer without a model";
constexpr const char* kNameTheWeights = "name the folder that holds the weights too";

// A file by name; '*' once stands for any text. `magic`: how it begins, if the name does not say enough.
struct FileMark {
  std::string_view pattern;
  std::string_view magic;
  const char* what;
  const char* remedy;
};
constexpr FileMark kFiles[] = {
    {"adapter_config.json", "", "a LoRA adapter without its base model", kMergeAdapter},
    {"adapter_model.*", "", "a LoRA adapter without its base model", kMergeAdapter},
    {"*.bin", "GPT-OSS v1.0", "a Metal model.bin of openai/gpt-oss", kUseOriginal},
    {"*.bin", "", "PyTorch weights (pickle)", kSaveAsSafetensors},
    {"*.pt", "", "PyTorch weights (pickle)", kSaveAsSafetensors},
    {"*.pth", "", "PyTorch weights (pickle)", kSaveAsSafetensors},
    {"*.ckpt", "", "PyTorch weights (pickle)", kSaveAsSafetensors},
    {"*.onnx", "", "an ONNX export", kUseOriginal},
    {"*.onnx_data", "", "an ONNX export", kUseOriginal},
    {"*.npz", "", "MLX or NumPy arrays", kUsePublished},
    {"*.h5", "", "Keras or TensorFlow weights", kSaveAsSafetensors},
    {"*.msgpack", "", "Flax weights", kSaveAsSafetensors},
    {"*.engine", "", "a TensorRT engine", kUseOriginal},
    {"tokenizer.json", "", kTokenizerAlone, kNameTheWeights},
    {"tokenizer_config.json", "", kTokenizerAlone, kNameTheWeights},
    {"*.tiktoken", "", kTokenizerAlone, kNameTheWeights},
};

bool Matches(std::string_view name, std::string_view pattern) {
  const size_t star = pattern.find('*');
  if (star == std::string_view::npos) return name == pattern;
  return name.size() + 1 >= pattern.size() && name.starts_with(pattern.substr(0, star)) &&
         name.ends_with(pattern.substr(star + 1));
}

std::string StartOf(const fs::path& path) {
  constexpr size_t kBytes = 64;
  try {
    const MappedFile file = MappedFile::Open(path);
    const auto bytes = file.bytes().first(std::min(kBytes, file.bytes().size()));
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  } catch (const Error&) {
    return "";  // not readable: its name alone tells
  }
}

bool Matches(const fs::path& path, const FileMark& mark) {
  return Matches(path.filename().string(), mark.pattern) &&
         (mark.magic.empty() || StartOf(path).starts_with(mark.magic));
}

[[noreturn]] void Refuse(const fs::path& where, const std::string& what, const char* remedy) {
  Fail(ErrorKind::kUnsupported, "{}: {}, which this program does not read: {}", where.string(), what, remedy);
}

// " of \"openai/gpt-oss-20b\"", when adapter_config.json says so.
std::string BaseModel(const fs::path& folder) {
  try {
    const fs::path path = folder / "adapter_config.json";
    const nlohmann::json config = ParseSmallJson(ReadSmallFile(path), path.string());
    const auto base = config.find("base_model_name_or_path");
    if (base != config.end() && base->is_string()) return " of " + Quoted(base->get<std::string>());
  } catch (const Error&) {
  }
  return "";
}

std::set<fs::path> FilesIn(const fs::path& folder) {
  std::set<fs::path> paths;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored)) {
    if (!entry.is_directory(ignored)) paths.insert(entry.path());
  }
  return paths;
}

// The first known kind of file that the folder holds, of the marks that `counts` lets through.
template <typename Counts>
void RefuseByFiles(const fs::path& folder, const Counts& counts) {
  const std::set<fs::path> paths = FilesIn(folder);
  for (const FileMark& mark : kFiles) {
    if (!counts(mark)) continue;
    for (const fs::path& path : paths) {
      if (!Matches(path, mark)) continue;
      const bool adapter = mark.remedy == kMergeAdapter;
      Refuse(folder,
             fmt::format("{}{} ({})", mark.what, adapter ? BaseModel(folder) : "", path.filename().string()),
             mark.remedy);
    }
  }
}

struct MethodMark {
  std::string_view method;
  const char* what;
  const char* detail;  // the field of quantization_config that tells more
};
constexpr MethodMark kMethods[] = {
    {"awq", "AWQ", "bits"},
    {"gptq", "GPTQ", "bits"},
    {"bitsandbytes", "bitsandbytes", "load_in_4bit"},
    {"modelopt", "NVIDIA ModelOpt", "quant_algo"},
    {"nvfp4", "NVFP4", "quant_algo"},
    {"compressed-tensors", "compressed-tensors", "format"},
    {"fp8", "FP8", "activation_scheme"},
    {"hqq", "HQQ", "bits"},
    {"quanto", "Quanto", "weights"},
    {"torchao", "torchao", "quant_type"},
    {"quark", "AMD Quark", "format"},
    {"auto-round", "AutoRound", "bits"},
};

struct TensorMark {
  std::string_view part;  // of a name
  const char* layout;
  const char* remedy;
};
constexpr TensorMark kTensors[] = {
    {".lora_A.", "a LoRA adapter", kMergeAdapter},
    {".lora_embedding_A", "a LoRA adapter", kMergeAdapter},
    {".base_layer.", "a model saved with its LoRA adapter not merged", kMergeAdapter},
    {".absmax", "bitsandbytes quantisation", kUsePublished},
    {".quant_map", "bitsandbytes quantisation", kUsePublished},
    {".quant_state.", "bitsandbytes quantisation", kUsePublished},
    {".SCB", "bitsandbytes quantisation", kUsePublished},
    {".qweight", "AWQ or GPTQ quantisation", kUsePublished},
    {".qzeros", "AWQ or GPTQ quantisation", kUsePublished},
    {"weight_scale_2", "NVFP4 quantisation (ModelOpt)", kUsePublished},
    {".weight_packed", "compressed-tensors quantisation", kUsePublished},
    {"weight_scale_inv", "FP8 quantisation", kUsePublished},
    {".weight_scale", "another quantisation", kUsePublished},
    {".biases", "MLX quantisation", kUsePublished},
    {".mlp.experts.gate_up_projs.", "an export with one tensor per expert",
     "stack the experts as transformers' save_pretrained does, or use the tool's own option for that"},
    {".mlp.experts.0.", "an export with one tensor per expert",
     "stack the experts as transformers' save_pretrained does, or use the tool's own option for that"},
    {".mlp.router.linear.", "an export with its router as a linear layer",
     "save it as transformers' save_pretrained does, or use the tool's own option for that"},
    {".attn.qkv.", "OpenAI's original/ layout, which has a config.json of its own",
     "put that config.json beside the weights"},
    {".attention.wq.", "another architecture (Llama's own names)", "only gpt-oss models run here"},
};

}  // namespace

void RefuseFile(const fs::path& path) {
  if (IsPackedFile(path)) {
    throw Error(
        ErrorKind::kBadFile,
        {.component = path.string(),
         .found = "a file of packed dense weights, not a model",
         .remedies = {{Setting::kPackedWeights, "name it with {}, beside the model that it was made from"}}});
  }
  const std::string start = StartOf(path);
  RefuseLfsPointer(std::as_bytes(std::span(start)), path);
  for (const FileMark& mark : kFiles) {
    if (Matches(path, mark) || (!mark.magic.empty() && start.starts_with(mark.magic)))
      Refuse(path, mark.what, mark.remedy);
  }
  Fail(ErrorKind::kBadFile,
       "{}: not a model: expected a folder with config.json, or a .safetensors or .gguf file", path.string());
}

void RefuseFolder(const fs::path& folder) {
  // From the surest mark to the weakest: an adapter's weights are safetensors too, weights tell more than
  // what training left beside them, and a tokenizer lies beside everything.
  RefuseByFiles(folder, [](const FileMark& mark) { return mark.remedy == kMergeAdapter; });
  for (const fs::path& path : FilesIn(folder)) {
    const std::string name = path.filename().string();
    if ((path.extension() != ".safetensors" || name.starts_with('.')) && name != kIndexFileName &&
        name != "dtypes.json")
      continue;
    Fail(ErrorKind::kBadFile, "{}: no config.json beside {}: the download is not complete: download it again",
         folder.string(), Quoted(name));
  }
  RefuseByFiles(folder, [](const FileMark& mark) {
    return mark.remedy != kMergeAdapter && mark.what != kTokenizerAlone;
  });
  if (IsFolder(folder / "metal")) Refuse(folder, "a Metal model of openai/gpt-oss (metal/)", kUseOriginal);
  for (const char* below : {"original", "snapshots"}) {
    if (!IsFolder(folder / below)) continue;
    Fail(ErrorKind::kBadFile, "{}: {}/ has no config.json: the download is not complete: download it again",
         folder.string(), below);
  }
  RefuseByFiles(folder, [](const FileMark& mark) { return mark.what == kTokenizerAlone; });
  Fail(ErrorKind::kBadFile,
       "{}: no config.json: expected the folder of a gpt-oss checkpoint (Hugging Face, or OpenAI's "
       "original/) or a .gguf file",
       folder.string());
}

void RefuseWithoutWeights(const fs::path& folder) {
  for (const FileMark& mark : kFiles) {
    if (mark.what == kTokenizerAlone) continue;  // usual beside a config.json
    std::error_code ignored;
    for (const auto& entry : fs::directory_iterator(folder, ignored)) {
      if (!Matches(entry.path(), mark)) continue;
      Refuse(folder, fmt::format("{} ({})", mark.what, entry.path().filename().string()), mark.remedy);
    }
  }
  if (IsFolder(folder / "onnx")) Refuse(folder, "an ONNX export (onnx/)", kUseOriginal);
  Fail(ErrorKind::kBadFile, "{}: no weights: expected {} or a .safetensors file beside config.json",
       folder.string(), kIndexFileName);
}

void RefuseQuantisation(const std::string& method, const std::function<std::string(const char*)>& field,
                        const std::string& where) {
  const auto known = std::find_if(std::begin(kMethods), std::end(kMethods),
                                  [&](const MethodMark& mark) { return mark.method == method; });
  std::string what = "quant_method is " + Quoted(method);
  if (known != std::end(kMethods)) {
    const std::string detail = field(known->detail);
    what += fmt::format(" ({}{})", known->what,
                        detail.empty() ? "" : fmt::format(", {} {}", known->detail, Quoted(detail)));
  } else if (method.empty() && !field("group_size").empty()) {
    what = fmt::format("quant_method is missing: MLX quantisation (group_size {}, bits {})",
                       Quoted(field("group_size")), Quoted(field("bits")));
  }
  Fail(ErrorKind::kUnsupported, "{}{}, which this program does not read: {}", where, what, kUsePublished);
}

void RefuseFp8(const std::string& source, const std::string& tensor, const std::string& type) {
  Fail(ErrorKind::kUnsupported, "{}: tensor {} is {}: FP8 quantisation, which this program does not read: {}",
       source, Quoted(tensor), type, kUsePublished);
}

void RefuseFp8Tensors(const ModelFiles& files, const std::string& source) {
  for (const auto& [name, tensor] : files.tensors) {
    const DType dtype = tensor.entry.dtype;
    if (dtype == DType::kF8E4M3 || dtype == DType::kF8E5M2) RefuseFp8(source, name, Name(dtype));
  }
}

void RefuseForeignTensors(const ModelFiles& files, const std::string& source) {
  RefuseFp8Tensors(files, source);
  for (const TensorMark& mark : kTensors) {
    for (const auto& [name, tensor] : files.tensors) {
      if (name.find(mark.part) == std::string::npos) continue;
      Fail(ErrorKind::kUnsupported, "{}: tensor {} belongs to {}, which this program does not read: {}",
           source, Quoted(name), mark.layout, mark.remedy);
    }
  }
}

}  // namespace oxidized
