"""Writes metrics/emergence/item_spread_vectors.inc: shares under spread difficulty, by mpmath.

Each is E[exp(-u G)], integrated over G's density to 30 digits (the pair is a sum of two); of the
betas by Kummer's function, which has to agree with the integral. Run from the repository's root
with mpmath installed: `python3 tests/reference/item_spread.py`.
"""

from pathlib import Path

from mpmath import beta, exp, hyp1f1, log, mp, mpf, pi, quad, sqrt

OUTPUT = Path("metrics/emergence/item_spread_vectors.inc")
mp.dps = 30


def pair(u, cv):
    if cv <= 1:
        return (exp(-u * (1 - cv)) + exp(-u * (1 + cv))) / 2
    # Mean 1 and variance cv^2 with an atom at 0.
    atom = cv**2 / (1 + cv**2)
    return atom + (1 - atom) * exp(-u / (1 - atom))


def log_normal(u, cv):
    s2 = log(1 + cv**2)
    return quad(
        lambda z: exp(-z * z / 2) / sqrt(2 * pi) * exp(-u * exp(sqrt(s2) * z - s2 / 2)),
        [-14, -7, -3, 0, 3, 7, 14],
    )


def gamma(u, cv):
    k = 1 / cv**2

    # In t = ln g: smooth and without a singularity at 0.
    def weight(t):
        return exp(k * (t - exp(t)))

    points = [-200, -50, -10, -3, -1, 0, 1, 2, 4]
    return quad(lambda t: weight(t) * exp(-u * exp(t)), points) / quad(weight, points)


def beta_from_0(share):
    def of(u, cv):
        k = share / cv**2
        b = cv**2 * k * (k + 1) / (1 - cv**2 * k)
        hardest = (k + b) / k

        # x = g / hardest; y = x^k takes the singularity at 0 out.
        def integrand(y):
            return (1 - y ** (1 / k)) ** (b - 1) * exp(-u * hardest * y ** (1 / k)) / k

        points = [0, mpf(1) / 1000, mpf(1) / 20, mpf(1) / 4, mpf(3) / 4, mpf(99) / 100, 1]
        integral = quad(integrand, points) / beta(k, b)
        # Kummer's function is the same, and exact where y^(1/k) is hard to integrate.
        value = hyp1f1(k, k + b, -u * hardest)
        assert abs(integral - value) < mpf("1e-6"), (share, u, cv)
        return value

    return of


SPREADS = [
    ("kPair", pair),
    ("kLogNormal", log_normal),
    ("kGamma", gamma),
    ("kBeta60", beta_from_0(mpf(6) / 10)),
    ("kBeta30", beta_from_0(mpf(3) / 10)),
    ("kBeta15", beta_from_0(mpf(15) / 100)),
]


def main() -> None:
    lines = ["// Written by tests/reference/item_spread.py."]
    for name, of in SPREADS:
        for cv in ("0.2", "0.577", "0.9", "1.5"):
            for u in ("0.05", "1", "4", "20", "600"):
                value = of(mpf(u), mpf(cv))
                lines.append(f"{{ItemSpread::{name}, {cv}, {u}, {mp.nstr(value, 17)}}},")
    OUTPUT.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
