"""An example answer of /predict/ for the OpenAPI document. A test holds it to the schema."""

from typing import Any

ANSWER: dict[str, Any] = {
    "request_id": "0b0a7a4e-5a0e-4c0e-9a52-1f0c6a3f6a52",
    "model": {
        "name": "demo",
        "version": "1.6.0",
        "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "bundle_sha256": "5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8",
        "engine": "openvino",
        "precision": "int8",
        "score_threshold": 0.5,
        "software": {"lesionserve": "0.1.0", "numpy": "2.4.0", "openvino": "2026.2.0"},
        "labels": {"HSIL": {"es": "Lesión escamosa de alto grado"}},
    },
    "correlation_id": "case-0815",
    "options": {"masks": "rle", "visualization": "none", "score_threshold": 0.5},
    "image": {
        "width": 64,
        "height": 48,
        "format": "JPEG",
        "sha256": "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae",
    },
    "detections": [
        {
            "id": 0,
            "class_id": 1,
            "label": "HSIL",
            "score": 0.98,
            "box": [20.0, 10.0, 40.0, 20.0],
            "box_area": 200.0,
            "mask_area": 200,
            "mask": {
                "format": "rle",
                "size": [48, 64],
                "counts": "Zn0:V10000000000000000000000000000000000000fS1",
            },
        }
    ],
    "metrics": {
        "class_distribution": {"LSIL": 0, "HSIL": 1, "carcinoma": 0},
        "scores": [0.98],
        "box_areas": [200.0],
    },
    "below_threshold": 2,
    "visualization": None,
    "timings_ms": {"preprocess": 9.1, "predictor": 210.4, "postprocess": 12.0},
    "quality": {
        "statistics": {
            "shorter_side": 48,
            "luma_mean": 0.12,
            "dark_share": 0.1,
            "bright_share": 0.0,
            "glare_share": 0.001,
            "contrast": 0.51,
            "laplacian_variance": 21.4,
            "tenengrad": 820.5,
            "sharpness": 0.031,
            "noise": 0.8,
            "red_stops": 0.96,
            "blue_stops": 0.11,
            "vignette": 0.42,
        },
        "gradable": False,
        "reasons": ["too_dark"],
        "withheld": False,
    },
    "embedding_distance": 4.02,
}
