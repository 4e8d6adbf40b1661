#include "address.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/udp.h>
#include <string.h>
#include <unistd.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

// MARK: UDP

static int bind_to(int fd, bool is_ipv4, const qtun_address *address, qtun_address *bound) {
  struct sockaddr_storage storage;
  socklen_t length = store_for(is_ipv4, address, &storage);
  if (bind(fd, (struct sockaddr *)&storage, length) != 0) {
    return -errno;
  }
  length = sizeof storage;
  if (getsockname(fd, (struct sockaddr *)&storage, &length) != 0) {
    return -errno;
  }
  qtun_address_load(&storage, bound);
  return 0;
}

static void set_option(int fd, int level, int option, int value) {
  // Every option set this way is an optimisation or a report; its absence is no error.
  (void)setsockopt(fd, level, option, &value, sizeof value);
}

static void configure_udp(int fd, bool is_ipv4, bool is_plain, uint32_t buffer_bytes) {
  // IPv4 options apply to a dual-stack socket's IPv4 traffic as well.
  set_option(fd, IPPROTO_IP, IP_PKTINFO, 1);
  // RFC 8899 §3: probes must not be fragmented, and the kernel's own path MTU is not believed.
  set_option(fd, IPPROTO_IP, IP_MTU_DISCOVER, is_plain ? IP_PMTUDISC_DONT : IP_PMTUDISC_PROBE);
  set_option(fd, IPPROTO_IP, IP_RECVTOS, !is_plain);
  if (!is_ipv4) {
    set_option(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
    set_option(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER,
               is_plain ? IPV6_PMTUDISC_DONT : IPV6_PMTUDISC_PROBE);
    set_option(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, !is_plain);
  }
  set_option(fd, SOL_SOCKET, SO_RCVBUF, (int)buffer_bytes);
  set_option(fd, SOL_SOCKET, SO_SNDBUF, (int)buffer_bytes);
  set_option(fd, IPPROTO_UDP, UDP_GRO, 1);
}

enum udp_use { for_quic, for_quic_shared, for_programs };

static int udp_open(const qtun_address *address, enum udp_use use, uint32_t buffer_bytes,
                    qtun_address *bound, bool *is_ipv4) {
  *is_ipv4 = is_mapped(address);
  bool wildcard = address->high == 0 && address->low == 0;
  int fd = socket(*is_ipv4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  qtun_address actual = *address;
  if (fd < 0 && errno == EAFNOSUPPORT && wildcard) {
    // The kernel has no IPv6: the wildcard becomes IPv4's.
    *is_ipv4 = true;
    actual.low = mapped_prefix;
    fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  }
  if (fd < 0) {
    return -errno;
  }
  if (!*is_ipv4) {
    set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, !wildcard);
  }
  configure_udp(fd, *is_ipv4, use == for_programs, buffer_bytes);
  if (use == for_quic_shared) {
    // If it is refused, so is the binding.
    (void)qtun_udp_share_port(fd, true);
  }
  int result = bind_to(fd, *is_ipv4, &actual, bound);
  if (result == -EADDRNOTAVAIL && wildcard && !*is_ipv4) {
    // IPv6 is compiled in but disabled by sysctl.
    close(fd);
    actual.low = mapped_prefix;
    return udp_open(&actual, use, buffer_bytes, bound, is_ipv4);
  }
  if (result != 0) {
    close(fd);
    return result;
  }
  return fd;
}

int qtun_udp_plain_copy(int fd, bool is_ipv4) {
  int copy = dup(fd);
  if (copy < 0) {
    return -errno;
  }
  set_option(copy, IPPROTO_UDP, UDP_GRO, 0);
  set_option(copy, IPPROTO_IP, IP_RECVTOS, 0);
  set_option(copy, IPPROTO_IP, IP_PKTINFO, 0);
  set_option(copy, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_WANT);
  if (!is_ipv4) {
    set_option(copy, IPPROTO_IPV6, IPV6_RECVTCLASS, 0);
    set_option(copy, IPPROTO_IPV6, IPV6_RECVPKTINFO, 0);
    set_option(copy, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_WANT);
  }
  if (fcntl(copy, F_SETFL, 0) < 0) {
    int error = errno;
    close(copy);
    return -error;
  }
  return copy;
}

int qtun_udp_open(const qtun_address *address, uint32_t buffer_bytes, qtun_address *bound,
                  bool *is_ipv4) {
  return udp_open(address, for_quic, buffer_bytes, bound, is_ipv4);
}

int qtun_udp_open_shared(const qtun_address *address, uint32_t buffer_bytes, qtun_address *bound,
                         bool *is_ipv4) {
  return udp_open(address, for_quic_shared, buffer_bytes, bound, is_ipv4);
}

int qtun_udp_open_plain(const qtun_address *address, uint32_t buffer_bytes, qtun_address *bound,
                        bool *is_ipv4) {
  return udp_open(address, for_programs, buffer_bytes, bound, is_ipv4);
}

int qtun_udp_connect(const qtun_address *remote, uint32_t buffer_bytes, qtun_address *bound,
                     bool *is_ipv4) {
  *is_ipv4 = is_mapped(remote);
  int fd = socket(*is_ipv4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) {
    return -errno;
  }
  configure_udp(fd, *is_ipv4, true, buffer_bytes);
  struct sockaddr_storage storage;
  socklen_t length = store_for(*is_ipv4, remote, &storage);
  int result = connect(fd, (struct sockaddr *)&storage, length) == 0 ? 0 : -errno;
  length = sizeof storage;
  if (result == 0 && getsockname(fd, (struct sockaddr *)&storage, &length) != 0) {
    result = -errno;
  }
  if (result != 0) {
    close(fd);
    return result;
  }
  qtun_address_load(&storage, bound);
  return fd;
}

static void read_control(struct msghdr *message, qtun_received *received) {
  for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
    if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TOS) {
      received->ecn = *(const uint8_t *)CMSG_DATA(c) & 3;
    } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_TCLASS) {
      int traffic_class;
      memcpy(&traffic_class, CMSG_DATA(c), sizeof traffic_class);
      received->ecn = (uint8_t)traffic_class & 3;
    } else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
      struct in_pktinfo info;
      memcpy(&info, CMSG_DATA(c), sizeof info);
      load_in4(&info.ipi_addr, &received->local);
    } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
      struct in6_pktinfo info;
      memcpy(&info, CMSG_DATA(c), sizeof info);
      load_in6(&info.ipi6_addr, &received->local);
      // Only link-local addresses need the interface to be unique (RFC 4007 §6).
      if ((received->local.high >> 54) == (0xfe80 >> 6)) {
        received->local.scope = (uint32_t)info.ipi6_ifindex;
      }
    } else if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO) {
      int segment;
      memcpy(&segment, CMSG_DATA(c), sizeof segment);
      received->segment_size = (uint32_t)segment;
    }
  }
}

