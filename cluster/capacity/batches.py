from dataclasses import dataclass


@dataclass(frozen=True)
class Batches:
    """How long a batch takes in a replica: a fixed time, and a time for each image."""

    fixed_s: float
    image_s: float
    largest: int

    def seconds(self, images: int) -> float:
        """Return how long a batch of so many images takes."""
        return self.fixed_s + images * self.image_s

    @property
    def busy_s(self) -> float:
        """Return for how long an image occupies a replica, in full batches."""
        return self.seconds(self.largest) / self.largest
