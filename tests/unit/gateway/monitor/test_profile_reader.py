import json

import pytest
from asgiref.sync import sync_to_async

from gateway.errors import NotReady, UpstreamFault
from gateway.monitor.models import ReferenceProfile
from gateway.monitor.profile_reader import ProfileReader
from gateway.monitor.stored_profiles import stored_classes, stored_labels
from gateway.predict.manifest import Manifest

pytestmark = pytest.mark.django_db(transaction=True)

A, B = "a" * 64, "b" * 64


class Ingress:
    """An ingress with a model of this digest; None while it loads."""

    def __init__(
        self,
        digest: str | None,
        profile: object = None,
        labels: object = None,
        class_names: object = (),
    ) -> None:
        self.digest, self.profile, self.labels = digest, profile, labels
        self.class_names = class_names
        self.fetched = 0

    async def ready(self) -> Manifest:
        if self.digest is None:
            raise NotReady("It loads.")
        return Manifest.model_validate({"name": "m", "version": "1", "digest": self.digest})

    async def fetch(self) -> bytes:
        self.fetched += 1
        report = {"bundle_sha256": self.digest, "profile": self.profile}
        if self.labels is not None:
            report["labels"] = self.labels
        if self.class_names is not None:
            report["class_names"] = self.class_names
        return json.dumps(report).encode()


async def test_profile_of_each_model_is_read_once():
    profile = {
        "images": 2,
        "per_image": {"quality": {"noise": {"count": 2, "quantiles": [1.0, 2.0], "later": 0}}},
        "accuracy": None,
        "later": "ignored",
    }
    ingress = Ingress(A, profile)
    reader = ProfileReader(ingress.ready, ingress.fetch)
    await reader.step()
    await reader.step()
    ingress.digest, ingress.profile = B, None
    await reader.step()
    await ProfileReader(ingress.ready, ingress.fetch).step()  # another process
    stored = {row.bundle_sha256: row.profile async for row in ReferenceProfile.objects.all()}
    del profile["later"], profile["per_image"]["quality"]["noise"]["later"]
    assert stored == {A: profile, B: None}
    assert ingress.fetched == 2


async def test_labels_are_stored_with_the_profile():
    translations = {"HSIL": {"es": "alto grado"}, "LSIL": {"fr": "bas grade"}}
    ingress = Ingress(A, None, translations)
    await ProfileReader(ingress.ready, ingress.fetch).step()
    labels = sync_to_async(stored_labels)
    assert await labels(A, "es") == {"HSIL": "alto grado"}
    assert await labels(A, "pt") == await labels(B, "es") == {}


async def test_class_names_are_stored_in_their_order():
    ingress = Ingress(A, class_names=["LSIL", "HSIL", "carcinoma"])
    await ProfileReader(ingress.ready, ingress.fetch).step()
    classes = sync_to_async(stored_classes)
    assert await classes(A) == ("LSIL", "HSIL", "carcinoma")
    assert await classes(B) == ()


async def test_profile_of_before_class_names_is_read_again():
    ingress = Ingress(A, labels={"HSIL": {"es": "alto grado"}}, class_names=None)
    reader = ProfileReader(ingress.ready, ingress.fetch)
    await reader.step()
    await reader.step()
    assert ingress.fetched == 1, "an earlier ingress is asked once"
    ingress.class_names = ["LSIL", "HSIL"]
    for _ in range(2):
        await ProfileReader(ingress.ready, ingress.fetch).step()
    assert ingress.fetched == 2
    assert await sync_to_async(stored_classes)(A) == ("LSIL", "HSIL")
    assert await sync_to_async(stored_labels)(A, "es") == {"HSIL": "alto grado"}


async def test_ingress_of_before_labels_has_none():
    ingress = Ingress(A)
    await ProfileReader(ingress.ready, ingress.fetch).step()
    assert await sync_to_async(stored_labels)(A, "es") == {}


async def test_loading_model_is_not_ready():
    ingress = Ingress(None)
    with pytest.raises(NotReady):
        await ProfileReader(ingress.ready, ingress.fetch).step()


@pytest.mark.parametrize("profile", [{}, {"images": 0, "per_image": {}, "accuracy": None}, "x"])
async def test_anything_but_a_profile_is_refused(profile):
    ingress = Ingress(A, profile)
    with pytest.raises(UpstreamFault):
        await ProfileReader(ingress.ready, ingress.fetch).step()
    assert not await ReferenceProfile.objects.aexists()
