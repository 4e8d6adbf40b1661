/// Umbrella header of the C side: ngtcp2, GnuTLS, nghttp3 and the shims around them.
///
/// Only QuicTransport imports this module. Every symbol of
/// ours starts with `qtun_`; each shim says which limit of the Swift importer it works around.
#ifndef QTUN_CNGTCP2_H
#define QTUN_CNGTCP2_H

#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <nghttp3/nghttp3.h>
#include <ngtcp2/ngtcp2.h>
#include <ngtcp2/ngtcp2_crypto.h>
#include <ngtcp2/ngtcp2_crypto_gnutls.h>

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "qtun_http3.h"
#include "qtun_quic.h"
#include "qtun_socket.h"
#include "qtun_files.h"
#include "qtun_system.h"
#include "qtun_unix.h"

#endif
