// Who may ask: keys given on the command line and in a file, compared in a time that says nothing about them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "server/http_exchange.h"

namespace oxidized::server {

class ApiKeys {
 public:
  // `file`: a key a line, empty lines and those that begin with # left out; empty: none. Throws
  // Error(kBadFile): it cannot be read, or holds no key; Error(kUsage): a key that no header can carry.
  ApiKeys(const std::vector<std::string>& keys, std::filesystem::path file);

  bool required() const { return !digests_.empty(); }
  // Whether `Authorization: Bearer KEY` or `x-api-key: KEY` names one of them.
  bool Allow(const HttpRequest& request) const;
  // Reads the file again. Throws as the constructor, and keeps what it had.
  void Reload();
  bool has_file() const { return !file_.empty(); }

 private:
  std::vector<std::string> Digests() const;

  std::vector<std::string> given_;
  std::filesystem::path file_;
  std::vector<std::string> digests_;  // SHA-256 of each: all of one length
};

}  // namespace oxidized::server
