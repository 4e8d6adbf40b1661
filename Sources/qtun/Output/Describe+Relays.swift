internal import QuicTransport
internal import Tunnel

extension Describe {
  /// What a relay is good for now, in a word or two.
  static func name(_ standing: RelayReport.Standing) -> String {
    switch standing {
    case .carries: "carries"
    case .warm: "warm"
    case .spare: "spare"
    case .registered: "registered"
    case .restarting: "restarting"
    case .away: "away"
    }
  }

  /// Which relay it is, and why it is used as it is.
  static func relay(_ relay: RelayReport) -> String {
    let place = relay.address?.description ?? relay.key.description
    let length = relay.sessionRoundTrip.map { ", \(Format.roundTripTime($0)) to the peer by it" }
    return "\(place) \(relay.standing == .carries ? "carries" : "is kept warm")\(length ?? "")"
  }
}
