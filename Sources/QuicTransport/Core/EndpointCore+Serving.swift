/// What the endpoint does for its connections.
extension EndpointCore: ConnectionHost {
  var packetMemory: UnsafeMutableRawPointer { packets.base }

  var now: Instant { loop.now }

  /// Sends on the socket whose address is `batch.path.local`. For routers and control messages;
  /// connections without a router use it as well.
  public func send(_ batch: DatagramBatch) -> SendResult {
    guard let socket = sockets.socket(for: batch.path.local), !socket.isBlocked else {
      return .blocked
    }
    return socket.send(batch)
  }

  func sourceAddress(
    towards remote: SocketAddress, instead local: SocketAddress
  ) -> SocketAddress? {
    sockets.socket(for: local)?.sourceAddress(towards: remote)
  }

  var stalledBytesLeft: Int { Self.stalledBytesMax - chunks.bytesInUse }

  func waitsForSocket(_ connection: ConnectionCore) { blocked.add(connection) }

  func needsFlush(_ connection: ConnectionCore) {
    guard !connection.isDirty else { return }
    connection.isDirty = true
    dirty.append(connection)
    queueFlush()
  }

  func queueFlush() {
    guard !isQueued else { return }
    isQueued = true
    loop.flushAtEndOfTick(self)
  }

  func route(_ id: ConnectionID, to connection: ConnectionCore) {
    routes[id]?.routes.remove(id)
    routes[id] = connection
    connection.routes.insert(id)
  }

  func unroute(_ id: ConnectionID) {
    routes.removeValue(forKey: id)?.routes.remove(id)
  }

  func route(_ token: ResetToken, to connection: ConnectionCore) {
    resetRoutes[token] = connection
    connection.resetRoutes.insert(token)
  }

  func unroute(_ token: ResetToken, from connection: ConnectionCore) {
    connection.resetRoutes.remove(token)
    // Two peers that share a reset key give out equal tokens for equal IDs.
    if resetRoutes[token] === connection { resetRoutes[token] = nil }
  }

  func makeConnectionID() -> ConnectionID {
    .random(shard: settings.shard)
  }

  func resetToken(for id: ConnectionID) -> [UInt8] {
    secrets.resetToken(for: id)
  }

  func makeToken(for remote: SocketAddress) -> [UInt8]? {
    secrets.makeRegularToken(for: remote, now: now)
  }

  func remember(token: [UInt8], of connection: ConnectionCore) {
    memory.keep(token: token, for: connection.rememberedAs)
  }

  func remember(ticket: [UInt8], of connection: ConnectionCore) {
    memory.keep(ticket: ticket, for: connection.rememberedAs)
  }

  private static let stalledBytesMax = 256 * 1024 * 1024
}
