"""Checks the access tokens of a Latchkey without asking it, and follows its revocation feed.

Copy this file into your service: Python 3.9 or later, FastAPI, PyJWT and cryptography.
"""

import hashlib
import json
import logging
import re
import threading
import time
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from typing import Any, Optional
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import jwt
from fastapi import Depends, HTTPException
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

LEEWAY = 5  # seconds by which two clocks may differ
LONGEST = 86_400  # seconds that Latchkey lets a token live, at the most
POLL_EVERY = 1  # seconds, as all below
JWKS_KEPT_FOR = 300
UNKNOWN_KID_REFETCH_EVERY = 1  # anyone can invent a kid
PATIENCE = 5

TEXTS = ["sub", "jti", "sid", "username"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class User:
    """Whose token it is. Key your data on `id`: a name can be given to somebody else one day."""

    id: str
    username: str
    scopes: list


class TokenRefused(Exception):
    """The token is no good: 401."""


class CannotTell(Exception):
    """Whether it is good cannot be told at the moment: 503, and nobody is let in."""


class Latchkey:
    def __init__(self, issuer: str, audience: str) -> None:
        """`issuer`: as in Latchkey's `ISSUER`. `audience`: this service, as in its `AUDIENCES`."""
        self._issuer = issuer
        self._audience = audience
        self._metadata: Optional[dict] = None
        self._keys: dict = {}  # kid -> (alg, key)
        self._keys_read_at = float("-inf")
        self._reading_keys = threading.Lock()
        self._statement: Optional[dict] = None
        self._etag = ""

    def follow(self) -> None:
        """Reads the feed, and goes on in the background. In a server that forks: after the fork."""
        self._poll("")
        threading.Thread(target=self._poll_for_ever, daemon=True).start()

    def current_user(
        self,
        credentials: Optional[HTTPAuthorizationCredentials] = Depends(HTTPBearer(auto_error=False)),
    ) -> User:
        """The dependency: answers as RFC 6750 section 3 says. A plain `def`, since it may wait."""
        if credentials is None:
            raise HTTPException(401, "An access token is required", {"WWW-Authenticate": "Bearer"})
        try:
            return self.check(credentials.credentials)
        except TokenRefused:
            challenge = {"WWW-Authenticate": 'Bearer error="invalid_token"'}
            raise HTTPException(401, "The access token is not valid", challenge)
        except CannotTell:
            raise HTTPException(503, "Try again", {"Retry-After": "5"})

    def check(self, token: str) -> User:
        """Raises TokenRefused or CannotTell."""
        claims, kid = self._verified(token, "at+jwt", TEXTS, self._audience)
        if type(claims.get("gen")) is not int or not isinstance(claims.get("scope"), str):
            raise TokenRefused("A claim is not as it should be")
        refused = self._statement
        # Fails closed: whoever can keep us from the feed must not undo a revocation by it.
        if refused is None or refused["exp"] <= time.time():
            raise CannotTell("There is no revocation statement that is still good")
        if (
            kid in refused["keys"]
            or sha256(claims["sid"]) in refused["sessions"]
            or sha256(claims["jti"]) in refused["tokens"]
            or claims["gen"] < refused["users"].get(sha256(claims["sub"]), 0)
        ):
            raise TokenRefused("The token was revoked")
        return User(claims["sub"], claims["username"], claims["scope"].split(" "))

    def _verified(self, token: str, typ: str, texts: list, audience: Optional[str] = None) -> tuple:
        """A JWT of the issuer: an access token, or the feed. `typ` keeps one from passing for the other."""
        if re.fullmatch(r"[\w-]+\.[\w-]+\.[\w-]+", token, re.ASCII) is None:
            raise TokenRefused("Not a JWT")
        try:
            header = jwt.get_unverified_header(token)
        except Exception as error:  # also RecursionError: anyone can write a header
            raise TokenRefused("Not a JWT") from error
        # Nothing that brings a key along (jwk, jku, x5u) or changes what is signed (crit, b64).
        if header.keys() != {"alg", "typ", "kid"} or header["kid"] == "":
            raise TokenRefused("A strange header")
        if str(header["typ"]).lower() not in (typ, f"application/{typ}"):
            raise TokenRefused("Another kind of token")
        alg, key = self._key(header["kid"])
        if header["alg"] != alg:
            raise TokenRefused("Not the algorithm of the key")
        try:
            claims = jwt.decode(
                token,
                key,
                algorithms=[alg],
                issuer=self._issuer,
                audience=audience,
                leeway=LEEWAY,
                options={"require": ["exp", "iat", "iss"]},
            )
        except Exception as error:  # whatever PyJWT stumbles over is no token
            raise TokenRefused(str(error)) from error
        # PyJWT would take "1" for 1, and does not look at these texts.
        if type(claims["exp"]) is not int or type(claims["iat"]) is not int:
            raise TokenRefused("A time that is no number")
        if claims["exp"] - claims["iat"] > LONGEST:
            raise TokenRefused("It lives too long")
        if any(not isinstance(claims.get(name), str) or claims[name] == "" for name in texts):
            raise TokenRefused("A claim is missing")
        return claims, header["kid"]

    def _key(self, kid: str) -> tuple:
        """The key of this `kid` with its `alg`. An unknown one is fetched, once a second at most."""
        if kid not in self._keys:
            if self._metadata is None:
                raise CannotTell("The metadata was not read yet")
            with self._reading_keys:
                if time.monotonic() - self._keys_read_at >= UNKNOWN_KID_REFETCH_EVERY:
                    try:
                        self._read_keys()
                    except Exception as error:
                        raise CannotTell("The keys cannot be fetched") from error
        if kid not in self._keys:
            raise TokenRefused("Nobody's kid")
        return self._keys[kid]

    def _read_keys(self) -> None:
        try:
            jwks = json.loads(get(self._metadata["jwks_uri"])[0])["keys"]
            self._keys = {
                jwk["kid"]: (jwk["alg"], jwt.PyJWK(jwk).key)
                for jwk in jwks
                if jwk["alg"] in ("ES256", "RS256")
            }
        finally:
            self._keys_read_at = time.monotonic()

    def _poll_for_ever(self) -> None:
        fault = ""
        while True:
            time.sleep(POLL_EVERY)
            fault = self._poll(fault)

    def _poll(self, fault_before: str) -> str:
        try:
            if self._metadata is None:
                self._metadata = self._read_metadata()
            body, etag = get(self._metadata["revocation_feed_uri"], self._etag)
            if body is not None:
                self._accept(body.decode("ascii"))
                self._etag = etag
            if time.monotonic() - self._keys_read_at >= JWKS_KEPT_FOR:
                self._read_keys()
            return ""
        except Exception as error:  # the keys we have go on, and the statement until its `exp`
            fault = repr(error)
            if fault != fault_before:
                log.warning("The revocation feed could not be read: %s", fault)
            return fault

    def _read_metadata(self) -> dict:
        """RFC 8414."""
        metadata = json.loads(get(f"{self._issuer}/.well-known/oauth-authorization-server")[0])
        if metadata["issuer"] != self._issuer:
            raise ValueError(f"It calls itself {metadata['issuer']}")
        if "revocation_feed_uri" not in metadata:
            raise ValueError("It has no public keys (JWT_SECRET is set): ask /introspect instead")
        return metadata

    def _accept(self, token: str) -> None:
        claims, kid = self._verified(token, "revocations+jwt", [])
        before = self._statement
        # A withdrawn key is in the hands of somebody else, who would sign that nothing is revoked.
        if kid in claims["keys"] or (before is not None and kid in before["keys"]):
            raise ValueError("Signed by a withdrawn key")
        # An old statement, played again, would undo what came after it.
        if before is not None and claims["iat"] < before["iat"]:
            raise ValueError("Older than the one before")
        sets: dict = {name: frozenset(claims[name]) for name in ("sessions", "tokens", "keys")}
        self._statement = {**claims, **sets}


def get(url: str, etag: str = "") -> Any:
    """The body, None when it still has the entity tag, and the entity tag."""
    request = Request(url, headers={"If-None-Match": etag} if etag else {})
    try:
        with urlopen(request, timeout=PATIENCE) as response:
            return response.read(), response.headers.get("ETag", "")
    except HTTPError as error:
        if error.code == 304 and etag:
            return None, etag
        raise


def sha256(text: str) -> str:
    return urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
