#include "rewrite/writer.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>

#include "base/error.h"
#include "base/file_advice.h"
#include "base/file_status.h"
#include "base/interrupt.h"
#include "base/output_file.h"
#include "base/process.h"

namespace oxidized {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kChunkBytes = 4 << 20;

[[noreturn]] void Failed(const fs::path& path, const char* what) {
  Fail(ErrorKind::kBadFile, "{}: {}: {}", path.string(), what, WriteErrorText(errno));
}

class OpenFile {
 public:
  OpenFile(const fs::path& path, int flags)
      : path_(path), fd_(::open(path.c_str(), flags | O_CLOEXEC, 0644)) {
    if (fd_ < 0) Failed(path_, (flags & O_CREAT) != 0 ? "cannot be made" : "cannot be opened");
  }
  ~OpenFile() {
    if (fd_ >= 0) ::close(fd_);
  }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;

  void WriteAt(int64_t offset, std::span<const std::byte> bytes) const {
    while (!bytes.empty()) {
      const ssize_t done = ::pwrite(fd_, bytes.data(), bytes.size(), offset);
      if (done < 0 && errno == EINTR) continue;
      if (done <= 0) Failed(path_, "cannot be written");
      bytes = bytes.subspan(static_cast<size_t>(done));
      offset += done;
    }
  }
  void ReadAt(int64_t offset, std::span<std::byte> bytes) const {
    while (!bytes.empty()) {
      const ssize_t done = ::pread(fd_, bytes.data(), bytes.size(), offset);
      if (done < 0 && errno == EINTR) continue;
      if (done < 0) Failed(path_, "cannot be read back");
      if (done == 0) Fail(ErrorKind::kBadFile, "{}: became shorter after it was written", path_.string());
      bytes = bytes.subspan(static_cast<size_t>(done));
      offset += done;
    }
  }
  void SetSize(int64_t bytes) const {
    if (::ftruncate(fd_, bytes) != 0) Failed(path_, "cannot be written");
  }
  void Flush() const {
    if (::fsync(fd_) != 0) Failed(path_, "cannot be written to the disk");
  }
  // Only whole pages that are on the disk already can be dropped, so after Flush.
  void DropFromCache() const { AdviseForget(fd_); }
  void Close() {
    if (::close(std::exchange(fd_, -1)) != 0) Failed(path_, "cannot be written");
  }

 private:
  const fs::path path_;
  int fd_;
};

// Makes a rename or a new name in the folder last; file systems that cannot are passed over.
void FlushFolder(const fs::path& folder) {
  const int fd = ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  ::fsync(fd);
  ::close(fd);
}

// Names that a finished folder or file could not be renamed to are refused before the first byte.
void RequireName(const fs::path& out, bool single_file) {
  if (out.empty()) Fail(ErrorKind::kUsage, "the name to write under is empty");
  if (out.filename() == "." || out.filename() == "..")
    Fail(ErrorKind::kBadFile, "{}: a new checkpoint cannot have this name; name a folder to make",
         out.string());
  std::error_code none;
  if (!single_file && fs::is_symlink(out, none)) {
    Fail(ErrorKind::kBadFile,
         "{}: is a symbolic link; nothing is overwritten, name the folder it should lead to", out.string());
  }
}

}  // namespace

void RequireFree(const fs::path& out, bool single_file) {
  RequireName(out, single_file);
  std::error_code none;
  const bool free = single_file ? !IsThere(out) && !fs::is_symlink(out, none)
                                : !IsThere(out) || (IsFolder(out) && EntriesOf(out).empty());
  if (!free) {
    Fail(ErrorKind::kBadFile, "{}: exists{}; nothing is overwritten", out.string(),
         single_file ? "" : " and is not an empty folder");
  }
}

namespace {

constexpr std::string_view kGgufSign = "GGUF";

// A folder with nothing but files such as a checkpoint has.
bool HoldsCheckpointFiles(const fs::path& folder) {
  constexpr std::string_view kEndings[] = {".safetensors", ".json", ".jinja", ".tiktoken"};
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    const std::string ending = entry->path().extension().string();
    if (!fs::is_regular_file(entry->symlink_status(error)) ||
        std::find(std::begin(kEndings), std::end(kEndings), ending) == std::end(kEndings))
      return false;
  }
  return !error;
}

