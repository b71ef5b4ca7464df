#!/usr/bin/env python3
"""A real browser against the gateway: DNS rebinding, and pages of other origins.

usage: tests/browser/dns_rebinding.py PROGRAM_FOLDER   (scripts/test browser does it)

The name `rebound.example` points at one address, behind which a small relay stands in for what a
name server does in an attack: the first connection gets the attacker's page, every later one the
gateway. To the browser both are one origin, so that nothing of its own rules stops the page's
script. A second page, of another origin than the gateway, tries what a browser lets any page try.
Needs chromium and Python 3 alone. Prints a line per check and ends with `N passed, N failed`.
"""
import http.client
import http.server
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

MODEL = "models/talaria-tiny"
BODY = {"model": "talaria-tiny", "messages": [{"role": "user", "content": "Hello"}],
        "max_tokens": 1}

# What a page of an attacker tries, and puts into its own text so that --dump-dom shows it.
SCRIPT = """<!doctype html><title>attacker</title><pre id=out>waiting</pre><script>
const base = %(base)s, body = JSON.stringify(%(body)s), seen = [];
async function attempt(name, path, options) {
  try {
    const answer = await fetch(base + path, options);
    seen.push({name, status: answer.status, type: answer.type, text: await answer.text()});
  } catch (error) { seen.push({name, failed: String(error)}); }
}
(async () => {
  await attempt('models', '/v1/models');
  await attempt('json post', '/v1/chat/completions',
      {method: 'POST', headers: {'Content-Type': 'application/json'}, body});
  await attempt('plain post', '/v1/chat/completions',
      {method: 'POST', headers: {'Content-Type': 'text/plain'}, body});
  await attempt('opaque post', '/v1/chat/completions', {method: 'POST', mode: 'no-cors', body});
  await attempt('metrics', '/metrics');
  document.getElementById('out').textContent = JSON.stringify(seen);
})();
</script>"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Gateway:
    """talaria-enclave serve over the shipped model, for the time of a `with`."""

    def __init__(self, programs, hosts=()):
        self.programs, self.hosts = programs, json.dumps(list(hosts))

    def __enter__(self):
        self.port, self.metrics_port = free_port(), free_port()
        self.folder = tempfile.TemporaryDirectory()
        settings = os.path.join(self.folder.name, "pipeline.yaml")
        with open(settings, "w", encoding="utf-8") as file:
            file.write(f"model: {os.path.abspath(MODEL)}\n"
                       f"serve: {{ listen: '127.0.0.1:{self.port}', hosts: {self.hosts} }}\n"
                       f"telemetry: {{ metrics: '127.0.0.1:{self.metrics_port}' }}\n")
        self.process = subprocess.Popen(
            [os.path.join(self.programs, "talaria"), "serve", settings],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(600):
            try:
                if self.ask("GET", "/health")[0] == 200:
                    return self
            except OSError:
                pass
            if self.process.poll() is not None:
                raise SystemExit("the gateway ended before it answered")
            time.sleep(0.1)
        raise SystemExit("the gateway did not answer within a minute")

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(60)
        self.folder.cleanup()

    def ask(self, method, path, body=None, port=None):
        connection = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=60)
        connection.request(method, path, json.dumps(body) if body else None,
                           {"Content-Type": "application/json"} if body else {})
        response = connection.getresponse()
        return response.status, response.read().decode()

    def answers_given(self):
        """Requests for answers that were let in, as the gateway counts them."""
        text = self.ask("GET", "/metrics", port=self.metrics_port)[1]
        counts = re.findall(r"^vllm:request_success_total\{[^}]*\} (\S+)$", text, re.M)
        return sum(float(count) for count in counts)


def page_server(page):
    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            found = self.path == "/"
            data = page().encode() if found else b""
            self.send_response(200 if found else 404)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(data)))
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


class Relay:
    """Bytes to `first` until the page was fetched, to `then` afterwards: the name was rebound."""

    def __init__(self, first, then):
        self.targets = (first, then)
        self.rebound = False
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            client, _ = self.listener.accept()
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        head = client.recv(65536)
        if not head:
            return client.close()
        target = self.targets[self.rebound]
        self.rebound = self.rebound or head.startswith(b"GET / ")
        server = socket.create_connection(("127.0.0.1", target))
        server.sendall(head)
        threading.Thread(target=self._copy, args=(client, server), daemon=True).start()
        self._copy(server, client)

    @staticmethod
    def _copy(source, sink):
        try:
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass


def visit(browser, url, profile):
    """What the page at `url` says it saw."""
    out = subprocess.run(
        [browser, "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}",
         "--host-resolver-rules=MAP rebound.example 127.0.0.1, MAP other.example 127.0.0.1",
         "--virtual-time-budget=20000", "--dump-dom", url],
        capture_output=True, text=True, timeout=180)
    text = re.search(r"<pre id=\"out\">(.*?)</pre>", out.stdout, re.S)
    if not text or text[1] == "waiting":
        raise SystemExit(f"the browser did not run the page:\n{out.stdout[-500:]}\n{out.stderr[-500:]}")
    plain = text[1].replace("&quot;", '"').replace("&lt;", "<").replace("&gt;", ">")
    return json.loads(plain.replace("&amp;", "&"))


def main():
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if not browser:
        raise SystemExit("chromium is missing: apt-get install chromium")
    results = []

    def check(passed, what):
        results.append(passed)
        print(("ok      " if passed else "FAILED  ") + what, flush=True)

    with Gateway(sys.argv[1]) as gateway, tempfile.TemporaryDirectory() as profile:
        status, _ = gateway.ask("POST", "/v1/chat/completions", BODY)
        check(status == 200, "a client that names the address gets an answer")
        before = gateway.answers_given()
        check(before == 1, "the gateway counts that answer")

        page = page_server(lambda: SCRIPT % {"base": "''", "body": json.dumps(BODY)})
        relay = Relay(page.server_address[1], gateway.port)
        for seen in visit(browser, f"http://rebound.example:{relay.port}/", profile):
            check(seen.get("status") == 403 and "host_not_allowed" in seen["text"],
                  f"rebound name, {seen['name']}: refused ({seen.get('status')})")
        check(relay.rebound, "the relay did send the browser to the gateway")

        other = page_server(lambda: SCRIPT % {
            "base": json.dumps(f"http://127.0.0.1:{gateway.port}"), "body": json.dumps(BODY)})
        for seen in visit(browser, f"http://other.example:{other.server_address[1]}/", profile):
            unread = "failed" in seen or (seen["type"] == "opaque" and seen["text"] == "")
            check(unread, f"page of another origin, {seen['name']}: reads nothing")
        check(gateway.answers_given() == before, "no page made the gateway answer")

    with Gateway(sys.argv[1], ["rebound.example"]) as gateway, \
            tempfile.TemporaryDirectory() as profile:
        relay = Relay(page.server_address[1], gateway.port)
        seen = visit(browser, f"http://rebound.example:{relay.port}/", profile)
        check(seen[0].get("status") == 200 and "talaria-tiny" in seen[0]["text"],
              "control: where that name is allowed the page does read answers")
    failed = results.count(False)
    print(f"{len(results) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
