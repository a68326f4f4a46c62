"""Upload paths: below the store's uploads, whatever is requested."""

from __future__ import annotations

from typing import Any

import pytest
from flyteidl.service import dataproxy_pb2
from hypothesis import given
from hypothesis import strategies as st

from gateway.rpc.dataproxy import upload_path
from gateway.services.errors import RpcError

MD5 = bytes(range(16))


def a_request(**fields: Any) -> Any:
    """Return a request with a project and a domain."""
    return dataproxy_pb2.CreateUploadLocationRequest(
        **{"project": "p", "domain": "d", **fields}
    )


def test_contents_name_the_folder() -> None:
    """The same bundle lands on the same path: base32 of its MD5, then its name."""
    path = upload_path(a_request(content_md5=MD5, filename="fast.tar.gz"))
    assert "uploads/p/d/AAAQEAYEAUDAOCAJBIFQYDIOB4======/fast.tar.gz" == path


def test_a_root_may_be_chosen() -> None:
    """A folder's files keep their places below the root that was chosen."""
    path = upload_path(a_request(filename_root="abc", filename="sub/part-0"))
    assert "uploads/p/d/abc/sub/part-0" == path


def test_a_name_is_drawn() -> None:
    """Without a name two uploads don't meet."""
    first, second = (upload_path(a_request(filename_root="abc")) for _ in range(2))
    assert first != second


@pytest.mark.parametrize(
    ("fields", "detail"),
    [
        ({"project": "", "filename_root": "r"}, "project and a domain"),
        ({"domain": "", "filename_root": "r"}, "project and a domain"),
        ({}, "content_md5 or filename_root"),
        ({"content_md5": b"short"}, "MD5 of 16 bytes"),
        ({"filename_root": "..", "filename": "x"}, "plain file name"),
        ({"filename_root": "r", "filename": "../../x"}, "plain file name"),
        ({"filename_root": "r", "filename": "a/../x"}, "plain file name"),
        ({"filename_root": "r", "filename": "a\0b"}, "plain file name"),
        ({"filename_root": "r", "filename": "a\nb"}, "plain file name"),
        ({"filename_root": "r", "filename": "/"}, "plain file name"),
        ({"filename_root": "r", "filename": "x" * 256}, "plain file name"),
        (
            {"filename_root": "r", "filename": "/".join(["x" * 200] * 9)},
            "a path of up to",
        ),
        ({"project": "../p", "filename_root": "r"}, "plain file name"),
        ({"org": "../..", "filename_root": "r"}, "plain file name"),
    ],
)
def test_tricks_are_refused(fields: dict[str, Any], detail: str) -> None:
    """A path that leads elsewhere, or that no file can have, is refused clearly."""
    with pytest.raises(RpcError, match=detail):
        upload_path(a_request(**fields))


@given(st.text(), st.text(), st.text(), st.text())
def test_no_text_leads_out(project: str, root: str, name: str, org: str) -> None:
    """Whatever the parts are: below uploads, or refused."""
    try:
        request = a_request(project=project, filename_root=root, filename=name, org=org)
    except (UnicodeEncodeError, ValueError):
        return
    try:
        path = upload_path(request)
    except RpcError:
        return
    parts = path.split("/")
    assert "uploads" == parts[0]
    assert not {"", ".", ".."} & set(parts)
    assert path.isprintable()
