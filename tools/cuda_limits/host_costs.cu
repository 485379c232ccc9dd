// Section e: what the host pays. Launching a graph of a step's size, recording an event, learning that a step
// has ended (stream synchronisation, a flag in mapped memory), copies of a few bytes; and how fast a file
// that lies in the page cache reaches the card: through pinned buffers filled by 1 to 16 threads, by read or
// from a mapping, from the registered mapping, and as the driver does it from pageable memory.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <functional>
#include <thread>

#include "device/ptx.cuh"
#include "host.h"

namespace limits {
namespace {

double Now() {
  return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

Times Repeat(int n, const std::function<double()>& once) {
  std::vector<double> us;
  for (int i = 0; i < n; ++i) us.push_back(once());
  return Summary(us);
}

void UsRow(const std::string& what, Times t) {
  Row(what, Format("%.2f | %.2f..%.2f", t.median, t.low, t.high));
}

__global__ void Empty() {}
__global__ void EmptyProgrammatic() {
  LetNextKernelStart();
  WaitForKernelBefore();
}
__global__ void SetFlag(volatile uint32_t* flag, uint32_t value) { *flag = value; }

// Answers n numbers that the host writes, each with the same number.
__global__ void Echo(volatile uint32_t* in, volatile uint32_t* out, uint32_t n) {
  for (uint32_t i = 1; i <= n; ++i) {
    while (*in != i) {
    }
    *out = i;
  }
}

void Launches(const Setup& setup) {
  cudaStream_t s = setup.stream;
  const int n = setup.quick ? 5 : 200;
  for (bool programmatic : {false, true})
    for (int nodes : {1, 123, 183}) {
      cudaGraph_t graph;
      cudaGraphExec_t exec;
      CUDA_OK(cudaStreamBeginCapture(s, cudaStreamCaptureModeGlobal));
      for (int i = 0; i < nodes; ++i)
        Launch(s, {setup.sms, 256, 0, programmatic && i > 0}, programmatic ? EmptyProgrammatic : Empty);
      CUDA_OK(cudaStreamEndCapture(s, &graph));
      CUDA_OK(cudaGraphInstantiate(&exec, graph, 0));
      CUDA_OK(cudaGraphUpload(exec, s));
      double call = 0;
      std::vector<double> calls;
      const Times whole = Repeat(n, [&] {
        const double t0 = Now();
        CUDA_OK(cudaGraphLaunch(exec, s));
        call = Now() - t0;
        CUDA_OK(cudaStreamSynchronize(s));
        calls.push_back(call);
        return Now() - t0;
      });
      const char* kind = programmatic ? ", programmatic" : "";
      UsRow(Format("graph of %d empty kernels of 132 blocks%s: the call", nodes, kind), Summary(calls));
      UsRow(Format("graph of %d empty kernels of 132 blocks%s: until synchronised", nodes, kind), whole);
      // Two in flight: what the card needs from one to the next.
      const Times rate = Repeat(5, [&] {
        const double t0 = Now();
        for (int i = 0; i < 50; ++i) CUDA_OK(cudaGraphLaunch(exec, s));
        CUDA_OK(cudaStreamSynchronize(s));
        return (Now() - t0) / 50;
      });
      UsRow(Format("graph of %d empty kernels of 132 blocks%s: each of 50 in a row", nodes, kind), rate);
      CUDA_OK(cudaGraphExecDestroy(exec));
      CUDA_OK(cudaGraphDestroy(graph));
    }
  cudaEvent_t event;
  CUDA_OK(cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
  UsRow("event record: the call", Repeat(n, [&] {
          const double t0 = Now();
          CUDA_OK(cudaEventRecord(event, s));
          const double t = Now() - t0;
          CUDA_OK(cudaStreamSynchronize(s));
          return t;
        }));
  UsRow("event query of a finished event", Repeat(n, [&] {
          const double t0 = Now();
          CUDA_OK(cudaEventQuery(event));
          return Now() - t0;
        }));
  UsRow("kernel launch on a stream: the call", Repeat(n, [&] {
          const double t0 = Now();
          Empty<<<1, 32, 0, s>>>();
          const double t = Now() - t0;
          CUDA_OK(cudaStreamSynchronize(s));
          return t;
        }));
  CUDA_OK(cudaEventDestroy(event));
}

void Flags(const Setup& setup) {
  cudaStream_t s = setup.stream;
  const int n = setup.quick ? 5 : 200;
  volatile uint32_t* host;
  CUDA_OK(cudaHostAlloc(const_cast<uint32_t**>(&host), 4096, cudaHostAllocMapped));
  volatile uint32_t* device;
  CUDA_OK(cudaHostGetDevicePointer(const_cast<uint32_t**>(&device), const_cast<uint32_t*>(host), 0));
  uint32_t value = 0;
  host[0] = 0;
  host[64] = 0;
  UsRow("one kernel: launch until a flag in mapped memory is seen", Repeat(n, [&] {
          const double t0 = Now();
          SetFlag<<<1, 1, 0, s>>>(device, ++value);
          while (host[0] != value) {
          }
          return Now() - t0;
        }));
  UsRow("one kernel: launch until the stream is synchronised", Repeat(n, [&] {
          const double t0 = Now();
          SetFlag<<<1, 1, 0, s>>>(device, ++value);
          CUDA_OK(cudaStreamSynchronize(s));
          return Now() - t0;
        }));
  const uint32_t rounds = setup.quick ? 20 : 2000;
  host[0] = 0;
  Echo<<<1, 1, 0, s>>>(device, device + 64, rounds);
  std::vector<double> trips;
  for (uint32_t i = 1; i <= rounds; ++i) {
    const double t0 = Now();
    host[0] = i;
    while (host[64] != i) {
    }
    trips.push_back(Now() - t0);
  }
  CUDA_OK(cudaStreamSynchronize(s));
  trips.erase(trips.begin(), trips.begin() + rounds / 10);
  UsRow("flag there and back (host writes, a running kernel polls and answers, host polls)", Summary(trips));
  CUDA_OK(cudaFreeHost(const_cast<uint32_t*>(host)));

  uint8_t* pinned;
  CUDA_OK(cudaMallocHost(&pinned, 4096));
  Buffer<uint8_t> card(4096);
  for (bool up : {true, false})
    UsRow(Format("copy of 64 bytes, pinned, %s, until synchronised", up ? "to the card" : "from the card"),
          Repeat(n, [&] {
            const double t0 = Now();
            CUDA_OK(cudaMemcpyAsync(up ? card.get() : pinned, up ? pinned : card.get(), 64,
                                    up ? cudaMemcpyHostToDevice : cudaMemcpyDeviceToHost, s));
            CUDA_OK(cudaStreamSynchronize(s));
            return Now() - t0;
          }));
  CUDA_OK(cudaFreeHost(pinned));
}

// Runs body(thread) on n threads.
void OnThreads(int n, const std::function<void(int)>& body) {
  std::vector<std::thread> threads;
  for (int i = 0; i < n; ++i) threads.emplace_back(body, i);
  for (auto& t : threads) t.join();
}

void Loading(const Setup& setup) {
  const size_t bytes = setup.quick ? size_t{16} << 20 : size_t{3} << 30;
  const size_t chunk = setup.quick ? size_t{1} << 20 : size_t{16} << 20;
  constexpr int kMaxThreads = 16, kEach = 2;
  std::vector<uint8_t*> pinned;
  const double t_alloc = Now();
  for (int i = 0; i < kMaxThreads * kEach; ++i) {
    uint8_t* p;
    CUDA_OK(cudaMallocHost(&p, chunk));
    std::memset(p, i, chunk);
    pinned.push_back(p);
  }
  Section("e. host memory to the card", "GB/s | ms");
  auto row = [&](const std::string& what, size_t n, double us) {
    Row(what, Format("%.1f | %.0f", n / us * 1e-3, us * 1e-3));
  };
  row(Format("allocating and touching %zu MB of pinned memory", pinned.size() * chunk >> 20),
      pinned.size() * chunk, Now() - t_alloc);
  Buffer<uint8_t> card(bytes);
  for (bool up : {true, false}) {
    const double t0 = Now();
    size_t n = 0;
    for (int lap = 0; lap < (setup.quick ? 1 : 8); ++lap)
      for (uint8_t* p : pinned) {
        CUDA_OK(cudaMemcpyAsync(up ? card.get() + n % bytes : p, up ? p : card.get() + n % bytes, chunk,
                                up ? cudaMemcpyHostToDevice : cudaMemcpyDeviceToHost, setup.stream));
        n += chunk;
      }
    CUDA_OK(cudaStreamSynchronize(setup.stream));
    row(up ? "pinned to the card, pieces of 16 MB" : "card to pinned, pieces of 16 MB", n, Now() - t0);
  }

  // A file that was just written lies in the page cache.
  char name[] = "/tmp/cuda_limits_XXXXXX";
  const int fd = mkstemp(name);
  if (fd < 0) {
    std::printf("| no file in /tmp, loading not measured |\n");
    return;
  }
  unlink(name);
  for (size_t at = 0; at < bytes; at += chunk) {
    std::memset(pinned[0], static_cast<int>(at / chunk), chunk);
    if (pwrite(fd, pinned[0], chunk, at) != static_cast<ssize_t>(chunk)) {
      std::printf("| /tmp is full, loading not measured |\n");
      close(fd);
      return;
    }
  }
  // Only the host's part, then with the copy to the card behind it.
  for (bool mapped : {false, true})
    for (bool copy : {false, true})
      for (int threads : {1, 2, 4, 8, 16}) {
        auto* map = static_cast<uint8_t*>(mmap(nullptr, bytes, PROT_READ, MAP_SHARED, fd, 0));
        std::atomic<size_t> next{0};
        const double t0 = Now();
        OnThreads(threads, [&](int thread) {
          cudaStream_t stream;
          cudaEvent_t done[kEach];
          CUDA_OK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
          for (auto& e : done) CUDA_OK(cudaEventCreateWithFlags(&e, cudaEventDisableTiming));
          for (int turn = 0;; ++turn) {
            const size_t at = next.fetch_add(chunk);
            if (at >= bytes) break;
            uint8_t* to = pinned[thread * kEach + turn % kEach];
            if (turn >= kEach) CUDA_OK(cudaEventSynchronize(done[turn % kEach]));
            if (mapped)
              std::memcpy(to, map + at, chunk);
            else if (pread(fd, to, chunk, at) != static_cast<ssize_t>(chunk))
              std::exit(1);
            if (copy) CUDA_OK(cudaMemcpyAsync(card.get() + at, to, chunk, cudaMemcpyHostToDevice, stream));
            CUDA_OK(cudaEventRecord(done[turn % kEach], stream));
          }
          CUDA_OK(cudaStreamSynchronize(stream));
          for (auto& e : done) CUDA_OK(cudaEventDestroy(e));
          CUDA_OK(cudaStreamDestroy(stream));
        });
        row(Format("page cache by %s to pinned%s, %d threads", mapped ? "mapping and memcpy" : "read",
                   copy ? ", then to the card" : "", threads),
            bytes, Now() - t0);
        munmap(map, bytes);
      }
  auto* map = static_cast<uint8_t*>(mmap(nullptr, bytes, PROT_READ, MAP_SHARED, fd, 0));
  double t0 = Now();
  CUDA_OK(cudaMemcpy(card.get(), map, bytes, cudaMemcpyHostToDevice));
  row("cudaMemcpy from the mapping", bytes, Now() - t0);
  t0 = Now();
  const cudaError_t registered = cudaHostRegister(map, bytes, cudaHostRegisterReadOnly);
  if (registered == cudaSuccess) {
    row("cudaHostRegister of the mapping, read-only", bytes, Now() - t0);
    t0 = Now();
    CUDA_OK(cudaMemcpy(card.get(), map, bytes, cudaMemcpyHostToDevice));
    row("cudaMemcpy from the registered mapping", bytes, Now() - t0);
    t0 = Now();
    CUDA_OK(cudaHostUnregister(map));
    row("cudaHostUnregister", bytes, Now() - t0);
  } else {
    Row("cudaHostRegister of the mapping, read-only",
        Format("refused: %s | ", cudaGetErrorString(registered)));
    cudaGetLastError();
  }
  munmap(map, bytes);
  auto* copied =
      static_cast<uint8_t*>(mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  OnThreads(kMaxThreads, [&](int thread) {
    for (size_t at = thread * chunk; at < bytes; at += kMaxThreads * chunk)
      std::memset(copied + at, 1, chunk);
  });
  t0 = Now();
  CUDA_OK(cudaHostRegister(copied, bytes, cudaHostRegisterDefault));
  row("cudaHostRegister of touched anonymous memory", bytes, Now() - t0);
  CUDA_OK(cudaHostUnregister(copied));
  munmap(copied, bytes);
  close(fd);
  for (uint8_t* p : pinned) CUDA_OK(cudaFreeHost(p));
}

}  // namespace

void MeasureHostCosts(const Setup& setup) {
  Section("e. calls and flags", "us | range");
  Launches(setup);
  Flags(setup);
  Loading(setup);
}

}  // namespace limits
