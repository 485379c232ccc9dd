// The parts of hub/ that need no network: names, lists, choices, ranges, partial files, settings, the cache's
// layout. What happens on the wire is tests/e2e/hub_test.py.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>

#include "base/error.h"
#include "base/sha256.h"
#include "hub/cache.h"
#include "hub/http.h"
#include "hub/listing.h"
#include "hub/meter.h"
#include "hub/partial_file.h"
#include "hub/patience.h"
#include "hub/prefix_hasher.h"
#include "hub/pull.h"
#include "hub/range_set.h"
#include "hub/repo_spec.h"
#include "hub/selection.h"
#include "hub/settings.h"
#include "hub/text.h"

namespace oxidized::hub {
namespace {
namespace fs = std::filesystem;

class Folder {
 public:
  Folder() {
    std::string name = testing::TempDir() + "hub_test.XXXXXX";
    path_ = ::mkdtemp(name.data());
  }
  ~Folder() { fs::remove_all(path_); }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

std::string ReadAll(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void WriteAll(const fs::path& path, const std::string& text) {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << text;
}

std::span<const std::byte> BytesOf(const std::string& text) { return std::as_bytes(std::span(text)); }

TEST(RepoSpec, Parts) {
  RepoSpec spec = ParseRepoSpec("openai/gpt-oss-20b");
  EXPECT_EQ(spec.id, "openai/gpt-oss-20b");
  EXPECT_EQ(spec.revision, "main");
  EXPECT_EQ(spec.quant, "");
  spec = ParseRepoSpec("hf://ggml-org/gpt-oss_20b.x@refs/pr/1:Q4_K_M");
  EXPECT_EQ(spec.id, "ggml-org/gpt-oss_20b.x");
  EXPECT_EQ(spec.revision, "refs/pr/1");
  EXPECT_EQ(spec.quant, "Q4_K_M");
  for (const char* address : {"https://huggingface.co/o/n", "https://huggingface.co/o/n/tree/main"})
    EXPECT_EQ(ParseRepoSpec(address).id, "o/n");
  EXPECT_TRUE(IsHubPath("hf:a/b"));
  EXPECT_FALSE(IsHubPath("./hf:a/b"));
}

TEST(Text, WhatGoesIntoAMessageIsOneHarmlessLine) {
  EXPECT_EQ(Quoted("a\nb\x1b[2J"), R"('a\x0ab\x1b[2J')");
  EXPECT_LT(Quoted(std::string(1000, 'x')).size(), 170u);
  EXPECT_EQ(Bytes(999), "999 B");
  EXPECT_EQ(Bytes(13'780'000'000), "13.8 GB");
  EXPECT_EQ(Bytes(999'999), "1.0 MB");
  EXPECT_EQ(PercentEncoded("a/b c#%?.x", true), "a/b%20c%23%25%3F.x");
  EXPECT_EQ(PercentEncoded("refs/pr/1", false), "refs%2Fpr%2F1");
}

TEST(Listing, LfsFilesByTheirSha256OthersByGitsSha1) {
  const std::string sha256(64, 'a'), sha1(40, 'b');
  const RepoListing listing = ParseListing(
      R"({"sha":")" + sha1 + R"(","siblings":[{"rfilename":"a/model.safetensors","size":5,"blobId":")" +
          sha1 + R"(","lfs":{"sha256":")" + sha256 +
          R"(","size":7,"pointerSize":130}},{"rfilename":"c","size":0,"blobId":")" + sha1 +
          R"(","lfs":null}]})",
      "list");
  EXPECT_EQ(listing.commit, sha1);
  ASSERT_EQ(listing.files.size(), 2u);
  EXPECT_EQ(listing.files[0].hash, sha256);
  EXPECT_EQ(listing.files[0].size_bytes, 7);
  EXPECT_EQ(listing.files[1].hash, sha1);
  EXPECT_FALSE(listing.files[1].hash_is_sha256());
}

TEST(Listing, AFileThatIsAFolderToo) {
  const std::string sha(40, 'b');
  const auto entry = [&](const std::string& name) {
    return R"({"rfilename":")" + name + R"(","size":1,"blobId":")" + sha + R"("})";
  };
  const std::string text = R"({"sha":")" + sha + R"(","siblings":[)" + entry("a") + "," + entry("a/b") + "]}";
  EXPECT_THROW(ParseListing(text, "list"), Error);
}

TEST(Listing, FilesOfAnIndex) {
  EXPECT_EQ(FilesOfIndex(R"({"weight_map":{"x":"b","y":"a","z":"b"}})"),
            (std::vector<std::string>{"a", "b"}));
  for (const char* bad : {"", "[]", "{}", R"({"weight_map":{"x":"../b"}})", R"({"weight_map":{"x":1}})"})
    EXPECT_TRUE(FilesOfIndex(bad).empty()) << bad;
}

RepoListing ListOf(const std::vector<std::string>& paths) {
  RepoListing listing;
  for (const std::string& path : paths) listing.files.push_back({path, 1, std::string(64, 'a')});
  return listing;
}

std::vector<std::string> Paths(const Selection& selection) {
  std::vector<std::string> paths;
  for (const RepoFile& file : selection.files) paths.push_back(file.path);
  return paths;
}

TEST(Selection, ThePublishedLayoutWithoutItsCopies) {
  const Selection selection =
      SelectFiles(ListOf({".gitattributes", "model-00000-of-00001.safetensors", "README.md",
                          "original/model.safetensors", "metal/model.bin", "config.json", kIndexFile,
                          "chat_template.jinja", "tokenizer.json", "LICENSE"}),
                  ParseRepoSpec("o/n"));
  EXPECT_EQ(Paths(selection),
            (std::vector<std::string>{"LICENSE", "chat_template.jinja", "config.json", kIndexFile,
                                      "tokenizer.json", "model-00000-of-00001.safetensors"}));
  EXPECT_EQ(selection.model, "");
  const auto missing = [&](const std::vector<std::string>& index) {
    return MissingWeights(selection, &index);
  };
  EXPECT_EQ(missing({"model-00000-of-00001.safetensors"}), "");
  EXPECT_EQ(missing({"model-00000-of-00001.safetensors", "more"}), "more");
  EXPECT_NE(missing({}), "") << "an index that names nothing";
  EXPECT_EQ(MissingWeights(selection, nullptr), "") << "not at hand";
}

TEST(Selection, PartsThatAreNumberedAreCounted) {
  const auto missing = [](const std::vector<std::string>& paths) {
    return MissingWeights(SelectFiles(ListOf(paths), ParseRepoSpec("o/n")), nullptr);
  };
  EXPECT_EQ(missing({"model.safetensors"}), "config.json");
  EXPECT_EQ(missing({"config.json", "model.safetensors"}), "");
  EXPECT_EQ(missing({"config.json", "model-00001-of-00002.safetensors"}), "part 2 of 2 of model.safetensors");
  EXPECT_EQ(missing({"config.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"}),
            "");
  EXPECT_EQ(missing({"config.json", "model-00000-of-00002.safetensors", "model-00002-of-00002.safetensors"}),
            "part 1 of 2 of model.safetensors");
  EXPECT_EQ(missing({"x-00002-of-00002.gguf"}), "part 1 of 2 of x.gguf");
}

TEST(Selection, OriginalWhereNothingElseOpens) {
  const RepoListing listing = ListOf(
      {"README.md", "LICENSE", "original/config.json", "original/dtypes.json", "original/model.safetensors"});
  const Selection selection = SelectFiles(listing, ParseRepoSpec("o/n"));
  EXPECT_EQ(selection.model, "original");
  EXPECT_EQ(selection.files.size(), 4u);
  EXPECT_EQ(MissingWeights(selection, nullptr), "");
  EXPECT_THROW(SelectFiles(ListOf({"original/model.safetensors"}), ParseRepoSpec("o/n")), Error);
}

TEST(Selection, OneOfSeveralGguf) {
  const RepoListing listing =
      ListOf({"a-Q4_K.gguf", "a-Q4_K_M.gguf", "UD/a-UD-Q4_K_XL.gguf", "mmproj-F16.gguf",
              "F16/a-F16-00001-of-00002.gguf", "F16/a-F16-00002-of-00002.gguf"});
  const auto chosen = [&](const char* quant) {
    return SelectFiles(listing, ParseRepoSpec(quant[0] == 0 ? "o/n" : std::string("o/n:") + quant)).model;
  };
  EXPECT_EQ(chosen("Q4_K"), "a-Q4_K.gguf");
  EXPECT_EQ(chosen("q4_k_m"), "a-Q4_K_M.gguf");
  EXPECT_EQ(chosen("Q4_K_XL"), "UD/a-UD-Q4_K_XL.gguf");
  EXPECT_EQ(chosen("F16"), "F16/a-F16-00001-of-00002.gguf");
  EXPECT_THROW(chosen("K_M"), Error);
  EXPECT_THROW(chosen(""), AmbiguousModel);
  Selection parts = SelectFiles(listing, ParseRepoSpec("o/n:F16"));
  EXPECT_EQ(MissingWeights(parts, nullptr), "");
  parts.files.pop_back();
  EXPECT_EQ(MissingWeights(parts, nullptr), "part 2 of 2 of F16/a-F16.gguf");
}

// Against a plain array of flags.
TEST(RangeSet, AgreesWithFlags) {
  std::minstd_rand random(1);
  constexpr int64_t kSize = 60;
  for (int round = 0; round < 300; ++round) {
    RangeSet set;
    std::array<bool, kSize> flags{};
    for (int step = 0; step < 12; ++step) {
      const int64_t begin = random() % kSize, end = begin + random() % (kSize - begin + 1);
      set.Add({begin, end});
      std::fill(flags.begin() + begin, flags.begin() + end, true);
      const auto gap_begin = std::find(flags.begin(), flags.end(), false);
      const auto gap_end = std::find(gap_begin, flags.end(), true);
      EXPECT_EQ(set.total_bytes(), std::count(flags.begin(), flags.end(), true));
      EXPECT_EQ(set.PrefixEnd(), gap_begin - flags.begin());
      const auto gap = set.FirstGap(kSize);
      ASSERT_EQ(gap.has_value(), gap_begin != flags.end());
      if (gap) {
        EXPECT_EQ(gap->begin, gap_begin - flags.begin());
        EXPECT_EQ(gap->end, gap_end - flags.begin());
      }
      const auto again = RangeSet::Parse(set.Text(), kSize);
      ASSERT_TRUE(again);
      EXPECT_EQ(again->Text(), set.Text());
    }
  }
}

TEST(PartialFile, SurvivesWithItsRangesAndIsPublishedWhole) {
  const Folder folder;
  const fs::path blob = folder.path() / "hash";
  {
    PartialFile partial(blob, 10);
    EXPECT_FALSE(partial.resumed());
    partial.Write(4, BytesOf("efg"));
    partial.SaveRanges();
    partial.Write(0, BytesOf("ab"));  // never saved: a kill -9 comes now
  }
  EXPECT_GT(PartialFile::AllocatedBytes(blob), 0);
  PartialFile partial(blob, 10);
  EXPECT_TRUE(partial.resumed());
  EXPECT_EQ(partial.done().Text(), "4 7\n");
  partial.Write(0, BytesOf("abcd"));
  partial.Write(7, BytesOf("hij"));
  ASSERT_TRUE(partial.complete());
  EXPECT_FALSE(fs::exists(blob));
  partial.Publish(blob);
  EXPECT_EQ(ReadAll(blob), "abcdefghij");
  EXPECT_EQ(std::distance(fs::directory_iterator(folder.path()), {}), 1);
}

TEST(PartialFile, OfAnotherSizeIsForgotten) {
  const Folder folder;
  {
    PartialFile(folder.path() / "hash", 10).Write(0, BytesOf("abcdefghij"));
  }
  EXPECT_FALSE(PartialFile(folder.path() / "hash", 11).resumed());
}

TEST(PrefixHasher, FollowsTheWriterAndAgreesWithGit) {
  const Folder folder;
  WriteAll(folder.path() / "f", "hello\n");
  const int fd = ::open((folder.path() / "f").c_str(), O_RDONLY);
  {  // they read in threads of their own, so they go before the file is closed
    PrefixHasher hasher(fd, {"f", 6, std::string(40, '0')});
    hasher.Allow(2);
    hasher.Allow(6);
    EXPECT_EQ(hasher.Finish([](int64_t) {}), "ce013625030ba8dba906f756967f9e9ca394464a");
    PrefixHasher abandoned(fd, {"f", 6, std::string(64, '0')});
    abandoned.Allow(3);
    PrefixHasher too_short(fd, {"f", 7, std::string(64, '0')});
    too_short.Allow(7);
    EXPECT_THROW(too_short.Finish([](int64_t) {}), Error);
  }
  ::close(fd);
}

TEST(Settings, OriginsAndWhereATokenMayGo) {
  EXPECT_EQ(OriginOf("HTTPS://Hub.Example/x"), "https://hub.example:443");
  EXPECT_EQ(OriginOf("http://u:p@h:8080?x"), "http://h:8080");
  EXPECT_EQ(OriginOf("http://[::1]/"), "http://[::1]:80");
  EXPECT_EQ(OriginOf("file:///etc/passwd"), "");
  for (const char* safe :
       {"https://huggingface.co", "http://localhost:1", "http://127.0.0.1:9/x", "http://[::1]:8/x"})
    EXPECT_TRUE(TokenIsSafeWith(safe)) << safe;
  for (const char* unsafe : {"http://huggingface.co", "http://127.evil.example/", "http://localhost.evil/",
                             "ftp://x", "http://127.0.0.1@evil/", "http://evil\\@127.0.0.1/"})
    EXPECT_FALSE(TokenIsSafeWith(unsafe)) << unsafe;
}

TEST(Http, RedirectsAreResolvedAndNeverLeaveTls) {
  EXPECT_EQ(RedirectTarget("https://a/b/c", "/d?e"), "https://a/d?e");
  EXPECT_EQ(RedirectTarget("https://a/b/c", "https://cdn/x"), "https://cdn/x");
  EXPECT_EQ(RedirectTarget("https://a/b", "http://a/b"), "");
  EXPECT_EQ(RedirectTarget("http://a/b", "file:///etc/passwd"), "");
  EXPECT_EQ(RedirectTarget("http://a/b", "http://b/"), "http://b/");
}

TEST(Patience, WaitsLongerEachTimeAndEnds) {
  Settings settings;
  settings.tries = 4;
  Patience patience(settings);
  const Verdict verdict{.action = Verdict::Action::kRetry, .what = "cut", .wait = {}, .unreachable = false};
  for (const int expected : {1000, 2000, 4000}) {
    const auto wait = patience.Failed("hub", verdict).count();
    EXPECT_GE(wait, expected * 3 / 4);
    EXPECT_LE(wait, expected * 5 / 4);
  }
  EXPECT_THROW(patience.Failed("hub", verdict), Error);
  patience.Progressed();
  EXPECT_LE(patience.Failed("hub", verdict).count(), 1250);

  HttpResult busy;
  busy.head.status = 429;
  busy.head.headers["retry-after"] = "7";
  EXPECT_EQ(Judge(busy).wait, std::chrono::seconds(7));
  busy.head.headers["retry-after"] = "Wed, 21 Oct 2015 07:28:00 GMT";
  EXPECT_EQ(Judge(busy).wait, std::chrono::seconds(0));
  busy.head.headers = {{"ratelimit", R"("api";r=0;t=55)"}};
  EXPECT_EQ(Judge(busy).wait, std::chrono::seconds(55));
}

TEST(Meter, RateOverTheWindow) {
  using std::chrono::seconds;
  const Meter::Clock::time_point start{};
  EXPECT_EQ(Meter::Rate({{start, 5}}), 0.0);
  EXPECT_EQ(Meter::Rate({{start, 5}, {start + std::chrono::milliseconds(900), 900}}), 0.0) << "too early";
  EXPECT_EQ(Meter::Rate({{start, 100}, {start + seconds(1), 500}, {start + seconds(4), 900}}), 200.0);
}

class CacheTest : public testing::Test {
 protected:
  CacheTest() { settings_.cache_dir = folder_.path(); }
  const std::string commit_ = std::string(40, 'c');
  const RepoFile file_{"sub/model.gguf", 3, std::string(64, 'a')};
  Folder folder_;
  Settings settings_;
};

TEST_F(CacheTest, LinksAndRefs) {
  const RepoCache cache(settings_, "org/name");
  EXPECT_EQ(cache.root(), folder_.path() / "models--org--name");
  cache.Create();
  WriteAll(cache.BlobPath(file_), "abc");
  EXPECT_FALSE(cache.HasSnapshotFile(commit_, file_));
  cache.Link(commit_, file_, true);
  EXPECT_TRUE(cache.HasSnapshotFile(commit_, file_));
  EXPECT_EQ(fs::read_symlink(cache.SnapshotPath(commit_) / file_.path), "../../../blobs/" + file_.hash);
  EXPECT_EQ(cache.CommitOf("refs/pr/1"), std::nullopt);
  cache.WriteRef("refs/pr/1", commit_);
  EXPECT_EQ(cache.CommitOf("refs/pr/1"), commit_);
  EXPECT_EQ(ReadAll(cache.root() / "refs/refs/pr/1"), commit_);
  WriteAll(cache.root() / "refs/evil", "../../../../etc");
  EXPECT_EQ(cache.CommitOf("evil"), std::nullopt);
}

TEST_F(CacheTest, WithoutLinksAFreshBlobIsMovedAndAnOldOneCopied) {
  settings_.symlinks = false;
  const RepoCache cache(settings_, "org/name");
  cache.Create();
  WriteAll(cache.BlobPath(file_), "abc");
  cache.Link(commit_, file_, false);
  EXPECT_TRUE(cache.HasBlob(file_));
  cache.Link(commit_, file_, true);
  EXPECT_FALSE(cache.HasBlob(file_));
  EXPECT_EQ(ReadAll(cache.SnapshotPath(commit_) / file_.path), "abc");
}

TEST_F(CacheTest, AModelIsFoundWhenAllOfItIsThere) {
  const RepoCache cache(settings_, "org/name");
  const RepoSpec spec = ParseRepoSpec("org/name");
  EXPECT_EQ(FindInCache(spec, settings_), std::nullopt);
  const fs::path snapshot = cache.SnapshotPath(commit_);
  WriteAll(snapshot / "config.json", "{}");
  WriteAll(snapshot / kIndexFile, R"({"weight_map":{"x":"1.safetensors","y":"2.safetensors"}})");
  WriteAll(snapshot / "1.safetensors", "");
  WriteAll(cache.root() / "refs/main", commit_);
  EXPECT_EQ(FindInCache(spec, settings_), std::nullopt);
  fs::create_symlink("../../blobs/missing", snapshot / "2.safetensors");
  EXPECT_EQ(FindInCache(spec, settings_), std::nullopt) << "a link that leads nowhere";
  WriteAll(cache.root() / "blobs/missing", "x");
  EXPECT_EQ(FindInCache(spec, settings_), snapshot);
  EXPECT_EQ(FindInCache(ParseRepoSpec("org/name@" + commit_), settings_), snapshot);
  EXPECT_EQ(FindInCache(ParseRepoSpec("org/name@other"), settings_), std::nullopt);
}

}  // namespace
}  // namespace oxidized::hub
