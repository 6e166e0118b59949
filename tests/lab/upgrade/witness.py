"""Who uses the API and is told by webhooks while all is upgraded, and what they saw of it.

Two `web` processes, as behind a balancer: a program asks one, and the other where that one does not
answer. One `webhooks` process, which brings every event of every call to a receiver that checks the
signatures.
"""

import re
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPException

from tests.lab.bench.product import manage
from tests.lab.chaos.field import Field
from tests.lab.errors import LabError
from tests.lab.ports import free_port
from tests.lab.processes import temporary_folder
from tests.lab.stack import Stack
from tests.lab.waiting import wait_for
from tests.webhooks.receiver import Receiver

WANTED = "ringmaster:webhooks:wanted"
"""calls/store/outbox.py; written once the sender knows of the webhook."""
EVENTS = ("call.begun", "call.answered", "call.ended")
PATHS = ("calls?limit=5", "cdrs?limit=5")
EVERY_S = 0.1
"""Between two questions."""
PATIENCE_S = 5.0
WANTED_AFTER_S = 3.0
"""A webhook is told what happens from so long after it is known on."""
TOLD_S = 60.0
CONFIGURE = """
from django.contrib.auth.models import User
from calls.models import ApiToken, WebhookEndpoint
boss = User.objects.create_superuser("boss")
token = ApiToken(name="wallboard", scopes="calls:read cdrs:read", user=boss)
print("TOKEN", token.new_secret())
token.save()
endpoint = WebhookEndpoint(name="crm", url="{url}", events="{events}")
print("SECRET", endpoint.new_secret())
endpoint.save()
"""


@dataclass
class Asked:
    """What came of questions to the API."""

    answers: int = 0
    unanswered: list[str] = field(default_factory=list)
    """Those that neither process answered as it must, each with what it heard."""
    second: int = 0
    """Of the answers, those that only the second process gave."""
    longest_s: float = 0.0


class Witness:
    """The API's user and the webhooks' receiver, running. Made by `witness`."""

    def __init__(self, web: list[Stack], webhooks: Stack, receiver: Receiver, token: str) -> None:
        self.web = web
        self.webhooks = webhooks
        self.receiver = receiver
        self.asked = Asked()
        self._token = token
        self._ports: list[int] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True)

    def start(self, ports: list[int]) -> None:
        """Begin to ask."""
        self._ports = ports
        self._thread.start()

    def stop(self) -> Asked:
        """Ask no more; gives what came of it."""
        self._over.set()
        self._thread.join()
        return self.asked

    def serves(self, number: int) -> bool:
        """Whether this `web` process answers: it listens some seconds before it does."""
        return self._one(self._ports[number - 1], PATHS[0]) == "200"

    def told(self, calls: set[str]) -> tuple[int, int, int]:
        """How many (event, call) of these calls were told, are missing, and how many messages came
        more than once; waits for what is still under way."""
        due = {(event, call) for call in calls for event in EVENTS}
        with suppress(LabError):
            wait_for(lambda: due <= self._seen(), timeout_s=TOLD_S, failure=lambda: "", poll_s=0.5)
        seen = self._seen()
        again = sum(len(messages) - 1 for messages in list(self.receiver.taken.values()))
        return len(due & seen), len(due - seen), again

    @property
    def ids_of_one(self) -> int:
        """The most ids under which one event of one call was told: more than one is wrong."""
        found = Counter(_what(each[0]) for each in list(self.receiver.taken.values()))
        return max(found.values(), default=0)

    def _seen(self) -> set[tuple[str, str]]:
        return {_what(each[0]) for each in list(self.receiver.taken.values())}

    def _ask(self) -> None:
        turn = 0
        while not self._over.wait(EVERY_S):
            turn += 1
            began_s = time.monotonic()
            heard = []
            first = turn % len(self._ports)
            for port in (*self._ports[first:], *self._ports[:first]):
                heard.append(self._one(port, PATHS[turn // 2 % len(PATHS)]))
                if heard[-1] == "200":
                    break
            took_s = time.monotonic() - began_s
            self.asked.longest_s = max(self.asked.longest_s, took_s)
            if heard[-1] == "200":
                self.asked.answers += 1
                self.asked.second += len(heard) > 1
            else:
                self.asked.unanswered.append(", ".join(heard))

    def _one(self, port: int, path: str) -> str:
        question = urllib.request.Request(
            f"http://127.0.0.1:{port}/api/v1/{path}",
            headers={"Authorization": f"Bearer {self._token}"},
        )
        try:
            with urllib.request.urlopen(question, timeout=PATIENCE_S) as answer:  # noqa: S310
                answer.read()
                return str(answer.status)
        except urllib.error.HTTPError as error:
            return str(error.code)
        except (OSError, HTTPException) as error:
            return type(error).__name__


def _what(message: dict[str, object]) -> tuple[str, str]:
    data = message["data"]
    return str(message["type"]), str(data["call_id"]) if isinstance(data, dict) else ""


@contextmanager
def witness(made: Field) -> Iterator[Witness]:
    """Make a token and a webhook in the older version, and start who uses them."""
    with ExitStack() as stack:
        receiver = stack.enter_context(Receiver())
        told = manage(
            made.environment,
            *("shell", "--no-imports", "--command"),
            CONFIGURE.format(url=receiver.url, events=" ".join(EVENTS)),
            checkout=made.checkout,
        )
        receiver.secret = _printed("SECRET", told)
        ports = [free_port(), free_port()]
        web = [
            Stack(
                temporary_folder("upgrade"),
                made.environment
                | {"WEB_BIND": f"127.0.0.1:{port}", "ALLOWED_HOSTS": "127.0.0.1"}
                | {"API_REQUESTS_PER_S": "0"},
                only=["web"],
                checkout=made.checkout,
            )
            for port in ports
        ]
        webhooks = Stack(
            temporary_folder("upgrade"),
            made.environment | {"WEBHOOK_ALLOW_HTTP": "true", "WEBHOOK_ALLOW_PRIVATE": "127.0.0.1"},
            only=["webhooks"],
            checkout=made.checkout,
        )
        for each in (*web, webhooks):
            stack.callback(each.stop)
            each.start()
        for each in (*web, webhooks):
            each.wait_ready()
        wait_for(
            lambda: made.redis.get(WANTED) is not None,
            timeout_s=20,
            failure=lambda: f"No webhook is wanted:\n{webhooks.log('webhooks')[-2000:]}",
        )
        time.sleep(WANTED_AFTER_S)
        running = Witness(web, webhooks, receiver, _printed("TOKEN", told))
        running.start(ports)
        stack.callback(running.stop)
        yield running


def _printed(name: str, text: str) -> str:
    found = re.search(rf"^{name} (\S+)$", text, re.M)
    if found is None:
        raise LabError(f"The older version told no {name.lower()}:\n{text[-2000:]}")
    return found[1]
