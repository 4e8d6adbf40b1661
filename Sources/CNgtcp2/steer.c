#include "CNgtcp2.h"

#include <errno.h>
#include <linux/filter.h>

#ifndef SO_ATTACH_REUSEPORT_CBPF
#define SO_ATTACH_REUSEPORT_CBPF 51
#endif

int qtun_udp_share_port(int fd, bool is_shared) {
  int value = is_shared;
  return setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &value, sizeof value) == 0 ? 0 : -errno;
}

int qtun_udp_steer(int fd, uint8_t first_byte, uint32_t offset, uint32_t count) {
  // Offsets are those of the UDP payload. A load beyond the end of the datagram ends the program
  // with 0, which is the first socket.
  struct sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, first_byte, 0, 3),
      BPF_STMT(BPF_LD | BPF_B | BPF_ABS, offset),
      BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, count),
      BPF_STMT(BPF_RET | BPF_A, 0),
      BPF_STMT(BPF_RET | BPF_K, 0),
  };
  struct sock_fprog program = {.len = sizeof code / sizeof code[0], .filter = code};
  if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof program) != 0) {
    return -errno;
  }
  return 0;
}
