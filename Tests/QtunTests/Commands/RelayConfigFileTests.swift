import Testing

@testable import qtun

@Suite("The file of a relay's options")
struct RelayConfigFileTests {
  private func words(_ text: String, except given: Set<String> = []) -> [String] {
    (try? RelayConfigFile.words(text, file: "f", except: given)) ?? ["wrong"]
  }

  private func cause(_ text: String) -> String {
    do throws(Failure) {
      _ = try RelayConfigFile.words(text, file: "f", except: [])
      return ""
    } catch {
      return "\(error.cause); \(error.fix)"
    }
  }

  @Test("lines become words; comments, blanks and the end of the file mean nothing")
  func lines() {
    #expect(
      words("# all\r\n\n  open  \n\tlimit   nodes=5 \nlimit guests=6\nname relay.example.org")
        == ["--open", "--limit=nodes=5", "--limit=guests=6", "--name=relay.example.org"])
    #expect(words("") == [] && words(ServiceUnit.configText) == [])
  }

  @Test("what stands on the command line goes before the file, and is checked all the same")
  func precedence() {
    #expect(words("listen 443\nopen\n", except: ["listen"]) == ["--open"])
    #expect(words("listen nonsense\n", except: ["listen"]) == ["wrong"])
  }

  @Test("what is wrong is told with its line")
  func wrong() {
    #expect(cause("open\nlimt nodes=5").hasPrefix("line 2 of f: \"limt\" is not an option"))
    #expect(cause("limt nodes=5").hasSuffix("did you mean limit?"))
    #expect(cause("limit nodez=5").contains("did you mean nodes?"))
    #expect(cause("limit rate=5").contains("is not a rate"))
    #expect(cause("open yes").contains("takes no value"))
    #expect(cause("listen 1\nlisten 2").hasPrefix("line 2 of f: listen is there twice"))
    #expect(cause("name").contains("line 1"))
    #expect(cause("config other").contains("is not an option"))
    #expect(cause("verbose").contains("is not an option"))
    #expect(cause("\u{1B}[2J x").contains("is not an option"))
  }
}
