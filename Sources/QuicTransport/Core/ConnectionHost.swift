/// What a connection needs from the endpoint around it. Called on the loop.
protocol ConnectionHost: AnyObject {
  /// The tick's clock.
  var now: Instant { get }
  /// Memory for outgoing packets, `PacketBatch.capacity` bytes; used within one flush only.
  var packetMemory: UnsafeMutableRawPointer { get }
  /// The chunks that stream bytes live in.
  var chunks: ChunkPool { get }

  /// Sends on the path that the batch names.
  func send(_ batch: DatagramBatch) -> SendResult
  /// Whether the socket of `path` takes nothing for now, or does not exist any more.
  func isBlocked(_ path: NetworkPath) -> Bool
  /// The address that datagrams to `remote` would come from, on the socket of `local`.
  func sourceAddress(towards remote: SocketAddress, instead local: SocketAddress) -> SocketAddress?
  /// Has `connection` deliver its events and flush at the end of this tick.
  func needsFlush(_ connection: ConnectionCore)
  /// Has `connection` looked at again when a socket that was full takes something.
  func waitsForSocket(_ connection: ConnectionCore)
  /// What the streams of all connections may still hold, beyond a window for each connection.
  var stalledBytesLeft: Int { get }
  /// Packets to `id` belong to `connection` from now on.
  func route(_ id: ConnectionID, to connection: ConnectionCore)
  func unroute(_ id: ConnectionID)
  /// A stateless reset that ends in `token` is for `connection` from now on.
  func route(_ token: ResetToken, to connection: ConnectionCore)
  func unroute(_ token: ResetToken, from connection: ConnectionCore)
  /// A fresh ID that leads to this loop.
  func makeConnectionID() -> ConnectionID
  /// The stateless reset token of `id` (RFC 9000 §10.3.2), 16 bytes.
  func resetToken(for id: ConnectionID) -> [UInt8]
  /// A token for NEW_TOKEN (RFC 9000 §8.1.3); nil for none.
  func makeToken(for remote: SocketAddress) -> [UInt8]?
  /// The server sent us a token or a session ticket for next time.
  func remember(token: [UInt8], of connection: ConnectionCore)
  func remember(ticket: [UInt8], of connection: ConnectionCore)
}

/// Told what happens to a connection. Called on the loop, outside of any C callback.
public protocol ConnectionDelegate: AnyObject {
  /// Both sides proved who they are; streams may be used.
  func connectionReady(_ connection: ConnectionCore)
  /// The peer opened a stream. Set its delegate now: its first bytes are delivered right after.
  func connection(_ connection: ConnectionCore, opened stream: StreamCore)
  /// The peer allows more streams than before.
  func connectionAllowsStreams(_ connection: ConnectionCore)
  /// A DATAGRAM frame arrived; the bytes are valid during the call.
  func connection(_ connection: ConnectionCore, received datagram: UnsafeRawBufferPointer)
  /// Every DATAGRAM frame of this tick was handed over: what was gathered may leave.
  func connectionDeliveredDatagrams(_ connection: ConnectionCore)
  /// The connection is gone. The last call.
  func connection(_ connection: ConnectionCore, closed error: QuicError)
}

extension ConnectionDelegate {
  /// Most gather nothing.
  public func connectionDeliveredDatagrams(_ connection: ConnectionCore) {}
}
