import Testing

@testable import qtun

@Suite("ExitCode")
struct ExitCodeTests {
  @Test("the numbers are a promise")
  func numbers() {
    #expect(ExitCode.allCases.map(\.rawValue) == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 129, 130, 143])
    #expect(Set(ExitCode.allCases.map(\.name)).count == ExitCode.allCases.count)
  }

  @Test("a forced end follows the shell's rule", arguments: StopSignal.allCases)
  func forced(signal: StopSignal) {
    #expect(ExitCode(rawValue: 128 + signal.rawValue) != nil)
  }
}
