#include "checkpoint/packed_file.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <limits>

#include "base/error.h"
#include "base/lfs_pointer.h"
#include "base/sha256.h"

namespace oxidized {
namespace {

// What lies in the file, little-endian: Header, `count` Records, the matrices. All sizes are multiples of 64.
constexpr char kMagic[8] = {'O', 'X', 'P', 'A', 'C', 'K', 'E', 'D'};
constexpr uint32_t kVersion = 2;

struct Header {
  char magic[8];
  uint32_t version, count;
  char files[64], sample[64], values[64], packed[64];
  char zero[48];
  char digest[64];  // SHA-256 of all that stands before it and of the records
};
static_assert(sizeof(Header) == 384);

struct Record {
  int32_t index;
  uint32_t zero;
  int64_t rows, cols, num_escapes;
  uint8_t high_bytes[16];
  char zeros[16];
};
static_assert(sizeof(Record) == 64);

std::string DigestOfHeader(std::span<const std::byte> text) {
  Sha256 sha;
  sha.Update(text.first(offsetof(Header, digest)));
  sha.Update(text.subspan(sizeof(Header)));
  return sha.FinishHex();
}

[[noreturn]] void Refuse(const std::string& name, const std::string& found) {
  throw Error(ErrorKind::kBadFile, {.setting = Setting::kPackedWeights,
                                    .component = name,
                                    .found = found,
                                    .remedies = {{Setting::kNone, "delete it and make it again"}}});
}

// A sound file, but of another model.
[[noreturn]] void RefuseModel(const std::string& name, const std::string& found) {
  throw Error(ErrorKind::kBadFile,
              {.setting = Setting::kPackedWeights,
               .component = name,
               .found = found,
               .remedies = {{Setting::kNone, "name the file that was made from this model"}}});
}

int64_t HeaderBytes(size_t count) { return static_cast<int64_t>(sizeof(Header) + count * sizeof(Record)); }

constexpr int64_t kPieceBytes = int64_t{4} << 20, kSampleBytes = 4096, kSampledPiece = 16;

std::vector<std::string> DigestsOf(const std::vector<std::span<const std::byte>>& pieces, ThreadTeam& team,
                                   const PackedDense::Progress& progress) {
  int64_t done = 0, total = 0;
  for (const auto& piece : pieces) total += std::ssize(piece);
  std::vector<std::string> digests(pieces.size());
  constexpr size_t kAtOnce = 64;
  for (size_t begin = 0; begin < pieces.size(); begin += kAtOnce) {
    const size_t count = std::min(kAtOnce, pieces.size() - begin);
    team.Run([&](int worker, int workers) {
      const Share share = ShareOf(static_cast<int64_t>(count), 1, worker, workers);
      for (auto i = begin + static_cast<size_t>(share.begin); i < begin + static_cast<size_t>(share.end);
           ++i) {
        Sha256 sha;
        sha.Update(pieces[i]);
        digests[i] = sha.FinishHex();
      }
    });
    for (size_t i = begin; i < begin + count; ++i) done += std::ssize(pieces[i]);
    if (progress) progress(done, total);
  }
  return digests;
}

// Whoever gave the name must hear which option it was.
MappedFile OpenNamed(const std::filesystem::path& path) {
  try {
    return MappedFile::Open(path);
  } catch (const Error& error) {
    Fault fault = error.fault();
    fault.setting = Setting::kPackedWeights;
    throw Error(error.kind(), fault);
  }
}

}  // namespace

int64_t PackedFileHeader::file_bytes() const {
  return matrices.empty() ? HeaderBytes(0) : matrices.back().begin + matrices.back().bytes();
}

std::string PackedFileHeaderText(PackedFileHeader& header) {
  Header fixed{};
  std::memcpy(fixed.magic, kMagic, sizeof kMagic);
  fixed.version = kVersion;
  fixed.count = static_cast<uint32_t>(header.matrices.size());
  for (const auto& [to, text] : {std::pair{fixed.files, &header.source.files},
                                 {fixed.sample, &header.source.sample},
                                 {fixed.values, &header.source.values},
                                 {fixed.packed, &header.packed}}) {
    OX_CHECK(IsSha256Hex(*text));
    std::memcpy(to, text->data(), text->size());
  }
  std::string text(reinterpret_cast<const char*>(&fixed), sizeof fixed);
  int64_t at = HeaderBytes(header.matrices.size());
  for (PackedFileMatrix& m : header.matrices) {
    m.begin = at;
    at += m.bytes();
    Record record{};
    record.index = m.index;
    record.rows = m.rows;
    record.cols = m.cols;
    record.num_escapes = m.num_escapes;
    std::memcpy(record.high_bytes, m.high_bytes.data(), m.high_bytes.size());
    text.append(reinterpret_cast<const char*>(&record), sizeof record);
  }
  const std::string digest = DigestOfHeader(std::as_bytes(std::span(text)));
  return text.replace(offsetof(Header, digest), digest.size(), digest);
}

PackedFileHeader ParsePackedFile(std::span<const std::byte> file, const std::string& name) {
  const int64_t size = std::ssize(file);
  RefuseLfsPointer(file, name);
  Header fixed;
  constexpr size_t kVersionEnd = offsetof(Header, version) + sizeof fixed.version;
  if (file.size() < kVersionEnd || std::memcmp(file.data(), kMagic, sizeof kMagic) != 0) {
    throw Error(ErrorKind::kBadFile,
                {.setting = Setting::kPackedWeights,
                 .component = name,
                 .found = "not a file of packed dense weights (begins without OXPACKED)"});
  }
  std::memcpy(&fixed, file.data(), std::min(file.size(), sizeof fixed));
  if (fixed.version != kVersion)
    Refuse(name, fmt::format("has version {}, this program reads {}", fixed.version, kVersion));
  const auto truncated = [&](int64_t needed) {
    Refuse(name, fmt::format("ends at byte {}, {} were expected at least (was it truncated?)", size, needed));
  };
  if (HeaderBytes(0) > size) truncated(HeaderBytes(0));
  if (HeaderBytes(fixed.count) > size) truncated(HeaderBytes(fixed.count));

  PackedFileHeader header;
  const auto digits = [&](const char(&field)[64]) {
    std::string text(field, sizeof field);
    if (!IsSha256Hex(text)) Refuse(name, "its header is damaged");
    return text;
  };
  header.source = {digits(fixed.files), digits(fixed.sample), digits(fixed.values)};
  header.packed = digits(fixed.packed);
  constexpr int64_t kMost = std::numeric_limits<int32_t>::max();
  int64_t at = HeaderBytes(fixed.count);
  for (uint32_t i = 0; i < fixed.count; ++i) {
    Record record;
    std::memcpy(&record, file.data() + HeaderBytes(i), sizeof record);
    const bool sound = record.index > (i > 0 ? header.matrices.back().index : -1) && record.rows > 0 &&
                       record.rows <= kMost && record.cols > 0 && record.cols <= kMost &&
                       record.cols % kPackedBlockValues == 0 && record.num_escapes >= 0 &&
                       record.num_escapes <= std::numeric_limits<uint32_t>::max();
    if (!sound) Refuse(name, fmt::format("matrix {} of its header is damaged", i));
    PackedFileMatrix m{.index = record.index,
                       .rows = record.rows,
                       .cols = record.cols,
                       .num_escapes = record.num_escapes,
                       .begin = at};
    std::memcpy(m.high_bytes.data(), record.high_bytes, m.high_bytes.size());
    if (m.bytes() > size - at) truncated(at + m.bytes());
    const std::byte* data = file.data() + at;
    const PackedBf16View view = ViewOfPackedBf16(data, nullptr, m.rows, m.cols, m.high_bytes);
    if (!EscapesAreSound(view, m.rows, m.cols, m.num_escapes))
      Refuse(name, fmt::format("its matrix {} is damaged: blocks kept aside do not add up", i));
    at += m.bytes();
    header.matrices.push_back(m);
  }
  if (at != size) Refuse(name, fmt::format("has {} bytes, its header says {}", size, at));
  if (DigestOfHeader(file.first(static_cast<size_t>(HeaderBytes(fixed.count)))) !=
      std::string_view(fixed.digest, sizeof fixed.digest))
    Refuse(name, "its header is damaged");
  return header;
}

bool IsPackedFile(const std::filesystem::path& path) {
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(path, ignored)) return false;
  char start[sizeof kMagic] = {};
  std::ifstream in(path, std::ios::binary);
  in.read(start, sizeof start);
  return in && std::memcmp(start, kMagic, sizeof kMagic) == 0;
}

