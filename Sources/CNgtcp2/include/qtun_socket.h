/// Shims for Linux sockets: what `_GNU_SOURCE` hides from the importer (`recvmmsg`, `sendmmsg`,
/// `accept4`, `epoll_pwait2`) and what it cannot express (`CMSG_*`, variadic `fcntl`).
#ifndef QTUN_SOCKET_H
#define QTUN_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/uio.h>

/// An IP address and port. IPv4 is kept as ::ffff:a.b.c.d; `high` and `low` are the address as two
/// numbers, most significant byte first; `port` is in host order.
typedef struct qtun_address {
  uint64_t high;
  uint64_t low;
  uint32_t scope;
  uint16_t port;
} qtun_address;

/// One message of a receive batch: one datagram, or several of `segment_size` bytes (the last may
/// be shorter) that the kernel coalesced (UDP_GRO).
typedef struct qtun_received {
  uint8_t *base;
  uint32_t length;
  uint32_t segment_size;
  qtun_address remote;
  qtun_address local;
  uint8_t ecn;
} qtun_received;

/// One message of a send batch; `segment_size` below `length` asks for UDP_SEGMENT.
/// A `local` address of all zeros leaves the source to the routing table; a `remote` one is whoever
/// the socket is connected to; a `hop_limit` of zero leaves the TTL to the system.
typedef struct qtun_transmit {
  const uint8_t *base;
  uint32_t length;
  uint32_t segment_size;
  qtun_address remote;
  qtun_address local;
  uint8_t ecn;
  uint8_t hop_limit;
} qtun_transmit;

enum {
  /// Messages of one recvmmsg or sendmmsg call.
  QTUN_BATCH = 16,
  /// Bytes of one receive buffer: the largest UDP payload, and the most that GRO coalesces.
  QTUN_RECEIVE_BUFFER = 65536,
};

/// Opens a non-blocking UDP socket bound to `address` with ECN and packet-info reporting, DF set,
/// and GRO where the kernel has it. Dual-stack when `address` is the IPv6 wildcard. Returns the
/// descriptor or -errno; stores the bound address.
int qtun_udp_open(const qtun_address *address, uint32_t buffer_bytes, qtun_address *bound,
                  bool *is_ipv4);

/// The same for one more socket at an address that `qtun_udp_share_port` was called for.
int qtun_udp_open_shared(const qtun_address *address, uint32_t buffer_bytes, qtun_address *bound,
                         bool *is_ipv4);

/// Whether more sockets of this user may be bound to where this one is bound already
/// (SO_REUSEPORT). Returns 0 or -errno.
int qtun_udp_share_port(int fd, bool is_shared);

/// Has the kernel choose among the sockets of a shared port, in the order of their binding: what
/// begins with `first_byte` goes by the byte at `offset` modulo `count`, and everything else, like
/// what is too short, to the first. Returns 0 or -errno.
int qtun_udp_steer(int fd, uint8_t first_byte, uint32_t offset, uint32_t count);

/// Duplicates a socket of `qtun_udp_open` for another program: blocking, kept on exec, and with the
/// kernel's defaults for what `qtun_udp_open` set beside the buffers. Returns it or -errno.
int qtun_udp_plain_copy(int fd, bool is_ipv4);
/// The same for datagrams of programs rather than of QUIC: no DF, because nobody searches for the
/// path's MTU, and no ECN.
int qtun_udp_open_plain(const qtun_address *address, uint32_t buffer_bytes, qtun_address *bound,
                        bool *is_ipv4);

/// A plain socket that is connected to `remote`: it takes datagrams from there alone, and learns of
/// ICMP's "port unreachable" as ECONNREFUSED.
int qtun_udp_connect(const qtun_address *remote, uint32_t buffer_bytes, qtun_address *bound,
                     bool *is_ipv4);

/// Receives up to QTUN_BATCH messages into `buffers` (QTUN_BATCH * QTUN_RECEIVE_BUFFER bytes).
/// Returns their number, or -errno.
int qtun_udp_receive(int fd, uint8_t *buffers, uint16_t bound_port, qtun_received *received);

/// Sends up to QTUN_BATCH messages. Returns the number sent, or -errno when the first failed; that
/// includes an IPv6 destination on an IPv4 socket.
int qtun_udp_send(int fd, bool is_ipv4, const qtun_transmit *messages, unsigned count);

/// The source address that the routing table picks towards `remote`. Returns 0 or -errno.
int qtun_route_source(const qtun_address *remote, qtun_address *source);

/// Opens a non-blocking listening TCP socket. Returns the descriptor or -errno.
int qtun_tcp_listen(const qtun_address *address, int backlog, qtun_address *bound);

/// Accepts one connection, non-blocking and close-on-exec, TCP_NODELAY set. Returns fd or -errno.
int qtun_tcp_accept(int listener, qtun_address *remote);

/// Stores the address that a socket is bound to. Returns 0 or -errno.
int qtun_socket_local_address(int fd, qtun_address *local);

/// Begins a non-blocking TCP connect with TCP_NODELAY. Returns fd or -errno; completion is
/// reported by writability and `qtun_socket_error`.
int qtun_tcp_connect(const qtun_address *remote);

/// Takes the pending error of a socket (SO_ERROR), 0 when there is none.
int qtun_socket_error(int fd);

/// Makes the next close of `fd` send RST (RFC 9293 §3.10.4): SO_LINGER with zero time.
void qtun_socket_reset_on_close(int fd);

/// epoll_pwait2 with a timeout in nanoseconds (UINT64_MAX waits for ever), or epoll_wait rounded
/// up to a millisecond where the kernel lacks it. Returns the number of events or -errno.
int qtun_epoll_wait(int epoll, struct epoll_event *events, int capacity, uint64_t timeout_ns);

int qtun_epoll_add(int epoll, int fd, uint32_t events, uint64_t token);

/// Returns freed memory to the system (malloc_trim).
void qtun_trim_memory(void);

/// Numeric text of an address without port into `text` (46 bytes at least); IPv4 as dotted quad.
void qtun_address_format(const qtun_address *address, char *text, size_t capacity);

/// Parses a numeric IPv4 or IPv6 address, with an optional %scope. Returns false if it is neither.
bool qtun_address_parse(const char *text, qtun_address *address);

/// Fills the storage of a `sockaddr_in6` (28 bytes), zeroed where unused.
void qtun_address_store(const qtun_address *address, void *storage);
/// The same in the address's own family, for ngtcp2, which tells a server's preferred address by it
/// (RFC 9000 §9.6). Returns the length: 16 or 28 bytes.
uint32_t qtun_address_store_family(const qtun_address *address, void *storage);
void qtun_address_load(const void *storage, qtun_address *address);

#endif