int qtun_udp_receive(int fd, uint8_t *buffers, uint16_t bound_port, qtun_received *received) {
  struct mmsghdr messages[QTUN_BATCH];
  struct iovec vectors[QTUN_BATCH];
  struct sockaddr_storage names[QTUN_BATCH];
  union {
    struct cmsghdr align;
    uint8_t bytes[CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(struct in_pktinfo)) +
                  3 * CMSG_SPACE(sizeof(int))];
  } controls[QTUN_BATCH];
  for (int i = 0; i < QTUN_BATCH; i++) {
    vectors[i].iov_base = buffers + (size_t)i * QTUN_RECEIVE_BUFFER;
    vectors[i].iov_len = QTUN_RECEIVE_BUFFER;
    messages[i].msg_len = 0;
    messages[i].msg_hdr = (struct msghdr){.msg_name = &names[i],
                                          .msg_namelen = sizeof names[i],
                                          .msg_iov = &vectors[i],
                                          .msg_iovlen = 1,
                                          .msg_control = &controls[i],
                                          .msg_controllen = sizeof controls[i]};
  }
  int count = recvmmsg(fd, messages, QTUN_BATCH, 0, NULL);
  if (count < 0) {
    return -errno;
  }
  for (int i = 0; i < count; i++) {
    qtun_received *out = &received[i];
    memset(out, 0, sizeof *out);
    out->base = vectors[i].iov_base;
    out->length = messages[i].msg_len;
    out->segment_size = messages[i].msg_len;
    qtun_address_load(&names[i], &out->remote);
    read_control(&messages[i].msg_hdr, out);
    out->local.port = bound_port;
  }
  return count;
}

