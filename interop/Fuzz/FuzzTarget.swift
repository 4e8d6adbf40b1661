/// Something of ours that takes bytes from strangers, and a property that holds for all of them.
struct FuzzTarget: Sendable {
  /// The word on the command line, and the name of its folder in the corpus.
  let name: String
  /// With which others it shares its time.
  let family: FuzzFamily
  /// Takes one input. A property that does not hold traps.
  let run: @Sendable (UnsafeRawBufferPointer) -> Void

  /// Every target. A decoder that gets one has its seeds in Corpus.
  static let all: [FuzzTarget] =
    wire + access + flows + http + carriers + punch + transport
}

/// Stops the run: libFuzzer writes the input down.
func require(_ holds: Bool, _ claim: @autoclosure () -> String) {
  precondition(holds, claim())
}
