#include "moe/trace.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "base/printable.h"
#include "moe/routing_stats.h"
#include "tensor/float16.h"

namespace oxidized {
namespace {

constexpr uint32_t kVersion = 1;
constexpr size_t kHeaderBytes = 64;
constexpr size_t kTokenBytes = 20;
constexpr uint32_t kLogitsFlag = 1;
constexpr uint16_t kNoExpert = 0xFFFF;

// What a reader accepts: the largest model that could be opened (model_config.cc).
constexpr uint32_t kMostLayers = 1024, kMostExperts = 1u << 14, kMostPerToken = 256;

size_t LayerBytes(const TraceHeader& header) {
  const auto k = static_cast<size_t>(header.shape.experts_per_token);
  return 4 * k + 6 + (header.logits ? 4 * static_cast<size_t>(header.shape.num_experts) : 0);
}
size_t RecordBytes(const TraceHeader& header) {
  return kTokenBytes + static_cast<size_t>(header.shape.num_layers) * LayerBytes(header);
}

// The format is little-endian; so is every machine that this program runs on.
template <typename T>
void Put(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof(T));
}

class Cursor {
 public:
  explicit Cursor(const std::byte* at) : at_(at) {}
  template <typename T>
  T Take() {
    const T value = LoadUnaligned<T>(at_);
    at_ += sizeof(T);
    return value;
  }

 private:
  const std::byte* at_;
};

}  // namespace

void TraceRecord::Resize(const TraceHeader& header) {
  const auto layers = static_cast<size_t>(header.shape.num_layers);
  const size_t choices = layers * static_cast<size_t>(header.shape.experts_per_token);
  experts.resize(choices);
  weights.resize(choices);
  margins.resize(layers);
  dropped.resize(layers);
  rerouted.resize(layers);
  logits.resize(header.logits ? layers * static_cast<size_t>(header.shape.num_experts) : 0);
}

TraceWriter::TraceWriter(const OutputName& name, const TraceHeader& header) : header_(header), file_(name) {
  record_.Resize(header);
  buffer_.append(kTraceSign);
  Put(buffer_, kVersion);
  Put(buffer_, static_cast<uint32_t>(kHeaderBytes));
  Put(buffer_, static_cast<uint32_t>(RecordBytes(header)));
  for (const int32_t value : {header.shape.num_layers, header.shape.num_experts,
                              header.shape.experts_per_token, header.shape.usable_experts})
    Put(buffer_, static_cast<uint32_t>(value));
  Put(buffer_, header.logits ? kLogitsFlag : 0u);
  Put(buffer_, static_cast<uint64_t>(header.expert_bytes));
  buffer_.resize(kHeaderBytes, '\0');
  Flush();
}

TraceWriter::~TraceWriter() {
  try {
    Close();
  } catch (const Error&) {
  }
}

void TraceWriter::Flush() {
  try {
    if (!error_) file_->Write(buffer_);
  } catch (const Error& error) {
    error_ = error;
  }
  buffer_.clear();
}

void TraceWriter::Append(const TraceRecord& record) {
  const auto k = static_cast<size_t>(header_.shape.experts_per_token);
  const auto e = static_cast<size_t>(header_.shape.num_experts);
  Put(buffer_, record.sequence);
  Put(buffer_, record.step);
  Put(buffer_, record.position);
  Put(buffer_, record.token);
  Put(buffer_, static_cast<uint32_t>(record.phase));  // one byte and three zeros
  for (size_t l = 0; l < record.margins.size(); ++l) {
    for (size_t i = l * k; i < (l + 1) * k; ++i)
      Put(buffer_, record.experts[i] < 0 ? kNoExpert : static_cast<uint16_t>(record.experts[i]));
    for (size_t i = l * k; i < (l + 1) * k; ++i) Put(buffer_, FloatToF16(record.weights[i]));
    Put(buffer_, record.margins[l]);
    Put(buffer_, record.dropped[l]);
    Put(buffer_, record.rerouted[l]);
    if (header_.logits)
      buffer_.append(reinterpret_cast<const char*>(record.logits.data() + l * e), e * sizeof(float));
  }
}

void TraceWriter::Write(const TraceRecord& record) {
  Append(record);
  Flush();
}

void TraceWriter::OnRows(const ObservedRows& rows) {
  if (error_) return;
  const auto k = static_cast<size_t>(header_.shape.experts_per_token);
  const auto e = static_cast<size_t>(header_.shape.num_experts);
  OX_CHECK(rows.logits.size() == rows.layers.size());
  for (size_t r = 0; r < rows.tokens.size(); ++r) {
    record_.sequence = static_cast<uint32_t>(rows.sequence);
    record_.step = static_cast<uint32_t>(rows.step);
    record_.position = static_cast<uint32_t>(rows.first_position) + static_cast<uint32_t>(r);
    record_.token = rows.tokens[r];
    record_.phase = rows.phase;
    for (size_t l = 0; l < rows.layers.size(); ++l) {
      const RoutedRows& from = rows.layers[l];
      const auto place = static_cast<ptrdiff_t>(r * static_cast<size_t>(from.stride));
      std::copy_n(from.experts.begin() + place, k, record_.experts.begin() + static_cast<ptrdiff_t>(l * k));
      std::copy_n(from.weights.begin() + place, k, record_.weights.begin() + static_cast<ptrdiff_t>(l * k));
      record_.dropped[l] = from.dropped[r];
      record_.rerouted[l] = from.rerouted[r];
      const std::span<const float> logits = rows.logits[l].subspan(r * e, e);
      record_.margins[l] = RouterMargin(logits.first(static_cast<size_t>(header_.shape.usable_of(l))),
                                        static_cast<int32_t>(k));
      if (header_.logits)
        std::copy(logits.begin(), logits.end(), record_.logits.begin() + static_cast<ptrdiff_t>(l * e));
    }
    Append(record_);
  }
  Flush();
}

