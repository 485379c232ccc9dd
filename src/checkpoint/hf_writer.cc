#include "checkpoint/hf_writer.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <exception>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>
#include <utility>

#include "base/error.h"
#include "base/interrupt.h"
#include "checkpoint/model_files.h"

namespace oxidized {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kChunkBytes = 4 << 20;

// A folder that disappears unless it was renamed into place.
class PartialFolder {
 public:
  explicit PartialFolder(const fs::path& out)
      : out_(out), path_(out.string() + ".partial-" + std::to_string(::getpid())) {
    if (fs::exists(out_) && !(fs::is_directory(out_) && fs::is_empty(out_))) {
      Fail(ErrorKind::kBadFile, "{}: exists and is no empty folder; nothing is overwritten", out_.string());
    }
    fs::remove_all(path_);
    fs::create_directories(path_);
  }
  ~PartialFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  void Publish() const { fs::rename(path_, out_); }  // replaces an empty folder
  const fs::path& path() const { return path_; }

 private:
  const fs::path out_;
  const fs::path path_;
};

class OutputFile {
 public:
  explicit OutputFile(const fs::path& path)
      : path_(path), fd_(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644)) {
    if (fd_ < 0) Failed("cannot be made");
  }
  ~OutputFile() {
    if (fd_ >= 0) ::close(fd_);
  }
  void WriteAt(int64_t offset, std::span<const std::byte> bytes) const {
    while (!bytes.empty()) {
      const ssize_t done = ::pwrite(fd_, bytes.data(), bytes.size(), offset);
      if (done < 0 && errno == EINTR) continue;
      if (done <= 0) Failed("cannot be written");
      bytes = bytes.subspan(static_cast<size_t>(done));
      offset += done;
    }
  }
  void Close() {
    if (::close(std::exchange(fd_, -1)) != 0) Failed("cannot be written");
  }

 private:
  [[noreturn]] void Failed(const char* what) const {
    Fail(ErrorKind::kBadFile, "{}: {}: {}", path_.string(), what, std::strerror(errno));
  }
  const fs::path path_;
  int fd_;
};

std::span<const std::byte> AsBytes(const std::string& text) { return std::as_bytes(std::span(text)); }

void WriteText(const fs::path& path, const std::string& text) {
  OutputFile file(path);
  file.WriteAt(0, AsBytes(text));
  file.Close();
}

struct Shard {
  std::vector<const TensorSpec*> tensors;
  int64_t bytes = 0;
  std::string file;
};

// Numbered as the published checkpoints are: from 0, "of" the number of the last one.
std::vector<Shard> SplitIntoShards(const HfWriteRequest& request) {
  std::vector<const TensorSpec*> sorted;
  for (const TensorSpec& tensor : request.tensors) sorted.push_back(&tensor);
  std::sort(sorted.begin(), sorted.end(), [](const auto* a, const auto* b) { return a->name < b->name; });
  std::vector<Shard> shards(1);
  for (const TensorSpec* tensor : sorted) {
    if (!shards.back().tensors.empty() && shards.back().bytes + tensor->bytes() > request.shard_bytes) {
      shards.emplace_back();
    }
    shards.back().tensors.push_back(tensor);
    shards.back().bytes += tensor->bytes();
  }
  const size_t last = shards.size() - 1;
  for (size_t i = 0; i <= last; ++i) {
    shards[i].file =
        last == 0 ? "model.safetensors" : fmt::format("model-{:05}-of-{:05}.safetensors", i, last);
  }
  return shards;
}

// Length, JSON and spaces up to a multiple of 64 bytes, so that tensors of even shapes are aligned in the
// mapping.
std::string HeaderOf(const Shard& shard) {
  nlohmann::ordered_json header;
  header["__metadata__"] = {{"format", "pt"}};
  int64_t offset = 0;
  for (const TensorSpec* tensor : shard.tensors) {
    const int64_t end = offset + tensor->bytes();
    header[tensor->name] = {
        {"dtype", Name(tensor->dtype)}, {"shape", tensor->shape}, {"data_offsets", {offset, end}}};
    offset = end;
  }
  std::string text = header.dump();
  constexpr size_t kAlignment = 64;
  text.resize((text.size() + sizeof(uint64_t) + kAlignment - 1) / kAlignment * kAlignment - sizeof(uint64_t),
              ' ');
  const uint64_t length = text.size();
  return std::string(reinterpret_cast<const char*>(&length), sizeof(length)) + text;
}

