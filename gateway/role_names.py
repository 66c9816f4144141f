"""The names of the roles, which settings may hold before Django is set up."""

from typing import Literal, get_args

RoleName = Literal["clinician", "auditor", "operator", "admin"]
ROLE_NAMES: tuple[RoleName, ...] = get_args(RoleName)
