import QuicTransport
import Testing

@testable import HolePunch

@Suite("Netpunch's wire")
struct NetpunchSignerTests {
  private static let vectors = [
    (#"jco]iO")J*1ql`kimW#L[8OY]b<Q[G'eXhje')71"#, "a"),
    (#"nZ-q'f_C;NTr1KsFuup9,gnpjk:d3.AB>`pr9Q7i"#, "b"),
    (##"X<$g:.Ig-@Nr*U'3WO1,3""#a<U:ONOOD]@;)@d6"##, "x"),
    (#"i[qpqig[M#0uBe&C/XkrNb.E<]Q4SP=u'0#M7B?s"#, "y"),
    (#"G8?6,dmGW8>:LRh#H,2Wk<ZHeZ'@*D#,#G@O)BIt"#, "z"),
    (##"\Dd?b2f%2l9b;Y7$M=oPCScSe!H>3JUIFkC;91[""##, "i|a|127.0.0.1:5000"),
    (##"VS2/W:Yo^Bl5K]QY&_nAD;I>W!Xe!?PY"r>0pm"S"##, "data"),
  ]

  @Test("the known datagrams are made and read", arguments: vectors)
  func goldenVectors(signature: String, payload: String) {
    let datagram = Array("\(signature) \(payload)".utf8)
    #expect(Netpunch.signer.seal(Array(payload.utf8)) == datagram)
    #expect(open(datagram) == Array(payload.utf8))
  }

  @Test("a datagram with any one bit changed, cut or longer is nobody's")
  func forged() throws {
    let datagram = try #require(Netpunch.signer.seal(Array("i|a|127.0.0.1:5000".utf8)))
    for index in datagram.indices {
      for bit in 0..<8 {
        var forged = datagram
        forged[index] ^= 1 << bit
        #expect(open(forged) == nil)
      }
    }
    for count in 0..<datagram.count { #expect(open(Array(datagram[..<count])) == nil) }
    #expect(open(datagram + [0]) == nil)
    #expect(open([UInt8](repeating: 0x20, count: 60_000)) == nil)
    let other = NetpunchSigner(secret: SecretBytes("MORN\n".utf8))
    #expect(datagram.withUnsafeBytes { other.open($0) } == nil)
  }

  @Test("four zero bytes become one letter, as in Go, and anything else five")
  func ascii85() {
    let text = NetpunchAscii85.encode([0, 0, 0, 0, 0, 0, 0, 1, 255, 255, 255, 255])
    #expect(String(decoding: text, as: UTF8.self) == #"z!!!!"s8W-!"#)
  }

  @Test("a signature that Go's ascii85 shortens is neither made nor taken")
  func shortSignature() {
    // Found by search: bytes 12 to 15 of this secret's signature of `a` are zero.
    let signer = NetpunchSigner(secret: SecretBytes("zero107561566".utf8))
    #expect(signer.seal([UInt8(ascii: "a")]) == nil)
    #expect(signer.seal([UInt8(ascii: "b")]) != nil)
    #expect(NetpunchPeer.unsealable(slot: Netpunch.a, signer: signer) == [.register(Netpunch.a)])
    #expect(NetpunchPeer.unsealable(slot: Netpunch.b, signer: signer) == [])
    for count in 30...41 {
      let datagram = [UInt8](repeating: UInt8(ascii: "z"), count: count) + Array(" a".utf8)
      #expect(datagram.withUnsafeBytes { signer.open($0) } == nil)
    }
  }

  @Test("payloads read as netpunch reads them, numbers only", arguments: NetpunchSlot.allLetters)
  func letters(letter: UInt8) throws {
    let slot = try #require(NetpunchSlot(letter))
    #expect(NetpunchMessage([letter], reader: .control) == .register(slot))
    #expect(slot.partner.partner == slot && slot.partner != slot)
    let expected: NetpunchMessage? =
      switch letter {
      case UInt8(ascii: "x"): .ping
      case UInt8(ascii: "y"): .pong
      case UInt8(ascii: "z"): .close
      default: nil
      }
    #expect(NetpunchMessage([letter], reader: .peer) == expected)
  }

  @Test(
    "what is no message is none",
    arguments: [
      "", "A", "`", "{", "xx", "i|", "i|a", "i|a|1.2.3.4:5|", "j|a|1.2.3.4:5", "i|A|1.2.3.4:5",
      "i||1.2.3.4:5", "i|ab|1.2.3.4:5", "i|a|example.org:5", "i|a|1.2.3.4", "i|a|1.2.3.4:65536",
      "i|a|1.2.3.4:-1", "i|a|::1:5", "i|a|[::1]:", "i|a|:5",
    ])
  func noMessages(text: String) {
    #expect(NetpunchMessage(Array(text.utf8), reader: .peer) == nil)
    #expect(NetpunchMessage(Array(text.utf8), reader: .control) == nil)
  }

  @Test(
    "addresses travel in Go's form",
    arguments: ["i|b|192.0.2.1:5000", "i|b|[::1]:52176", "i|b|[2001:db8::5:6]:1"])
  func addresses(text: String) throws {
    let message = try #require(NetpunchMessage(Array(text.utf8), reader: .peer))
    #expect(message.payload == Array(text.utf8))
  }

  private func open(_ datagram: [UInt8]) -> [UInt8]? {
    datagram.withUnsafeBytes { Netpunch.signer.open($0) }
  }
}

extension NetpunchSlot {
  fileprivate static let allLetters = Array(UInt8(ascii: "a")...UInt8(ascii: "z"))
}
