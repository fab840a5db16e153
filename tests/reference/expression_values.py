"""Writes metrics/expression/expression_accumulator_vectors.inc: values of expressions by Python.

Columns, expressions over them with values and standard errors by NumPy, and random expressions with
values by a slow interpreter: one row at a time, None for what is undefined, exact fractions for
variances. Texts are printed with all their parentheses.
Run from the repository's root with NumPy installed: `python3 tests/reference/expression_values.py`.
"""

import math
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np

OUTPUT = Path("metrics/expression/expression_accumulator_vectors.inc")
N = 60
NUMBERS = ("0.5", "2", "3", "1e-3", "10", "0")
Node = tuple
Value = float | None


def columns() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(9)
    log_p = -rng.gamma(2.0, 8.0, N)
    log_p[[3, 40]] = np.nan
    target_bytes = rng.integers(1, 60, N).astype(float)
    target_bytes[[7, 40]] = np.nan
    margin = rng.normal(0.3, 1.0, N)
    margin[[0, 11]] = 0.0
    margin[20] = np.nan
    infinite = rng.normal(0.0, 1.0, N)
    infinite[5] = -np.inf
    infinite[6] = np.nan
    return {
        "log_p_target": log_p,
        "target_bytes": target_bytes,
        "margin": margin,
        "infinite": infinite,
        "hits": (rng.uniform(size=N) < 0.4).astype(float),
    }


def ratio_error(x: np.ndarray, w: np.ndarray) -> float:
    r = x.sum() / w.sum()
    return math.sqrt(len(x) / (len(x) - 1) * ((x - r * w) ** 2).sum()) / abs(w.sum())


def mean_error(x: np.ndarray) -> float:
    return float(np.std(x, ddof=1) / math.sqrt(len(x)))


def by_hand(c: dict[str, np.ndarray]) -> list[tuple[str, float, float]]:
    """Text, value and standard error; NaN where there is none."""
    nan = math.nan
    log_p, size, margin, hits = c["log_p_target"], c["target_bytes"], c["margin"], c["hits"]
    both = ~np.isnan(log_p) & ~np.isnan(size)
    lp, sz = log_p[both], size[both]
    m = margin[~np.isnan(margin)]
    some = log_p[~np.isnan(log_p)]
    per_byte = lp / sz
    bits = -math.fsum(lp) / math.fsum(sz) / math.log(2)
    mean = math.fsum(some) / len(some)
    return [
        ("mean(log_p_target / target_bytes)", per_byte.mean(), mean_error(per_byte)),
        ("-mean(log_p_target) * 2 + 1", -2 * mean + 1, 2 * mean_error(some)),
        ("exp(-mean(log_p_target) / 10)", math.exp(-mean / 10),
         math.exp(-mean / 10) / 10 * mean_error(some)),
        ("mean(log_p_target) ^ 2", mean**2, abs(2 * mean) * mean_error(some)),
        ("mean(log_p_target) * mean(log_p_target)", mean**2, abs(2 * mean) * mean_error(some)),
        ("log2(-mean(log_p_target))", math.log2(-mean), mean_error(some) / -mean / math.log(2)),
        ("1 / sqrt(-mean(log_p_target))", (-mean) ** -0.5,
         0.5 * (-mean) ** -1.5 * mean_error(some)),
        # Rows where one of the two is missing: the sums are over different rows.
        ("-sum(log_p_target) / sum(target_bytes) / log(2)",
         -math.fsum(some) / np.nansum(size) / math.log(2), nan),
        ("-sum(log_p_target + 0 * target_bytes) / sum(target_bytes + 0 * log_p_target) / log(2)",
         bits, ratio_error(lp, sz) / math.log(2)),
        ("2 ^ (sum(margin) / sum(margin + 5))", 2 ** (m.sum() / (m + 5).sum()), nan),
        ("exp(sum(margin) / sum(margin + 5))", math.exp(m.sum() / (m + 5).sum()),
         math.exp(m.sum() / (m + 5).sum()) * ratio_error(m, m + 5)),
        ("mean(margin) / mean(margin + 5)", m.mean() / (m + 5).mean(), ratio_error(m, m + 5)),
        ("sum(margin) / count(margin)", m.mean(), mean_error(m)),
        ("mean(margin > 0)", (m > 0).mean(), mean_error(m > 0)),
        ("mean(hits)", hits.mean(), mean_error(hits)),
        ("quantile(log_p_target, 0.1)", np.quantile(some, 0.1), nan),
        ("quantile(log_p_target, 0.1) / mean(log_p_target)", np.quantile(some, 0.1) / mean, nan),
        ("var(margin)", m.var(ddof=1), nan),
        ("max(margin) - min(margin)", m.max() - m.min(), nan),
        ("count(margin) + count(1)", len(m) + N, nan),
        ("sum(margin)", math.fsum(m), nan),
        ("mean(infinite)", -math.inf, nan),
        ("mean(max(infinite, -2))", np.maximum(c["infinite"], -2)[~np.isnan(c["infinite"])].mean(),
         mean_error(np.maximum(c["infinite"], -2)[~np.isnan(c["infinite"])])),
        ("mean(margin / margin)", nan, nan),
        ("mean(if(margin != 0, margin / margin, 7))", (7 * 2 + len(m) - 2) / len(m),
         mean_error(np.where(m != 0, 1.0, 7.0))),
        ("mean(log(margin))", nan, nan),
        ("mean(margin > 0 and log(margin) > 0)", (m > 1).mean(), mean_error(m > 1)),
        ("mean(margin < 0 or sqrt(margin) < 1)", (m < 1).mean(), mean_error(m < 1)),
        ("mean(clip(margin, -1, 1))", np.clip(m, -1, 1).mean(), mean_error(np.clip(m, -1, 1))),
        ("mean(not hits)", 1 - hits.mean(), mean_error(1 - hits)),
        ("if(count(margin) > 100, mean(margin), -1)", -1.0, nan),
        ("mean(isfinite(log(infinite)))", (c["infinite"] > 0).sum() / (N - 1),
         mean_error((c["infinite"] > 0)[~np.isnan(c["infinite"])])),
    ]  # fmt: skip


