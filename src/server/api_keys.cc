#include "server/api_keys.h"

#include <algorithm>
#include <fstream>

#include "base/error.h"
#include "base/printable.h"
#include "base/sha256.h"

namespace oxidized::server {
namespace {

constexpr std::string_view kBearer = "bearer ";
constexpr size_t kMostKeyBytes = 4096;

std::string DigestOf(std::string_view key) {
  Sha256 digest;
  digest.Update(key);
  return digest.FinishHex();
}

void CheckKey(std::string_view key, const std::string& source) {
  const bool plain = std::all_of(key.begin(), key.end(), [](char c) { return c > ' ' && c < '\x7f'; });
  if (key.empty() || key.size() > kMostKeyBytes || !plain)
    Fail(ErrorKind::kUsage, "{}: a key is 1 to {} printable characters of ASCII without a space", source,
         kMostKeyBytes);
}

std::vector<std::string> KeysOf(const std::filesystem::path& path) {
  std::ifstream file(path);
  if (!file || std::filesystem::is_directory(path))
    Fail(ErrorKind::kBadFile, "{}: the file of API keys cannot be read", Shown(path));
  std::vector<std::string> keys;
  int number = 0;
  for (std::string line; std::getline(file, line);) {
    ++number;
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ' || line.back() == '\t'))
      line.pop_back();
    if (line.empty() || line.front() == '#') continue;
    CheckKey(line, fmt::format("{}:{}", Shown(path), number));
    keys.push_back(line);
  }
  // Else the server would be open to everybody.
  if (keys.empty()) Fail(ErrorKind::kBadFile, "{}: the file of API keys holds none", Shown(path));
  return keys;
}

std::string_view KeyOf(const HttpRequest& request) {
  const std::string_view authorization = request.Field("authorization");
  const bool bearer =
      authorization.size() > kBearer.size() &&
      std::equal(kBearer.begin(), kBearer.end(), authorization.begin(), [](char ours, char theirs) {
        return ours == (theirs >= 'A' && theirs <= 'Z' ? theirs + 32 : theirs);
      });
  return bearer ? authorization.substr(kBearer.size()) : request.Field("x-api-key");
}

}  // namespace

ApiKeys::ApiKeys(const std::vector<std::string>& keys, std::filesystem::path file)
    : given_(keys), file_(std::move(file)) {
  for (const std::string& key : given_) CheckKey(key, "API key");
  Reload();
}

std::vector<std::string> ApiKeys::Digests() const {
  std::vector<std::string> digests;
  for (const std::string& key : given_) digests.push_back(DigestOf(key));
  if (has_file()) {
    for (const std::string& key : KeysOf(file_)) digests.push_back(DigestOf(key));
  }
  return digests;
}

void ApiKeys::Reload() { digests_ = Digests(); }

// Every digest is looked at, all of it: neither which one it is nor how far it is right shows in the time.
bool ApiKeys::Allow(const HttpRequest& request) const {
  if (!required()) return true;
  const std::string asked = DigestOf(KeyOf(request));
  bool allowed = false;
  for (const std::string& digest : digests_) {
    unsigned char difference = 0;
    for (size_t i = 0; i < digest.size(); ++i) difference |= static_cast<unsigned char>(digest[i] ^ asked[i]);
    allowed |= difference == 0;
  }
  return allowed;
}

}  // namespace oxidized::server
