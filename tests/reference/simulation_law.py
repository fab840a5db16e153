"""Writes metrics/emergence/simulation_law_vectors.inc: laws with breaks, by mpmath.

A break is the integral of its logistic slope, by quadrature; slopes are derivatives that mpmath
takes numerically. Run from the repository's root with mpmath installed:
`python3 tests/reference/simulation_law.py`.
"""

from itertools import product
from pathlib import Path

import mpmath as mp

OUTPUT = Path("metrics/emergence/simulation_law_vectors.inc")
LAWS = ("kPowerLaw", "kLogistic", "kQuadratic")
C, ALPHA, CURVATURE, VOCABULARY, FLOOR = 2e9, -0.5, -0.02, 50, 0.1
# scale, delta, width, share of the items
BREAKS = ((1e9, 0.4, 0.0, 0.0), (1e10, 0.7, 1.5, 0.5), (3e9, -0.2, 4.0, 0.25))
MODES = (5e9, 1.2, 3.0)

mp.mp.dps = 40


def literal(x: mp.mpf) -> str:
    """17 significant digits."""
    return mp.nstr(x, 17, min_fixed=-4, max_fixed=17).rstrip(".") or "0"


def step(t: mp.mpf, width: float) -> mp.mpf:
    return 1 / (1 + mp.exp(-t * 2 * mp.log(9) / width))


def ramp(t: mp.mpf, width: float) -> mp.mpf:
    if width == 0:
        return max(t, mp.mpf(0))
    # In short pieces: the integrand is nearly exponential below 0.
    start = min(t, mp.mpf(0)) - 20 * width
    n = int(mp.ceil((t - start) / mp.mpf(width)))
    return mp.quad(lambda s: step(s, width), [start + (t - start) * j / n for j in range(n + 1)])


def log_ce(law: str, x: mp.mpf, breaks: tuple) -> mp.mpf:
    z = x - mp.log(C)
    if law == "kPowerLaw":
        value = mp.mpf(ALPHA) * z
    elif law == "kLogistic":
        value = mp.log(mp.log(VOCABULARY) / (1 + mp.exp(-mp.mpf(ALPHA) * z)))
    else:
        value = mp.mpf(ALPHA) * z + mp.mpf(CURVATURE) * z**2
    for scale, delta, width, _ in breaks:
        value -= mp.mpf(delta) * ramp(x - mp.log(scale), width)
    return value


def mean_nll(law: str, x: mp.mpf) -> mp.mpf:
    total = mp.mpf(0)
    for chosen in product((False, True), repeat=2):
        weight = mp.mpf(1)
        for on, (_, _, _, share) in zip(chosen, BREAKS[1:], strict=True):
            weight *= mp.mpf(share) if on else 1 - mp.mpf(share)
        breaks = (BREAKS[0], *(b for on, b in zip(chosen, BREAKS[1:], strict=True) if on))
        total += weight * mp.exp(log_ce(law, x, breaks))
    scale, width, factor = MODES
    return FLOOR + total * (1 + (factor - 1) * (1 - step(x - mp.log(scale), width)))


def main() -> None:
    """Writes the file."""
    lines = [
        "// Written by tests/reference/simulation_law.py with "
        f"mpmath {mp.__version__}; do not edit.",
        "// clang-format off",
        "constexpr RampCase kRamps[] = {  // t, width, value",
    ]
    for width in (0.5, 3.0):
        # Quadrature stops at an absolute error: not where values are below that.
        for t in (-6 * width, -3, -0.25, 0, 0.4, 2, 30):
            lines.append(f"    {{{t}, {width}, {literal(ramp(mp.mpf(t), width))}}},")
    lines += [
        "};",
        "constexpr LawCase kLaws[] = {",
        "    // law, ln N, ln CE with all breaks and its slope, mean NLL and its slope",
    ]
    for law in LAWS:
        for log_scale in (14.0, 19.5, 21.25, 22.75, 24.0, 29.0):
            x = mp.mpf(log_scale)
            values = (
                log_ce(law, x, BREAKS),
                mp.diff(lambda s, law=law: log_ce(law, s, BREAKS), x, h=mp.mpf("1e-8")),
                mean_nll(law, x),
                mp.diff(lambda s, law=law: mean_nll(law, s), x, h=mp.mpf("1e-8")),
            )
            text = ", ".join(literal(v) for v in values)
            lines.append(f"    {{SimulatedLaw::{law}, {log_scale}, {text}}},")
    lines += ["};", "// clang-format on", ""]
    OUTPUT.write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
