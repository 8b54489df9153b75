"""Solvers: each is `init`, `step` and what it means to have converged, on an explicit state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from sparse_fourier.namespace import Array, array_namespace, choose, evaluate_either, solve_positive, tree_map
from sparse_fourier.objective import LocalModel, Objective, Point, move

_SHRINK = 0.7
_FAST_SHRINK = 0.5
_NEGLIGIBLE = 0.05
_NEGLIGIBLE_IF_FOLLOWED = 1.0
_NO_WIDTH = 1e-6
_WIDE_ENOUGH = 0.1  # for faces to narrow after any step
_HARDLY_DAMPED, _LITTLE = 0.1, 1e-3
_UNSEEN, _UNSEEN_IN_VALUE = 1e-11, 1e-9
_SQUARES_THE_ERROR = 2e-3  # rate of steps that do, and not as those do whose rate only improves
_FIRST_DAMPING, _WIDE = 1.0, 0.3
_EASED = 0.05
_LEAST_SHARE = 1e-4  # of twice the promised decrease; a step that keeps less of it may go back and forth
_LEAST_DAMPING = 1e-8
_RETRY_DAMPING = 1e-4
_LITTLE_DAMPING = 1e-2
_HOPELESS_DAMPING = 1e12
_ROUNDING = 1e-13
_INEXACTNESS = 1e-16
_DENSE_SIZE = 1640
_DENSE_SIZE_IN_NUMPY = 400
_MOST_DIRECTIONS = 60


class NewtonState(NamedTuple):
    """State of one run: where it is, how wide the faces still are, how damped its steps."""

    point: Point
    expansion: Any
    width: Array
    damping: Array
    decrement: Array
    settled: Array
    converged: Array
    stuck: Array

    @property
    def value(self) -> Array:
        """The objective with faces of the present width."""
        return self.expansion.value

    @property
    def finished(self) -> Array:
        """Whether another step can change nothing."""
        return self.converged | self.stuck


class _Move(NamedTuple):
    """What changes when a step is accepted."""

    point: Point
    expansion: Any
    width: Array


class _Proposal(NamedTuple):
    """Where a step leads, twice the decrease that it promises, and what its damping holds back of that."""

    point: Point
    decrement: Array
    held_back: Array


class _Search(NamedTuple):
    """State of the conjugate gradients that solve for one step."""

    count: Array
    step: Array
    residual: Array
    direction: Array
    energy: Array


@dataclass(frozen=True)
class Newton:
    """Damped Newton steps along a path on which the soft faces become as sharp as the data allow.

    Every step that lowers the objective is followed by one that narrows the faces, and goes nowhere unless
    codes pile up there: these move with a face. Faces that are no longer wide wait for steps that need little
    damping: where they get sharp far from an optimum, hundreds of short steps lead out of there. Once steps
    need little damping both are one, which is taken back if the objective grows by more than narrower faces
    explain. A step that does not lower it is repeated with more damping (Levenberg and Marquardt). The path
    makes the outcome insensitive to the start: in simulations with k = 2 to 10, independent and dependent
    codes, all starts ended in one optimum.

    Once faces are sharp the steps end with the first that promises less than `tol`, or so much less than the
    one before that at the same rate the next would. If that is no more than rounding, nothing is evaluated
    after it; nor if the step is so small that what it promises is what it does, and that the next one, since
    undamped steps square the error, would promise less than `tol`.

    References
    ----------
    .. [1] J. Nocedal and S. Wright, Numerical Optimization, 2nd edition, chapter 10, 2006.
    """

    tol: float

    @staticmethod
    def init(objective: Objective, starts: Point, widths: np.ndarray) -> NewtonState:
        """Return the states before the first step, one for each start along a leading axis.

        The first step of a start goes nowhere, and only evaluates the objective there. The sharper
        faces are in the beginning, the closer a start is to an optimum, and the less damping its steps need.
        """
        r = len(starts.offset)
        infinite, no = np.full(r, np.inf), np.zeros(r, dtype=bool)
        nothing = tree_map(lambda part: np.stack([part] * r), objective.nothing())
        damping = np.clip(_FIRST_DAMPING * (widths / _WIDE) ** 2, _RETRY_DAMPING, _FIRST_DAMPING)
        return NewtonState(starts, nothing, widths, damping, infinite, no, no, no)

    def step(self, state: NewtonState, objective: Objective) -> NewtonState:
        """Return the state after one step."""
        xp = array_namespace(state.width)
        old = state.expansion
        unseen = xp.isinf(old.value)
        narrow = (state.settled & _may_narrow(state)) | unseen
        ahead = ~narrow & _may_run_ahead(state)
        width = evaluate_either(
            (state.settled & narrow) | ahead, lambda: _narrowed(state, objective), lambda: state.width
        )
        along = narrow | (ahead & objective.prior.piles_up_at_faces)
        proposal = evaluate_either(
            along, lambda: _following(state, objective, width), lambda: _proposal(state, objective)
        )
        point, decrement, _ = proposal
        negligible = decrement < self.tol
        negligible |= state.settled & (decrement * decrement < self.tol * state.decrement)
        foreseen, left = self._foreseen(state, proposal)
        last = state.settled & (state.width == 0) & (foreseen | (negligible & (decrement < _UNSEEN)))
        nowhere = ~narrow & xp.isnan(point.unmixing).any()
        promised = old._replace(value=old.value - choose(last, 0.5 * decrement, 0.0 * decrement))
        new = evaluate_either(last | nowhere, lambda: promised, lambda: objective.expand(point, width))
        least = old.value - _LEAST_SHARE * decrement
        limit = choose(ahead, objective.blurred(old, state.width, width), least)
        accepted = narrow | last | (~nowhere & (new.value <= limit + _ROUNDING * xp.abs(old.value)))
        faithful = ahead | (old.value - new.value > 0.25 * decrement)
        damping = choose(narrow, state.damping, _next_damping(state.damping, accepted, faithful))
        damping = choose(ahead & ~accepted, damping * 0.0 + _LITTLE_DAMPING, damping)
        after = choose(accepted, _Move(point, new, width), _Move(state.point, old, state.width))
        settled = accepted & ~narrow & ~ahead
        converged = state.converged | (settled & (after.width == 0) & (last | negligible))
        decrement = choose(last & foreseen, left, decrement)
        stuck = state.stuck | (damping > _HOPELESS_DAMPING)
        point, expansion, width = after
        return NewtonState(point, expansion, width, damping, decrement, settled, converged, stuck)

    def _foreseen(self, state: NewtonState, proposal: _Proposal) -> tuple[Array, Array]:
        """Return whether a step after a settled one needs no evaluation, and what the next would promise."""
        rate, tol = proposal.decrement / state.decrement, self.tol
        linear = proposal.decrement * rate
        left = linear * rate + proposal.held_back
        unseen = array_namespace(rate).maximum(tol, _UNSEEN_IN_VALUE)
        return (left < tol) & (linear < choose(rate < _SQUARES_THE_ERROR, unseen, tol)), left


def _may_run_ahead(state: NewtonState) -> Array:
    """Return whether a step may be evaluated with narrower faces at once, instead of first with these."""
    return (state.width > 0) & (state.damping < _LITTLE_DAMPING)


def _may_narrow(state: NewtonState) -> Array:
    """Return whether there are faces to narrow, which are wide or near an optimum."""
    near = (state.damping < _HARDLY_DAMPED) | (state.decrement < _LITTLE)
    return (state.width > _WIDE_ENOUGH) | ((state.width > 0) & near)


def _proposal(state: NewtonState, objective: Objective) -> _Proposal:
    """Return the point after a damped Newton step, and twice the decrease that its model promises."""
    model = objective.local_model(state.point, state.expansion)
    step = _solve(model, state.damping)
    promised = -(step * model.gradient).sum()
    known = ~array_namespace(promised).isnan(promised)
    held_back = state.damping * (step * step).sum()
    return _Proposal(move(state.point, step), choose(known, promised, state.decrement), held_back)


def _following(state: NewtonState, objective: Objective, width: Array) -> _Proposal:
    """Return the point as faces narrow: after a step along with them if codes pile up there."""
    if not objective.prior.piles_up_at_faces:
        return _Proposal(state.point, state.decrement, 0.0 * state.decrement)
    model = objective.local_model(state.point, state.expansion)
    drift = objective.drift(state.point, state.expansion, state.width, width)
    step = _solve(model._replace(gradient=model.gradient + drift), state.damping)
    xp = array_namespace(step)
    usable = xp.isfinite(step).all() & xp.isfinite(state.expansion.value)
    ahead = choose(usable, move(state.point, step), state.point)
    return _Proposal(ahead, state.decrement, 0.0 * state.decrement)


def _solve(model: Any, damping: Array) -> Array:
    in_numpy = array_namespace(model.gradient) is np
    coupled = model.gradient.size <= (_DENSE_SIZE_IN_NUMPY if in_numpy else _DENSE_SIZE)
    if coupled or not isinstance(model, LocalModel):
        return _solve_directly(model, damping)
    return (_solve_in_few_directions if in_numpy else _solve_iteratively)(model, damping)


def _solve_directly(model: Any, damping: Array) -> Array:
    gradient = model.gradient
    damped = model.hessian() + damping * np.eye(gradient.size)
    return -solve_positive(damped, gradient.ravel()).reshape(gradient.shape)


def _solve_iteratively(model: LocalModel, damping: Array) -> Array:
    """Return the step by conjugate gradients, at a cost of k³ for each of them.

    Preconditioned by the diagonal blocks, the part of the volume among them, which leaves the coupling of
    rows by the volume to iterate on. Where the curvature is found not to be positive the step is NaN, as that
    of `_solve_directly` is, and more damping is called for.
    """
    import jax
    import jax.numpy as jnp
    import jax.scipy.linalg

    damped = _preconditioner(model, damping)
    factors = jax.scipy.linalg.cho_factor(damped, lower=True)[0]

    def precondition(residual: Array) -> Array:
        return jax.scipy.linalg.cho_solve((factors, True), residual[..., None])[..., 0]

    def improve(carry: _Search) -> _Search:
        image = model.curvature(carry.direction) + damping * carry.direction
        bend = (carry.direction * image).sum()
        length = jnp.where(bend > 0, carry.energy / bend, jnp.nan)
        residual = carry.residual - length * image
        conditioned = precondition(residual)
        energy = (residual * conditioned).sum()
        direction = conditioned + energy / carry.energy * carry.direction
        step = carry.step + length * carry.direction
        return _Search(carry.count + 1, step, residual, direction, energy)

    residual = -model.gradient
    direction = precondition(residual)
    energy = (residual * direction).sum()
    first = _Search(jnp.int32(0), jnp.zeros_like(residual), residual, direction, energy)

    def unfinished(carry: _Search) -> Array:
        return (carry.energy > _INEXACTNESS * energy) & (carry.count < 2 * residual.size)

    last = jax.lax.while_loop(unfinished, improve, first)
    return jnp.where(last.energy >= 0, last.step, jnp.nan)


def _preconditioner(model: LocalModel, damping: Array) -> Array:
    """Return the diagonal blocks with damping, the part of the volume among them, of shape (k, m, m)."""
    own = np.eye(*model.gradient.shape)
    return model.blocks + damping * np.eye(own.shape[1]) + own[:, :, None] * own[:, None, :]


def _solve_in_few_directions(model: LocalModel, damping: float) -> np.ndarray:
    """Return what `_solve_iteratively` does, in NumPy, or directly where that takes too many directions."""
    damped = _preconditioner(model, damping)
    if not _all_are_positive(damped):
        return np.full_like(model.gradient, np.nan)
    inverses = np.linalg.inv(damped)
    step, residual = np.zeros_like(model.gradient), -model.gradient
    direction = conditioned = _times_blocks(inverses, residual)
    first = energy = float((residual * conditioned).sum())
    for _ in range(_MOST_DIRECTIONS):
        if not energy > _INEXACTNESS * first:
            return step
        image = model.curvature(direction) + damping * direction
        bend = float((direction * image).sum())
        if not bend > 0:
            return np.full_like(step, np.nan)
        step += energy / bend * direction
        residual -= energy / bend * image
        conditioned, before = _times_blocks(inverses, residual), energy
        energy = float((residual * conditioned).sum())
        direction = conditioned + energy / before * direction
    return _solve_directly(model, damping)


def _all_are_positive(blocks: np.ndarray) -> bool:
    """Return whether all of some symmetric matrices are positive definite."""
    try:
        np.linalg.cholesky(blocks)
    except np.linalg.LinAlgError:
        return False
    return True


def _times_blocks(blocks: np.ndarray, rows: np.ndarray) -> np.ndarray:
    return (blocks @ rows[:, :, None])[:, :, 0]


def _next_damping(damping: Array, accepted: Array, faithful: Array) -> Array:
    less = choose(faithful, damping * _EASED, damping)
    raised = choose(damping * 10 < _RETRY_DAMPING, damping * 0.0 + _RETRY_DAMPING, damping * 10)
    changed = choose(accepted, less, raised)
    return choose(changed < _LEAST_DAMPING, changed * 0.0, changed)


def _narrowed(state: NewtonState, objective: Objective) -> Array:
    """Return a smaller width: zero once its square is but a share of the smallest variance of a code.

    Where codes follow the faces these may narrow faster, as long as steps need little damping, and end with a
    jump. Boxes of twenty components get lost that way.
    """
    xp = array_namespace(state.width)
    followed = objective.prior.piles_up_at_faces
    share = _NEGLIGIBLE_IF_FOLLOWED if followed else _NEGLIGIBLE
    done = state.width < xp.maximum(xp.sqrt(share * objective.variances(state.point).min()), _NO_WIDTH)
    slowly = _SHRINK * state.width
    fast = (state.damping < _LITTLE_DAMPING) & followed
    return choose(done, state.width * 0.0, choose(fast, _FAST_SHRINK * state.width, slowly))
