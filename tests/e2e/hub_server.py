"""A model hub for tests, on this machine, with nothing but Python's standard library.

Speaks what a client of the Hugging Face Hub needs: the file list, the tree, `resolve` with a redirect to another origin
for large files and one within the origin for small ones, ranges, and the headers ETag, X-Linked-Etag, X-Linked-Size,
X-Repo-Commit, X-Error-Code. What a real hub or its delivery network does wrong at times is asked for with Fault.
Every request is recorded.
"""

import hashlib
import http.server
import json
import re
import threading
import time
import urllib.parse
from dataclasses import dataclass, field


def git_sha1(content):
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def content_hash(content, lfs):
    return hashlib.sha256(content).hexdigest() if lfs else git_sha1(content)


@dataclass
class Repo:
    files: dict  # path -> bytes
    commit: str = "a" * 40
    branches: tuple = ("main",)
    token: str = ""  # needed to see it
    gated: bool = False

    def is_lfs(self, path):
        return path.endswith((".safetensors", ".gguf", ".bin", "tokenizer.json"))

    def hash(self, path):
        return content_hash(self.files[path], self.is_lfs(path))


@dataclass
class Fault:
    """What happens to the next `times` requests whose path matches; the rest are served well."""

    path: str  # regular expression
    times: int = 10**9
    method: str = "GET"
    status: int = 0  # this status instead of the answer
    headers: dict = field(default_factory=dict)
    body: bytes = b""  # with `status`, or instead of the content when not empty
    cut_after: int = -1  # closes the connection after so many bytes of the body
    stall_after: int = -1  # sends nothing more after so many bytes
    ignore_range: bool = False
    wrong_bytes: bool = False  # one bit of each body
    content_range: str = ""  # this instead of the right one
    content_length: int = -1  # this instead of the right one
    extra: int = 0  # so many bytes too many
    chunked: bool = False  # no length; ends when the connection does


@dataclass
class Request:
    server: str  # "hub" or "cdn"
    method: str
    path: str
    headers: dict
    sent: int = 0  # bytes of the body


