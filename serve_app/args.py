from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from pipeline.engines.base import AskedPrecision, DeviceName, EngineName
from pipeline.image.decoder_pool import DEFAULT_CPU_SECONDS
from pipeline.image.limits import ImageLimits
from serve_app.paths import ROOT

Ungradable = Literal["answer", "withhold"]


class Args(BaseModel):
    """A frozen group of settings. An unknown key is an error that names it."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Autoscaling(Args):
    """How Ray Serve scales a deployment.

    It keeps (queued + running requests) / replicas near `target_ongoing_requests`.
    """

    min_replicas: int = Field(ge=0)
    max_replicas: int = Field(ge=1)
    target_ongoing_requests: float = Field(gt=0)
    look_back_period_s: float = Field(
        default=30,
        gt=0,
        description="period over which both are averaged; longer than metrics_interval_s",
    )
    metrics_interval_s: float = Field(
        default=10, gt=0, description="how often callers report to Ray's controller"
    )
    upscale_delay_s: float = Field(default=30, ge=0)
    downscale_delay_s: float = Field(default=600, ge=0)
    downscaling_factor: float = Field(
        default=0.3,
        gt=0,
        le=1,
        description="share of the replicas too many that stop at once, at least one; with 1 all of "
        "them stop, and as few replicas are wanted while none is full, a constant load is refused "
        "again and again",
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min_replicas > self.max_replicas:
            raise ValueError("min_replicas is larger than max_replicas")
        if self.look_back_period_s <= self.metrics_interval_s:
            raise ValueError("look_back_period_s is not longer than metrics_interval_s")
        return self


class Queue(Args):
    """How many requests one replica handles at once, and how many may wait."""

    max_ongoing_requests: int = Field(ge=1, description="requests at one replica at once")
    max_queued_requests: int = Field(
        ge=1, description="further requests that wait at one caller; beyond them a caller gets 503"
    )

    @property
    def max_requests(self) -> int:
        return self.max_ongoing_requests + self.max_queued_requests


_LABEL = r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?"
LabelKey = Annotated[str, Field(pattern=rf"^([a-z0-9.-]+/)?{_LABEL}$")]
LabelValue = Annotated[str, Field(pattern=rf"^!?{_LABEL}$")]


class Size(Queue):
    """The resources, replicas and queue of one deployment."""

    num_replicas: int | None = Field(default=None, ge=1)
    autoscaling: Autoscaling | None = None
    num_cpus: float = Field(gt=0)
    num_gpus: float = Field(default=0, ge=0)
    label_selector: dict[LabelKey, LabelValue] | None = Field(
        default=None,
        description="labels of the Ray nodes that may host a replica, where others are kept free: "
        "Ray spreads replicas without GPUs over GPU nodes as well",
    )
    max_surge_percent: int = Field(
        default=100,
        ge=0,
        le=100,
        description="share of the replicas that a new version starts before old replicas stop; "
        "with 0 an old one stops first, and requests wait until the new model is loaded",
    )
    graceful_shutdown_timeout_s: float | None = Field(
        default=None,
        gt=0,
        description="time for a replaced replica to finish the requests that it has admitted; by "
        "default a little above deadline.max_s",
    )

    @model_validator(mode="after")
    def _fixed_or_autoscaled(self) -> Self:
        if (self.num_replicas is None) == (self.autoscaling is None):
            raise ValueError("give either num_replicas or autoscaling")
        return self

    @property
    def max_requests(self) -> int:
        """The largest number of requests of one caller: running in all replicas, or waiting."""
        return self.most_replicas * self.max_ongoing_requests + self.max_queued_requests

    @property
    def most_replicas(self) -> int:
        if self.autoscaling is not None:
            return self.autoscaling.max_replicas
        return self.num_replicas or 1

    def options(self) -> dict[str, Any]:
        """Return the keyword arguments for `serve.deployment`."""
        apart = {"autoscaling", "num_cpus", "num_gpus", "label_selector"}
        sizes = self.model_dump(exclude=apart, exclude_none=True)
        sizes["ray_actor_options"] = {"num_cpus": self.num_cpus, "num_gpus": self.num_gpus}
        if self.label_selector is not None:
            sizes["ray_actor_options"]["label_selector"] = dict(self.label_selector)
        if self.autoscaling is not None:
            sizes["autoscaling_config"] = self.autoscaling.model_dump()
        return sizes


class Fused(Args):
    """The layout for one small machine: each replica holds the ingress and all three stages."""

    layout: Literal["fused"]
    ingress: Size
    pipeline: Queue = Field(description="the queue before the stages of a replica")
    max_decoded_pixels: int = Field(
        default=100_000_000, ge=1, description="pixels of all decoded images in a replica at once"
    )

    @property
    def model(self) -> Queue:
        """The queue before the model."""
        return self.pipeline


class Staged(Args):
    """The layout for several machines or GPUs: each stage is a deployment that scales by itself."""

    layout: Literal["staged"]
    ingress: Size
    preprocess: Size
    predictor: Size
    postprocess: Size

    @property
    def model(self) -> Queue:
        """The queue before the model."""
        return self.predictor


class Model(Args):
    """The model, its engine and its device."""

    bundle: Path = Field(
        description="a relative path starts at the installation, not at the working directory"
    )
    bundle_sha256: str | None = Field(
        default=None,
        pattern="^[0-9a-f]{64}$",
        description="the digest in the bundle's manifest: any other bundle in the folder is "
        "refused; `lesionserve deploy` fills it in",
    )
    engine: EngineName = "auto"
    device: DeviceName = "auto"
    precision: AskedPrecision = Field(
        default="float32",
        description="auto: the one that was measured and chosen when the bundle was packed; a "
        "bundle without a choice is refused",
    )
    threads: int = Field(ge=1, description="threads of the engine")
    max_batch_size: int = Field(ge=1)
    stuck_after_s: float = Field(
        default=120, gt=0, description="a batch that runs longer marks its replica unhealthy"
    )
    golden_every_s: float | None = Field(
        default=21600,
        ge=1,
        description="how often each replica runs the golden cases again; null: never",
    )
    weights_every_s: float | None = Field(
        default=86400,
        ge=1,
        description="how often each replica compares its weights in memory with those that it "
        "loaded; null: never",
    )

    @field_validator("bundle")
    @classmethod
    def _anchored(cls, bundle: Path) -> Path:
        return ROOT / bundle


class Deadlines(Args):
    """The seconds allowed from a request's arrival to its answer."""

    default_s: float = Field(default=30, gt=0, description="for a request that names no deadline")
    max_s: float = Field(
        default=60, gt=0, description="the longest deadline that a request may name"
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.default_s > self.max_s:
            raise ValueError("default_s is larger than max_s")
        return self


class AppArgs(Args):
    """The `args` of the application in configs/serve/*.yaml."""

    model: Model
    deployment: str | None = Field(
        default=None,
        description="id of one deployment; `lesionserve deploy` fills it in, so that Ray takes "
        "each deployment for a new version, even one that is repeated after it failed",
    )
    graph: Annotated[Fused | Staged, Field(discriminator="layout")]
    image: ImageLimits = ImageLimits()
    ungradable: Ungradable = Field(
        default="answer",
        description="what becomes of an image that is not gradable by the limits of the bundle's "
        "profile: it is answered like any other, or its detections are withheld, and the model "
        "does not run on it. With withhold, a bundle without limits does not load",
    )
    deadline: Deadlines = Deadlines()
    threads: int = Field(
        ge=1,
        description="threads of preprocess and postprocess; also the number of decoder processes",
    )
    decode_cpu_s: int = Field(
        default=DEFAULT_CPU_SECONDS,
        ge=1,
        description="processor seconds for decoding one image; an image that takes more is refused",
    )

    @model_validator(mode="after")
    def _admitted_requests_may_finish(self) -> Self:
        for name, size in self.sizes.items():
            seconds = size.graceful_shutdown_timeout_s
            if seconds is not None and seconds < self.deadline.max_s:
                raise ValueError(
                    f"graph.{name}.graceful_shutdown_timeout_s is below deadline.max_s: a replica "
                    "that is replaced would drop requests that it has admitted"
                )
        return self

    @property
    def sizes(self) -> dict[str, Size]:
        """The size of each deployment, by its name in the profile."""
        return {name: size for name, size in self.graph if isinstance(size, Size)}

    @property
    def has_one_ingress(self) -> bool:
        """Whether a single replica takes all requests, so that none has to be chosen."""
        return self.graph.ingress.most_replicas == 1

    @property
    def model_size(self) -> Size:
        """The size of the deployment that holds the model."""
        return self.graph.ingress if isinstance(self.graph, Fused) else self.graph.predictor
