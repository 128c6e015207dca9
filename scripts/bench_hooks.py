"""How long a webhook takes to be answered and to become a decision; `scripts/bench --only hooks` calls this."""

import contextlib
import hashlib
import hmac
import http.server
import json
import socket
import threading
import time
import urllib.request

import demo

SECRET, PUSHES, ANSWER_BAR, DECISION_BAR = "bench", 25, 50, 500
NAME = "org/one"


class Forge(http.server.BaseHTTPRequestHandler):
    """As much of GitHub's API as reads one repository with one change."""

    protocol_version = "HTTP/1.1"
    head = "1" * 40

    def do_GET(self):
        path = self.path.split("?")[0].removeprefix("/api/v3")
        branch = {"ref": "refs/heads/main", "object": {"sha": "f" * 40}}
        source = {"sha": Forge.head, "ref": "topic", "repo": {"full_name": NAME}}
        pull = {"number": 1, "state": "open", "draft": False, "body": None, "user": {"login": "org", "type": "User"},
                "author_association": "OWNER", "created_at": "2026-01-01T00:00:00Z", "labels": [],
                "head": source, "base": {"ref": "main"}}
        answers = {f"/repos/{NAME}": {"id": 7, "full_name": NAME, "default_branch": "main", "archived": False},
                   f"/repos/{NAME}/git/matching-refs/heads/": [branch], f"/repos/{NAME}/pulls": [pull]}
        body = json.dumps(answers.get(path, {"message": "Not Found"})).encode()
        self.send_response(200 if path in answers else 404)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Site:
    """One workspace of one package at that forge, for `demo.Daemon`."""

    def __init__(self, root, forge):
        self.root, self.state = root, root / "state"
        url = f"http://127.0.0.1:{forge.server_address[1]}"
        (root / "secret").write_text(SECRET)
        (root / "secret").chmod(0o600)
        manifest = root / "manifest.json"
        packages = [{"name": "one", "git": {"url": f"{url}/{NAME}.git", "branch": "main"}}]
        manifest.write_text(json.dumps({"version": 1, "packages": packages}))
        with contextlib.closing(socket.socket()) as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        config = {
            "version": 1, "state_dir": str(self.state), "listen": f"127.0.0.1:{self.port}",
            "forges": {"hub": {"kind": "github", "url": url, "api_url": f"{url}/api/v3",
                               "webhook_secret": {"file": str(root / "secret")},
                               "poll": {"interval": "1h", "reconcile": "1d"}}},
            "ci": {"there": {"kind": "command", "send": ["true"], "poll": ["false"]}},
            "workspaces": [{"name": "w", "bootstrap": {"run": ["cp", str(manifest), "manifest.json"]},
                            "update": {"run": ["true"]}, "manifest": {"path": "manifest.json"},
                            "ci": ["there"], "build": ["changes"],
                            "changes": {"settle": {"new": "0s", "push": "0s"}, "ref": "head"}}],
        }
        (root / "workspaces.yaml").write_text(json.dumps(config))

    def page(self):
        return f"http://127.0.0.1:{self.port}"

    def get(self, path):
        with urllib.request.urlopen(self.page() + path, timeout=10) as answer:
            return json.load(answer)

    def deliver(self, guid):
        """Milliseconds until a push of the present head is answered."""
        pull = {"number": 1, "state": "open", "head": {"sha": Forge.head}}
        body = json.dumps({"action": "synchronize", "pull_request": pull,
                           "repository": {"id": 7, "full_name": NAME}}).encode()
        signature = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
        headers = {"x-github-event": "pull_request", "x-github-delivery": guid, "x-hub-signature-256": f"sha256={signature}",
                   "content-type": "application/json"}
        start = time.perf_counter()
        with urllib.request.urlopen(urllib.request.Request(self.page() + "/hooks/hub", body, headers), timeout=10):
            return (time.perf_counter() - start) * 1000

    def decided(self, head, wait):
        """Whether a decision about this head is there within so many seconds."""
        end = time.perf_counter() + wait
        while time.perf_counter() < end:
            rows = self.get("/api/v1/changes")
            if any(head[:10] in member for row in rows for member in row["set"]):
                return True
            time.sleep(0.002)
        return False


def measure(binary, root, row):
    """Whether both bars hold."""
    forge = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Forge)
    threading.Thread(target=forge.serve_forever, daemon=True).start()
    site = Site(root, forge)
    daemon = demo.Daemon(binary, site)
    daemon.start()
    try:
        start = time.perf_counter()
        while True:
            with contextlib.suppress(OSError):
                site.deliver(f"warm-{time.perf_counter()}")
                if site.decided(Forge.head, 1):
                    break
            if time.perf_counter() - start > 60:
                raise demo.Failed(f"the change is not seen; the log ends:\n{demo.tail(daemon.log)}")
        answers, decisions = [], []
        for number in range(PUSHES):
            Forge.head = f"{number + 2:08x}" * 5
            start = time.perf_counter()
            answers.append(site.deliver(f"push-{number}"))
            if not site.decided(Forge.head, 30):
                raise demo.Failed(f"push {number} is not seen; the log ends:\n{demo.tail(daemon.log)}")
            decisions.append((time.perf_counter() - start) * 1000)
    finally:
        daemon.stop()
        forge.shutdown()
    held = row("webhook answered", "ms", answers, ANSWER_BAR)
    return row("head to decision", "ms", decisions, DECISION_BAR) and held
