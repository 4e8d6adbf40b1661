/// Stands between a connection and the network, where a path is only a label to QUIC.
///
/// A session may run over carriers that are not UDP and change them while it lives. ngtcp2 then sees
/// labels; the router knows which road each stands for (ARCHITECTURE.md, "The one idea").
/// Called on the loop.
public protocol PathRouter: AnyObject {
  /// A QUIC datagram for this connection arrived on `path`.
  ///
  /// - Returns: the label to hand it to QUIC under, or nil to drop it.
  func label(for path: NetworkPath) -> NetworkPath?

  /// A datagram that arrived on `path` was written by the peer and was no copy: it brought something
  /// new.
  func peerProved(on path: NetworkPath, byteCount: Int)

  /// Sends packets that QUIC wrote for the label `batch.path`.
  func send(_ batch: DatagramBatch) -> SendResult

  /// The tick is over for this connection: what arrived was read, and what may be sent now was sent.
  func tickEnded(now: Instant)

  /// The road in use: what a label stands for when the router is gone.
  var road: NetworkPath { get }

  /// True while the road in use takes nothing; the endpoint then does not have packets written.
  var isBlocked: Bool { get }
}
