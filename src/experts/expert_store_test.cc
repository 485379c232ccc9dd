#include "experts/expert_store.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <random>

#include "base/address_space_test_util.h"
#include "base/error.h"
#include "experts/memory_test_support.h"
#include "experts/queued_reader.h"
#include "moe/access_stream.h"
#include "moe/cache_simulator.h"
#include "rewrite/synth.h"
#include "rewrite/testing/checkpoint_test_util.h"

namespace oxidized {

namespace {
const char* NameOf(ReadMethod method) {
  return method == ReadMethod::kUring ? "uring" : method == ReadMethod::kThreads ? "threads" : "auto";
}
}  // namespace
// Found by GoogleTest, which would print a byte.
static void PrintTo(ReadMethod method, std::ostream* out) { *out << NameOf(method); }

namespace {

using test::FakeReader;
using testing::ExpectError;
using testing::TempFolder;

constexpr int32_t kLayers = 4, kExperts = 8;  // of the preset tiny

// A checkpoint in a folder of its own, made once for each format.
struct Model {
  TempFolder folder;
  Checkpoint checkpoint;
};
const Model& ModelIn(CheckpointFormat format) {
  static std::map<CheckpointFormat, Model> models;
  const auto [found, made] = models.try_emplace(format);
  if (made) {
    SynthOptions options;
    options.preset = "tiny";
    options.seed = 3;
    options.format = format;
    options.out = found->second.folder.path() / (format == CheckpointFormat::kGguf ? "model.gguf" : "model");
    Synthesize(options);
    found->second.checkpoint = OpenCheckpoint(options.out);
  }
  return found->second;
}
const Checkpoint& Hf() { return ModelIn(CheckpointFormat::kHuggingFace).checkpoint; }

ExpertFileMap MapOf(const Checkpoint& checkpoint) { return {checkpoint.weights, checkpoint.files}; }

std::unique_ptr<ExpertStore> StoreWith(const Checkpoint& checkpoint, int32_t slots,
                                       std::unique_ptr<BlockReader> reader,
                                       EvictionRule rule = EvictionRule::kLru, bool prefetch = true) {
  return std::make_unique<ExpertStore>(ExpertStoreOptions{slots, rule, prefetch}, checkpoint.weights,
                                       MapOf(checkpoint), std::move(reader));
}

std::unique_ptr<BlockReader> RealReader(const Checkpoint& checkpoint, ReadMethod method = ReadMethod::kAuto) {
  const ExpertFileMap map = MapOf(checkpoint);
  return MakeBlockReader(map.files(), map.file_sizes(), method);
}

bool SameRows(const ExpertView& a, const ExpertView& b) {
  std::vector<float> x(static_cast<size_t>(a.cols)), y(x.size());
  for (int64_t r = 0; r < a.rows; ++r) {
    a.DecodeRow(r, x.data());
    b.DecodeRow(r, y.data());
    if (std::memcmp(x.data(), y.data(), x.size() * sizeof(float)) != 0 || a.bias_at(r) != b.bias_at(r))
      return false;
  }
  return a.rows == b.rows && a.cols == b.cols;
}

// Takes the whole request; every expert must come once, with the bytes of the checkpoint. Returns the number
// of portions.
int Serve(ExpertStore& store, const Checkpoint& checkpoint, int32_t layer,
          const std::vector<int32_t>& experts) {
  store.Request(layer, experts);
  std::vector<int> came(experts.size(), 0);
  int portions = 0;
  for (std::span<const ReadyExpert> ready; !(ready = store.TakeReady()).empty(); ++portions) {
    for (const ReadyExpert& expert : ready) {
      ++came[static_cast<size_t>(expert.index)];
      const LayerWeights& w = checkpoint.weights.layers[static_cast<size_t>(layer)];
      const auto e = static_cast<size_t>(experts[static_cast<size_t>(expert.index)]);
      EXPECT_NE(expert.gate_up->values, w.gate_up[e].values) << "not from the mapping";
      EXPECT_TRUE(SameRows(*expert.gate_up, w.gate_up[e])) << "layer " << layer << " expert " << e;
      EXPECT_TRUE(SameRows(*expert.down, w.down[e])) << "layer " << layer << " expert " << e;
    }
  }
  EXPECT_EQ(came, std::vector<int>(experts.size(), 1));
  return portions;
}

std::vector<int32_t> AllExperts() { return {0, 1, 2, 3, 4, 5, 6, 7}; }

std::vector<int32_t> Sample(std::mt19937& random, size_t most) {
  std::vector<int32_t> experts = AllExperts();
  std::shuffle(experts.begin(), experts.end(), random);
  experts.resize(1 + random() % most);
  return experts;
}

TEST(ExpertFileMap, EveryFormatIsReadFromItsFiles) {
  for (const auto format : {CheckpointFormat::kHuggingFace, CheckpointFormat::kGguf}) {
    SCOPED_TRACE(Name(format));
    const Checkpoint& checkpoint = ModelIn(format).checkpoint;
    const ExpertFileMap map = MapOf(checkpoint);
    EXPECT_EQ(map.num_stored(), kLayers * kExperts);
    const auto store = StoreWith(checkpoint, 3, RealReader(checkpoint));
    for (int32_t layer = 0; layer < kLayers; ++layer) Serve(*store, checkpoint, layer, AllExperts());
    EXPECT_GE(store->counters().Total().bytes_read, map.stored_bytes());
    EXPECT_EQ(store->counters().Total().misses, kLayers * kExperts);
  }
}

class ExpertStoreBudgets : public ::testing::TestWithParam<int32_t> {};

TEST_P(ExpertStoreBudgets, AnySequenceIsServedWithTheRightBytes) {
  for (const EvictionRuleInfo& rule : EvictionRules()) {
    SCOPED_TRACE(rule.name);
    auto reader = std::make_unique<FakeReader>(Hf(), FakeReader::Plan{.seed = 5});
    const auto store = StoreWith(Hf(), GetParam(), std::move(reader), rule.rule);
    std::mt19937 random(11);
    int64_t uses = 0;
    for (int step = 0; step < 12; ++step) {
      for (int32_t layer = 0; layer < kLayers; ++layer) {
        const std::vector<int32_t> experts = Sample(random, step % 3 == 0 ? 8 : 2);
        if (random() % 2 == 0) store->Prefetch(layer, Sample(random, 4));
        Serve(*store, Hf(), layer, experts);
        uses += static_cast<int64_t>(experts.size());
      }
    }
    const ExpertCacheCounters counters = store->counters();
    const ExpertCacheLayer total = counters.Total();
    EXPECT_EQ(total.uses(), uses);
    EXPECT_LE(counters.resident_experts, GetParam());
    EXPECT_GE(total.prefetches, total.prefetch_hits);
    int64_t accounted = 0, resident = 0;
    for (const ExpertAccount& account : store->accounts()) {
      accounted += account.uses;
      resident += account.resident ? 1 : 0;
    }
    EXPECT_EQ(accounted, uses);
    EXPECT_EQ(resident, counters.resident_experts);
  }
}
INSTANTIATE_TEST_SUITE_P(Slots, ExpertStoreBudgets, ::testing::Values(1, 2, 3, 8, 20, 32, 100));

TEST(ExpertStore, WhatIsThereComesFirstAndTheRestAsItArrives) {
  auto owned = std::make_unique<FakeReader>(Hf(), FakeReader::Plan{std::chrono::milliseconds(10)});
  FakeReader* reader = owned.get();
  const auto store = StoreWith(Hf(), 8, std::move(owned));
  Serve(*store, Hf(), 0, {1, 2});
  reader->Hold(true);
  store->Request(0, std::vector<int32_t>{5, 2, 6, 1});
  const auto ready = store->TakeReady();  // would never return if it waited for the reads
  ASSERT_EQ(ready.size(), 2u);
  EXPECT_EQ(ready[0].index + ready[1].index, 1 + 3);
  reader->Hold(false);
  size_t later = 0;
  for (std::span<const ReadyExpert> more; !(more = store->TakeReady()).empty();) later += more.size();
  EXPECT_EQ(later, 2u);
  EXPECT_EQ(store->counters().Total().hits, 2);
  EXPECT_EQ(store->counters().Total().misses, 4);
  EXPECT_GT(store->counters().Total().stall_microseconds, 0.0);
}

TEST(ExpertStore, AResidentExpertIsNotReadAgainAndAllResidentReadsNothingTwice) {
  auto owned = std::make_unique<FakeReader>(Hf(), FakeReader::Plan{});
  FakeReader* reader = owned.get();
  const auto store = StoreWith(Hf(), kLayers * kExperts, std::move(owned));
  for (int32_t layer = 0; layer < kLayers; ++layer) Serve(*store, Hf(), layer, AllExperts());
  const int64_t served = reader->served();
  for (int32_t layer = 0; layer < kLayers; ++layer) EXPECT_EQ(Serve(*store, Hf(), layer, AllExperts()), 1);
  EXPECT_EQ(reader->served(), served);
  EXPECT_EQ(store->counters().Total().evictions, 0);
}

TEST(ExpertStore, PrefetchedExpertsAreHitsAndWrongGuessesAreDropped) {
  auto owned = std::make_unique<FakeReader>(Hf(), FakeReader::Plan{});
  FakeReader* reader = owned.get();
  const auto store = StoreWith(Hf(), 6, std::move(owned));
  store->Prefetch(1, std::vector<int32_t>{3, 4});
  while (store->counters().resident_experts < 2) std::this_thread::yield();
  Serve(*store, Hf(), 1, {4, 3});
  EXPECT_EQ(store->counters().layers[1].hits, 2);
  EXPECT_EQ(store->counters().layers[1].prefetch_hits, 2);
  EXPECT_EQ(store->counters().layers[1].stall_microseconds, 0.0);

  reader->Hold(true);
  store->Prefetch(2, std::vector<int32_t>{0, 1});
  store->Request(2, std::vector<int32_t>{1, 5});  // 0 was wrong, 1 is late, 5 was not guessed
  reader->Hold(false);
  size_t came = 0;
  for (std::span<const ReadyExpert> ready; !(ready = store->TakeReady()).empty();) came += ready.size();
  EXPECT_EQ(came, 2u);
  EXPECT_GT(reader->cancelled(), 0);
  EXPECT_EQ(store->counters().layers[2].prefetches, 2);
  EXPECT_EQ(store->counters().layers[2].prefetch_hits, 1);
  EXPECT_EQ(store->counters().layers[2].late, 1);
  EXPECT_EQ(store->counters().layers[2].misses, 1);
  EXPECT_EQ(store->accounts()[2 * kExperts + 1].misses, 0);
  EXPECT_EQ(store->accounts()[2 * kExperts + 5].misses, 1);
  EXPECT_FALSE(store->accounts()[2 * kExperts + 0].resident);
  // A dropped guess may be asked for later.
  Serve(*store, Hf(), 2, {0});
}

// The same needs and the same guesses, all of them right: what the simulator calls a hit is a hit or late.
TEST(ExpertStore, CountsAsTheSimulatorDoes) {
  const TraceHeader header{{kLayers, kExperts, 3, kExperts}, false, 1};
  SyntheticTokens tokens({SyntheticRouting::Kind::kUniform, 0.0}, header, 5);
  AccessStream stream(header);
  TraceRecord record;
  for (int step = 0; step < 30; ++step) {
    tokens.Next(record);
    stream.Add(record);
  }
  stream.Finish();
  const ExpertCacheLayer simulated =
      SimulateCache(stream, {.rule = EvictionRule::kLru, .slots = 12, .prefetch_recall = 1.0}).Total();
  const auto store = StoreWith(
      Hf(), 12, std::make_unique<FakeReader>(Hf(), FakeReader::Plan{std::chrono::microseconds(30)}));
  const auto experts = [&](size_t i) {
    const auto ids = stream.experts(stream.requests()[i]);
    return std::vector<int32_t>(ids.begin(), ids.end());
  };
  for (size_t i = 0; i < stream.requests().size(); ++i) {
    store->Request(stream.requests()[i].layer, experts(i));
    if (i + 1 < stream.requests().size()) store->Prefetch(stream.requests()[i + 1].layer, experts(i + 1));
    while (!store->TakeReady().empty()) {
    }
  }
  const ExpertCacheLayer real = store->counters().Total();
  EXPECT_GT(real.late, 0);
  EXPECT_EQ(real.hits + real.late, simulated.hits);
  EXPECT_EQ(real.misses, simulated.misses);
  EXPECT_EQ(real.prefetches, simulated.prefetches);
  EXPECT_EQ(real.prefetch_hits, simulated.prefetch_hits);
}

TEST(ExpertStore, GuessesNeverTakeTheLastRoom) {
  const auto store =
      StoreWith(Hf(), 2, std::make_unique<FakeReader>(Hf(), FakeReader::Plan{std::chrono::microseconds(50)}));
  for (int round = 0; round < 20; ++round) {
    for (int32_t layer = 0; layer < kLayers; ++layer) {
      store->Request(layer, std::vector<int32_t>{round % 8, (round + 3) % 8});
      store->Prefetch((layer + 1) % kLayers, AllExperts());
      size_t came = 0;
      for (std::span<const ReadyExpert> ready; !(ready = store->TakeReady()).empty();) came += ready.size();
      EXPECT_EQ(came, 2u);
    }
  }
}

TEST(ExpertStore, AReadErrorEndsTheRequestAndNothingElse) {
  for (int64_t failing = 0; failing < 12; ++failing) {
    SCOPED_TRACE(failing);
    const auto store =
        StoreWith(Hf(), 4, std::make_unique<FakeReader>(Hf(), FakeReader::Plan{.failing_reads = {failing}}));
    int errors = 0;
    for (int round = 0; round < 6; ++round) {
      try {
        Serve(*store, Hf(), round % kLayers, {0, 2, 4, 6, 7});
      } catch (const Error& error) {
        ++errors;
        EXPECT_EQ(error.kind(), ErrorKind::kRequestFailed);
        EXPECT_STREQ(error.what(), "a planted read error");
      }
    }
    // A portion of an abandoned request is checked half: came != 1 would have failed before the throw.
    EXPECT_EQ(errors, 1);
  }
}

TEST(ExpertStore, AFailedGuessIsReadAgainWhenItIsWanted) {
  for (int64_t failing = 0; failing < 4; ++failing) {
    auto owned = std::make_unique<FakeReader>(Hf(), FakeReader::Plan{.failing_reads = {failing}});
    FakeReader* reader = owned.get();
    const auto store = StoreWith(Hf(), 4, std::move(owned));
    store->Prefetch(0, std::vector<int32_t>{3});
    while (reader->served() <= failing && store->counters().resident_experts == 0) std::this_thread::yield();
    Serve(*store, Hf(), 0, {3});
    Serve(*store, Hf(), 0, {3, 5});
  }
}

TEST(ExpertStore, AnAbandonedRequestLeavesTheStoreUsable) {
  const auto store =
      StoreWith(Hf(), 3, std::make_unique<FakeReader>(Hf(), FakeReader::Plan{std::chrono::microseconds(20)}));
  for (int round = 0; round < 30; ++round) {
    store->Request(round % kLayers,
                   std::vector<int32_t>{round % 8, (round + 1) % 8, (round + 2) % 8, (round + 5) % 8});
    if (round % 3 != 0) static_cast<void>(store->TakeReady());
  }
  Serve(*store, Hf(), 2, AllExperts());
}

TEST(ExpertStore, CountersMayBeReadFromAnotherThread) {
  const auto store = StoreWith(Hf(), 5, RealReader(Hf()));
  std::atomic<bool> stop = false;
  std::thread watcher([&] {
    while (!stop) {
      EXPECT_LE(store->counters().resident_experts, 5);
      EXPECT_EQ(store->accounts().size(), static_cast<size_t>(kLayers * kExperts));
    }
  });
  for (int round = 0; round < 8; ++round) {
    for (int32_t layer = 0; layer < kLayers; ++layer) {
      store->Prefetch(layer, std::vector<int32_t>{round % 8, (round + 1) % 8});
      Serve(*store, Hf(), layer, {(round + 1) % 8, (round + 4) % 8});
    }
  }
  stop = true;
  watcher.join();
}

class RealReaders : public ::testing::TestWithParam<ReadMethod> {
 protected:
  // nullptr, and the test is skipped, where the kernel has no such way.
  std::unique_ptr<BlockReader> Reader(const Checkpoint& checkpoint) {
    try {
      return RealReader(checkpoint, GetParam());
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::kUnsupported) throw;
      return nullptr;
    }
  }
};

TEST_P(RealReaders, ServeEveryExpert) {
  auto reader = Reader(Hf());
  if (reader == nullptr) GTEST_SKIP() << "not on this machine";
  const auto store = StoreWith(Hf(), 5, std::move(reader));
  for (int round = 0; round < 3; ++round) {
    for (int32_t layer = 0; layer < kLayers; ++layer) {
      store->Prefetch(layer, std::vector<int32_t>{6, 1});
      Serve(*store, Hf(), layer, AllExperts());
    }
  }
}

// bench/run_watch.h tells them from those that compute by it.
TEST_P(RealReaders, TheirThreadsBearAName) {
  const auto named = [] {
    int count = 0;
    for (const auto& task : std::filesystem::directory_iterator("/proc/self/task"))
      count += testing::ReadFile(task.path() / "comm") == std::string(internal::kReaderThreadName) + "\n";
    return count;
  };
  const int before = named();
  auto reader = Reader(Hf());
  if (reader == nullptr) GTEST_SKIP() << "not on this machine";
  const auto store = StoreWith(Hf(), 5, std::move(reader));
  Serve(*store, Hf(), 0, AllExperts());
  EXPECT_GT(named(), before);
}

TEST_P(RealReaders, ATruncatedFileEndsTheRequestUntilItIsWholeAgain) {
  const TempFolder temp;
  SynthOptions options;
  options.preset = "tiny";
  options.seed = 3;
  options.out = temp.path() / "model";
  Synthesize(options);
  const Checkpoint checkpoint = OpenCheckpoint(options.out);
  auto reader = Reader(checkpoint);
  if (reader == nullptr) GTEST_SKIP() << "not on this machine";
  const auto store = StoreWith(checkpoint, 3, std::move(reader));
  Serve(*store, checkpoint, 0, {0, 1});

  const std::filesystem::path file = checkpoint.files.front().path();
  const std::string whole = testing::ReadFile(file);
  const auto begin = checkpoint.weights.layers[2].gate_up[0].values - checkpoint.files.front().bytes().data();
  std::filesystem::resize_file(file, static_cast<uintmax_t>(begin) + 100);
  ExpectError(ErrorKind::kRequestFailed, {file.filename().string(), "truncated"}, [&] {
    store->Request(2, std::vector<int32_t>{0, 1, 2, 3});
    while (!store->TakeReady().empty()) {
    }
  });
  std::ofstream(file, std::ios::binary | std::ios::in)
      .write(whole.data(), static_cast<std::streamsize>(whole.size()));
  Serve(*store, checkpoint, 2, {0, 1, 2, 3});
}
INSTANTIATE_TEST_SUITE_P(Methods, RealReaders,
                         ::testing::Values(ReadMethod::kUring, ReadMethod::kThreads, ReadMethod::kAuto),
                         [](const auto& param_info) { return std::string(NameOf(param_info.param)); });

TEST(BlockReader, AFileOfAnotherSizeIsRefused) {
  const TempFolder temp;
  testing::WriteFile(temp.path() / "a", std::string(5000, 'x'));
  ExpectError(ErrorKind::kBadFile, {"has 5000 bytes, had 6000"},
              [&] { MakeBlockReader({temp.path() / "a"}, {6000}); });
  ExpectError(ErrorKind::kBadFile, {"No such file"}, [&] { MakeBlockReader({temp.path() / "b"}, {1}); });
}

TEST(BlockReader, SaysSoWhereNotAllOfItsThreadsCanBeStarted) {
  if (!test::ScarceAddressSpace::Works()) GTEST_SKIP() << "no limit on address space here";
  const TempFolder temp;
  testing::WriteFile(temp.path() / "a", std::string(5000, 'x'));
  const test::ScarceAddressSpace for_two(2);
  ExpectError(ErrorKind::kNoMemory, {"a thread could not be started"},
              [&] { MakeBlockReader({temp.path() / "a"}, {5000}, ReadMethod::kThreads); });
}

}  // namespace
}  // namespace oxidized