// The folder or file while it is being written: it disappears unless it was renamed into place.
class Partial {
 public:
  Partial(fs::path out, bool single_file)
      : out_(std::move(out)), path_(PartialName(out_)), single_file_(single_file) {
    RequireFree(out_, single_file_);
    RemoveLeftPartials(out_, kGgufSign, HoldsCheckpointFiles);
    fs::remove_all(path_);  // of a process that had our number
    if (out_.has_parent_path()) fs::create_directories(out_.parent_path());
    if (!single_file_) fs::create_directory(path_);
    lock_ = ::open(path_.c_str(),
                   (single_file_ ? O_WRONLY | O_CREAT | O_EXCL : O_RDONLY | O_DIRECTORY) | O_CLOEXEC, 0644);
    if (lock_ < 0) Failed(path_, "cannot be made");
    LockPartial(lock_);
  }
  ~Partial() {
    ::close(lock_);
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  Partial(const Partial&) = delete;
  Partial& operator=(const Partial&) = delete;

  fs::path PathOf(const std::string& name) const { return single_file_ ? path_ : path_ / name; }
  // An existing folder: where the bytes will lie.
  fs::path folder() const { return single_file_ ? fs::absolute(out_).parent_path() : path_; }

  void Publish() const {
    if (single_file_) {
      // A name that somebody else took meanwhile stays: link refuses to replace it.
      if (::link(path_.c_str(), out_.c_str()) != 0) {
        if (errno == EEXIST || fs::exists(out_)) Lost();
        fs::rename(path_, out_);  // a file system without links
      }
    } else {
      FlushFolder(path_);
      if (::rename(path_.c_str(), out_.c_str()) != 0) {  // replaces an empty folder
        if (errno == EEXIST || errno == ENOTEMPTY || errno == ENOTDIR) Lost();
        Failed(out_, "cannot be put in place");
      }
    }
    FlushFolder(fs::absolute(out_).parent_path());
  }

 private:
  [[noreturn]] void Lost() const {
    Fail(ErrorKind::kBadFile, "{}: something else was written there meanwhile; nothing is overwritten",
         out_.string());
  }

  const fs::path out_;
  const fs::path path_;
  const bool single_file_;
  int lock_ = -1;
};

std::span<const std::byte> AsBytes(const std::string& text) { return std::as_bytes(std::span(text)); }

void WriteText(const fs::path& path, const std::string& text) {
  OpenFile file(path, O_WRONLY | O_CREAT | O_EXCL);
  file.WriteAt(0, AsBytes(text));
  file.Flush();
  file.Close();
}

// Every step is a bijection of the state for a given word and of the word for a given state, so that one
// wrong word always shows, several with probability 1 - 2^-64. Against faults, not against malice.
uint64_t Hash(std::span<const std::byte> bytes) {
  uint64_t hash = 0x9E3779B97F4A7C15u ^ bytes.size();
  size_t i = 0;
  for (uint64_t word = 0; i + sizeof(word) <= bytes.size(); i += sizeof(word)) {
    std::memcpy(&word, bytes.data() + i, sizeof(word));
    hash = (hash ^ word) * 0xD6E8FEB86659FD93u;
    hash ^= hash >> 32;
  }
  for (; i < bytes.size(); ++i) {
    hash = (hash ^ static_cast<uint64_t>(bytes[i])) * 0xD6E8FEB86659FD93u;
    hash ^= hash >> 32;
  }
  return hash;
}

struct Chunk {
  const PlannedTensor* tensor;
  int64_t tensor_offset;
  int64_t bytes;
  uint64_t hash = 0;  // of what was written
};

std::vector<Chunk> ChunksOf(const PlannedFile& file) {
  std::vector<Chunk> chunks;
  for (const PlannedTensor& tensor : file.tensors) {
    const int64_t bytes = tensor.spec.bytes();
    const int64_t step = std::max<int64_t>(1, kChunkBytes / tensor.granule_bytes) * tensor.granule_bytes;
    for (int64_t at = 0; at < bytes; at += step) chunks.push_back({&tensor, at, std::min(step, bytes - at)});
  }
  return chunks;
}

// Calls work(chunk, buffer) for every chunk, taken in turn by the threads; the first exception of any of them
// is rethrown.
template <typename Work>
void ForEachChunk(std::vector<Chunk>& chunks, int threads, const Work& work) {
  std::atomic<size_t> next = 0;
  std::exception_ptr failure;
  std::mutex mutex;
  {
    std::vector<std::jthread> team;
    for (int i = 0; i < std::max(1, threads); ++i) {
      team.push_back(StartThread([&] {
        try {
          std::vector<std::byte> buffer;
          for (size_t c = next++; c < chunks.size(); c = next++) {
            ThrowIfInterrupted();
            buffer.resize(static_cast<size_t>(chunks[c].bytes));
            work(chunks[c], buffer);
          }
        } catch (...) {
          next = chunks.size();
          std::lock_guard lock(mutex);
          if (!failure) failure = std::current_exception();
        }
      }));
    }
  }
  if (failure) std::rethrow_exception(failure);
}

class Writer {
 public:
  Writer(const WritePlan& plan, int64_t total_bytes) : plan_(plan), total_bytes_(total_bytes) {}

  std::vector<Chunk> Write(const PlannedFile& planned, const fs::path& path) {
    OpenFile file(path, O_WRONLY | O_CREAT);
    file.WriteAt(0, AsBytes(planned.header));
    file.SetSize(planned.bytes);
    std::vector<Chunk> chunks = ChunksOf(planned);
    ForEachChunk(chunks, plan_.threads, [&](Chunk& chunk, std::vector<std::byte>& buffer) {
      plan_.fill(chunk.tensor->spec, chunk.tensor_offset, buffer);
      if (plan_.read_back) chunk.hash = Hash(buffer);
      file.WriteAt(chunk.tensor->begin + chunk.tensor_offset, buffer);
      Report(WritePhase::kWriting, chunk.bytes);
    });
    file.Flush();
    if (plan_.read_back) file.DropFromCache();
    file.Close();
    return chunks;
  }

