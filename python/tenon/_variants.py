"""`VariantSchedule`: several schedules of one function, chosen by its sizes at each call."""

from __future__ import annotations

from tenon import _core, te
from tenon.errors import ShapeError

__all__ = ["VariantSchedule"]


def _schedule(function: _core.Function, rules: str | _core.Target | None) -> _core.Schedule:
    if rules is None:
        return _core.Schedule(function)
    target = rules if isinstance(rules, _core.Target) else _core.Target(rules)
    return _core.rule_schedule(function, target)[0]


class VariantSchedule:
    """Schedules of one function with symbolic sizes, in one kernel that chooses by the sizes.

    Conditions are asked in the order in which they were given; the first that holds decides. A
    schedule knows the sizes that come to it: where ``m <= 4``, loops over `m` have at most 4
    iterations. Nothing is compiled at a call. Sums have the order that their schedules give them;
    schedules without a reassociating step have the same bits.

    Parameters
    ----------
    function
        A function at block level, with symbolic sizes.

    Raises
    ------
    ShapeError
        A condition does not compare symbolic sizes with constants [E1430], or no size comes to a
        variant [E1431]; there is no variant without a condition, or one was changed after it
        [E1433].

    Examples
    --------
    >>> import tenon as tn
    >>> from tenon import te
    >>> m = te.symbol("m", min=1)
    >>> x = te.placeholder((m, 64), "float32", name="x")
    >>> y = te.compute((m, 64), lambda i, j: te.tanh(x[i, j]), name="y")
    >>> v = tn.VariantSchedule(tn.function([x], [y]))
    >>> s = v.when(m <= 4)
    >>> s.vectorize(s.split(s.loops("y")[1], [None, 16])[1])
    >>> s = v.otherwise()
    >>> s.parallel(s.loops("y")[0])
    >>> print(v)
    m <= 4: 3 steps
    otherwise: 2 steps
    >>> kernel = tn.build(v)
    """

    def __init__(self, function: _core.Function) -> None:
        self.function = function
        self._rest = function
        self._conditions: list[te.Expr] = []
        self._schedules: list[_core.Schedule] = []

    def when(self, condition: te.Expr, rules: str | _core.Target | None = None) -> _core.Schedule:
        """Return a schedule for the sizes for which `condition` holds and none before it did.

        `condition` compares sums and products of symbols with constants by ``<``, ``<=``, ``>``,
        ``>=`` or ``==``; several are joined by ``&``. With `rules`, a target, the schedule is
        that of the default rules for these sizes; without, it has no step yet.
        """
        self._require_open()
        schedule = _schedule(_core.narrowed(self._rest, condition, True), rules)
        self._rest = _core.narrowed(self._rest, condition, False)
        self._conditions.append(condition)
        self._schedules.append(schedule)
        return schedule

    def otherwise(self, rules: str | _core.Target | None = None) -> _core.Schedule:
        """Return a schedule for all sizes that are left. No variant can follow."""
        self._require_open()
        self._schedules.append(_schedule(self._rest, rules))
        return self._schedules[-1]

    @property
    def variants(self) -> list[tuple[te.Expr | None, _core.Schedule]]:
        """Conditions and schedules in the order in which they are asked; the last has None."""
        conditions = [*self._conditions, None]
        return list(zip(conditions, self._schedules, strict=False))

    def lower(self) -> _core.Function:
        """Return the loops of all variants under their branches, as code generation gets them."""
        return _core.lower_variants(self.function, self._conditions, self._functions())

    def build(self, target: _core.Target, verify: bool, is_compared: bool) -> _core.Kernel:
        """Compile the variants into one kernel: what `tenon.build` calls."""
        functions = self._functions()
        text = "variants\n    " + str(self).replace("\n", "\n    ")
        return _core.build_variants(
            self.function, self._conditions, functions, text, target, verify, is_compared
        )

    def _functions(self) -> list[_core.Function]:
        if len(self._schedules) == len(self._conditions):
            raise ShapeError(
                "E1433",
                f"the variants of '{self.function.name}' leave sizes without a schedule\n"
                "  hint: end with otherwise()",
            )
        return [s.function for s in self._schedules]

    def _require_open(self) -> None:
        if len(self._schedules) > len(self._conditions):
            raise ShapeError(
                "E1433",
                f"the variants of '{self.function.name}' end with otherwise(), none can follow\n"
                "  hint: call when() before it",
            )

    def __str__(self) -> str:
        lines = []
        for condition, schedule in self.variants:
            steps = len(schedule.trace)
            name = "otherwise" if condition is None else repr(condition)
            lines.append(f"{name}: {steps} step{'' if steps == 1 else 's'}")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<tenon.VariantSchedule of {self.function.name}: {len(self._schedules)} variants>"
