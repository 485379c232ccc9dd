#include "hub/download.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/printable.h"
#include "hub/partial_file.h"
#include "hub/patience.h"
#include "hub/prefix_hasher.h"
#include "hub/text.h"

namespace oxidized::hub {
namespace {

using Clock = std::chrono::steady_clock;

// A request costs a round trip or two, and at the end of the file a connection may find nothing left to do:
// large pieces while much is missing, smaller ones towards the end.
constexpr int64_t kSmallestPiece = 4 << 20, kLargestPiece = 64 << 20;
constexpr auto kSavePause = std::chrono::seconds(1);
constexpr int kMaxRedirects = 10;

// The range of "bytes 0-99/100" or "bytes 0-99/*"; nullopt when it is none within a file of `size`.
std::optional<ByteRange> ParseContentRange(const std::string& text, int64_t size) {
  constexpr std::string_view kUnit = "bytes ";
  if (!text.starts_with(kUnit)) return std::nullopt;
  const char* const end = text.data() + text.size();
  ByteRange range;
  auto read = std::from_chars(text.data() + kUnit.size(), end, range.begin);
  if (read.ec != std::errc() || read.ptr == end || *read.ptr != '-') return std::nullopt;
  read = std::from_chars(read.ptr + 1, end, range.end);
  if (read.ec != std::errc() || read.ptr == end || *read.ptr != '/' || range.end >= size) return std::nullopt;
  ++range.end;
  const std::string_view total(read.ptr + 1, static_cast<size_t>(end - read.ptr - 1));
  if (total != "*" && total != std::to_string(size)) return std::nullopt;
  return range;
}

class FileDownload {
 public:
  FileDownload(HubClient& client, PartialFile& partial, const std::string& commit, const RepoFile& file,
               Meter& meter)
      : client_(client),
        http_(client.http()),
        partial_(partial),
        commit_(commit),
        file_(file),
        meter_(meter),
        patience_(client.settings()),
        connections_(static_cast<size_t>(client.settings().connections)) {
    hasher_.emplace(partial_.fd(), file_);
  }
  ~FileDownload() { http_.CancelAll(); }  // their callbacks point here
  FileDownload(const FileDownload&) = delete;
  FileDownload& operator=(const FileDownload&) = delete;

  // Until every byte is there; returns their hash.
  std::string Run() {
    try {
      while (!partial_.complete()) {
        ThrowIfInterrupted();
        Fill();
        for (const auto& [id, result] : http_.Poll(100)) Ended(id, result);
        if (start_over_) StartOver();
        hasher_->Allow(partial_.done().PrefixEnd());
        SaveNowAndThen();
        meter_.Tick();
      }
    } catch (...) {
      partial_.SaveRanges();
      throw;
    }
    partial_.SaveRanges();
    hasher_->Allow(file_.size_bytes);
    return hasher_->Finish([this](int64_t) {
      ThrowIfInterrupted();
      meter_.Tick(/*checking=*/true);
    });
  }

 private:
  struct Piece {
    ByteRange range;
    int64_t at = 0;  // the next byte that comes
    int round = 0;   // round_ when it began
    std::string url;
    bool checked = false;  // the head of the answer was found right
    std::string refusal;   // what is wrong with the answer, for good
  };

  // Begins as many transfers as may run.
  void Fill() {
    if (Clock::now() < not_before_) {
      if (http_.active() == 0) SleepFor(std::chrono::milliseconds(20));
      return;
    }
    const size_t limit = one_stream_ ? 1 : connections_;
    RangeSet taken = partial_.done();
    for (const auto& [id, piece] : pieces_) taken.Add(piece.range);
    while (pieces_.size() < limit) {
      auto gap = taken.FirstGap(file_.size_bytes);
      if (!gap) return;
      if (url_.empty()) url_ = client_.Resolve(commit_, file_);
      const int64_t missing = file_.size_bytes - taken.total_bytes();
      const int64_t length =
          std::clamp(missing / static_cast<int64_t>(2 * limit), kSmallestPiece, kLargestPiece);
      if (!one_stream_) gap->end = std::min(gap->end, gap->begin + length);
      taken.Add(*gap);
      Begin(*gap);
    }
  }

