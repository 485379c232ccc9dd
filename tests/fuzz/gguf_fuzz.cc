// Any bytes as a GGUF file: an Error on one line, or tensors inside the file, in order and without overlap;
// then as a gpt-oss model: its configuration, its weights bound, and the tokenizer it carries.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <string>

#include "base/error.h"
#include "base/log.h"
#include "checkpoint/gguf/gguf_checkpoint.h"

namespace {

using namespace oxidized;

void Require(bool condition) {
  if (!condition) std::abort();
}

template <typename Action>
void Attempt(const Action& action) {
  try {
    action();
  } catch (const Error& error) {
    Require(error.kind() == ErrorKind::kBadFile || error.kind() == ErrorKind::kUnsupported);
    Require(std::strchr(error.what(), '\n') == nullptr);
  }
}

void CheckContainer(const Gguf& gguf, size_t size) {
  int64_t at = 0;
  for (const GgufTensor& tensor : gguf.tensors) {
    Require(tensor.begin >= at && tensor.end >= tensor.begin && tensor.end <= static_cast<int64_t>(size));
    Require(!tensor.name.empty() && tensor.shape.size() <= 4);
    at = tensor.end;
  }
  for (const auto& [key, value] : gguf.values) {
    Require(gguf.Find(key) == &value);
    if (value.type != GgufType::kString) continue;
    GgufStrings strings(value);
    int64_t count = 0;
    for (std::string_view text; strings.Next(text);) ++count;
    Require(count == value.count);
  }
}

// The input as a file that exists in memory alone.
struct MemoryFile {
  int fd;
  MemoryFile(const uint8_t* data, size_t size) : fd(::memfd_create("gguf_fuzz", 0)) {
    Require(fd >= 0 && ::write(fd, data, size) == static_cast<ssize_t>(size));
  }
  ~MemoryFile() { ::close(fd); }
  std::string path() const { return "/proc/self/fd/" + std::to_string(fd); }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  bool parsed = false;
  Attempt([&] {
    CheckContainer(ParseGguf({reinterpret_cast<const std::byte*>(data), size}, "f"), size);
    parsed = true;
  });
  if (!parsed) return 0;
  const MemoryFile file(data, size);
  Attempt([&] {
    const Checkpoint checkpoint = OpenGguf(file.path(), {.metadata_only = true});
    ValidateConfig(checkpoint.config, "f");
    Attempt([&] {
      if (checkpoint.vocabulary) MakeTokenizer(*checkpoint.vocabulary)->Encode("a b");
    });
  });
  return 0;
}
