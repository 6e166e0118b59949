"""The site's diagrams in a real browser: drawn, by what the site itself serves."""

from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from tests.lab.errors import LabError
from tests.lab.missing import cannot_be_had
from tests.lab.site import __main__ as site


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """Where the built site is served."""
    try:
        built = site.build(tmp_path_factory.mktemp("docs"))
    except LabError as error:
        if "could not be built" in str(error):
            raise
        cannot_be_had(error)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=built))
    thread = Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_how_a_call_goes_is_drawn_with_nothing_from_elsewhere(browser, address, tmp_path, scheme):
    asked = []
    with browser.new_context(viewport={"width": 1366, "height": 900}, color_scheme=scheme) as of:
        page = of.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{address}/machine.html")
        page.wait_for_selector("div.mermaid")
        box = page.locator("div.mermaid").bounding_box()
        page.screenshot(path=tmp_path / f"machine-{scheme}.png", full_page=True)
    assert box["height"] > 400, "the diagram takes no room"
    assert {url.rpartition("/")[2] for url in asked} >= {"machine.html", "mermaid.min.js"}
    assert [url for url in asked if not url.startswith((address, "data:", "blob:"))] == []
