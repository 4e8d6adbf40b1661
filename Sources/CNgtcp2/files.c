#include "CNgtcp2.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

int qtun_open_beneath(int folder, const char *path, qtun_file *file) {
  struct open_how how = {
      // Not waiting for the writer of a FIFO, and not taking a terminal over.
      .flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
      .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
  };
  int fd = -1;
  // EAGAIN: something was renamed while the kernel looked; a few tries are enough.
  for (int attempt = 0; fd < 0 && attempt < 4; attempt++) {
    fd = (int)syscall(SYS_openat2, folder, path, &how, sizeof how);
    if (fd < 0 && errno != EAGAIN && errno != EINTR) {
      break;
    }
  }
  if (fd < 0) {
    return -errno;
  }
  struct stat status;
  if (fstat(fd, &status) != 0) {
    int result = -errno;
    close(fd);
    return result;
  }
  file->is_folder = S_ISDIR(status.st_mode);
  file->is_regular = S_ISREG(status.st_mode);
  file->size = (uint64_t)status.st_size;
  file->modified = status.st_mtim.tv_sec;
  return fd;
}
