/// Shims for ngtcp2 and GnuTLS.
///
/// ngtcp2 appends struct versions through function-like macros, which the Swift importer does not
/// see; each `static inline` below is one such macro made visible.
#ifndef QTUN_QUIC_H
#define QTUN_QUIC_H

#include <gnutls/gnutls.h>
#include <netinet/in.h>
#include <ngtcp2/ngtcp2.h>
#include <ngtcp2/ngtcp2_crypto.h>
#include <string.h>

/// Constants whose macros the importer cannot evaluate (casts, sizeof, sums).
enum {
  QTUN_RETRY_TOKEN_LENGTH_MAX = NGTCP2_CRYPTO_MAX_RETRY_TOKENLEN2,
  QTUN_REGULAR_TOKEN_LENGTH_MAX = NGTCP2_CRYPTO_MAX_REGULAR_TOKENLEN,
  QTUN_RETRY_TOKEN_MAGIC = NGTCP2_CRYPTO_TOKEN_MAGIC_RETRY2,
  QTUN_REGULAR_TOKEN_MAGIC = NGTCP2_CRYPTO_TOKEN_MAGIC_REGULAR,
};

static inline void qtun_settings_default(ngtcp2_settings *settings) {
  ngtcp2_settings_default(settings);
}

static inline void qtun_transport_params_default(ngtcp2_transport_params *params) {
  ngtcp2_transport_params_default(params);
}

static inline int qtun_conn_client_new(ngtcp2_conn **conn, const ngtcp2_cid *dcid,
                                       const ngtcp2_cid *scid, const ngtcp2_path *path,
                                       uint32_t version, const ngtcp2_callbacks *callbacks,
                                       const ngtcp2_settings *settings,
                                       const ngtcp2_transport_params *params, void *user_data) {
  return ngtcp2_conn_client_new(conn, dcid, scid, path, version, callbacks, settings, params, NULL,
                                user_data);
}

static inline int qtun_conn_server_new(ngtcp2_conn **conn, const ngtcp2_cid *dcid,
                                       const ngtcp2_cid *scid, const ngtcp2_path *path,
                                       uint32_t version, const ngtcp2_callbacks *callbacks,
                                       const ngtcp2_settings *settings,
                                       const ngtcp2_transport_params *params, void *user_data) {
  return ngtcp2_conn_server_new(conn, dcid, scid, path, version, callbacks, settings, params, NULL,
                                user_data);
}

static inline int qtun_conn_read(ngtcp2_conn *conn, const ngtcp2_path *path, uint8_t ecn,
                                 const uint8_t *packet, size_t length, ngtcp2_tstamp now) {
  ngtcp2_pkt_info info = {.ecn = ecn};
  return ngtcp2_conn_read_pkt(conn, path, &info, packet, length, now);
}

static inline ngtcp2_ssize qtun_conn_writev_stream(ngtcp2_conn *conn, ngtcp2_path *path,
                                                   ngtcp2_pkt_info *info, uint8_t *destination,
                                                   size_t capacity, ngtcp2_ssize *consumed,
                                                   uint32_t flags, int64_t stream_id,
                                                   const ngtcp2_vec *vectors, size_t vector_count,
                                                   ngtcp2_tstamp now) {
  return ngtcp2_conn_writev_stream(conn, path, info, destination, capacity, consumed, flags,
                                   stream_id, vectors, vector_count, now);
}

static inline ngtcp2_ssize qtun_conn_write_datagram(ngtcp2_conn *conn, ngtcp2_path *path,
                                                    ngtcp2_pkt_info *info, uint8_t *destination,
                                                    size_t capacity, int *accepted, uint32_t flags,
                                                    uint64_t datagram_id, const uint8_t *data,
                                                    size_t length, ngtcp2_tstamp now) {
  return ngtcp2_conn_write_datagram(conn, path, info, destination, capacity, accepted, flags,
                                    datagram_id, data, length, now);
}

static inline ngtcp2_ssize qtun_conn_write_connection_close(ngtcp2_conn *conn, ngtcp2_path *path,
                                                            ngtcp2_pkt_info *info,
                                                            uint8_t *destination, size_t capacity,
                                                            const ngtcp2_ccerr *error,
                                                            ngtcp2_tstamp now) {
  return ngtcp2_conn_write_connection_close(conn, path, info, destination, capacity, error, now);
}

static inline void qtun_conn_get_info(ngtcp2_conn *conn, ngtcp2_conn_info *info) {
  ngtcp2_conn_get_conn_info(conn, info);
}

/// `ngtcp2_cid.data` and reset tokens are fixed arrays, which Swift sees as tuples.
static inline const uint8_t *qtun_cid_bytes(const ngtcp2_cid *cid) { return cid->data; }

static inline void qtun_cid_set(ngtcp2_cid *cid, const uint8_t *data, size_t length) {
  ngtcp2_cid_init(cid, data, length);
}

static inline uint8_t *qtun_reset_token_bytes(ngtcp2_transport_params *params) {
  return params->stateless_reset_token;
}

/// Who is calling ngtcp2 on this thread: its decryption callback is told neither the connection nor
/// the user data.
void qtun_set_caller(void *caller);
void *qtun_caller(void);

/// Frees what GnuTLS allocated; see below.
static inline void qtun_gnutls_free(void *memory) { gnutls_free(memory); }

/// Wipes and frees what GnuTLS exported; `gnutls_free` is a function pointer variable.
static inline void qtun_free_secret(gnutls_datum_t *datum) {
  if (datum->data) {
    explicit_bzero(datum->data, datum->size);
    gnutls_free(datum->data);
  }
  datum->data = NULL;
  datum->size = 0;
}

#endif
