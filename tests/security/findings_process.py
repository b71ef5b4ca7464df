"""Attacks by the enclave's host and by other users of its machine, and mistakes of its operator."""
import contextlib
import json
import os
import resource
import shutil
import stat
import struct
import subprocess
import time

from programs import NOBODY, PATIENCE, TINY, Gateway, NotApplicable, Worker, end_process, until
from programs import body_of, status
from relay import Wire


def cluster_of_one(port):
    """Settings of one worker that holds all layers, and of the certificates of the build."""
    return ("workers:\n"
            f"  - {{ name: only, address: '127.0.0.1:{port}', layers: all, start: never }}\n")


def tls_settings(build):
    folder = build.certificates()
    return f"tls: {{ ca: {folder}/ca.pem, cert: {folder}/enclave.pem, key: {folder}/enclave.key }}\n"


def halves(build):
    """A copy of the enclave's half that may be spoiled, and the worker's half."""
    folder = os.path.join(build.new_folder(), "enclave")
    shutil.copytree(os.path.join(build.prepared(), "enclave"), folder)
    return folder, os.path.join(build.prepared(), "worker")


def mapped_model(build):
    """Are pages of the folder's files still read when tokens are looked up?"""
    folder, share = halves(build)
    with Worker(build, model=share) as worker, \
            Gateway(build, cluster_of_one(worker.port) + tls_settings(build), model=folder) as gateway:
        ask_tokens(gateway, [12, 700, 3501, 45])
        with open(f"/proc/{gateway.pid}/maps", encoding="utf-8") as maps:
            return any(folder in line for line in maps)


def ask_tokens(gateway, tokens):
    answer = gateway.post("/v1/completions",
                          {"prompt": tokens, "max_tokens": 4, "temperature": 0})
    return status(answer), body_of(answer) if status(answer) != 200 else \
        json.loads(body_of(answer))["choices"][0]["text"]


def write_row(folder, token):
    """Overwrites the row of `token` in the table of embeddings with bytes that are no numbers."""
    for name in sorted(os.listdir(folder)):
        if not name.endswith(".safetensors"):
            continue
        with open(os.path.join(folder, name), "r+b") as file:
            size, = struct.unpack("<Q", file.read(8))
            for tensor, about in json.loads(file.read(size)).items():
                if "embed_tokens" not in tensor:
                    continue
                begin, end = about["data_offsets"]
                row = (end - begin) // about["shape"][0]
                file.seek(8 + size + begin + token * row)
                file.write(b"\xff" * row)
                return
    raise RuntimeError("no table of embeddings in the folder")


def file_changed_after_loading(build):
    """The host writes into one row of the table, and watches which requests fail."""
    folder, share = halves(build)
    with Worker(build, model=share) as worker, \
            Gateway(build, cluster_of_one(worker.port) + tls_settings(build), model=folder) as gateway:
        before = ask_tokens(gateway, [12, 700, 3500, 45])
        write_row(folder, 3500)
        return before[0] == 200 and ask_tokens(gateway, [12, 700, 3500, 45]) != before


def serves(build, text, environment):
    gateway = Gateway(build, "pipeline: { threads: 1 }\n" + text, environment=environment)
    gateway.start()
    try:
        return gateway.answers()
    finally:
        gateway.__exit__()


def unverified(build):
    return serves(build, "masking: { integrity: none }\n", {})


def weakened_by_environment(build):
    return serves(build, "masking: { scheme: lattice }\n", {"TALARIA_SCHEME": "hybrid"})


def core_dumps(build):
    """Started where the system allows cores of any size, as service managers do."""
    def allow():
        hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
        resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))

    if resource.getrlimit(resource.RLIMIT_CORE)[1] == 0:
        raise NotApplicable("this machine allows no cores at all")
    with Gateway(build, preexec_fn=allow) as gateway:
        with open(f"/proc/{gateway.pid}/limits", encoding="utf-8") as limits:
            line = next(each for each in limits if each.startswith("Max core file size"))
        return line.split()[4] != "0"


