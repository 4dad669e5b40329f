"""A server for e-mail (aiosmtpd), which waits for one mail from EdgeChat, by its subject, reads it with Python's own parser and checks it.

It ends with 0 when the mail is as expected. The test tells it by variables what to expect.
"""

import asyncio
import email
import email.policy
import os
import ssl
import sys
from datetime import datetime, timedelta, timezone
from urllib.parse import urlsplit

from aiosmtpd.smtp import SMTP, AuthResult

WAIT_S = 100
USER, PASSWORD = b"ada@example.com", b"p/ss w+rd"


class Handler:
    """Refuses a mail for some time as often as it is told to, then takes it."""

    def __init__(self, refusals):
        self.refusals = refusals
        self.ids = []
        self.taken = asyncio.get_running_loop().create_future()

    async def handle_DATA(self, server, session, envelope):
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        if str(message["Subject"]) != os.environ["EXPECTED_SUBJECT"]:
            return "250 2.0.0 taken"
        self.ids.append(message["Message-ID"])
        if self.refusals > 0:
            self.refusals -= 1
            return "451 4.3.0 try again later"
        if not self.taken.done():
            self.taken.set_result((session, envelope, message))
        return "250 2.0.0 taken"


def authenticate(server, session, envelope, mechanism, data):
    return AuthResult(success=(data.login, data.password) == (USER, PASSWORD))


def tls_context():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(os.environ["SMTP_CERTIFICATE"], os.environ["SMTP_KEY"])
    return context


def equal(what, found, expected):
    if found != expected:
        sys.exit(f"{what} is {found!r}, and should be {expected!r}")


def check(mode, handler, session, envelope, message):
    to, sender = os.environ["EXPECTED_TO"], os.environ["EXPECTED_FROM"]
    equal("the envelope's sender", envelope.mail_from, sender)
    equal("the envelope's recipients", envelope.rcpt_tos, [to])
    equal("From", [(a.display_name, a.addr_spec) for a in message["From"].addresses], [(os.environ["EXPECTED_NAME"], sender)])
    equal("To", [a.addr_spec for a in message["To"].addresses], [to])
    equal("Subject", str(message["Subject"]), os.environ["EXPECTED_SUBJECT"])
    equal("Auto-Submitted", message["Auto-Submitted"], "auto-generated")
    equal("the content type", message.get_content_type(), "text/plain")
    equal("the names of headers that stand twice", sorted({n for n in message.keys() if len(message.get_all(n)) > 1}), [])
    equal("the defects", message.defects, [])
    local, domain = message["Message-ID"].strip("<>").split("@")
    equal("the length of the Message-ID", (len(local), domain), (36, sender.split("@")[1]))
    equal("the Message-IDs of all attempts", len(set(handler.ids)), 1)
    age = datetime.now(timezone.utc) - message["Date"].datetime
    equal("whether Date is now", abs(age) < timedelta(minutes=2), True)
    text = message.get_content()
    for part in os.environ["EXPECTED_TEXT"].split("|"):
        equal(f"whether the text has {part!r}", part in text, True)
    equal("whether the connection is encrypted", session.ssl is not None or mode == "smtps", mode != "plain")
    equal("whether the client signed in", bool(session.authenticated), mode != "plain")


async def main():
    mode, address = os.environ["SMTP_MODE"], urlsplit(os.environ["SMTP_LISTEN"])
    handler = Handler(int(os.environ["SMTP_REFUSALS"]))
    options = {"hostname": "mail.example", "enable_SMTPUTF8": False}
    if mode != "plain":
        options |= {"authenticator": authenticate, "auth_required": True}
    if mode == "starttls":
        options |= {"tls_context": tls_context(), "require_starttls": True}
    if mode == "smtps":
        # The library knows only of STARTTLS whether a connection is encrypted.
        options |= {"auth_require_tls": False}
    server = await asyncio.get_running_loop().create_server(
        lambda: SMTP(handler, **options),
        address.hostname,
        address.port,
        ssl=tls_context() if mode == "smtps" else None,
    )
    async with server:
        session, envelope, message = await asyncio.wait_for(handler.taken, WAIT_S)
    print(message.as_string())
    check(mode, handler, session, envelope, message)
    print(f"{len(handler.ids)} attempts")


asyncio.run(main())
