#include "cli/options/format_options.h"

#include "base/error.h"
#include "checkpoint/packed_file.h"

namespace oxidized::cli {

void AddFormatOptions(Command& command, std::optional<CheckpointFormat>& format, LayoutTypes& types,
                      bool* packed) {
  static const std::map<std::string, std::optional<CheckpointFormat>> kFormats = {
      {"hf", CheckpointFormat::kHuggingFace},
      {"original", CheckpointFormat::kOriginal},
      {"gguf", CheckpointFormat::kGguf}};
  static const std::map<std::string, DType> kDense = {
      {"bf16", DType::kBF16}, {"f16", DType::kF16}, {"f32", DType::kF32}, {"q8_0", DType::kQ8_0}};
  static const std::map<std::string, DType> kExperts = {
      {"mxfp4", DType::kGgmlMxfp4}, {"bf16", DType::kBF16}, {"f32", DType::kF32}};
  Value form = Choice(format, kFormats);
  std::string help = "Form of the files [gguf for a name that ends so, else hf]";
  if (packed != nullptr) {
    const std::string names = form.type += fmt::format("|{}", kPackedFileFormat);
    form.set = [set = form.set, packed, names](const std::string& text) {
      *packed = text == kPackedFileFormat;
      try {
        if (!*packed) set(text);
      } catch (const BadValue&) {
        NoneOf(text, names);
      }
    };
    help += fmt::format("; {}: a file for --packed-weights, not a model", kPackedFileFormat);
  }
  command.Add("--format", std::move(form), help);
  command.Add("--dense-type", Choice(types.dense, kDense),
              "Of what is not an expert; q8_0 in gguf only, where norms, biases and router stay f32 [bf16]");
  command.Add("--expert-type", Choice(types.experts, kExperts),
              "Of the experts' matrices; other than mxfp4 in gguf only [mxfp4]");
}

CheckpointFormat FormatOf(std::optional<CheckpointFormat> asked, const std::filesystem::path& out) {
  if (out.empty()) Fail(ErrorKind::kUsage, "the name to write under is empty");
  const bool named_gguf = out.extension() == ".gguf";
  const CheckpointFormat format =
      asked.value_or(named_gguf ? CheckpointFormat::kGguf : CheckpointFormat::kHuggingFace);
  if (named_gguf && format != CheckpointFormat::kGguf) {
    Fail(ErrorKind::kUsage, "{}: named as a GGUF file, but --format {} writes a folder", out.string(),
         Name(format));
  }
  if (out.extension() == ".safetensors" && format != CheckpointFormat::kGguf) {
    Fail(ErrorKind::kUsage, "{}: named as a file, but the {} form is a folder with model.safetensors in it",
         out.string(), Name(format));
  }
  return format;
}

}  // namespace oxidized::cli