  void Begin(ByteRange range) {
    HttpRequest request;
    request.url = url_;
    request.token = client_.TokenFor(url_);
    if (range.size() < file_.size_bytes) request.range = range;
    const auto id = std::make_shared<int>();  // known once it is started; no byte comes before that
    request.body = [this, id](const HttpHead& head, std::span<const std::byte> bytes) {
      return Arrived(pieces_.at(*id), head, bytes);
    };
    *id = http_.Start(std::move(request));
    pieces_[*id] = {
        .range = range, .at = range.begin, .round = round_, .url = url_, .checked = false, .refusal = {}};
  }

  // False ends the transfer.
  bool Arrived(Piece& piece, const HttpHead& head, std::span<const std::byte> bytes) {
    if (head.status != 200 && head.status != 206) return true;  // an error page; Ended looks at the status
    if (!piece.checked && !Check(piece, head)) return false;
    piece.checked = true;
    const auto count = static_cast<int64_t>(bytes.size());
    if (count > piece.range.end - piece.at) {
      piece.refusal = fmt::format("sent more than the {} asked for", Counted(piece.range.size(), "byte"));
      return false;
    }
    const int64_t before = partial_.done().total_bytes();
    partial_.Write(piece.at, bytes);
    piece.at += count;
    meter_.Arrived(partial_.done().total_bytes() - before);
    return true;
  }

  // Whether the answer is what was asked for, before a byte of it is written.
  bool Check(Piece& piece, const HttpHead& head) {
    const bool whole = piece.range.size() == file_.size_bytes;
    if (head.status == 206) {
      const std::string text = head.Header("content-range");
      const auto range = ParseContentRange(text, file_.size_bytes);
      if (!range || range->begin != piece.range.begin || range->end > piece.range.end) {
        piece.refusal = fmt::format("was asked for bytes {}-{} of {} and sent {}", piece.range.begin,
                                    piece.range.end - 1, file_.size_bytes, Quoted(text));
      }
    } else if (!whole) {  // 200: the server does not know ranges, or leaves them out this time
      start_over_ = true;
      return false;
    } else if (const std::string length = head.Header("content-length");
               !length.empty() && length != std::to_string(file_.size_bytes)) {
      piece.refusal = fmt::format("sends {}, the file list says {}",
                                  CountedText(NeutralizedLine(length), "byte"), file_.size_bytes);
    }
    return piece.refusal.empty();
  }

  void Ended(int id, const HttpResult& result) {
    const Piece piece = std::move(pieces_.at(id));
    pieces_.erase(id);
    const int64_t brought = piece.at - piece.range.begin;
    // One stream that is cut begins again at 0: nothing was gained.
    if ((brought > 0 && !one_stream_) || piece.at == piece.range.end) patience_.Progressed();
    if (!piece.refusal.empty()) Fail(ErrorKind::kNetwork, "{}: {}", Who(piece), piece.refusal);
    if (start_over_) return;  // forgets everything anyway
    Verdict verdict = Judge(result);
    switch (verdict.action) {
      case Verdict::Action::kGood:
        redirects_ = 0;
        if (piece.at == piece.range.end) return;
        if (brought > 0 && !one_stream_) return;  // a server may answer with less than was asked for
        verdict.what = fmt::format("ended after {} of {} bytes", brought, piece.range.size());
        break;
      case Verdict::Action::kMoved:
        if (piece.url == url_) Move(piece, result.head);
        return;
      case Verdict::Action::kRetry:
        break;
      case Verdict::Action::kExpired:
        if (OriginOf(piece.url) == OriginOf(client_.settings().endpoint))
          client_.Refuse(result.head, Quoted(file_.path), piece.url);
        if (piece.url == url_) url_.clear();  // asks the hub for a new address
        break;
      case Verdict::Action::kRefused:
        Fail(ErrorKind::kNetwork, "{}: {}", Who(piece), verdict.what);
    }
    Failed(piece, verdict);
  }

