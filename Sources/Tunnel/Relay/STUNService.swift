internal import HolePunch
internal import QuicTransport

/// Answers STUN on the relay's own UDP port and on a second one, so that nodes and any other STUN
/// client find out what their NATs do (RFC 8489, RFC 5780).
///
/// There is one address only, so a request to answer from another one gets no answer.
final class STUNService: DatagramReceiver {
  /// Both ports, the endpoint's first.
  let ports: [UInt16]
  private let endpoint: EndpointCore
  private let second: any DatagramSocket
  private var responder: STUNResponder

  /// - Parameter second: a socket of the service's own.
  init(endpoint: EndpointCore, port: UInt16, second: any DatagramSocket) {
    self.endpoint = endpoint
    self.second = second
    ports = [port, second.localAddress.port]
    responder = STUNResponder(otherAddress: nil, now: endpoint.loop.now)
    second.receiver = self
  }

  /// Takes what came to the second port, or what the endpoint did not take for QUIC.
  func receive(_ datagram: ReceivedDatagram, now: Instant) {
    guard let first = datagram.bytes.first, STUNMessage.mayBegin(with: first),
      CarrierKind(datagram.path) == .udp
    else { return }
    let isSecond = datagram.path.local.port == ports[1]
    // A socket bound to every address reports the one that was written to.
    let local = datagram.path.local
    responder.otherAddress = local.isUnspecified ? nil : local.with(port: ports[isSecond ? 0 : 1])
    let answer = responder.answer(
      Array(datagram.bytes), from: datagram.path.remote, now: now)
    guard let answer, !answer.change.address else { return }
    let fromSecond = isSecond != answer.change.port
    let path = NetworkPath(
      local: local.with(port: ports[fromSecond ? 1 : 0]), remote: datagram.path.remote)
    answer.bytes.withUnsafeBytes { bytes in
      let batch = DatagramBatch(
        bytes: bytes, segmentSize: bytes.count, path: path, ecn: .notCapable)
      if !fromSecond {
        _ = endpoint.send(batch)
      } else if !second.isBlocked {
        _ = second.send(batch)
      }
    }
  }

  /// Does nothing: clients repeat their questions.
  func datagramSocketWritable(_ socket: any DatagramSocket) {}

  func close() { second.close() }
}
