"""Metrics of tables: similarity of columns, associations between columns, what models learn from generated rows, and copying.

Rows are `numbers` [N, A], float with NaN for missing values, and `codes` [N, C], int; `levels` are the numbers of levels of the
C categorical columns.
"""

from collections.abc import Sequence

import numpy as np

from gan_jax.data.tables.schema import Table

FAR = 1e9  # standard deviations at which numbers are clipped where they are squared


def wasserstein(rows: Table, real: Table) -> float:
    """Wasserstein-1 distance of the values of each numeric column, in standard deviations of the real ones (1 for a constant
    column); the mean over columns. Missing values are left out; if a column has no values in one of the tables, its mean in the
    other is used. NaN if there are no numeric columns."""
    from scipy.stats import wasserstein_distance

    distances = []
    for a, b in zip(rows.numbers.T, real.numbers.T, strict=True):
        a, b = a[np.isfinite(a)], b[np.isfinite(b)]
        if not len(a) and not len(b):
            distances.append(0.0)
            continue
        a, b = (x if len(x) else y.mean(keepdims=True) for x, y in ((a, b), (b, a)))
        distances.append(wasserstein_distance(a, b) / ((b.std() or np.ptp(b)) if np.ptp(b) else 1.0))
    return float(np.mean(distances)) if distances else float("nan")


def jsd(rows: Table, real: Table, levels: Sequence[int]) -> float:
    """Jensen-Shannon divergence in bits (0 to 1) of each categorical column's levels, and of missingness in each numeric
    column with missing values; the mean over these columns. NaN if there are none."""
    from scipy.special import rel_entr

    def frequencies(codes: np.ndarray, size: int) -> np.ndarray:
        return np.bincount(codes, minlength=size) / len(codes)

    pairs = [
        (frequencies(a, size), frequencies(b, size)) for a, b, size in zip(rows.codes.T, real.codes.T, levels, strict=True)
    ]
    missing = [np.isnan(table.numbers) for table in (rows, real)]
    has_missing = missing[0].any(axis=0) | missing[1].any(axis=0)
    pairs += [tuple(frequencies(mask[:, i].astype(int), 2) for mask in missing) for i in np.flatnonzero(has_missing)]
    divergences = [sum(rel_entr(p, (p + q) / 2).sum() for p, q in ((a, b), (b, a))) / (2 * np.log(2)) for a, b in pairs]
    return float(np.mean(divergences)) if divergences else float("nan")


def association(rows: Table, levels: Sequence[int]) -> np.ndarray:
    """Associations of all pairs of columns, [A + C, A + C], 1 on the diagonal: for two numeric columns Pearson's correlation,
    -1 to 1; for a numeric and a categorical column the correlation ratio, the root of the fraction of variance between levels;
    for two categorical columns Cramer's V. 0 for constant columns. Rows in which a number of the pair is missing are left out.

    Source: Cramer 1946, Mathematical methods of statistics; the combination of the three follows Zhao et al. 2021 (CTAB-GAN),
    arXiv:2102.08369, section 4.2, which uses another measure for categories."""
    a, count = rows.numbers.shape[1], rows.numbers.shape[1] + rows.codes.shape[1]
    matrix = np.eye(count)
    for i in range(count):
        for j in range(i):
            if i < a:
                value = _pearson(rows.numbers[:, i], rows.numbers[:, j])
            elif j < a:
                value = _ratio(rows.numbers[:, j], rows.codes[:, i - a], levels[i - a])
            else:
                value = _cramer(rows.codes[:, i - a], rows.codes[:, j - a], levels[i - a], levels[j - a])
            matrix[i, j] = matrix[j, i] = value
    return matrix


def correlation_gap(rows: Table, real: Table, levels: Sequence[int]) -> float:
    """Mean absolute difference of `association` over pairs of columns; NaN for a single column."""
    gap = np.abs(association(rows, levels) - association(real, levels))
    count = len(gap)
    return float(gap.sum() / (count * (count - 1))) if count > 1 else float("nan")


def features(rows: Table, reference: Table, levels: Sequence[int]) -> np.ndarray:
    """Embed rows as points [N, F], such that rows that differ in one level, or by one standard deviation of `reference` in one
    number, have distance 1. Numbers are standardised, and 0 if missing, with an indicator; levels are one-hot over sqrt(2)."""
    present = np.isfinite(reference.numbers)
    count = np.maximum(present.sum(axis=0), 1)
    mean = np.where(present, reference.numbers, 0).sum(axis=0) / count
    residual = np.where(present, reference.numbers - mean, 0)
    deviation = np.sqrt((residual**2).sum(axis=0) / count)
    standard = np.clip((rows.numbers - mean) / np.where(np.ptp(residual, axis=0) > 0, deviation, 1), -FAR, FAR)
    missing = np.isnan(standard)
    one_hot = [np.eye(size)[codes] / np.sqrt(2) for codes, size in zip(rows.codes.T, levels, strict=True)]
    return np.concatenate([np.where(missing, 0, standard), missing[:, ~present.all(axis=0)], *one_hot], axis=1)


