#include "devices/own_weights.h"

#include <algorithm>

#include "base/error.h"

namespace oxidized {

std::vector<FileRange> PagesWithout(const MappedFile& file, std::vector<std::span<const std::byte>> parts) {
  const std::span<const std::byte> bytes = file.bytes();
  std::erase_if(parts, [&](const auto& part) { return !file.Maps(part.data(), std::ssize(part)); });
  std::sort(parts.begin(), parts.end(), [](const auto& a, const auto& b) { return a.data() < b.data(); });
  std::vector<FileRange> left;
  int64_t at = 0;
  for (const auto& part : parts) {
    const int64_t begin = part.data() - bytes.data();
    if (at < begin) left.push_back({at, begin});
    at = std::max(at, begin + std::ssize(part));
  }
  left.push_back({at, std::ssize(bytes)});
  return file.PagesOf(std::move(left));
}

int64_t BytesOf(const std::vector<FileRange>& ranges) {
  int64_t bytes = 0;
  for (const FileRange& range : ranges) bytes += range.end - range.begin;
  return bytes;
}

namespace {
double Mib(int64_t bytes) { return static_cast<double>(bytes) / 1048576.0; }
}  // namespace

void OwnWeights(std::span<MappedFile> files, const OwnedWeights& what, int64_t available_bytes) {
  std::vector<std::vector<FileRange>> ranges;
  int64_t total = 0;
  for (const MappedFile& file : files) {
    ranges.push_back(PagesWithout(file, what.unread));
    total += BytesOf(ranges.back());
  }
  if (total + what.beside_bytes > available_bytes) {
    throw Error(ErrorKind::kNoMemory,
                {.setting = what.remedy.setting,
                 .component = what.model,
                 .found = fmt::format("needs {:.1f} MiB of memory, {:.1f} of them for weights that are read "
                                      "into it; {:.1f} MiB are available",
                                      Mib(total + what.beside_bytes), Mib(total), Mib(available_bytes)),
                 .remedies = {what.remedy}});
  }
  int64_t before = 0;
  for (size_t i = 0; i < files.size(); ++i) {
    int64_t of_file = 0;
    files[i].Own(ranges[i], [&](int64_t done) {
      of_file = done;
      if (what.progress) what.progress(before + done, total);
    });
    before += of_file;
  }
}

}  // namespace oxidized
