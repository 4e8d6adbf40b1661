#include "CNgtcp2.h"

#include <stdarg.h>
#include <stdio.h>

static _Thread_local void *current_caller;

void qtun_set_caller(void *caller) { current_caller = caller; }

void *qtun_caller(void) { return current_caller; }

static void log_to_stderr(void *user_data, const char *format, ...) {
  (void)user_data;
  va_list arguments;
  va_start(arguments, format);
  vfprintf(stderr, format, arguments);
  va_end(arguments);
  fputc('\n', stderr);
}

void qtun_settings_log_to_stderr(ngtcp2_settings *settings) {
  settings->log_printf = log_to_stderr;
}