  void Move(const Piece& piece, const HttpHead& head) {
    const std::string target = RedirectTarget(url_, head.Header("location"));
    if (target.empty() || ++redirects_ > kMaxRedirects) {
      Fail(ErrorKind::kNetwork, "{}: {}", Who(piece),
           target.empty() ? "redirects to " + Quoted(head.Header("location")) : "redirects without end");
    }
    url_ = target;
  }

  // Eight transfers that fail together are one failure: only those begun since the last one count.
  void Failed(const Piece& piece, const Verdict& verdict) {
    if (one_stream_) start_over_ = true;  // nothing of it can be kept
    if (piece.round < round_) return;
    const auto wait = patience_.Failed(Who(piece), verdict);
    ++round_;
    not_before_ = Clock::now() + wait;
    // Whoever is overloaded may be so by us.
    if (verdict.what.starts_with("HTTP")) connections_ = std::max<size_t>(1, connections_ / 2);
    meter_.Remark(fmt::format("{}: {}; trying again in {:.0f} s", Who(piece), verdict.what,
                              std::chrono::duration<double>(wait).count()));
  }

  // Without ranges the file comes in one stream from its first byte.
  void StartOver() {
    http_.CancelAll();
    pieces_.clear();
    meter_.AtHand(-partial_.done().total_bytes());
    partial_.Restart();
    hasher_.emplace(partial_.fd(), file_);
    if (!one_stream_)
      meter_.Remark(fmt::format("{}: the server sends no ranges: one stream", Quoted(file_.path)));
    one_stream_ = true;
    start_over_ = false;
  }

  void SaveNowAndThen() {
    if (Clock::now() - saved_ < kSavePause) return;
    partial_.SaveRanges();
    saved_ = Clock::now();
  }

  std::string Who(const Piece& piece) const {
    const std::string origin = OriginOf(piece.url);
    return fmt::format("{}: {}",
                       NeutralizedLine(origin.substr(std::min(origin.find("://") + 3, origin.size()))),
                       Quoted(file_.path));
  }

  HubClient& client_;
  HttpClient& http_;
  PartialFile& partial_;
  const std::string& commit_;
  const RepoFile& file_;
  Meter& meter_;
  Patience patience_;
  size_t connections_;
  std::optional<PrefixHasher> hasher_;
  std::string url_;  // where the bytes are served; empty: the hub is to be asked
  std::map<int, Piece> pieces_;
  int round_ = 0;
  int redirects_ = 0;
  bool one_stream_ = false;
  bool start_over_ = false;
  Clock::time_point not_before_, saved_;
};

}  // namespace

void DownloadBlob(HubClient& client, const RepoCache& cache, const std::string& commit, const RepoFile& file,
                  Meter& meter) {
  meter.SetFile(file.path);
  while (true) {
    PartialFile partial(cache.BlobPath(file), file.size_bytes);
    const int64_t kept = partial.done().total_bytes();
    meter.AtHand(kept);
    if (kept > 0) meter.Remark(fmt::format("{}: going on after {}", Quoted(file.path), Bytes(kept)));
    const std::string hash = FileDownload(client, partial, commit, file, meter).Run();
    if (hash == file.hash) {
      partial.Publish(cache.BlobPath(file));
      return;
    }
    partial.Remove();
    if (!partial.resumed()) {
      Fail(ErrorKind::kNetwork, "{}: wrong bytes: their hash is {}, the hub's file list says {}; removed",
           Quoted(file.path), hash, file.hash);
    }
    // What was kept may have been damaged since: a crash of the machine, or another program's leftover.
    meter.AtHand(-file.size_bytes);
    meter.Remark(
        fmt::format("{}: what an earlier download left was damaged; fetching it anew", Quoted(file.path)));
  }
}

}  // namespace oxidized::hub
