import Glibc

/// One end of the link: a TUN interface, which vanishes with this object.
///
/// The kernel segments and finishes checksums before it hands packets out, so each read is one
/// packet as a wire would see it.
final class TunDevice {
  let descriptor: Int32

  /// Makes the interface in the namespace of this process; it may be moved afterwards.
  init(name: String) throws(LinkError) {
    guard (1...Self.nameMax).contains(name.utf8.count) else {
      throw .usage("\(name): an interface name has 1 to \(Self.nameMax) bytes")
    }
    descriptor = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC)
    guard descriptor >= 0 else { throw .current("open /dev/net/tun") }
    // struct ifreq: 16 bytes of name, then a union of 24, here flags.
    var request = [UInt8](repeating: 0, count: 40)
    request.replaceSubrange(0..<name.utf8.count, with: name.utf8)
    request[16] = UInt8(Self.tunFlags & 0xff)
    request[17] = UInt8(Self.tunFlags >> 8)
    guard ioctl(descriptor, Self.setInterface, &request) == 0 else { throw .current("TUNSETIFF") }
  }

  deinit { close(descriptor) }

  /// The next packet that the kernel sends here, or nil when there is none now.
  func read(into buffer: UnsafeMutableRawBufferPointer) throws(LinkError) -> Packet? {
    let count = Glibc.read(descriptor, buffer.baseAddress, buffer.count)
    if count > 0 { return Packet(bytes: Array(buffer[..<count])) }
    // EIO: the interface is down.
    guard count < 0, [EAGAIN, EINTR, EIO].contains(errno) else { throw .current("read from TUN") }
    return nil
  }

  /// Hands a packet to the kernel; one that it does not take is lost, as on any link.
  func write(_ packet: Packet) {
    _ = packet.bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
  }

  private static let nameMax = 15
  /// IFF_TUN | IFF_NO_PI of <linux/if_tun.h>: bare IP packets.
  private static let tunFlags: UInt16 = 0x1001
  /// TUNSETIFF of <linux/if_tun.h>.
  private static let setInterface: UInt = 0x4004_54ca
}