def wrap(f: Callable[..., float]) -> Callable[..., Value]:
    """NaN or an argument error is undefined, in one row or between aggregates."""

    def call(*values: Value) -> Value:
        if any(v is None for v in values):
            return None
        with np.errstate(all="ignore"):
            result = float(f(*(np.float64(v) for v in values)))
        return None if math.isnan(result) else result

    return call


def scalar(f: Callable[[float], float], at_zero: float) -> Callable[[np.float64], float]:
    """A function of Python's math with the infinities of C."""

    def call(x: np.float64) -> float:
        try:
            return f(float(x))
        except ValueError:
            return at_zero if x == 0 else math.nan
        except OverflowError:
            return math.inf

    return call


def power(x: np.float64, y: np.float64) -> float:
    try:
        return math.pow(float(x), float(y))
    except OverflowError:
        odd = float(y).is_integer() and int(y) % 2 == 1
        return -math.inf if x < 0 and odd else math.inf
    except ValueError:
        return math.inf if x == 0 and y < 0 else math.nan


def logical_and(x: Value, y: Value) -> Value:
    if 0.0 in (x, y):
        return 0.0
    return None if None in (x, y) else 1.0


def logical_or(x: Value, y: Value) -> Value:
    if any(v is not None and v != 0 for v in (x, y)):
        return 1.0
    return None if None in (x, y) else 0.0


def choose(condition: Value, x: Value, y: Value) -> Value:
    if condition is None:
        return None
    return x if condition != 0 else y


INFIX = {
    "+": wrap(lambda x, y: x + y),
    "-": wrap(lambda x, y: x - y),
    "*": wrap(lambda x, y: x * y),
    "/": wrap(lambda x, y: x / y),
    "^": wrap(power),
    "<": wrap(lambda x, y: x < y),
    "<=": wrap(lambda x, y: x <= y),
    ">": wrap(lambda x, y: x > y),
    ">=": wrap(lambda x, y: x >= y),
    "==": wrap(lambda x, y: x == y),
    "!=": wrap(lambda x, y: x != y),
    "and": logical_and,
    "or": logical_or,
}
CALLS = {
    "log": (1, wrap(scalar(math.log, -math.inf))),
    "log2": (1, wrap(scalar(math.log2, -math.inf))),
    "exp": (1, wrap(scalar(math.exp, math.nan))),
    "sqrt": (1, wrap(scalar(math.sqrt, math.nan))),
    "abs": (1, wrap(abs)),
    "min": (2, wrap(min)),
    "max": (2, wrap(max)),
    "clip": (3, wrap(lambda x, a, b: max(a, min(x, b)) if a <= b else math.nan)),
    "if": (3, choose),
    "isfinite": (1, lambda x: float(x is not None and math.isfinite(x))),
}
AGGREGATES = ("mean", "sum", "count", "min", "max", "var", "quantile")


def evaluate(node: Node, leaf: Callable[[Node], Value]) -> Value:
    kind, *rest = node
    if kind == "number":
        return float(rest[0])
    if kind == "negate":
        x = evaluate(rest[0], leaf)
        return None if x is None else -x
    if kind == "not":
        x = evaluate(rest[0], leaf)
        return None if x is None else float(x == 0)
    if kind == "infix":
        return INFIX[rest[0]](evaluate(rest[1], leaf), evaluate(rest[2], leaf))
    if kind == "call":
        return CALLS[rest[0]][1](*(evaluate(x, leaf) for x in rest[1]))
    return leaf(node)


def names(node: Node) -> set[str]:
    if node[0] == "column":
        return {node[1]}
    found: set[str] = set()
    for part in node[1:]:
        for x in part if isinstance(part, list) else [part]:
            if isinstance(x, tuple):
                found |= names(x)
    return found


class Skip(Exception):
    """A value that this interpreter does not define: infinities in a quantile."""


