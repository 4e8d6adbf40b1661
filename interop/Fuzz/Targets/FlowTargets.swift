import QuicTransport

@testable import Tunnel

extension FuzzTarget {
  /// What programs and peers say at the ends of flows.
  static let flows = [
    FuzzTarget(name: "udp-frames", family: .tunnel, run: udpFrames),
    FuzzTarget(name: "proxy", family: .proxies, run: proxy),
    FuzzTarget(name: "socks-datagram", family: .proxies, run: socksDatagram),
    FuzzTarget(name: "http-head", family: .heads, run: httpHead),
    FuzzTarget(name: "server-name", family: .heads, run: serverName),
    FuzzTarget(name: "host", family: .heads, run: host),
    FuzzTarget(name: "requests", family: .heads, run: requests),
  ]

  /// DATAGRAM frames of a hostile peer: what waits for fragments stays bounded, and a datagram is
  /// never larger than UDP has them.
  private static func udpFrames(_ bytes: UnsafeRawBufferPointer) {
    var input = FuzzInput(bytes)
    var reassembler = Reassembler()
    var now = Instant(nanoseconds: 1_000_000_000)
    while !input.isEmpty {
      now = now + .milliseconds(Int64(input.byte()))
      let frame = input.bytes(Int(input.byte()))
      frame.withUnsafeBytes { frame in
        guard let (header, payload) = DatagramHeader.decode(frame, namesService: true) else {
          return
        }
        require(payload.count < frame.count, "a header of nothing")
        guard let fragment = header.fragment else { return }
        let whole = reassembler.add(fragment, of: header.flow, payload, now: now)
        require(whole?.count ?? 0 <= DatagramHeader.payloadMax, "larger than UDP has it")
        require(reassembler.bytesHeld <= Reassembler.bytesMax, "fragments fill memory")
      }
    }
  }

  /// A program that talks to the proxy: SOCKS and HTTP, in pieces or at once.
  private static func proxy(_ bytes: UnsafeRawBufferPointer) {
    var input = FuzzInput(bytes)
    let choice = input.byte()
    let credentials = choice & 1 == 1 ? ProxyCredentials("user:password") : nil
    let step = 1 + Int(choice >> 1)
    let stream = input.remainder()
    let whole = converse(stream, step: max(1, stream.count), credentials)
    let pieces = converse(stream, step: step, credentials)
    // What stands behind the request goes along as far as it has arrived.
    require(whole.replies == pieces.replies, "pieces change the answers")
    require(whole.destination == pieces.destination, "pieces change the destination")
  }

  private static func converse(
    _ stream: [UInt8], step: Int, _ credentials: ProxyCredentials?
  ) -> (replies: [UInt8], destination: Destination?) {
    var parser = ProxyParser(credentials: credentials)
    var replies: [UInt8] = []
    for start in stride(from: 0, to: stream.count, by: step) {
      parser.append(stream[start..<min(start + step, stream.count)])
      reading: while true {
        switch parser.next() {
        case .needsMore: break reading
        case .reply(let bytes): replies += bytes
        case .refuse(let bytes): return (replies + bytes, nil)
        case .associate(let port):
          return (replies, Destination(host: "associate", port: port))
        case .request(let request): return (replies, request.destination)
        }
      }
    }
    return (replies, nil)
  }

