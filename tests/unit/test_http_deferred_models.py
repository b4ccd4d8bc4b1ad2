"""The models of FastAPI that only /openapi.json needs."""

import subprocess
import sys

PROGRAM = """
import bridge.http
from fastapi.openapi import models
from pydantic import BaseModel

class Own(BaseModel):
    number: int

print(models.OpenAPI.__pydantic_complete__, Own.__pydantic_complete__)
print(models.OpenAPI(openapi="3.1.0", info={"title": "t", "version": "1"}, paths={}).info.title)
"""


def test_models_of_openapi_are_built_when_they_are_needed() -> None:
    """An import of `bridge.http` does not build FastAPI's models of OpenAPI. They work, and other models are built."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == ["False", "True", "t"]
