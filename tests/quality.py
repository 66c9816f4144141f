from pipeline.schemas import ImageStatistics


def statistics(**changes: float) -> ImageStatistics:
    """Return the statistics of an image of ordinary quality, with changes."""
    ordinary = {
        "shorter_side": 480,
        "luma_mean": 0.4,
        "dark_share": 0.02,
        "bright_share": 0.001,
        "glare_share": 0.003,
        "contrast": 0.5,
        "laplacian_variance": 60.0,
        "tenengrad": 1000.0,
        "sharpness": 0.03,
        "noise": 0.8,
        "red_stops": 0.9,
        "blue_stops": 0.1,
        "vignette": 0.7,
    }
    return ImageStatistics.model_validate(ordinary | changes)