def closest(points: np.ndarray, records: np.ndarray) -> np.ndarray:
    """Distance of each point [N, F] to the closest of the records [M, F]: [N]."""
    from sklearn.neighbors import NearestNeighbors

    return NearestNeighbors(n_neighbors=1).fit(records).kneighbors(points)[0][:, 0]


def classification(rows: Table, held_out: Table, reference: Table, levels: Sequence[int], target: int) -> dict[str, float]:
    """Train on synthetic, test on real: the mean accuracy and macro F1, on held-out rows, of a logistic regression, a decision
    tree and a random forest that are trained on `rows` to predict the column `target` of `codes`.

    Source: Esteban et al. 2017 (train on synthetic, test on real), arXiv:1706.02633, section 4.2."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import accuracy_score, f1_score
    from sklearn.tree import DecisionTreeClassifier

    others = [c for c in range(len(levels)) if c != target]
    inputs = [Table(table.numbers, table.codes[:, others]) for table in (rows, held_out, reference)]
    x, held_out_x = (features(table, inputs[2], [levels[c] for c in others]) for table in inputs[:2])
    y, held_out_y = rows.codes[:, target], held_out.codes[:, target]
    if len(np.unique(y)) < 2:  # only a constant prediction is possible
        predictions = [np.full_like(held_out_y, y[0])]
    else:
        forest = RandomForestClassifier(50, min_samples_leaf=2, random_state=0)
        tree = DecisionTreeClassifier(max_depth=8, random_state=0)
        models = (LogisticRegression(max_iter=1_000), tree, forest)
        predictions = [model.fit(x, y).predict(held_out_x) for model in models]
    accuracy = [accuracy_score(held_out_y, prediction) for prediction in predictions]
    f1 = [f1_score(held_out_y, prediction, average="macro", zero_division=0) for prediction in predictions]
    return {"tstr": float(np.mean(accuracy)), "tstr_f1": float(np.mean(f1))}


def regression(rows: Table, held_out: Table, reference: Table, levels: Sequence[int], target: int) -> dict[str, float]:
    """Train on synthetic, test on real: the mean R^2 (1 - squared error over that of the held-out mean), on held-out rows, of a
    ridge regression, a decision tree and a random forest that are trained on `rows` to predict the column `target` of
    `numbers`. Rows in which the target is missing are left out; NaN if fewer than two remain."""
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.linear_model import Ridge
    from sklearn.metrics import r2_score
    from sklearn.tree import DecisionTreeRegressor

    def inputs_and_targets(table: Table) -> tuple[np.ndarray, np.ndarray]:
        y = table.numbers[:, target]
        inputs = [Table(np.delete(t.numbers, target, axis=1), t.codes) for t in (table, reference)]
        return features(*inputs, levels)[np.isfinite(y)], y[np.isfinite(y)]

    (x, y), (held_out_x, held_out_y) = inputs_and_targets(rows), inputs_and_targets(held_out)
    if min(len(y), len(held_out_y)) < 2:
        return {"tstr_r2": float("nan")}
    forest = RandomForestRegressor(50, min_samples_leaf=2, random_state=0)
    tree = DecisionTreeRegressor(max_depth=4, random_state=0)
    return {"tstr_r2": float(np.mean([r2_score(held_out_y, m.fit(x, y).predict(held_out_x)) for m in (Ridge(), tree, forest)]))}


def _pearson(a: np.ndarray, b: np.ndarray) -> float:
    both = np.isfinite(a) & np.isfinite(b)
    a, b = a[both], b[both]
    if len(a) < 2 or min(np.ptp(a), np.ptp(b)) == 0:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])


def _ratio(numbers: np.ndarray, codes: np.ndarray, size: int) -> float:
    present = np.isfinite(numbers)
    numbers, codes = numbers[present], codes[present]
    if len(numbers) < 2 or np.ptp(numbers) == 0:
        return 0.0
    count = np.bincount(codes, minlength=size)
    means = np.bincount(codes, numbers, minlength=size) / np.maximum(count, 1)
    return float(np.sqrt((count * (means - numbers.mean()) ** 2).sum() / (len(numbers) * numbers.var())))


def _cramer(a: np.ndarray, b: np.ndarray, a_size: int, b_size: int) -> float:
    table = np.bincount(a * b_size + b, minlength=a_size * b_size).reshape(a_size, b_size).astype(float)
    table = table[table.any(axis=1)][:, table.any(axis=0)]
    if min(table.shape) < 2:
        return 0.0
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0) / table.sum()
    chi2 = ((table - expected) ** 2 / expected).sum()
    return float(np.sqrt(chi2 / (table.sum() * (min(table.shape) - 1))))
