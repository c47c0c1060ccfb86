"""A service behind a gateway: verifies access tokens with PyJWT (pip install "PyJWT[crypto]")."""

import json
import os
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jwt

ISSUER = os.environ["LATCHKEY_ISSUER"]
AUDIENCE = os.environ.get("LATCHKEY_AUDIENCE", "latchkey")


def discover(issuer):
    """The description of the issuer (OpenID Connect Discovery)."""
    url = f"{issuer}/.well-known/openid-configuration"
    with urllib.request.urlopen(url, timeout=5) as response:
        document = json.load(response)
    if document["issuer"] != issuer:
        raise ValueError(f"{url} describes another issuer")
    return document


# Caches the keys for a minute, and fetches them again for an unknown key id.
KEYS = jwt.PyJWKClient(discover(ISSUER)["jwks_uri"], lifespan=60, timeout=5)


def user_of(authorization):
    """The claims of the user; raises jwt.PyJWTError if the token is not valid."""
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer":
        raise jwt.InvalidTokenError("no bearer token")
    key = KEYS.get_signing_key_from_jwt(token)
    # The published key determines the algorithm, never the token.
    return jwt.decode(
        token,
        key,
        algorithms=[key.algorithm_name],
        issuer=ISSUER,
        audience=AUDIENCE,
        options={"require": ["exp", "iss", "aud", "uid"]},
    )


class Orders(BaseHTTPRequestHandler):
    def do_GET(self):
        try:
            user = user_of(self.headers.get("Authorization", ""))
            self.answer(200, {"orders": [], "of": user["uid"], "role": user["role"]})
        except jwt.PyJWTError:
            self.answer(401, {"errors": ["authz.invalid_token"]})

    def answer(self, status, body):
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


if __name__ == "__main__":
    port = int(os.environ.get("PORT", "8080"))
    ThreadingHTTPServer(("127.0.0.1", port), Orders).serve_forever()
