internal import QuicTransport

/// The loops that a relay forwards on beside its own, each on a thread, with a socket at its port.
struct RelayCores {
  /// Nil where there is no other loop.
  let team: ForwardingTeam?
  /// Why there are none although some were asked for.
  let refusal: RuntimeError?

  /// Starts `count - 1` loops; none where the kernel refuses one of them, or to steer between them.
  ///
  /// Before any node can have come, on the relay's loop: everything of a shard is made here, and is
  /// its own loop's as soon as that runs.
  static func open(
    _ count: Int, beside socket: UDPSocket, loop: EpollLoop, limits: ForwardingLimits
  ) -> RelayCores {
    guard count > 1 else { return RelayCores(team: nil, refusal: nil) }
    do throws(RuntimeError) {
      return RelayCores(
        team: try team(of: count, beside: socket, loop: loop, limits: limits), refusal: nil)
    } catch {
      try? socket.allowSharing(false)
      return RelayCores(team: nil, refusal: error)
    }
  }

  private static func team(
    of count: Int, beside first: UDPSocket, loop: EpollLoop, limits: ForwardingLimits
  ) throws(RuntimeError) -> ForwardingTeam {
    var loops: [EpollLoop] = []
    for _ in 1..<count { loops.append(try EpollLoop()) }
    let team = ForwardingTeam(desk: loop, others: loops)
    var sockets: [UDPSocket] = []
    do throws(RuntimeError) {
      try first.allowSharing(true)
      for other in loops {
        sockets.append(
          try UDPSocket(
            loop: other, opening: .sharing(first.localAddress),
            bufferBytes: SessionSettings.socketBufferBytes))
      }
      try first.steer(by: team.steering)
    } catch {
      // The kernel fills a gap with the last one, so the last one goes first.
      for socket in sockets.reversed() { socket.close() }
      throw error
    }
    for (place, other) in loops.enumerated() {
      // Kept by its mailbox until it is told to stop.
      _ = ForwardingShard(
        index: place + 1, team: team, socket: sockets[place], loop: other, limits: limits,
        onStop: { other.stop() })
    }
    for (place, other) in loops.enumerated() {
      do throws(RuntimeError) {
        try other.start()
      } catch {
        for index in 1..<count {
          team.mail(of: index).post(.stop)
          // Those that do not run take their mail here, on the one thread that knows them.
          if index > place { team.mail(of: index).deliver() }
        }
        throw error
      }
    }
    return team
  }
}