def readable_by_its_user(build):
    """Any process of the same user may read the memory of one that is dumpable: the kernel gives
    the files of one that is not to root."""
    if os.geteuid() != 0:
        raise NotApplicable("needs root, to start the gateway as another user")
    folder = build.new_folder()
    os.chmod(folder, 0o755)
    for path in build.programs():
        shutil.copy(path, folder)
    shutil.copytree(TINY, os.path.join(folder, "model"))
    home = os.path.join(folder, "home")
    os.mkdir(home)
    os.chown(home, NOBODY, NOBODY)
    program = os.path.join(folder, os.path.basename(build.server))
    with Gateway(build, model=os.path.join(folder, "model"), program=program, user=NOBODY,
                 group=NOBODY, extra_groups=[], environment={"HOME": home}, cwd=home) as gateway:
        return os.stat(f"/proc/{gateway.pid}/mem").st_uid == NOBODY


def sections(data):
    """Name and content of each section of an ELF file of 64 bits."""
    table, = struct.unpack_from("<Q", data, 40)
    size, count, names_at = struct.unpack_from("<HHH", data, 58)
    heads = [struct.unpack_from("<IIQQQQ", data, table + i * size) for i in range(count)]
    names = heads[names_at]
    for name, kind, _, _, offset, length in heads:
        start = names[4] + name
        label = data[start:data.index(b"\0", start)].decode()
        yield label, b"" if kind == 8 else data[offset:offset + length]


def is_hardened(path):
    """Position independent, bound at start, stack protector, FORTIFY."""
    with open(path, "rb") as file:
        data = file.read()
    parts = dict(sections(data))
    dynamic = [struct.unpack_from("<qQ", parts[".dynamic"], at)
               for at in range(0, len(parts[".dynamic"]) - 15, 16)]
    bound = any((tag == 24) or (tag == 30 and value & 8) or (tag == 0x6FFFFFFB and value & 1)
                for tag, value in dynamic)
    symbols = parts[".dynstr"].split(b"\0")
    kind, = struct.unpack_from("<H", data, 16)
    return (kind == 3 and bound and b"__stack_chk_fail" in symbols
            and any(name.endswith(b"_chk") and name.startswith(b"__") for name in symbols))


def soft_programs(build):
    return not all(is_hardened(path) for path in build.programs())


def places_in_memory(pid, texts):
    """How often `texts` stand in the writable memory of a process."""
    found = 0
    with open(f"/proc/{pid}/maps", encoding="utf-8") as file:
        ranges = [line.split()[0].split("-") for line in file if line.split()[1][1] == "w"]
    with open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for begin, end in ((int(a, 16), int(b, 16)) for a, b in ranges):
            for at in range(begin, end, 16 << 20):
                with contextlib.suppress(OSError):
                    memory.seek(at)
                    piece = memory.read(min((16 << 20) + 256, end - at))
                    found += sum(piece.count(text) for text in texts)
    return found


def prompt_in_memory(build):
    prompt = "zanzibar quartz obelisk 7391 vexing jukebox gryphon"
    with Gateway(build) as gateway:
        messages = [{"role": "user", "content": prompt}]
        answer = gateway.chat(messages, max_tokens=32)["choices"][0]["message"]["content"]
        gateway.post("/v1/chat/completions", {"messages": messages, "max_tokens": 8, "stream": True})
        for _ in range(3):
            gateway.is_healthy()
        secrets = [prompt[:24].encode(), prompt[24:].encode()]
        if len(answer) > 24:
            secrets.append(answer[:24].encode())
        try:
            return not until(lambda: places_in_memory(gateway.pid, secrets) == 0, seconds=5,
                             pause=0.5)
        except PermissionError as refused:
            raise NotApplicable("needs root, to read the memory of the gateway") from refused


