#include "CNgtcp2.h"

#include <errno.h>
#include <malloc.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int qtun_epoll_wait(int epoll, struct epoll_event *events, int capacity, uint64_t timeout_ns) {
  int count;
  if (timeout_ns == UINT64_MAX) {
    count = epoll_wait(epoll, events, capacity, -1);
    return count < 0 ? -errno : count;
  }
#ifdef SYS_epoll_pwait2
  static bool lacks_pwait2;
  if (!__atomic_load_n(&lacks_pwait2, __ATOMIC_RELAXED)) {
    struct timespec timeout = {.tv_sec = (time_t)(timeout_ns / 1000000000),
                               .tv_nsec = (long)(timeout_ns % 1000000000)};
    count = (int)syscall(SYS_epoll_pwait2, epoll, events, capacity, &timeout, NULL, 0);
    if (count >= 0) {
      return count;
    }
    if (errno != ENOSYS && errno != EPERM) {
      return -errno;
    }
    __atomic_store_n(&lacks_pwait2, true, __ATOMIC_RELAXED);
  }
#endif
  uint64_t milliseconds = timeout_ns / 1000000 + (timeout_ns % 1000000 != 0);
  count = epoll_wait(epoll, events, capacity,
                     milliseconds > INT32_MAX ? INT32_MAX : (int)milliseconds);
  return count < 0 ? -errno : count;
}

int qtun_epoll_add(int epoll, int fd, uint32_t events, uint64_t token) {
  struct epoll_event event = {.events = events, .data = {.u64 = token}};
  return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : -errno;
}

void qtun_trim_memory(void) { (void)malloc_trim(0); }