class HubServer:
    """Two origins: the hub, and the delivery network that it redirects large files to."""

    def __init__(self):
        self.repos = {}
        self.faults = []
        self.requests = []
        self.bytes_per_second = 0  # of each connection; 0: as fast as it goes
        self.lists = {}  # repository -> bytes of the file list, instead of the right one
        self.lock = threading.Lock()
        self.hub = self._serve("hub")
        self.cdn = self._serve("cdn")
        self.endpoint = f"http://127.0.0.1:{self.hub.server_address[1]}"
        self.cdn_endpoint = f"http://127.0.0.1:{self.cdn.server_address[1]}"

    def _serve(self, name):
        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64

            def handle_error(self, request, client_address):
                pass  # a client that was killed

        server = Server(("127.0.0.1", 0), type("Handler", (Handler,), {"hub": self, "name": name}))
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        return server

    def close(self):
        for server in (self.hub, self.cdn):
            server.shutdown()
            server.server_close()

    def reset(self):
        self.faults, self.requests, self.lists, self.bytes_per_second = [], [], {}, 0

    def take_fault(self, method, path):
        with self.lock:
            for fault in self.faults:
                if fault.times > 0 and fault.method == method and re.search(fault.path, path):
                    fault.times -= 1
                    return fault
        return Fault("")

    def listing(self, repo):
        siblings = []
        for path, content in repo.files.items():
            entry = {"rfilename": path, "size": len(content), "blobId": git_sha1(content)}
            if repo.is_lfs(path):
                entry["blobId"] = git_sha1(b"pointer to " + path.encode())
                entry["lfs"] = {"sha256": repo.hash(path), "size": len(content), "pointerSize": 134}
            siblings.append(entry)
        return {"id": "x", "sha": repo.commit, "siblings": siblings, "tags": [], "private": False}

    def tree(self, repo):
        entries = []
        for path, content in repo.files.items():
            entry = {"type": "file", "path": path, "size": len(content), "oid": git_sha1(content)}
            if repo.is_lfs(path):
                entry["lfs"] = {"oid": repo.hash(path), "size": len(content), "pointerSize": 134}
            entries.append(entry)
        return entries


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub = None
    name = ""

    def log_message(self, *arguments):
        pass

    def do_HEAD(self):
        self.serve()

    def do_GET(self):
        self.serve()

    def serve(self):
        self.record = Request(self.name, self.command, self.path, {k.lower(): v for k, v in self.headers.items()})
        self.hub.requests.append(self.record)
        self.fault = self.hub.take_fault(self.command, self.path)
        if self.fault.status:
            self.answer(self.fault.status, self.fault.body, self.fault.headers)
            return
        address = urllib.parse.urlsplit(self.path)  # through a proxy the path is a whole URL
        path = urllib.parse.unquote(address.path)
        if self.name == "cdn":
            self.serve_cdn(path)
        elif match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/(revision|tree)/(.+)", path):
            self.serve_api(*match.groups())
        elif match := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            self.serve_resolve(*match.groups())
        elif match := re.fullmatch(r"/api/resolve-cache/models/([^/]+/[^/]+)/([^/]+)/(.+)", path):
            self.serve_small(*match.groups())
        else:
            self.refuse(404, "EntryNotFound")

    def find(self, name, revision):
        """The repository if this request may see it and it has the revision; else None, and the answer was given."""
        repo = self.hub.repos.get(name)
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if repo is None or (repo.token and token != repo.token and not repo.gated):
            self.refuse(401 if not token else 404, "RepoNotFound")
        elif repo.gated and token != repo.token:
            self.refuse(403 if token else 401, "GatedRepo")
        elif revision != repo.commit and revision not in repo.branches:
            self.refuse(404, "RevisionNotFound")
        else:
            return repo
        return None

    def serve_api(self, name, kind, revision):
        if name in self.hub.lists:
            self.answer(200, self.hub.lists[name], {"Content-Type": "application/json"})
        elif repo := self.find(name, revision):
            content = self.hub.listing(repo) if kind == "revision" else self.hub.tree(repo)
            self.answer(200, json.dumps(content).encode(), {"Content-Type": "application/json"})

    def serve_resolve(self, name, revision, path):
        repo = self.find(name, revision)
        if repo is None:
            return
        if path not in repo.files:
            self.refuse(404, "EntryNotFound")
        elif repo.is_lfs(path):
            self.answer(
                302,
                b"moved",
                {
                    "Location": f"{self.hub.cdn_endpoint}/{name}/{urllib.parse.quote(path)}?sig={time.time()}",
                    "X-Linked-Etag": f'"{repo.hash(path)}"',
                    "X-Linked-Size": str(len(repo.files[path])),
                    "X-Repo-Commit": repo.commit,
                    "ETag": '"of the redirect"',
                },
            )
        else:
            place = f"/api/resolve-cache/models/{name}/{repo.commit}/{urllib.parse.quote(path)}"
            self.answer(307, b"", {"Location": place, "X-Repo-Commit": repo.commit})

    def serve_small(self, name, commit, path):
        repo = self.hub.repos[name]
        self.content(repo.files[path], {"ETag": f'"{repo.hash(path)}"', "X-Repo-Commit": repo.commit})

    def serve_cdn(self, path):
        _, organisation, name, path = path.split("/", 3)
        self.content(self.hub.repos[f"{organisation}/{name}"].files[path], {"Accept-Ranges": "bytes"})

    def content(self, data, headers):
        status = 200
        span = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if span and not self.fault.ignore_range:
            begin, end = int(span[1]), min(int(span[2]) + 1, len(data))
            if begin >= len(data):
                self.answer(416, b"", {"Content-Range": f"bytes */{len(data)}"})
                return
            headers["Content-Range"] = self.fault.content_range or f"bytes {begin}-{end - 1}/{len(data)}"
            data = data[begin:end]
            status = 206
        if self.fault.body:
            data = self.fault.body
        if self.fault.wrong_bytes and data:
            data = data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 1]) + data[len(data) // 2 + 1 :]
        self.answer(status, data + bytes(self.fault.extra), headers)

    def refuse(self, status, code):
        self.answer(status, b'{"error": "no"}', {"X-Error-Code": code, "X-Error-Message": f"no: {code}"})

    def answer(self, status, body, headers):
        fault = self.fault
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if fault.chunked:
            self.close_connection = True
            self.send_header("Connection", "close")
        else:
            self.send_header("Content-Length", str(fault.content_length if fault.content_length >= 0 else len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        stop = min([len(body)] + [at for at in (fault.cut_after, fault.stall_after) if at >= 0])
        rate = self.hub.bytes_per_second
        step = max(1, rate // 50) if rate else 1 << 20
        for at in range(0, stop, step):
            piece = body[at : min(at + step, stop)]
            self.wfile.write(piece)
            self.record.sent += len(piece)
            if rate:
                time.sleep(len(piece) / rate)
        if fault.stall_after >= 0:
            time.sleep(30)
        if stop < len(body):
            self.close_connection = True
