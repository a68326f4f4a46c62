"""Ports and URLs: what links begin with."""

from __future__ import annotations

import pytest

from gateway.bootstrap.ports import bind, http_url, link_base
from infra.setting_sections.processes import GatewaySettings
from infra.settings import Settings


def test_links_begin_with_the_bound_port() -> None:
    """Any free port, if 0 is asked for; localhost, where it listens everywhere."""
    with bind("127.0.0.1", 0) as bound:
        port = bound.getsockname()[1]
        everywhere = Settings(host="0.0.0.0", http_port=0)
        assert link_base(Settings(http_port=0), bound) == f"http://127.0.0.1:{port}"
        assert link_base(everywhere, bound) == f"http://127.0.0.1:{port}"
        assert http_url("0.0.0.0", bound) == f"http://0.0.0.0:{port}"
        assert http_url("::1", bound) == f"http://[::1]:{port}"


@pytest.mark.parametrize("port", [0, 80])
def test_links_begin_with_the_public_url(port: int) -> None:
    """It wins over whatever the server listens on."""
    gateway = GatewaySettings(public_url="https://flightlog.example")
    with bind("127.0.0.1", 0) as bound:
        settings = Settings(http_port=port, gateway=gateway)
        assert link_base(settings, bound) == "https://flightlog.example"
