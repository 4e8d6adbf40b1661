import QuicTransport
import Simulation

/// The application at one end of a connection; it writes down what happened and when.
final class ConnectionProbe: ConnectionDelegate {
  private let loop: SimLoop
  private(set) var connection: ConnectionCore?
  private(set) var readyAt: Instant?
  private(set) var closedAt: Instant?
  private(set) var error: QuicError?
  private(set) var datagrams: [[UInt8]] = []
  /// Streams that the peer opened, in order.
  private(set) var opened: [StreamProbe] = []
  /// Streams that this side opened; streams hold their delegates weakly.
  private(set) var own: [StreamProbe] = []
  private(set) var allowances = 0
  /// Called for each stream that the peer opens, before its first bytes.
  var onOpened: ((StreamProbe) -> Void)?
  var onReady: ((ConnectionCore) -> Void)?
  var onDatagram: (() -> Void)?
  var onClosed: (() -> Void)?

  init(loop: SimLoop) {
    self.loop = loop
  }

  var isReady: Bool { readyAt != nil }
  var isClosed: Bool { closedAt != nil }

  func watch(_ connection: ConnectionCore) {
    self.connection = connection
    connection.delegate = self
  }

  /// Opens a stream and its probe.
  func open(unidirectional: Bool = false) throws -> StreamProbe {
    guard let connection else { throw StreamError.alreadyClosed }
    let probe = StreamProbe(try connection.openStream(unidirectional: unidirectional))
    own.append(probe)
    return probe
  }

  /// Lets go of all streams.
  func forgetStreams() {
    own = []
    opened = []
  }

  func connectionReady(_ connection: ConnectionCore) {
    readyAt = loop.now
    onReady?(connection)
  }

  func connection(_ connection: ConnectionCore, opened stream: StreamCore) {
    let probe = StreamProbe(stream)
    opened.append(probe)
    onOpened?(probe)
  }

  func connectionAllowsStreams(_ connection: ConnectionCore) { allowances += 1 }

  func connection(_ connection: ConnectionCore, received datagram: UnsafeRawBufferPointer) {
    datagrams.append(Array(datagram))
    onDatagram?()
  }

  func connection(_ connection: ConnectionCore, closed error: QuicError) {
    closedAt = loop.now
    self.error = error
    onClosed?()
  }
}
