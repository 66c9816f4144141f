from gateway.monitor.models import ReferenceProfile
from gateway.monitor.profile import Profile


def stored_profile(bundle_sha256: str) -> Profile | None:
    """Return a model's profile; None where it has none, or was not read yet; blocking."""
    row = ReferenceProfile.objects.filter(bundle_sha256=bundle_sha256).first()
    return None if row is None or row.profile is None else Profile.model_validate(row.profile)
