internal import QuicTransport

/// The programs that asked a proxy to relay UDP datagrams (RFC 1928 §7), each with a socket of its own
/// that lives as long as the program's TCP connection. On the loop.
final class SocksAssociations {
  /// Binds a UDP socket.
  typealias Bind = (SocketAddress) throws(RuntimeError) -> any DatagramSocket

  let loop: any EventLoop
  let gather: DatagramGather
  private let isOffered: () -> Bool
  private let bind: Bind
  private let open: ProgramDatagrams.Open
  private var associations: [ObjectIdentifier: SocksAssociation] = [:]

  /// - Parameters:
  ///   - gather: through which answers reach programs.
  ///   - isOffered: whether the sharing side takes such flows.
  ///   - open: begins a flow; nil while there is no session for it.
  init(
    loop: any EventLoop, gather: DatagramGather, isOffered: @escaping () -> Bool,
    bind: @escaping Bind, open: @escaping ProgramDatagrams.Open
  ) {
    self.loop = loop
    self.gather = gather
    self.isOffered = isOffered
    self.bind = bind
    self.open = open
  }

  /// How many there are.
  var count: Int { associations.count }

  /// Takes over a program's connection and answers it.
  ///
  /// - Parameters:
  ///   - path: between the program and us; its datagrams come from and go to the same addresses.
  ///   - port: where its datagrams come from, or 0 for wherever the first comes from.
  func begin(_ program: any StreamSocket, over path: NetworkPath, port: UInt16) {
    guard isOffered() else { return refuse(program, 0x07) }
    // A machine that vanished without a word holds its place; the least used makes room.
    if associations.count >= Self.countMax, let oldest = associations.values.min(by: Self.isOlder) {
      oldest.end()
    }
    guard let relay = try? bind(path.local.with(port: 0)) else { return refuse(program, 0x01) }
    let association = SocksAssociation(
      program: program, relay: relay, source: path.remote.with(port: port), owner: self)
    associations[ObjectIdentifier(association)] = association
    association.start()
  }

  /// Ends all of them; safe to call again.
  func close() {
    for association in Array(associations.values) { association.end() }
  }

  func forget(_ association: SocksAssociation) {
    associations[ObjectIdentifier(association)] = nil
  }

  func openFlow(_ end: any DatagramEnd) -> DatagramFlow? { open(end) }

  private func refuse(_ program: any StreamSocket, _ code: UInt8) {
    Farewell.say(ProxyDialect.socks5Reply(code), to: program, loop: loop)
  }

  /// By port where the time is the same, so that a simulation is the same each time.
  private static func isOlder(_ left: SocksAssociation, _ right: SocksAssociation) -> Bool {
    (left.lastUsed, left.port) < (right.lastUsed, right.port)
  }

  /// Two descriptors each. Programs that open one for each question close it again.
  static let countMax = 256
}
