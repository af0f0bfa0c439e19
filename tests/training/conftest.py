"""The MLflow server that all tests share."""

from tests.mlflow_server import mlflow_url

__all__ = ["mlflow_url"]
