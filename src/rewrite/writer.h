// Writes the files of a checkpoint of any format and size from a plan and a function that makes the bytes,
// never holding a whole tensor. What a file looks like (header, order, alignment) is the business of
// safetensors_writer and gguf_writer; what the bytes are, of synth and convert.
//
// All or nothing, as for every output (base/output_file.h): everything is written under a partial name beside
// the target, flushed to the disk, read back if asked, and renamed at the end. A run that fails, is
// interrupted or is killed leaves nothing under the final name. Nothing is ever replaced.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "tensor/dtype.h"

namespace oxidized {

struct TensorSpec {
  std::string name;
  DType dtype;
  std::vector<int64_t> shape;  // last index fastest; of a block type, the last is a multiple of its block

  int64_t bytes() const;
};

// Fills bytes [offset, offset + out.size()) of a tensor; called from several threads, offsets multiples of
// the tensor's granule. Errors go through.
using FillTensor = std::function<void(const TensorSpec&, int64_t offset, std::span<std::byte> out)>;

struct PlannedTensor {
  TensorSpec spec;
  int64_t begin = 0;           // byte of the file
  int64_t granule_bytes = 64;  // pieces asked of FillTensor begin at multiples of it
};

struct PlannedFile {
  std::string name;    // in the folder
  std::string header;  // bytes [0, header.size())
  std::vector<PlannedTensor> tensors;
  int64_t bytes = 0;  // the whole file; what neither header nor tensors cover is zero
};

enum class WritePhase : uint8_t { kWriting, kReadingBack };

struct WritePlan {
  std::filesystem::path out;  // must not exist, or be an empty folder; no symbolic link, not "." or ".."
  // A folder with these files, or (single_file) `out` itself, files[0] with its name ignored.
  bool single_file = false;
  std::vector<PlannedFile> files;
  std::map<std::string, std::string> text_files;              // file name -> content (config.json, …)
  std::map<std::string, std::filesystem::path> copied_files;  // file name -> source
  FillTensor fill;
  int threads = 2;
  // Every byte is read again from the disk (not from the page cache, where the system allows it) and compared
  // by hash with what was written.
  bool read_back = false;
  // Of tensor bytes; may be empty; from one thread at a time.
  std::function<void(WritePhase, int64_t done_bytes, int64_t total_bytes)> progress;

  // What tests put in the place of the system.
  std::function<int64_t(const std::filesystem::path& folder)> free_bytes;        // empty: of the file system
  std::function<void(const std::filesystem::path& temporary)> before_read_back;  // usually empty
};

// What WriteFiles would refuse `out` for: to be asked before values are read for minutes. Throws Error:
// kUsage when it is empty, kBadFile when it is in the way.
void RequireFree(const std::filesystem::path& out, bool single_file);

// Throws Error: what RequireFree throws; kBadFile when a write fails or what is read back differs; kNoMemory
// when the disk has too little room (checked before the first byte); Interrupted. Returns the tensor bytes.
int64_t WriteFiles(const WritePlan& plan);

}  // namespace oxidized
