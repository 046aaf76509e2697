"""Every rule of the simplifier's table is proved by z3.

Rules over indices are proved over the unbounded integers (index arithmetic does not overflow) and
for 8-bit integers wherever no operation of the pattern overflows. Rules over all integers are
proved for signed and unsigned 8-bit integers that wrap, and over the unbounded ones. Rules over
floats are proved bit by bit in float16: zeros of both signs and NaN included.

Products and quotients of two unknowns are beyond z3 over unbounded integers. Where a proof with
unknown constants does not come within a second, it is done for each constant between -6 and 6.
"""

import ast
import itertools
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import z3

ROOT = Path(__file__).parents[2]
CONSTANTS = "abcd"
BOOLS = "pqr"
SMALL = range(-6, 7)
# Their results add what their patterns do not: index values are small enough for that (analyzer.h).
NEEDS_ROOM = {"min_plus", "max_plus", "minus_min", "minus_max"}
WIDTH = 8


class Rule(NamedTuple):
    name: str
    domain: str
    pattern: str
    result: str
    condition: str


def read_rules() -> list[Rule]:
    tools = list(ROOT.glob("build/*/tests/dump_simplifier_rules"))
    assert tools, "build the target dump_simplifier_rules first"
    newest = max(tools, key=lambda path: path.stat().st_mtime)
    text = subprocess.run([newest], check=True, capture_output=True, text=True).stdout
    return [Rule(*line.split("\t")) for line in text.splitlines()]


class Integers:
    """The unbounded integers, with the total division of the IR."""

    def variable(self, name: str) -> Any:
        return z3.Int(name)

    def constant(self, value: int) -> Any:
        return z3.IntVal(value)

    def floordiv(self, x: Any, y: Any) -> Any:
        # z3 rounds down for a positive divisor.
        return z3.If(y > 0, x / y, z3.If(y < 0, (-x) / (-y), 0))

    def floormod(self, x: Any, y: Any) -> Any:
        return z3.If(y == 0, z3.IntVal(0), x - y * self.floordiv(x, y))

    def less(self, x: Any, y: Any) -> Any:
        return x < y


class Narrow:
    """8-bit integers that wrap; `overflows` collects what must not happen in a pattern."""

    def __init__(self, signed: bool) -> None:
        self.signed = signed
        self.fits: list[Any] = []

    def variable(self, name: str) -> Any:
        return z3.BitVec(name, WIDTH)

    def constant(self, value: int) -> Any:
        return z3.BitVecVal(value, WIDTH)

    def floordiv(self, x: Any, y: Any) -> Any:
        if not self.signed:
            return z3.If(y == 0, self.constant(0), z3.UDiv(x, y))
        quotient = x / y
        rounds_up = z3.And(z3.SRem(x, y) != 0, (x < 0) != (y < 0))
        return z3.If(y == 0, self.constant(0), z3.If(rounds_up, quotient - 1, quotient))

    def floormod(self, x: Any, y: Any) -> Any:
        return z3.If(y == 0, self.constant(0), x - y * self.floordiv(x, y))

    def less(self, x: Any, y: Any) -> Any:
        return x < y if self.signed else z3.ULT(x, y)

    def note_sum(self, op: type[ast.operator], x: Any, y: Any) -> None:
        exact = {
            ast.Add: lambda a, b: a + b,
            ast.Sub: lambda a, b: a - b,
            ast.Mult: lambda a, b: a * b,
        }
        wide = exact[op](z3.SignExt(WIDTH, x), z3.SignExt(WIDTH, y))
        self.fits.append(z3.And(wide >= -(2 ** (WIDTH - 1)), wide < 2 ** (WIDTH - 1)))


class Floats:
    def variable(self, name: str) -> Any:
        return z3.FP(name, z3.Float16())


def translate(text: str, sort: Any, fixed: dict[str, int]) -> Any:
    """The text of a pattern, result or condition as a term."""

    def term(node: ast.expr) -> Any:
        match node:
            case ast.Constant(value=bool(value)):
                return z3.BoolVal(value)
            case ast.Constant(value=int(value)):
                return sort.constant(value)
            case ast.Name(id=name) if name in fixed:
                return sort.constant(fixed[name])
            case ast.Name(id=name) if name in BOOLS:
                return z3.Bool(name)
            case ast.Name(id=name):
                return sort.variable(name)
            case ast.UnaryOp(op=ast.Not(), operand=x):
                return z3.Not(term(x))
            case ast.UnaryOp(op=ast.USub(), operand=x):
                return z3.fpNeg(term(x)) if isinstance(sort, Floats) else -term(x)
            case ast.BoolOp(op=ast.And(), values=values):
                return z3.And(*map(term, values))
            case ast.BoolOp(op=ast.Or(), values=values):
                return z3.Or(*map(term, values))
            case ast.BinOp(left=left, op=op, right=right):
                return arithmetic(type(op), term(left), term(right))
            case ast.Compare(left=left, ops=[op], comparators=[right]):
                return compare(type(op), term(left), term(right))
            case ast.Call(func=ast.Name(id=name), args=args):
                return call(name, [term(x) for x in args])
        raise AssertionError(ast.dump(node))

    def arithmetic(op: type[ast.operator], x: Any, y: Any) -> Any:
        if op is ast.FloorDiv:
            return sort.floordiv(x, y)
        if op is ast.Mod:
            return sort.floormod(x, y)
        if isinstance(sort, Narrow):
            sort.note_sum(op, x, y)
        return {ast.Add: x + y, ast.Sub: x - y, ast.Mult: x * y}[op]

    def compare(op: type[ast.cmpop], x: Any, y: Any) -> Any:
        if isinstance(sort, Floats):
            return {ast.Eq: z3.fpEQ(x, y), ast.NotEq: z3.fpNEQ(x, y)}[op]
        if op in (ast.Eq, ast.NotEq):
            return x == y if op is ast.Eq else x != y
        less, greater = sort.less(x, y), sort.less(y, x)
        return {ast.Lt: less, ast.Gt: greater, ast.LtE: z3.Not(greater), ast.GtE: z3.Not(less)}[op]

    def call(name: str, args: list[Any]) -> Any:
        if name == "select":
            return z3.If(*args)
        if name == "abs":
            return z3.fpAbs(args[0])
        x, y = args
        return z3.If(sort.less(x, y), x, y) if name == "min" else z3.If(sort.less(x, y), y, x)

    return term(ast.parse(text, mode="eval").body)


