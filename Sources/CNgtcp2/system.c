#include "CNgtcp2.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

// Reads of one call: a storm of route changes must not hold the loop.
enum { READS_MAX = 16 };

int qtun_route_watch(void) {
  int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_ROUTE);
  if (fd < 0) {
    return -errno;
  }
  struct sockaddr_nl address = {
    .nl_family = AF_NETLINK,
    // Not RTMGRP_LINK: wireless interfaces speak there all the time.
    .nl_groups =
      RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE,
  };
  if (bind(fd, (const struct sockaddr *)&address, sizeof address) != 0) {
    int error = errno;
    close(fd);
    return -error;
  }
  return fd;
}

static bool tells_of_change(const struct nlmsghdr *message, size_t count) {
  int left = (int)count;
  for (; NLMSG_OK(message, left); message = NLMSG_NEXT(message, left)) {
    switch (message->nlmsg_type) {
    case RTM_NEWADDR:
    case RTM_DELADDR:
    case RTM_NEWROUTE:
    case RTM_DELROUTE:
      return true;
    default:
      break;
    }
  }
  return false;
}

bool qtun_route_changed(int fd) {
  _Alignas(struct nlmsghdr) char buffer[8192];
  bool changed = false;
  for (int reads = 0; reads < READS_MAX; reads++) {
    struct sockaddr_nl sender;
    socklen_t length = sizeof sender;
    memset(&sender, 0, sizeof sender);
    ssize_t count =
      recvfrom(fd, buffer, sizeof buffer, 0, (struct sockaddr *)&sender, &length);
    if (count < 0) {
      // More came than the socket holds.
      return changed || errno == ENOBUFS;
    }
    // Anybody on this machine may send to a netlink socket; the kernel is number 0.
    if (sender.nl_pid == 0 && tells_of_change((const struct nlmsghdr *)buffer, (size_t)count)) {
      changed = true;
    }
  }
  return changed;
}

int qtun_clock_watch(void) {
  int fd = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC);
  if (fd < 0) {
    return -errno;
  }
  qtun_clock_rearm(fd);
  return fd;
}

void qtun_clock_rearm(int fd) {
  uint64_t count;
  // ECANCELED is what it is for; a timer in the far future never expires.
  (void)!read(fd, &count, sizeof count);
  struct itimerspec never = {.it_value = {.tv_sec = (time_t)1 << 40}};
  (void)timerfd_settime(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &never, NULL);
}

int qtun_processor_count(void) {
  cpu_set_t set;
  // More processors than the set has room for are EINVAL.
  if (sched_getaffinity(0, sizeof set, &set) != 0) {
    long count = sysconf(_SC_NPROCESSORS_ONLN);
    return count > 0 ? (int)count : 1;
  }
  int count = CPU_COUNT(&set);
  return count > 0 ? count : 1;
}

int qtun_unix_peer(int fd, uid_t *user) {
  struct ucred peer;
  socklen_t length = sizeof peer;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0) {
    return -errno;
  }
  *user = peer.uid;
  return 0;
}
