import QuicTransport
import Simulation

@testable import HolePunch

/// A router with a UPnP server in virtual time, written from the specifications.
final class SimGateway: DatagramReceiver {
  static let address = SocketAddress(ipv4: 0xc0a8_0101, port: 0)
  static let client = SocketAddress(ipv4: 0xc0a8_0120, port: 7_000)
  static let location = "http://192.168.1.1:5000/root.xml"

  /// How it answers.
  struct Settings {
    var location = SimGateway.location
    /// From whom its answer to a search comes.
    var answersFrom = SimGateway.address
    var speaksPCP = false
    var speaksUPnP = true
    var isConnectionRefused = false
    /// The code that AddPortMapping fails with, for this many calls.
    var failure: (code: Int, count: Int)?
    var outside = "203.0.113.9"
    var description = SimGateway.description
  }

  let loop = SimLoop()
  var settings: Settings
  /// Mapped ports with their leases.
  private(set) var mapped: [UInt16: Int] = [:]
  private(set) var searches = 0
  private(set) var calls: [String] = []
  private(set) var outsidePortsAsked: [String] = []
  private let network: SimNetwork
  private let socket: SimSocket
  private let searchSocket: SimSocket
  private let strangerSocket: SimSocket
  private var servers: [Conversation] = []

  init(_ configure: (inout Settings) -> Void = { _ in }) {
    var settings = Settings()
    configure(&settings)
    self.settings = settings
    network = SimNetwork(loop: loop, seed: 1, defaults: LinkSettings(latency: .milliseconds(1)))
    socket = network.bind(Self.address.with(port: 5_351))
    searchSocket = network.bind(Self.address.with(port: 1_900))
    strangerSocket = network.bind(SocketAddress(ipv4: 0xc0a8_0142, port: 1_900))
    socket.receiver = self
    searchSocket.receiver = self
  }

  /// A client of it, with what it tells.
  func client(changed: @escaping () -> Void = {}) -> PortMappingClient {
    let road = PortMappingClient.Road(
      gateway: Self.address, client: Self.client,
      socket: network.bind(Self.client.with(port: 9_000))
    ) { [weak self] in self?.connect($0) }
    return PortMappingClient(road, loop: loop, random: SplitMix64(seed: 1), changed: changed)
  }

  func receive(_ datagram: ReceivedDatagram, now: Instant) {
    let bytes = Array(datagram.bytes)
    if datagram.path.local.port == 5_351 {
      guard settings.speaksPCP, bytes.first == 2 else { return }
      let isRemoval = bytes[4..<8].allSatisfy { $0 == 0 }
      let port = UInt16(bytes[40]) << 8 | UInt16(bytes[41])
      mapped[port] = isRemoval ? nil : 3_600
      let answer =
        [2, 0x81, 0, 0, 0, 0, isRemoval ? 0 : 14, isRemoval ? 0 : 16, 0, 0, 0, 9]
        + [UInt8](repeating: 0, count: 12) + bytes[24..<42] + bytes[40..<42]
        + [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 203, 0, 113, 9]
      return socket.send(answer, to: datagram.path.remote)
    }
    searches += 1
    guard settings.speaksUPnP, bytes.starts(with: Array("M-SEARCH * HTTP/1.1\r\n".utf8)) else {
      return
    }
    let answer =
      "HTTP/1.1 200 OK\r\nST: urn:schemas-upnp-org:device:InternetGatewayDevice:1\r\n"
      + "Location: \(settings.location)\r\n\r\n"
    let from = settings.answersFrom == Self.address ? searchSocket : strangerSocket
    from.send(Array(answer.utf8), to: datagram.path.remote)
  }

  func datagramSocketWritable(_ socket: any DatagramSocket) {}

  // MARK: The web server