std::string DigestOfPacked(std::span<const std::span<const std::byte>> parts, ThreadTeam& team,
                           const PackedDense::Progress& progress) {
  std::vector<std::span<const std::byte>> pieces;
  for (const auto& part : parts) {
    for (size_t at = 0; at < part.size(); at += kPieceBytes)
      pieces.push_back(part.subspan(at, std::min(part.size() - at, size_t{kPieceBytes})));
  }
  Sha256 sha;
  for (const std::string& digest : DigestsOf(pieces, team, progress)) sha.Update(digest);
  return sha.FinishHex();
}

void CheckPackedValues(std::span<const std::byte> file, const PackedFileHeader& header,
                       const std::string& name, ThreadTeam& team, const PackedDense::Progress& progress) {
  std::vector<std::span<const std::byte>> parts;
  for (const PackedFileMatrix& m : header.matrices) {
    const auto matrix = file.subspan(static_cast<size_t>(m.begin), static_cast<size_t>(m.bytes()));
    const auto layout = static_cast<size_t>(LayoutOfPackedBf16(m.rows, m.cols).bytes);
    parts.push_back(matrix.first(layout));
    parts.push_back(matrix.subspan(layout));
  }
  if (DigestOfPacked(parts, team, progress) != header.packed)
    Refuse(name, "its packed values are damaged: their digest is not the one they were written with");
}

