import QuicTransport
import Simulation
import Testing

@testable import Tunnel

@Suite("Leases")
struct LeaseBookTests {
  private let now = Instant(nanoseconds: 1_000_000_000)
  private let one = Identity.fixture(1).publicKey
  private let two = Identity.fixture(2).publicKey

  private func request(
    port: UInt16 = 0, kind: PublicKind? = .tcp, name: String = "", label: UInt8 = 0,
    group: [UInt8] = []
  ) -> PublicRequest {
    PublicRequest(
      number: 0, kind: kind, port: port, name: name, label: [UInt8](repeating: label, count: 8),
      group: group, balance: .roundRobin)
  }

  private func take(
    _ book: inout LeaseBook, _ request: PublicRequest, _ key: PublicKey,
    limits: PublicLimits = PublicLimits(), within ports: [ClosedRange<UInt16>] = [1...65_535],
    unusable: Set<UInt16> = [], at time: Duration = .zero
  ) -> Result<LeaseBook.Place, PublicStatus> {
    do throws(PublicStatus) {
      return .success(
        try book.take(
          request, by: key, within: ports, limits: limits, unusable: unusable, now: now + time))
    } catch {
      return .failure(error)
    }
  }

  @Test("services of one key get ports of their own, each the same every time")
  func labels() throws {
    var book = LeaseBook(ports: 100...109)
    let first = try take(&book, request(label: 1), one).get()
    let second = try take(&book, request(label: 2), one).get()
    #expect(first != second)
    book.release(first, kept: .seconds(10), now: now)
    book.release(second, kept: .seconds(10), now: now)
    #expect(try take(&book, request(label: 2), one).get() == second)
    #expect(try take(&book, request(label: 1), one).get() == first)
    // Even where nothing was written down.
    var fresh = LeaseBook(ports: 100...109)
    #expect(try take(&fresh, request(label: 1), one).get() == first)
  }

  @Test("a port is one of those that the holder may have, also the one that it had before")
  func within() throws {
    var book = LeaseBook(ports: 100...109)
    #expect(try take(&book, request(), one, within: [104...104]).get().port == 104)
    #expect(take(&book, request(), two, within: [104...104]) == .failure(.noneFree))
    book.release(LeaseBook.Place(kind: .tcp, port: 104, name: ""), kept: .seconds(10), now: now)
    #expect(try take(&book, request(), one, within: [106...107]).get().port != 104)
  }

  @Test("TCP and UDP ports of one number are two places")
  func kinds() throws {
    var book = LeaseBook(ports: 100...100)
    #expect(try take(&book, request(port: 100), one).get().kind == .tcp)
    #expect(try take(&book, request(port: 100, kind: .udp), two).get().kind == .udp)
    #expect(take(&book, request(kind: nil), one) == .failure(.unknownKind))
  }

  @Test("a key turns its lease into a group's while nobody uses it, and nobody else does")
  func groups() throws {
    var book = LeaseBook(ports: 100...103)
    let group = [UInt8](repeating: 9, count: 32)
    let place = try take(&book, request(port: 101), one).get()
    #expect(take(&book, request(port: 101, group: group), one) == .failure(.heldByAnother))
    book.release(place, kept: .seconds(10), now: now)
    #expect(take(&book, request(port: 101, group: group), two) == .failure(.heldByAnother))
    #expect(try take(&book, request(port: 101, group: group), one).get() == place)
    #expect(try take(&book, request(port: 101, group: group), two).get() == place)
    #expect(take(&book, request(port: 101), one) == .failure(.heldByAnother))
  }

  @Test("a holder's unused leases give way to its new ones; leases in all are bounded")
  func bounds() throws {
    var limits = PublicLimits()
    limits.leasesPerHolderMax = 2
    limits.leasesMax = 3
    var book = LeaseBook(ports: 100...199)
    let first = try take(&book, request(label: 1), one, limits: limits).get()
    _ = try take(&book, request(label: 2), one, limits: limits).get()
    #expect(take(&book, request(label: 3), one, limits: limits) == .failure(.tooMany))
    book.release(first, kept: .seconds(60), now: now)
    _ = try take(&book, request(label: 3), one, limits: limits).get()
    #expect(book.leases[first] == nil && book.leases.count == 2)
    _ = try take(&book, request(label: 1), two, limits: limits).get()
    #expect(take(&book, request(label: 2), two, limits: limits) == .failure(.tooMany))
  }

  @Test("random requests: nobody gets what another uses, and no limit is passed", arguments: 1...20)
  func random(seed: UInt64) throws {
    var random = SplitMix64(seed: seed)
    var limits = PublicLimits()
    limits.leasesPerHolderMax = 5
    let keys = (1...6).map { Identity.fixture(UInt8($0)).publicKey }
    var book = LeaseBook(ports: 100...111)
    var inUse: [LeaseBook.Place: PublicKey] = [:]
    var time = Duration.zero
    for step in 0..<2_000 {
      time += .seconds(Int64(random.below(120)))
      let key = keys[Int(random.below(6))]
      if random.below(3) == 0, let place = inUse.first(where: { $0.value == key })?.key {
        inUse[place] = nil
        book.release(place, kept: limits.leaseKept, now: now + time)
        continue
      }
      let wish = request(
        port: random.below(2) == 0 ? 0 : UInt16(95 + random.below(20)),
        kind: random.below(2) == 0 ? .tcp : .udp, label: UInt8(random.below(4)))
      if case .success(let place) = take(&book, wish, key, limits: limits, at: time) {
        #expect(inUse[place] == nil || inUse[place] == key, "seed \(seed), step \(step)")
        #expect((100...111).contains(place.port))
        inUse[place] = key
      }
      for key in keys {
        let count = book.leases.values.count { $0.holder == .key(key) }
        #expect(count <= 5, "seed \(seed), step \(step)")
      }
      #expect(inUse.keys.allSatisfy { book.leases[$0]?.keptUntil == nil })
    }
  }
}

