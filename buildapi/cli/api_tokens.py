"""Who asks: ``whoami`` and ``token``."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from buildapi.cli.command_error import Failure
from buildapi.cli.connection_options import client_of, connected, connection
from buildapi.cli.output import Output, listed, odd, shaped, shown
from buildapi.cli.service_client import Client
from buildapi.exit_codes import FAILED, FORBIDDEN

TOKENS = ("id", "label", "created", "expires", "used")


@click.command()
@connected
@shown
def whoami(*, client: Client, out: Output) -> None:
    """Tell whom the service takes you for; nobody is exit code 4."""
    document = client.get("self-serve", "whoami")
    who = shaped(lambda: document["who"])
    if out.as_json:
        out.json(document)
    else:
        out.line(shaped(known, document, out))
    if who is None:
        raise SystemExit(FORBIDDEN)


def known(document: Mapping[str, Any], out: Output) -> str:
    """Say who it is, and how that is known."""
    if document["who"] is None:
        return "nobody: no user is known to the service"
    token = document["token"]
    if not token:
        return f"{document['who']}, by {document['by']}"
    return f"{document['who']}, by token {token['id']} ({token['label']}), which expires " + (
        out.time(token["expires_at"]) or "never"
    )


@click.group()
def token() -> None:
    """Make, list and revoke API tokens."""


@token.command()
@click.option("--label", required=True, metavar="TEXT", help="What it is for.")
@click.option("--days", type=click.IntRange(1), help="How long it holds. Default: the service's.")
@click.option("--save", is_flag=True, help="Write it to the client's token file; print no token.")
@connection
@shown
@click.pass_context
def create(
    context: click.Context, *, label: str, days: int | None, save: bool, out: Output
) -> None:
    """Make a token; it is shown this once. You sign in with Basic or the proxy's cookie."""
    client = client_of(context, token=None)  # a token makes no token
    given = {"label": label} | ({} if days is None else {"days": days})
    body = {**given, **_form_token(client)}
    made: dict[str, Any] = shaped(dict, client.send("POST", "self-serve", "tokens", body=body))
    secret = shaped(lambda: str(made["token"]))
    if save:
        del made["token"]
        saved(client.settings.token_file, secret, client.settings.url)
        click.echo(f"saved to {client.settings.token_file}", err=True)
    if out.as_json:
        return out.json(made)
    expires = out.time(shaped(lambda: made["expires_at"])) or "never"
    click.echo(f"token {shaped(lambda: made['id'])} expires {expires}", err=True)
    return None if save else out.line(secret)


def _form_token(client: Client) -> Mapping[str, str]:
    """Give what a form of the service's own pages would send along; older services have none."""
    known = client.get("self-serve", "whoami")
    found = known.get("csrf_token") if isinstance(known, dict) else None
    return {"csrf_token": found} if isinstance(found, str) else {}


def saved(path: Path, secret: str, url: str) -> None:
    """Write a token, and the address it is for, so that its owner alone can read it.

    :raises Failure: it cannot be written.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".token", dir=path.parent)  # made with 0600
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(f"{secret} {url}\n")
            Path(name).replace(path)
        except BaseException:
            with suppress(OSError):
                Path(name).unlink()
            raise
    except OSError as e:
        raise Failure(f"{path}: the token is not saved: {e.strerror}", FAILED) from e


@token.command("list")
@connected
@shown
def list_(*, client: Client, out: Output) -> None:
    """List your tokens; what they are is not shown."""
    document = listed(client.get("self-serve", "tokens"))
    if out.as_json:
        return out.json(document)
    return out.rows(TOKENS, shaped(_rows, document, out))


def _rows(document: Sequence[Mapping[str, Any]], out: Output) -> Sequence[Sequence[Any]]:
    times = ("created_at", "expires_at", "used_at")
    return [(t["id"], t["label"], *(out.time(t[name]) for name in times)) for t in document]


@token.command()
@click.argument("token_id", metavar="ID")
@connected
@shown
def revoke(*, token_id: str, client: Client, out: Output) -> None:
    """Revoke the token ID: nobody can use it any more."""
    document = client.send("DELETE", "self-serve", "tokens", token_id)
    if shaped(lambda: document["status"]) != "OK":
        raise odd()
    if out.as_json:
        return out.json(document)
    return out.line(f"token {token_id} is revoked")
