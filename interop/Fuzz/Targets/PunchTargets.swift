import QuicTransport

@testable import HolePunch

extension FuzzTarget {
  /// What comes from servers, gateways and peers before there is a session.
  static let punch = [
    FuzzTarget(name: "stun", family: .gateways, run: stun),
    FuzzTarget(name: "probe", family: .rendezvous, run: probe),
    FuzzTarget(name: "port-mapping", family: .gateways, run: portMapping),
    FuzzTarget(name: "netpunch", family: .netpunch, run: netpunch),
  ]

  private static let stranger = SocketAddress(ipv4: 0xcb00_7101, port: 5_000)
  private static let start = Instant(nanoseconds: 1_000_000_000)

  private static func stun(_ bytes: UnsafeRawBufferPointer) {
    let datagram = Array(bytes)
    if let message = STUNMessage(datagram) {
      guard let again = STUNMessage(message.encoded) else {
        return require(false, "a message does not read what it wrote")
      }
      require(again.transaction == message.transaction, "a message changes its transaction")
      require(again.mappedAddress == message.mappedAddress, "a message changes its address")
    }
    var responder = STUNResponder(otherAddress: nil, now: start)
    if let answer = responder.answer(datagram, from: stranger, now: start) {
      require(STUNMessage(answer.bytes) != nil, "an answer that is no STUN")
      require(answer.bytes.count <= 200, "an answer of any length")
    }
  }

  /// Whoever does not hold the key is not heard; whoever does is heard as he wrote.
  private static func probe(_ bytes: UnsafeRawBufferPointer) {
    let keys = PunchKeys(
      secret: SecretBytes([UInt8](repeating: 7, count: 16)), salt: [1],
      ours: Identity.fixtureKeys.0, theirs: Identity.fixtureKeys.1, winsTies: false)
    let datagram = Array(bytes)
    require(ProbeMessage(datagram, keys: keys) == nil, "a stranger guessed a tag")
    guard datagram.count >= 12 else { return }
    var signed = Array(datagram.prefix(ProbeMessage.byteCount - 16))
    signed += Crypto.hmacSHA256(key: keys.receiving, signed).prefix(16)
    _ = ProbeMessage(signed, keys: keys)
  }

  private static func portMapping(_ bytes: UnsafeRawBufferPointer) {
    let datagram = Array(bytes)
    let client = SocketAddress(ipv4: 0xc0a8_0102, port: 4_433)
    guard let nonce = TransactionID([UInt8](1...12)) else { return }
    _ = PCPMessage.response(datagram, client: client, nonce: nonce)
    _ = NATPMPMessage.response(datagram, port: client.port)
  }

  /// A control node and a peer of netpunch: strangers get no word, and those who know the secret
  /// get a bounded number of them.
  private static func netpunch(_ bytes: UnsafeRawBufferPointer) {
    let signer = NetpunchSigner(secret: SecretBytes(Array("MORN".utf8)))
    guard let slot = NetpunchSlot(UInt8(ascii: "a")) else { return }
    var control = NetpunchControl(signer: signer)
    var peer = NetpunchPeer(slot: slot, control: stranger, signer: signer, now: start)
    _ = peer.takeOutputs()
    control.receive(bytes, from: stranger, now: start)
    peer.receive(bytes, from: stranger, now: start)
    let words = (control.takeOutputs() + peer.takeOutputs()).filter {
      if case .send = $0 { true } else { false }
    }
    require(words.isEmpty, "a stranger got an answer")
    guard let sealed = signer.seal(Array(bytes.prefix(64))) else { return }
    sealed.withUnsafeBytes {
      control.receive($0, from: stranger, now: start)
      peer.receive($0, from: stranger, now: start)
    }
    require((control.takeOutputs() + peer.takeOutputs()).count <= 8, "one word got many answers")
  }
}

extension Identity {
  /// Two public keys, made once: that costs more than a run.
  fileprivate static let fixtureKeys = (
    make(1).publicKey, make(2).publicKey
  )

  private static func make(_ number: UInt8) -> Identity {
    guard let identity = Identity(seed: SecretBytes([UInt8](repeating: number, count: 32))) else {
      preconditionFailure("32 bytes are a seed")
    }
    return identity
  }
}
