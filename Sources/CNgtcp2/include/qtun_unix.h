/// Shims for Unix domain sockets: `sockaddr_un` holds its path in a fixed array, which Swift sees
/// as a tuple, and `accept4` is hidden behind `_GNU_SOURCE`.
#ifndef QTUN_UNIX_H
#define QTUN_UNIX_H

#include <stdint.h>

/// Which file a path named at one moment, so that only our own socket is removed at the end.
typedef struct qtun_file_id {
  uint64_t device;
  uint64_t inode;
} qtun_file_id;

/// Opens a non-blocking listening socket at `path` with mode 0600 and stores which file it is. A
/// socket file on which nothing listens is replaced. Returns the descriptor, -EADDRINUSE when
/// something answers there, -EEXIST when another kind of file is in the way, or -errno.
int qtun_unix_listen(const char *path, int backlog, qtun_file_id *created);

/// Accepts one connection, non-blocking and close-on-exec. Returns the descriptor or -errno.
int qtun_unix_accept(int listener);

/// Connects, which a Unix socket does at once or not at all. Returns the descriptor or -errno;
/// -EAGAIN when the listener's backlog is full.
int qtun_unix_connect(const char *path);

/// Removes `path` if it still names `created`.
void qtun_unix_remove(const char *path, const qtun_file_id *created);

#endif
