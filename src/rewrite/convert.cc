#include "rewrite/convert.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "audit/value_scan.h"
#include "base/error.h"
#include "base/file_status.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/checkpoint_tokenizer.h"
#include "checkpoint/json_file.h"
#include "rewrite/tokenizer_json_writer.h"
#include "tokenizer/o200k.h"
#include "tokenizer/vocabulary.h"

namespace oxidized {
namespace {

namespace fs = std::filesystem;

// Files of a Hugging Face folder that say how text becomes tokens; taken along as they are.
constexpr const char* kCompanions[] = {"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
                                       "chat_template.jinja"};
constexpr size_t kMaxTemplateBytes = 1 << 20;

std::string TypeNames(const std::set<DType>& types) {
  std::string names;
  for (const DType type : types) names += (names.empty() ? "" : ", ") + std::string(Name(type));
  return names;
}

// The types of the experts' matrices that are not MXFP4.
std::set<DType> OtherExpertTypes(const WeightsView& weights) {
  std::set<DType> types;
  for (const LayerWeights& layer : weights.layers) {
    for (const auto* experts : {&layer.gate_up, &layer.down}) {
      for (const ExpertView& expert : *experts) {
        if (!IsMxfp4(expert.layout)) types.insert(expert.dtype);
      }
    }
  }
  return types;
}

// Block types other than MXFP4 that do not stay as they are.
std::set<DType> DequantisedTypes(const Checkpoint& checkpoint, LayoutTypes types) {
  std::set<DType> found;
  for (const StoredTensor& tensor : checkpoint.tensors) {
    if (IsBlockType(tensor.dtype) && tensor.dtype != DType::kGgmlMxfp4 && tensor.dtype != types.dense)
      found.insert(tensor.dtype);
  }
  return found;
}

std::string ChatTemplate(const fs::path& folder) {
  if (IsFile(folder / "chat_template.jinja"))
    return ReadSmallFile(folder / "chat_template.jinja", kMaxTemplateBytes);
  const fs::path path = folder / "tokenizer_config.json";
  if (!IsFile(path)) return "";
  const nlohmann::json config = ParseSmallJson(ReadSmallFile(path), path.string());
  const auto found = config.find("chat_template");
  return found != config.end() && found->is_string() ? found->get<std::string>() : "";
}

bool IsO200k(const Vocabulary& vocabulary) {
  const TokenTable o200k = O200kTokens();
  if (vocabulary.tokens.id_limit() != o200k.id_limit()) return false;
  for (int32_t id = 0; id < o200k.id_limit(); ++id) {
    if (vocabulary.tokens.Bytes(id) != o200k.Bytes(id)) return false;
  }
  return true;
}

// Says what becomes of the tokenizer and does it.
std::string PlanTokenizer(const Tokenizer* tokenizer, const Checkpoint& checkpoint, ModelOutput& output) {
  const fs::path file =
      checkpoint.tokenizer_candidates.empty() ? fs::path() : checkpoint.tokenizer_candidates.front();
  const fs::path folder = IsFolder(checkpoint.path) ? checkpoint.path : checkpoint.path.parent_path();
  output.tokenizer = tokenizer;
  if (tokenizer == nullptr) return "there is no tokenizer: none is written";
  const bool o200k = checkpoint.config.vocab_size == kHarmonyIds && IsO200k(tokenizer->vocabulary());
  if (output.format == CheckpointFormat::kGguf) {
    output.chat_template = ChatTemplate(folder);
    return fmt::format("tokenizer: {}, written into the file", !file.empty() ? file.filename().string()
                                                               : checkpoint.vocabulary
                                                                   ? "the vocabulary of the source"
                                                                   : "the built-in o200k_harmony");
  }
  if (!file.empty()) {
    output.copied_files.emplace(file.filename().string(), file);
    for (const char* name : kCompanions) {
      if (IsFile(folder / name)) output.copied_files.emplace(name, folder / name);
    }
    return fmt::format("tokenizer: {}, copied", file.filename().string());
  }
  if (o200k) return "tokenizer: o200k_harmony, which is built into this program: none is written";
  output.text_files.emplace("tokenizer.json", TokenizerJson(tokenizer->vocabulary()));
  return "tokenizer: the vocabulary of the source, written as tokenizer.json";
}

// They are moved as they are where the form can hold them: converting is not a repair.
std::vector<std::string> Warnings(std::vector<std::string> found, const std::string& source) {
  constexpr size_t kMost = 3;
  if (found.empty()) return {};
  const size_t all = found.size();
  found.resize(std::min(kMost, all));
  for (std::string& line : found) line = source + ": " + line;
  if (all > kMost)
    found.push_back(
        fmt::format("{}: and {} more places with such values: `verify` lists them", source, all - kMost));
  return found;
}

// Zero values went through rounding: nothing to say.
void NoteRounding(const RoundingError& error, const std::string& what, const char* type,
                  std::vector<std::string>& notes) {
  if (error.values == 0) return;
  if (error.changed == 0) {
    notes.push_back(fmt::format("{} to {}: lossless, none of {} values changed", what, type, error.values));
    return;
  }
  notes.push_back(
      fmt::format("{} to {}: {} of {} values changed, by at most {:.3g} ({}), relative RMS error {:.3g}",
                  what, type, error.changed, error.values, error.max_abs, error.worst, error.RelativeRms()));
}

}  // namespace

ConvertReport ConvertCheckpoint(const ConvertOptions& options) {
  RequireFree(options.out, options.format == CheckpointFormat::kGguf);
  OpenOptions open;
  open.decode_to = DType::kF32;  // exact, so that all rounding happens where it is measured
  const Checkpoint checkpoint = OpenCheckpoint(options.in, open);
  const bool to_mxfp4 = options.types.experts == DType::kGgmlMxfp4;
  const std::set<DType> experts = OtherExpertTypes(checkpoint.weights);
  if (to_mxfp4 && !experts.empty() && !options.quantize_experts) {
    Fault fault{.component = options.in.string(),
                .found = fmt::format("experts are stored as {}, and the {} form takes MXFP4",
                                     TypeNames(experts), Name(options.format)),
                .remedies = {{Setting::kQuantizeExperts,
                              "{} mxfp4 rounds them (without loss where they were MXFP4 before) and reports "
                              "the error"}}};
    if (options.format == CheckpointFormat::kGguf)
      fault.remedies.push_back({Setting::kExpertType, "{} bf16 or f32 keeps them as they are"});
    throw Error(ErrorKind::kUnsupported, fault);
  }

  ConvertReport report;
  report.warnings =
      Warnings(ScanAll(checkpoint.config, checkpoint.weights, options.threads, options.scan_progress),
               options.in.string());
  report.source_format = checkpoint.format;
  ModelOutput output;
  output.out = options.out;
  output.format = options.format;
  output.types = options.types;
  output.threads = options.threads;
  output.progress = options.progress;
  output.free_bytes = options.free_bytes;
  output.read_back = true;
  const std::shared_ptr<const Tokenizer> tokenizer = TokenizerOf(checkpoint);
  const std::string tokenizer_note = PlanTokenizer(tokenizer.get(), checkpoint, output);
  ModelConfig config = checkpoint.config;
  if (tokenizer && (config.eos_token_ids.empty() || config.pad_token_id < 0)) {
    const std::vector<int32_t> stated = config.eos_token_ids;
    TakeSpecialIds(*tokenizer, config);
    if (!stated.empty()) config.eos_token_ids = stated;
  }
  report.written = WriteModel(StoredWeights(config, checkpoint.weights), output);

  if (const auto types = DequantisedTypes(checkpoint, options.types); !types.empty()) {
    report.notes.push_back(
        fmt::format("tensors stored as {} were dequantised: what their quantisation lost is not "
                    "restored",
                    TypeNames(types)));
  }
  NoteRounding(report.written.dense, "dense tensors", Name(options.types.dense), report.notes);
  // Experts in MXFP4 widen to every other type: nothing to say.
  if (!experts.empty() || report.written.experts.changed > 0)
    NoteRounding(report.written.experts,
                 fmt::format("experts from {}", experts.empty() ? "MXFP4" : TypeNames(experts)),
                 Name(options.types.experts), report.notes);
  report.notes.push_back(tokenizer_note);
  return report;
}

}  // namespace oxidized
