import os
from typing import Any

import requests
from django.core.files.uploadedfile import UploadedFile

INFERENCE_URL = os.environ["BENCHMARK_INFERENCE_URL"]


def forward(upload: UploadedFile, http: Any = requests) -> requests.Response:
    """Post the upload to the inference service, and return its response.

    http: `requests`, or a session of it.
    """
    return http.post(f"{INFERENCE_URL}/predict", files={"file": upload}, timeout=120)