void TraceWriter::Close() {
  if (!file_) return;
  try {
    if (!error_) file_->Publish();
  } catch (const Error& error) {
    error_ = error;
  }
  file_.reset();  // what is not published goes
  Check();
}

void TraceWriter::Check() const {
  if (error_) throw Error(*error_);
}

TraceReader TraceReader::Open(const std::filesystem::path& path) {
  auto file = std::make_shared<MappedFile>(MappedFile::Open(path));
  TraceReader reader(file->bytes(), path.string());
  reader.file_ = std::move(file);
  return reader;
}

TraceReader::TraceReader(std::span<const std::byte> bytes, std::string name)
    : bytes_(bytes), name_(std::move(name)) {
  if (bytes.size() < kHeaderBytes || std::memcmp(bytes.data(), kTraceSign.data(), kTraceSign.size()) != 0)
    throw Error(ErrorKind::kBadFile, {.component = name_,
                                      .found = "not a routing trace",
                                      .remedies = {{Setting::kMoeTrace, "{} writes one"}}});
  Cursor cursor(bytes.data() + kTraceSign.size());
  const auto version = cursor.Take<uint32_t>();
  if (version != kVersion)
    Fail(ErrorKind::kBadFile, "{}: trace version {}, this program reads {}", name_, version, kVersion);
  header_bytes_ = cursor.Take<uint32_t>();
  record_bytes_ = cursor.Take<uint32_t>();
  const auto layers = cursor.Take<uint32_t>(), experts = cursor.Take<uint32_t>(), k = cursor.Take<uint32_t>(),
             usable = cursor.Take<uint32_t>(), flags = cursor.Take<uint32_t>();
  const auto expert_bytes = cursor.Take<uint64_t>();
  if (layers < 1 || layers > kMostLayers || experts < 1 || experts > kMostExperts || usable < 1 ||
      usable > experts || k < 1 || k > std::min(usable, kMostPerToken) || (flags & ~kLogitsFlag) != 0 ||
      expert_bytes > uint64_t{1} << 50) {
    Fail(ErrorKind::kBadFile,
         "{}: the trace's header is damaged ({} layers, {} experts, {} usable, {} a token, flags {:#x})",
         name_, layers, experts, usable, k, flags);
  }
  if (cursor.Take<uint64_t>() != 0 || cursor.Take<uint64_t>() != 0)
    Fail(ErrorKind::kBadFile, "{}: the trace's header is damaged: bytes 48 to 63 are not zero", name_);
  header_.shape = {static_cast<int32_t>(layers), static_cast<int32_t>(experts), static_cast<int32_t>(k),
                   static_cast<int32_t>(usable)};
  header_.logits = (flags & kLogitsFlag) != 0;
  header_.expert_bytes = static_cast<int64_t>(expert_bytes);
  if (header_bytes_ < kHeaderBytes || header_bytes_ > bytes.size() || record_bytes_ != RecordBytes(header_)) {
    Fail(ErrorKind::kBadFile, "{}: the trace's header gives records of {}, its shape needs {}", name_,
         Counted(record_bytes_, "byte"), RecordBytes(header_));
  }
  const size_t body = bytes.size() - header_bytes_;
  size_ = static_cast<int64_t>(body / record_bytes_);
  torn_bytes_ = static_cast<int64_t>(body % record_bytes_);
}

void TraceReader::Read(int64_t i, TraceRecord& record) const {
  OX_CHECK(i >= 0 && i < size_);
  const auto k = static_cast<size_t>(header_.shape.experts_per_token);
  const auto e = static_cast<size_t>(header_.shape.num_experts);
  record.Resize(header_);
  Cursor cursor(bytes_.data() + header_bytes_ + static_cast<size_t>(i) * record_bytes_);
  record.sequence = cursor.Take<uint32_t>();
  record.step = cursor.Take<uint32_t>();
  record.position = cursor.Take<uint32_t>();
  record.token = cursor.Take<int32_t>();
  const auto phase = cursor.Take<uint32_t>();
  if (phase >= kRoutingPhases) Fail(ErrorKind::kBadFile, "{}: record {} has phase {}", name_, i, phase);
  record.phase = static_cast<RoutingPhase>(phase);
  for (size_t l = 0; l < record.margins.size(); ++l) {
    for (size_t c = l * k; c < (l + 1) * k; ++c) {
      const auto expert = cursor.Take<uint16_t>();
      if (expert != kNoExpert && expert >= e) {
        Fail(ErrorKind::kBadFile, "{}: record {}, layer {}: expert {}, the model has {}", name_, i, l, expert,
             e);
      }
      record.experts[c] = expert == kNoExpert ? -1 : expert;
    }
    for (size_t c = l * k; c < (l + 1) * k; ++c) record.weights[c] = F16ToFloat(cursor.Take<uint16_t>());
    record.margins[l] = cursor.Take<float>();
    record.dropped[l] = cursor.Take<uint8_t>();
    record.rerouted[l] = cursor.Take<uint8_t>();
    for (size_t x = 0; header_.logits && x < e; ++x) record.logits[l * e + x] = cursor.Take<float>();
  }
}

}  // namespace oxidized
