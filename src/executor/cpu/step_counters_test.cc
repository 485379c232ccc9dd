#include "executor/cpu/step_counters.h"

#include <dlfcn.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <new>
#include <string>
#include <thread>

namespace {

std::atomic<int64_t> allocations = 0, locks = 0, system_calls = 0, last_system_call = 0;

// nullptr: no memory.
void* TryAllocate(size_t size, size_t alignment) noexcept {
  ++allocations;
  if (alignment <= alignof(std::max_align_t)) return std::malloc(size);
  void* memory = nullptr;
  return posix_memalign(&memory, alignment, size) == 0 ? memory : nullptr;
}

void* Allocate(size_t size, size_t alignment) {
  void* memory = TryAllocate(size, alignment);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

// The call was not made: it answers "no such call".
void OnSystemCall(int, siginfo_t* info, void* context) {
  ++system_calls;
  last_system_call = info->si_syscall;
  auto& machine = static_cast<ucontext_t*>(context)->uc_mcontext;
#if defined(__x86_64__)
  machine.gregs[REG_RAX] = -ENOSYS;
#elif defined(__aarch64__)
  machine.regs[0] = static_cast<unsigned long long>(-ENOSYS);
#endif
}

}  // namespace

void* operator new(size_t size) { return Allocate(size, 1); }
void* operator new(size_t size, std::align_val_t alignment) {
  return Allocate(size, static_cast<size_t>(alignment));
}
// The library's own nothrow forms may come from another allocator (a sanitizer's) than the deletes below.
void* operator new(size_t size, const std::nothrow_t&) noexcept { return TryAllocate(size, 1); }
void* operator new(size_t size, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  return TryAllocate(size, static_cast<size_t>(alignment));
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, size_t, std::align_val_t) noexcept { std::free(memory); }

#if OXIDIZED_COUNTS_LOCKS
extern "C" int pthread_mutex_lock(pthread_mutex_t* mutex) noexcept {
  using Lock = int (*)(pthread_mutex_t*);
  static const auto real = reinterpret_cast<Lock>(dlsym(RTLD_NEXT, "pthread_mutex_lock"));
  ++locks;
  return real(mutex);
}
#endif

namespace oxidized::test {

int64_t Allocations() { return allocations; }
int64_t Locks() { return locks; }
int64_t SystemCalls() { return system_calls; }
int64_t LastSystemCall() { return last_system_call; }

bool TrapSystemCalls() {
  // A thread that has not yet begun calls the kernel with its signals blocked, where a trap ends the process.
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    if (task.path().filename() == std::to_string(getpid())) continue;
    for (char state = 'R'; state == 'R'; std::this_thread::yield()) {
      std::ifstream file(task.path() / "stat");
      file.ignore(1 << 10, ')') >> state;  // parked: S
    }
  }
  struct sigaction action{};
  action.sa_sigaction = OnSystemCall;
  action.sa_flags = SA_SIGINFO;
  sigaction(SIGSYS, &action, nullptr);
  constexpr auto allow_if = [](uint32_t number) {
    struct Pair {
      sock_filter compare, allow;
    };
    return Pair{BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
  };
  const auto futex = allow_if(SYS_futex), clock = allow_if(SYS_clock_gettime),
             handled = allow_if(SYS_rt_sigreturn), end = allow_if(SYS_exit_group),
             parked_again = allow_if(SYS_restart_syscall);  // a stopped and continued process goes on waiting
  sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      futex.compare,
      futex.allow,
      clock.compare,
      clock.allow,
      handled.compare,
      handled.allow,
      end.compare,
      end.allow,
      parked_again.compare,
      parked_again.allow,
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
  };
  const sock_fprog program{static_cast<unsigned short>(sizeof(filter) / sizeof(filter[0])), filter};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) == 0;
}

}  // namespace oxidized::test
