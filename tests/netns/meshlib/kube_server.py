# SPDX-License-Identifier: Apache-2.0
"""An API server that knows Nodes, EndpointSlices and Events. A program: see kube_api.py, which drives it.

    kube_server.py ADDRESS PORT CERTIFICATE KEY STATE

It answers as kube-apiserver 1.36 was seen to, and refuses what that would refuse: lists in pages, chunked
watches with bookmarks, 410 for what is forgotten, patches by content type on condition of a UID that raise no
event where nothing changes, 422 for objects that aren't valid. STATE is a folder: `tokens.json` maps tokens to
users, whose name is the Node that they may patch; "*" may do everything.

Its commands come as HTTP requests to /test/..., from the scenario.
"""

import base64
import gzip
import json
import re
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable
from copy import deepcopy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

Object = dict[str, Any]

_PATHS = {
    re.compile(r"/api/v1/nodes(?:/([^/]+)(/status)?)?"): "nodes",
    re.compile(
        r"/apis/discovery\.k8s\.io/v1/namespaces/default/endpointslices(?:/([^/]+))?"
    ): "endpointslices",
    re.compile(r"/apis/events\.k8s\.io/v1/namespaces/default/events(?:/([^/]+))?"): "events",
}
_LISTS = {
    "nodes": ("NodeList", "v1"),
    "endpointslices": ("EndpointSliceList", "discovery.k8s.io/v1"),
    "events": ("EventList", "events.k8s.io/v1"),
}
_MERGE, _STRATEGIC = "application/merge-patch+json", "application/strategic-merge-patch+json"
_QUALIFIED = re.compile(r"([a-z0-9.-]{1,253}/)?[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
_MICRO_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


class Refused(Exception):
    def __init__(self, status: int, reason: str, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.reason, self.headers = status, reason, headers or {}


def merge(target: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge(result.get(key), value)
    return result


def merge_conditions(there: list[Object], patch: list[Object]) -> list[Object]:
    """A strategic merge: conditions have `type` as their key."""
    result = {condition["type"]: condition for condition in there}
    for condition in patch:
        if condition.get("$patch") == "delete":
            result.pop(condition["type"], None)
        else:
            result[condition["type"]] = result.get(condition["type"], {}) | condition
    return list(result.values())


def check_node(node: Object) -> None:
    annotations = node["metadata"].get("annotations") or {}
    for key, value in annotations.items():
        if not _QUALIFIED.fullmatch(key) or not isinstance(value, str):
            raise Refused(422, "Invalid", f'Node is invalid: metadata.annotations: Invalid value: "{key}"')
    if sum(len(key) + len(value) for key, value in annotations.items()) > 256 << 10:
        raise Refused(422, "Invalid", "Node is invalid: metadata.annotations: Too long")
    for condition in (node.get("status") or {}).get("conditions") or []:
        known = {"type", "status", "reason", "message", "lastHeartbeatTime", "lastTransitionTime"}
        times = [condition.get(name) for name in ("lastHeartbeatTime", "lastTransitionTime")]
        if set(condition) - known or condition.get("status") not in ("True", "False", "Unknown"):
            raise Refused(422, "Invalid", f"Node is invalid: status.conditions: {condition}")
        if any(when is not None and not _TIME.fullmatch(when) for when in times):
            raise Refused(400, "BadRequest", f"parsing time {times}")


def check_event(event: Object, before: Object | None) -> None:
    """ValidateEventCreate and ValidateEventUpdate of events.k8s.io/v1."""
    wrong = []
    regarding = event.get("regarding") or {}
    if event.get("kind", "Event") != "Event" or event.get("apiVersion") != "events.k8s.io/v1":
        raise Refused(400, "BadRequest", "the API version in the data does not match the expected API version")
    name = event["metadata"].get("name", "")
    if not _SUBDOMAIN.fullmatch(name) or len(name) > 253:
        wrong.append("metadata.name")
    if not regarding.get("namespace") and event["metadata"].get("namespace") != "default":
        wrong.append("involvedObject.namespace: does not match event.namespace")
    if not _MICRO_TIME.fullmatch(event.get("eventTime", "")):
        wrong.append("eventTime")
    if not _QUALIFIED.fullmatch(event.get("reportingController", "")):
        wrong.append("reportingController")
    for field, most in (("reportingInstance", 128), ("action", 128), ("reason", 128)):
        if not 0 < len(event.get(field, "")) <= most:
            wrong.append(field)
    if len(event.get("note", "")) > 1024:
        wrong.append("note")
    if event.get("type") not in ("Normal", "Warning"):
        wrong.append("type")
    if any(field.startswith("deprecated") for field in event):
        wrong.append("deprecated fields")
    if before is not None:
        changed = {field for field in event | before if event.get(field) != before.get(field)}
        series = event.get("series") or {}
        if changed - {"series", "metadata"}:
            wrong.append(f"immutable: {changed}")
        if int(series.get("count", 0)) < 2 or not _MICRO_TIME.fullmatch(series.get("lastObservedTime", "")):
            wrong.append("series")
    if wrong:
        raise Refused(422, "Invalid", f'Event "{name}" is invalid: {wrong}')


class Store:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tokens: dict[str, str] = json.loads((folder / "tokens.json").read_text())
        self.changed = threading.Condition()
        self.revision = 1000
        self.events: list[tuple[int, str, str, str]] = []  # revision, kind, name, line
        self.requests: dict[str, int] = {}
        self.last: dict[str, int] = {}  # revision of each kind's last change
        self.forgotten = 0
        self.pages: dict[tuple[str, str, str | None, str | None], bytes] = {}
        self.packed: dict[int, tuple[bytes, bytes]] = {}
        self.pages_at = 0
        # forbid: "events", "nodes/status" ...; deny: text of an admission policy; page: items at most;
        # busy: so many patches get 429
        self.settings: Object = {"forbid": [], "deny": "", "page": 2, "bookmark": 5.0, "busy": 0}
        self.objects: dict[str, dict[str, Object]] = {kind: {} for kind in _LISTS}
        self.cold_until = 0.0
        saved = folder / "objects.json"
        if saved.exists():  # started again: what happened before is forgotten
            stored = json.loads(saved.read_text())
            self.objects, self.revision = stored["objects"], stored["revision"] + 100
            self.settings = stored["settings"]
            self.cold_until = time.monotonic() + 1  # until a server has read the roles, nobody has one
            self.forgotten = self.revision

    def page(self, key: tuple[str, str, str | None, str | None], make: Callable[..., Object]) -> bytes:
        """A list as text: kept while nothing changes, as a server with a watch cache has it at hand."""
        if self.pages_at != self.revision:
            self.pages, self.packed, self.pages_at = {}, {}, self.revision
        if key not in self.pages:
            self.pages[key] = json.dumps(make(*key)).encode()
        return self.pages[key]

    def pack(self, text: bytes) -> bytes:
        if id(text) not in self.packed:
            self.packed[id(text)] = (text, gzip.compress(text, 1))
        return self.packed[id(text)][1]

    def save(self) -> None:
        content = {"objects": self.objects, "revision": self.revision, "settings": self.settings}
        (self.folder / "objects.json").write_text(json.dumps(content))

    def put(self, kind: str, thing: Object) -> Object:
        name = thing["metadata"]["name"]
        self.revision += 1
        thing["metadata"].setdefault("uid", f"uid-{name}-{self.revision}")
        thing["metadata"]["resourceVersion"] = str(self.revision)
        event = "MODIFIED" if name in self.objects[kind] else "ADDED"
        self.objects[kind][name] = thing
        self.tell(kind, event, thing)
        return thing

    def remove(self, kind: str, name: str) -> Object:
        thing = self.objects[kind].pop(name)
        self.revision += 1
        thing["metadata"]["resourceVersion"] = str(self.revision)
        self.tell(kind, "DELETED", thing)
        return thing

    def tell(self, kind: str, event: str, thing: Object) -> None:
        self.last[kind] = self.revision
        line = json.dumps({"type": event, "object": thing})
        self.events.append((self.revision, kind, thing["metadata"]["name"], line))
        self.changed.notify_all()

    def patch(self, kind: str, name: str, subresource: str, how: str, patch: Object) -> Object:
        if name not in self.objects[kind]:
            raise Refused(404, "NotFound", f'{kind} "{name}" not found')
        before = self.objects[kind][name]
        uid = patch.get("metadata", {}).get("uid")
        if uid is not None and uid != before["metadata"]["uid"]:
            # Patches know no precondition: what would come out isn't valid.
            why = f'"{name}" is invalid: metadata.uid: Invalid value: "{uid}": field is immutable'
            raise Refused(422, "Invalid", why)
        if how not in (_MERGE, _STRATEGIC) or (kind == "nodes" and subresource and how != _STRATEGIC):
            raise Refused(415, "UnsupportedMediaType", "the body of the request was in an unknown format")
        after = merge(before, {key: value for key, value in patch.items() if key != "status"})
        if subresource:  # of all else, what it says counts for nothing
            status = dict(before.get("status") or {})
            conditions = patch.get("status", {}).get("conditions", [])
            status["conditions"] = merge_conditions(status.get("conditions") or [], conditions)
            after = deepcopy(before) | {"status": status}
        if kind == "nodes":
            check_node(after)
        if kind == "events":
            check_event(after, before)
        return self.put(kind, after) if after != before else before


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    store: Store

    def log_message(self, *_: Any) -> None:
        pass

    # --- answers ------------------------------------------------------------------------------

    def _answer(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        text = body if isinstance(body, bytes) else json.dumps(body).encode()
        packed = len(text) > 128 << 10 and "gzip" in self.headers.get("Accept-Encoding", "")
        if packed:
            text = self.store.pack(text)
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        extra = (headers or {}) | ({"Content-Encoding": "gzip"} if packed else {})
        for name, value in extra.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text)

    def _line(self, text: str) -> None:
        data = text.encode() + b"\n"
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()

    def _body(self) -> Any:
        return json.loads(self.rfile.read(int(self.headers.get("Content-Length", "0"))))

    def _run(self, work: Callable[[str, str, str, str], Any]) -> None:
        """Calls with user, kind, name and subresource."""
        try:
            user = self._user()
            path = unquote(urlsplit(self.path).path)
            if path.startswith("/test/"):
                if user != "*":
                    raise Refused(403, "Forbidden", "the test's alone")
                self._answer(200, self._command(path.removeprefix("/test/")))
                return
            for pattern, kind in _PATHS.items():
                if found := pattern.fullmatch(path):
                    name, rest = (*found.groups(), None)[:2]
                    self._allow(user, kind, name or "", rest or "")
                    if (answer := work(user, kind, name or "", rest or "")) is not None:
                        self._answer(201 if self.command == "POST" else 200, answer)
                    return
            raise Refused(404, "NotFound", "the server could not find the requested resource")
        except Refused as refused:
            said = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
            code = {"message": str(refused), "reason": refused.reason, "code": refused.status}
            self._answer(refused.status, said | code, refused.headers)

    def _user(self) -> str:
        given = self.headers.get("Authorization", "")
        if not given:
            raise Refused(403, "Forbidden", 'nodes is forbidden: User "system:anonymous" cannot list')
        user = self.store.tokens.get(given.removeprefix("Bearer "))
        if user is None:
            raise Refused(401, "Unauthorized", "Unauthorized")
        return user

    def _allow(self, user: str, kind: str, name: str, subresource: str) -> None:
        verb = "watch" if "watch=true" in self.path else self.command.lower()
        what = kind + subresource
        if user == "*":
            return
        with self.store.changed:
            key = f"{user} {verb} {what}"
            self.store.requests[key] = self.store.requests.get(key, 0) + 1
        if what in self.store.settings["forbid"] or time.monotonic() < self.store.cold_until:
            raise Refused(403, "Forbidden", f'{kind} is forbidden: User "{user}" cannot {verb} resource "{what}"')
        if verb == "patch" and self.store.settings["busy"] > 0:
            self.store.settings["busy"] -= 1
            raise Refused(429, "TooManyRequests", "too many requests", {"Retry-After": "1"})
        if verb == "patch" and kind == "nodes" and name != user:
            message = f'nodes "{name}" is forbidden: node "{user}" is not allowed to modify it'
            raise Refused(403, "Forbidden", message)
        if verb == "patch" and what == "nodes" and self.store.settings["deny"]:
            policy = "ValidatingAdmissionPolicy 'wglan-agent' with binding 'wglan-agent' denied request: "
            message = f'nodes "{name}" is forbidden: {policy}{self.store.settings["deny"]}'
            raise Refused(403, "Forbidden", message)  # the policy's own reason; without one it were 422

    # --- verbs --------------------------------------------------------------------------------

    def do_GET(self) -> None:
        self._run(self._get)

    def _get(self, _user: str, kind: str, name: str, _rest: str) -> Object | bytes | None:
        query = {key: values[0] for key, values in parse_qs(urlsplit(self.path).query).items()}
        only = query.get("fieldSelector", "").partition("metadata.name=")[2]
        if query.get("watch") == "true":
            self._watch(kind, only, query)
            return None
        with self.store.changed:
            if not name:
                return self.store.page((kind, only, query.get("limit"), query.get("continue")), self._list)
            if name not in self.store.objects[kind]:
                raise Refused(404, "NotFound", f'{kind} "{name}" not found')
            return self.store.objects[kind][name]

    def _list(self, kind: str, only: str, limited: str | None, following: str | None) -> Object:
        most = int(self.store.settings["page"]) if kind == "nodes" else 500
        limit = min(int(limited or "500"), most)
        start, revision = "", self.store.revision
        if following is not None:
            token = json.loads(base64.urlsafe_b64decode(following))
            start, revision = token["start"], token["rv"]
            if revision < self.store.forgotten:
                raise Refused(410, "Expired", "The provided continue parameter is too old")
        names = sorted(n for n in self.store.objects[kind] if n >= start and only in ("", n))
        metadata: Object = {"resourceVersion": str(revision)}
        if len(names) > limit:
            token_text = json.dumps({"rv": revision, "start": names[limit]}).encode()
            metadata["continue"] = base64.urlsafe_b64encode(token_text).decode()
            metadata["remainingItemCount"] = len(names) - limit
        items = [
            {k: v for k, v in self.store.objects[kind][name].items() if k not in ("kind", "apiVersion")}
            for name in names[:limit]
        ]
        list_kind, version = _LISTS[kind]
        return {"kind": list_kind, "apiVersion": version, "metadata": metadata, "items": items}

    def _watch(self, kind: str, only: str, query: dict[str, str]) -> None:
        store = self.store
        at = int(query["resourceVersion"])
        end = time.monotonic() + float(query.get("timeoutSeconds", "60"))
        bookmarks, began = query.get("allowWatchBookmarks") == "true", at
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        if at < store.forgotten:
            status = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"}
            self._line(json.dumps({"type": "ERROR", "object": status}))
            end = 0
        while time.monotonic() < end:
            with store.changed:
                # The list only grows: a look from its end.
                news: list[tuple[int, str, str, str]] = []
                if not self._news(at, news):
                    store.changed.wait(float(store.settings["bookmark"]))
                    self._news(at, news)
                last = store.last.get(kind, 0)
            mine = [event for event in news if event[1] == kind and only in ("", event[2])]
            for _, _, _, line in mine:
                self._line(line)
            at = news[-1][0] if news else at
            # As from a watch cache: of one kind of object, and none while nothing has changed since the beginning.
            if not news and bookmarks and last > began:
                list_kind, version = _LISTS[kind]
                bookmark = {"kind": list_kind.removesuffix("List"), "apiVersion": version}
                bookmark |= {"metadata": {"resourceVersion": str(max(at, last))}}
                self._line(json.dumps({"type": "BOOKMARK", "object": bookmark}))
        self.wfile.write(b"0\r\n\r\n")

    def _news(self, at: int, news: list[tuple[int, str, str, str]]) -> bool:
        for event in reversed(self.store.events):
            if event[0] <= at:
                break
            news.insert(0, event)
        return bool(news)

    def do_PATCH(self) -> None:
        patch = self._body()
        how = self.headers.get("Content-Type", "")

        def work(_user: str, kind: str, name: str, rest: str) -> Object:
            with self.store.changed:
                return self.store.patch(kind, name, rest, how, patch)

        self._run(work)

    def do_POST(self) -> None:
        thing = self._body()

        def work(_user: str, kind: str, _name: str, _rest: str) -> Object:
            if kind != "events" or self.headers.get("Content-Type") != "application/json":
                raise Refused(415, "UnsupportedMediaType", "the body of the request was in an unknown format")
            check_event(thing, None)
            with self.store.changed:
                if thing["metadata"]["name"] in self.store.objects[kind]:
                    raise Refused(409, "AlreadyExists", "events already exists")
                return self.store.put(kind, thing)

        self._test_body = thing
        self._run(work)

    def do_PUT(self) -> None:
        self._test_body = self._body()
        self._run(lambda *_: None)

    def do_DELETE(self) -> None:
        self._run(lambda *_: None)

    # --- the test's commands ------------------------------------------------------------------

    def _command(self, command: str) -> Any:
        verb, _, rest = command.partition("/")
        store = self.store
        if verb == "settings":
            store.pages_at = 0
        with store.changed:
            if verb == "requests":
                return store.requests
            if verb == "save":
                store.save()
            elif verb == "settings":
                store.settings |= self._test_body
            elif verb == "compact":
                store.forgotten = store.revision
                store.events.clear()
            elif verb == "many":  # at once, and no watch hears of it
                for thing in self._test_body:
                    store.revision += 1
                    thing["metadata"]["resourceVersion"] = str(store.revision)
                    store.objects["nodes"][thing["metadata"]["name"]] = thing
                store.forgotten = store.revision
            elif verb == "put":
                store.put(rest, self._test_body)
            elif verb == "delete":
                kind, _, name = rest.partition("/")
                store.remove(kind, name)
            else:
                raise Refused(404, "NotFound", command)
        return {}


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_: Any) -> None:
        """Clients that go away are none of the test's business."""


def serve(address: str, port: int, certificate: str, key: str, folder: Path) -> None:
    Handler.store = Store(folder)
    if ":" in address:
        Server.address_family = socket.AF_INET6
    server = Server((address, port), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    print("ready", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4], Path(sys.argv[5]))
