"""An Asterisk whose ARI has known holes is named when it is connected to."""

import logging

import aiohttp
import pytest

from ari_bridge.client import client_of
from ari_bridge.connection import connect


async def said(double, caplog):
    caplog.set_level(logging.INFO)
    async with aiohttp.ClientSession() as http, client_of(double.node) as ari:
        socket = await connect(http, ari, "ringmaster")
        await socket.close()
    return [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]


@pytest.mark.parametrize("version", ["22.10.0", "22.9.0~dfsg-1", "20.11.1", "18.0.0-rc1", "22.2.0"])
async def test_a_version_with_known_holes_is_named(double, caplog, version):
    double.version = version
    (sentence,) = await said(double, caplog)
    assert "GHSA-wcvv-g26m-wx5c" in sentence
    assert "Node double runs Asterisk" in sentence


@pytest.mark.parametrize("version", ["22.10.1~dfsg+~cs6", "22.11.0", "23.5.0", "GIT-master", ""])
async def test_one_without_or_of_unknown_version_is_not(double, caplog, version):
    double.version = version
    assert await said(double, caplog) == []
