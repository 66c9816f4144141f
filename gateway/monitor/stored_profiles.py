from collections.abc import Mapping, Sequence

from gateway.monitor.models import ReferenceProfile
from gateway.monitor.profile import Profile


def stored_profile(bundle_sha256: str) -> Profile | None:
    """Return a model's profile; None where it has none, or was not read yet; blocking."""
    row = ReferenceProfile.objects.filter(bundle_sha256=bundle_sha256).first()
    return None if row is None or row.profile is None else Profile.model_validate(row.profile)


def stored_labels(bundle_sha256: str, language: str) -> Mapping[str, str]:
    """Return a model's labels in a language, by its own labels; blocking.

    Empty where they were not read yet. A label without a translation is left out.
    """
    row = ReferenceProfile.objects.filter(bundle_sha256=bundle_sha256).first()
    translations = {} if row is None or row.labels is None else row.labels
    return {label: texts[language] for label, texts in translations.items() if language in texts}


def stored_classes(bundle_sha256: str) -> Sequence[str]:
    """Return a model's class names, the least severe first; blocking. Empty where not known."""
    row = ReferenceProfile.objects.filter(bundle_sha256=bundle_sha256).first()
    return () if row is None or row.class_names is None else tuple(row.class_names)
