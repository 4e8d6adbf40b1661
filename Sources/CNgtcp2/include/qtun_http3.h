/// Shims for nghttp3: the same function-like version macros as ngtcp2's.
#ifndef QTUN_HTTP3_H
#define QTUN_HTTP3_H

#include <nghttp3/nghttp3.h>

static inline void qtun_http3_settings_default(nghttp3_settings *settings) {
  nghttp3_settings_default(settings);
}

static inline int qtun_http3_client_new(nghttp3_conn **conn, const nghttp3_callbacks *callbacks,
                                        const nghttp3_settings *settings, void *user_data) {
  return nghttp3_conn_client_new(conn, callbacks, settings, nghttp3_mem_default(), user_data);
}

static inline int qtun_http3_server_new(nghttp3_conn **conn, const nghttp3_callbacks *callbacks,
                                        const nghttp3_settings *settings, void *user_data) {
  return nghttp3_conn_server_new(conn, callbacks, settings, nghttp3_mem_default(), user_data);
}

#endif