def claim(rule: Rule, sort: Any, fixed: dict[str, int]) -> tuple[Any, Any]:
    """What is assumed, and the equation."""
    assumed = [translate(rule.condition, sort, fixed)] if rule.condition else []
    if isinstance(sort, Narrow):
        sort.fits.clear()
    left = translate(rule.pattern, sort, fixed)
    if isinstance(sort, Narrow) and rule.domain == "index":
        assumed += sort.fits
        # The matcher takes constants below 2^31, so that their products fit in 64 bits.
        limit = 2 ** (WIDTH // 2 - 1)
        for name in names_in(rule.pattern) & set(CONSTANTS):
            assumed += [sort.variable(name) < limit, sort.variable(name) > -limit]
        sort.fits.clear()
    right = translate(rule.result, sort, fixed)
    if isinstance(sort, Narrow) and rule.name in NEEDS_ROOM:
        assumed += sort.fits
    return z3.And(*assumed), left == right


def counterexample(rule: Rule, sort: Any, fixed: dict[str, int], seconds: float) -> Any:
    """None when proved, "unknown" when out of time, else a model."""
    solver = z3.Solver()
    solver.set("timeout", int(seconds * 1000))
    assumed, equation = claim(rule, sort, fixed)
    solver.add(assumed, z3.Not(equation))
    result = solver.check()
    if result == z3.unsat:
        return None
    return "unknown" if result == z3.unknown else solver.model()


def names_in(text: str) -> set[str]:
    return {
        node.id for node in ast.walk(ast.parse(text, mode="eval")) if isinstance(node, ast.Name)
    }


def unknown_factors(rule: Rule) -> list[str]:
    """What to fix where the proof with all unknown does not come: constants and divisors."""
    names = names_in(rule.pattern) & set(CONSTANTS)
    for node in ast.walk(ast.parse(rule.pattern, mode="eval")):
        match node:
            case ast.BinOp(op=ast.FloorDiv() | ast.Mod(), right=ast.Name(id=name)):
                names.add(name)
    return sorted(names)


def fixed_values(rule: Rule) -> Iterator[dict[str, int]]:
    """All small values of the unknown factors that the condition does not exclude by itself."""
    names = unknown_factors(rule)
    for values in itertools.product(SMALL, repeat=len(names)):
        fixed = dict(zip(names, values, strict=True))
        if "a" in names and "b" in names and "c" in names:
            fixed["a"] = fixed["b"] * fixed["c"]  # the only value that such conditions allow
            if values[names.index("a")] != SMALL[0]:
                continue
        yield fixed


RULES = read_rules()


def by_name(rule: Rule) -> str:
    return rule.name


def test_rule_names_are_unique() -> None:
    assert len({rule.name for rule in RULES}) == len(RULES) >= 60


@pytest.mark.parametrize("rule", [r for r in RULES if r.domain in ("index", "wrap")], ids=by_name)
def test_rule_holds_over_unbounded_integers(rule: Rule) -> None:
    found = counterexample(rule, Integers(), {}, 1.0)
    if found != "unknown":
        assert found is None
        return
    assert unknown_factors(rule), "no proof, and nothing to fix"
    for fixed in fixed_values(rule):
        assert counterexample(rule, Integers(), fixed, 20.0) is None, fixed


def narrow_sorts(rule: Rule) -> list[Callable[[], Narrow]]:
    both = [lambda: Narrow(signed=True), lambda: Narrow(signed=False)]
    return both if rule.domain == "wrap" else both[:1]


@pytest.mark.parametrize("rule", [r for r in RULES if r.domain in ("index", "wrap")], ids=by_name)
def test_rule_holds_for_8_bit_integers(rule: Rule) -> None:
    for sort in narrow_sorts(rule):
        assert counterexample(rule, sort(), {}, 120.0) is None


@pytest.mark.parametrize("rule", [r for r in RULES if r.domain == "bool"], ids=by_name)
def test_rule_holds_for_bools(rule: Rule) -> None:
    assert counterexample(rule, Integers(), {}, 10.0) is None


@pytest.mark.parametrize("rule", [r for r in RULES if r.domain == "float"], ids=by_name)
def test_rule_keeps_every_bit_of_floats(rule: Rule) -> None:
    assert counterexample(rule, Floats(), {}, 10.0) is None


def test_a_wrong_rule_is_refuted() -> None:
    wrong = Rule("wrong", "index", "(x * c + y) // c", "x", "c > 0 and 0 <= y")
    assert counterexample(wrong, Integers(), {"c": 3}, 10.0) not in (None, "unknown")
    assert counterexample(wrong, Narrow(signed=True), {}, 10.0) not in (None, "unknown")
    zero = Rule("wrong", "float", "select(x == y, x, y)", "y", "")
    assert counterexample(zero, Floats(), {}, 10.0) not in (None, "unknown")
