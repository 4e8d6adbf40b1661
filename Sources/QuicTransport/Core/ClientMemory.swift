/// What servers gave us for our next visit: address tokens (RFC 9000 §8.1.3) and session tickets
/// (RFC 8446 §4.6.1). Each is used once, and only so many servers are remembered.
struct ClientMemory {
  private var tokens: [String: [UInt8]] = [:]
  private var tickets: [String: [UInt8]] = [:]

  mutating func keep(token: [UInt8], for server: String) {
    Self.keep(token, for: server, in: &tokens)
  }

  mutating func keep(ticket: [UInt8], for server: String) {
    Self.keep(ticket, for: server, in: &tickets)
  }

  /// A token, or nothing.
  mutating func takeToken(for server: String) -> [UInt8] {
    tokens.removeValue(forKey: server) ?? []
  }

  mutating func takeTicket(for server: String) -> [UInt8]? {
    tickets.removeValue(forKey: server)
  }

  private static func keep(
    _ value: [UInt8], for server: String, in memory: inout [String: [UInt8]]
  ) {
    if memory[server] == nil, memory.count >= serversMax, let other = memory.keys.first {
      memory[other] = nil
    }
    memory[server] = value
  }

  private static let serversMax = 64
}
