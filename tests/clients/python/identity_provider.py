"""Google and Apple, played by PyJWT: their key sets, Apple's token and revocation endpoints, and a phone that signs in with the
tokens that they issue.

It ends with 0 when EdgeChat takes what PyJWT signs, PyJWT takes what EdgeChat signs, and a deleted account's access is revoked.
"""

import hashlib
import json
import os
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import httpx
import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

API = os.environ["EDGECHAT_URL"] + "/api/v1"
LISTEN = urlsplit(os.environ["PROVIDER_LISTEN"])
CLIENT = os.environ["CLIENT_ID"]
APPLE, GOOGLE = "https://appleid.apple.com", "https://accounts.google.com"
CODE, REFRESH_TOKEN, SUBJECT = "c.0.code", "r.0.refresh", "001234.abc.5678"
WAIT_S = 60

CLIENT_KEY = serialization.load_pem_private_key(os.environ["CLIENT_KEY"].encode(), password=None).public_key()
KEYS = {name: rsa.generate_private_key(public_exponent=65537, key_size=2048) for name in ("google", "apple")}
exchanged, revoked = threading.Event(), threading.Event()
wrong = []


def issue(provider, issuer, **claims):
    now = int(time.time())
    claims = {"iss": issuer, "aud": CLIENT, "iat": now, "exp": now + 600, "email_verified": True} | claims
    return jwt.encode(claims, KEYS[provider], algorithm="RS256", headers={"kid": provider})


def key_set(provider):
    key = jwt.algorithms.RSAAlgorithm.to_jwk(KEYS[provider].public_key(), as_dict=True)
    return {"keys": [key | {"kid": provider, "alg": "RS256", "use": "sig"}]}


def check_client(form):
    """Reads the client secret as Apple does, by the public half of the key that the developer downloaded."""
    secret = form["client_secret"]
    claims = jwt.decode(
        secret,
        CLIENT_KEY,
        algorithms=["ES256"],
        audience=APPLE,
        issuer=os.environ["TEAM_ID"],
        subject=CLIENT,
        options={"require": ["iss", "iat", "exp", "aud", "sub"]},
    )
    assert form["client_id"] == CLIENT, form["client_id"]
    assert claims["exp"] - claims["iat"] <= 15_777_000, "a client secret is valid for six months at most"
    assert jwt.get_unverified_header(secret)["kid"] == os.environ["KEY_ID"]


def exchange(form):
    check_client(form)
    assert (form["grant_type"], form["code"]) == ("authorization_code", CODE), form
    exchanged.set()
    return {
        "access_token": "a.0.access",
        "token_type": "Bearer",
        "expires_in": 3600,
        "refresh_token": REFRESH_TOKEN,
        "id_token": issue("apple", APPLE, sub=SUBJECT),
    }


def revoke(form):
    check_client(form)
    assert (form["token"], form["token_type_hint"]) == (REFRESH_TOKEN, "refresh_token"), form
    revoked.set()
    return {}


class Provider(BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer(lambda: key_set(self.path.strip("/")))

    def do_POST(self):
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode(), strict_parsing=True)
        form = {name: value for name, [value] in form.items()}
        self.answer(lambda: {"/token": exchange, "/revoke": revoke}[self.path](form))

    def answer(self, make):
        try:
            status, body = 200, make()
        except Exception as error:  # The phone's thread reports it.
            wrong.append(f"{self.path}: {error!r}")
            status, body = 400, {"error": "invalid_client"}
        body = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def sign_in(client, provider, **body):
    answer = client.post(f"{API}/auth/oidc/{provider}", json=body)
    assert answer.status_code == 200, f"{provider}: {answer.status_code} {answer.text}"
    return answer.json()


def use(client):
    # A nonce as Apple's SDK passes it on: its hash stands in the token, the request has the nonce itself.
    nonce = "n-0S6_WzA2Mj"
    hashed = hashlib.sha256(nonce.encode()).hexdigest()
    token = issue("google", GOOGLE, sub="1234567890", email="ada@gmail.example", nonce=nonce)
    ada = sign_in(client, "google", id_token=token, nonce=nonce)
    assert ada["user"]["email"] == "ada@gmail.example", ada
    # Without an address there is nothing that the deletion of the account could ask for.
    token = issue("apple", APPLE, sub=SUBJECT, nonce=hashed)
    eve = sign_in(client, "apple", id_token=token, nonce=nonce, authorization_code=CODE, display_name="Eve")
    assert (eve["user"]["display_name"], eve["user"]["id"] != ada["user"]["id"]) == ("Eve", True), eve
    assert exchanged.wait(WAIT_S), f"the code was not exchanged: {wrong}"
    answer = client.delete(f"{API}/users/me", headers={"Authorization": f"Bearer {eve['access_token']}"})
    assert answer.status_code == 202, answer.text
    assert revoked.wait(WAIT_S), f"the access was not revoked: {wrong}"
    assert not wrong, wrong


provider = ThreadingHTTPServer((LISTEN.hostname, LISTEN.port), Provider)
threading.Thread(target=provider.serve_forever, daemon=True).start()
with httpx.Client() as client:
    use(client)
provider.shutdown()
