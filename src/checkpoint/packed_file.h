// A file of a model's dense bf16 matrices in 12 bits (model/packed_dense.h), made once by `convert --format
// packed-dense` and mapped instead of packing them each time; docs/weights.md has the format. It stands
// beside its model, which is opened as well: only the matrices it holds are read from it.
//
// Written by packed_file_writer, mapped by the CPU device; its packed values are summed by verify alone.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "model/packed_dense.h"
#include "parallel/thread_team.h"

namespace oxidized {

inline constexpr const char* kPackedFileFormat = "packed-dense";  // the word of the command line

struct PackedFileMatrix {
  int32_t index = 0;  // as DenseMatrix's
  int64_t rows = 0, cols = 0, num_escapes = 0;
  std::array<uint8_t, 16> high_bytes{};
  int64_t begin = 0;  // byte of the file: a PackedBf16Layout, and behind it the blocks kept aside

  int64_t bytes() const { return LayoutOfPackedBf16(rows, cols).bytes + num_escapes * kPackedEscapeBytes; }
};

// Which model the file was made from: SHA-256, in hexadecimal digits.
struct PackedFileSource {
  std::string files;   // of the sizes and times of its files
  std::string sample;  // of some of the values of every matrix that may be packed
  std::string values;  // of all of them
};

struct PackedFileHeader {
  PackedFileSource source;
  std::string packed;                      // SHA-256: DigestOfPacked of all that follows
  std::vector<PackedFileMatrix> matrices;  // ascending by index; `begin` follows from the others

  int64_t file_bytes() const;
};

std::string PackedFileHeaderText(PackedFileHeader& header);  // sets every `begin`

// Checks everything but the packed values themselves, so that whatever a view of the file is followed to lies
// in it. `file` at a multiple of 8 bytes. Entry point of a fuzz target. Throws Error(kBadFile), `name`
// standing for the file.
PackedFileHeader ParsePackedFile(std::span<const std::byte> file, const std::string& name);

// Whether the file begins as one of packed dense weights does, of whatever version.
bool IsPackedFile(const std::filesystem::path& path);

// Of each matrix what its PackedBf16Layout covers, and the blocks kept aside.
std::string DigestOfPacked(std::span<const std::span<const std::byte>> parts, ThreadTeam& team,
                           const PackedDense::Progress& progress);
// Throws Error(kBadFile) where the packed values are not those that were written.
void CheckPackedValues(std::span<const std::byte> file, const PackedFileHeader& header,
                       const std::string& name, ThreadTeam& team, const PackedDense::Progress& progress);

std::string DigestOfModelFiles(const Checkpoint& checkpoint);
// Of the shapes and, of each 4 MiB of a matrix, of all values; or (sample) of the first 4 KiB of every 16th.
// `progress` may be empty, and stops it by throwing.
std::string DigestOfValues(const WeightsView& weights, bool sample, ThreadTeam& team,
                           const PackedDense::Progress& progress);

enum class PackedFileCheck : uint8_t {
  kShapes,  // of the model's matrices: where its values are not there
  kValues,  // made from these values. Where the model's files have the sizes and times they had then, some of
            // the values are compared, else all
};

// Maps the file and hands it to checkpoint.files: like the others it may be read into memory instead. Throws
// Error(kBadFile) for a file that is none, damaged, or made from another model.
std::shared_ptr<const PackedDense> OpenPackedFile(const std::filesystem::path& path, Checkpoint& checkpoint,
                                                  PackedFileCheck check, ThreadTeam& team,
                                                  const PackedDense::Progress& progress = {});

}  // namespace oxidized
