#include "audit/verify.h"

#include <algorithm>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <thread>

#include "audit/expected_digest.h"
#include "audit/value_scan.h"
#include "base/error.h"
#include "base/file_status.h"
#include "base/interrupt.h"
#include "base/printable.h"
#include "base/process.h"
#include "base/sha256.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/checkpoint_tokenizer.h"
#include "checkpoint/packed_file.h"

namespace oxidized {
namespace {

namespace fs = std::filesystem;

// ---- Which files ----

constexpr const char* kModelExtensions[] = {".safetensors", ".gguf", ".json", ".jinja", ".tiktoken"};

std::vector<fs::path> FilesOf(const fs::path& path, const std::optional<Checkpoint>& checkpoint) {
  std::set<fs::path> files;
  if (checkpoint) {
    for (const MappedFile& file : checkpoint->files) files.insert(file.path());
  }
  if (IsFolder(path)) {
    for (const fs::path& entry : EntriesOf(path)) {
      const bool known = std::any_of(std::begin(kModelExtensions), std::end(kModelExtensions),
                                     [&](const char* ending) { return entry.extension() == ending; });
      if (known && IsFile(entry)) files.insert(entry);
    }
  } else if (files.empty()) {
    files.insert(path);
  }
  return {files.begin(), files.end()};
}

// ---- Reading: each file front to back by one thread, values looked at right behind it ----

struct FileWork {
  VerifiedFile result;
  fs::path path;
  std::vector<const ScanTask*> tasks;  // in the order of their ends; of mapped bytes of this file
  const std::byte* data = nullptr;     // of the mapping; nullptr: no tensors
  std::string remedy;                  // when the digest is another than expected
  std::string problem;                 // reading failed
};

class Reader {
 public:
  Reader(const VerifyOptions& options, std::vector<FileWork>& files, std::vector<const ScanTask*> loose,
         ScanFindings& findings)
      : options_(options), files_(files), ready_(std::move(loose)), findings_(findings) {
    for (const FileWork& file : files_) total_bytes_ += file.result.bytes;
  }

  void Run() {
    {
      std::vector<std::jthread> team;
      for (int i = 0; i < std::max(1, options_.threads); ++i) team.push_back(StartThread([this] { Work(); }));
    }
    if (failure_) std::rethrow_exception(failure_);
  }

 private:
  void Work() {
    try {
      for (;;) {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] {
          return failure_ != nullptr || !ready_.empty() || next_file_ < files_.size() || hashing_ == 0;
        });
        if (failure_ != nullptr) return;
        if (!ready_.empty()) {
          const ScanTask* task = ready_.back();
          ready_.pop_back();
          lock.unlock();
          ThrowIfInterrupted();
          findings_.Scan(*task);
        } else if (next_file_ < files_.size()) {
          FileWork& file = files_[next_file_++];
          ++hashing_;
          lock.unlock();
          Hash(file);
          lock.lock();
          --hashing_;
          changed_.notify_all();
        } else {
          return;
        }
      }
    } catch (...) {
      const std::lock_guard lock(mutex_);
      if (!failure_) failure_ = std::current_exception();
      changed_.notify_all();
    }
  }

  void Hash(FileWork& file) {
    size_t next = 0;
    int64_t before = 0;
    try {
      file.result.sha256 = Sha256OfFile(file.path, [&](int64_t done) {
        ThrowIfInterrupted();
        while (next < file.tasks.size() && file.tasks[next]->end() <= file.data + done) {
          MakeReady(file.tasks[next++]);
        }
        Report(done - before);
        before = done;
      });
    } catch (const Error& error) {
      file.problem = error.what();
    }
    // What could not be read is not looked at: touching its mapping would end the process.
    if (file.problem.empty()) {
      for (; next < file.tasks.size(); ++next) MakeReady(file.tasks[next]);
    }
  }

  void MakeReady(const ScanTask* task) {
    const std::lock_guard lock(mutex_);
    ready_.push_back(task);
    changed_.notify_one();
  }

  void Report(int64_t bytes) {
    const std::lock_guard lock(mutex_);
    done_bytes_ += bytes;
    if (options_.progress) options_.progress(done_bytes_, total_bytes_);
  }

  const VerifyOptions& options_;
  std::vector<FileWork>& files_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<const ScanTask*> ready_;
  size_t next_file_ = 0;
  int hashing_ = 0;
  std::exception_ptr failure_;
  int64_t done_bytes_ = 0, total_bytes_ = 0;
  ScanFindings& findings_;
};

