"""Who asks: the token of a request, how often it may ask, and what it may do."""

import logging
from typing import cast

from django.http import HttpRequest
from ninja.security import HttpBearer

from calls.api.problems import Problem
from calls.models.changes import acts_by_token
from calls.models.tokens import SCOPES, ApiToken, token_of
from calls.store.throttle import wait_ms

WRONG_PER_S = 5
"""Wrong tokens a second of one address that hear 401; further ones hear 429. A right one of the
same address is let in meanwhile: 256 random bits are not found by trying, and whoever shares an
address with somebody who tries is not to be kept out by that."""
logger = logging.getLogger(__name__)
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="ringmaster"'}


class Bearer(HttpBearer):
    """``Authorization: Bearer rm_…`` with a token that has this scope."""

    def __init__(self, scope: str) -> None:
        super().__init__()
        self.scope = scope

    def __call__(self, request: HttpRequest) -> ApiToken:
        found = super().__call__(request)
        if found is None:
            detail = "Send a token: 'Authorization: Bearer rm_…'. The admin makes them."
            raise Problem(401, "no-token", detail, headers=_CHALLENGE)
        return cast(ApiToken, found)

    def authenticate(self, request: HttpRequest, token: str) -> ApiToken:
        """The token, if it may do this now. Raises Problem."""
        address = str(request.META.get("REMOTE_ADDR") or "")
        found = token_of(token)
        if found is None or not found.is_valid:
            _hold_up(f"address:{address}", WRONG_PER_S)
            logger.warning("A wrong API token was sent by %s.", address)
            detail = "This token is not known, disabled, expired, or its holder is disabled."
            raise Problem(401, "wrong-token", detail, headers=_CHALLENGE)
        _hold_up(f"token:{found.key}")
        found.note_use(address)
        if not found.allows(self.scope):
            detail = f"This needs the scope {self.scope}, which token {found.name} has not."
            raise Problem(403, "no-scope", detail)
        acts_by_token(found.who, found.user)
        require(found, *SCOPES[self.scope].needs)
        return found


def of(request: HttpRequest) -> ApiToken:
    """The token that a request was let in with."""
    return cast(ApiToken, request.auth)  # type: ignore[attr-defined]


def require(token: ApiToken, *permissions: str) -> None:
    """Raises Problem unless the token's user has these. One of an account has no user: what it may
    is in its scopes."""
    if token.user is not None and not token.user.has_perms(permissions):
        missing = ", ".join(each for each in permissions if not token.user.has_perm(each))
        detail = f"The user of token {token.name} lacks the permission: {missing}."
        raise Problem(403, "no-permission", detail)


def may(token: ApiToken, scope: str) -> bool:
    """Whether a token of staff has this scope, and its user what that needs."""
    allowed = token.user is not None and token.user.has_perms(SCOPES[scope].needs)
    return allowed and token.allows(scope)


def staff_only(request: HttpRequest, *permissions: str) -> ApiToken:
    """The request's token, which must be a user's with these permissions. Raises Problem."""
    token = of(request)
    if token.account is not None:
        raise Problem(403, "staff-only", "This is for tokens of staff, not of accounts.")
    require(token, *permissions)
    return token


def _hold_up(subject: str, per_s: int | None = None) -> None:
    wait = wait_ms(subject, per_s)
    if wait:
        raise Problem(
            429,
            "too-many-requests",
            f"Too many requests: ask again in {wait} ms. API_REQUESTS_PER_S is the rate.",
            headers={"Retry-After": str(-(-wait // 1000))},
        )
