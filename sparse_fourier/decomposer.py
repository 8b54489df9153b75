"""The scikit-learn estimator: parameters, validation, attributes; the arithmetic lives below."""

from __future__ import annotations

from dataclasses import replace
from numbers import Integral
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_array, check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from sparse_fourier import checkpoints, parameters, runtime, saving
from sparse_fourier.bases import Basis
from sparse_fourier.beginnings import closed_form
from sparse_fourier.blueprints import FittedNetwork, Network, Record
from sparse_fourier.broad import Broad
from sparse_fourier.diagnosis import Diagnosis
from sparse_fourier.diagnostics import Question, diagnose
from sparse_fourier.dictionaries import fit_overcomplete
from sparse_fourier.fitting import Fitted, Settings, fit
from sparse_fourier.model import Model
from sparse_fourier.priors import Prior
from sparse_fourier.pursuit import pursued
from sparse_fourier.ranks import rank_of
from sparse_fourier.rebuilding import Found, rebuilt
from sparse_fourier.reporting import Reporter, warn_of, warn_of_empty_rows, warn_of_unseen
from sparse_fourier.sharding import ShardedSignals, is_spread, processes_of
from sparse_fourier.signals import (
    Rows,
    Signals,
    array_of,
    at_hand,
    contents_of,
    is_mapped,
    mapped,
    rows_with_weight,
    within_reach,
)
from sparse_fourier.steered import fit_by_solver
from sparse_fourier.streaming import Learn, Stream, advance
from sparse_fourier.summary import Summary, of_noise, of_prior
from sparse_fourier.validation import (
    are_complete,
    complete_or_array,
    is_large,
    refuse_beyond_memory,
    refuse_silent_misreadings,
    refuse_unobserved_features,
    validate_extent,
    validate_total,
    validate_weights,
)

_WITHOUT_EFFECT = ("checkpoint", "callback", "verbose")
_FLOATS = [np.float64, np.float32]


