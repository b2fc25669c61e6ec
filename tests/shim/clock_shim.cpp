// A library for LD_PRELOAD: shifts the wall clock of a process by what stands in a file (signed
// nanoseconds, eight bytes, those of the machine; the environment variable PARLEY_CLOCK_FILE names
// it). The file is read at each call, so the clock can be stepped while the process runs. Monotonic
// clocks stay as they are.

#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <ctime>

namespace {

constexpr std::int64_t ns_per_s = 1'000'000'000;

std::int64_t* shared_offset = nullptr;

__attribute__((constructor)) void open_offset() {
  const char* const path = std::getenv("PARLEY_CLOCK_FILE");
  if (path == nullptr) return;
  const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  void* const memory = ::mmap(nullptr, sizeof(std::int64_t), PROT_READ, MAP_SHARED, fd, 0);
  ::close(fd);
  if (memory != MAP_FAILED) shared_offset = static_cast<std::int64_t*>(memory);
}

std::int64_t offset_ns() {
  return shared_offset == nullptr ? 0 : __atomic_load_n(shared_offset, __ATOMIC_RELAXED);
}

bool is_wall(clockid_t clock) { return clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE; }

timespec shifted(const timespec& time, std::int64_t ns) {
  const std::int64_t all = time.tv_sec * ns_per_s + time.tv_nsec + ns;
  return {all / ns_per_s, all % ns_per_s};
}

/// What the kernel says, shifted; without the vDSO, which cannot be found without dlsym.
timespec wall_now(clockid_t clock) {
  timespec time{};
  ::syscall(SYS_clock_gettime, clock, &time);
  return shifted(time, offset_ns());
}

template <class Function>
Function* next(const char* name) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

}  // namespace

// NOLINTBEGIN(readability-identifier-naming): the C library's names
extern "C" __attribute__((visibility("default"))) int clock_gettime(clockid_t clock,
                                                                    timespec* time) noexcept {
  if (!is_wall(clock)) return static_cast<int>(::syscall(SYS_clock_gettime, clock, time));
  *time = wall_now(clock);
  return 0;
}

extern "C" __attribute__((visibility("default"))) int gettimeofday(timeval* time,
                                                                   void* /*zone*/) noexcept {
  const timespec now = wall_now(CLOCK_REALTIME);
  *time = {now.tv_sec, now.tv_nsec / 1000};
  return 0;
}

extern "C" __attribute__((visibility("default"))) time_t time(time_t* result) noexcept {
  const timespec now = wall_now(CLOCK_REALTIME);
  if (result != nullptr) *result = now.tv_sec;
  return now.tv_sec;
}

// Moments to wait for were made from the shifted clock; the kernel knows the other one.

extern "C" __attribute__((visibility("default"))) int pthread_cond_timedwait(
    pthread_cond_t* condition, pthread_mutex_t* mutex, const timespec* until) {
  static auto* const real = next<decltype(pthread_cond_timedwait)>("pthread_cond_timedwait");
  constexpr unsigned monotonic = 2;  // glibc's mark of a condition that waits by that clock
  if ((condition->__data.__wrefs & monotonic) != 0) return real(condition, mutex, until);
  const timespec wanted = shifted(*until, -offset_ns());
  return real(condition, mutex, &wanted);
}

extern "C" __attribute__((visibility("default"))) int sem_timedwait(sem_t* semaphore,
                                                                    const timespec* until) {
  static auto* const real = next<decltype(sem_timedwait)>("sem_timedwait");
  const timespec wanted = shifted(*until, -offset_ns());
  return real(semaphore, &wanted);
}
// NOLINTEND(readability-identifier-naming)
