"""Private servers in front of the program: nginx, Apache, and an LDAP directory to log in with."""

from __future__ import annotations

import base64
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import attrs

from tests.services.policy import program

APACHE_MODULES = Path("/usr/lib/apache2/modules")
PEOPLE = {
    "arla@example.org": "secret of arla",
    "jose@example.org": "p\u00e4ss:word",
    "sue@example.org": "secret of sue",
    "nina@example.org": "secret of nina",
}

GROUPS = {
    "arla@example.org": ["scm_level_1"],
    "jose@example.org": ["scm_level_1", "scm_level_3", "g\u00e4ste\\3B sheriffs"],
    "sue@example.org": ["sheriffs"],
    "nina@example.org": [],
}
"""The groups of each person: common names, with a semicolon escaped as in an LDAP name."""


def group(name: str) -> str:
    """Return the whole name of a group in the directory."""
    return f"cn={name},ou=groups,dc=example,dc=org"


LDIF = """\
dn: dc=example,dc=org
objectClass: dcObject
objectClass: organization
o: Example
dc: example

dn: ou=people,dc=example,dc=org
objectClass: organizationalUnit
ou: people
"""

SLAPD = """\
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload memberof
pidfile {folder}/slapd.pid
database mdb
suffix "dc=example,dc=org"
directory {folder}/db
maxsize 10485760
overlay memberof
"""

APACHE = """\
ServerRoot "{folder}"
DefaultRuntimeDir "{folder}"
PidFile "{folder}/pid"
ErrorLog "{folder}/error.log"
ServerName localhost
Mutex file:{folder} default
{modules}
{user}
{listens}
Include "{folder}/sites/*.conf"
"""
MODULES = (
    *("mpm_event", "authn_core", "authz_core", "authz_host", "authz_user", "auth_basic"),
    *("ldap", "authnz_ldap", "alias", "headers", "rewrite", "proxy", "proxy_http"),
    *("slotmem_shm", "proxy_balancer", "lbmethod_byrequests", "ssl", "socache_shmcb"),
)

NGINX = """\
daemon off;
pid {folder}/pid;
error_log {folder}/error.log info;
{user}
worker_processes 1;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/sites/*.conf;
}}
"""


@attrs.define
class Running:
    """A server process with its folder."""

    folder: Path
    process: subprocess.Popen[bytes]

    def stop(self) -> None:
        """End it and delete its folder."""
        self.process.terminate()
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def log(self) -> str:
        """Return what it wrote."""
        logs = [*self.folder.glob("*.log"), self.folder / "out"]
        return "".join(log.read_text(errors="replace") for log in logs if log.exists())


def _run(folder: Path, command: Sequence[str], port: int) -> Running:
    """Start a server and wait until its port answers."""
    with (folder / "out").open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, stdin=subprocess.DEVNULL)
    server = Running(folder, process)
    end = time.monotonic() + 180
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 5).close()
        except OSError:
            if process.poll() is not None or time.monotonic() > end:
                log = server.log()
                server.stop()
                raise RuntimeError(f"{command[0]} did not start: {log}") from None
            time.sleep(0.05)
        else:
            return server


def _folder(kind: str) -> Path:
    folder = Path(tempfile.mkdtemp(prefix=f"{kind}-"))
    folder.chmod(0o755)
    return folder


def start_ldap(port: int) -> Running:
    """Run a directory with :data:`PEOPLE`, who log in by their mail addresses and have groups."""
    slapd = program("slapd")
    folder = _folder("slapd")
    (folder / "db").mkdir()
    (folder / "slapd.conf").write_text(SLAPD.format(folder=folder))
    entries = [LDIF]
    for number, (mail, password) in enumerate(PEOPLE.items()):
        entries.append(
            f"dn: uid=u{number},ou=people,dc=example,dc=org\nobjectClass: inetOrgPerson\n"
            f"uid: u{number}\ncn: User {number}\nsn: {number}\n"
            f"mail:: {_base64(mail)}\nuserPassword:: {_base64(password)}\n"
            # As the overlay writes it when a group gets a member, which slapadd does not ask for.
            + "".join(f"memberOf:: {_base64(group(name))}\n" for name in GROUPS[mail])
        )
    conf = str(folder / "slapd.conf")
    add = [program("slapadd"), "-f", conf]
    subprocess.run(add, input="\n".join(entries).encode(), check=True, capture_output=True)
    return _run(folder, [slapd, "-f", conf, "-h", f"ldap://127.0.0.1:{port}", "-d", "0"], port)


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def start_apache(site: str, port: int, listens: Sequence[int] = ()) -> Running:
    """Check and run a site of Apache; ``port`` is waited for."""
    apache = program("apache2")
    folder = _folder("apache")
    (folder / "sites").mkdir()
    (folder / "sites" / "site.conf").write_text(site)
    modules = [f"LoadModule {m}_module {APACHE_MODULES}/mod_{m}.so" for m in MODULES]
    root = os.geteuid() == 0
    (folder / "apache.conf").write_text(
        APACHE.format(
            folder=folder,
            modules="\n".join(modules),
            user="User www-data\nGroup www-data" if root else "",
            listens="\n".join(f"Listen 127.0.0.1:{p}" for p in listens),
        )
    )
    conf = str(folder / "apache.conf")
    _check([apache, "-t", "-f", conf])
    return _run(folder, [apache, "-f", conf, "-DFOREGROUND"], port)


def start_nginx(site: str, port: int) -> Running:
    """Check and run a site of nginx; ``port`` is waited for."""
    nginx = program("nginx")
    folder = _folder("nginx")
    (folder / "sites").mkdir()
    (folder / "sites" / "site.conf").write_text(site)
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, user=user))
    command = [nginx, "-p", str(folder), "-c", str(folder / "nginx.conf")]
    said = _check([*command, "-t"])
    assert "[warn]" not in said, said
    return _run(folder, command, port)


def _check(command: Sequence[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stderr