// Gives each file the tasks whose bytes lie in it; the rest (decoded tensors) is returned.
std::vector<const ScanTask*> AssignTasks(const Checkpoint& checkpoint, const std::vector<ScanTask>& tasks,
                                         std::vector<FileWork>& files) {
  std::map<const std::byte*, FileWork*> by_begin;
  std::map<const std::byte*, const std::byte*> ends;
  for (const MappedFile& mapped : checkpoint.files) {
    for (FileWork& file : files) {
      if (file.path != mapped.path() || mapped.bytes().empty()) continue;
      file.data = mapped.bytes().data();
      by_begin[file.data] = &file;
      ends[file.data] = file.data + mapped.bytes().size();
    }
  }
  std::vector<const ScanTask*> loose;
  for (const ScanTask& task : tasks) {
    auto found = by_begin.upper_bound(task.data);
    const bool inside = found != by_begin.begin() && task.data < ends[std::prev(found)->first];
    // Blocks and scales may lie in two files; such a task waits for neither.
    if (inside && task.end() <= ends[std::prev(found)->first] &&
        (task.scales == nullptr || task.scales >= std::prev(found)->first)) {
      std::prev(found)->second->tasks.push_back(&task);
    } else {
      loose.push_back(&task);
    }
  }
  for (FileWork& file : files) {
    std::sort(file.tasks.begin(), file.tasks.end(),
              [](const ScanTask* a, const ScanTask* b) { return a->end() < b->end(); });
  }
  return loose;
}

// ---- The tokenizer ----

class Problems {
 public:
  Problems(VerifyReport& report, size_t most) : report_(report), most_(most) {}
  void Add(std::string line) {
    ++report_.problem_count;
    if (report_.problems.size() < most_) report_.problems.push_back(std::move(line));
  }

 private:
  VerifyReport& report_;
  const size_t most_;
};

// Everything that may be sampled must be decodable, and Harmony's structure expressible.
void CheckTokenizer(const Checkpoint& checkpoint, Problems& problems, VerifyReport& report) {
  std::shared_ptr<const Tokenizer> tokenizer;
  try {
    tokenizer = TokenizerOf(checkpoint);
  } catch (const Error& error) {
    problems.Add(error.what());
    return;
  }
  if (!tokenizer) {
    report.notes.push_back("there is no tokenizer to check");
    return;
  }
  const int32_t rows = checkpoint.config.vocab_size;
  const int32_t size = tokenizer->vocab_size();
  if (size > rows) {
    problems.Add(fmt::format(
        "the tokenizer has ids up to {}, the model's vocab_size is {}: they do not belong together", size - 1,
        rows));
  }
  const auto known = [&](int32_t id) { return tokenizer->TokenBytes(id).has_value(); };
  int32_t gaps = 0, first_gap = -1;
  for (int32_t id = 0; id < std::min(size, rows); ++id) {
    if (known(id)) continue;
    if (gaps++ == 0) first_gap = id;
  }
  if (gaps > 0)
    problems.Add(fmt::format("the tokenizer has no text for {} below {}, the first {}", Counted(gaps, "id"),
                             size, first_gap));
  for (const char* special :
       {"<|start|>", "<|message|>", "<|end|>", "<|channel|>", "<|constrain|>", "<|return|>", "<|call|>"}) {
    if (!tokenizer->SpecialId(special))
      problems.Add(fmt::format("the tokenizer lacks {}, which the Harmony format needs", special));
  }
  for (const int32_t id : checkpoint.config.eos_token_ids) {
    if (id < 0 || id >= rows || !known(id))
      problems.Add(
          fmt::format("the configuration ends texts with id {}, which the tokenizer does not know", id));
  }
  if (size < rows)
    report.notes.push_back(fmt::format("ids {} to {} have no text and are never sampled", size, rows - 1));
}

std::optional<Checkpoint> Open(const fs::path& path, Problems& problems) {
  try {
    return OpenCheckpoint(path);
  } catch (const Error& error) {
    problems.Add(error.what());
    return std::nullopt;
  }
}

std::vector<FileWork> PlanFiles(const fs::path& path, const std::optional<Checkpoint>& checkpoint) {
  std::vector<FileWork> files;
  for (const fs::path& file : FilesOf(path, checkpoint)) {
    FileWork work;
    work.path = file;
    work.result.name = file.filename().string();
    std::error_code ignored;
    const auto size = fs::file_size(file, ignored);
    work.result.bytes = ignored ? 0 : static_cast<int64_t>(size);
    ExpectedDigest expected = ExpectedDigestOf(file);
    work.result.expected = std::move(expected.hex);
    work.result.expected_by = std::move(expected.by);
    work.remedy = std::move(expected.remedy);
    files.push_back(std::move(work));
  }
  return files;
}

void CompareDigests(std::vector<FileWork>& files, Problems& problems, VerifyReport& report) {
  for (FileWork& file : files) {
    VerifiedFile& result = file.result;
    if (!file.problem.empty()) {
      result.matches = false;
      problems.Add(file.problem);
    } else if (!result.expected.empty()) {
      const std::string found = IsSha1Hex(result.expected) ? GitBlobName(file.path) : result.sha256;
      result.matches = found == result.expected;
      if (!result.matches) {
        problems.Add(fmt::format("{}: its digest is {}, expected {} ({}): {}", file.path.string(), found,
                                 result.expected, result.expected_by, file.remedy));
      }
    }
    report.files.push_back(std::move(result));
  }
}

