import Testing

@testable import qtun

@Suite("UsageError")
struct UsageErrorTests {
  private let complaints = [
    Complaint(cause: "\"--lisen\" is not an option", fix: "did you mean --listen?")
  ]

  @Test("the text names each problem, its fix and the usage")
  func text() {
    let error = UsageError(complaints: complaints, command: "share", wantsJSON: false)
    #expect(
      error.text == """
        qtun: 1 problem on the command line
          "--lisen" is not an option
            fix: did you mean --listen?
        usage: qtun share SERVICE... [options]
        `qtun help share` explains every option
        """)
  }

  @Test("the JSON is one line with the exit status")
  func json() {
    let error = UsageError(complaints: complaints, command: nil, wantsJSON: true)
    #expect(
      error.json
        == #"{"event":"error","exit_code":2,"exit_name":"usage","command":null,"problems":"#
        + #"[{"message":"\"--lisen\" is not an option","fix":"did you mean --listen?"}]}"#)
  }

  @Test("a long list is cut")
  func long() {
    let many = [Complaint](repeating: complaints[0], count: 50)
    let lines = UsageError(complaints: many, command: nil, wantsJSON: false).text.split(
      separator: "\n")
    #expect(lines.count == 1 + 2 * UsageError.complaintsShownMax + 2)
    #expect(lines.contains("  and 38 more"))
  }
}
