// Where the hub is, where its cache lies, and how patiently to talk to it: the environment variables of
// huggingface_hub with the same meaning, so that both programs share one cache and one login.
// docs/download.md lists them.
#pragma once

#include <chrono>
#include <filesystem>
#include <string>

namespace oxidized::hub {

struct Settings {
  std::string endpoint = "https://huggingface.co";  // no slash at the end
  std::filesystem::path cache_dir;                  // holds models--org--name/ and .locks/
  std::string token;                                // empty: none
  std::string ca_file;                              // empty: the system's
  bool offline = false;
  bool symlinks = true;  // false: files are moved or copied into snapshots

  int connections = 8;  // for one large file
  std::chrono::milliseconds connect_timeout{10000};
  std::chrono::seconds stall_timeout{30};   // without a byte
  int tries = 6;                            // failures in a row, without progress between them
  std::chrono::milliseconds backoff{1000};  // before the second try; doubles up to 30 times as much
  std::chrono::seconds longest_wait{300};  // a server that asks for more patience (Retry-After) ends the pull
};

// Throws Error(kUsage) for a value that cannot be used, naming the variable.
Settings SettingsFromEnvironment();

// Of what is in the cache alone: where it lies, `offline` and `symlinks`. What only the network needs (the
// token, the endpoint, patience) is not looked at, so that nothing wrong with it is in the way.
Settings CacheSettings();

// Whether the token may go there: over TLS, or to this machine. Never over plain HTTP to another host.
bool TokenIsSafeWith(const std::string& url);

// "https://host:port" of a URL, lower case, with the port written out; empty when it is not an http or https
// URL.
std::string OriginOf(const std::string& url);

}  // namespace oxidized::hub
