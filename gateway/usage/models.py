from django.db import models

from gateway.people.models import Organisation


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
