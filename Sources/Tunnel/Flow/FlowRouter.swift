internal import QuicTransport

/// Decides where a stream that the peer opened goes, by its first bytes.
enum FlowRouter {
  /// At the sharing side: to the service of that name; to any other the code says no.
  case services([String: ServiceRoute], unknownCode: UInt64)
  /// At the dialling side: to what was asked for with a LISTEN.
  case listeners((UInt64) -> (route: ServiceRoute, address: SocketAddress)?)
  /// At a node that a relay listens for: to what the listener was asked for.
  case publicListeners((UInt64) -> ServiceRoute?)

  /// What the first bytes of a stream say.
  enum Decision {
    /// To this route, by this name; `road` is between the program at the far end and the listener there, where that
    /// is known. The header took so many bytes.
    case route(ServiceRoute, Destination?, name: String, road: NetworkPath?, count: Int)
    case needsMore
    /// Nowhere; the peer hears this code.
    case refused(UInt64)
  }

  /// - Parameter bytes: `FlowHeader.sizeMax` of them at most, which no header exceeds.
  func decide(_ bytes: [UInt8]) -> Decision {
    switch self {
    case .services(let services, let unknownCode):
      switch FlowHeader.decode(bytes) {
      case .needsMore: return .needsMore
      case .malformed: return .refused(TunnelCode.malformedHeader)
      case .header(let header, let count):
        guard let route = services[header.service] else { return .refused(unknownCode) }
        return .route(route, header.destination, name: header.service, road: nil, count: count)
      }
    case .listeners(let find):
      switch ReverseHeader.decode(bytes) {
      case .needsMore: return .needsMore
      case .malformed: return .refused(TunnelCode.malformedHeader)
      case .header(let header, let count):
        guard let (route, address) = find(header.listener) else {
          return .refused(TunnelCode.unknownListener)
        }
        let road = NetworkPath(local: address, remote: header.source)
        return .route(route, nil, name: address.description, road: road, count: count)
      }
    case .publicListeners(let find):
      switch PublicHeader.decode(bytes) {
      case .needsMore: return .needsMore
      case .malformed: return .refused(TunnelCode.malformedHeader)
      case .header(let header, let count):
        guard let route = find(header.listener) else {
          return .refused(TunnelCode.unknownListener)
        }
        let road = NetworkPath(local: header.destination, remote: header.source)
        return .route(route, nil, name: "public", road: road, count: count)
      }
    }
  }
}