static size_t write_control(struct msghdr *message, bool is_ipv4, const qtun_transmit *transmit) {
  bool to_ipv4 = is_ipv4 || is_mapped(&transmit->remote);
  struct cmsghdr *c = CMSG_FIRSTHDR(message);
  size_t used = 0;
  if (transmit->ecn) {
    int value = transmit->ecn;
    c->cmsg_level = to_ipv4 ? IPPROTO_IP : IPPROTO_IPV6;
    c->cmsg_type = to_ipv4 ? IP_TOS : IPV6_TCLASS;
    c->cmsg_len = CMSG_LEN(sizeof value);
    memcpy(CMSG_DATA(c), &value, sizeof value);
    used += CMSG_SPACE(sizeof value);
    c = (struct cmsghdr *)((uint8_t *)message->msg_control + used);
  }
  if (transmit->hop_limit) {
    int value = transmit->hop_limit;
    c->cmsg_level = to_ipv4 ? IPPROTO_IP : IPPROTO_IPV6;
    c->cmsg_type = to_ipv4 ? IP_TTL : IPV6_HOPLIMIT;
    c->cmsg_len = CMSG_LEN(sizeof value);
    memcpy(CMSG_DATA(c), &value, sizeof value);
    used += CMSG_SPACE(sizeof value);
    c = (struct cmsghdr *)((uint8_t *)message->msg_control + used);
  }
  if (transmit->segment_size < transmit->length) {
    uint16_t value = (uint16_t)transmit->segment_size;
    c->cmsg_level = IPPROTO_UDP;
    c->cmsg_type = UDP_SEGMENT;
    c->cmsg_len = CMSG_LEN(sizeof value);
    memcpy(CMSG_DATA(c), &value, sizeof value);
    used += CMSG_SPACE(sizeof value);
    c = (struct cmsghdr *)((uint8_t *)message->msg_control + used);
  }
  if (!is_unset(&transmit->local)) {
    if (to_ipv4) {
      struct in_pktinfo info = {.ipi_spec_dst.s_addr = htonl((uint32_t)transmit->local.low)};
      c->cmsg_level = IPPROTO_IP;
      c->cmsg_type = IP_PKTINFO;
      c->cmsg_len = CMSG_LEN(sizeof info);
      memcpy(CMSG_DATA(c), &info, sizeof info);
      used += CMSG_SPACE(sizeof info);
    } else {
      struct in6_pktinfo info = {.ipi6_ifindex = transmit->local.scope};
      store_be64(info.ipi6_addr.s6_addr, transmit->local.high);
      store_be64(info.ipi6_addr.s6_addr + 8, transmit->local.low);
      c->cmsg_level = IPPROTO_IPV6;
      c->cmsg_type = IPV6_PKTINFO;
      c->cmsg_len = CMSG_LEN(sizeof info);
      memcpy(CMSG_DATA(c), &info, sizeof info);
      used += CMSG_SPACE(sizeof info);
    }
  }
  return used;
}

