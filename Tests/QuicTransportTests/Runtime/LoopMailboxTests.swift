import Glibc
import Simulation
import Testing

@testable import QuicTransport

@Suite("Mail between loops", .timeLimit(.minutes(1)))
struct LoopMailboxTests {
  @Test("messages of several threads all arrive, those of one thread in order")
  func threads() throws {
    let loop = try EpollLoop()
    let mail = LoopMailbox<(thread: Int, number: Int)>(loop: loop)
    let senders = 3
    let count = 2_000
    var received = [[Int]](repeating: [], count: senders)
    mail.setReceiver { message in
      received[message.thread].append(message.number)
      if received.allSatisfy({ $0.count == count }) { loop.stop() }
    }
    let loops = try (0..<senders).map { _ in try EpollLoop() }
    for (thread, other) in loops.enumerated() {
      let begin = LoopMailbox<Void>(loop: other)
      begin.setReceiver { [unowned begin] in
        for number in 0..<count { mail.post((thread, number)) }
        begin.setReceiver(nil)
        other.stop()
      }
      begin.post(())
      try other.start()
    }
    loop.run()
    #expect(received.allSatisfy { $0 == Array(0..<count) })
    mail.setReceiver(nil)
  }

  @Test("no more wait than the sender allows")
  func bounded() {
    let loop = SimLoop()
    let mail = LoopMailbox<Int>(loop: loop)
    var received: [Int] = []
    mail.setReceiver { received.append($0) }
    #expect((0..<10).map { mail.post($0, unlessWaiting: 4) } == (0..<10).map { $0 < 4 })
    mail.post(99)
    loop.run(for: .milliseconds(1))
    #expect(received == [0, 1, 2, 3, 99])
    #expect(mail.post(5, unlessWaiting: 1))
  }

  @Test("who looks early gets what is there, in order, also from within a message")
  func early() {
    let loop = SimLoop()
    let mail = LoopMailbox<Int>(loop: loop)
    var received: [Int] = []
    mail.setReceiver { [unowned mail] message in
      received.append(message)
      if message == 1 {
        mail.post(3)
        mail.deliver()
      }
    }
    mail.post(1)
    mail.post(2)
    mail.deliver()
    #expect(received == [1, 2])
    loop.run(for: .milliseconds(1))
    #expect(received == [1, 2, 3])
  }
}
