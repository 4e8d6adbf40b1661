import Glibc
import QuicTransport
import Simulation
import Testing

@testable import Tunnel

/// The web server of `dir:` with requests and files as they come.
@Suite("Folder socket")
struct FolderSocketTests {
  private static let big = Payload.bytes(300_000, seed: 7)

  /// A folder, a file beside it, and a connection to the server.
  private final class Scene: StreamSocketHandler {
    let loop = SimLoop()
    let folder: TemporaryFolder
    let socket: FolderSocket
    private(set) var received: [UInt8] = []
    private(set) var sawEnd = false
    private(set) var failure: Int32?
    private(set) var isConnected = false
    private var outgoing: [UInt8] = []
    private let piece: Int

    init(piece: Int = 65_536) throws {
      self.piece = piece
      folder = try TemporaryFolder()
      let site = folder.file("site")
      #expect(mkdir(site, 0o755) == 0 && mkdir("\(site)/sub", 0o755) == 0)
      #expect(mkdir("\(site)/plain", 0o755) == 0 && mkfifo("\(site)/fifo", 0o644) == 0)
      try Self.write(FolderSocketTests.big, to: "\(site)/big.bin")
      try Self.write(Array("hello\n".utf8), to: "\(site)/a.txt")
      try Self.write([], to: "\(site)/empty")
      try Self.write(Array("index\n".utf8), to: "\(site)/sub/index.html")
      try Self.write(Array("secret\n".utf8), to: "\(site)/.hidden")
      try Self.write(Array("outside\n".utf8), to: folder.file("outside"))
      try Self.write(Array("x".utf8), to: "\(site)/plain/<b>&.txt")
      #expect(symlink("../outside", "\(site)/out") == 0)
      #expect(symlink("/etc/passwd", "\(site)/passwd") == 0)
      #expect(symlink("a.txt", "\(site)/inside") == 0)
      socket = FolderSocket(folder: try SharedFolder(path: site), loop: loop)
      socket.handler = self
    }

    static func write(_ bytes: [UInt8], to path: String) throws {
      let file = try #require(fopen(path, "w"))
      #expect(fwrite(bytes, 1, bytes.count, file) == bytes.count)
      fclose(file)
    }

    /// Sends a request and returns the head and the body of the answer.
    func ask(_ request: String, method: String = "GET") throws -> (head: String, body: [UInt8]) {
      received = []
      send(Array("\(method) \(request)\r\n\r\n".utf8))
      loop.run(for: .seconds(1))
      let end = try #require(
        received.indices.dropFirst(3).first {
          received[$0 - 3...$0].elementsEqual([13, 10, 13, 10])
        })
      return (String(decoding: received[...end], as: UTF8.self), Array(received[(end + 1)...]))
    }

    func get(_ target: String, _ fields: String = "") throws -> (head: String, body: [UInt8]) {
      try ask("\(target) HTTP/1.1\r\nHost: x\(fields.isEmpty ? "" : "\r\n")\(fields)")
    }

    func send(_ bytes: [UInt8]) {
      outgoing += bytes
      pump()
    }

    private func pump() {
      while !outgoing.isEmpty {
        let result = outgoing.prefix(piece).withUnsafeBytes { bytes in
          withUnsafePointer(to: bytes) { socket.write(UnsafeBufferPointer(start: $0, count: 1)) }
        }
        guard case .moved(let count) = result else { break }
        outgoing.removeFirst(count)
      }
      withUnsafeTemporaryAllocation(byteCount: 65_536, alignment: 1) { buffer in
        // Like `Splice`: after a short read it waits to hear of more.
        while failure == nil, !sawEnd {
          switch socket.read(into: buffer) {
          case .moved(let count):
            received += buffer[..<count]
            if count < buffer.count { return }
          case .blocked: return
          case .ended: sawEnd = true
          case .failed(let code): failure = code
          }
        }
      }
    }

