"""Blob stores: plain files and S3."""
