#include "hub/settings.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <initializer_list>

#include "base/error.h"
#include "base/file_status.h"
#include "hub/text.h"

namespace oxidized::hub {
namespace {

// Empty counts as not set.
std::string Variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::string FirstOf(std::initializer_list<const char*> names) {
  for (const char* name : names) {
    if (std::string value = Variable(name); !value.empty()) return value;
  }
  return "";
}

bool IsTrue(const std::string& value) {  // huggingface_hub's ENV_VARS_TRUE_VALUES
  std::string upper = value;
  for (char& c : upper) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  return upper == "1" || upper == "ON" || upper == "YES" || upper == "TRUE";
}

// "~/x" and "$NAME/x", "${NAME}/x", as Python's expanduser and expandvars; unknown names stay as they are.
std::filesystem::path Expanded(const std::string& text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (i == 0 && text[0] == '~' && (text.size() == 1 || text[1] == '/')) {
      out += Variable("HOME");
      continue;
    }
    if (text[i] == '$') {
      const bool braces = i + 1 < text.size() && text[i + 1] == '{';
      const size_t begin = i + (braces ? 2 : 1);
      size_t end = begin;
      while (end < text.size() &&
             (std::isalnum(static_cast<unsigned char>(text[end])) != 0 || text[end] == '_'))
        ++end;
      const char* value = std::getenv(text.substr(begin, end - begin).c_str());
      if (end > begin && value != nullptr && (!braces || (end < text.size() && text[end] == '}'))) {
        out += value;
        i = braces ? end : end - 1;
        continue;
      }
    }
    out += text[i];
  }
  return out;
}

std::filesystem::path HfHome() {
  if (const std::string home = Variable("HF_HOME"); !home.empty()) return Expanded(home);
  if (const std::string xdg = Variable("XDG_CACHE_HOME"); !xdg.empty()) return Expanded(xdg) / "huggingface";
  const std::string home = Variable("HOME");
  if (home.empty())
    Fail(ErrorKind::kUsage,
         "no place for downloaded models: none of HF_HOME, XDG_CACHE_HOME and HOME is set");
  return std::filesystem::path(home) / ".cache" / "huggingface";
}

std::string Trimmed(std::string text) {
  const auto blank = [](char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; };
  while (!text.empty() && blank(text.back())) text.pop_back();
  text.erase(0, static_cast<size_t>(std::find_if_not(text.begin(), text.end(), blank) - text.begin()));
  return text;
}

std::string FindToken(const std::filesystem::path& home) {
  if (IsTrue(Variable("HF_HUB_DISABLE_IMPLICIT_TOKEN"))) return "";
  std::string token = Trimmed(FirstOf({"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"}));
  if (token.empty()) {
    const std::string named = Variable("HF_TOKEN_PATH");
    const std::filesystem::path file = named.empty() ? home / "token" : Expanded(named);
    constexpr size_t kMostTokenBytes = 1 << 16;
    // Somebody else's token is none: the hub says so where one is needed.
    if (IsFile(file) && access(file.c_str(), R_OK) == 0) token = ReadWholeFile(file, kMostTokenBytes);
    token = Trimmed(token.substr(0, token.find('\n')));
  }
  // It becomes part of a header.
  if (token.size() > 4096 ||
      !std::all_of(token.begin(), token.end(), [](char c) { return c > 0x20 && c < 0x7F; }))
    Fail(ErrorKind::kUsage, "the token of HF_TOKEN or {} has characters that a token never has",
         (home / "token").string());
  return token;
}

// `whole` in [low, high], or `missing` when the variable is not set.
int64_t Number(const char* name, int64_t missing, int64_t low, int64_t high) {
  const std::string text = Variable(name);
  if (text.empty()) return missing;
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < low || value > high)
    Fail(ErrorKind::kUsage, "{}: {} is not a whole number from {} to {}", name, Quoted(text), low, high);
  return value;
}

}  // namespace

std::string OriginOf(const std::string& url) {
  const size_t scheme_end = url.find("://");
  if (scheme_end == url.npos) return "";
  std::string scheme = url.substr(0, scheme_end);
  std::string host = url.substr(scheme_end + 3);
  host.resize(std::min(host.find_first_of("/?#\\"), host.size()));
  if (const size_t at = host.rfind('@'); at != host.npos) host.erase(0, at + 1);
  for (char& c : scheme) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  for (char& c : host) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  if ((scheme != "http" && scheme != "https") || host.empty()) return "";
  const size_t colon = host.rfind(':');
  const bool has_port = colon != host.npos && host.find(']', colon) == host.npos;
  if (!has_port) host += scheme == "https" ? ":443" : ":80";
  return scheme + "://" + host;
}

bool TokenIsSafeWith(const std::string& url) {
  const std::string origin = OriginOf(url);
  if (origin.starts_with("https://")) return true;
  if (!origin.starts_with("http://")) return false;
  std::string host = origin.substr(7);
  host.resize(host.rfind(':'));
  return host == "localhost" || host == "[::1]" ||
         (host.starts_with("127.") && host.find_first_not_of("0123456789.") == host.npos);
}

Settings CacheSettings() {
  Settings settings;
  const std::string cache = FirstOf({"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"});
  settings.cache_dir = std::filesystem::absolute(cache.empty() ? HfHome() / "hub" : Expanded(cache));
  settings.offline = IsTrue(FirstOf({"HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"}));
  settings.symlinks = !IsTrue(Variable("HF_HUB_DISABLE_SYMLINKS"));
  return settings;
}

Settings SettingsFromEnvironment() {
  Settings settings = CacheSettings();
  if (std::string endpoint = Variable("HF_ENDPOINT"); !endpoint.empty()) {
    while (endpoint.ends_with('/')) endpoint.pop_back();
    if (OriginOf(endpoint).empty())
      Fail(ErrorKind::kUsage, "HF_ENDPOINT: {} is not an http or https address", Quoted(endpoint));
    settings.endpoint = endpoint;
  }
  settings.token = FindToken(HfHome());
  settings.ca_file = FirstOf({"CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"});
  settings.connections = static_cast<int>(Number("OXIDIZED_HUB_CONNECTIONS", settings.connections, 1, 64));
  settings.tries = static_cast<int>(Number("OXIDIZED_HUB_TRIES", settings.tries, 1, 1000));
  settings.backoff =
      std::chrono::milliseconds(Number("OXIDIZED_HUB_BACKOFF_MS", settings.backoff.count(), 1, 60000));
  settings.connect_timeout =
      std::chrono::seconds(Number("HF_HUB_ETAG_TIMEOUT", settings.connect_timeout.count() / 1000, 1, 3600));
  settings.stall_timeout =
      std::chrono::seconds(Number("HF_HUB_DOWNLOAD_TIMEOUT", settings.stall_timeout.count(), 1, 3600));
  return settings;
}

}  // namespace oxidized::hub
