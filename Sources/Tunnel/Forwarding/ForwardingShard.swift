internal import QuicTransport

/// One more core of a relay: a loop on a thread of its own that forwards the datagrams of its part
/// of the sessions, with a socket at the relay's port (`DatagramSteering`).
///
///     socket --0x2b, our shard's--> Forwarder --UDP--> socket
///            \--anything else----> mail to the loop that it is for
///                                  Forwarder --byte stream--> mail to the desk's loop
///     mail   --sessions, limits, shares of the total rate, datagrams--> Forwarder
///
/// The kernel hands over what it has coalesced as one, by the first datagram of it, so some
/// datagrams come to the wrong loop. Everything here is on the shard's loop.
final class ForwardingShard {
  let forwarder: Forwarder
  private let index: Int
  private let team: ForwardingTeam
  private let socket: any DatagramSocket
  private let loop: any EventLoop
  /// To the other loops, by their number; none to itself.
  private var posts: [ParcelPost?] = []
  private var leaving: ParcelPost?
  private let onStop: () -> Void

  /// Takes mail from now on. Called before the loop runs.
  ///
  /// - Parameters:
  ///   - index: one at least; the desk's own forwarder has zero.
  ///   - onStop: called when it has ended.
  init(
    index: Int, team: ForwardingTeam, socket: any DatagramSocket, loop: any EventLoop,
    limits: ForwardingLimits, onStop: @escaping () -> Void
  ) {
    self.index = index
    self.team = team
    self.socket = socket
    self.loop = loop
    self.onStop = onStop
    let road = SocketRoad(socket: socket)
    let forwarder = Forwarder(
      road: road, loop: loop, limits: limits, shardCount: team.count,
      counters: team.counters[index - 1])
    self.forwarder = forwarder
    let desk = team.desk
    let leaving = ParcelPost(loop: loop) { [unowned forwarder] parcel in
      if !desk.post(.leaving(parcel), unlessWaiting: ParcelPost.waitingMax) {
        forwarder.countLost(parcel.count)
      }
    }
    self.leaving = leaving
    road.leaving = leaving
    posts = (0..<team.count).map { target in
      target == index ? nil : team.parcelPost(to: target, loop: loop, from: forwarder)
    }
    forwarder.owner = self
    socket.receiver = self
    team.mail(of: index).setReceiver { self.take($0) }
  }

  private func take(_ mail: ShardMail) {
    switch mail {
    case .open(let order): forwarder.open(order)
    case .close(let session): forwarder.close(session)
    case .apply(let limits): forwarder.apply(limits)
    case .share(let rate, let counts): forwarder.take(share: rate, counts: counts)
    case .tellDemand: team.desk.post(.demand(shard: index, forwarder.takeDemand()))
    case .arrived(let parcel):
      parcel.forEach { batch in
        forwarder.receive(
          ReceivedDatagram(bytes: batch.bytes, path: batch.path, ecn: batch.ecn), now: loop.now)
      }
    case .stop: stop()
    }
  }

  private func stop() {
    forwarder.close()
    socket.close()
    team.mail(of: index).setReceiver(nil)
    team.desk.post(.stopped(shard: index))
    onStop()
  }
}

extension ForwardingShard: DatagramReceiver {
  func receive(_ datagram: ReceivedDatagram, now: Instant) {
    let target = team.steering.index(of: datagram.bytes)
    if target == index { return forwarder.receive(datagram, now: now) }
    forwarder.countHandedOver()
    posts[target]?.add(datagram)
  }

  /// Does nothing: what finds the socket full is lost.
  func datagramSocketWritable(_ socket: any DatagramSocket) {}
}

extension ForwardingShard: ForwarderOwner {
  func forwarder(
    _ forwarder: Forwarder, throttled leg: ForwardedSession.LegID, to rate: Int
  ) {
    team.desk.post(.throttled(leg, rate))
  }

  func forwarder(_ forwarder: Forwarder, expired session: UInt32) {
    team.desk.post(.expired(session))
  }

  func forwarderIsShort(_ forwarder: Forwarder) { team.desk.post(.short(shard: index)) }

  /// The desk posts a session before it tells its nodes, so their first datagram may overtake the
  /// reading of the mail, but not the mail.
  func forwarderMissesSession(_ forwarder: Forwarder) { team.mail(of: index).deliver() }
}

/// The way out of a shard.
private final class SocketRoad: ForwarderRoad {
  private let socket: any DatagramSocket
  var leaving: ParcelPost?

  init(socket: any DatagramSocket) {
    self.socket = socket
  }

  func send(_ batch: DatagramBatch) -> SendResult {
    guard CarrierKind(batch.path) == .udp else {
      leaving?.add(batch)
      return .sent
    }
    return socket.isBlocked ? .blocked : socket.send(batch)
  }
}

/// The loops of a relay that forwards on several cores, as they know each other.
struct ForwardingTeam: Sendable {
  /// Which loop a datagram is for.
  let steering: DatagramSteering
  /// To the loop that has everything but the shards.
  let desk: LoopMailbox<DeskMail>
  /// To the shards, the one with index 1 first.
  private let shards: [LoopMailbox<ShardMail>]
  /// Of the shards, in the same order.
  let counters: [ForwardingCounters]

  /// - Parameter others: the loops of the shards beside the desk's own.
  init(desk: any EventLoop, others: [any EventLoop]) {
    steering = DatagramSteering(
      firstByte: RelayHeader.firstByte, offset: RelayHeader.shardOffset, count: others.count + 1)
    self.desk = LoopMailbox(loop: desk)
    shards = others.map { LoopMailbox(loop: $0) }
    counters = others.map { _ in ForwardingCounters() }
  }

  /// Loops that forward, the desk's included.
  var count: Int { steering.count }

  func mail(of shard: Int) -> LoopMailbox<ShardMail> { shards[shard - 1] }

  /// A post for datagrams to another loop.
  ///
  /// - Parameter forwarder: whose sums what is lost goes into; it outlives the post.
  func parcelPost(
    to target: Int, loop: any EventLoop, from forwarder: Forwarder
  ) -> ParcelPost {
    let (desk, shards) = (desk, shards)
    return ParcelPost(loop: loop) { [unowned forwarder] parcel in
      let isPosted =
        target == 0
        ? desk.post(.arrived(parcel), unlessWaiting: ParcelPost.waitingMax)
        : shards[target - 1].post(.arrived(parcel), unlessWaiting: ParcelPost.waitingMax)
      if !isPosted { forwarder.countLost(parcel.count) }
    }
  }
}
