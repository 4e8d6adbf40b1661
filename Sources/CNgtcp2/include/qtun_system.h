/// Shims that tell of changes of the machine: netlink's macros and `TFD_TIMER_CANCEL_ON_SET` do not
/// reach Swift.
#ifndef QTUN_SYSTEM_H
#define QTUN_SYSTEM_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/// Opens a non-blocking netlink socket (rtnetlink(7)) that hears of addresses and routes.
/// Returns the descriptor or -errno.
int qtun_route_watch(void);

/// Reads a bounded number of messages; true if one tells of a change, or if messages were lost.
bool qtun_route_changed(int fd);

/// Opens a descriptor that becomes readable when the wall clock is set, which the kernel also does
/// at the end of a sleep (timerfd_create(2), TFD_TIMER_CANCEL_ON_SET). Returns it or -errno.
int qtun_clock_watch(void);

/// Takes what it said and waits for the next time.
void qtun_clock_rearm(int fd);

/// Processors that this process may run on, as its affinity says; 1 where that cannot be told.
int qtun_processor_count(void);

/// The user at the other end of a connected Unix socket (SO_PEERCRED, unix(7)). Returns 0 or -errno.
int qtun_unix_peer(int fd, uid_t *user);

#endif
