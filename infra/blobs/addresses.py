"""Addresses on S3, and what tasks reach it by; needs no S3 client."""

from __future__ import annotations

from infra.setting_sections.storage import S3Settings

SCHEME = "s3://"


def task_variables(settings: S3Settings) -> dict[str, str]:
    """Return the environment by which tasks reach this S3 (flytekit's S3Config)."""
    return {
        "FLYTE_AWS_ENDPOINT": settings.endpoint,
        "FLYTE_AWS_ACCESS_KEY_ID": settings.access_key,
        "FLYTE_AWS_SECRET_ACCESS_KEY": settings.secret_key,
        "AWS_DEFAULT_REGION": settings.region,
    }
