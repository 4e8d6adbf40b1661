/// The memory that packets are written into before they leave; one per endpoint, used by one
/// connection at a time. An object of its own, so that it is released whatever becomes of the
/// endpoint's init.
final class PacketMemory {
  let base = UnsafeMutableRawPointer.allocate(byteCount: PacketBatch.capacity, alignment: 64)

  deinit {
    base.deallocate()
  }
}
