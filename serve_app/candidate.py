"""The candidate: a second application beside the stable one, with a bundle that is tried out."""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

NAME = "candidate"
_PATH = "/candidate"


def candidate_document(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document of a valid profile with the candidate in place of its application.

    The candidate has the profile's sizes, but no more replicas than one where it need not have
    more; autoscaling adds others.
    """
    changed: dict[str, Any] = deepcopy(dict(document))
    application = changed["applications"][0]
    prefix = application.get("route_prefix", "/").rstrip("/")
    application |= {"name": NAME, "route_prefix": f"{prefix}{_PATH}"}
    # A digest in the profile is that of the stable bundle.
    application["args"]["model"].pop("bundle_sha256", None)
    for size in application["args"]["graph"].values():
        if not isinstance(size, dict):
            continue  # the name of the layout, or a number
        if size.get("num_replicas") is not None:
            size["num_replicas"] = 1
        if size.get("autoscaling") is not None:
            autoscaling = size["autoscaling"]
            autoscaling["min_replicas"] = min(1, autoscaling["min_replicas"])
    return changed
