internal import QuicTransport

/// What is said to a UPnP Internet Gateway Device: the search (UPnP Device Architecture 1.1 §1.3), the
/// request for its description (§2), and the actions of WANIPConnection (§2.4 there), as text.
enum UPnPMessage {
  /// Where devices listen for searches.
  static let searchGroup = SocketAddress(ipv4: 0xefff_fffa, port: 1_900)
  /// A search goes to the gateway itself as well: some networks do not pass multicast on.
  static let searchPort: UInt16 = 1_900

  /// Asks for gateways of any version; a newer one answers to the older name.
  static let search = Array(
    """
    M-SEARCH * HTTP/1.1\r
    HOST: 239.255.255.250:1900\r
    MAN: "ssdp:discover"\r
    MX: 1\r
    ST: urn:schemas-upnp-org:device:InternetGatewayDevice:1\r
    \r\n
    """.utf8)

  /// A place on the gateway's web server.
  struct Location: Equatable {
    var server: SocketAddress
    var path: String
  }

  /// A service that maps ports, and where it is asked.
  struct Service: Equatable {
    var type: String
    var control: Location
  }

  /// Where the description is, from the answer to a search. Only a place on the gateway itself
  /// counts: else anybody on the network could make us talk to anybody.
  static func location(_ datagram: [UInt8], gateway: SocketAddress) -> Location? {
    guard datagram.count <= datagramMax else { return nil }
    let lines = String(decoding: datagram, as: UTF8.self).split(whereSeparator: \.isNewline)
    guard let first = lines.first, first.hasPrefix("HTTP/1."), first.contains(" 200"),
      let url = HTTPResponse.value(of: "location", in: lines)
    else { return nil }
    return location(url: url, gateway: gateway)
  }

  /// A place from a URL with a numeric host that is the gateway's.
  static func location(url: String, gateway: SocketAddress) -> Location? {
    let scheme = "http://"
    guard url.count <= urlMax, url.lowercased().hasPrefix(scheme) else { return nil }
    let rest = url.dropFirst(scheme.count)
    let authority = rest.prefix { $0 != "/" }
    let path = rest.dropFirst(authority.count)
    let parts = authority.split(separator: ":", omittingEmptySubsequences: false)
    guard let host = parts.first, parts.count <= 2,
      let port = parts.count == 2 ? UInt16(parts[1]) : 80,
      let server = SocketAddress(String(host), port: port), server.isUsable,
      server.hasSameHost(as: gateway), isPlain(path)
    else { return nil }
    return Location(server: server, path: path.isEmpty ? "/" : String(path))
  }

  /// The services of a description that can map ports, the likeliest first.
  static func services(_ document: [UInt8], at base: Location) -> [Service] {
    var services: [Service] = []
    var root = base
    var type: String?
    var control: String?
    var scanner = XMLScanner(document)
    while let element = scanner.next() {
      switch element.name {
      case "URLBase": root = location(url: element.text, gateway: base.server) ?? root
      case "service": (type, control) = (nil, nil)
      case "serviceType": type = element.text
      case "controlURL": control = element.text
      default: continue
      }
      guard let found = type, let url = control else { continue }
      (type, control) = (nil, nil)
      guard types.contains(found), services.count < servicesMax,
        let place = resolve(url, against: root)
      else { continue }
      services.append(Service(type: found, control: place))
    }
    return services.sorted { order(of: $0.type) < order(of: $1.type) }
  }

  /// The request for a document.
  static func get(_ place: Location) -> [UInt8] {
    Array(
      "GET \(place.path) HTTP/1.1\r\nHost: \(place.server)\r\nConnection: close\r\n\r\n".utf8)
  }

  /// Calls an action of a service.
  static func call(
    _ action: String, _ arguments: [(name: String, value: String)], of service: Service
  ) -> [UInt8] {
    let inner = arguments.map { "<\($0.name)>\($0.value)</\($0.name)>" }.joined()
    let envelope = "http://schemas.xmlsoap.org/soap/"
    let body =
      "<?xml version=\"1.0\"?>\r\n<s:Envelope xmlns:s=\"\(envelope)envelope/\" "
      + "s:encodingStyle=\"\(envelope)encoding/\"><s:Body><u:\(action) xmlns:u=\"\(service.type)\">"
      + "\(inner)</u:\(action)></s:Body></s:Envelope>\r\n"
    let head =
      "POST \(service.control.path) HTTP/1.1\r\nHost: \(service.control.server)\r\n"
      + "Content-Type: text/xml; charset=\"utf-8\"\r\n"
      + "SOAPAction: \"\(service.type)#\(action)\"\r\nContent-Length: \(body.utf8.count)\r\n"
      + "Connection: close\r\n\r\n"
    return Array((head + body).utf8)
  }

  private static let types = [
    "urn:schemas-upnp-org:service:WANIPConnection:2",
    "urn:schemas-upnp-org:service:WANIPConnection:1",
    "urn:schemas-upnp-org:service:WANPPPConnection:1",
  ]
  /// Gateways with several ways out describe each of them.
  private static let servicesMax = 4
  private static let urlMax = 512
  private static let datagramMax = 2_048

  private static func order(of type: String) -> Int { types.firstIndex(of: type) ?? types.count }

  private static func resolve(_ url: String, against base: Location) -> Location? {
    if let place = location(url: url, gateway: base.server) { return place }
    guard url.count <= urlMax, !url.contains("://"), isPlain(url[...]) else { return nil }
    return Location(server: base.server, path: url.hasPrefix("/") ? url : "/" + url)
  }

  /// What may stand in a request line: nothing that could end it.
  private static func isPlain(_ text: Substring) -> Bool {
    text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f }
  }
}
