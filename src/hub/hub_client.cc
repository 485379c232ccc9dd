#include "hub/hub_client.h"

#include "base/error.h"
#include "base/interrupt.h"
#include "base/printable.h"
#include "base/sha256.h"
#include "hub/text.h"

namespace oxidized::hub {
namespace {

constexpr int kMaxRedirects = 10;

// W/"abc" and "abc" are abc.
std::string Etag(std::string text) {
  if (text.starts_with("W/")) text.erase(0, 2);
  if (text.size() >= 2 && text.front() == '"' && text.back() == '"') text = text.substr(1, text.size() - 2);
  return text;
}

std::string HostOf(const std::string& url) {
  const std::string origin = OriginOf(url);
  return NeutralizedLine(origin.substr(std::min(origin.find("://") + 3, origin.size())));
}

}  // namespace

HubClient::HubClient(const Settings& settings, const RepoSpec& spec, const PullWatch& watch)
    : settings_(settings), spec_(spec), watch_(watch), api_(settings), http_(settings) {
  if (!settings.token.empty() && !TokenIsSafeWith(settings.endpoint) && watch.remark)
    watch.remark(fmt::format("{}: the token is not sent over plain HTTP", settings.endpoint));
}

std::string HubClient::TokenFor(const std::string& url) const {
  return OriginOf(url) == OriginOf(settings_.endpoint) && TokenIsSafeWith(url) ? settings_.token : "";
}

HubClient::Answer HubClient::Ask(std::string url, bool head, const std::string& what) {
  Patience patience(settings_);
  for (int redirects = 0;;) {
    Answer answer;
    answer.url = url;
    bool too_long = false;
    HttpRequest request{.url = url, .token = TokenFor(url), .head = head, .range = {}, .body = {}};
    request.body = [&](const HttpHead&, std::span<const std::byte> bytes) {
      too_long = answer.body.size() + bytes.size() > kMaxListingBytes;
      if (!too_long) answer.body.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
      return !too_long;
    };
    api_.Start(std::move(request));
    HttpResult result;
    for (bool ended = false; !ended;) {
      ThrowIfInterrupted();
      for (auto& [id, finished] : api_.Poll(100)) {
        result = std::move(finished);
        ended = true;
      }
    }
    if (too_long)
      Fail(ErrorKind::kNetwork, "{}: {}: longer than {} bytes", HostOf(url), what, kMaxListingBytes);
    answer.head = result.head;
    const Verdict verdict = Judge(result);
    reached_ = reached_ || result.head.status != 0;
    switch (verdict.action) {
      case Verdict::Action::kGood:
        return answer;
      case Verdict::Action::kMoved: {
        const std::string target = RedirectTarget(url, result.head.Header("location"));
        if (target.empty() || ++redirects > kMaxRedirects) {
          Fail(ErrorKind::kNetwork, "{}: {}: {}", HostOf(url), what,
               target.empty() ? "redirects to " + Quoted(result.head.Header("location"))
                              : "redirects without end");
        }
        if (OriginOf(target) != OriginOf(settings_.endpoint)) return answer;
        url = target;
        break;
      }
      case Verdict::Action::kRetry: {
        // Nobody there at the first attempt: most likely no network at all, and nothing is lost by saying so.
        if (verdict.unreachable && !reached_)
          Fail(ErrorKind::kNetwork, "{}: cannot be reached: {}", HostOf(url), verdict.what);
        const auto wait = patience.Failed(fmt::format("{}: {}", HostOf(url), what), verdict);
        if (watch_.remark) {
          watch_.remark(fmt::format("{}: {}: {}; trying again in {:.0f} s", HostOf(url), what, verdict.what,
                                    std::chrono::duration<double>(wait).count()));
        }
        SleepFor(wait);
        break;
      }
      case Verdict::Action::kExpired:
      case Verdict::Action::kRefused:
        if (!verdict.what.starts_with("HTTP"))
          Fail(ErrorKind::kNetwork, "{}: {}: {}", HostOf(url), what, verdict.what);
        Refuse(result.head, what, url);
    }
  }
}

void HubClient::Refuse(const HttpHead& head, const std::string& what, const std::string& url) const {
  const std::string code = head.Header("x-error-code");
  const bool has_token = !settings_.token.empty();
  if (OriginOf(url) == OriginOf(settings_.endpoint)) {
    if (code == "GatedRepo") {
      Fail(ErrorKind::kNetwork, "{} is gated: accept its terms at {}/{}{} (HTTP {})", spec_.id,
           settings_.endpoint, spec_.id,
           has_token ? " with the account of your token" : " and set HF_TOKEN to a token of that account",
           head.status);
    }
    if (code == "RevisionNotFound")
      Fail(ErrorKind::kNetwork, "{} has no branch, tag or commit {}", spec_.id, Quoted(spec_.revision));
    if (code == "EntryNotFound") Fail(ErrorKind::kNetwork, "{}: {} is not there", spec_.id, what);
    if (code == "RepoNotFound" || head.status == 404) {
      Fail(ErrorKind::kNetwork, "{} has no model {}{} (HTTP {})", HostOf(url), spec_.id,
           has_token ? ", or your token may not see it" : ", or it is private and needs HF_TOKEN",
           head.status);
    }
    if (head.status == 401 || head.status == 403) {
      Fail(ErrorKind::kNetwork, "{} refuses {}: {}: {}", HostOf(url), spec_.id, StatusText(head),
           has_token ? "is the token of HF_TOKEN or $HF_HOME/token still valid, and may it read this model?"
                     : "set HF_TOKEN to a token of an account that may read it");
    }
  }
  Fail(ErrorKind::kNetwork, "{}: {}: {}", HostOf(url), what, StatusText(head));
}

RepoListing HubClient::List() {
  const std::string url = fmt::format("{}/api/models/{}/revision/{}?blobs=true", settings_.endpoint, spec_.id,
                                      PercentEncoded(spec_.revision, false));
  const Answer answer = Ask(url, false, "the file list of " + spec_.id);
  if (answer.head.status >= 300) {
    Fail(ErrorKind::kNetwork, "{}: the file list of {} is redirected to another host ({})", HostOf(url),
         spec_.id, Quoted(answer.head.Header("location")));
  }
  return ParseListing(answer.body, fmt::format("{}: the file list of {}", HostOf(url), spec_.id));
}

std::string HubClient::Resolve(const std::string& commit, const RepoFile& file) {
  const std::string url = fmt::format("{}/{}/resolve/{}/{}", settings_.endpoint, spec_.id, commit,
                                      PercentEncoded(file.path, true));
  const Answer answer = Ask(url, true, Quoted(file.path));
  // The hub names the content it is about to serve: a difference need not cost gigabytes to be seen.
  std::string hash = Etag(answer.head.Header("x-linked-etag"));
  if (hash.empty() && answer.head.status < 300) hash = Etag(answer.head.Header("etag"));
  if ((IsSha256Hex(hash) || IsSha1Hex(hash)) && hash.size() == file.hash.size() && hash != file.hash) {
    Fail(ErrorKind::kNetwork, "{}: {} is served with the hash {}, the file list says {}", HostOf(url),
         Quoted(file.path), hash, file.hash);
  }
  const std::string size = answer.head.Header("x-linked-size");
  if (!size.empty() && size != std::to_string(file.size_bytes)) {
    Fail(ErrorKind::kNetwork, "{}: {} is served with {}, the file list says {}", HostOf(url),
         Quoted(file.path), CountedText(NeutralizedLine(size), "byte"), file.size_bytes);
  }
  return answer.head.status >= 300 ? RedirectTarget(answer.url, answer.head.Header("location")) : answer.url;
}

}  // namespace oxidized::hub
