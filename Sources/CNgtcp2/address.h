// How the sources of this folder convert addresses, with every packet: inlined.
#pragma once

#include "CNgtcp2.h"

#include <string.h>

static const uint64_t mapped_prefix = 0xffffULL << 32;

static inline bool is_mapped(const qtun_address *address) {
  return address->high == 0 && (address->low >> 32) == 0xffff;
}

static inline bool is_unset(const qtun_address *address) {
  return address->high == 0 && (address->low == 0 || address->low == mapped_prefix);
}

static inline uint64_t load_be64(const uint8_t *p) {
  uint64_t value;
  memcpy(&value, p, sizeof value);
  return __builtin_bswap64(value);
}

static inline void store_be64(uint8_t *p, uint64_t value) {
  value = __builtin_bswap64(value);
  memcpy(p, &value, sizeof value);
}

static inline void load_in6(const struct in6_addr *in6, qtun_address *address) {
  address->high = load_be64(in6->s6_addr);
  address->low = load_be64(in6->s6_addr + 8);
}

static inline void load_in4(const struct in_addr *in4, qtun_address *address) {
  address->high = 0;
  address->low = mapped_prefix | ntohl(in4->s_addr);
}

/// Stores for the family of the socket; returns the length.
static inline socklen_t store_for(bool is_ipv4, const qtun_address *address,
                                  struct sockaddr_storage *storage) {
  if (!is_ipv4) {
    qtun_address_store(address, storage);
    return sizeof(struct sockaddr_in6);
  }
  struct sockaddr_in in4;
  memset(&in4, 0, sizeof in4);
  in4.sin_family = AF_INET;
  in4.sin_port = htons(address->port);
  in4.sin_addr.s_addr = htonl((uint32_t)address->low);
  memcpy(storage, &in4, sizeof in4);
  return sizeof in4;
}
