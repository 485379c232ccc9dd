#include "rewrite/packed_file_writer.h"

#include <fmt/core.h>

#include <cstring>
#include <map>
#include <string>

#include "base/error.h"
#include "base/printable.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/packed_file.h"
#include "parallel/thread_team.h"

namespace oxidized {

PackedFileWritten WritePackedFile(const PackedFileOptions& options) {
  RequireFree(options.out, /*single_file=*/true);
  const Checkpoint checkpoint = OpenCheckpoint(options.in);
  const WeightsView& weights = checkpoint.weights;
  ThreadTeam team(options.threads);
  const PackedDense packed(weights, team, options.packing_progress);
  PackedFileHeader header;

  PackedFileWritten written;
  written.source_format = checkpoint.format;
  const std::vector<DenseMatrix> candidates = PackedDense::Candidates(weights);
  std::vector<std::span<const std::byte>> parts;
  for (const auto& [index, m] : candidates) {
    if (const PackedDense::Packed* p = packed.Of(*m)) {
      header.matrices.push_back({.index = index,
                                 .rows = m->rows,
                                 .cols = m->cols,
                                 .num_escapes = p->num_escapes,
                                 .high_bytes = p->view.high_bytes});
      parts.push_back(p->data.span());
      parts.push_back(p->escapes.span());
    }
  }
  written.matrices = std::ssize(header.matrices);
  written.left = std::ssize(candidates) - written.matrices;
  written.stored_bytes = packed.stored_bytes();
  if (written.matrices == 0) {
    Fail(ErrorKind::kUnsupported,
         "{}: nothing to write: of {} in bf16 none would be a tenth smaller in 12 bits a value",
         options.in.string(), Counted(candidates.size(), "dense matrix"));
  }
  header.source = {DigestOfModelFiles(checkpoint), DigestOfValues(weights, true, team, {}),
                   DigestOfValues(weights, false, team, options.digest_progress)};
  header.packed = DigestOfPacked(parts, team, {});

  WritePlan plan;
  plan.out = options.out;
  plan.single_file = true;
  plan.threads = options.threads;
  plan.read_back = true;
  plan.progress = options.progress;
  plan.free_bytes = options.free_bytes;
  PlannedFile file;
  file.header = PackedFileHeaderText(header);
  file.bytes = written.file_bytes = header.file_bytes();
  std::map<std::string, const std::byte*> contents;
  const auto add = [&](std::string name, const std::byte* data, int64_t begin, int64_t bytes) {
    if (bytes == 0) return;
    contents.emplace(name, data);
    file.tensors.push_back({.spec = {std::move(name), DType::kU8, {bytes}}, .begin = begin});
  };
  size_t next = 0;
  for (const auto& [index, m] : candidates) {
    const PackedDense::Packed* p = packed.Of(*m);
    if (p == nullptr) continue;
    const std::string name = NameOfDense(index, weights.layers.size());
    const int64_t begin = header.matrices[next++].begin, bytes = std::ssize(p->data.span());
    add(name, p->data.data(), begin, bytes);
    add("blocks kept aside of " + name, p->escapes.data(), begin + bytes, std::ssize(p->escapes.span()));
  }
  plan.files.push_back(std::move(file));
  plan.fill = [&](const TensorSpec& spec, int64_t offset, std::span<std::byte> out) {
    std::memcpy(out.data(), contents.at(spec.name) + offset, out.size());
  };
  WriteFiles(plan);
  return written;
}

}  // namespace oxidized
