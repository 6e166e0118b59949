"""Where the doctor is tried: a Ringmaster of its own, to be made ill in one way at a time."""

import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.lab.asterisk import Asterisk
from tests.lab.asterisk_config import without_careless_callers
from tests.lab.services import Redis
from tests.lab.stack import Stack

NODE = "ward"


class Ward:
    """One Asterisk, Redis, bridge, calls worker and records worker."""

    def __init__(self, asterisk: Asterisk, server: Redis, stack: Stack) -> None:
        self.asterisk = asterisk
        self.redis = server
        self.stack = stack

    @contextmanager
    def changed(self, file: str, change: Callable[[str], str], *reloads: str) -> Iterator[None]:
        """Another text in a file of Asterisk's, loaded by these commands, until the block ends."""
        path = self.asterisk.folder / "etc" / file
        well = path.read_text()
        ill = change(well)
        assert ill != well, f"nothing has changed in {file}"
        path.write_text(ill)
        try:
            self._reload(reloads)
            yield
        finally:
            path.write_text(well)
            self._reload(reloads)

    @contextmanager
    def without(self, process: str) -> Iterator[None]:
        """This process ended in good order, and started again at the end."""
        self.stack.kill(process, signal.SIGTERM)
        try:
            yield
        finally:
            self.stack.restart(process)
            self.stack.wait_one_ready(process, self.asterisk)

    @contextmanager
    def redis_set(self, name: str, value: str) -> Iterator[None]:
        """Another setting of Redis."""
        with self.redis.client() as client:
            well = client.config_get(name)[name]
            client.config_set(name, value)
            try:
                yield
            finally:
                client.config_set(name, well)

    def _reload(self, commands: tuple[str, ...]) -> None:
        for command in commands:
            self.asterisk.cli(command)


@contextmanager
def ward(folder: Path, environment: Mapping[str, str]) -> Iterator[Ward]:
    """All of it, up and well; ``environment`` is laid over this process's own."""
    with ExitStack() as things:
        server = Redis()
        things.callback(server.stop)
        server.start()
        asterisk = things.enter_context(Asterisk(node=NODE, prepare=without_careless_callers))
        stack = Stack(
            folder,
            {
                **environment,
                "ARI_NODES": asterisk.ari_nodes,
                "REDIS_URL": server.url,
                "LIMITS_REDIS_URL": server.url,
                "CELERY_BROKER_URL": server.url,
            },
        )
        things.callback(stack.stop)
        stack.start().wait_ready(asterisk)
        yield Ward(asterisk, server, stack)
