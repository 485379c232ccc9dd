#include "tokenizer/byte_text.h"

#include <array>
#include <cstdint>

namespace oxidized {
namespace {

constexpr bool StandsForItself(int byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

constexpr int kCharacters = 0x100 + 68;

constexpr std::array<int16_t, kCharacters> MakeTable() {
  std::array<int16_t, kCharacters> byte_of{};
  int next = 0x100;
  for (int byte = 0; byte < 256; ++byte) {
    byte_of[byte] = -1;
    if (StandsForItself(byte)) byte_of[byte] = static_cast<int16_t>(byte);
  }
  for (int byte = 0; byte < 256; ++byte) {
    if (!StandsForItself(byte)) byte_of[next++] = static_cast<int16_t>(byte);
  }
  return byte_of;
}

constexpr std::array<int16_t, kCharacters> kByteOf = MakeTable();

}  // namespace

bool DecodeByteText(std::string_view text, std::string& bytes) {
  bytes.clear();
  for (size_t i = 0; i < text.size(); ++i) {
    const auto lead = static_cast<uint8_t>(text[i]);
    int character = lead;
    if (lead >= 0x80) {  // all characters above ASCII in use have two bytes
      if ((lead & 0xE0) != 0xC0 || i + 1 == text.size()) return false;
      const auto trail = static_cast<uint8_t>(text[++i]);
      if ((trail & 0xC0) != 0x80) return false;
      character = (lead & 0x1F) << 6 | (trail & 0x3F);
    }
    if (character >= kCharacters || kByteOf[character] < 0) return false;
    bytes += static_cast<char>(kByteOf[character]);
  }
  return true;
}

std::string PrintableStart(std::string_view text) {
  std::string shown;
  for (const char c : text.substr(0, 40)) shown += c >= ' ' && c <= '~' ? c : '?';
  return shown + (text.size() > 40 ? "..." : "");
}

}  // namespace oxidized