std::string IndexOf(const std::vector<Shard>& shards, int64_t total_bytes) {
  nlohmann::ordered_json map = nlohmann::ordered_json::object();
  for (const Shard& shard : shards) {
    for (const TensorSpec* tensor : shard.tensors) map[tensor->name] = shard.file;
  }
  return nlohmann::ordered_json{{"metadata", {{"total_size", total_bytes}}}, {"weight_map", std::move(map)}}
             .dump(2) +
         "\n";
}

struct Chunk {
  const TensorSpec* tensor;
  int64_t tensor_offset;
  int64_t file_offset;
  int64_t bytes;
};

std::vector<Chunk> ChunksOf(const Shard& shard, int64_t data_begin) {
  std::vector<Chunk> chunks;
  for (const TensorSpec* tensor : shard.tensors) {
    const int64_t bytes = tensor->bytes();
    for (int64_t at = 0; at < bytes; at += kChunkBytes) {
      chunks.push_back({tensor, at, data_begin + at, std::min(kChunkBytes, bytes - at)});
    }
    data_begin += bytes;
  }
  return chunks;
}

// Chunks of one shard, taken in turn by the threads; the first exception of any of them is rethrown.
class ShardWriter {
 public:
  ShardWriter(const HfWriteRequest& request, int64_t total_bytes)
      : request_(request), total_bytes_(total_bytes) {}

  void Write(const Shard& shard, const fs::path& folder) {
    OutputFile file(folder / shard.file);
    const std::string header = HeaderOf(shard);
    file.WriteAt(0, AsBytes(header));
    const std::vector<Chunk> chunks = ChunksOf(shard, static_cast<int64_t>(header.size()));
    std::atomic<size_t> next = 0;
    std::exception_ptr failure;
    {
      std::vector<std::jthread> threads;
      for (int i = 0; i < std::max(1, request_.threads); ++i) {
        threads.emplace_back([&] {
          try {
            std::vector<std::byte> buffer;
            for (size_t c = next++; c < chunks.size(); c = next++) WriteChunk(chunks[c], buffer, file);
          } catch (...) {
            next = chunks.size();
            std::lock_guard lock(mutex_);
            if (!failure) failure = std::current_exception();
          }
        });
      }
    }
    if (failure) std::rethrow_exception(failure);
    file.Close();
  }

 private:
  void WriteChunk(const Chunk& chunk, std::vector<std::byte>& buffer, const OutputFile& file) {
    ThrowIfInterrupted();
    buffer.resize(static_cast<size_t>(chunk.bytes));
    request_.fill(*chunk.tensor, chunk.tensor_offset, buffer);
    file.WriteAt(chunk.file_offset, buffer);
    std::lock_guard lock(mutex_);
    done_bytes_ += chunk.bytes;
    if (request_.progress) request_.progress(done_bytes_, total_bytes_);
  }

  const HfWriteRequest& request_;
  const int64_t total_bytes_;
  std::mutex mutex_;
  int64_t done_bytes_ = 0;
};

void CheckRoom(const fs::path& folder, int64_t total_bytes) {
  constexpr int64_t kSpare = 64 << 20;  // headers, index, tokenizer, the file system's own
  const auto available = static_cast<int64_t>(fs::space(folder).available);
  if (available < total_bytes + kSpare) {
    Fail(ErrorKind::kNoMemory, "{}: the disk has {:.1f} GB free, the checkpoint needs {:.1f} GB",
         folder.string(), static_cast<double>(available) * 1e-9,
         static_cast<double>(total_bytes + kSpare) * 1e-9);
  }
}

}  // namespace

int64_t TensorSpec::bytes() const {
  int64_t bits = Bits(dtype);
  for (const int64_t dimension : shape) bits *= dimension;
  return bits / 8;
}

int64_t WriteHfCheckpoint(const HfWriteRequest& request) {
  try {
    fs::path out = request.out;
    if (!out.has_filename()) out = out.parent_path();  // "folder/" names "folder"
    const PartialFolder folder(out);
    const std::vector<Shard> shards = SplitIntoShards(request);
    int64_t total_bytes = 0;
    for (const Shard& shard : shards) total_bytes += shard.bytes;
    CheckRoom(folder.path(), total_bytes);

    for (const auto& [name, source] : request.copied_files) fs::copy_file(source, folder.path() / name);
    ShardWriter writer(request, total_bytes);
    for (const Shard& shard : shards) writer.Write(shard, folder.path());
    if (shards.size() > 1) WriteText(folder.path() / kIndexFileName, IndexOf(shards, total_bytes));
    for (const auto& [name, text] : request.text_files) WriteText(folder.path() / name, text);
    folder.Publish();
    return total_bytes;
  } catch (const fs::filesystem_error& error) {
    Fail(ErrorKind::kBadFile, "{}: {}", error.path1().string(), error.code().message());
  }
}

}  // namespace oxidized
