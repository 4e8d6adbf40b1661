/// Shims for files below one folder: glibc 2.36 has no wrapper for openat2(2).
#ifndef QTUN_FILES_H
#define QTUN_FILES_H

#include <stdbool.h>
#include <stdint.h>

/// What is known of an open file.
typedef struct qtun_file {
  bool is_folder;
  /// Neither folders nor regular files are served.
  bool is_regular;
  uint64_t size;
  int64_t modified;
} qtun_file;

/// Opens `path` for reading, below `folder` and nowhere else: `..`, absolute paths and symbolic
/// links that lead out fail with -EXDEV (RESOLVE_BENEATH). Returns the descriptor or -errno; -ENOSYS
/// before Linux 5.6.
int qtun_open_beneath(int folder, const char *path, qtun_file *file);

#endif
