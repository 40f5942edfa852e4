"""Authentication: ``whoami``, and API tokens with ``token``."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from buildapi.atomic_file import AtomicFile
from buildapi.cli import param_types
from buildapi.cli.command_error import CommandError
from buildapi.cli.command_help import command, group
from buildapi.cli.connection_options import connection_options, make_client, with_client
from buildapi.cli.output import Output, output_options, require_list, unexpected_response, unpack
from buildapi.cli.service_client import JSON, Document, ServiceClient
from buildapi.exit_codes import FAILED, FORBIDDEN

ACCESS = ("branch", "allowed", "action", "rule", "needed")
TOKENS = ("id", "label", "limits", "created", "expires", "last used", "from")


@command(example="buildapi whoami --access")
@with_client
@click.option("--access", is_flag=True, help="List what you may do on each branch.")
@output_options
def whoami(*, client: ServiceClient, out: Output, access: bool) -> None:
    """Show the user you are authenticated as (exit 4 if none)."""
    document = client.get("self-serve", "whoami")
    who = unpack(lambda: document["who"])
    found = client.get("self-serve", "authorizations") if access else None
    if out.as_json:
        # One document: that of the permissions has the user as well.
        out.json(document if found is None else found)
    else:
        out.line(unpack(describe_user, document, out))
        if found is not None:
            out.rows(ACCESS, unpack(access_rows, found))
    # A script can ask whether its login works (docs/commands.md, "Connection and login").
    if who is None:
        raise SystemExit(FORBIDDEN)


def describe_user(document: Document, out: Output) -> str:
    """Describe the user and the kind of authentication."""
    if document["who"] is None:
        return "nobody: you are not authenticated"
    token = document["token"]
    if not token:
        return f"{document['who']}, by {document['by']}"
    limits = describe_scope(token.get("scope"))
    return (
        f"{document['who']}, by token {token['id']} ({token['label']}"
        f"{f'; {limits}' if limits else ''}), which expires "
        + (out.time(token["expires_at"]) or "never")
    )


def access_rows(document: Document) -> Sequence[Sequence[object]]:
    """Return the rows of a table; actions of a branch with the same answer share one."""
    rows: dict[tuple[object, ...], list[str]] = {}
    for branch, found in document["branches"].items():
        for action, one in found["actions"].items():
            key = branch, one["allowed"], one["rule"], one["needed"]
            rows.setdefault(key, []).append(action)
    for action, one in document["administration"].items():
        rows.setdefault(("", one["allowed"], one["rule"], one["needed"]), []).append(action)
    return [
        (branch, allowed, " ".join(actions), rule or "(default)", needed)
        for (branch, allowed, rule, needed), actions in rows.items()
    ]


def describe_scope(scope: Document | None) -> str:
    """Describe the limits of a token, empty without any; older services know none."""
    if not scope:
        return ""
    if scope["read_only"]:
        return "read-only"
    parts = [(name, scope[name]) for name in ("actions", "branches")]
    return "; ".join(f"{name} {', '.join(patterns)}" for name, patterns in parts if patterns)


@group()
def token() -> None:
    """Create, list and revoke API tokens."""


@token.command(example='buildapi token create --label "my laptop" --user ann --save')
@click.option("--label", required=True, metavar="TEXT", help="Purpose of the token.")
@click.option(
    "--days", type=click.IntRange(1), help="Days until it expires. Default: set by the service."
)
@click.option(
    "--action",
    "actions",
    multiple=True,
    metavar="PATTERN",
    help="Action that it may ask for, such as rebuild_*; repeatable. Default: all.",
)
@click.option(
    "--branch",
    "branches",
    multiple=True,
    metavar="PATTERN",
    help="Branch that it may act on, such as try*; repeatable. Default: all.",
)
@click.option("--read-only", is_flag=True, help="It may change nothing.")
@click.option("--save", is_flag=True, help="Save it in the token file; do not print it.")
@connection_options
@output_options
@click.pass_context
def create(
    context: click.Context,
    *,
    label: str,
    days: int | None,
    actions: tuple[str, ...],
    branches: tuple[str, ...],
    read_only: bool,
    save: bool,
    out: Output,
) -> None:
    """Create a token, which is shown only once.

    It may do what you may, within the limits that you give it. Log in with Basic authentication or
    the proxy's cookie; a token cannot create tokens.
    """
    given = {"days": days, "actions": list(actions), "branches": list(branches)}
    asked = {name: value for name, value in given.items() if value not in (None, [])}
    if read_only:
        asked["read_only"] = True
    client = make_client(context, token=None)  # the service creates no tokens for users of a token
    path = client.settings.token_file
    # Opened first: a token that cannot be saved would be lost, since it is shown only once.
    file = open_token_file(path) if save else None
    try:
        made, secret = _create(client, {"label": label, **asked})
        error = None if file is None else _write(file, f"{secret} {client.settings.url}\n")
    finally:
        if file is not None:
            file.drop()
    if file is not None and error is None:
        # Removed before anything is printed: --save keeps the text off the terminal and out of
        # logs.
        del made["token"]
        click.echo(f"saved to {path}", err=True)
    if out.as_json:
        out.json(made)
    else:
        expires = out.time(unpack(lambda: made["expires_at"])) or "never"
        click.echo(f"token {unpack(lambda: made['id'])} expires {expires}", err=True)
        for warning in require_list(made.get("warnings", [])):
            click.echo(f"warning: {warning}", err=True)
        if "token" in made:
            out.line(secret)
    if error is not None:
        raise CommandError(f"{path}: cannot save the token, printed instead: {error}", FAILED)


def _create(client: ServiceClient, given: Mapping[str, JSON]) -> tuple[dict[str, JSON], str]:
    """Create a token; return what the service says of it, and its text."""
    # Without the form token the service refuses: pages of other sites cannot read it
    # (docs/tokens.md, "Create a token").
    body = {**given, **_form_token(client)}
    made: dict[str, JSON] = unpack(dict, client.send("POST", "self-serve", "tokens", body=body))
    return made, unpack(lambda: str(made["token"]))


def _form_token(client: ServiceClient) -> Mapping[str, str]:
    """Return the CSRF token that the service's own forms send; older services have none."""
    document = client.get("self-serve", "whoami")
    found = document.get("csrf_token") if isinstance(document, dict) else None
    return {"csrf_token": found} if isinstance(found, str) else {}


