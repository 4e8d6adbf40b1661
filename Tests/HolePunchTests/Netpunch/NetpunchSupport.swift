import QuicTransport

@testable import HolePunch

/// A machine and a clock: hands in messages and lets time pass, and keeps what comes out.
struct NetpunchBench<Machine: NetpunchMachine> {
  var machine: Machine
  private(set) var now = start
  /// Everything that was sent, in order.
  private(set) var sent: [Sent] = []
  /// Everything else.
  private(set) var notes: [NetpunchOutput] = []

  static var start: Instant { Instant(nanoseconds: 1_000_000_000) }

  struct Sent: Equatable {
    let after: Duration
    let message: NetpunchMessage
    let to: SocketAddress
  }

  init(_ machine: Machine) {
    self.machine = machine
    advance()
  }

  /// What was sent to an address since the last call of `clear`.
  func sent(to address: SocketAddress) -> [NetpunchMessage] {
    sent.filter { $0.to == address }.map(\.message)
  }

  mutating func clear() {
    sent = []
    notes = []
  }

  mutating func hear(_ message: NetpunchMessage, from source: SocketAddress) {
    hear(Netpunch.signer.seal(message.payload) ?? [], from: source)
  }

  mutating func hear(_ bytes: [UInt8], from source: SocketAddress) {
    bytes.withUnsafeBytes { machine.receive($0, from: source, now: now) }
    drain()
    if machine.deadline <= now { advance() }
  }

  /// Lets time pass, from deadline to deadline.
  mutating func wait(_ duration: Duration) {
    let end = now + duration
    while machine.deadline <= end {
      now = max(now, machine.deadline)
      advance()
    }
    now = end
  }

  private mutating func advance() {
    machine.advance(now: now)
    drain()
  }

  private mutating func drain() {
    for output in machine.takeOutputs() {
      guard case .send(let bytes, let message, let address) = output else {
        notes.append(output)
        continue
      }
      precondition(bytes == Netpunch.signer.seal(message.payload))
      sent.append(Sent(after: now - Self.start, message: message, to: address))
    }
  }
}

/// What the tests of netpunch share.
enum Netpunch {
  static let signer = NetpunchSigner(secret: SecretBytes("MORN".utf8))
  static let control = SocketAddress(ipv4: 0xcb00_7101, port: 7_777)
  static let alice = SocketAddress(ipv4: 0xcb00_7102, port: 5_000)
  static let bob = SocketAddress(ipv4: 0xcb00_7103, port: 6_000)
  static let stranger = SocketAddress(ipv4: 0xc633_6409, port: 9)
  static let a = slot("a")
  static let b = slot("b")

  static func slot(_ letter: Unicode.Scalar) -> NetpunchSlot {
    guard let slot = NetpunchSlot(UInt8(ascii: letter)) else { fatalError("no letter: \(letter)") }
    return slot
  }
}
