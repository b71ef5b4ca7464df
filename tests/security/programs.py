"""The programs of one build, started as their users start them, and a client that says any bytes."""
import contextlib
import glob
import json
import os
import queue
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TINY = os.path.join(REPOSITORY, "models", "talaria-tiny")
PATIENCE = 90  # seconds that any one program may take; attacks that hang something wait less
NOBODY = 65534


class NotApplicable(Exception):
    """This build, or this machine, lacks what the attack is about; the text says what."""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def until(condition, seconds=PATIENCE, pause=0.05):
    """Whether `condition` became true in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(pause)
    return True


def end_process(process):
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream:
            stream.close()


class Build:
    """A folder of programs. Versions differ in which of them serves; flags are those of both."""

    def __init__(self, folder):
        self.folder = os.path.abspath(folder)
        self.talaria = self.program("talaria")
        if not os.path.exists(self.talaria):
            raise SystemExit(f"{self.talaria}: not there; give the folder that holds talaria")
        enclave = self.program("talaria-enclave")
        self.server = enclave if os.path.exists(enclave) else self.talaria
        self.work = tempfile.mkdtemp(prefix="talaria-security-")
        os.chmod(self.work, 0o755)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.work, ignore_errors=True)

    def program(self, name):
        return os.path.join(self.folder, name)

    def programs(self):
        return [path for path in glob.glob(self.program("talaria*")) if "." not in os.path.basename(path)]

    def new_folder(self):
        return tempfile.mkdtemp(dir=self.work)

    def run(self, *words, text="", environment=None, **options):
        """A command to its end; status 124 if it did not end within `timeout` seconds."""
        timeout = options.pop("timeout", PATIENCE)
        try:
            return subprocess.run([self.talaria, *words], input=text, capture_output=True,
                                  text=True, errors="replace", timeout=timeout,
                                  env={**os.environ, **(environment or {})}, check=False, **options)
        except subprocess.TimeoutExpired as late:
            return subprocess.CompletedProcess(late.cmd, 124, "", "did not end in time")

    def must(self, *words):
        done = self.run(*words)
        if done.returncode != 0:
            raise RuntimeError(f"talaria {' '.join(words)}: {done.returncode}: {done.stderr[-300:]}")
        return done

    def certificates(self):
        """A folder with those of the enclave and of the workers '127.0.0.1' and 'localhost'."""
        folder = os.path.join(self.work, "certs")
        if not os.path.exists(folder):
            self.must("certs", "init", folder, "--hosts", "127.0.0.1,localhost")
        return folder

    def prepared(self):
        """The shipped model in its two halves."""
        folder = os.path.join(self.work, "prepared")
        if not os.path.exists(folder):
            self.must("prepare", TINY, folder)
        return folder

    def settings(self, text, model=TINY):
        file = os.path.join(self.new_folder(), "pipeline.yaml")
        os.chmod(os.path.dirname(file), 0o755)
        with open(file, "w", encoding="utf-8") as out:
            out.write(f"model: {model}\nhints: {{ cache: none }}\n{text}")
        return file


class Gateway:
    """`serve` for the time of a `with`. `text`: further settings; `serve`: more of that section."""

    def __init__(self, build, text="pipeline: { threads: 1 }\n", serve="", model=TINY, **options):
        self.port = free_port()
        self.build = build
        self.file = build.settings(
            f"serve: {{ listen: '127.0.0.1:{self.port}'{serve} }}\n{text}", model)
        self.program = options.pop("program", build.server)
        self.options = options

    def __enter__(self):
        self.start()
        if not self.answers():
            reason = "ended with an error" if self.process.poll() is not None else "did not answer"
            self.__exit__()
            raise RuntimeError(f"the gateway {reason}")
        return self

    def start(self):
        environment = {**os.environ, **self.options.pop("environment", {})}
        self.process = subprocess.Popen([self.program, "serve", self.file], env=environment,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                        stdin=subprocess.DEVNULL, **self.options)
        self.pid = self.process.pid

    def answers(self):
        """Whether it comes up; false as well if it ends instead."""
        until(lambda: self.process.poll() is not None or self.is_healthy())
        return self.process.poll() is None and self.is_healthy()

    def is_healthy(self, seconds=5):
        try:
            return self.get("/health", seconds=seconds).startswith(b"HTTP/1.1 200")
        except OSError:
            return False

    def is_alive(self):
        time.sleep(0.5)  # a process that was hit needs a moment to end
        return self.process.poll() is None

    def __exit__(self, *_):
        end_process(self.process)

    def say(self, data, seconds=30):
        """Everything that comes back for these bytes, until the connection ends or is silent."""
        answer = b""
        with socket.create_connection(("127.0.0.1", self.port), timeout=seconds) as s:
            with contextlib.suppress(OSError):  # also one that is refused while it is being sent
                s.sendall(data)
            with contextlib.suppress(OSError):
                while piece := s.recv(1 << 16):
                    answer += piece
        return answer

    def get(self, path, headers="", seconds=30):
        return self.say(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n{headers}"
                        "Connection: close\r\n\r\n".encode(), seconds)

    def post(self, path, body, headers="", host=None, seconds=60):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        head = (f"POST {path} HTTP/1.1\r\nHost: {host or f'127.0.0.1:{self.port}'}\r\n{headers}"
                f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n"
                "Connection: close\r\n\r\n")
        return self.say(head.encode() + data, seconds)

    def chat(self, messages, **fields):
        """The decoded answer. @throws RuntimeError with the response if it is no 200."""
        answer = self.post("/v1/chat/completions",
                           {"messages": messages, "temperature": 0, **fields})
        if status(answer) != 200:
            raise RuntimeError(f"no answer: {answer[:200]!r}")
        return json.loads(body_of(answer))


def status(response):
    """0 if there was none."""
    words = response.split(b" ", 2)
    return int(words[1]) if len(words) > 2 and words[1].isdigit() else 0


def body_of(response):
    head, _, body = response.partition(b"\r\n\r\n")
    if b"transfer-encoding: chunked" not in head.lower():
        return body
    out = b""
    while body:
        size, _, body = body.partition(b"\r\n")
        count = int(size.split(b";")[0], 16)
        out, body = out + body[:count], body[count + 2:]
    return out


class Worker:
    """talaria-worker for the time of a `with`; `port` is where it listens."""

    def __init__(self, build, *words, model=TINY):
        certificates = build.certificates()
        self.command = [build.program("talaria-worker"), "--model", model, "--threads", "1",
                        "--cert", f"{certificates}/127.0.0.1.pem", "--key",
                        f"{certificates}/127.0.0.1.key", "--ca", f"{certificates}/ca.pem",
                        "--listen", "127.0.0.1:0", "--progress", "json", "--exit-with-stdin", *words]

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, text=True)
        ports = queue.Queue()
        threading.Thread(target=self._read_events, args=(ports,), daemon=True).start()
        try:
            self.port = ports.get(timeout=PATIENCE)
        except queue.Empty:
            self.port = None
        if self.port is None:
            self.__exit__()
            raise RuntimeError("a worker did not start")
        return self

    def _read_events(self, ports):
        with contextlib.suppress(ValueError, OSError):
            for line in self.process.stdout:
                event = json.loads(line)
                if event.get("event") == "ready":
                    ports.put(int(event["address"].rsplit(":", 1)[1]))
        ports.put(None)

    def __exit__(self, *_):
        end_process(self.process)


def tls_context(build, purpose, name):
    certificates = build.certificates()
    context = ssl.SSLContext(purpose)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(f"{certificates}/{name}.pem", f"{certificates}/{name}.key")
    context.load_verify_locations(f"{certificates}/ca.pem")
    return context
