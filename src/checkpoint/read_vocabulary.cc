#include "checkpoint/read_vocabulary.h"

#include <string_view>

#include "base/mapped_file.h"

namespace oxidized {

Vocabulary ReadVocabulary(const std::filesystem::path& path) {
  const MappedFile file = MappedFile::Open(path);
  const std::string_view text(reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size());
  const size_t begin = text.find_first_not_of(" \t\r\n");
  const bool json = begin != std::string_view::npos && text[begin] == '{';
  return json ? ReadTokenizerJson(text, path.string()) : ReadRankFile(text, path.string());
}

}  // namespace oxidized
