/// Connections that had something to send when a socket was full. When one takes something again these
/// are served, and not thousands that have nothing to say.
struct BlockedConnections {
  private var waiting: [ObjectIdentifier: ConnectionCore] = [:]

  mutating func add(_ connection: ConnectionCore) {
    waiting[ObjectIdentifier(connection)] = connection
  }

  /// It is over.
  mutating func remove(_ connection: ConnectionCore) {
    guard !waiting.isEmpty else { return }
    waiting[ObjectIdentifier(connection)] = nil
  }

  /// All of them, by age; who still finds its socket full comes back.
  mutating func takeAll() -> [ConnectionCore] {
    defer { waiting.removeAll(keepingCapacity: true) }
    return waiting.values.sorted { $0.serial < $1.serial }
  }
}
