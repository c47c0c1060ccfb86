"""What schemathesis is told beyond openapi.yaml: how one signs in. Each case has a session of its own, so that none ends another's."""

import os

import requests
import schemathesis

# A session is its User-Agent's.
USER_AGENT = "schemathesis"
ACCOUNT = {"email": "schemathesis@example.com", "password": os.environ["LATCHKEY_PASSWORD"]}


@schemathesis.auth(refresh_interval=None)
class Session:
    def get(self, case, context):
        url = os.environ["LATCHKEY_URL"] + "/identity/sessions"
        answer = requests.post(url, json=ACCOUNT, headers={"User-Agent": USER_AGENT}, timeout=10)
        answer.raise_for_status()
        return answer.cookies.get("_barong_session") or answer.headers["Set-Cookie"].split("=", 1)[1].split(";", 1)[0]

    def set(self, case, session, context):
        case.headers = case.headers or {}
        case.headers["Authorization"] = f"Bearer {session}"
        case.headers["User-Agent"] = USER_AGENT