// Read twice, the second time by its parts: much smaller than a model.
VerifyReport VerifyPackedFile(const VerifyOptions& options) {
  VerifyReport report;
  report.path = options.path.string();
  report.format = "dense weights of a model in 12 bits (packed-dense)";
  Problems problems(report, options.most_problems);
  std::vector<FileWork> files = PlanFiles(options.path, std::nullopt);
  ScanFindings no_values;
  Reader(options, files, {}, no_values).Run();
  try {
    const MappedFile file = MappedFile::Open(options.path);
    const PackedFileHeader header = ParsePackedFile(file.bytes(), report.path);
    report.tensors = std::ssize(header.matrices);
    for (const PackedFileMatrix& m : header.matrices) report.values += m.rows * m.cols;
    ThreadTeam team(options.threads);
    CheckPackedValues(file.bytes(), header, report.path, team,
                      [](int64_t, int64_t) { ThrowIfInterrupted(); });
  } catch (const Error& error) {
    problems.Add(error.what());
  }
  CompareDigests(files, problems, report);
  return report;
}

}  // namespace

VerifyReport VerifyCheckpoint(const VerifyOptions& options) {
  if (!IsFolder(options.path) && !IsFile(options.path))
    Fail(ErrorKind::kBadFile, "{}: no such file or folder", options.path.string());
  if (IsPackedFile(options.path)) return VerifyPackedFile(options);
  VerifyReport report;
  report.path = options.path.string();
  Problems problems(report, options.most_problems);
  const std::optional<Checkpoint> checkpoint = Open(options.path, problems);
  std::vector<FileWork> files = PlanFiles(options.path, checkpoint);
  std::vector<ScanTask> tasks;
  std::vector<const ScanTask*> loose;
  if (checkpoint) {
    report.format = checkpoint->format;
    report.tensors = static_cast<int64_t>(checkpoint->tensors.size());
    CheckTokenizer(*checkpoint, problems, report);
    tasks = ScanTasks(checkpoint->config, checkpoint->weights);
    for (const ScanTask& task : tasks) report.values += task.values();
    loose = AssignTasks(*checkpoint, tasks, files);
  }
  ScanFindings findings;
  Reader(options, files, std::move(loose), findings).Run();
  for (std::string& line : findings.Lines()) problems.Add(std::move(line));
  CompareDigests(files, problems, report);
  return report;
}

std::string VerifyText(const VerifyReport& report) {
  std::string text =
      fmt::format("{}\n{}\n\nFiles, as they are read: SHA-256, size, name\n", EscapeUnprintable(report.path),
                  report.format.empty() ? "cannot be opened as a model" : report.format);
  for (const VerifiedFile& file : report.files) {
    text +=
        fmt::format("  {}  {:>14} bytes  {}{}\n", file.sha256.empty() ? std::string(64, '-') : file.sha256,
                    file.bytes, EscapeUnprintable(file.name),
                    !file.matches           ? "  WRONG"
                    : file.expected.empty() ? ""
                                            : fmt::format("  as {} says", file.expected_by));
  }
  for (const std::string& note : report.notes) text += fmt::format("\n{}", EscapeUnprintable(note));
  if (!report.notes.empty()) text += "\n";
  if (report.sound()) {
    return text + fmt::format("\nSound: {}, {}\n", Counted(report.tensors, "tensor"),
                              Counted(report.values, "value"));
  }
  text += "\nProblems\n";
  for (const std::string& problem : report.problems) text += "  " + EscapeUnprintable(problem) + "\n";
  const auto listed = static_cast<int64_t>(report.problems.size());
  if (report.problem_count > listed) text += fmt::format("  and {} more\n", report.problem_count - listed);
  return text;
}

std::string VerifyJson(const VerifyReport& report) {
  using Json = nlohmann::ordered_json;
  Json files = Json::array();
  for (const VerifiedFile& file : report.files) {
    Json entry = {{"name", file.name}, {"bytes", file.bytes}, {"sha256", file.sha256}};
    if (!file.expected.empty()) {
      entry["expected"] = file.expected;
      entry["expected_by"] = file.expected_by;
    }
    entry["matches"] = file.matches;
    files.push_back(std::move(entry));
  }
  const Json json = {{"path", report.path},         {"format", report.format},
                     {"sound", report.sound()},     {"tensors", report.tensors},
                     {"values", report.values},     {"files", std::move(files)},
                     {"problems", report.problems}, {"problem_count", report.problem_count},
                     {"notes", report.notes}};
  return json.dump(2, ' ', /*ensure_ascii=*/true, Json::error_handler_t::replace) + "\n";
}

}  // namespace oxidized
