// What one repository of a hub answers: its file list, and where the bytes of a file are. Adds to HttpClient
// what the hub's protocol needs: retries, redirects, and a token that goes to the hub's own address and
// nowhere else.
#pragma once

#include <string>

#include "hub/http.h"
#include "hub/listing.h"
#include "hub/meter.h"
#include "hub/patience.h"
#include "hub/repo_spec.h"
#include "hub/settings.h"

namespace oxidized::hub {

class HubClient {
 public:
  // References live as long as this.
  HubClient(const Settings& settings, const RepoSpec& spec, const PullWatch& watch);

  // The files at the spec's revision. Throws Error(kNetwork) saying what to do about a gated, private or
  // missing repository.
  RepoListing List();

  // An address that serves the file's bytes: behind the hub's redirects, perhaps on another host, perhaps
  // signed and short-lived. Throws Error(kNetwork), also when the hub now names another hash or size than its
  // list did.
  std::string Resolve(const std::string& commit, const RepoFile& file);

  // The token, if it may go to this address: the hub's own origin over TLS or on this machine. Else empty.
  std::string TokenFor(const std::string& url) const;

  // Throws Error(kNetwork): what a refusal of the hub means. `what` is "the file list" or a file's name.
  [[noreturn]] void Refuse(const HttpHead& head, const std::string& what, const std::string& url) const;

  // For transfers of contents; questions to the hub go their own way, so that neither sees the other's
  // answers.
  HttpClient& http() { return http_; }
  const Settings& settings() const { return settings_; }

 private:
  struct Answer {
    HttpHead head;
    std::string body;
    std::string url;  // the last of the redirects
  };
  // With retries, and redirects within the hub's origin; a redirect to another host is given back as it is.
  Answer Ask(std::string url, bool head, const std::string& what);

  const Settings& settings_;
  const RepoSpec& spec_;
  const PullWatch& watch_;
  HttpClient api_, http_;
  bool reached_ = false;  // the hub has answered at least once
};

}  // namespace oxidized::hub
