"""Agreement among the raters of a group, and between one rater and a group, with intervals."""

from collections.abc import Iterator

import numpy as np

from feedback.statistics.arrays import Booleans, Floats, divide, shares
from feedback.statistics.ballots import SIGN_TIE, Kind
from feedback.statistics.bootstrap import ClusterBootstrap, Estimate
from feedback.statistics.coefficients import (
    Coefficient,
    Level,
    alpha_of_coincidences,
    comparable,
    gwet_ac,
    krippendorff_alpha,
    percent_agreement,
)
from feedback.statistics.rates import at_the_ends


def among(counts: Floats, bootstrap: ClusterBootstrap, kind: Kind) -> dict[str, Estimate]:
    """Estimate the coefficients among the raters of one group."""
    chosen: dict[str, Coefficient] = {
        "percent": percent_agreement(weighting="pairs"),
        "percent_by_unit": percent_agreement(weighting="units"),
        "alpha_nominal": krippendorff_alpha("nominal"),
        "ac1": gwet_ac(counts.shape[1]),
    }
    if kind != "thumbs":
        chosen |= {
            "percent_no_ties": percent_agreement(weighting="pairs", without=SIGN_TIE),
            "percent_by_unit_no_ties": percent_agreement(weighting="units", without=SIGN_TIE),
            "alpha_ordinal": krippendorff_alpha("ordinal"),
        }
    return {name: estimate(each, counts, bootstrap) for name, each in chosen.items()}


def estimate(coefficient: Coefficient, counts: Floats, bootstrap: ClusterBootstrap) -> Estimate:
    decisive = coefficient.parameters.get("ties") == "dropped"
    used = comparable(np.delete(counts, SIGN_TIE, axis=1) if decisive else counts)
    found = bootstrap.estimate(
        coefficient.terms(counts), coefficient.formula,
        used=used, method=coefficient.method, parameters=coefficient.parameters,
    )  # fmt: skip
    if coefficient.method != "percent_agreement":
        return found
    equal, every = coefficient.terms(counts)
    return at_the_ends(found, equal, every, bootstrap.cluster)


def between(
    people: Floats, judge: Floats, bootstrap: ClusterBootstrap, kind: Kind
) -> dict[str, Estimate]:
    """Compare a judge's votes with the people's on the same units (both [units, categories]).

    Percent is the mean over units of P(the judge's vote = the vote of a person drawn at
    random). Alpha takes each unit as a judge's vote beside such a person's.
    """
    found = {"percent": match_with_person(people, judge, bootstrap)}
    if kind != "thumbs":
        found["percent_no_ties"] = match_with_person(people, judge, bootstrap, without=SIGN_TIE)
        found["alpha_ordinal"] = _alpha_between(people, judge, bootstrap, "ordinal")
    return found | {"alpha_nominal": _alpha_between(people, judge, bootstrap, "nominal")}


def match_with_person(
    people: Floats, judge: Floats, bootstrap: ClusterBootstrap, *, without: int | None = None
) -> Estimate:
    """The mean over units of P(the judge's vote = the vote of a person drawn at random).

    Both are counts [units, categories]; a unit without votes of either is passed over. `without`
    drops the votes of one category (ties) first.
    """
    if without is not None:
        people, judge = (np.delete(counts, without, axis=1) for counts in (people, judge))
    used = np.asarray((people.sum(axis=1) > 0) & (judge.sum(axis=1) > 0))
    matched = (shares(people) * shares(judge)).sum(axis=1)
    weight = used.astype(np.float64)
    found = bootstrap.estimate(
        [matched, weight],
        lambda sums: divide(sums[..., 0], sums[..., 1]),
        used=used,
        method="match_with_random_person",
        parameters={"weighting": "units", "ties": "kept" if without is None else "dropped"},
    )
    return at_the_ends(found, matched, weight, bootstrap.cluster)


def _alpha_between(
    people: Floats, judge: Floats, bootstrap: ClusterBootstrap, level: Level
) -> Estimate:
    person, verdict = shares(people), shares(judge)
    categories = person.shape[1]

    def terms() -> Iterator[Floats]:
        for row in range(categories):
            for column in range(categories):
                yield person[:, row] * verdict[:, column] + verdict[:, row] * person[:, column]

    used: Booleans = np.ones(len(people), dtype=np.bool_)
    return bootstrap.estimate(
        terms(),
        lambda sums: alpha_of_coincidences(
            sums.reshape(*sums.shape[:-1], categories, categories), level
        ),
        used=used,
        method="krippendorff_alpha",
        parameters={"level": level, "raters": "judge and a random person"},
    )