  /// A datagram of a program to its SOCKS relay, and what a peer sends back: what is passed on is the
  /// end of what came, and an address is written as it was read.
  private static func socksDatagram(_ bytes: UnsafeRawBufferPointer) {
    guard let body = SocksDatagram.body(of: bytes) else { return }
    require(body.count + SocksDatagram.prefixSize == bytes.count, "a part is passed on")
    guard let (target, payload) = DatagramTarget.decode(body) else {
      return require(false, "a body without a target")
    }
    require(payload.count < body.count, "a target of nothing")
    require(target.destination.port > 0 && !target.destination.host.isEmpty, "a target of nothing")
    var memory = [UInt8](repeating: 0xff, count: bytes.count)
    let answer = memory.withUnsafeMutableBytes { memory in
      SocksDatagram.datagram(body, in: memory).map { Array($0) }
    }
    guard case .address(let address) = target else {
      return require(answer == nil, "an answer from a name")
    }
    require(answer?.starts(with: [0, 0, 0]) == true, "an answer with another header")
    require(answer?.dropFirst(3).elementsEqual(body) == true, "an answer with other bytes")
    var written = [UInt8](repeating: 0, count: DatagramTarget.addressSizeMax)
    let count = written.withUnsafeMutableBytes { DatagramTarget.write(address, to: $0) }
    let isMapped = address.isIPv4 && body[0] == 4
    require(isMapped || body.starts(with: written.prefix(count)), "an address is written otherwise")
  }

  private static func httpHead(_ bytes: UnsafeRawBufferPointer) {
    let stream = Array(bytes)
    guard case .head(let head, let count) = HTTPHead.read(stream) else { return }
    require(count <= stream.count && count <= HTTPHead.sizeMax, "a head longer than its stream")
    let exact = HTTPHead.read(Array(stream.prefix(count)))
    require(exact == .head(head, count: count), "what follows a head changes it")
    let values = head.fields.flatMap(\.value)
    require(!values.contains(0x0a) && !values.contains(0x0d), "a line break within a field")
  }

  /// A TLS client's first bytes, in pieces and at once.
  private static func serverName(_ bytes: UnsafeRawBufferPointer) {
    guard let first = bytes.first else { return }
    let stream = UnsafeRawBufferPointer(rebasing: bytes.dropFirst())
    var whole = ServerNameReader()
    let answer = whole.read(stream)
    var reader = ServerNameReader()
    var offset = 0
    var result = ServerNameReader.Result.needsMore
    while offset < stream.count, result == .needsMore {
      let end = min(offset + 1 + Int(first), stream.count)
      result = reader.read(UnsafeRawBufferPointer(rebasing: stream[offset..<end]))
      offset = end
    }
    require(answer == result, "pieces change the answer")
    if case .name(let name) = result {
      require(TargetHost.normalized(name) == name, "a name that is none")
    }
  }

  /// The first request of a connection: pieces change nothing, and there is one host at most.
  private static func host(_ bytes: UnsafeRawBufferPointer) {
    guard let first = bytes.first else { return }
    let stream = Array(bytes.dropFirst())
    var reader = HostReader()
    var offset = 0
    var result = HostReader.Result.needsMore
    while offset < stream.count, result == .needsMore {
      let end = min(offset + 1 + Int(first), stream.count)
      result = reader.read(Array(stream[..<end]))
      offset = end
    }
    guard case .request(let head, let host) = result else { return }
    var whole = HostReader()
    require(whole.read(stream) == result, "pieces change the host")
    require(head.values(of: "host").count <= 1, "two hosts")
    require(
      HTTPTarget.host(ofAuthority: host.contains(":") ? "[\(host)]" : host) == host, "no host")
  }

  /// Both directions of a connection that is watched: what is told of was asked for, and is bounded.
  private static func requests(_ bytes: UnsafeRawBufferPointer) {
    var input = FuzzInput(bytes)
    var reports = 0
    var asked = 0
    var watcher = RequestWatcher(flow: 0, service: "") { report in
      reports += 1
      require(report.path.utf8.count <= 2_048, "a path without a bound")
      require(!report.path.contains("?"), "a query was told of")
    }
    let now = Instant(nanoseconds: 1)
    while !input.isEmpty {
      let choice = input.byte()
      let piece = input.bytes(1 + Int(choice >> 1))
      asked += piece.count { $0 == 0x0a }
      piece.withUnsafeBytes { piece in
        if choice & 1 == 0 {
          watcher.sawRequests(piece, now: now)
        } else {
          watcher.sawAnswers(piece, now: now)
        }
      }
    }
    watcher.sawEndOfAnswers(now: now)
    watcher.end(now: now)
    require(reports <= asked, "more requests than lines")
  }
}
