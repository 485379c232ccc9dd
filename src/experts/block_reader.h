// Reads aligned pieces of files into memory in the background: by io_uring with direct I/O where the kernel
// lets us, otherwise by a few threads with pread (direct where the file system can, else through the page
// cache, which is told to forget the piece). Knows nothing of experts. Used by ExpertStore and the disk
// probe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace oxidized {

// Offsets, lengths and addresses of reads are multiples of this: what direct I/O asks for everywhere.
inline constexpr int64_t kReadAlignment = 4096;
// Longer pieces are cut, so that an urgent read waits for little of what is under way. 1 MiB already reaches
// the disk's full speed with a few of them in flight.
inline constexpr int64_t kMostReadBytes = int64_t{1} << 20;
inline constexpr int kReadsInFlight = 8;

struct BlockRead {
  uint64_t tag = 0;  // the submitter's; Promote and Cancel take all reads of a tag
  int32_t file = 0;
  int64_t offset = 0;
  int64_t bytes = 0;   // at most kMostReadBytes
  int64_t needed = 0;  // of bytes; a file that ends before is an error (the last block may be short)
  std::byte* to = nullptr;
};

class BlockReader {
 public:
  // Called once for every read that was not cancelled, from some thread, with none of the reader's locks
  // held. `error` is empty when the needed bytes are there.
  using Done = std::function<void(const BlockRead& read, const std::string& error)>;

  virtual ~BlockReader() = default;  // waits for reads under way, drops the others
  virtual const char* name() const = 0;

  // Before the first Submit.
  virtual void OnDone(Done done) = 0;
  // Thread-safe, never waits. Urgent reads go first; within a kind it is first come, first served.
  virtual void Submit(std::span<const BlockRead> reads, bool urgent) = 0;
  virtual void Promote(uint64_t tag) = 0;
  // Drops what has not begun yet; returns how many reads that were.
  virtual int Cancel(uint64_t tag) = 0;
};

enum class ReadMethod : uint8_t { kAuto, kUring, kThreads };

// Files keep their index. Throws Error(kBadFile) when one cannot be opened or has changed its size since
// `sizes` were taken; Error(kUnsupported) when kUring is asked for and the kernel refuses.
std::unique_ptr<BlockReader> MakeBlockReader(const std::vector<std::filesystem::path>& files,
                                             const std::vector<int64_t>& sizes,
                                             ReadMethod method = ReadMethod::kAuto);

}  // namespace oxidized
