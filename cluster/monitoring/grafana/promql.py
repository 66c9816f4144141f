"""PromQL expressions that several panels share."""

_WINDOW = "$__rate_interval"
_QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


def per_minute(counter: str, label: str = "", selector: str = "") -> str:
    """Return the growth of a counter in a minute, summed by a label or over everything."""
    return f"sum{_by(label)} (rate({_select(counter, selector)}[{_WINDOW}])) * 60"


def total(counter: str, selector: str, window: str) -> str:
    """Return the growth of a counter over a window such as `1h`."""
    return f"sum(increase({_select(counter, selector)}[{window}]))"


def mean(histogram: str, label: str = "", selector: str = "") -> str:
    """Return the mean of a histogram's observations, by a label or over everything."""
    seconds = f"sum{_by(label)} (rate({_select(histogram + '_sum', selector)}[{_WINDOW}]))"
    count = f"sum{_by(label)} (rate({_select(histogram + '_count', selector)}[{_WINDOW}]))"
    return f"{seconds} / ({count} > 0)"


def quantile(share: float, buckets: str, selector: str = "", label: str = "") -> str:
    """Return a quantile of a histogram, from its `_bucket` series, by a label if one is given."""
    labels = f"le, {label}" if label else "le"
    rates = f"sum by ({labels}) (rate({_select(buckets, selector)}[{_WINDOW}]))"
    return f"histogram_quantile({share:g}, {rates})"


def quantiles(buckets: str, selector: str = "") -> dict[str, str]:
    """Return p50, p95 and p99 of a histogram, by legend."""
    return {name: quantile(share, buckets, selector) for name, share in _QUANTILES.items()}


def _select(metric: str, selector: str) -> str:
    return f"{metric}{{{selector}}}" if selector else metric


def _by(label: str) -> str:
    return f" by ({label})" if label else ""
