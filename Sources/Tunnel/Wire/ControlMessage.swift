/// What the two ends of a session say to each other on its control stream, the first bidirectional
/// stream of the client. docs/protocol.md has the bytes and test vectors.
///
///     message: type (varint), length (varint), body (length bytes)
///
/// A receiver skips types that it does not know and ignores what follows the fields it knows, so
/// that later versions can add both.
enum ControlMessage: WireMessage {
  case hello(Hello)
  case welcome(Welcome)
  case goodbye(Goodbye)
  /// After GOODBYE: the sender's flows have ended, with everything passed on to its programs.
  case finished
  /// Dialler to sharing side: listen for me.
  case listen(Listen)
  /// The answer.
  case listening(Listening)
  /// Dialler to sharing side: listen no more for this number.
  case unlisten(UInt64)
  /// The client lost an earlier session of its own, with this number: the server need not keep it.
  case lost(SessionID)
  /// Are you there, and does data pass? The answer repeats the bytes.
  case ping([UInt8])
  case pong([UInt8])
  /// A message of a later version.
  case unknown(type: UInt64)

  /// The client's first message: what it speaks and that it holds the ticket's capability.
  struct Hello: Equatable {
    var version: UInt64
    /// Optional abilities, one bit each: `Capability`.
    var capabilities: UInt64
    /// HMAC-SHA-256 over the TLS exporter, keyed by the ticket's secret.
    var proof: [UInt8]
    /// The bytes of the ticket's grant; none for an unrestricted ticket.
    var grant: [UInt8] = []
  }

  /// The server's answer: the session is open.
  struct Welcome: Equatable {
    var version: UInt64
    var capabilities: UInt64
    var services: [Service]
  }

  /// Something that the sharing side offers.
  struct Service: Equatable {
    var name: String
    /// The port to listen on at the connecting side, unless its user says otherwise.
    var port: UInt16
    var kind = Kind.stream

    /// Which flows it takes; a byte each, behind the list.
    enum Kind: Equatable {
      case stream
      case datagram
      /// TCP to destinations that the dialer names.
      case dynamic
      /// Of a later version.
      case unknown(UInt8)
    }
  }

  /// Bits of `Hello.capabilities` and `Welcome.capabilities`.
  enum Capability {
    /// UDP flows in DATAGRAM frames.
    static let datagramFlows: UInt64 = 1 << 0
    /// In HELLO: takes streams of listeners. In WELCOME: listens, as far as its rules go.
    static let reverseListening: UInt64 = 1 << 2
    /// UDP flows through dynamic services.
    static let namedDatagrams: UInt64 = 1 << 3
  }

  /// The sender opens and accepts no more flows; those that are open may finish.
  struct Goodbye: Equatable {
    var reason: String
  }

  /// The longest body of any message. Enough for 64 services; a stranger cannot make us hold more.
  static let bodyMax = 16 * 1024
  static let servicesMax = 64
  static let nameMax = 255
  private static let reasonMax = 512
  /// More than fills a packet of any path.
  static let pingMax = 2_048

  func write(to body: inout WireWriter) -> UInt64 {
    switch self {
    case .hello(let hello):
      body.varint(hello.version)
      body.varint(hello.capabilities)
      body.prefixed(hello.proof)
      body.prefixed(hello.grant)
      return 1
    case .welcome(let welcome):
      body.varint(welcome.version)
      body.varint(welcome.capabilities)
      body.varint(UInt64(welcome.services.count))
      for service in welcome.services {
        body.prefixed(Array(service.name.utf8))
        body.uint16(service.port)
      }
      for service in welcome.services { body.byte(service.kind.number) }
      return 2
    case .goodbye(let goodbye):
      body.prefixed(Array(goodbye.reason.utf8.prefix(Self.reasonMax)))
      return 3
    case .finished:
      return 4
    case .listen(let listen):
      body.varint(listen.number)
      body.varint(listen.kind.number)
      body.socketAddress(listen.address)
      return 5
    case .listening(let listening):
      body.varint(listening.number)
      body.varint(listening.status.number)
      body.socketAddress(listening.address)
      return 6
    case .unlisten(let number):
      body.varint(number)
      return 7
    case .lost(let session):
      body.uint64(session.number)
      return 8
    case .ping(let bytes):
      body.prefixed(bytes.prefix(Self.pingMax))
      return 9
    case .pong(let bytes):
      body.prefixed(bytes.prefix(Self.pingMax))
      return 10
    case .unknown(let unknown):
      return unknown
    }
  }

  /// Decodes the body of one message; nil if it is malformed.
  init?(type: UInt64, body: [UInt8]) {
    var reader = WireReader(body)
    let message: ControlMessage?
    switch type {
    case 1: message = Self.hello(&reader)
    case 2: message = Self.welcome(&reader)
    case 3:
      message = reader.prefixed(max: Self.reasonMax).map {
        .goodbye(Goodbye(reason: String(decoding: $0, as: UTF8.self)))
      }
    case 4: message = .finished
    case 5: message = Self.listen(&reader)
    case 6: message = Self.listening(&reader)
    case 7: message = reader.varint().map { .unlisten($0) }
    case 8: message = reader.uint64().map { .lost(SessionID(number: $0)) }
    case 9: message = reader.prefixed(max: Self.pingMax).map { .ping(Array($0)) }
    case 10: message = reader.prefixed(max: Self.pingMax).map { .pong(Array($0)) }
    default: message = .unknown(type: type)
    }
    guard let message else { return nil }
    self = message
  }

  private static func hello(_ reader: inout WireReader) -> ControlMessage? {
    guard let version = reader.varint(), let capabilities = reader.varint(),
      let proof = reader.prefixed(max: 64), let grant = reader.prefixed(max: Grant.bytesMax)
    else { return nil }
    return .hello(
      Hello(
        version: version, capabilities: capabilities, proof: Array(proof), grant: Array(grant)))
  }

  private static func welcome(_ reader: inout WireReader) -> ControlMessage? {
    guard let version = reader.varint(), let capabilities = reader.varint(),
      let count = reader.varint(), count <= UInt64(servicesMax)
    else { return nil }
    var services: [Service] = []
    for _ in 0..<count {
      guard let name = reader.prefixed(max: nameMax), let port = reader.uint16() else {
        return nil
      }
      let text = String(decoding: name, as: UTF8.self)
      // A flow names its service, so two of one name cannot be told apart.
      if services.contains(where: { $0.name == text }) { return nil }
      services.append(Service(name: text, port: port, kind: .stream))
    }
    for index in services.indices {
      guard let number = reader.byte() else { return nil }
      services[index].kind = Service.Kind(number: number)
    }
    return .welcome(Welcome(version: version, capabilities: capabilities, services: services))
  }
}

extension ControlMessage.Service.Kind {
  init(number: UInt8) {
    switch number {
    case 0: self = .stream
    case 1: self = .datagram
    case 2: self = .dynamic
    default: self = .unknown(number)
    }
  }

  var number: UInt8 {
    switch self {
    case .stream: 0
    case .datagram: 1
    case .dynamic: 2
    case .unknown(let number): number
    }
  }
}