int qtun_udp_send(int fd, bool is_ipv4, const qtun_transmit *transmits, unsigned count) {
  struct mmsghdr messages[QTUN_BATCH];
  struct iovec vectors[QTUN_BATCH];
  struct sockaddr_storage names[QTUN_BATCH];
  union {
    struct cmsghdr align;
    uint8_t bytes[CMSG_SPACE(sizeof(struct in6_pktinfo)) + 3 * CMSG_SPACE(sizeof(int))];
  } controls[QTUN_BATCH];
  if (count > QTUN_BATCH) {
    count = QTUN_BATCH;
  }
  for (unsigned i = 0; i < count; i++) {
    const qtun_transmit *transmit = &transmits[i];
    bool is_connected = transmit->remote.port == 0 && is_unset(&transmit->remote);
    if (is_ipv4 && !is_mapped(&transmit->remote) && !is_connected) {
      if (i == 0) {
        return -EAFNOSUPPORT;
      }
      count = i;
      break;
    }
    vectors[i].iov_base = (void *)transmit->base;
    vectors[i].iov_len = transmit->length;
    messages[i].msg_len = 0;
    messages[i].msg_hdr =
        (struct msghdr){.msg_name = is_connected ? NULL : &names[i],
                        .msg_namelen =
                            is_connected ? 0 : store_for(is_ipv4, &transmit->remote, &names[i]),
                        .msg_iov = &vectors[i],
                        .msg_iovlen = 1,
                        .msg_control = &controls[i],
                        .msg_controllen = sizeof controls[i]};
    size_t used = write_control(&messages[i].msg_hdr, is_ipv4, transmit);
    messages[i].msg_hdr.msg_controllen = used;
    if (used == 0) {
      messages[i].msg_hdr.msg_control = NULL;
    }
  }
  int sent = count == 1 ? (sendmsg(fd, &messages[0].msg_hdr, 0) < 0 ? -1 : 1)
                        : sendmmsg(fd, messages, count, 0);
  return sent < 0 ? -errno : sent;
}

int qtun_route_source(const qtun_address *remote, qtun_address *source) {
  bool is_ipv4 = is_mapped(remote);
  int fd = socket(is_ipv4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) {
    return -errno;
  }
  struct sockaddr_storage storage;
  socklen_t length = store_for(is_ipv4, remote, &storage);
  int result = 0;
  // connect() on a datagram socket sends nothing; it only resolves the route.
  if (connect(fd, (struct sockaddr *)&storage, length) != 0) {
    result = -errno;
  } else {
    length = sizeof storage;
    if (getsockname(fd, (struct sockaddr *)&storage, &length) != 0) {
      result = -errno;
    } else {
      qtun_address_load(&storage, source);
      source->port = 0;
      if ((source->high >> 54) != (0xfe80 >> 6)) {
        source->scope = 0;
      }
    }
  }
  close(fd);
  return result;
}

// MARK: TCP

int qtun_tcp_listen(const qtun_address *address, int backlog, qtun_address *bound) {
  bool is_ipv4 = is_mapped(address);
  int fd = socket(is_ipv4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) {
    return -errno;
  }
  set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  if (!is_ipv4) {
    set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, address->high != 0 || address->low != 0);
  }
  int result = bind_to(fd, is_ipv4, address, bound);
  if (result == 0 && listen(fd, backlog) != 0) {
    result = -errno;
  }
  if (result != 0) {
    close(fd);
    return result;
  }
  return fd;
}

int qtun_tcp_accept(int listener, qtun_address *remote) {
  struct sockaddr_storage storage;
  socklen_t length = sizeof storage;
  int fd = accept4(listener, (struct sockaddr *)&storage, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (fd < 0) {
    return -errno;
  }
  qtun_address_load(&storage, remote);
  set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  return fd;
}

int qtun_socket_local_address(int fd, qtun_address *local) {
  struct sockaddr_storage storage;
  socklen_t length = sizeof storage;
  if (getsockname(fd, (struct sockaddr *)&storage, &length) != 0) {
    return -errno;
  }
  qtun_address_load(&storage, local);
  return 0;
}

int qtun_tcp_connect(const qtun_address *remote) {
  bool is_ipv4 = is_mapped(remote);
  int fd = socket(is_ipv4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) {
    return -errno;
  }
  set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  struct sockaddr_storage storage;
  socklen_t length = store_for(is_ipv4, remote, &storage);
  if (connect(fd, (struct sockaddr *)&storage, length) != 0 && errno != EINPROGRESS) {
    int result = -errno;
    close(fd);
    return result;
  }
  return fd;
}

int qtun_socket_error(int fd) {
  int error = 0;
  socklen_t length = sizeof error;
  if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) != 0) {
    return errno;
  }
  return error;
}

void qtun_socket_reset_on_close(int fd) {
  struct linger linger = {.l_onoff = 1, .l_linger = 0};
  (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
}