    func streamSocketConnected() { isConnected = true }
    func streamSocketFailed(_ code: Int32) {}
    func streamSocketReady(_ readiness: Readiness) { pump() }
  }

  @Test(
    "a file comes byte for byte, whatever the pieces of the request", arguments: [1, 7, 65_536])
  func file(piece: Int) throws {
    let scene = try Scene(piece: piece)
    let (head, body) = try scene.get("/big.bin")
    #expect(head.hasPrefix("HTTP/1.1 200 OK\r\n"))
    #expect(head.contains("\r\nContent-Length: 300000\r\n"))
    #expect(head.contains("\r\nContent-Type: application/octet-stream\r\n"))
    #expect(Payload.difference(body, Self.big) == nil)
    #expect(scene.isConnected && !scene.sawEnd)
    // The connection stays open.
    #expect(try scene.get("/a.txt").body == Array("hello\n".utf8))
    #expect(try scene.get("/empty").body.isEmpty)
    #expect(try scene.get("/inside").body == Array("hello\n".utf8))
  }

  @Test("of many requests at once, one is answered a tick: each may ask for the list of a folder")
  func crowd() throws {
    let scene = try Scene()
    scene.send(
      Array(String(repeating: "HEAD /plain/ HTTP/1.1\r\nHost: x\r\n\r\n", count: 200).utf8))
    var more = 0
    withUnsafeTemporaryAllocation(byteCount: 65_536, alignment: 1) { buffer in
      while case .moved(let count) = scene.socket.read(into: buffer) { more += count }
    }
    #expect(more == 0)
    scene.loop.run(for: .seconds(1))
    let text = String(decoding: scene.received, as: UTF8.self)
    #expect(text.ranges(of: "HTTP/1.1 200 OK").count == 200)
  }

  @Test("requests in one piece are answered in order")
  func pipelined() throws {
    let scene = try Scene()
    let request = "GET /a.txt HTTP/1.1\r\nHost: x\r\n\r\n"
    scene.send(Array(String(repeating: request, count: 500).utf8))
    scene.loop.run(for: .seconds(10))
    let text = String(decoding: scene.received, as: UTF8.self)
    #expect(text.split(separator: "HTTP/1.1 200 OK").count == 500)
    #expect(text.hasSuffix("\r\n\r\nhello\n"))
  }

  @Test(
    "what is hidden, outside, no file, or missing is not found",
    arguments: [
      "/.hidden", "/out", "/passwd", "/../outside", "/%2e%2e/outside", "/sub/../../outside",
      "/fifo",
      "/missing", "/a.txt/", "/a.txt/b", "/sub/missing", "//etc/passwd", "/..%2foutside",
    ])
  func notFound(target: String) throws {
    let scene = try Scene()
    let (head, body) = try scene.get(target)
    #expect(head.hasPrefix("HTTP/1.1 404 Not Found\r\n"), "\(target)")
    #expect(body == Array("404 Not Found\n".utf8))
    #expect(try scene.get("/a.txt").body == Array("hello\n".utf8))
  }

  @Test("a folder is its index, or a list without hidden names")
  func folders() throws {
    let scene = try Scene()
    #expect(try scene.get("/sub/").body == Array("index\n".utf8))
    let (redirect, _) = try scene.get("/sub")
    #expect(redirect.hasPrefix("HTTP/1.1 308 ") && redirect.contains("\r\nLocation: /sub/\r\n"))
    let list = String(decoding: try scene.get("/").body, as: UTF8.self)
    #expect(list.contains("<li><a href=\"./a.txt\">a.txt</a>"))
    #expect(list.contains("<li><a href=\"./sub/\">sub/</a>"))
    #expect(!list.contains(".hidden"))
    let plain = String(decoding: try scene.get("/plain/").body, as: UTF8.self)
    #expect(plain.contains("<a href=\"./%3Cb%3E%26.txt\">&lt;b&gt;&amp;.txt</a>"))
  }

  @Test("HEAD has the fields of GET and no body")
  func head() throws {
    let scene = try Scene()
    for target in ["/a.txt", "/", "/missing"] {
      let get = try scene.get(target)
      let (head, body) = try scene.ask("\(target) HTTP/1.1\r\nHost: x", method: "HEAD")
      #expect(head == get.head && body.isEmpty)
    }
  }

  @Test("one range, and nothing where the client has the file already")
  func conditional() throws {
    let scene = try Scene()
    let (head, body) = try scene.get("/big.bin", "Range: bytes=1000-199999")
    #expect(
      head.hasPrefix("HTTP/1.1 206 ")
        && head.contains("\r\nContent-Range: bytes 1000-199999/300000\r\n"))
    #expect(Payload.difference(body, Array(Self.big[1_000..<200_000])) == nil)
    #expect(try scene.get("/a.txt", "Range: bytes=6-").head.hasPrefix("HTTP/1.1 416 "))
    let tag = try #require(
      head.split(separator: "\r\n").first { $0.hasPrefix("ETag: ") }?.dropFirst(6))
    let (same, nothing) = try scene.get("/big.bin", "If-None-Match: \"x\", W/\(tag)")
    #expect(same.hasPrefix("HTTP/1.1 304 ") && nothing.isEmpty)
    #expect(try scene.get("/big.bin", "If-None-Match: \"x\"").head.hasPrefix("HTTP/1.1 200 "))
  }

  @Test(
    "the connection ends where the client or the protocol wants it",
    arguments: [
      ("GET /a.txt HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "200 OK"),
      ("GET /a.txt HTTP/1.0\r\n\r\n", "200 OK"),
      ("POST /a.txt HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", "405 "),
      ("GET /a.txt HTTP/1.1\r\n\r\n", "400 "),
      ("GET /a.txt HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", "400 "),
      ("\u{16}\u{3}\u{1}", "400 "), ("GET /a.txt\r\n\r\n", "400 "),
      ("GET /a.txt HTTP/1.1\r\nHost: x\r\nA: " + String(repeating: "a", count: 8_192), "431 "),
    ])
  func ends(request: String, status: String) throws {
    let scene = try Scene()
    scene.send(Array(request.utf8))
    scene.loop.run(for: .seconds(1))
    let text = String(decoding: scene.received, as: UTF8.self)
    #expect(text.hasPrefix("HTTP/1.1 \(status)"))
    #expect(scene.sawEnd || !text.contains("Connection: close"))
    if status == "400 ", request.contains("Host") == false { return }
    // Whatever follows is swallowed, so that the flow can end.
    scene.send([UInt8](repeating: 65, count: 100_000))
    scene.loop.run(for: .seconds(1))
    #expect(scene.failure == nil)
  }

  @Test("the client's end ends the connection after the last answer")
  func clientEnds() throws {
    let scene = try Scene()
    scene.send(Array("GET /big.bin HTTP/1.1\r\nHost: x\r\n\r\n".utf8))
    scene.socket.finishWriting()
    scene.loop.run(for: .seconds(1))
    #expect(scene.sawEnd)
    #expect(scene.received.suffix(300_000).elementsEqual(Self.big))
  }

  @Test("a file that shrinks while it is sent breaks the connection off")
  func shrinks() throws {
    let scene = try Scene()
    let path = scene.folder.file("site/big.bin")
    // The head is read before the file; between the two the file is cut.
    var head = [UInt8](repeating: 0, count: 16)
    _ = Array("GET /big.bin HTTP/1.1\r\nHost: x\r\n\r\n".utf8).withUnsafeBytes { bytes in
      withUnsafePointer(to: bytes) { scene.socket.write(UnsafeBufferPointer(start: $0, count: 1)) }
    }
    #expect(head.withUnsafeMutableBytes { scene.socket.read(into: $0) } == .moved(16))
    #expect(truncate(path, 1_000) == 0)
    scene.loop.run(for: .seconds(1))
    #expect(scene.failure == EIO && !scene.sawEnd)
  }

  @Test("a folder that is missing, or is none, is told at once")
  func missingFolder() throws {
    #expect(throws: RuntimeError.self) { try SharedFolder(path: "/nonexistent") }
    #expect(throws: RuntimeError.self) { try SharedFolder(path: "/etc/passwd") }
  }
}
