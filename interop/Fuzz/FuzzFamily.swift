/// Decoders that are related, and as fast as each other, in one target of libFuzzer: the first byte
/// of an input says whose it is.
///
/// What is simulated is a thousand times as slow as a decoder, so it is in families of one.
enum FuzzFamily: String, CaseIterable {
  /// A pair of connections, and what the network does to it.
  case connection
  /// Datagrams before there is a connection.
  case routing
  /// A server of HTTP/3.
  case http3Session = "http3-session"
  /// What the two sides of a tunnel say.
  case tunnel
  /// What peers and relays say before that.
  case rendezvous
  /// Datagrams of netpunch.
  case netpunch
  /// Who is let in by a ticket, and to what.
  case tickets
  /// Who may use a relay, and what it keeps.
  case tokens
  /// What STUN servers and gateways answer.
  case gateways
  /// What local programs ask of a proxy.
  case proxies
  /// Heads of HTTP messages, and names of visitors.
  case heads
  /// The framing of byte streams that carry datagrams.
  case carriers
  /// HTTP/3 as HTTP/1.1, and back.
  case http3
  /// What stands before ngtcp2.
  case guards

  /// In the order of their numbers, which seeds do not hold: see interop/run-fuzz.
  var targets: [FuzzTarget] { FuzzTarget.all.filter { $0.family == self } }
}
