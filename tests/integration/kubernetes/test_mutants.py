"""A check that finds nothing may be blind: each mistake here has to be found."""

import re

import pytest

from tests.integration.kubernetes import gateway_mutants, pod_mutants, ray_mutants
from tests.integration.kubernetes.manifests import needs_kustomize, render
from tests.integration.kubernetes.mutants import Mutant
from tests.integration.kubernetes.schemas import check_ray_service, needs_crds
from tests.integration.kubernetes.test_manifests import CHECKS

MUTANTS = (*ray_mutants.MUTANTS, *pod_mutants.MUTANTS, *gateway_mutants.MUTANTS)
PARAMETERS = [
    pytest.param(mutant, marks=needs_crds if mutant.needs_crds else (), id=str(mutant))
    for mutant in MUTANTS
]


@needs_kustomize
@pytest.mark.parametrize("mutant", PARAMETERS)
def test_mistake_is_found(mutant: Mutant) -> None:
    manifests = render(mutant.variant)
    mutant.change(manifests)

    checks = [check for check in CHECKS if mutant.needs_crds or check is not check_ray_service]
    problems = (problem for check in checks for problem in check(manifests))

    assert any(re.search(mutant.found, problem) for problem in problems)