  private func connect(_ address: SocketAddress) -> (any StreamSocket)? {
    guard address == Self.address.with(port: 5_000), !settings.isConnectionRefused else {
      return SimStreamSocket.failing(loop: loop, code: 111, latency: .milliseconds(1))
    }
    let (near, far) = SimStreamSocket.connecting(
      loop: loop, capacity: 65_536, latency: .milliseconds(1))
    servers.append(Conversation(far) { [weak self] in self?.answer($0) ?? "" })
    return near
  }

  private func answer(_ request: String) -> String {
    guard !request.hasPrefix("GET /root.xml HTTP/1.1\r\n") else {
      return "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        + String(settings.description.utf8.count, radix: 16)
        + "\r\n\(settings.description)\r\n0\r\n\r\n"
    }
    guard request.hasPrefix("POST /ctl/IPConn HTTP/1.1\r\n") else {
      return "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
    }
    let bytes = Array(request.utf8)
    func field(_ name: String) -> String { XMLScanner.text(of: name, in: bytes) ?? "" }
    if request.contains("#GetExternalIPAddress\"") {
      calls.append("address")
      return reply(200, "<NewExternalIPAddress>\(settings.outside)</NewExternalIPAddress>")
    }
    let port = UInt16(field("NewExternalPort")) ?? 0
    if request.contains("#DeletePortMapping\"") {
      calls.append("delete")
      mapped[port] = nil
      return reply(200, "")
    }
    calls.append("add")
    outsidePortsAsked.append(field("NewExternalPort"))
    if let failure = settings.failure, failure.count > 0 {
      settings.failure?.count -= 1
      return reply(500, "<errorCode>\(failure.code)</errorCode>")
    }
    guard field("NewInternalClient") == "192.168.1.32", field("NewInternalPort") == "7000",
      field("NewProtocol") == "UDP", let lease = Int(field("NewLeaseDuration"))
    else { return reply(500, "<errorCode>402</errorCode>") }
    mapped[port] = lease
    return reply(200, "")
  }

  private func reply(_ status: Int, _ inner: String) -> String {
    let body = "<s:Envelope><s:Body>\(inner)</s:Body></s:Envelope>"
    return "HTTP/1.1 \(status) x\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)"
  }

  /// One connection to it.
  private final class Conversation: StreamSocketHandler {
    private let socket: SimStreamSocket
    private let answer: (String) -> String
    private var request: [UInt8] = []

    init(_ socket: SimStreamSocket, answer: @escaping (String) -> String) {
      self.socket = socket
      self.answer = answer
      socket.handler = self
    }

    func streamSocketConnected() {}
    func streamSocketFailed(_ code: Int32) {}

    func streamSocketReady(_ readiness: Readiness) {
      withUnsafeTemporaryAllocation(byteCount: 4_096, alignment: 1) { buffer in
        while case .moved(let count) = socket.read(into: buffer) {
          request.append(contentsOf: buffer[..<count])
        }
      }
      let text = String(decoding: request, as: UTF8.self)
      guard text.hasPrefix("GET ") || text.contains("</s:Envelope>") else { return }
      request = []
      Array(answer(text).utf8).withUnsafeBytes { bytes in
        withUnsafeTemporaryAllocation(of: UnsafeRawBufferPointer.self, capacity: 1) { pieces in
          pieces[0] = bytes
          _ = socket.write(UnsafeBufferPointer(pieces))
        }
      }
    }
  }

  static let description = """
    <?xml version="1.0"?><root xmlns="urn:schemas-upnp-org:device-1-0"><device><serviceList>
    <service><serviceType>urn:schemas-upnp-org:service:Layer3Forwarding:1</serviceType>
    <controlURL>/ctl/L3F</controlURL></service></serviceList><deviceList><device><serviceList>
    <service><serviceType>urn:schemas-upnp-org:service:WANIPConnection:1</serviceType>
    <serviceId>x</serviceId><controlURL>/ctl/IPConn</controlURL></service>
    </serviceList></device></deviceList></device></root>
    """
}
