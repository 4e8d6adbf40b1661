import QuicTransport
import Simulation

@testable import Tunnel

/// A QUIC endpoint that speaks qtun/1 only as far as a test makes it: the honest stranger, the
/// broken implementation and the attacker.
final class RawPeer: ConnectionDelegate {
  private(set) var connection: ConnectionCore?
  private(set) var isReady = false
  private(set) var error: QuicError?
  /// Streams, whoever opened them; the control stream first.
  private(set) var streams: [Recorder] = []
  /// Called once both sides proved who they are.
  var onReady: ((RawPeer) -> Void)?
  /// Called with the first bytes on any stream.
  var onWelcome: (() -> Void)?
  /// Called for each stream that the other side opens, before its first bytes.
  var onOpened: ((Recorder) -> Void)?

  let endpoint: EndpointCore

  init(
    loop: SimLoop, socket: SimSocket, identity: Identity, acceptsConnections: Bool,
    change: (inout EndpointSettings) -> Void = { _ in }
  ) throws {
    var settings = TunnelWorld.sessionSettings.endpointSettings(
      identity: identity, acceptsConnections: acceptsConnections)
    change(&settings)
    endpoint = try EndpointCore(loop: loop, settings: settings)
    endpoint.add(socket)
    endpoint.onIncoming = { [weak self] connection in
      self?.connection = connection
      connection.delegate = self
    }
  }

  func dial(_ address: SocketAddress, expecting identity: Identity) throws {
    connection = try endpoint.connect(
      to: ConnectTarget(address: address, expectedPeer: identity.publicKey, serverName: nil),
      delegate: self)
  }

  /// Opens a stream and sends these bytes on it.
  @discardableResult
  func open(unidirectional: Bool = false, sending bytes: [UInt8]) throws -> Recorder {
    guard let connection else { throw StreamError.alreadyClosed }
    let recorder = Recorder(try connection.openStream(unidirectional: unidirectional))
    recorder.onBytes = { [weak self] in
      self?.onWelcome?()
      self?.onWelcome = nil
    }
    streams.append(recorder)
    try recorder.stream.write(bytes)
    return recorder
  }

  /// The HELLO that a dialer with this capability sends.
  func hello(capability: SecretBytes, version: UInt64 = 1) -> [UInt8] {
    guard let connection,
      let proof = CapabilityProof.make(capability: capability, connection: connection)
    else { return [] }
    let hello = ControlMessage.Hello(version: version, capabilities: 0, proof: proof)
    return ControlMessage.hello(hello).encoded
  }

  // MARK: ConnectionDelegate

  func connectionReady(_ connection: ConnectionCore) {
    isReady = true
    onReady?(self)
  }

  func connection(_ connection: ConnectionCore, opened stream: StreamCore) {
    let recorder = Recorder(stream)
    streams.append(recorder)
    onOpened?(recorder)
  }

  func connectionAllowsStreams(_ connection: ConnectionCore) {}

  func connection(_ connection: ConnectionCore, received datagram: UnsafeRawBufferPointer) {}

  func connection(_ connection: ConnectionCore, closed error: QuicError) {
    self.error = error
  }

  /// Writes down what happens to one stream.
  final class Recorder: StreamDelegate {
    let stream: StreamCore
    private(set) var bytes: [UInt8] = []
    private(set) var sawEnd = false
    private(set) var resetCode: UInt64?
    private(set) var stopCode: UInt64?
    private(set) var isClosed = false
    var onBytes: (() -> Void)?
    /// While false, bytes stay in the stream, and no credit goes back for them.
    var reads = true

    init(_ stream: StreamCore) {
      self.stream = stream
      stream.delegate = self
    }

    /// The control messages that arrived so far.
    var messages: [ControlMessage] {
      var decoder = ControlDecoder()
      decoder.append(bytes)
      var messages: [ControlMessage] = []
      while case .message(let message) = decoder.next() { messages.append(message) }
      return messages
    }

    func streamReadable(_ stream: StreamCore) {
      guard reads else { return }
      withUnsafeTemporaryAllocation(byteCount: 4_096, alignment: 1) { buffer in
        while stream.readableCount > 0 {
          bytes.append(contentsOf: buffer[..<stream.read(into: buffer)])
        }
      }
      onBytes?()
      if stream.isAtEnd { sawEnd = true }
    }

    func streamWritable(_ stream: StreamCore) {}
    func streamReset(_ stream: StreamCore, code: UInt64) { resetCode = code }
    func streamStopped(_ stream: StreamCore, code: UInt64) { stopCode = code }
    func streamClosed(_ stream: StreamCore, error: QuicError?) { isClosed = true }
  }
}
