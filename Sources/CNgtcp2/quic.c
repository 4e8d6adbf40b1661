#include "CNgtcp2.h"

static _Thread_local void *current_caller;

void qtun_set_caller(void *caller) { current_caller = caller; }

void *qtun_caller(void) { return current_caller; }
