"""Writes metrics/scaling/nist_vectors.inc: the 27 nonlinear regressions of NIST's StRD.

Data, starts, certified values and their standard deviations are NIST's own (Statistical Reference
Datasets, www.itl.nist.gov/div898/strd, work of the US government and in the public domain); nothing
is computed here. The argument is the folder with NIST's `.dat` files, as NIST publishes them and as
they are in the source distribution of lmfit on PyPI (`lmfit-1.0.3.tar.gz`, NIST_STRD/).
Run from the repository's root: `python3 tests/reference/scaling_nist.py FOLDER`.
"""

import re
import sys
from pathlib import Path

OUTPUT = Path("metrics/scaling/nist_vectors.inc")
NUMBER = r"[-+]?[0-9.]+(?:E[-+]?[0-9]+)?"


def numbers(words: list[str]) -> str:
    """As they are printed, so that no digit is ours."""
    for word in words:
        float(word)
    return "{" + ", ".join(words) + "}"


def dataset(path: Path) -> str:
    text = path.read_text(encoding="ascii").splitlines()
    level = next(re.search(r"(\w+) Level of Difficulty", line) for line in text if "Level" in line)
    assert level is not None
    rows = [
        found.groups()
        for line in text[:60]
        if (
            found := re.match(
                rf"\s*b\d+ =\s+({NUMBER})\s+({NUMBER})\s+({NUMBER})\s+({NUMBER})\s*$", line
            )
        )
    ]
    squares = next(re.search(rf":\s+({NUMBER})", line) for line in text if "Sum of Squares" in line)
    count = next(re.search(r":\s+(\d+)", line) for line in text if "Number of Obs" in line)
    assert squares is not None and count is not None
    data = [line.split() for line in text[60:] if line.strip()]
    assert len(data) == int(count[1]), path
    assert len({len(row) for row in data}) == 1, path
    # The response first, then the predictors, row by row.
    first, second, certified, deviation = zip(*rows, strict=True)
    parts = [
        f'"{path.stem}"',
        f'"{level[1]}"',
        numbers(list(first)),
        numbers(list(second)),
        numbers(list(certified)),
        numbers(list(deviation)),
        squares[1],
        f"{len(data[0])}",
        numbers([word for row in data for word in row]),
    ]
    return "      {" + ",\n       ".join(parts) + "},"


def main() -> None:
    """Writes the file."""
    lines = [
        "// Written by tests/reference/scaling_nist.py from NIST's files; do not edit.",
        "// clang-format off",
        "const std::vector<NistCase>& NistCases() {",
        "  static const auto* cases = new std::vector<NistCase>{",
    ]
    files = sorted(Path(sys.argv[1]).glob("*.dat"))
    assert len(files) == 27, files
    lines += [dataset(path) for path in files]
    lines += ["  };", "  return *cases;", "}", "// clang-format on", ""]
    OUTPUT.parent.mkdir(exist_ok=True)
    OUTPUT.write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
