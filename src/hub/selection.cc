#include "hub/selection.h"

#include <fnmatch.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "base/error.h"
#include "base/printable.h"
#include "hub/text.h"

namespace oxidized::hub {
namespace {

// At the root of a repository in the published layout. Not original/ nor metal/: the same weights again.
constexpr std::array<const char*, 10> kModelFiles = {"config.json",
                                                     "generation_config.json",
                                                     "tokenizer.json",
                                                     "tokenizer_config.json",
                                                     "special_tokens_map.json",
                                                     "chat_template.jinja",
                                                     kIndexFile,
                                                     "*.safetensors",
                                                     "LICENSE*",
                                                     "USAGE_POLICY*"};

bool Matches(const std::string& path, const char* pattern) {
  return ::fnmatch(pattern, path.c_str(), 0) == 0;
}

bool IsModelFile(const std::string& path) {
  return path.find('/') == path.npos &&
         std::any_of(kModelFiles.begin(), kModelFiles.end(), [&](const char* p) { return Matches(path, p); });
}

std::string Lower(std::string text) {
  for (char& c : text) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return text;
}

// "a/x-Q8_0-00001-of-00003.gguf" is part 1 of 3 of "a/x-Q8_0".
struct PartName {
  std::string model;
  int part = 0, parts = 0;  // 0: not numbered
};
PartName ParsePartName(const std::string& path, std::string_view extension) {
  PartName name{path.substr(0, path.size() - extension.size())};
  const size_t length = std::string_view("-00001-of-00003").size();
  if (name.model.size() <= length) return name;
  const std::string tail = name.model.substr(name.model.size() - length);
  if (!Matches(tail, "-[0-9][0-9][0-9][0-9][0-9]-of-[0-9][0-9][0-9][0-9][0-9]")) return name;
  name.part = std::stoi(tail.substr(1, 5));
  name.parts = std::stoi(tail.substr(10, 5));
  name.model.resize(name.model.size() - length);
  return name;
}

// The first part that files numbered like "x-00001-of-00003.gguf" lack. Some writers count from 0.
std::string MissingPart(const std::set<std::string>& paths, std::string_view extension) {
  std::map<std::string, std::set<int>> parts;  // by model, without the numbers
  std::map<std::string, int> expected;
  for (const std::string& path : paths) {
    if (!path.ends_with(extension)) continue;
    const PartName name = ParsePartName(path, extension);
    if (name.parts == 0) continue;
    parts[name.model].insert(name.part);
    expected[name.model] = name.parts;
  }
  for (const auto& [model, have] : parts) {
    const int first = have.contains(0) ? 0 : 1;
    for (int part = first; part < first + expected[model]; ++part) {
      if (!have.contains(part))
        return fmt::format("part {} of {} of {}{}", part, expected[model], model, extension);
    }
  }
  return "";
}

// "gpt-oss-20b-Q4_K_M" is Q4_K_M and 20b-Q4_K_M, but not K_M: what stands before must end a word.
bool HasQuant(const std::string& model, const std::string& quant) {
  const std::string stem = Lower(model.substr(model.rfind('/') + 1)), wanted = Lower(quant);
  if (!stem.ends_with(wanted)) return false;
  if (stem.size() == wanted.size()) return true;
  const char before = stem[stem.size() - wanted.size() - 1];
  return before == '-' || before == '.';
}

void Order(std::vector<RepoFile>& files) {
  std::sort(files.begin(), files.end(), [](const RepoFile& a, const RepoFile& b) {
    const bool a_late = IsWeights(a.path), b_late = IsWeights(b.path);
    return a_late != b_late ? b_late : a.path < b.path;
  });
}

// The one GGUF model that the spec means, by name; empty when the repository holds none.
std::string ChooseGguf(const std::map<std::string, std::vector<RepoFile>>& models, const RepoSpec& spec) {
  std::vector<std::string> fitting;
  std::string all;
  for (const auto& [model, unused] : models) {
    if (spec.quant.empty() || HasQuant(model, spec.quant)) fitting.push_back(model);
    if (all.size() < 600) all += (all.empty() ? "" : ", ") + model.substr(model.rfind('/') + 1);
  }
  if (fitting.size() == 1) return fitting[0];
  if (fitting.empty() && spec.quant.empty()) return "";
  if (fitting.empty()) {
    Fail(ErrorKind::kUsage, "{}: no GGUF file is called …-{}.gguf; found: {}", spec.id, spec.quant,
         all.empty() ? "none" : Quoted(all));
  }
  throw AmbiguousModel(ErrorKind::kUsage,
                       {.component = spec.id,
                        .found = fmt::format("{} GGUF models fit: {}", fitting.size(), all),
                        .remedies = {{Setting::kNone, fmt::format("choose one with {}:QUANT", spec.id)},
                                     {Setting::kInclude, "with `pull` and {} PATTERN"}}});
}

constexpr std::string_view kOriginal = "original/";

bool HasOriginal(const RepoListing& listing) {
  const auto there = [&](bool (*wanted)(const std::string&)) {
    return std::any_of(listing.files.begin(), listing.files.end(), [&](const RepoFile& file) {
      return file.path.starts_with(kOriginal) && wanted(file.path.substr(kOriginal.size()));
    });
  };
  return there([](const std::string& name) { return name == "config.json"; }) &&
         there([](const std::string& name) { return IsModelFile(name) && IsWeights(name); });
}

// The repository has nothing else that opens: original/ with what lies beside it.
Selection SelectOriginal(const RepoListing& listing) {
  Selection selection;
  for (const RepoFile& file : listing.files) {
    if (IsModelFile(file.path) || file.path.starts_with(kOriginal)) selection.files.push_back(file);
  }
  Order(selection.files);
  selection.model = "original";
  return selection;
}

}  // namespace

bool IsWeights(const std::string& path) { return path.ends_with(".safetensors") || path.ends_with(".gguf"); }

int64_t Selection::total_bytes() const {
  int64_t total = 0;
  for (const RepoFile& file : files) total += file.size_bytes;
  return total;
}

Selection SelectFiles(const RepoListing& listing, const RepoSpec& spec,
                      const std::vector<std::string>& patterns) {
  Selection selection;
  std::map<std::string, std::vector<RepoFile>> gguf;
  bool safetensors = false;
  for (const RepoFile& file : listing.files) {
    const bool wanted = std::any_of(patterns.begin(), patterns.end(),
                                    [&](const std::string& p) { return Matches(file.path, p.c_str()); });
    if (!patterns.empty() && !wanted) continue;
    if (wanted || IsModelFile(file.path)) selection.files.push_back(file);
    safetensors |= IsModelFile(file.path) && file.path.ends_with(".safetensors");
    // A projector or an importance matrix beside the models is none.
    if (file.path.ends_with(".gguf") && !Lower(file.path).starts_with("mmproj"))
      gguf[ParsePartName(file.path, ".gguf").model].push_back(file);
  }

  if (!patterns.empty()) {
    if (selection.files.empty()) {
      Fail(ErrorKind::kUsage, "{}: no file of {} matches {}", spec.id, listing.files.size(),
           Quoted(patterns[0]));
    }
    if (gguf.size() == 1 && !safetensors) {
      Order(gguf.begin()->second);
      selection.model = gguf.begin()->second.front().path;
    }
  } else if (!spec.quant.empty() || !safetensors) {
    const std::string model = ChooseGguf(gguf, spec);
    if (model.empty() && HasOriginal(listing)) return SelectOriginal(listing);
    if (model.empty()) {
      Fail(ErrorKind::kUsage, "{}: neither *.safetensors at its root nor *.gguf among its {}", spec.id,
           Counted(std::ssize(listing.files), "file"));
    }
    selection.files = gguf.at(model);
    Order(selection.files);
    selection.model = selection.files.front().path;
  }
  Order(selection.files);
  return selection;
}

std::string MissingWeights(const Selection& selection, const std::vector<std::string>* index_files) {
  if (selection.model == "original") return "";  // one file, or whatever opening finds missing
  std::set<std::string> there;
  for (const RepoFile& file : selection.files) there.insert(file.path);
  if (!selection.model.empty()) return MissingPart(there, ".gguf");
  if (!there.contains("config.json")) return "config.json";
  if (!there.contains(kIndexFile)) return MissingPart(there, ".safetensors");
  if (index_files == nullptr) return "";
  if (index_files->empty()) return fmt::format("a file that {} names", kIndexFile);
  const auto missing = std::find_if(index_files->begin(), index_files->end(),
                                    [&](const std::string& file) { return !there.contains(file); });
  return missing == index_files->end() ? "" : *missing;
}

}  // namespace oxidized::hub
