internal import QuicTransport

/// A node that shares a public place.
final class PublicMember {
  let peer: RelayPeer
  let request: PublicRequest
  /// Where its connection came from when it asked.
  let source: SocketAddress
  /// Its age among all members.
  let serial: UInt64
  /// The visitors that it has or is asked about.
  var flows: [ObjectIdentifier: PublicFlow] = [:]
  /// It takes no more, and hears when the last one is gone.
  var isLeaving = false
  /// It says that its target fails the health check, so it is not asked at all.
  var isDown = false
  /// Until then it is asked last, because it did not take a visitor.
  private var restsUntil: Instant?

  init(peer: RelayPeer, request: PublicRequest, source: SocketAddress, serial: UInt64) {
    self.peer = peer
    self.request = request
    self.source = source
    self.serial = serial
  }

  /// It did not take a visitor.
  func noteRefusal(now: Instant) { restsUntil = now + Self.rest }

  func noteSuccess() { restsUntil = nil }

  func candidate(for flow: PublicFlow?, now: Instant) -> Balance.Candidate {
    Balance.Candidate(
      connections: flows.count, roundTrip: peer.connection.statistics.smoothedRTT,
      isHealthy: !peer.isSilent && (restsUntil ?? now) <= now,
      wasTried: flow?.tried.contains(serial) == true)
  }

  /// A program that is started again is back in seconds; visitors who try it meanwhile go elsewhere
  /// after one round trip.
  private static let rest = Duration.seconds(5)
}

/// A port or name that is in use, and the nodes that share it: one, or those of a group.
final class PublicPlace {
  let place: LeaseBook.Place
  /// What the nodes share; empty for one that is by itself.
  let group: [UInt8]
  /// In the order in which they came. Not empty, but while it is being closed.
  private(set) var members: [PublicMember] = []
  /// Visitors, those included that nobody has taken yet.
  var visitors = 0
  /// Gives the port back.
  var close: () -> Void = {}
  private var turn = 0

  init(_ place: LeaseBook.Place, group: [UInt8]) {
    self.place = place
    self.group = group
  }

  func add(_ member: PublicMember) { members.append(member) }

  func remove(_ member: PublicMember) { members.removeAll { $0 === member } }

  /// The member for a new visitor, or for the next try of one. Those that say themselves that they
  /// cannot serve are left out; those that did not answer are only put last.
  ///
  /// - Parameter takes: whether a member has room.
  func choose(
    for flow: PublicFlow?, now: Instant, takes: (PublicMember) -> Bool
  ) -> PublicMember? {
    let able = members.filter { !$0.isDown && takes($0) }
    guard let first = members.first else { return nil }
    defer { turn &+= 1 }
    let candidates = able.map { $0.candidate(for: flow, now: now) }
    return first.request.balance.choose(among: candidates, turn: turn).map { able[$0] }
  }
}

extension LeaseBook.Place: CustomStringConvertible {
  /// For people.
  var description: String { "\(kind.rawValue) \(kind.hasName ? name : String(port))" }
}
