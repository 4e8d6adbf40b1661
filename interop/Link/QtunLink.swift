import Glibc

/// A bad link: two TUN interfaces and what happens to packets between them, changed by lines on
/// stdin. It ends with stdin, so it never outlives whoever started it.
@main
struct QtunLink {
  private let devices: [TunDevice]
  private var directions: [Direction]
  private var translator: Translator
  private var captures: [CaptureFile] = []
  private var input: [UInt8] = []
  private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 65_536, alignment: 16)

  static func main() {
    do throws(LinkError) {
      var link = try QtunLink(Array(CommandLine.arguments.dropFirst()))
      say("ready")
      try link.run()
    } catch {
      let text = "qtun-link: \(error)\n"
      write(STDERR_FILENO, text, text.utf8.count)
      if case .usage = error { exit(2) }
      exit(1)
    }
  }

  private init(_ words: [String]) throws(LinkError) {
    guard words.count == 2 || words.count == 3, let seed = UInt64(words.dropFirst(2).first ?? "1")
    else { throw .usage("usage: qtun-link INTERFACE-A INTERFACE-B [SEED]") }
    devices = [try TunDevice(name: words[0]), try TunDevice(name: words[1])]
    var dice = Dice(seed: seed)
    directions = [Direction(seed: dice.next()), Direction(seed: dice.next())]
    translator = Translator(seed: dice.next())
  }

  /// Moves packets until stdin ends.
  private mutating func run() throws(LinkError) {
    while true {
      let hasLine = wait(until: directions.compactMap(\.nextDue).min())
      for end in 0...1 {
        // Bounded, so that neither direction holds up the other.
        for _ in 0..<Self.batch {
          guard var packet = try devices[end].read(into: buffer) else { break }
          let now = Clock.now()
          if !captures.isEmpty { try captures[end].append(packet, now: now) }
          guard end == 1 ? translator.inbound(&packet) : translator.outbound(&packet) else {
            continue
          }
          directions[end].accept(packet, now: now)
        }
      }
      let now = Clock.now()
      for end in 0...1 {
        while let packet = directions[end].pop(now: now) {
          if !captures.isEmpty { try captures[1 - end].append(packet, now: now) }
          devices[1 - end].write(packet)
        }
      }
      if hasLine, try !readLines() { return }
    }
  }

  /// Waits for a packet, a line or the time; tells whether there is a line. `poll` knows only
  /// milliseconds, so this is `pselect`, whose sets are 1024 bits in words of 64.
  private func wait(until due: UInt64?) -> Bool {
    var ready = fd_set()
    for descriptor in [STDIN_FILENO, devices[0].descriptor, devices[1].descriptor] {
      ready.__fds_bits.0 |= 1 << Int(descriptor)
    }
    let highest = max(devices[0].descriptor, devices[1].descriptor)
    precondition(highest < 64, "descriptors are opened at the start, so they are small")
    let count: Int32
    if let due {
      let now = Clock.now()
      let rest = due > now ? Int(due - now) : 0
      var patience = timespec(tv_sec: rest / 1_000_000_000, tv_nsec: rest % 1_000_000_000)
      count = pselect(highest + 1, &ready, nil, nil, &patience, nil)
    } else {
      count = pselect(highest + 1, &ready, nil, nil, nil, nil)
    }
    return count > 0 && ready.__fds_bits.0 & 1 << Int(STDIN_FILENO) != 0
  }

  // MARK: Lines

  /// - Returns: false at the end of stdin.
  private mutating func readLines() throws(LinkError) -> Bool {
    let count = read(STDIN_FILENO, buffer.baseAddress, Self.lineMax)
    guard count > 0 else { return false }
    input += buffer[..<count]
    while let end = input.firstIndex(of: UInt8(ascii: "\n")) {
      let line = String(decoding: input[..<end], as: UTF8.self)
      input.removeSubrange(...end)
      answer(line[...])
    }
    guard input.count <= Self.lineMax else { throw .usage("a line of more than 4096 bytes") }
    return true
  }

  /// Every line has one answer: `ok`, `error: ...`, or the counters.
  private mutating func answer(_ line: Substring) {
    if line == "stats" {
      return Self.say(
        "{\"a>b\":\(directions[0].counters.json),\"b>a\":\(directions[1].counters.json)}")
    }
    do throws(LinkError) {
      let words = line.split(separator: " ")
      switch words.first {
      case "capture" where words.count == 3:
        captures = [try CaptureFile(String(words[1])), try CaptureFile(String(words[2]))]
      case "rebind" where words.count == 2: try translator.rebind(words[1])
      default:
        var command = LineCommand(line)
        try command.apply(to: &directions)
      }
      Self.say("ok")
    } catch {
      Self.say("error: \(error)")
    }
  }

  private static func say(_ line: String) {
    let text = line + "\n"
    write(STDOUT_FILENO, text, text.utf8.count)
  }

  private static let batch = 64
  private static let lineMax = 4_096
}