def aggregate(node: Node, c: dict[str, np.ndarray]) -> tuple[Value, bool]:
    """The value, and whether undefined rows forbid one altogether."""
    _, kind, inner, probability = node
    values = []
    for i in range(N):
        row = {name: float(c[name][i]) for name in names(inner)}
        if any(math.isnan(x) for x in row.values()):
            continue
        value = evaluate(inner, lambda leaf, row=row: row[leaf[1]])
        if value is None:
            return None, True
        values.append(value)
    infinite = any(math.isinf(x) for x in values)
    if kind == "count":
        return float(len(values)), False
    if not values:
        return None, False
    if kind in ("min", "max"):
        return (min if kind == "min" else max)(values), False
    if kind == "quantile":
        if infinite:
            raise Skip
        return float(np.quantile(values, float(probability))), False
    if kind == "var":
        if infinite or len(values) < 2:
            return None, False
        exact = [Fraction(x) for x in values]
        mean = sum(exact) / len(exact)
        try:
            return float(sum((x - mean) ** 2 for x in exact) / (len(exact) - 1)), False
        except OverflowError:
            raise Skip from None
    if infinite:
        total = float(np.sum(values))
        return (None if math.isnan(total) else total), False
    try:
        total = sum(Fraction(x) for x in values)
        return float(total / len(values) if kind == "mean" else total), False
    except OverflowError:
        raise Skip from None


def text(node: Node) -> str:
    kind, *rest = node
    if kind in ("number", "column"):
        return rest[0]
    if kind == "negate":
        return f"(-{text(rest[0])})"
    if kind == "not":
        return f"(not {text(rest[0])})"
    if kind == "infix":
        return f"({text(rest[1])} {rest[0]} {text(rest[2])})"
    if kind == "call":
        return f"{rest[0]}({', '.join(text(x) for x in rest[1])})"
    name, inner, probability = rest
    return f"{name}({text(inner)}{', ' + probability if name == 'quantile' else ''})"


def random_node(rng: np.random.Generator, depth: int, leaf: Callable[[], Node]) -> Node:
    if depth == 0 or rng.uniform() < 0.15:
        return leaf() if rng.uniform() < 0.75 else ("number", str(rng.choice(NUMBERS)))
    pick = rng.uniform()
    if pick < 0.08:
        return ("negate", random_node(rng, depth - 1, leaf))
    if pick < 0.12:
        return ("not", random_node(rng, depth - 1, leaf))
    if pick < 0.65:
        op = str(rng.choice(list(INFIX)))
        return ("infix", op, random_node(rng, depth - 1, leaf), random_node(rng, depth - 1, leaf))
    name = str(rng.choice(list(CALLS)))
    return ("call", name, [random_node(rng, depth - 1, leaf) for _ in range(CALLS[name][0])])


def random_cases(c: dict[str, np.ndarray], wanted: int) -> list[tuple[str, float]]:
    rng = np.random.default_rng(10)
    found: list[tuple[str, float]] = []
    absent = 0
    while len(found) < wanted:
        used: list[Node] = []

        def column(rng: np.random.Generator = rng) -> Node:
            return ("column", str(rng.choice(list(c))))

        def leaf(rng: np.random.Generator = rng, used: list[Node] = used) -> Node:
            inner = random_node(rng, int(rng.integers(1, 4)), column)
            kind = str(rng.choice(AGGREGATES))
            used.append(("aggregate", kind, inner, str(rng.choice(["0", "0.1", "0.5", "1"]))))
            return used[-1]

        tree = random_node(rng, int(rng.integers(0, 3)), leaf)
        if not used or len(text(tree)) > 300:
            continue
        try:
            parts = {text(node): aggregate(node, c) for node in used}
        except Skip:
            continue
        if any(forbidden for _, forbidden in parts.values()):
            value = None
        else:
            value = evaluate(tree, lambda node, parts=parts: parts[text(node)][0])
        # Most random expressions have no value: a third of those kept is enough.
        if value is None:
            absent += 1
            if absent > wanted / 3:
                continue
        found.append((text(tree), math.nan if value is None else value))
    return found


def literal(x: float) -> str:
    if math.isnan(x):
        return "kNan"
    if math.isinf(x):
        return "kInf" if x > 0 else "-kInf"
    return f"{x:.17g}"


def main() -> None:
    """Writes the file."""
    c = columns()
    lines = [
        f"// Written by tests/reference/expression_values.py with NumPy {np.__version__}; "
        "do not edit.",
        "// clang-format off",
    ]
    for name, values in c.items():
        lines.append(f"const double k_{name}[] = {{")
        shown = [literal(x) for x in values]
        lines += ["    " + ", ".join(shown[i : i + 4]) + "," for i in range(0, N, 4)]
        lines.append("};")
    lines.append("const Column kColumns[] = {")
    lines += [f'    {{"{name}", k_{name}}},' for name in c]
    lines += ["};", "const ErrorCase kErrorCases[] = {  // text, value, standard error"]
    for shown, value, error in by_hand(c):
        lines.append(f'    {{"{shown}", {literal(float(value))}, {literal(float(error))}}},')
    lines += ["};", "const ValueCase kValueCases[] = {  // text, value"]
    for shown, value in random_cases(c, 400):
        lines.append(f'    {{"{shown}", {literal(value)}}},')
    lines += ["};", "// clang-format on", ""]
    OUTPUT.write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