class AutoencoderDecomposer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    r"""Learn the basis functions of a set of signals.

    An autoencoder with a linear decoder explains signals as

    .. math:: x = h W + b + \text{noise}

    with codes h, components W and intercept b. Reconstruction alone fixes only the span of the
    components; the prior on the codes picks the basis inside it, by maximum likelihood.

    Parameters
    ----------
    n_components : int, float in (0, 1) or "auto", default="auto"
        Number of components k; or the share of variance that they are to explain; or "auto": the
        number that stands above white noise (exactly low rank is recognised too); on coloured noise
        a guess, with a warning. More components than features are sparse codes: see the Notes.
    prior : str, Prior or None, default="auto"
        What is assumed of the codes. "uniform": they fill the unit box, and the components span the
        smallest box that holds the data. "simplex": they are proportions, and the components are the
        corners of the smallest simplex. "exponential": they are not negative, in the smallest cone.
        "laplace": they are sparse. "learned": they are independent, with densities that are learned.
        "gaussian": principal component analysis. "auto": whichever of these the signals ask for, see Notes;
        "uniform" where there are fewer than 25 signals to a component, with `basis="fourier"`, and for
        networks; "laplace" where there are more components than features. Or an object: one of
        `sparse_fourier.priors`, or one's own. None: nothing is assumed, and the mean squared error of the
        reconstruction is minimised, which settles the span of the components alone.
    basis : {"free", "nonnegative", "fourier"} or Basis, default="free"
        What is assumed of the components. "nonnegative": they, and the intercept, have no negative
        entries; for codes that cannot be negative either. "fourier": they are sinusoids of learned
        frequencies; an object of `sparse_fourier.bases.Fourier` says where signals are sampled, and
        whether components are sums of several sinusoids, or decay.
    noise : {"gaussian", "student_t"}, default="gaussian"
        What is assumed of the noise of each entry. "student_t": tails are as heavy as the signals show, so
        that outlying entries count little; see the Notes. Not for more components than features.
    encoder : {"auto", "affine", "mlp", "variational", "unrolled"}, default="auto"
        How codes are computed. "auto": by an affine map, restricted to the prior's support in the metric of
        the reconstruction; or by a network, where `hidden_layer_sizes` or an `activation` is given.
        "variational": as means of Gaussians that stand for the posterior of Gaussian codes, under a lower
        bound of the evidence. Without hidden layers or penalties that is probabilistic principal component
        analysis, its variances divided by n. With more components than features "auto" is matching pursuit,
        "unrolled" a few proximal steps tied to the components, and "affine" or "mlp" a network that gives
        sparse codes: a sparse autoencoder.
    activation : str, Activation or callable, default=None
        What the encoder does to its affine map: "identity", "hard_sigmoid", "sigmoid", "tanh", "relu",
        "softplus", "softmax", "top_k", "batch_top_k", or an object of `sparse_fourier.activations`, or an
        elementwise function written with `jax.numpy`. None: the prior's own. Under a prior it must not lead
        outside the support. With more components than features "top_k" or `TopK(n_active)` says how many
        codes of a signal are active, "batch_top_k" how many on average; None leaves that to the data.
    hidden_layer_sizes : tuple of int, default=()
        Units of the hidden layers of the encoder, beside which there is an affine map to the codes. In
        front of a linear decoder no network reconstructs complete signals better than an affine map
        whose codes are free: hidden layers pay where codes are constrained or penalised.
    hidden_activation : str, Activation or callable, default="relu"
        Elementwise activation of hidden layers.
    fit_intercept : bool, default=True
        Whether signals have an intercept: the mean of X for codes on the real line, else the signal
        whose codes are all zero. Without one it is zero.
    contamination : float in [0, 0.5) or "auto", default="auto"
        The largest share of the rows that may be left out because they stray: so far from all others, in the
        span of the components or off it, that the tail of the others does not explain it. "auto" is 0.03; 0
        under the Gaussian prior and for `prior=None`, whose answer is that of principal component analysis.
        0 keeps all rows. Fits of networks, of more components than features and of incomplete rows keep all.
    penalty : Penalty, callable or list of them, default=None
        What is added to the objective: see `sparse_fourier.penalties`. A callable is called as
        `penalty(model, X, codes)`, where `model` has `encode`, `components` and `intercept`, and returns a
        scalar. With codes of least squares, training begins at the fit without penalty and ends where
        likelihood and penalties together are best, components anywhere in the space of signals; entries
        that are missing are filled by the fit without. Densities that are learned stay as they are
        meanwhile and are then fitted anew; with `basis="nonnegative"` codes stay as they are. Not for
        waveforms with a fit of their own, as sinusoids have.
    init : array-like of shape (k, d), default=None
        Components to start from, instead of the starts that `n_init` counts.
    solver : {"auto", "lbfgs", "adam", "rmsprop", "sgd"} or optax.GradientTransformation, default="auto"
        "auto": without a network the closed form, then damped Newton steps on the likelihood inside its
        span, on few signals with soft faces first; for a network "lbfgs", or "adam" where it has
        hidden layers and more than 10000 signals. The last three, and optimisers of optax, go through the
        signals in batches. With `prior=None` and no hidden layers they train the network as it stands:
        standard normal initial weights, biases of zero, signals as they are. All other networks begin at
        the closed form, on signals centred and scaled, and are never left worse than that. Under a prior,
        with an affine encoder and the prior's own activation, a named solver goes on from the fit by Newton
        steps, and what it finds is kept where that is likelier with codes of least squares.
    learning_rate : float, callable or "auto", default="auto"
        Of the solvers that take batches: a number, or a schedule of optax, which gives it for the number of
        steps taken so far. "auto": 0.001 for "adam" and "rmsprop", 0.01 for "sgd".
    batch_size : int or "auto", default="auto"
        Signals of a batch, at most all; "auto" is 200.
    max_iter : int, default=1000
        Most iterations of each start, over all stages of training; epochs of solvers that take batches.
    tol : float, default=1e-12
        Training stops when a Newton step promises a smaller decrease of the objective, in nats per
        sample.
    n_init : int or "auto", default="auto"
        Number of starting rotations, trained side by side; "auto" takes two. Two components need
        none: they start from the smallest parallelogram that holds the codes, which is exact. For a network
        the number of initial weights, of which "auto" takes one; they are trained side by side in batches,
        one after another by "lbfgs".
    early_stopping : bool, default=False
        Whether a network is trained in batches until its loss on held-out signals no longer improves, and
        keeps the parameters that were best there.
    validation_fraction : float, default=0.1
        Share of the rows held out by early stopping.
    n_iter_no_change : int, default=10
        Training in batches ends after so many epochs in a row that do not improve the loss by `tol`.
    warm_start : bool, default=False
        Whether the fit of a network goes on from the last one: parameters, moments of the solver, and the
        centre and scale of the signals.
    checkpoint : path-like, default=None
        File in which `fit` writes down between chunks of training how far it has come. The same call then
        goes on from there, after whatever ended it, and comes to what it would have come to, bit for bit on
        one machine with as many threads. The file stays and is for that fit alone: one that is corrupt, or
        that of other data or parameters, is an error, and is not written to. None: nothing is written.
    random_state : int, RandomState or None, default=None
        Draws the starting rotations. The result rarely depends on it.
    verbose : int, default=0
        1: a progress bar, where tqdm is installed; else, and above 1, a line about every chunk of
        training.
    callback : callable, default=None
        Called as `callback(info)` after every chunk of training with the attributes `iteration`,
        `loss` and `elapsed`; returning True ends training and keeps the result.

    Attributes
    ----------
    components_ : ndarray of shape (k, d)
        The basis functions, by explained variance, descending. Under the uniform prior a row is
        what the signal gains when its code goes from zero to one; under "simplex" it is a pure signal;
        otherwise it has unit norm, and codes have the unit of the signals.
    intercept_ : ndarray of shape (d,)
        The signal whose codes are all zero: under the uniform prior a corner of the box, the one
        nearest to zero; under "exponential" the apex of the cone; zero under "simplex"; otherwise
        the mean of X.
    explained_variance_ : ndarray of shape (k,)
        Variance of each code (divided by n - 1) times the squared norm of its component.
    explained_variance_ratio_ : ndarray of shape (k,)
        The same as a share of the variance of X. Need not add up where codes correlate.
    noise_variance_ : float
        Variance of the noise per feature: squared residuals over n (d - k), under "gaussian" over
        (n - 1) (d - k). With `noise="student_t"` that of Gaussian noise which leaves codes as uncertain.
    noise_ : StudentT or None
        With `noise="student_t"` the noise of an entry: its `scale`, in the unit of the signals, and its
        `degrees_of_freedom`, from 1 to 1000.
    n_components_ : int
        Number of components.
    n_features_in_ : int
        Number of features d.
    feature_names_in_ : ndarray of shape (d,)
        Names of the features, where X had them.
    prior_ : Prior
        The fitted prior; `str(prior_)` is its name. None where nothing was assumed.
    prior_scores_ : dict
        Under `prior="auto"`, name of each prior that was compared to its penalised log-likelihood, in nats
        per sample; "uniform" alone where codes fill its box evenly, so that no other was tried. Empty where
        a prior was given or signals were too few.
    basis_ : Basis
        The fitted basis; that of sinusoids has `waveforms(positions)`, which evaluates the components
        anywhere, and `tones`.
    frequencies_, amplitudes_, phases_, dampings_ : ndarrays of shape (k, n_terms)
        With `basis="fourier"`, in double precision: each component is the sum over its terms, in the order
        of their frequencies, of `amplitude * exp(-damping * t) * sin(2 * pi * frequency * t + phase)`.
        Frequencies are in cycles per unit of the positions t, amplitudes are not negative, phases are in
        (-pi, pi].
    loss_ : float
        Mean negative log-likelihood of the training signals, in nats per sample; with `prior=None` the
        mean squared error of an entry.
        A network's is what training minimised: with its own codes, penalties
        included, missing entries filled. `score` takes least-squares codes and observed entries alone.
    loss_curve_ : ndarray of shape (n_iterations + 1,)
        The objective after every iteration, with faces still wide and signals still few at first; the
        last is `loss_`.
    n_iter_ : int
        Number of iterations of the best start; 1 where the solution is known in closed form.
    converged_ : bool
        Whether the tolerance was reached.
    coding_gap_ : float
        With more components than features: by how much the codes of `transform` miss the best ones that a
        long search finds, on 100 of the signals. It is the excess of the squared error, with the price of
        active codes, as a share of the squared length of the signals beside the intercept.
    reconstruction_err_ : float
        Frobenius norm of the residual of X.
    outliers_ : ndarray of int
        The rows of X that were left out because they stray, ascending; mostly none. All other attributes are
        those of a fit without these rows. After `partial_fit`, their places among the rows that are kept.

    Notes
    -----
    The noise variance of a code has a floor of 1/n², apart from `noise_variance_`: the likelihood of
    noise-free data stays finite, and held-out codes may stick out of the box by the little that the
    extremes of a sample fall short of the support. The fitted box is widened by what it is expected
    to fall short, see `sparse_fourier.priors.Uniform.shortfall`.

    A file that is mapped into memory (`np.memmap`, of any type of real numbers) and a sparse matrix are read
    a block of rows at a time, never whole; other formats than CSR are converted to that. In memory are the
    codes of all signals, the moments where there are at most 5000 features, and one block. The outcome is
    that for the same signals as an array. With more features, or about as many features as signals and more
    than 8 million entries, only the strongest axes are sought, as many as components (for arrays too).
    So are both with more components than features, from a million codes on; in memory are their codes that
    are not zero. Networks, penalties and missing entries need an array: a file is loaded for
    them, a sparse matrix of more than 8 million entries, zeros included, is refused. Batches of `partial_fit`
    become arrays. A `jax.Array` whose rows are spread over devices, or processes, is fitted where it lies,
    networks included: see "Scaling out" in the documentation.

    Entries of X that are NaN were not observed. Components minimise the squares of the others, over codes of
    each signal's own, so that entries may be missing for any reason that has nothing to do with their
    noise; signals with too few of them to determine their codes say nothing of the basis. The codes of a
    signal are those of least squares once its gaps are filled with what mean and covariance of the prior
    lead to expect, given what was observed of it; without noise, least squares on that. Its likelihood is
    that of the entries observed, with a Gaussian density of the codes where they leave some open.
    `inverse_transform(transform(X))` fills the gaps. "auto" takes components as long as the residuals have a
    direction that stands above white noise.

    With `noise="student_t"` span and noise are those of greatest likelihood, found by turns: an entry counts
    the less the further it lies from what the others of its signal and its feature say, and codes are the
    likeliest given these weights [2]_. All else (prior, basis, network) is fitted to pseudo-values, whose
    residuals are drawn in by these weights, so that least squares give the same codes, with as much noise.
    Signals of which outliers leave too little to tell their codes say nothing of the basis. `score` adds up
    the log-densities of residuals, with the codes integrated out by their expected information. The number
    of components, scores of priors, `reconstruction_err_`, `get_covariance`, and the losses of networks but
    for what residuals cost beyond pseudo-values, are those of pseudo-values.

    `prior="auto"` compares priors on at most 3000 of the signals, by their likelihood less a price for what
    they are free to choose: 3.5 nats for each pair of codes where the basis is told apart, 4.5 nats and 0.002
    nats per sample more for each learned density. These are twice what such freedom gains on Gaussian codes.
    The choice does not depend on `random_state`. Priors far behind count with their codes fitted one by one.
    The largest score wins, with one exception: codes that end abruptly at all faces of a box (at three
    quarters of them, where the codes found otherwise depend on each other) and come near its corners are
    taken for bounded, whatever prior of unbounded codes is likelier. A likelihood that takes codes for
    independent finds another basis where they are not; the smallest box needs no independence.
    "simplex" takes part where the codes that are found otherwise depend on each other, or where signals have
    one dimension less than `n_components`; "learned" not with `fit_intercept=False`.

    Rows stray where their distance from the middle of the signals, in units of the standard deviations along
    principal axes, or from their span, lies beyond a gap that the spread of the next thirty distances does
    not explain, even if the tail falls as slowly as a power does: heavy tails have no such gaps. Ten rows or
    more that make up a component between them are kept. Fewer than 50 rows are not judged. Where a box is
    looked for, rows stray as well that lie outside of it, within the span, beyond a gap that the spacings of
    the thirty codes nearest to the face do not explain: if the others fill the smaller box evenly and are
    likelier in it by twelve nats for each row left out. That takes 100 rows, and 25 to a component.

    With more components than features (`prior="laplace"`, or "exponential" for codes that are not negative)
    codes are sparse and components have unit norm. Codes minimise the squared error with at most a certain
    number of them active, each of which has to lower it by a certain price; both follow from the data, by the
    length of a description in bits. `transform` looks for that minimum by matching pursuit from several first
    components. Training alternates such codes with sweeps over the components (approximate K-SVD [1]_);
    beyond a million codes the components take a step after each batch instead. Weak components are replaced
    by directions in which residuals cluster, and one that stands for two is split. The intercept is then what
    minimises the residuals, signs are those of a fixed functional, `noise_variance_` counts the active codes
    of each signal, `loss_` and `score` are minus or plus the logarithm of the joint density of signals and
    codes, which is not a likelihood, and comparable only between models of as many components. Every sweep,
    or pass over batches, is one iteration.

    With `encoder="affine"` or hidden layers a network gives the codes there: the largest outputs of an affine
    map (plus hidden layers), as many as `activation` says; by default as many on average as matching pursuit
    needs. Training begins at the dictionary, with the encoder tied to it, and lowers the squared error by
    `solver` ("adam" by default, with a rate that falls from 0.002 to zero) in batches of 200 signals or more,
    for as many epochs as it takes to use every component 2400 times. Components that no signal uses are
    revived meanwhile. `coding_gap_` then says what the network costs beside a search.

    References
    ----------
    .. [1] R. Rubinstein, M. Zibulevsky and M. Elad, "Efficient implementation of the K-SVD algorithm using
       batch orthogonal matching pursuit", Technion, 2008.
    .. [2] K. L. Lange, R. J. A. Little and J. M. G. Taylor, "Robust statistical modeling using the t
       distribution", Journal of the American Statistical Association 84, 881-896, 1989.

    Examples
    --------
    >>> from sparse_fourier import AutoencoderDecomposer
    >>> from sparse_fourier.datasets import make_sinusoid_mixtures
    >>> from sparse_fourier.metrics import worst_relative_error
    >>> X, codes, components = make_sinusoid_mixtures(random_state=0)
    >>> model = AutoencoderDecomposer().fit(X)
    >>> model.components_.shape
    (2, 30)
    >>> bool(worst_relative_error(components, model.components_, matched=False) < 0.05)
    True
    """

    _parameter_constraints = parameters.CONSTRAINTS
    _broad: Broad | None = None

    def __init__(
        self,
        n_components: int | float | str = "auto",
        *,
        prior: Any = "auto",
        basis: Any = "free",
        noise: str = "gaussian",
        encoder: str = "auto",
        activation: Any = None,
        hidden_layer_sizes: tuple[int, ...] = (),
        hidden_activation: Any = "relu",
        fit_intercept: bool = True,
        contamination: float | str = "auto",
        penalty: Any = None,
        init: Any = None,
        solver: Any = "auto",
        learning_rate: Any = "auto",
        batch_size: Any = "auto",
        max_iter: int = 1000,
        tol: float = 1e-12,
        n_init: int | str = "auto",
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        warm_start: bool = False,
        checkpoint: Any = None,
        random_state: Any = None,
        verbose: int = 0,
        callback: Any = None,
    ) -> None:
        self.n_components = n_components
        self.prior = prior
        self.basis = basis
        self.noise = noise
        self.encoder = encoder
        self.activation = activation
        self.hidden_layer_sizes = hidden_layer_sizes
        self.hidden_activation = hidden_activation
        self.fit_intercept = fit_intercept
        self.contamination = contamination
        self.penalty = penalty
        self.init = init
        self.solver = solver
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.tol = tol
        self.n_init = n_init
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.warm_start = warm_start
        self.checkpoint = checkpoint
        self.random_state = random_state
        self.verbose = verbose
        self.callback = callback

    def fit(self, X: Any, y: Any = None, *, sample_weight: Any = None) -> Self:
        """Learn components from signals.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Rows are signals; NaN means that an entry was not observed.
        y : None
            Ignored.
        sample_weight : array-like of shape (n_samples,), default=None
            A weight of 2 means that the row occurs twice.

        Returns
        -------
        AutoencoderDecomposer
            The fitted estimator. If anything is raised, it is as it was before the call.

        Raises
        ------
        ValueError
            If X, a weight or a parameter is not what it must be, or nothing of a feature was observed.
        """
        draft = self._view(dict(self.__dict__))
        draft._validate_params()
        X = draft._validate(X, reset=True, ensure_min_samples=2)
        weights = validate_weights(sample_weight, X)
        validate_total(float(weights.sum()), min(int(np.count_nonzero(weights)), 2))
        settings, network = draft._settings(X)
        runtime.check()
        kept = weights > 0
        rows, weights = rows_with_weight(X, weights)
        rows = complete_or_array(rows)
        refuse_unobserved_features(rows, draft)
        fitted = draft._fit(rows, weights, settings, network)
        fitted = replace(fitted, strays=np.flatnonzero(kept)[fitted.strays])
        draft._publish(fitted, X.dtype)
        draft._stream, draft._unseen, draft._asked = None, np.zeros(0, dtype=int), self.n_components
        draft._remarks = warn_of(fitted, settings)
        self.__dict__ = draft.__dict__
        return self

    def partial_fit(self, X: Any, y: Any = None, *, sample_weight: Any = None) -> Self:
        """Go on learning components from more signals.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Rows are signals, one or more; NaN means that an entry was not observed.
        y : None
            Ignored.
        sample_weight : array-like of shape (n_samples,), default=None
            A weight of 2 means that the row occurs twice.

        Returns
        -------
        AutoencoderDecomposer
            The estimator. If anything is raised, it is as it was before the call.

        Raises
        ------
        ValueError
            If X, a weight or a parameter is not what it must be, or `n_components` has changed.

        Notes
        -----
        Rows are kept, in private, and the model is fitted to them whenever they are a quarter more than at
        the last fit; calls in between only collect. A fit is that of `fit` to all rows that have come, until
        they exceed what is kept: 2**16 rows or 2**23 entries, but no fewer than 1024 rows. From then on a
        weighted sample stands for them, in which those near the faces of the support remain, for they decide.

        The number of components, their order and signs are settled when 100 rows have come, or ten for each
        component; before that they may change from call to call, without warnings, and a single row gives
        components of zero. With `prior="auto"` the prior is chosen anew at every fit. A network is trained on
        the rows from where it was, for `max_iter` iterations or epochs each time. After `fit`, of whose rows
        nothing is kept, signals drawn from its model stand for them.
        """
        draft = self._view(dict(self.__dict__))
        draft._validate_params()
        X = draft._validate(X, reset=not hasattr(draft, "_state"))
        weights = validate_weights(sample_weight, X)
        settings, network = draft._settings(X)
        runtime.check()
        kept = weights > 0
        stream = draft._stream_so_far(X)
        learn = draft._going_on(network, stream.settled)
        stream, fitted = advance(stream, X[kept], weights[kept], settings, learn)
        validate_total(stream.n_samples, 1)
        draft._stream = stream
        if fitted is not None:
            draft._publish(fitted, stream.rows.dtype)
            draft._unseen = stream.unseen
            if stream.settled:
                draft._remarks = warn_of(fitted, settings)
        self.__dict__ = draft.__dict__
        return self

    def _stream_so_far(self, X: Rows) -> Stream:
        """Return what is kept of the rows that have come, the parameters as they were then."""
        stream, asked = getattr(self, "_stream", None), self.n_components
        before = getattr(self, "_asked", asked)
        if before != asked:
            raise ValueError(f"n_components changed from {before} to {asked} since the first partial_fit.")
        self._asked = asked
        if stream is not None:
            return stream
        seed = self.random_state
        if not isinstance(seed, Integral):
            seed = check_random_state(seed).randint(np.iinfo(np.int32).max)
        if hasattr(self, "_state"):
            return Stream.after(self._state, self._n_samples, X.dtype, int(seed))
        return Stream.empty(X.shape[1], X.dtype, int(seed))

    def transform(self, X: Any) -> np.ndarray:
        """Return the codes of signals.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Rows are signals; NaN means that an entry was not observed.

        Returns
        -------
        ndarray of shape (n_samples, n_components)
            The codes within the prior's support that reconstruct the signals best; the prior's mean, with a
            warning, where nothing of a signal was observed.

        Raises
        ------
        ValueError
            If the type of X cannot hold the codes.
        """
        view = self._view()
        check_is_fitted(view)
        X, complete = view._validate_entries(X, reset=False)
        if not complete:
            warn_of_empty_rows(X)
        warn_of_unseen(view._unseen, getattr(view, "feature_names_in_", None))
        return mapped(lambda rows: _codes_in_user_units(view._state, rows), X)

    def inverse_transform(self, X: Any) -> np.ndarray:
        """Return the signals of codes: `X @ components_ + intercept_`.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_components)
            Codes.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            Rows are signals.

        Raises
        ------
        ValueError
            If the codes have another width, or are not finite.
        """
        view = self._view()
        check_is_fitted(view)
        components, intercept = view.components_, view.intercept_
        codes = check_array(X, dtype=_FLOATS, estimator=self)
        if codes.shape[1] != len(components):
            raise ValueError(
                f"X has {codes.shape[1]} columns, but inverse_transform expected "
                f"{len(components)} columns (n_components_), got {codes.shape[1]}."
            )
        signals = codes @ components
        signals += intercept
        return signals

    def score(self, X: Any, y: Any = None, *, sample_weight: Any = None) -> float:
        """Return the mean log-likelihood of signals, in nats per sample; higher is better.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Rows are signals; NaN means that an entry was not observed.
        y : None
            Ignored.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the mean.

        Returns
        -------
        float
            Comparable between priors and numbers of components, as long as these are no more than the
            features.

        Notes
        -----
        Where the fit left out rows that stray, a share of the signals as large as theirs is taken for
        anything: their density is then (1 - share) times that of the model and share times a multivariate
        Cauchy density, about the middle of the other signals and as wide as they are. So held-out strays
        cost a finite number of nats, under every prior the same. `loss_` is that of the rows kept, without
        this.
        """
        view = self._view()
        check_is_fitted(view)
        X = view._validate(X, reset=False)
        weights = validate_weights(sample_weight, X)
        return float(np.average(view._log_likelihood(X), weights=weights))

    def score_samples(self, X: Any) -> np.ndarray:
        """Return the log-likelihood of each signal, in nats.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Rows are signals; NaN means that an entry was not observed.

        Returns
        -------
        ndarray of shape (n_samples,)
            In double precision, finite for every finite signal.
        """
        view = self._view()
        check_is_fitted(view)
        return view._log_likelihood(view._validate(X, reset=False))

    def diagnose(
        self, X: Any, n_bootstraps: int = 50, random_state: Any = None, *, sample_weight: Any = None
    ) -> Diagnosis:
        """Return how far to trust the components: error bars, stability, what identifies them.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The signals that the estimator was fitted to; NaN means that an entry was not observed. Rows that
            the fit left out as outliers are left out.
        n_bootstraps : int, default=50
            Number of refits, at least 2. They start from the fitted solution and see resampled codes, so
            that their time does not depend on the length of the signals.
        random_state : int, RandomState or None, default=None
            Draws the resamples.
        sample_weight : array-like of shape (n_samples,), default=None
            A weight of 2 means that the row occurs twice.

        Returns
        -------
        Diagnosis
            A table when printed; see `sparse_fourier.diagnosis.Diagnosis` for what it holds.

        Raises
        ------
        ValueError
            If all components are zero.

        Notes
        -----
        Standard errors are those of the sandwich formula, from the first two derivatives of the likelihood,
        plus what noise does to the span of the components. Where single signals hold the faces of a support
        in place they come from the refits instead, which draw the codes near faces anew. Where the basis is
        not free, under penalties, and under bounded densities of a user's own that are not independent,
        refits are complete fits to signals drawn from the model, and take their time. So do networks, and
        more components than features, which are fitted to resampled signals, going on from this fit. With
        `prior=None` errors are those of principal axes.

        References
        ----------
        .. [1] J. Himberg, A. Hyvärinen and F. Esposito, "Validating the independent components of
           neuroimaging time series via clustering and visualization", NeuroImage 22(3), 1214-1222, 2004.

        Examples
        --------
        >>> from sparse_fourier import AutoencoderDecomposer
        >>> from sparse_fourier.datasets import make_sinusoid_mixtures
        >>> X, codes, components = make_sinusoid_mixtures(noise=0.1, random_state=0)
        >>> diagnosis = AutoencoderDecomposer().fit(X).diagnose(X, random_state=0)
        >>> diagnosis.verdicts
        ('identified', 'identified')
        >>> truth = components[::-1]  # of these signals sin 2x explains more
        >>> inside = (diagnosis.lower < truth) & (truth < diagnosis.upper)
        >>> bool(inside.mean() > 0.5)
        True
        """
        view = self._view()
        check_is_fitted(view)
        X = array_of(view._validate(X, reset=False), "diagnose")
        parameters.check_draws(n_bootstraps)
        weights = np.array(validate_weights(sample_weight, X))
        weights[view.outliers_[view.outliers_ < len(X)]] = 0.0
        validate_total(float(weights.sum()), min(int(np.count_nonzero(weights)), 2))
        settings, network = view._settings(X)
        parameters.refuse_to_diagnose(view.components_)
        kept, rng = weights > 0, check_random_state(random_state)
        if network is not None or len(view.components_) > X.shape[1]:
            return view._rebuilt(X[kept], weights[kept], settings, network, int(n_bootstraps), rng)
        model, rows = view._state.of_least_squares(X[kept])
        question = Question(
            model,
            view.basis_,
            rows,
            weights[kept],
            settings,
            int(n_bootstraps),
            rng,
            view.components_,
            dict(view.prior_scores_),
        )
        return diagnose(question)

    def _rebuilt(
        self,
        X: np.ndarray,
        weights: np.ndarray,
        settings: Settings,
        network: Network | None,
        n: int,
        rng: Any,
    ) -> Diagnosis:
        """Return how far to trust components that have no likelihood in closed form."""
        init = None if network is not None else self.components_
        settings = replace(
            settings, n_components=self.n_components_, init=init, rivals=(), contamination=0.0, callback=None
        )

        def learn(counts: np.ndarray) -> Found:
            rows = counts > 0
            fitted = self._fitted(X[rows], counts[rows], settings, network, rng, self._record)
            components, _ = _to_user_units(fitted.model, self.components_.dtype)
            return Found(components, _explained(fitted))

        rank = rank_of(
            X,
            weights,
            int(self.components_.any(axis=1).sum()),
            self._state.exponent,
            centred=self.fit_intercept,
        )
        found = Found(self.components_, self.explained_variance_)
        name = "none" if self.prior_ is None else str(self.prior_)
        return rebuilt(found, weights, learn, n, rng, name, rank)

    def sample(self, n_samples: int = 1, random_state: Any = None) -> np.ndarray:
        """Draw signals from the fitted model, noise included.

        Parameters
        ----------
        n_samples : int, default=1
            Number of signals.
        random_state : int, RandomState or None, default=None
            Draws codes and noise.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            Rows are signals.

        Raises
        ------
        ValueError
            If signals of the model exceed what the type of X can hold.
        """
        view = self._view()
        check_is_fitted(view)
        dtype, exponent = view.components_.dtype, view._state.exponent
        signals = view._state.sample(n_samples, check_random_state(random_state))
        with np.errstate(over="ignore"):
            drawn = np.ldexp(signals, exponent).astype(dtype)
        if not np.isfinite(drawn).all():
            raise ValueError(
                f"Draws from the model exceed the range of {dtype.name}: entries of X were as large as "
                f"2**{exponent}. Rescale X."
            )
        return drawn

    def get_covariance(self) -> np.ndarray:
        """Return the covariance of signals under the model.

        Returns
        -------
        ndarray of shape (n_features, n_features)
            Of the components, with the prior's variance of the codes, plus that of the noise.
        """
        check_is_fitted(self)
        model = self._state
        return _in_units(model.covariance(), 2 * model.exponent)

    def summary(self) -> Summary:
        """Return what the fit came to, to be read.

        Returns
        -------
        Summary
            Printed, or as the last line of a notebook's cell, it says which prior was chosen and by how much,
            how many components there are, the variance of each and what its basis learned, the noise, how
            training ended, and the warnings of the fit. Its `facts`, `columns` and `remarks` hold the same.

        Examples
        --------
        >>> from sparse_fourier import AutoencoderDecomposer
        >>> from sparse_fourier.datasets import make_sinusoid_mixtures
        >>> X, codes, components = make_sinusoid_mixtures(noise=0.05, random_state=0)
        >>> print(AutoencoderDecomposer(random_state=0).fit(X).summary())
        AutoencoderDecomposer of 300 signals of 30 features
          components  2 (n_components='auto')
          prior       uniform, whose box the codes fill evenly: no other was compared
          noise       variance 0.00242, standard deviation 0.0492
          residual    Frobenius norm 4.51
          training    converged after ... iterations, loss -41.89 nats per signal
        <BLANKLINE>
          component  variance   share
                  0     1.305   0.509
                  1     1.191  0.4644
        """
        view = self._view()
        check_is_fitted(view)
        d, noise = view.n_features_in_, view.noise_variance_
        end = "converged" if view.converged_ else "stopped"
        goal = "mean squared error" if view.prior_ is None else "nats per signal"
        facts = {
            "components": f"{view.n_components_} (n_components={view._asked!r})",
            "prior": "none" if view.prior_ is None else of_prior(str(view.prior_), view.prior_scores_),
            "noise": of_noise(noise, view.noise_),
            "residual": f"Frobenius norm {view.reconstruction_err_:.3g}",
            "training": f"{end} after {view.n_iter_} iterations, loss {view.loss_:.4g} {goal}",
        }
        columns = {"variance": view.explained_variance_, "share": view.explained_variance_ratio_}
        learned = {name.rstrip("_"): values for name, values in view.basis_.attributes.items()}
        for name, values in learned.items():
            several = values.shape[1] > 1
            columns |= {f"{name} {i}" if several else name: part for i, part in enumerate(values.T)}
        title = f"{type(self).__name__} of {view._n_samples:g} signals of {d} features"
        return Summary(title, facts, columns, view._remarks)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters of this estimator.

        Parameters
        ----------
        deep : bool, default=True
            Whether those of its parts are included, as `prior__strength` for example.

        Returns
        -------
        dict
            Name -> value.
        """
        if deep:
            return super().get_params(deep)
        kind: type = type(self)
        return {name: getattr(self, name) for name in parameters.defaults(kind)}

    def __sklearn_tags__(self) -> Any:
        """Return what scikit-learn should know of this estimator."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.sparse = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def __getstate__(self) -> dict[str, Any]:
        """Return the state with a stamp of the version that wrote it."""
        from sparse_fourier import __version__

        return saving.stamped(super().__getstate__(), __version__)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore a state, refusing one that a newer version wrote in a newer form."""
        from sparse_fourier import __version__

        super().__setstate__(saving.restored(state, type(self), __version__))

    @property
    def _n_features_out(self) -> int:
        return self.n_components_

    def _view(self, state: dict[str, Any] | None = None) -> Self:
        """Return another estimator on a state, by default on this one's.

        Fits are drafted on a copy of the state, which replaces the old one in a single assignment;
        whoever holds a view still sees the whole of the old.
        """
        view = object.__new__(type(self))
        view.__dict__ = self.__dict__ if state is None else state
        return view

    def _validate_params(self) -> None:
        kind: type = type(self)
        parameters.validate(kind.__name__, self.get_params(deep=False), parameters.defaults(kind))

    def _validate(self, X: Any, *, reset: bool, ensure_min_samples: int = 1) -> Rows:
        return self._validate_entries(X, reset=reset, ensure_min_samples=ensure_min_samples)[0]

    def _validate_entries(self, X: Any, *, reset: bool, ensure_min_samples: int = 1) -> tuple[Rows, bool]:
        """Return validated signals, and whether all of their entries were observed."""
        if is_spread(X):
            spread = self._validate_spread(X, reset=reset)
            return spread, spread.extent.complete
        refuse_silent_misreadings(X)
        in_file = is_mapped(X) and X.dtype.kind in "fiub"
        with np.errstate(over="ignore", invalid="ignore"):
            rows = validate_data(
                self,
                X,
                dtype=None if in_file else _FLOATS,
                accept_sparse=["csr", "csc"],
                ensure_all_finite=False,
                reset=reset,
                ensure_min_samples=ensure_min_samples,
            )
            if not in_file and isinstance(rows, np.ndarray) and not (reset and is_large(rows)):
                return rows, are_complete(rows, self)
        signals = validate_extent(rows, self)
        return signals, signals.extent.complete

    def _validate_spread(self, X: Any, *, reset: bool) -> Signals:
        """Validate an array of JAX whose rows are spread over devices, where it lies."""
        if X.ndim != 2:
            raise ValueError(f"Expected 2D array, got {X.ndim}D array of shape {X.shape} instead.")
        validate_data(self, X, reset=reset, skip_check_array=True)
        return validate_extent(ShardedSignals(X), self)

    def _fit(self, X: Rows, weights: np.ndarray, settings: Settings, network: Network | None) -> Fitted:
        rng = check_random_state(self.random_state)
        together = processes_of(X)
        with checkpoints.opened(self.checkpoint, lambda: self._identity(X, weights), rng, together) as first:
            return self._watched(X, weights, settings, network, first)

    def _identity(self, X: Rows, weights: np.ndarray) -> dict[str, str]:
        """Return digests of all that the outcome of a fit depends on."""
        given = self.get_params(deep=False)
        chosen = {name: value for name, value in given.items() if name not in _WITHOUT_EFFECT}
        others = {"the fit to go on from": getattr(self, "_record", None) if self.warm_start else None}
        return checkpoints.identity(chosen, others, X=contents_of(X), sample_weight=[weights])

    def _watched(
        self, X: Rows, weights: np.ndarray, settings: Settings, network: Network | None, rng: Any
    ) -> Fitted:
        if not self.verbose:
            return self._trained(X, weights, settings, network, rng)
        reporter = Reporter(self.callback, self.max_iter, self.verbose)
        try:
            return self._trained(X, weights, replace(settings, callback=reporter), network, rng)
        finally:
            reporter.close()

    def _going_on(self, network: Network | None, settled: bool) -> Learn:
        """Return how rows that have come so far are fitted; a network goes on from where it was."""
        record = getattr(self, "_record", None) if network is not None and settled else None
        if record is not None and network is not None and not record.fits(network, len(record.centre)):
            raise ValueError(
                "partial_fit cannot go on: layers, activations or solver have changed since the last call."
            )

        def learn(X: np.ndarray, weights: np.ndarray, settings: Settings, rng: Any) -> Fitted:
            return self._fitted(X, weights, settings, network, rng, record)

        return learn

    def _trained(
        self, X: Rows, weights: np.ndarray, settings: Settings, network: Network | None, rng: Any
    ) -> Fitted:
        record = None if network is None else self._begun(network, X)
        return self._fitted(X, weights, settings, network, rng, record)

    def _fitted(
        self,
        X: Rows,
        weights: np.ndarray,
        settings: Settings,
        network: Network | None,
        rng: Any,
        record: Record | None,
    ) -> Fitted:
        def learn(X: Rows, weights: np.ndarray) -> Fitted:
            if network is not None:
                X = within_reach(X, "a network")
                return fit_by_solver(X, weights, settings, network, rng, record)
            if self.prior is None:
                return closed_form(X, weights, settings)
            return _fit_without_network(X, weights, settings, rng)

        return parameters.resolve_noise(self.noise).fit(learn, X, weights, settings)

    def _begun(self, network: Network, X: Rows) -> Record | None:
        """Return where training goes on, if it does."""
        record = getattr(self, "_record", None) if self.warm_start else None
        if record is not None and not record.fits(network, X.shape[1]):
            raise ValueError(
                "warm_start=True cannot go on from the last fit, whose network had other layers, activations "
                "or another solver. Use warm_start=False."
            )
        return record

    def _settings(self, X: Rows) -> tuple[Settings, Network | None]:
        d, given = X.shape[1], self.get_params(deep=False)
        k = None if isinstance(self.n_components, str) else self.n_components
        overcomplete = isinstance(k, int | np.integer) and k > d
        prior = parameters.resolve_prior(self.prior, self.encoder, overcomplete=overcomplete)
        if overcomplete:
            parameters.refuse_overcomplete(prior, given, d)
            refuse_beyond_memory(int(self.n_components), d)
        if prior.learns and not self.fit_intercept:
            raise ValueError(
                f"fit_intercept=False cannot be used under the prior {prior}, whose densities have a place "
                "of their own. Use fit_intercept=True or another prior."
            )
        basis = parameters.resolve_basis(self.basis, prior, d)
        penalties = parameters.resolve_penalties(self.penalty)
        network = None if overcomplete else parameters.resolve_network(given, prior, len(X), penalties)
        if network is None:
            parameters.reject_penalties(penalties, basis)
            rivals = parameters.resolve_rivals(self.prior, basis, self.fit_intercept)
            rivals = () if overcomplete else rivals
        else:
            rivals = ()
        settings = Settings(
            prior=prior,
            rivals=rivals,
            fit_intercept=self.fit_intercept,
            contamination=parameters.resolve_contamination(self.contamination, prior, rivals, network),
            basis=basis,
            penalties=() if network else penalties,
            n_components=int(k) if isinstance(k, np.integer) else k,
            n_starts=parameters.resolve_starts(self.n_init, network=network is not None),
            tol=float(self.tol),
            max_iter=int(self.max_iter),
            init=self.init,
            callback=self.callback,
            sparsity=parameters.resolve_sparsity(self.activation if overcomplete else None),
            coder=parameters.resolve_coder(given, prior) if overcomplete else pursued,
        )
        return settings, network

    def _publish(self, fitted: Fitted, dtype: Any) -> None:
        model = fitted.model
        components, intercept = _to_user_units(model, dtype)
        explained = fitted.code_variances * np.diagonal(model.gram)
        scale = 2 * model.exponent
        self._state = model
        self.components_, self.intercept_ = components, intercept
        self.n_components_, self._n_samples = len(components), fitted.n_samples
        self.explained_variance_ = _explained(fitted)
        self.explained_variance_ratio_ = explained / (fitted.total_variance or 1.0)
        self.noise_variance_ = float(_in_units(np.array(model.noise_variance), scale))
        self.prior_ = None if self.prior is None else _prior_in_user_units(model)
        self.noise_ = fitted.noise and fitted.noise.scaled(model.exponent)
        self.prior_scores_ = fitted.scores
        self.outliers_, self._broad = fitted.strays, fitted.broad
        self._record = fitted.record if isinstance(fitted, FittedNetwork) else None
        self._publish_basis(fitted.basis, model, fitted.extras)
        self._remarks = ()
        self.loss_curve_, self.loss_ = fitted.curve, float(fitted.curve[-1])
        self.n_iter_, self.converged_ = max(len(fitted.trained.curve), 1), fitted.trained.converged
        self.reconstruction_err_ = float(_in_units(np.sqrt(np.array(fitted.residual)), model.exponent))

    def _publish_basis(self, basis: Basis, model: Model, extras: dict[str, Any]) -> None:
        """Set what the basis has learned and only this model has, and nothing that another one had before."""
        k = len(model.components)
        unit = _in_units(np.ones(k), model.component_exponent)
        self.basis_ = basis.mapped(unit, np.arange(k))
        for name in self.__dict__.get("_from_basis", ()):
            self.__dict__.pop(name, None)
        learned = self.basis_.attributes | extras
        self.__dict__.update(learned)
        self._from_basis = tuple(learned)

    def _log_likelihood(self, X: Rows) -> np.ndarray:
        largest = np.finfo(float).max
        with np.errstate(over="ignore"):
            return np.clip(mapped(self._log_likelihood_of_rows, X), -largest, largest)

    def _log_likelihood_of_rows(self, X: np.ndarray) -> np.ndarray:
        plain = -self._state.losses(X)
        return plain if self._broad is None else self._broad.mixed(plain, X)


def _fit_without_network(X: Rows, weights: np.ndarray, settings: Settings, rng: Any) -> Fitted:
    if isinstance(settings.n_components, int) and settings.n_components > X.shape[1]:
        return fit_overcomplete(at_hand(X), weights, settings, rng)
    return fit(X, weights, settings, rng)


def _explained(fitted: Fitted) -> np.ndarray:
    """Return the variance that each component explains, in the unit of the signals."""
    model = fitted.model
    return _in_units(fitted.code_variances * np.diagonal(model.gram), 2 * model.exponent)


def _codes_in_user_units(model: Model, X: np.ndarray) -> np.ndarray:
    """Return codes in the unit and the type of X."""
    with np.errstate(over="ignore", invalid="ignore"):
        codes = model.encode(X).astype(X.dtype, copy=False)
    if not np.isfinite(codes).all():
        raise ValueError(
            f"The codes of X exceed the range of {X.dtype.name}: its entries are as large as "
            f"{np.abs(X[~np.isfinite(codes).all(axis=1)]).max():.3g}. Rescale X."
        )
    return codes


def _to_user_units(model: Model, dtype: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return components and intercept in the units and the type of X."""
    with np.errstate(over="ignore"):
        components = np.ldexp(model.components, model.component_exponent)
        intercept = np.ldexp(model.intercept, model.exponent)
        arrays = [np.ascontiguousarray(array.astype(dtype)) for array in (components, intercept)]
    if not all(np.isfinite(array).all() for array in arrays):
        raise ValueError(
            f"The components of X exceed the range of {np.dtype(dtype).name}: its entries are as large "
            f"as 2**{model.exponent}. Rescale X."
        )
    return arrays[0], arrays[1]


def _prior_in_user_units(model: Model) -> Prior:
    """Return the prior of codes in their public unit."""
    k = len(model.components)
    unit = _in_units(np.ones(k), model.code_exponent)
    return model.prior.mapped(unit, np.zeros(k))


def _in_units(values: np.ndarray, exponent: int) -> np.ndarray:
    """Return values times 2**exponent; what double precision cannot hold becomes its largest number."""
    largest = np.finfo(float).max
    with np.errstate(over="ignore"):
        return np.clip(np.ldexp(values, exponent), -largest, largest)
