/// A datagram that arrived, valid during the call that hands it over.
public struct ReceivedDatagram {
  /// The UDP payload.
  public var bytes: UnsafeRawBufferPointer
  /// The address that it was sent to, and where it came from.
  public var path: NetworkPath
  /// What routers on the way said.
  public var ecn: ECN

  /// A datagram as a socket hands it over.
  public init(bytes: UnsafeRawBufferPointer, path: NetworkPath, ecn: ECN) {
    self.bytes = bytes
    self.path = path
    self.ecn = ecn
  }
}

/// One or more datagrams of equal size for one path; the last may be shorter. An empty one is always
/// alone.
public struct DatagramBatch {
  /// The payloads, one behind the other.
  public var bytes: UnsafeRawBufferPointer
  /// Bytes of each datagram; `bytes.count` when there is one.
  public var segmentSize: Int
  /// The source address, if it is not unspecified, and the destination.
  public var path: NetworkPath
  /// What to tell routers on the way.
  public var ecn: ECN
  /// IP_TTL or IPV6_UNICAST_HOPS for this batch; nil for the system's.
  public var hopLimit: UInt8?

  /// A batch of one or more datagrams.
  public init(bytes: UnsafeRawBufferPointer, segmentSize: Int, path: NetworkPath, ecn: ECN) {
    self.bytes = bytes
    self.segmentSize = segmentSize
    self.path = path
    self.ecn = ecn
  }
}

/// The ECN field of the IP header (RFC 3168 §5).
public enum ECN: UInt8, Sendable {
  case notCapable = 0
  case capable1 = 1
  case capable0 = 2
  case congestionExperienced = 3
}

/// What became of a batch.
public enum SendResult: Sendable {
  /// The network has it, or lost it as networks do.
  case sent
  /// The socket's buffer is full. The socket keeps this one batch and takes no other until it has
  /// called `datagramSocketWritable`.
  case blocked
}

/// Where an endpoint's datagrams go and come from: a UDP socket, or a simulated network.
public protocol DatagramSocket: AnyObject {
  /// The bound address; its port is what `NetworkPath.local` carries.
  var localAddress: SocketAddress { get }

  /// Whoever is told of arrivals. Set once, before the first tick.
  var receiver: (any DatagramReceiver)? { get set }

  /// True between a `.blocked` and `datagramSocketWritable`.
  var isBlocked: Bool { get }

  /// Whether what arrives comes from where it says: a byte stream that was opened from there.
  var provesSource: Bool { get }

  /// Sends now, or keeps a copy if the socket's buffer is full. Not to be called while blocked.
  func send(_ batch: DatagramBatch) -> SendResult

  /// The address that datagrams to `remote` would come from, with this socket's port.
  func sourceAddress(towards remote: SocketAddress) -> SocketAddress

  /// Stops delivering and releases the socket.
  func close()
}

extension DatagramSocket {
  /// As with UDP, where anybody can write any source address.
  public var provesSource: Bool { false }
}

/// The consumer of a `DatagramSocket`.
public protocol DatagramReceiver: AnyObject {
  /// Called on the loop, for each datagram.
  func receive(_ datagram: ReceivedDatagram, now: Instant)

  /// The socket takes batches again.
  func datagramSocketWritable(_ socket: any DatagramSocket)

  /// Nobody listens where the socket is connected to, says ICMP.
  func datagramSocketRefused(_ socket: any DatagramSocket)

  /// Whether more should be received at once than usual: most of it is set aside or dropped, and what
  /// is behind it must not wait.
  var takesMore: Bool { get }
}

extension DatagramReceiver {
  /// Nothing, for sockets that are not connected.
  public func datagramSocketRefused(_ socket: any DatagramSocket) {}

  /// Not for most.
  public var takesMore: Bool { false }
}
