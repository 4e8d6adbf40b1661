import Glibc
internal import QuicTransport

/// `qtun status`: asks every run of this user how it is doing.
struct StatusCommand {
  let environment: Environment

  func run(_ settings: GlobalSettings, console: Console) throws(Failure) -> ExitCode {
    let answers = try ask()
    if answers.isEmpty, !settings.isJSON {
      console.printLine("no share, connect or pipe of yours is running on this machine")
    }
    for answer in answers {
      guard let status = JSONValue(answer.utf8) else { continue }
      try StandardOutput.tell(settings.isJSON ? answer : StatusText(status: status).text)
    }
    return .ok
  }

  /// The answers, in the order of the processes; whoever does not answer in time is left out.
  private func ask() throws(Failure) -> [String] {
    let sockets = ControlFolder.sockets(environment: environment)
    do throws(RuntimeError) {
      let loop = try EpollLoop()
      let inquiry = Inquiry(loop: loop, paths: sockets.map(\.path))
      loop.run()
      return inquiry.answers
    } catch {
      throw Failure(
        .internalError, "cannot ask: \(error)", fix: "raise the limit of open files: `ulimit -n`")
    }
  }
}

/// All questions at once, on a loop that ends with the last answer or after a while.
private final class Inquiry {
  private let loop: EpollLoop
  private var questions: [Question] = []
  private var openCount = 0

  init(loop: EpollLoop, paths: [String]) {
    self.loop = loop
    let start = LoopTimer { _ in self.start(paths) }
    loop.schedule(start, at: loop.now)
  }

  var answers: [String] { questions.compactMap(\.answer) }

  private func start(_ paths: [String]) {
    for path in paths {
      do throws(RuntimeError) {
        let socket = try UnixSocket.connect(loop: loop, to: path)
        guard socket.peerUser == geteuid() else {
          socket.close(resetting: false)
          continue
        }
        openCount += 1
        questions.append(Question(socket: socket) { self.ended() })
      } catch {
        // Its process died without a word. The folder is ours alone, so the file is as well.
        if error.code == ECONNREFUSED { unlink(path) }
      }
    }
    let deadline = LoopTimer { _ in self.loop.stop() }
    loop.schedule(deadline, at: loop.now + (openCount == 0 ? .zero : Self.timeout))
  }

  private func ended() {
    openCount -= 1
    if openCount == 0 { loop.stop() }
  }

  private static let timeout = Duration.seconds(2)
}

/// One run and its answer.
private final class Question: StreamSocketHandler {
  private let socket: UnixSocket
  private let ended: () -> Void
  private var bytes: [UInt8] = []
  private var isSent = false
  private var isOver = false
  /// The whole line, once it is there.
  private(set) var answer: String?

  init(socket: UnixSocket, ended: @escaping () -> Void) {
    self.socket = socket
    self.ended = ended
    socket.handler = self
  }

  func streamSocketConnected() {}

  func streamSocketFailed(_ code: Int32) { end() }

  func streamSocketReady(_ readiness: Readiness) {
    if !isSent {
      isSent = true
      let request = Array("{\"command\":\"status\"}\n".utf8)
      // A new socket's buffer holds far more.
      _ = request.withUnsafeBytes { socket.write($0) }
    }
    withUnsafeTemporaryAllocation(byteCount: Self.readMax, alignment: 1) { buffer in
      while !isOver {
        switch socket.read(into: buffer) {
        case .moved(let count):
          bytes.append(contentsOf: buffer[..<count])
          if bytes.count > Self.answerBytesMax { end() }
        case .blocked: return
        case .ended:
          if bytes.last == 0x0a { answer = String(decoding: bytes.dropLast(), as: UTF8.self) }
          end()
        case .failed: end()
        }
      }
    }
  }

  private func end() {
    guard !isOver else { return }
    isOver = true
    socket.close(resetting: false)
    ended()
  }

  private static let readMax = 65_536
  /// Far above what the bounds of a report allow.
  private static let answerBytesMax = 16 * 1024 * 1024
}
