import Simulation
import Testing

@testable import HolePunch

@Suite("XML scanner")
struct XMLScannerTests {
  private func names(_ document: String) -> [String] {
    var scanner = XMLScanner(Array(document.utf8))
    var names: [String] = []
    while let element = scanner.next() { names.append("\(element.name)=\(element.text)") }
    return names
  }

  @Test("elements come with their texts, without prefixes, attributes and comments")
  func plain() {
    let found = names(
      "<?xml version='1.0'?><!DOCTYPE x><a xmlns='u'>\n <s:b c='d'> 1 &lt;&amp;&gt; 2 </s:b>"
        + "<!-- <c>3</c> --><d/><e>4</e></a>")
    #expect(found == ["a=", "b=1 <&> 2", "d=", "e=4"])
  }

  @Test(
    "what is cut off or nonsense ends quietly",
    arguments: ["", "<", "<a", "<!-- <a>1</a>", "&", "<a>&b"])
  func cut(document: String) {
    #expect(names(document).count <= 1)
  }

  @Test("hostile input takes bounded time", arguments: ["<!--", "<", "<a>", "&", "<a>&", "<!--->"])
  func hostile(part: String) {
    #expect(names(String(repeating: part, count: 65_536 / part.utf8.count)).count <= 2_000)
  }

  @Test("random bytes do no harm", arguments: Seeds.all)
  func random(seed: UInt64) {
    var random = SplitMix64(seed: seed)
    let alphabet = Array("<>/!-?& ;ab:".utf8)
    let bytes = (0..<300).map { _ in alphabet.randomElement(using: &random) ?? 0 }
    var scanner = XMLScanner(bytes)
    var count = 0
    while scanner.next() != nil { count += 1 }
    #expect(count <= 300)
  }
}