def open_token_file(path: Path) -> AtomicFile:
    """Open a file for a token and the URL of its service, which only its owner can read.

    :raises CommandError: the file cannot be written.
    """
    try:
        # A folder that exists keeps its mode; the file has its own.
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return AtomicFile(os.path.abspath(path), mode=0o600)
    except OSError as e:
        raise CommandError(f"{path}: cannot save a token there: {e.strerror}", FAILED) from e


def _write(file: AtomicFile, text: str) -> str | None:
    """Write the text of a file and keep it; return why that fails, or None."""
    try:
        # With the URL of the service that made the token, so that it is never sent to another one.
        file.write(text.encode())
        file.keep()
    except OSError as e:
        return str(e.strerror)
    return None


OWNER = click.option(
    "--owner",
    metavar="NAME",
    help="Tokens of this user; for those who may manage the tokens of others.",
)


def _of(owner: str | None) -> dict[str, JSON]:
    return {} if owner is None else {"user": owner}


@token.command("list", example="buildapi token list")
@OWNER
@with_client
@output_options
def list_(*, owner: str | None, client: ServiceClient, out: Output) -> None:
    """List your tokens, without their secrets."""
    document = require_list(client.get("self-serve", "tokens", **_of(owner)))
    if out.as_json:
        return out.json(document)
    return out.items(TOKENS, unpack(_rows, document, out), f"tokens of {owner or 'yours'}")


def _rows(document: Sequence[Document], out: Output) -> Sequence[Sequence[object]]:
    times = ("created_at", "expires_at", "used_at")
    return [
        (
            *(t["id"], t["label"], describe_scope(t.get("scope")) or "none"),
            *(out.time(t[name]) for name in times),
            t.get("used_from"),
        )
        for t in document
    ]


@token.command(example="buildapi token revoke 3")
@click.argument("token_id", type=param_types.name, metavar="ID", required=False)
@OWNER
@click.option("--all", "whole", is_flag=True, help="All tokens of --owner.")
@with_client
@output_options
def revoke(
    *, token_id: str | None, owner: str | None, whole: bool, client: ServiceClient, out: Output
) -> None:
    """Revoke the token ID, or all tokens of a user."""
    if (token_id is None) != whole or (whole and owner is None):
        raise click.UsageError("ID is required, or --all with --owner")
    parts = [] if token_id is None else [token_id]
    document = client.send("DELETE", "self-serve", "tokens", *parts, body=_of(owner) or None)
    if unpack(lambda: document["status"]) != "OK":
        raise unexpected_response()
    if out.as_json:
        return out.json(document)
    if whole:
        return out.line(unpack(lambda: f"{len(document['ids'])} tokens of {owner} are revoked"))
    return out.line(f"token {token_id} is revoked")
