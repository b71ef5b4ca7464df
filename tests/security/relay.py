"""A worker in an attacker's hands: an honest one, and a relay before it that ends TLS.

The relay has a worker's certificate of its own, as an attacker has who was given a share of the
weights. Frames are those of transport/wire.capnp: 16 bytes (magic, length of the head, length of
the payload), a Cap'n Proto message of one segment, the payload.
"""
import contextlib
import socket
import ssl
import struct
import threading
import time

from programs import tls_context

# Values of the union in Frame, in the order of its members' numbers.
MASKED_TENSOR, HINT_REQUEST, WEIGHT_REQUEST, PRODUCT, WEIGHT_PANELS, FAILURE = 3, 4, 5, 6, 7, 8
ID_AT, KIND_AT, POINTER_AT = 16, 24, 32  # bytes of a head with one segment


def exact(source, count):
    out = bytearray()
    while len(out) < count:
        piece = source.recv(min(count - len(out), 1 << 20))
        if not piece:
            raise EOFError
        out += piece
    return out


def text_words(text):
    data = text.encode() + b"\0"
    return data + b"\0" * (-len(data) % 8), len(data)


def failure_head(request, code):
    """The head of a Frame that holds Failure { code, message: "busy" }."""
    first, first_size = text_words(code)
    second, second_size = text_words("busy")
    struct_pointer = (2 << 32) | (1 << 48)  # two words of data, one pointer
    failure_pointer = 2 << 48
    code_pointer = 1 | (1 << 2) | (2 << 32) | (first_size << 35)
    message_pointer = 1 | ((len(first) // 8) << 2) | (2 << 32) | (second_size << 35)
    words = struct.pack("<QQQQQQ", struct_pointer, request, FAILURE, failure_pointer,
                        code_pointer, message_pointer) + first + second
    return struct.pack("<II", 0, len(words) // 8) + words


def tensor_of(head):
    """matrix and rows of the Tensor in a frame."""
    pointer, = struct.unpack_from("<Q", head, POINTER_AT)
    offset = (pointer & 0xFFFFFFFF) >> 2
    matrix, _, _, rows = struct.unpack_from("<IHHQ", head, POINTER_AT + 8 + 8 * offset)
    return matrix, rows


class Plan:
    """What a relay does with answers to `kind` of requests: `deed` is 'flip', 'withhold', or
    'refuse:CODE'. The first deed waits for `spare` (a Gate) to be linked, so that nobody can say
    that there was no other worker to ask."""

    def __init__(self, kind=None, deed=None, spare=None):
        self.kind, self.deed, self.spare = kind, deed, spare
        self.done = 0
        self.events = []  # (time, 'up' or 'down', matrix, rows) of each product


class Relay:
    """Listens on `port` for the time of a `with`, before the worker at `backend`."""

    def __init__(self, build, backend, plan):
        self.backend, self.plan = backend, plan
        self.server = tls_context(build, ssl.PROTOCOL_TLS_SERVER, "localhost")
        self.server.verify_mode = ssl.CERT_REQUIRED
        self.server.num_tickets = 0
        self.client = tls_context(build, ssl.PROTOCOL_TLS_CLIENT, "enclave")
        self.kinds = {}  # of requests under way, by id
        self.sockets = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]

    def __enter__(self):
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        for each in [self.listener, *self.sockets]:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                raw, _ = self.listener.accept()
                threading.Thread(target=self._serve, args=(raw,), daemon=True).start()

    def _serve(self, raw):
        try:
            up = self.server.wrap_socket(raw, server_side=True)
            down = self.client.wrap_socket(
                socket.create_connection(("127.0.0.1", self.backend)), server_hostname="127.0.0.1")
        except OSError:
            return raw.close()
        for each in (up, down):
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sockets += [up, down]
        threading.Thread(target=self._pump, args=(up, down, False), daemon=True).start()
        self._pump(down, up, True)

    def _pump(self, source, sink, is_answer):
        try:
            while True:
                prefix = exact(source, 16)
                magic, head_size, payload_size = struct.unpack("<IIQ", prefix)
                head, payload = exact(source, head_size), exact(source, payload_size)
                if not is_answer:
                    self._note(head)
                elif not self._spoil(sink, magic, head, payload):
                    continue
                sink.sendall(prefix + head + payload)
                if is_answer:
                    self._see("down", head)
        except (EOFError, OSError, struct.error):
            for each in (source, sink):
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)

    def _note(self, head):
        request, = struct.unpack_from("<Q", head, ID_AT)
        kind, = struct.unpack_from("<H", head, KIND_AT)
        if kind in (MASKED_TENSOR, HINT_REQUEST, WEIGHT_REQUEST):
            self.kinds[request] = kind
            self._see("up", head)

    def _see(self, direction, head):
        kind, = struct.unpack_from("<H", head, KIND_AT)
        if kind in (MASKED_TENSOR, PRODUCT):
            self.plan.events.append((time.monotonic(), direction, *tensor_of(head)))

    def _spoil(self, sink, magic, head, payload):
        """Whether the answer, perhaps changed, is to be sent on."""
        request, = struct.unpack_from("<Q", head, ID_AT)
        kind, = struct.unpack_from("<H", head, KIND_AT)
        plan = self.plan
        if kind not in (PRODUCT, WEIGHT_PANELS) or self.kinds.get(request) != plan.kind:
            return True
        if plan.spare and not plan.done:
            plan.spare.open()
        plan.done += 1
        if plan.deed == "flip":
            payload[0] ^= 1
            return True
        if plan.deed.startswith("refuse:"):
            answer = failure_head(request, plan.deed.split(":")[1])
            sink.sendall(struct.pack("<IIQ", magic, len(answer), 0) + answer)
        return False


class Wire:
    """Plain bytes between a port of its own and `backend`, kept for who listens on the wire."""

    def __init__(self, backend):
        self.backend = backend
        self.seen = bytearray()
        self.linked = 0
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))  # refuses connections until it listens
        self.port = self.listener.getsockname()[1]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def listen(self):
        self.listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                near, _ = self.listener.accept()
                far = socket.create_connection(("127.0.0.1", self.backend))
                self.linked += 1
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=self._copy, args=pair, daemon=True).start()

    def _copy(self, source, sink):
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                self.seen += data
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)


class Gate(Wire):
    """A Wire that is closed until a liar has been asked; three connections are a link."""

    def open(self):
        if self.linked:
            return
        self.listen()
        end = time.monotonic() + 20
        while self.linked < 3 and time.monotonic() < end:
            time.sleep(0.05)
        time.sleep(1)  # hello both ways
