import QuicTransport

@testable import Tunnel

extension FuzzTarget {
  /// What says who may do what.
  static let access = [
    FuzzTarget(name: "grant", family: .tickets, run: grant),
    FuzzTarget(name: "ledger", family: .tickets, run: ledger),
    FuzzTarget(name: "token", family: .tokens, run: token),
    FuzzTarget(name: "token-list", family: .tokens, run: tokenList),
    FuzzTarget(name: "relay-message", family: .rendezvous, run: relayMessage),
    FuzzTarget(name: "target-rules", family: .proxies, run: targetRules),
    FuzzTarget(name: "target-host", family: .proxies, run: targetHost),
  ]

  /// The bytes decide what a ticket allows, so there is one way to write each grant.
  private static func grant(_ bytes: UnsafeRawBufferPointer) {
    guard let grant = Grant(Array(bytes)) else { return }
    require(grant.bytes == Array(bytes), "two ways to write one grant")
  }

  private static func ledger(_ bytes: UnsafeRawBufferPointer) {
    guard let ledger = try? Ledger(text: Array(bytes)) else { return }
    guard let again = try? Ledger(text: ledger.text) else {
      return require(false, "a list does not read what it wrote")
    }
    require(again.text == ledger.text, "a list changes by being written")
  }

  /// There is one way to write each token, but for the case of its letters.
  private static func token(_ bytes: UnsafeRawBufferPointer) {
    let text = String(decoding: bytes, as: UTF8.self)
    guard let token = RelayToken(text) else { return }
    require(token.text == text.lowercased(), "two ways to write one token")
  }

  private static func tokenList(_ bytes: UnsafeRawBufferPointer) {
    guard let list = try? TokenList(text: Array(bytes)) else { return }
    guard let again = try? TokenList(text: list.text) else {
      return require(false, "a list does not read what it wrote")
    }
    require(again == list, "a list changes by being written")
  }

  /// What a node and its relay say to each other: the type in the first byte, then the body.
  private static func relayMessage(_ bytes: UnsafeRawBufferPointer) {
    guard let type = bytes.first,
      let message = RelayMessage(type: UInt64(type), body: Array(bytes.dropFirst()))
    else { return }
    if case .unknown = message { return }
    var decoder = MessageDecoder<RelayMessage>()
    decoder.append(message.encoded)
    require(decoder.next() == .message(message), "a message changes by being passed on")
  }

  /// Whatever the rules say, what is special is opened by nothing but a network inside of it.
  private static func targetRules(_ bytes: UnsafeRawBufferPointer) {
    let text = String(decoding: bytes, as: UTF8.self)
    guard let rules = try? TargetRules(text), !text.contains("/") else { return }
    let isAddress = text.split(separator: ",").contains { word in
      word.contains("[") || word.allSatisfy { $0.isNumber || ".:-*".contains($0) }
    }
    guard !isAddress else { return }
    for address in specialAddresses {
      require(
        !rules.permits(address.with(port: 443), name: "name.example", isOwn: false),
        "a rule about names opens \(address)")
    }
  }

  /// Names that are none of addresses in disguise.
  private static func targetHost(_ bytes: UnsafeRawBufferPointer) {
    let text = String(decoding: bytes, as: UTF8.self)
    switch TargetHost(Destination(host: text, port: 1)) {
    case .name(let name)?:
      require(TargetHost.normalized(name) == name, "a name has two forms")
      require(name.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f }, "a name that no name server has")
      require(SocketAddress(name, port: 1) == nil, "an address passes for a name")
    case .address(let address)?: require(address.port == 1, "an address has another port")
    case nil: break
    }
  }

  private static let specialAddresses = [
    "127.0.0.1", "10.0.0.1", "169.254.169.254", "192.168.1.1", "0.0.0.0", "224.0.0.1", "::1",
    "fe80::1", "fd00:ec2::254", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::",
  ].compactMap { SocketAddress($0, port: 0) }
}
