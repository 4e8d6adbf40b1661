#include "CNgtcp2.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int fill(const char *path, struct sockaddr_un *address) {
  memset(address, 0, sizeof *address);
  address->sun_family = AF_UNIX;
  size_t length = strlen(path);
  if (length == 0) {
    return -ENOENT;
  }
  if (length >= sizeof address->sun_path) {
    return -ENAMETOOLONG;
  }
  memcpy(address->sun_path, path, length);
  return 0;
}

static int open_socket(void) {
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  return fd < 0 ? -errno : fd;
}

/// What keeps `address` from being bound: 0 after a stale socket was removed, or -errno.
static int clear_stale(const struct sockaddr_un *address) {
  struct stat status;
  if (lstat(address->sun_path, &status) != 0) {
    return errno == ENOENT ? 0 : -errno;
  }
  if (!S_ISSOCK(status.st_mode)) {
    return -EEXIST;
  }
  int probe = open_socket();
  if (probe < 0) {
    return probe;
  }
  int result = connect(probe, (const struct sockaddr *)address, sizeof *address);
  int error = errno;
  close(probe);
  // Only a refusal proves that nobody listens; a full backlog or a lack of rights does not.
  if (result == 0 || error != ECONNREFUSED) {
    return -EADDRINUSE;
  }
  return unlink(address->sun_path) == 0 || errno == ENOENT ? 0 : -errno;
}

int qtun_unix_listen(const char *path, int backlog, qtun_file_id *created) {
  struct sockaddr_un address;
  int result = fill(path, &address);
  if (result != 0) {
    return result;
  }
  int fd = open_socket();
  if (fd < 0) {
    return fd;
  }
  // Linux gives the file the mode of the unbound socket: no moment with other rights.
  result = fchmod(fd, 0600) == 0 ? 0 : -errno;
  bool is_bound = false;
  for (int attempt = 0; result == 0 && !is_bound; attempt++) {
    if (bind(fd, (const struct sockaddr *)&address, sizeof address) == 0) {
      is_bound = true;
    } else if (errno != EADDRINUSE || attempt > 0) {
      result = -errno;
    } else {
      result = clear_stale(&address);
    }
  }
  struct stat status;
  if (result == 0 && lstat(path, &status) != 0) {
    result = -errno;
  }
  if (result == 0 && listen(fd, backlog) != 0) {
    result = -errno;
    unlink(path);
  }
  if (result != 0) {
    close(fd);
    return result;
  }
  created->device = status.st_dev;
  created->inode = status.st_ino;
  return fd;
}

int qtun_unix_accept(int listener) {
  int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
  return fd < 0 ? -errno : fd;
}

int qtun_unix_connect(const char *path) {
  struct sockaddr_un address;
  int result = fill(path, &address);
  if (result != 0) {
    return result;
  }
  int fd = open_socket();
  if (fd < 0) {
    return fd;
  }
  if (connect(fd, (const struct sockaddr *)&address, sizeof address) != 0) {
    result = -errno;
    close(fd);
    return result;
  }
  return fd;
}

void qtun_unix_remove(const char *path, const qtun_file_id *created) {
  struct stat status;
  if (lstat(path, &status) == 0 && status.st_dev == created->device &&
      status.st_ino == created->inode) {
    (void)unlink(path);
  }
}