@Suite("The file of leases")
struct LeaseTextTests {
  private let now = Instant(nanoseconds: 5_000_000_000)

  private func book() throws -> LeaseBook {
    var book = LeaseBook(ports: 100...109)
    let key = Identity.fixture(1).publicKey
    for (kind, name, group) in [
      (PublicKind.tcp, "", []), (.udp, "", [UInt8](repeating: 7, count: 32)),
      (.http, "a.example.com", []), (.tls, "*", []),
    ] {
      let request = PublicRequest(
        number: 0, kind: kind, port: 0, name: name, label: [UInt8](0..<8), group: group,
        balance: .roundRobin)
      let place = try book.take(
        request, by: key, within: [1...65_535], limits: PublicLimits(), unusable: [], now: now)
      if kind == .udp { book.release(place, kept: .seconds(100), now: now) }
    }
    return book
  }

  private func read(_ bytes: [UInt8], time: UInt64) throws -> LeaseBook {
    try LeaseText.decode(bytes, ports: 100...109, kept: .seconds(3_600), time: time, now: now)
  }

  @Test("it is read as it was written; what was in use is kept from the start on")
  func roundTrip() throws {
    let book = try book()
    let bytes = LeaseText.encode(book, time: 1_000, now: now)
    let again = try read(bytes, time: 1_000)
    #expect(Set(again.leases.keys) == Set(book.leases.keys))
    for (place, lease) in book.leases {
      let kept = lease.keptUntil ?? now + .seconds(3_600)
      #expect(again.leases[place]?.keptUntil == kept)
      #expect(again.leases[place]?.holder == lease.holder)
    }
  }

  @Test("a clock that jumped back keeps nothing for longer, one that jumped ahead ends what waited")
  func clock() throws {
    let bytes = LeaseText.encode(try book(), time: 1_000, now: now)
    let back = try read(bytes, time: 0)
    #expect(back.leases.count == 4)
    #expect(
      back.leases.values.allSatisfy { $0.keptUntil.map { $0 <= now + .seconds(3_600) } == true })
    #expect(try read(bytes, time: .max).leases.count == 3)
  }

  @Test("a line that cannot be understood is named; every damaged file is, or reads as leases")
  func damage() throws {
    let bytes = LeaseText.encode(try book(), time: 1_000, now: now)
    #expect(throws: AccessFileError.malformed(line: 1)) { try read([], time: 0) }
    #expect(throws: AccessFileError.malformed(line: 6)) {
      try read(bytes.dropLast(4) + Array("tcp\t1\nend\n".utf8), time: 0)
    }
    var random = SplitMix64(seed: 3)
    for _ in 0..<2_000 {
      var copy = bytes
      copy[Int(random.below(UInt64(copy.count)))] = UInt8(random.below(256))
      _ = try? read(copy, time: 1_000)
    }
  }

  @Test("ports outside of a new range are dropped")
  func range() throws {
    let bytes = LeaseText.encode(try book(), time: 1_000, now: now)
    let book = try LeaseText.decode(
      bytes, ports: nil, kept: .seconds(3_600), time: 1_000, now: now)
    #expect(book.leases.keys.allSatisfy(\.kind.hasName) && book.leases.count == 2)
  }

  @Test("what follows within 50 ms is written together, and each action waits for its own change")
  func together() {
    let loop = SimLoop()
    var written = 0
    var done: [Int] = []
    let file = LeaseFile(
      loop: loop, lock: nil, write: { _ throws(AccessFileError) in written += 1 },
      onProblem: { _ in })
    for number in 1...3 {
      file.save { [UInt8(number)] }
      file.whenSaved { done.append(number) }
    }
    #expect(written == 1 && done == [1])
    loop.run(for: .milliseconds(49))
    #expect(written == 1 && done == [1])
    loop.run(for: .milliseconds(1))
    #expect(written == 2 && done == [1, 2, 3])
    // Nothing is to be written: nothing is waited for.
    file.whenSaved { done.append(4) }
    #expect(done.last == 4)
    file.close()
  }

  @Test("what cannot be written is said once and tried again")
  func unwritable() {
    let loop = SimLoop()
    var isFull = true
    var written = 0
    var problems: [AccessFileError?] = []
    let file = LeaseFile(
      loop: loop, lock: nil,
      write: { _ throws(AccessFileError) in
        if isFull { throw .unwritable(28) }
        written += 1
      }, onProblem: { problems.append($0) })
    var answered = 0
    for _ in 0..<5 {
      file.save { [1] }
      file.whenSaved { answered += 1 }
    }
    // A relay with a full disk goes on.
    #expect(answered == 5)
    loop.run(for: .seconds(30))
    #expect(problems == [.unwritable(28)] && written == 0)
    isFull = false
    loop.run(for: .seconds(6))
    #expect(problems == [.unwritable(28), nil] && written == 1)
    file.close()
  }
}
