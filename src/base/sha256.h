// SHA-256 of a stream of bytes, and SHA-1 where git's object names ask for it: what downloads are checked
// against and `verify` compares. OpenSSL's libcrypto computes it with the processor's SHA instructions where
// there are any. Not for passwords or signatures. Used by hub/ and by whoever verifies a file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace oxidized {

class Digest {
 public:
  enum class Algorithm { kSha256, kSha1 };

  explicit Digest(Algorithm algorithm = Algorithm::kSha256);
  ~Digest();
  Digest(Digest&& other) noexcept;
  Digest& operator=(Digest&& other) noexcept;

  void Update(std::span<const std::byte> bytes);
  void Update(std::string_view text);
  // Lower-case hexadecimal digits of everything updated: 64 for SHA-256, 40 for SHA-1. Ends the stream:
  // nothing may be called afterwards.
  std::string FinishHex();

 private:
  struct Free {
    void operator()(void* context) const;
  };
  std::unique_ptr<void, Free> context_;
};

// The usual case by name.
class Sha256 : public Digest {
 public:
  Sha256() : Digest(Algorithm::kSha256) {}
};

// SHA-256 of a regular file, read front to back in pieces (not mapped: a file that shrinks is an error, not a
// signal). `progress` gets the bytes of the file done so far, may be empty, and stops the reading by
// throwing. Throws Error(kBadFile) naming the path.
std::string Sha256OfFile(const std::filesystem::path& path,
                         const std::function<void(int64_t done_bytes)>& progress = {});

// Whether `text` is what FinishHex gives: 64 or 40 lower-case hexadecimal digits.
bool IsSha256Hex(std::string_view text);
bool IsSha1Hex(std::string_view text);

}  // namespace oxidized
