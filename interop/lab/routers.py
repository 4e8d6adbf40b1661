"""Whether each kind of router in the laboratory is what it says.

    unshare -Urn python3 interop/lab/routers.py
"""

import pathlib
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from lab.classifier import Classifier, Verdict  # noqa: E402
from lab.internet import Internet, Unavailable  # noqa: E402
from lab.nat import KINDS, Kind  # noqa: E402


def problem(kind: Kind, seen: Verdict) -> str:
    """What is not as it must be, or nothing."""
    if (seen.mapping, seen.filtering) != (kind.mapping, kind.filtering):
        return f"must be {kind.mapping} + {kind.filtering}"
    if seen.remaps != kind.remaps:
        return f"must {'' if kind.remaps else 'not '}remap after a packet that nobody asked for"
    if kind.step and any(step % kind.step or not step for step in seen.steps):
        return f"ports must be {kind.step} apart"
    return ""


def main() -> int:
    failed = 0
    try:
        with Internet() as net:
            classifier = Classifier(net.public("server", addresses=2))
            for letter, kind in KINDS.items():
                seen = classifier.classify(net.host(net.router(letter)))
                wrong = problem(kind, seen)
                failed += bool(wrong)
                steps = ",".join(str(step) for step in seen.steps)
                print(
                    f"{'FAIL' if wrong else 'ok':<4}  router {letter} ({kind.title}): "
                    f"{seen.mapping} + {seen.filtering}, port {'kept' if seen.keeps_port else 'not kept'}"
                    f"{', remaps' if seen.remaps else ''}, steps {steps or 'none'}  {wrong}".rstrip(),
                    flush=True)
            classifier.close()
    except Unavailable as error:
        print(f"skip  routers  no network of our own here ({error})")
        print(f"0 passed, 0 failed, {len(KINDS)} skipped")
        return 0
    print(f"{len(KINDS) - failed} passed, {failed} failed, 0 skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
