"""Attacks by a worker (relay.py). One succeeds if the others give no right answer; how is told."""
import contextlib
import os
import statistics

from findings_process import tls_settings
from programs import TINY, Gateway, Worker, until
from relay import HINT_REQUEST, MASKED_TENSOR, WEIGHT_REQUEST, Gate, Plan, Relay

QUESTION = ["--chat", "-", "--max-tokens", "8", "--temperature", "0"]
# Short, so that a worker which keeps a question is noticed within the time of an attack.
FAULTS = ("faults: { deadline: 2s, request_deadline: 20s, silence: 10s, "
          "reconnect: { first: 100ms, most: 500ms } }\n")


HANGS = 180  # seconds after which a run is said to hang; it takes some five on an idle machine


def last_line(text):
    lines = text.strip().splitlines()
    return lines[-1][:160] if lines else ""


def entry(name, port, more, host="127.0.0.1"):
    return (f"  - {{ name: {name}, address: '127.0.0.1:{port}', start: never, tls_name: {host}, "
            f"{more} }}\n")


def expected_answer(build):
    done = build.run("run", "--model", TINY, *QUESTION, text="Who are you?")
    if done.returncode != 0 or not done.stdout.strip():
        raise RuntimeError(f"no answer without workers: {done.stderr[-200:]}")
    return done.stdout


def liar_wins(build, kind, deed, halves=False, shards=True, faults=FAULTS, has_spare=True):
    """A liar with the first columns (or all), an honest neighbour with the others, and a spare of
    the liar's share that is linked before the first lie is told."""
    enclave, share = (os.path.join(build.prepared(), half) if halves else TINY
                      for half in ("enclave", "worker"))
    mine = ["--columns", "1/2"] if shards else []
    columns = "columns: 1/2, " if shards else ""
    with contextlib.ExitStack() as stack:
        worker = stack.enter_context(Worker(build, *mine, model=share))
        gate = stack.enter_context(Gate(worker.port))
        plan = Plan(kind, deed, gate if has_spare else None)
        liar = stack.enter_context(Relay(build, worker.port, plan))
        workers = "workers:\n" + entry("liar", liar.port, f"{columns}layers: all", "localhost")
        if shards:
            neighbour = stack.enter_context(Worker(build, "--columns", "2/2", model=share))
            workers += entry("neighbour", neighbour.port, "columns: 2/2, layers: all")
        workers += entry("spare", gate.port, f"{columns}layers: all, role: replica")
        file = build.settings(workers + tls_settings(build) + faults, enclave)
        done = build.run("run", "--config", file, *QUESTION, text="Who are you?",
                         timeout=HANGS)
        if plan.done == 0:
            raise RuntimeError(f"the liar was not asked: {done.returncode} {done.stderr[-300:]}")
        if done.returncode != 0:
            return f"exit status {done.returncode}: {last_line(done.stderr)}"
        return "another answer" if done.stdout != expected_answer(build) else ""


def attack(*words, **options):
    return lambda build: liar_wins(build, *words, **options)


def gaps_of_rounds(events, bucket):
    """For each round of `bucket` rows, the median over layers of the time between a worker's
    answer for the queries, keys and values and the next question: what attention takes."""
    rounds, gaps, answered = [], [], None
    first = events[0][2]  # queries, keys and values of the first layer begin every round
    for when, direction, matrix, rows in events:
        if direction == "down":
            answered = when
            continue
        if matrix == first:
            rounds.append([])
            gaps = []
            answered = None
        if answered is not None:
            gaps.append(when - answered)
            rounds[-1] = gaps if rows == bucket else []
    layers = 6  # of the shipped model; each is four products, and the head comes last
    return [statistics.median(each[0:4 * layers:4]) for each in rounds if len(each) == 4 * layers]


def told_apart(left, right):
    """The probability that one of `left` is above one of `right`: 0.5 is chance."""
    pairs = [(a > b) + 0.5 * (a == b) for a in left for b in right]
    return sum(pairs) / len(pairs)


def dummy_rounds_by_the_clock(build):
    """Rounds of an answer against those that pad it, by the clock of the worker."""
    plan = Plan()
    text = ("masking: { padding: { buckets: [8, 256], rounds: 16 } }\n"
            "pipeline: { threads: 1, micro_batches: 1, prefill_chunk: 256 }\n")
    real, dummies = [], []
    with Worker(build) as worker, Relay(build, worker.port, plan) as relay:
        workers = "workers:\n" + entry("clock", relay.port, "layers: all", "localhost")
        with Gateway(build, workers + tls_settings(build) + text) as gateway:
            for turn in range(4):
                plan.events.clear()
                gateway.post("/v1/completions", {
                    "prompt": [5 + (i * 7 + turn) % 3000 for i in range(800)], "max_tokens": 9,
                    "temperature": 0, "ignore_eos": True})
                wait_until_quiet(plan)
                rounds = gaps_of_rounds(list(plan.events), 8)
                if len(rounds) < 12:
                    raise RuntimeError(f"{len(rounds)} rounds of padded answers were seen")
                real += rounds[:8]
                dummies += rounds[8:]
    apart = told_apart(real, dummies)
    return max(apart, 1 - apart) > 0.85


def wait_until_quiet(plan):
    """Dummy rounds go on after the answer has been sent."""
    seen = [-1]

    def is_quiet():
        before, seen[0] = seen[0], len(plan.events)
        return before == seen[0]
    until(is_quiet, pause=1.0)


BRIEF = FAULTS.replace("20s", "4s")
# Without a spare nobody can give the right answer.
CONTROLS = [
    (f"{what} without a spare", attack(kind, deed, shards=shards, halves=halves, faults=BRIEF,
                                       has_spare=False))
    for what, kind, deed, shards, halves in (
        ("a refused product", MASKED_TENSOR, "refuse:no_worker", False, False),
        ("a wrong product", MASKED_TENSOR, "flip", True, False),
        ("a wrong hint", HINT_REQUEST, "flip", True, False),
        ("a withheld panel", WEIGHT_REQUEST, "withhold", True, True))
]
FINDINGS = [
    ("5", "a worker that says no_worker ends the request, its replica unused",
     attack(MASKED_TENSOR, "refuse:no_worker", shards=False)),
    ("5", "a worker that says internal ends the request",
     attack(MASKED_TENSOR, "refuse:internal", shards=False)),
    ("6", "one lying column shard ends the request, its spare unused",
     attack(MASKED_TENSOR, "flip")),
    ("7", "a wrong hint of a column shard ends the start", attack(HINT_REQUEST, "flip")),
    ("7", "a withheld hint of a column shard ends or hangs the start",
     attack(HINT_REQUEST, "withhold")),
    ("7", "a wrong panel of weights ends the start", attack(WEIGHT_REQUEST, "flip", halves=True)),
    ("7", "a refused panel of weights ends the start",
     attack(WEIGHT_REQUEST, "refuse:internal", halves=True)),
    ("7", "a withheld panel of weights ends or hangs the start",
     attack(WEIGHT_REQUEST, "withhold", halves=True)),
    ("9", "dummy rounds of padding are told by a worker's clock", dummy_rounds_by_the_clock),
]