std::string DigestOfModelFiles(const Checkpoint& checkpoint) {
  Sha256 sha;
  for (const MappedFile& file : checkpoint.files)
    sha.Update(fmt::format("{} {}\n", file.bytes().size(), file.modified_ns()));
  return sha.FinishHex();
}

std::string DigestOfValues(const WeightsView& weights, bool sample, ThreadTeam& team,
                           const PackedDense::Progress& progress) {
  std::vector<std::span<const std::byte>> pieces;
  Sha256 sha;
  for (const auto& [index, m] : PackedDense::Candidates(weights)) {
    sha.Update(fmt::format("{} {} {}\n", index, m->rows, m->cols));
    for (int64_t at = 0; at < m->bytes(); at += kPieceBytes * (sample ? kSampledPiece : 1)) {
      const int64_t most = std::min(m->bytes() - at, sample ? kSampleBytes : kPieceBytes);
      pieces.emplace_back(m->data + at, static_cast<size_t>(most));
    }
  }
  for (const std::string& digest : DigestsOf(pieces, team, progress)) sha.Update(digest);
  return sha.FinishHex();
}

std::shared_ptr<const PackedDense> OpenPackedFile(const std::filesystem::path& path, Checkpoint& checkpoint,
                                                  PackedFileCheck check, ThreadTeam& team,
                                                  const PackedDense::Progress& progress) {
  MappedFile file = OpenNamed(path);
  const std::string name = path.string(), model = checkpoint.path.string();
  const PackedFileHeader header = ParsePackedFile(file.bytes(), name);
  const WeightsView& weights = checkpoint.weights;
  const std::vector<DenseMatrix> candidates = PackedDense::Candidates(weights);
  auto packed = std::make_shared<PackedDense>();
  for (const PackedFileMatrix& m : header.matrices) {
    const auto of_model = std::find_if(candidates.begin(), candidates.end(),
                                       [&](const DenseMatrix& other) { return other.index == m.index; });
    const std::string what = NameOfDense(m.index, weights.layers.size());
    if (of_model == candidates.end())
      RefuseModel(name, fmt::format("holds {}, which {} does not have in bf16", what, model));
    const MatrixView& stored = *of_model->matrix;
    if (stored.rows != m.rows || stored.cols != m.cols) {
      RefuseModel(name, fmt::format("holds {} of {} x {}, that of {} is {} x {}", what, m.rows, m.cols, model,
                                    stored.rows, stored.cols));
    }
    const std::byte* data = file.bytes().data() + m.begin;
    const std::byte* escapes = data + LayoutOfPackedBf16(m.rows, m.cols).bytes;
    packed->Add(stored, {.view = ViewOfPackedBf16(data, escapes, m.rows, m.cols, m.high_bytes),
                         .num_escapes = m.num_escapes,
                         .bytes = m.bytes()});
  }
  if (check == PackedFileCheck::kValues) {
    bool same = DigestOfValues(weights, true, team, {}) == header.source.sample;
    if (same && DigestOfModelFiles(checkpoint) != header.source.files)
      same = DigestOfValues(weights, false, team, progress) == header.source.values;
    if (!same) RefuseModel(name, fmt::format("was made from a model with other values than {}", model));
  }
  checkpoint.files.push_back(std::move(file));
  return packed;
}

}  // namespace oxidized