  void ReadBack(const PlannedFile& planned, std::vector<Chunk>& chunks, const fs::path& path) {
    const OpenFile file(path, O_RDONLY);
    std::vector<std::byte> header(planned.header.size());
    file.ReadAt(0, header);
    if (std::memcmp(header.data(), planned.header.data(), header.size()) != 0) {
      Fail(ErrorKind::kBadFile, "{}: the header read back is not the one that was written", path.string());
    }
    ForEachChunk(chunks, plan_.threads, [&](Chunk& chunk, std::vector<std::byte>& buffer) {
      file.ReadAt(chunk.tensor->begin + chunk.tensor_offset, buffer);
      if (Hash(buffer) != chunk.hash) {
        Fail(ErrorKind::kBadFile,
             "{}: tensor {} read back from the disk is not what was written there (bytes {} to {} of it)",
             path.string(), chunk.tensor->spec.name, chunk.tensor_offset, chunk.tensor_offset + chunk.bytes);
      }
      Report(WritePhase::kReadingBack, chunk.bytes);
    });
  }

  void BeginPhase() { done_bytes_ = 0; }

 private:
  void Report(WritePhase phase, int64_t bytes) {
    std::lock_guard lock(mutex_);
    done_bytes_ += bytes;
    if (plan_.progress) plan_.progress(phase, done_bytes_, total_bytes_);
  }

  const WritePlan& plan_;
  const int64_t total_bytes_;
  std::mutex mutex_;
  int64_t done_bytes_ = 0;
};

std::string Size(int64_t bytes) {
  const auto value = static_cast<double>(bytes);
  return bytes < 10'000'000'000 ? fmt::format("{:.0f} MB", value * 1e-6)
                                : fmt::format("{:.1f} GB", value * 1e-9);
}

void CheckRoom(const WritePlan& plan, const fs::path& folder) {
  constexpr int64_t kSpare = 64 << 20;  // small files and the file system's own
  int64_t needed = kSpare;
  for (const PlannedFile& file : plan.files) needed += file.bytes;
  for (const auto& [name, source] : plan.copied_files) needed += static_cast<int64_t>(fs::file_size(source));
  const int64_t available =
      plan.free_bytes ? plan.free_bytes(folder) : static_cast<int64_t>(fs::space(folder).available);
  if (available < needed) {
    Fail(ErrorKind::kNoMemory, "{}: the disk has {} free, the checkpoint needs {}", folder.string(),
         Size(available), Size(needed));
  }
}

int64_t Write(const WritePlan& plan) {
  fs::path out = plan.out;
  if (!out.has_filename()) out = out.parent_path();  // "folder/" names "folder"
  const Partial partial(out, plan.single_file);
  CheckRoom(plan, partial.folder());

  int64_t total_bytes = 0;
  for (const PlannedFile& file : plan.files) {
    for (const PlannedTensor& tensor : file.tensors) total_bytes += tensor.spec.bytes();
  }
  Writer writer(plan, total_bytes);
  std::vector<std::vector<Chunk>> chunks;
  for (const PlannedFile& file : plan.files) chunks.push_back(writer.Write(file, partial.PathOf(file.name)));
  if (plan.read_back) {
    if (plan.before_read_back) plan.before_read_back(partial.PathOf(""));
    writer.BeginPhase();
    for (size_t i = 0; i < plan.files.size(); ++i) {
      writer.ReadBack(plan.files[i], chunks[i], partial.PathOf(plan.files[i].name));
    }
  }
  for (const auto& [name, source] : plan.copied_files) {
    fs::copy_file(source, partial.PathOf(name));
    OpenFile(partial.PathOf(name), O_RDONLY).Flush();
  }
  for (const auto& [name, text] : plan.text_files) WriteText(partial.PathOf(name), text);
  ThrowIfInterrupted();
  partial.Publish();
  return total_bytes;
}

}  // namespace

int64_t TensorSpec::bytes() const {
  const StoredBlock block = BlockOf(dtype);
  int64_t elements = 1;
  for (const int64_t dimension : shape) elements *= dimension;
  return elements / block.elements * block.bytes;
}

int64_t WriteFiles(const WritePlan& plan) {
  OX_CHECK(!plan.single_file ||
           (plan.files.size() == 1 && plan.text_files.empty() && plan.copied_files.empty()));
  try {
    return Write(plan);
  } catch (const fs::filesystem_error& error) {
    Fail(ErrorKind::kBadFile, "{}: {}", error.path1().string(), WriteErrorText(error.code().value()));
  }
}

}  // namespace oxidized
