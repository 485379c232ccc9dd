#include "base/sha256.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <vector>

#include "base/error.h"
#include "base/file_advice.h"

namespace oxidized {
namespace {

bool IsHex(std::string_view text, size_t digits) {
  return text.size() == digits && text.find_first_not_of("0123456789abcdef") == text.npos;
}

class OpenFile {
 public:
  explicit OpenFile(const std::filesystem::path& path) : fd_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {}
  ~OpenFile() {
    if (fd_ >= 0) ::close(fd_);
  }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;
  int fd() const { return fd_; }

 private:
  int fd_;
};

}  // namespace

void Digest::Free::operator()(void* context) const { EVP_MD_CTX_free(static_cast<EVP_MD_CTX*>(context)); }

Digest::Digest(Algorithm algorithm) : context_(EVP_MD_CTX_new()) {
  const EVP_MD* kind = algorithm == Algorithm::kSha256 ? EVP_sha256() : EVP_sha1();
  if (context_ == nullptr ||
      EVP_DigestInit_ex(static_cast<EVP_MD_CTX*>(context_.get()), kind, nullptr) != 1) {
    // A libcrypto restricted by its configuration (FIPS) may refuse SHA-1.
    Fail(ErrorKind::kUnsupported, "sha: this system's libcrypto refuses {}",
         algorithm == Algorithm::kSha256 ? "SHA-256" : "SHA-1");
  }
}

Digest::~Digest() = default;
Digest::Digest(Digest&& other) noexcept = default;
Digest& Digest::operator=(Digest&& other) noexcept = default;

void Digest::Update(std::span<const std::byte> bytes) {
  OX_CHECK(context_ != nullptr);
  OX_CHECK(EVP_DigestUpdate(static_cast<EVP_MD_CTX*>(context_.get()), bytes.data(), bytes.size()) == 1);
}

void Digest::Update(std::string_view text) { Update(std::as_bytes(std::span(text))); }

std::string Digest::FinishHex() {
  OX_CHECK(context_ != nullptr);
  std::array<unsigned char, EVP_MAX_MD_SIZE> value{};
  unsigned int length = 0;
  OX_CHECK(EVP_DigestFinal_ex(static_cast<EVP_MD_CTX*>(context_.get()), value.data(), &length) == 1);
  context_.reset();
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string hex;
  for (const unsigned char byte : std::span(value).first(length)) {
    hex += kDigits[byte >> 4];
    hex += kDigits[byte & 15];
  }
  return hex;
}

std::string Sha256OfFile(const std::filesystem::path& path, const std::function<void(int64_t)>& progress) {
  const OpenFile file(path);
  struct stat status{};
  if (file.fd() < 0 || ::fstat(file.fd(), &status) != 0) {
    Fail(ErrorKind::kBadFile, "{}: cannot be read: {}", path.string(), std::strerror(errno));
  }
  if (!S_ISREG(status.st_mode)) Fail(ErrorKind::kBadFile, "{}: not a regular file", path.string());
  AdviseSequential(file.fd());

  Sha256 digest;
  std::vector<std::byte> buffer(size_t{1} << 20);
  for (int64_t done = 0;;) {
    const ssize_t got = ::read(file.fd(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) Fail(ErrorKind::kBadFile, "{}: cannot be read: {}", path.string(), std::strerror(errno));
    if (got == 0) {
      if (done < status.st_size) {
        Fail(ErrorKind::kBadFile, "{}: ended at {} bytes while being read, expected {}", path.string(), done,
             status.st_size);
      }
      return digest.FinishHex();
    }
    digest.Update(std::span(buffer).first(static_cast<size_t>(got)));
    done += got;
    if (progress) progress(done);
  }
}

bool IsSha256Hex(std::string_view text) { return IsHex(text, 64); }
bool IsSha1Hex(std::string_view text) { return IsHex(text, 40); }

}  // namespace oxidized
