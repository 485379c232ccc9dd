#include "hub/http.h"

#include <curl/curl.h>

#include <algorithm>
#include <exception>
#include <utility>

#include "base/error.h"
#include "hub/text.h"

namespace oxidized::hub {
namespace {

constexpr size_t kMaxHeaderBytes = 256 << 10;

void InitializeCurl() {
  static const CURLcode code = curl_global_init(CURL_GLOBAL_DEFAULT);
  if (code != CURLE_OK) Fail(ErrorKind::kNetwork, "libcurl: {}", curl_easy_strerror(code));
}

HttpResult::Kind KindOf(CURLcode code) {
  using Kind = HttpResult::Kind;
  switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
      return Kind::kNoName;
    case CURLE_COULDNT_CONNECT:
      return Kind::kNoConnection;
    case CURLE_OPERATION_TIMEDOUT:
      return Kind::kTimeout;
    case CURLE_PARTIAL_FILE:
    case CURLE_GOT_NOTHING:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
      return Kind::kCut;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
      return Kind::kTls;
    default:
      return Kind::kOther;
  }
}

struct Transfer {
  HttpRequest request;
  HttpResult result;
  std::exception_ptr thrown;  // by request.body; must not pass through libcurl
  size_t header_bytes = 0;
  CURL* easy = nullptr;
  curl_slist* headers = nullptr;
  char error[CURL_ERROR_SIZE] = "";

  ~Transfer() {
    curl_easy_cleanup(easy);
    curl_slist_free_all(headers);
  }
};

size_t OnHeader(char* data, size_t unit, size_t count, void* user) {
  auto& transfer = *static_cast<Transfer*>(user);
  HttpHead& head = transfer.result.head;
  const std::string_view line(data, unit * count);
  transfer.header_bytes += line.size();
  if (transfer.header_bytes > kMaxHeaderBytes) return 0;
  if (line.starts_with("HTTP/")) {  // an interim answer (100 Continue) came before
    head.headers.clear();
    return line.size();
  }
  const size_t colon = line.find(':');
  if (colon == line.npos) return line.size();
  std::string name(line.substr(0, colon));
  for (char& c : name) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  const size_t begin = std::min(line.find_first_not_of(" \t", colon + 1), line.size());
  const size_t end = line.find_last_not_of(" \t\r\n");
  head.headers[name] = end == line.npos || end < begin ? "" : line.substr(begin, end + 1 - begin);
  return line.size();
}

size_t OnBody(char* data, size_t unit, size_t count, void* user) {
  auto& transfer = *static_cast<Transfer*>(user);
  const size_t bytes = unit * count;
  try {
    long status = 0;
    curl_easy_getinfo(transfer.easy, CURLINFO_RESPONSE_CODE, &status);
    transfer.result.head.status = static_cast<int>(status);
    if (!transfer.request.body) return bytes;
    const auto piece = std::as_bytes(std::span(data, bytes));
    if (transfer.request.body(transfer.result.head, piece)) return bytes;
    transfer.result.stopped = true;
  } catch (...) {
    transfer.thrown = std::current_exception();
  }
  return CURL_WRITEFUNC_ERROR;
}

}  // namespace

std::string HttpHead::Header(const std::string& lower_name) const {
  const auto found = headers.find(lower_name);
  return found == headers.end() ? "" : found->second;
}

struct HttpClient::Impl {
  Settings settings;
  CURLM* multi = nullptr;
  std::map<int, std::unique_ptr<Transfer>> transfers;
  int last_id = 0;

  void SetOptions(Transfer& transfer) const;
};

// curl_easy_setopt fails for want of memory and for options that this libcurl was built without.
template <typename T>
void Set(CURL* easy, CURLoption option, T value) {
  if (const CURLcode code = curl_easy_setopt(easy, option, value); code != CURLE_OK)
    Fail(ErrorKind::kNetwork, "libcurl: option {}: {}", static_cast<int>(option), curl_easy_strerror(code));
}

