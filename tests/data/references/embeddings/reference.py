#!/usr/bin/env python3
"""What the layers of tests/data/conformance/qwen3 make of a text, behind the final norm: the last row and the mean of all.

Written from the formulas of transformers' modeling_qwen3.py, in plain Python and float64, without anything of the program.
    ./reference.py > qwen3.json
"""
import json
import math
import pathlib
import struct
from operator import mul

DATA = pathlib.Path(__file__).resolve().parents[2]
MODEL = DATA / "conformance" / "qwen3"
PROMPTS = ["len001", "len002", "len023", "len060", "len150"]


def tensors():
    raw = (MODEL / "model.safetensors").read_bytes()
    (length,) = struct.unpack("<Q", raw[:8])
    out = {}
    for name, entry in json.loads(raw[8:8 + length]).items():
        if name == "__metadata__":
            continue
        assert entry["dtype"] == "BF16"
        begin, end = (8 + length + at for at in entry["data_offsets"])
        halves = struct.unpack(f"<{(end - begin) // 2}H", raw[begin:end])
        numbers = [struct.unpack("<f", struct.pack("<I", half << 16))[0] for half in halves]
        shape = entry["shape"]
        if len(shape) == 2:
            numbers = [numbers[r * shape[1]:(r + 1) * shape[1]] for r in range(shape[0])]
        out[name] = numbers
    return out


def times(matrix, x):
    return [sum(map(mul, row, x)) for row in matrix]


def norm(x, gain, eps):
    scale = 1 / math.sqrt(sum(v * v for v in x) / len(x) + eps)
    return [v * scale * g for v, g in zip(x, gain)]


def turn(head, position, theta):
    half = len(head) // 2
    out = [0.0] * len(head)
    for i in range(half):
        angle = position * theta ** (-2 * i / len(head))
        cos, sin = math.cos(angle), math.sin(angle)
        out[i] = head[i] * cos - head[i + half] * sin
        out[i + half] = head[i + half] * cos + head[i] * sin
    return out


def softmax(scores):
    top = max(scores)
    weights = [math.exp(s - top) for s in scores]
    total = sum(weights)
    return [w / total for w in weights]


def rows(model, config, ids):
    eps, dim = config["rms_norm_eps"], config["head_dim"]
    heads, kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
    hidden = [list(model["model.embed_tokens.weight"][i]) for i in ids]
    for layer in range(config["num_hidden_layers"]):
        get = lambda name: model[f"model.layers.{layer}.{name}.weight"]
        keys, values = [], []
        for position, h in enumerate(hidden):
            x = norm(h, get("input_layernorm"), eps)
            cut = lambda flat, n: [flat[i * dim:(i + 1) * dim] for i in range(n)]
            queries = [turn(norm(q, get("self_attn.q_norm"), eps), position, config["rope_theta"])
                       for q in cut(times(get("self_attn.q_proj"), x), heads)]
            keys.append([turn(norm(k, get("self_attn.k_norm"), eps), position, config["rope_theta"])
                         for k in cut(times(get("self_attn.k_proj"), x), kv_heads)])
            values.append(cut(times(get("self_attn.v_proj"), x), kv_heads))
            mixed = []
            for head, q in enumerate(queries):
                of = head // (heads // kv_heads)
                weights = softmax([sum(map(mul, q, k[of])) / math.sqrt(dim) for k in keys])
                mixed += [sum(w * v[of][i] for w, v in zip(weights, values)) for i in range(dim)]
            h = [a + b for a, b in zip(h, times(get("self_attn.o_proj"), mixed))]
            x = norm(h, get("post_attention_layernorm"), eps)
            gate, up = times(get("mlp.gate_proj"), x), times(get("mlp.up_proj"), x)
            inner = [g / (1 + math.exp(-g)) * u for g, u in zip(gate, up)]
            hidden[position] = [a + b for a, b in zip(h, times(get("mlp.down_proj"), inner))]
    return [norm(h, model["model.norm.weight"], eps) for h in hidden]


def main():
    model, config = tensors(), json.loads((MODEL / "config.json").read_text())
    out = []
    for prompt in PROMPTS:
        ids = json.loads((DATA / "references" / "qwen3" / f"{prompt}.json").read_text())["prompt_ids"]
        all_rows = rows(model, config, ids)
        mean = [sum(column) / len(ids) for column in zip(*all_rows)]
        out.append({"ids": ids, "last": all_rows[-1], "mean": mean})
    print(json.dumps({"texts": out}))


main()
