#include "address.h"

#include <stdlib.h>

_Static_assert(sizeof(struct sockaddr_in6) == 28, "qtun_address_store fills 28 bytes");

void qtun_address_store(const qtun_address *address, void *storage) {
  struct sockaddr_in6 in6;
  memset(&in6, 0, sizeof in6);
  in6.sin6_family = AF_INET6;
  in6.sin6_port = htons(address->port);
  in6.sin6_scope_id = address->scope;
  store_be64(in6.sin6_addr.s6_addr, address->high);
  store_be64(in6.sin6_addr.s6_addr + 8, address->low);
  memcpy(storage, &in6, sizeof in6);
}

void qtun_address_load(const void *storage, qtun_address *address) {
  sa_family_t family;
  memcpy(&family, storage, sizeof family);
  memset(address, 0, sizeof *address);
  if (family == AF_INET) {
    struct sockaddr_in in4;
    memcpy(&in4, storage, sizeof in4);
    load_in4(&in4.sin_addr, address);
    address->port = ntohs(in4.sin_port);
  } else if (family == AF_INET6) {
    struct sockaddr_in6 in6;
    memcpy(&in6, storage, sizeof in6);
    load_in6(&in6.sin6_addr, address);
    address->port = ntohs(in6.sin6_port);
    address->scope = in6.sin6_scope_id;
  }
}

uint32_t qtun_address_store_family(const qtun_address *address, void *storage) {
  struct sockaddr_storage plain;
  socklen_t length = store_for(is_mapped(address), address, &plain);
  memcpy(storage, &plain, length);
  return length;
}

void qtun_address_format(const qtun_address *address, char *text, size_t capacity) {
  if (is_mapped(address)) {
    struct in_addr in4 = {.s_addr = htonl((uint32_t)address->low)};
    inet_ntop(AF_INET, &in4, text, (socklen_t)capacity);
  } else {
    struct in6_addr in6;
    store_be64(in6.s6_addr, address->high);
    store_be64(in6.s6_addr + 8, address->low);
    inet_ntop(AF_INET6, &in6, text, (socklen_t)capacity);
  }
}

bool qtun_address_parse(const char *text, qtun_address *address) {
  memset(address, 0, sizeof *address);
  struct in_addr in4;
  if (inet_pton(AF_INET, text, &in4) == 1) {
    load_in4(&in4, address);
    return true;
  }
  char copy[INET6_ADDRSTRLEN + 1];
  const char *percent = strchr(text, '%');
  size_t length = percent ? (size_t)(percent - text) : strlen(text);
  if (length >= sizeof copy) {
    return false;
  }
  memcpy(copy, text, length);
  copy[length] = 0;
  struct in6_addr in6;
  if (inet_pton(AF_INET6, copy, &in6) != 1) {
    return false;
  }
  load_in6(&in6, address);
  if (percent) {
    address->scope = if_nametoindex(percent + 1);
    if (address->scope == 0) {
      char *end;
      unsigned long index = strtoul(percent + 1, &end, 10);
      if (percent[1] == 0 || *end != 0 || index == 0 || index > UINT32_MAX) {
        return false;
      }
      address->scope = (uint32_t)index;
    }
  }
  return true;
}
