internal import CNgtcp2

/// The memory that UDP sockets receive into; one per loop, since what arrived is handed on before the
/// next receive. Only what datagrams actually fill becomes resident.
final class ReceiveMemory {
  let buffers = UnsafeMutablePointer<UInt8>.allocate(
    capacity: Int(QTUN_BATCH * QTUN_RECEIVE_BUFFER))
  let messages = UnsafeMutablePointer<qtun_received>.allocate(capacity: Int(QTUN_BATCH))

  init() {
    messages.initialize(repeating: qtun_received(), count: Int(QTUN_BATCH))
  }

  deinit {
    buffers.deallocate()
    messages.deallocate()
  }
}
