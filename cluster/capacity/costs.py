from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cluster.capacity.batches import Batches
from cluster.errors import StackError

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class EngineCost(_Frozen):
    """What an image costs in the model. core_s, gpu_s: seconds of one core, of one GPU.

    batch_s: what each batch costs beside its images, on the GPU.
    cores: how many cores a replica uses at once. memory_gb: of one replica, None where it was not
    measured.
    """

    measured: str
    core_s: Positive
    gpu_s: Positive | None = None
    batch_s: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    cores: Positive
    memory_gb: Positive | None = None

    def batches(self, largest: int) -> Batches:
        """Return how long a replica takes for batches of up to `largest` images."""
        image_s = self.core_s / self.cores if self.gpu_s is None else self.gpu_s
        return Batches(self.batch_s, image_s, largest)


class Costs(_Frozen):
    """What an image costs in every part of the service. `…_s` are seconds of one core."""

    engines: dict[str, EngineCost]
    decoding_s: Positive
    drawing_s: Positive
    resizing_s: Positive
    fused_s: Positive
    staged_s: Positive
    gateway_s: Positive
    proxy_s: Positive
    record_bytes: Positive
    records_per_s: Positive
    log_bytes: Positive

    def engine(self, name: str) -> EngineCost:
        """Return the costs of an engine. Raise StackError for an unknown name."""
        if name not in self.engines:
            raise StackError(
                f"{name}: no such engine; known are {', '.join(self.engines)}", exit_status=2
            )
        return self.engines[name]


def read_costs(path: Path) -> Costs:
    """Return the costs in a YAML file. Raise StackError, which names what is wrong in it."""
    try:
        return Costs.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise StackError(f"{path}: {error.strerror}", exit_status=2) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise StackError(f"{path}: not a YAML file", exit_status=2) from error
    except ValidationError as error:
        (first, *_) = error.errors()
        where = ".".join(map(str, first["loc"])) or "the file"
        raise StackError(f"{path}: {where}: {first['msg']}", exit_status=2) from error
