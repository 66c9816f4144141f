from django.db import models

from gateway.examination import KEY_LENGTH
from gateway.people.models import Organisation


class Observation(models.Model):
    """The numbers that are kept of one answered image, to see whether images and findings change.

    It holds no pixel, and no id but the request's: those of patients are not known here.
    """

    request_id = models.UUIDField(unique=True)
    at = models.DateTimeField(help_text="when the image was answered")
    organisation = models.ForeignKey(Organisation, on_delete=models.CASCADE)
    examination = models.CharField(
        max_length=KEY_LENGTH, help_text="the same for the images of one examination"
    )
    bundle_sha256 = models.CharField(max_length=64, help_text="the identity of the model")
    width = models.PositiveIntegerField(help_text="pixels of the upright image")
    height = models.PositiveIntegerField()
    values = models.JSONField(help_text="by group and name, as pipeline.observation has them")

    class Meta:
        app_label = "usage"  # as for the tallies
        indexes = [
            models.Index(fields=["at"]),
            models.Index(fields=["organisation", "bundle_sha256", "at"], name="observed"),
        ]

    def __str__(self) -> str:
        return f"{self.request_id} at {self.at:%Y-%m-%d %H:%M:%S}"


class Sketch(models.Model):
    """The distribution of each statistic over one day, which stays when the observations are gone.

    Of images of one size and one organisation, answered by one model. Sketches are merged by adding
    up their counts.
    """

    day = models.DateField()
    organisation = models.ForeignKey(Organisation, on_delete=models.CASCADE)
    bundle_sha256 = models.CharField(max_length=64)
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()
    images = models.PositiveBigIntegerField()
    examinations = models.PositiveBigIntegerField()
    counts = models.JSONField(help_text="by group, name and bin, as gateway.usage.bins has them")

    class Meta:
        app_label = "usage"
        verbose_name_plural = "sketches"
        constraints = [
            models.UniqueConstraint(
                fields=["day", "organisation", "bundle_sha256", "width", "height"],
                name="one_sketch",
            )
        ]

    def __str__(self) -> str:
        return f"{self.day} {self.width}x{self.height}: {self.images} images"


class Tally(models.Model):
    """The number of requests of one caller, on one day, with this value of this dimension."""

    organisation = models.ForeignKey(Organisation, on_delete=models.CASCADE)
    caller = models.CharField(max_length=200)
    day = models.DateField()
    dimension = models.CharField(max_length=16)
    value = models.CharField(max_length=200)
    count = models.PositiveBigIntegerField()

    class Meta:
        app_label = "usage"  # the label of the audit package, whose migrations created the table
        verbose_name_plural = "usage"
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "day", "caller", "dimension", "value"], name="one_tally"
            )
        ]

    def __str__(self) -> str:
        return f"{self.day} {self.caller} {self.dimension}={self.value}: {self.count}"
