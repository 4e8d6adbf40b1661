import Testing

@testable import Tunnel

@Suite("Door reader")
struct DoorReaderTests {
  private func read(_ kind: DoorKind, _ bytes: [UInt8], step: Int) -> DoorVerdict {
    var reader = DoorReader(kind: kind)
    var count = 0
    var verdict = DoorVerdict.needsMore
    while count < bytes.count, verdict == .needsMore {
      count = min(count + step, bytes.count)
      verdict = reader.read(Array(bytes[..<count]))
    }
    return verdict
  }

  @Test("names come out as they are leased, in any pieces", arguments: [1, 3, 4_096])
  func names(step: Int) {
    let request = Array("GET / HTTP/1.1\r\nHost: A.Example.:80\r\n\r\n".utf8)
    #expect(read(.http, request, step: step) == .name("a.example", host: "a.example"))
    let hello = ClientHello("A.Example").bytes
    #expect(read(.tls, hello, step: step) == .name("a.example", host: "a.example"))
  }

  @Test("who names nobody is for the holder of the rest", arguments: [1, 4_096])
  func rest(step: Int) {
    let request = Array("GET / HTTP/1.1\r\nHost: 192.0.2.1\r\n\r\n".utf8)
    #expect(read(.http, request, step: step) == .name("*", host: "192.0.2.1"))
    #expect(read(.tls, ClientHello(nil).bytes, step: step) == .name("*", host: ""))
  }

  @Test("who is refused hears why, in the words of the port")
  func refusals() {
    func words(_ verdict: DoorVerdict) -> String? {
      if case .refuse(let words) = verdict { String(decoding: words, as: UTF8.self) } else { nil }
    }
    let two = "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"
    #expect(words(read(.http, Array(two.utf8), step: 9))?.hasPrefix("HTTP/1.1 400 ") == true)
    let long = "GET /\(String(repeating: "a", count: 20_000))"
    #expect(words(read(.http, Array(long.utf8), step: 999))?.hasPrefix("HTTP/1.1 431 ") == true)
    let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)
    #expect(read(.http, preface, step: 1) == .refuse(PublicAnswer.http11Required))
    #expect(read(.tls, Array("GET".utf8), step: 1) == .refuse([]))
    #expect(DoorReader(kind: .http).lastWords(after: [71]).starts(with: "HTTP/1.1 408 ".utf8))
    #expect(DoorReader(kind: .http).lastWords(after: []).isEmpty)
    #expect(DoorReader(kind: .tls).lastWords(after: [22]).isEmpty)
  }

  @Test("each failure has its page or its alert")
  func farewells() {
    func page(_ failure: DoorFailure, _ name: String = "a.example") -> String {
      String(decoding: DoorKind.http.farewell(failure, name: name), as: UTF8.self)
    }
    #expect(
      page(.nobody).hasPrefix("HTTP/1.1 404 ") && page(.nobody).contains("nobody shares a.example"))
    #expect(page(.nobody, "*").contains("nobody shares this address"))
    #expect(page(.refused).hasPrefix("HTTP/1.1 502 ") && page(.died).hasPrefix("HTTP/1.1 502 "))
    #expect(page(.tooMany).hasPrefix("HTTP/1.1 503 "))
    #expect(DoorKind.tls.farewell(.nobody, name: "x") == [21, 3, 3, 0, 2, 2, 112])
    #expect(DoorKind.tls.farewell(.died, name: "x").isEmpty)
  }
}