def prompt_in_the_list_of_processes(build):
    command = [build.talaria, "run", "--model", TINY, "--prompt", "Once upon a marker",
               "--ignore-eos", "--max-tokens", "64"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        time.sleep(0.3)  # before that it may have had no time to do anything about it
        with open(f"/proc/{process.pid}/cmdline", "rb") as file:
            seen = file.read()
        if b"--prompt" not in seen:
            raise RuntimeError("the command had ended already")
        return b"marker" in seen
    finally:
        end_process(process)


def trace_for_all(build):
    trace = os.path.join(build.new_folder(), "trace.json")
    before = os.umask(0o022)
    try:
        build.must("run", "--model", TINY, "--prompt", "Hi", "--max-tokens", "2", "--trace", trace)
    finally:
        os.umask(before)
    return stat.S_IMODE(os.stat(trace).st_mode) & 0o077 != 0


def authority_beside_the_enclave(build):
    return "ca.key" in os.listdir(build.certificates())


def answer_on_the_wire(build):
    """Started with a closed standard output: where does the answer go?"""
    with Worker(build) as worker, Wire(worker.port) as wire:
        wire.listen()
        file = build.settings(cluster_of_one(wire.port) + tls_settings(build))
        subprocess.run(["/bin/sh", "-c", 'exec "$0" "$@" <&- >&- 2>&-', build.talaria, "run",
                        "--config", file, "--chat", "--prompt", "Who are you?", "--temperature", "0",
                        "--max-tokens", "16"], check=False, timeout=PATIENCE)
        if len(wire.seen) < 100_000:
            raise RuntimeError("the run did not reach the worker")
        return b"Talaria" in wire.seen or b" language" in wire.seen


def not_from_outside(reason):
    def attack(_):
        raise NotApplicable(reason)
    return attack


def memory_is_searched(build):
    """The folder of the model is no secret, and stays."""
    with Gateway(build) as gateway:
        try:
            return places_in_memory(gateway.pid, [TINY.encode()]) > 0
        except PermissionError as refused:
            raise NotApplicable("needs root, to read the memory of the gateway") from refused


def soft_program_is_known(build):
    compiler = shutil.which("cc")
    if compiler is None:
        raise NotApplicable("needs a C compiler")
    program = os.path.join(build.new_folder(), "soft")
    subprocess.run([compiler, "-x", "c", "-", "-o", program, "-fno-stack-protector", "-Wl,-z,lazy"],
                   input=b"int main(void) { return 0; }", check=True)
    return not is_hardened(program)


def wire_is_heard(build):
    """Every run sends the head of a handshake's record in clear."""
    with Worker(build) as worker, Wire(worker.port) as wire:
        wire.listen()
        file = build.settings(cluster_of_one(wire.port) + tls_settings(build))
        build.must("run", "--config", file, "--prompt", "Hi", "--max-tokens", "1")
        return b"\x16\x03\x03" in wire.seen


CONTROLS = [
    ("what is in memory is seen", memory_is_searched),
    ("a soft program is known", soft_program_is_known),
    ("what goes over the wire is seen", wire_is_heard),
]
FINDINGS = [
    ("1", "files of the model stay mapped while tokens are looked up", mapped_model),
    ("2", "a row changed on disk under a running gateway changes what it answers",
     file_changed_after_loading),
    ("10", "integrity: none is served without a word", unverified),
    ("10", "the environment weakens what the file says", weakened_by_environment),
    ("11", "a crash may leave a core with prompts", core_dumps),
    ("11", "another process of the user may read the memory", readable_by_its_user),
    ("11", "programs without stack protector, FORTIFY or full RELRO", soft_programs),
    ("12", "prompt or answer stay in memory", prompt_in_memory),
    ("13", "masks from one seed per thread", not_from_outside("takes a copy of a running machine")),
    ("16", "the time of sampling tells entropy", not_from_outside(
        "takes a vocabulary of 128,256; and without enclave.oblivious it is so by design")),
    ("18", "a prompt stands in the list of processes", prompt_in_the_list_of_processes),
    ("18", "traces are readable by all", trace_for_all),
    ("18", "the authority's key lies beside the enclave's", authority_beside_the_enclave),
    ("18", "a quarantine is shortened by a missed deadline", not_from_outside(
        "was argued from the code; standing_test holds it")),
    ("later", "a closed standard output sends the answer to a worker", answer_on_the_wire),
]
