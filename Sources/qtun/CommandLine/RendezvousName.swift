internal import QuicTransport
internal import Tunnel

/// A rendezvous as `qtun relay` prints it: `KEY@HOST:PORT`, or `KEY@HOST` at the usual port.
///
/// The key is not optional: who answers at an address decides which addresses our peers are told.
struct RendezvousName: Equatable, Sendable, CustomStringConvertible {
  /// The identity that it must prove.
  let key: PublicKey
  /// Where it is.
  let address: HostPort

  /// The form that `parse` reads.
  var description: String { "\(key)@\(address)" }

  /// Reads a word of the command line.
  static func parse(_ text: String) throws(ValueProblem) -> RendezvousName {
    guard let at = text.lastIndex(of: "@") else {
      throw ValueProblem(
        text, "does not say which key the rendezvous has",
        fix: "copy KEY@HOST:PORT from the line that `qtun relay` printed")
    }
    guard let bytes = Base32.decode(text[..<at]), let key = PublicKey(bytes) else {
      throw ValueProblem(
        text, "does not begin with a key",
        fix: "copy KEY@HOST:PORT from the line that `qtun relay` printed")
    }
    return RendezvousName(
      key: key, address: try parseAddress(String(text[text.index(after: at)...])))
  }

  /// A host with or without port.
  static func parseAddress(_ text: String) throws(ValueProblem) -> HostPort {
    try HostPort.parse(
      hasPort(text) ? text : "\(text):\(Relay.defaultPort)", rule: .service)
  }

  fileprivate static func hasPort(_ text: String) -> Bool {
    text.hasPrefix("[") ? !text.hasSuffix("]") : text.contains(":")
  }
}

extension ValueParser where Value == RendezvousName {
  /// A rendezvous with its key.
  static let rendezvous = ValueParser { (text) throws(ValueProblem) in
    try RendezvousName.parse(text)
  }
}

extension ValueParser where Value == HostPort {
  /// Where a relay is, whether or not its key stands in front.
  static let relayPlace = ValueParser { (text) throws(ValueProblem) in
    text.contains("@")
      ? try RendezvousName.parse(text).address : try RendezvousName.parseAddress(text)
  }

  /// Where a relay or another STUN server is.
  static let relayName = ValueParser { (text) throws(ValueProblem) in
    try RendezvousName.parseAddress(text)
  }

  /// The public name of a relay of our own; port 0, where none is written, is the one it listens at.
  static let ownName = ValueParser { (text) throws(ValueProblem) in
    let place = try RendezvousName.parseAddress(text)
    return RendezvousName.hasPort(text) ? place : HostPort(host: place.host, port: 0)
  }
}
