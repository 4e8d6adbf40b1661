import Glibc
import Testing

@testable import qtun

// Each test runs in a process of its own, since handlers belong to the whole process.
@Suite("SignalPipe")
struct SignalPipeTests {
  @Test("the numbers are the system's")
  func numbers() {
    #expect(StopSignal.hangup.rawValue == SIGHUP)
    #expect(StopSignal.interrupt.rawValue == SIGINT)
    #expect(StopSignal.terminate.rawValue == SIGTERM)
  }

  @Test("a first signal arrives at the descriptor and ends nothing", .timeLimit(.minutes(1)))
  func first() async {
    await #expect(processExitsWith: .success) {
      let signals = try SignalPipe(lastWords: "")
      try #require(signals.take() == nil)
      raise(SIGTERM)
      var ready = pollfd(fd: signals.descriptor, events: Int16(POLLIN), revents: 0)
      try #require(poll(&ready, 1, 1000) == 1)
      try #require(signals.take() == .terminate)
      try #require(signals.take() == nil)
    }
  }

  @Test("a second signal ends the process at once with the status of its kind")
  func second() async {
    await #expect(processExitsWith: .exitCode(130)) { try raiseTwice(SIGTERM, SIGINT) }
    await #expect(processExitsWith: .exitCode(143)) { try raiseTwice(SIGINT, SIGTERM) }
    await #expect(processExitsWith: .exitCode(129)) { try raiseTwice(SIGINT, SIGHUP) }
  }

  @Test("a forced end leaves the last words on standard error")
  func lastWords() async throws {
    let result = await #expect(
      processExitsWith: .exitCode(130), observing: [\.standardErrorContent]
    ) {
      try raiseTwice(SIGINT, SIGINT)
    }
    let bytes = try #require(result).standardErrorContent
    #expect(String(decoding: bytes, as: UTF8.self).contains("last words"))
  }

  @Test("SIGHUP stays ignored where it was ignored, as under nohup")
  func nohup() async {
    await #expect(processExitsWith: .success) {
      _ = signal(SIGHUP, SIG_IGN)
      let signals = try SignalPipe(lastWords: "")
      raise(SIGHUP)
      raise(SIGHUP)
      try #require(signals.take() == nil)
    }
  }

  @Test("a second pipe is refused while the first lives, and the handlers go with it")
  func once() async {
    await #expect(processExitsWith: .success) {
      try installTwice()
      _ = try SignalPipe(lastWords: "")
    }
    await #expect(processExitsWith: .signal(SIGTERM)) {
      try installTwice()
      raise(SIGTERM)
    }
  }

  @Test("where SIGHUP reloads, it arrives each time, and does not count as a first signal")
  func reload() async {
    await #expect(processExitsWith: .success) {
      let signals = try SignalPipe(lastWords: "", hangupReloads: true)
      for _ in 0..<3 {
        raise(SIGHUP)
        try #require(signals.take() == .hangup)
      }
      raise(SIGTERM)
      try #require(signals.take() == .terminate)
      raise(SIGHUP)
      try #require(signals.take() == .hangup)
    }
    await #expect(processExitsWith: .exitCode(143)) {
      let signals = try SignalPipe(lastWords: "", hangupReloads: true)
      raise(SIGHUP)
      raise(SIGTERM)
      raise(SIGTERM)
      _ = signals.take()
    }
  }

  @Test("a pipe that nobody reads does not end the process")
  func brokenPipe() async {
    await #expect(processExitsWith: .success) {
      SignalPipe.ignoreBrokenPipes()
      raise(SIGPIPE)
    }
  }
}

private func raiseTwice(_ first: Int32, _ second: Int32) throws {
  let signals = try SignalPipe(lastWords: "last words")
  raise(first)
  raise(second)
  _ = signals.take()
}

private func installTwice() throws {
  let first = try SignalPipe(lastWords: "")
  #expect(throws: Failure.self) { try SignalPipe(lastWords: "") }
  _ = first.take()
}
