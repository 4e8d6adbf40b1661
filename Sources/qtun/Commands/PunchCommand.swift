internal import Glibc
internal import HolePunch
internal import QuicTransport

/// `qtun punch`: a control node or a peer of netpunch, with netpunch's flags and output.
struct PunchCommand {
  private let settings: PunchSettings
  private let slot: NetpunchSlot?
  private let signer: NetpunchSigner
  private let template: PunchTemplate
  private let program: PunchProgram?
  private let log: PunchLog
  private let console: Console

  /// Checks everything that can be checked before a socket is opened; reports all of it at once.
  init(settings: PunchSettings, console: Console) throws(PunchError) {
    self.settings = settings
    self.console = console
    var causes = Self.missing(settings)
    slot = settings.peer.flatMap(Self.slot)
    if settings.peer != nil, slot == nil { causes.append("-peer is one letter from a to z") }
    var notice: String?
    var secret: [UInt8] = []
    var template = PunchTemplate.standard
    var program: PunchProgram?
    do throws(PunchError) {
      (secret, notice) = try PunchSecret.read(settings)
    } catch {
      causes += error.causes
    }
    do throws(PunchError) {
      if let text = try Self.templateText(settings) {
        template = try Self.template(text, flag: "-template")
      }
      program = try settings.command.map { name throws(PunchError) in
        try PunchProgram(name: name, arguments: settings.arguments)
      }
    } catch {
      causes += error.causes
    }
    signer = NetpunchSigner(secret: SecretBytes(secret))
    if let slot, causes.isEmpty {
      for message in NetpunchPeer.unsealable(slot: slot, signer: signer) {
        causes.append("this secret cannot sign \(message); choose another, on all three nodes")
      }
    }
    guard causes.isEmpty else { throw PunchError(causes: causes) }
    self.template = template
    self.program = program
    log = PunchLog(
      console: console, role: settings.peer ?? "control", isSilent: settings.isSilent,
      raw: settings.logsRaw ? signer : nil)
    if let notice { log.info(notice) }
  }

  /// Runs until the hole is open; a control node runs until a signal ends it.
  func run() throws(PunchError) {
    guard let result = try punch() else { return }
    do throws(Failure) {
      if settings.isJSON {
        try StandardOutput.writeLine(result.json)
      } else {
        try StandardOutput.write(template.render(result.text))
      }
    } catch {
      throw PunchError(error.cause)
    }
    if let program { try program.become(result) }
  }
}

// MARK: - The node

extension PunchCommand {
  /// What came of a run of the loop.
  private final class Ending {
    var signal: StopSignal?
    var remote: SocketAddress?
  }

  private func punch() throws(PunchError) -> PunchResult? {
    let local = try PunchAddress.local(settings.local ?? "")
    let ending = Ending()
    let signals: SignalPipe
    let loop: EpollLoop
    do throws(Failure) { signals = try SignalPipe(lastWords: "") } catch {
      throw PunchError(error.cause)
    }
    let socket: UDPSocket
    do throws(RuntimeError) {
      loop = try EpollLoop()
      try SignalWatch.start(signals, on: loop) { signal in
        ending.signal = signal
        loop.stop()
      }
      socket = try UDPSocket(loop: loop, binding: local, bufferBytes: Self.bufferBytes)
    } catch {
      throw PunchError("cannot listen on \(local): \(error)")
    }
    let machine = try machine(local: local, now: loop.now)
    if slot == nil { log.info("listening on \(socket.localAddress)") }
    let node = NetpunchNode(machine, socket: socket, loop: loop) { [log] output in
      log.note(output, now: loop.now)
      guard case .open(let remote) = output else { return }
      ending.remote = remote
      loop.stop()
    }
    loop.run()
    node.stop()
    return try finish(ending, socket)
  }

  private func machine(
    local: SocketAddress, now: Instant
  ) throws(PunchError) -> any NetpunchMachine {
    guard let slot else { return NetpunchControl(signer: signer) }
    let control = try PunchAddress.remote(settings.remote ?? "", from: local)
    return NetpunchPeer(slot: slot, control: control, signer: signer, now: now)
  }

  private func finish(_ ending: Ending, _ socket: UDPSocket) throws(PunchError) -> PunchResult? {
    guard let remote = ending.remote else {
      if let signal = ending.signal {
        log.info("Shutting down due to signal: \(Self.goName(signal))")
      }
      socket.close()
      log.info("close: ok")
      throw PunchError("context canceled")
    }
    let result = PunchResult(
      local: socket.localAddress, remote: remote,
      source: socket.sourceAddress(towards: remote))
    if settings.handsOver {
      guard let descriptor = socket.handOver() else {
        throw PunchError("cannot hand the socket over: \(Failure.systemMessage(errno))")
      }
      // Nobody else runs any more, and the next to read it is the program.
      setenv(PunchProgram.descriptorVariable, "\(descriptor)", 1)
    } else {
      socket.close()
      log.info("close: ok")
    }
    return result
  }

  /// As Go shows a signal.
  private static func goName(_ signal: StopSignal) -> String {
    switch signal {
    case .hangup: "hangup (0x01)"
    case .interrupt: "interrupt (0x02)"
    case .terminate: "terminated (0x0f)"
    }
  }

  /// Messages have fifty bytes; this is what a burst of strangers' may fill.
  private static let bufferBytes = 1 << 18
}

// MARK: - Settings

extension PunchCommand {
  private static func missing(_ settings: PunchSettings) -> [String] {
    var causes: [String] = []
    if settings.secret == nil, settings.secretFile == nil {
      causes.append("there is no secret: give -secret-file or -secret")
    }
    if settings.local == nil { causes.append("there is no local address: give -local") }
    if settings.peer != nil, settings.remote == nil {
      causes.append("a peer needs the address of the control node: give -remote")
    }
    if settings.peer == nil, settings.remote != nil {
      causes.append("a control node takes no -remote: give -peer too, or leave it out")
    }
    if settings.isJSON, settings.template != nil || settings.templateFile != nil {
      causes.append("-json and a template contradict each other: keep one")
    }
    if settings.command == nil, settings.handsOver || !settings.arguments.isEmpty {
      causes.append("-arg, -fields, -raw and -handover need a -command")
    }
    return causes
  }

  private static func slot(_ text: String) -> NetpunchSlot? {
    text.utf8.count == 1 ? text.utf8.first.flatMap(NetpunchSlot.init) : nil
  }

  private static func templateText(_ settings: PunchSettings) throws(PunchError) -> String? {
    if let text = settings.template { return text }
    guard let path = settings.templateFile else { return nil }
    return String(decoding: try PunchSecret.contents(path, flag: "-template-file"), as: UTF8.self)
  }

  /// Reads a template of a flag.
  static func template(_ text: String, flag: String) throws(PunchError) -> PunchTemplate {
    do throws(PunchTemplate.Problem) {
      return try PunchTemplate(text)
    } catch {
      throw PunchError("\(flag): \(error.cause)")
    }
  }
}
