#include "experts/disk_probe.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>

#include "base/aligned_buffer.h"
#include "base/error.h"
#include "base/rng.h"
#include "experts/block_reader.h"

namespace oxidized {

DiskSpeed MeasureDiskSpeed(const std::vector<std::filesystem::path>& files, const std::vector<int64_t>& sizes,
                           double seconds) {
  using Clock = std::chrono::steady_clock;
  OX_CHECK(!files.empty() && files.size() == sizes.size());
  const auto largest = static_cast<size_t>(std::max_element(sizes.begin(), sizes.end()) - sizes.begin());
  const int64_t pieces = std::max<int64_t>(1, sizes[largest] / kMostReadBytes);
  const auto at_once = static_cast<size_t>(2 * kReadsInFlight);
  AlignedBuffer<std::byte> memory("disk probe", MemoryClass::kOther, at_once * kMostReadBytes);

  std::mutex mutex;
  std::condition_variable landed;
  std::vector<size_t> idle;
  int64_t bytes = 0;
  std::string failed;
  auto reader = MakeBlockReader(files, sizes);
  reader->OnDone([&](const BlockRead& read, const std::string& error) {
    std::lock_guard lock(mutex);
    idle.push_back(static_cast<size_t>(read.tag));
    bytes += read.needed;
    if (!error.empty()) failed = error;
    landed.notify_one();
  });
  for (size_t i = 0; i < at_once; ++i) idle.push_back(i);
  const auto begin = Clock::now();
  const auto end =
      begin + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
  // Another place each time the probe runs, lest something below us remembers.
  const auto seed = static_cast<uint64_t>(begin.time_since_epoch().count());
  std::unique_lock lock(mutex);
  for (uint64_t n = 0; failed.empty() && Clock::now() < end;) {
    landed.wait(lock, [&] { return !idle.empty(); });
    const size_t place = idle.back();
    idle.pop_back();
    const int64_t offset =
        static_cast<int64_t>(RandomBits(seed, 0, n++)[0] % static_cast<uint64_t>(pieces)) * kMostReadBytes;
    const BlockRead read{.tag = place,
                         .file = static_cast<int32_t>(largest),
                         .offset = offset,
                         .bytes = kMostReadBytes,
                         .needed = std::min(kMostReadBytes, sizes[largest] - offset),
                         .to = memory.data() + static_cast<int64_t>(place) * kMostReadBytes};
    lock.unlock();
    reader->Submit({&read, 1}, true);
    lock.lock();
  }
  landed.wait(lock, [&] { return idle.size() == at_once || !failed.empty(); });
  const std::chrono::duration<double> took = Clock::now() - begin;
  if (!failed.empty()) Fail(ErrorKind::kRequestFailed, "{}", failed);
  return {static_cast<double>(bytes) / took.count(), reader->name()};
}

}  // namespace oxidized
