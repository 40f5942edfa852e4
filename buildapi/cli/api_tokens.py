"""Who asks: ``whoami`` and ``token``."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from buildapi.cli.command_error import CommandError
from buildapi.cli.connection_options import connection_options, make_client, with_client
from buildapi.cli.output import Output, output_options, require_list, unexpected_response, unpack
from buildapi.cli.service_client import ServiceClient
from buildapi.exit_codes import FAILED, FORBIDDEN

TOKENS = ("id", "label", "created", "expires", "used")


@click.command()
@with_client
@output_options
def whoami(*, client: ServiceClient, out: Output) -> None:
    """Tell whom the service takes you for; nobody is exit code 4."""
    document = client.get("self-serve", "whoami")
    who = unpack(lambda: document["who"])
    if out.as_json:
        out.json(document)
    else:
        out.line(unpack(describe_user, document, out))
    if who is None:
        raise SystemExit(FORBIDDEN)


def describe_user(document: Mapping[str, Any], out: Output) -> str:
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
@connection_options
@output_options
@click.pass_context
def create(
    context: click.Context, *, label: str, days: int | None, save: bool, out: Output
) -> None:
    """Make a token; it is shown this once. You sign in with Basic or the proxy's cookie."""
    client = make_client(context, token=None)  # a token makes no token
    given = {"label": label} | ({} if days is None else {"days": days})
    body = {**given, **_form_token(client)}
    made: dict[str, Any] = unpack(dict, client.send("POST", "self-serve", "tokens", body=body))
    secret = unpack(lambda: str(made["token"]))
    if save:
        del made["token"]
        save_token(client.settings.token_file, secret, client.settings.url)
        click.echo(f"saved to {client.settings.token_file}", err=True)
    if out.as_json:
        return out.json(made)
    expires = out.time(unpack(lambda: made["expires_at"])) or "never"
    click.echo(f"token {unpack(lambda: made['id'])} expires {expires}", err=True)
    return None if save else out.line(secret)


def _form_token(client: ServiceClient) -> Mapping[str, str]:
    """Give what a form of the service's own pages would send along; older services have none."""
    document = client.get("self-serve", "whoami")
    found = document.get("csrf_token") if isinstance(document, dict) else None
    return {"csrf_token": found} if isinstance(found, str) else {}


def save_token(path: Path, secret: str, url: str) -> None:
    """Write a token, and the address it is for, so that its owner alone can read it.

    :raises CommandError: it cannot be written.
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
        raise CommandError(f"{path}: the token is not saved: {e.strerror}", FAILED) from e


@token.command("list")
@with_client
@output_options
def list_(*, client: ServiceClient, out: Output) -> None:
    """List your tokens; what they are is not shown."""
    document = require_list(client.get("self-serve", "tokens"))
    if out.as_json:
        return out.json(document)
    return out.rows(TOKENS, unpack(_rows, document, out))


def _rows(document: Sequence[Mapping[str, Any]], out: Output) -> Sequence[Sequence[Any]]:
    times = ("created_at", "expires_at", "used_at")
    return [(t["id"], t["label"], *(out.time(t[name]) for name in times)) for t in document]


@token.command()
@click.argument("token_id", metavar="ID")
@with_client
@output_options
def revoke(*, token_id: str, client: ServiceClient, out: Output) -> None:
    """Revoke the token ID: nobody can use it any more."""
    document = client.send("DELETE", "self-serve", "tokens", token_id)
    if unpack(lambda: document["status"]) != "OK":
        raise unexpected_response()
    if out.as_json:
        return out.json(document)
    return out.line(f"token {token_id} is revoked")
