import Glibc
import Synchronization

/// Turns SIGINT, SIGTERM and SIGHUP into bytes at a file descriptor, for the event loop to read.
///
///     running --first signal--> draining (a byte arrives at `descriptor`)
///     draining --second signal--> the process ends at once, with 128 plus the signal's number
///
/// The second step happens in the signal handler itself, so that it works even when the event
/// loop hangs. A handler and a pipe take the place of signalfd(2), which Glibc's module map leaves
/// out; they also need no signal mask that every thread has to share. A waiting loop wakes with
/// EINTR or by the byte, and both are harmless.
///
/// Where SIGHUP means "read the settings again", it is none of the two: it only arrives.
///
/// One instance at a time, made before the loop starts, on a thread that lives as long as it does:
/// the thread that signals are sure to reach, whatever mask the parent process left behind. SIGHUP
/// stays ignored where it was ignored at the start, as under nohup(1).
final class SignalPipe: Sendable {
  /// The end to register for reading: non-blocking, closed on exec.
  let descriptor: Int32

  private let writeEnd: Int32

  /// Installs the handlers.
  ///
  /// - Parameters:
  ///   - lastWords: written to standard error before a forced end, for example the bytes that clear a
  ///     status line.
  ///   - hangupReloads: SIGHUP does not ask for the end.
  init(lastWords: StaticString, hangupReloads: Bool = false) throws(Failure) {
    var ends: [Int32] = [-1, -1]
    guard pipe(&ends) == 0 else {
      throw Failure(
        .internalError, "cannot make a pipe for signals: \(Failure.systemMessage(errno))",
        fix: "raise the limit of open files with `ulimit -n`")
    }
    guard
      writeDescriptor.compareExchange(
        expected: -1, desired: ends[1], ordering: .sequentiallyConsistent
      ).exchanged
    else {
      close(ends[0])
      close(ends[1])
      throw Failure(
        .internalError, "signal handlers are installed twice", fix: "report this as a defect")
    }
    descriptor = ends[0]
    writeEnd = ends[1]
    for end in ends {
      _ = fcntl(end, F_SETFL, O_NONBLOCK)
      _ = fcntl(end, F_SETFD, FD_CLOEXEC)
    }
    received.store(0, ordering: .sequentiallyConsistent)
    hangupIsHarmless.store(hangupReloads, ordering: .sequentiallyConsistent)
    lastWordsAddress.store(
      UInt(bitPattern: lastWords.utf8Start), ordering: .sequentiallyConsistent)
    lastWordsCount.store(lastWords.utf8CodeUnitCount, ordering: .sequentiallyConsistent)
    for signal in StopSignal.allCases where !(signal == .hangup && Self.isIgnored(signal)) {
      Self.setHandler(of: signal, to: handleStopSignal)
    }
    unblockStopSignals()
  }

  deinit {
    for signal in StopSignal.allCases where !Self.isIgnored(signal) {
      Self.setHandler(of: signal, to: SIG_DFL)
    }
    writeDescriptor.store(-1, ordering: .sequentiallyConsistent)
    close(descriptor)
    close(writeEnd)
  }

  /// Takes the signal that has arrived, if any; called when `descriptor` is readable.
  func take() -> StopSignal? {
    var byte: UInt8 = 0
    guard read(descriptor, &byte, 1) == 1 else { return nil }
    return StopSignal(rawValue: Int32(byte))
  }

  /// Lets writes to a closed pipe or socket fail with EPIPE instead of ending the process.
  ///
  /// `main` calls it first of all.
  static func ignoreBrokenPipes() {
    _ = signal(SIGPIPE, SIG_IGN)
  }

  private static func isIgnored(_ signal: StopSignal) -> Bool {
    var current = sigaction()
    guard sigaction(signal.rawValue, nil, &current) == 0 else { return false }
    return unsafeBitCast(current.__sigaction_handler.sa_handler, to: Int.self)
      == unsafeBitCast(SIG_IGN, to: Int.self)
  }

  private func unblockStopSignals() {
    var signals = sigset_t()
    sigemptyset(&signals)
    for signal in StopSignal.allCases { sigaddset(&signals, signal.rawValue) }
    pthread_sigmask(SIG_UNBLOCK, &signals, nil)
  }

  private static func setHandler(of signal: StopSignal, to handler: __sighandler_t?) {
    var action = sigaction()
    action.__sigaction_handler.sa_handler = handler
    action.sa_flags = SA_RESTART
    sigemptyset(&action.sa_mask)
    sigaction(signal.rawValue, &action, nil)
  }
}

/// The signals that ask a run to end.
enum StopSignal: Int32, CaseIterable, Sendable {
  /// The terminal went away.
  case hangup = 1
  /// Ctrl-C.
  case interrupt = 2
  /// The polite request of kill(1) and service managers.
  case terminate = 15

  /// The signal's usual name, for log lines.
  var name: String {
    switch self {
    case .hangup: "SIGHUP"
    case .interrupt: "SIGINT"
    case .terminate: "SIGTERM"
    }
  }
}

// MARK: - The handler

// A signal handler gets no context, so what it needs stands in atomics, which are safe to use
// there. `SignalPipe.init` touches each of them before it installs the handler.
private let writeDescriptor = Atomic<Int32>(-1)
private let received = Atomic<Int>(0)
private let hangupIsHarmless = Atomic<Bool>(false)
private let lastWordsAddress = Atomic<UInt>(0)
private let lastWordsCount = Atomic<Int>(0)

private func handleStopSignal(_ number: Int32) {
  let savedErrno = errno
  let counts = number != SIGHUP || !hangupIsHarmless.load(ordering: .sequentiallyConsistent)
  if counts, received.add(1, ordering: .sequentiallyConsistent).oldValue > 0 {
    // SAFETY: the address comes from a StaticString, which lives as long as the process.
    let words = UnsafeRawPointer(bitPattern: lastWordsAddress.load(ordering: .relaxed))
    _ = Glibc.write(STDERR_FILENO, words, lastWordsCount.load(ordering: .relaxed))
    _exit(128 + number)
  }
  var byte = UInt8(truncatingIfNeeded: number)
  _ = Glibc.write(writeDescriptor.load(ordering: .relaxed), &byte, 1)
  errno = savedErrno
}