void HttpClient::Impl::SetOptions(Transfer& transfer) const {
  CURL* const easy = transfer.easy;
  const HttpRequest& request = transfer.request;
  const auto add_header = [&](const std::string& line) {
    transfer.headers = curl_slist_append(transfer.headers, line.c_str());
  };
  Set(easy, CURLOPT_URL, request.url.c_str());
#if LIBCURL_VERSION_NUM >= 0x075500
  Set(easy, CURLOPT_PROTOCOLS_STR, "http,https");
#else
  Set(easy, CURLOPT_PROTOCOLS, static_cast<long>(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
  // With HTTP/2 all transfers would share one connection, and its one congestion window.
  Set(easy, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  Set(easy, CURLOPT_USERAGENT, "oxidized_gpt_oss");
  Set(easy, CURLOPT_NOSIGNAL, 1L);
  Set(easy, CURLOPT_TCP_KEEPALIVE, 1L);
  Set(easy, CURLOPT_BUFFERSIZE, 512L << 10);
  Set(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  Set(easy, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(settings.connect_timeout.count()));
  Set(easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
  Set(easy, CURLOPT_LOW_SPEED_TIME, static_cast<long>(settings.stall_timeout.count()));
  Set(easy, CURLOPT_ERRORBUFFER, transfer.error);
  Set(easy, CURLOPT_PRIVATE, &transfer);
  Set(easy, CURLOPT_HEADERFUNCTION, &OnHeader);
  Set(easy, CURLOPT_HEADERDATA, &transfer);
  Set(easy, CURLOPT_WRITEFUNCTION, &OnBody);
  Set(easy, CURLOPT_WRITEDATA, &transfer);
  if (!settings.ca_file.empty()) Set(easy, CURLOPT_CAINFO, settings.ca_file.c_str());
  if (request.head) Set(easy, CURLOPT_NOBODY, 1L);
  if (request.range)
    Set(easy, CURLOPT_RANGE, fmt::format("{}-{}", request.range->begin, request.range->end - 1).c_str());
  add_header("Accept-Encoding: identity");  // sizes and ranges are those of the file itself
  if (!request.token.empty()) add_header("Authorization: Bearer " + request.token);
  Set(easy, CURLOPT_HTTPHEADER, transfer.headers);
}

HttpClient::HttpClient(const Settings& settings) : impl_(std::make_unique<Impl>()) {
  InitializeCurl();
  impl_->settings = settings;
  impl_->multi = curl_multi_init();
  if (impl_->multi == nullptr) Fail(ErrorKind::kNetwork, "libcurl: no memory");
}

HttpClient::~HttpClient() {
  CancelAll();
  curl_multi_cleanup(impl_->multi);
}

int HttpClient::Start(HttpRequest request) {
  auto transfer = std::make_unique<Transfer>();
  transfer->request = std::move(request);
  transfer->easy = curl_easy_init();
  if (transfer->easy == nullptr) Fail(ErrorKind::kNetwork, "libcurl: no memory");
  impl_->SetOptions(*transfer);
  if (const CURLMcode code = curl_multi_add_handle(impl_->multi, transfer->easy); code != CURLM_OK)
    Fail(ErrorKind::kNetwork, "libcurl: {}", curl_multi_strerror(code));
  impl_->transfers.emplace(++impl_->last_id, std::move(transfer));
  return impl_->last_id;
}

std::vector<std::pair<int, HttpResult>> HttpClient::Poll(int milliseconds) {
  int running = 0;
  curl_multi_perform(impl_->multi, &running);
  if (running > 0 && static_cast<size_t>(running) == impl_->transfers.size()) {
    curl_multi_poll(impl_->multi, nullptr, 0, milliseconds, nullptr);
    curl_multi_perform(impl_->multi, &running);
  }
  std::vector<std::pair<int, HttpResult>> ended;
  std::exception_ptr thrown;
  int left = 0;
  while (const CURLMsg* message = curl_multi_info_read(impl_->multi, &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    const CURLcode code = message->data.result;
    const auto at = std::find_if(impl_->transfers.begin(), impl_->transfers.end(), [&](const auto& entry) {
      return entry.second->easy == message->easy_handle;
    });
    OX_CHECK(at != impl_->transfers.end());
    Transfer& transfer = *at->second;
    HttpResult& result = transfer.result;
    long status = 0;
    curl_easy_getinfo(transfer.easy, CURLINFO_RESPONSE_CODE, &status);
    result.head.status = static_cast<int>(status);
    if (transfer.thrown) thrown = transfer.thrown;
    if (code != CURLE_OK && !result.stopped) {
      result.kind = KindOf(code);
      result.trouble = transfer.error[0] != '\0' ? transfer.error : curl_easy_strerror(code);
    }
    curl_multi_remove_handle(impl_->multi, transfer.easy);
    ended.emplace_back(at->first, std::move(result));
    impl_->transfers.erase(at);
  }
  if (thrown) std::rethrow_exception(thrown);
  return ended;
}

void HttpClient::CancelAll() {
  for (const auto& [id, transfer] : impl_->transfers) curl_multi_remove_handle(impl_->multi, transfer->easy);
  impl_->transfers.clear();
}

size_t HttpClient::active() const { return impl_->transfers.size(); }

std::string RedirectTarget(const std::string& url, const std::string& location) {
  std::string target;
  if (location.empty()) return target;
  CURLU* const parsed = curl_url();
  char* text = nullptr;
  // Setting a second URL resolves it against the first.
  if (curl_url_set(parsed, CURLUPART_URL, url.c_str(), 0) == CURLUE_OK &&
      curl_url_set(parsed, CURLUPART_URL, location.c_str(), 0) == CURLUE_OK &&
      curl_url_get(parsed, CURLUPART_URL, &text, 0) == CURLUE_OK) {
    target = text;
  }
  curl_free(text);
  curl_url_cleanup(parsed);
  const std::string origin = OriginOf(target);
  if (origin.empty() || (OriginOf(url).starts_with("https://") && origin.starts_with("http://"))) return "";
  return target;
}

}  // namespace oxidized::hub
