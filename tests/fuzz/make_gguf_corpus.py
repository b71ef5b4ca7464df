#!/usr/bin/env python3
"""Writes the seeds of fuzz_gguf: one small GGUF file for each architecture, kind of tokenizer and type
of block, with tensors of one block, because it is the header that a fuzzer should change.

    tests/fuzz/make_gguf_corpus.py FOLDER
"""
import pathlib
import struct
import sys

U32, I32, F32, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9
# Number of a block type -> bytes of a block, values of a block.
BLOCKS = {0: (4, 1), 1: (2, 1), 2: (18, 32), 6: (22, 32), 8: (34, 32), 12: (144, 256), 13: (176, 256), 14: (210, 256), 30: (2, 1)}


def text(value):
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


class File:
    def __init__(self, architecture):
        self.architecture, self.keys, self.tensors, self.data = architecture, [], [], b""
        self.key("general.architecture", architecture)

    def key(self, name, value):
        name = name.replace("ARCH", self.architecture)
        kind, body = self.encode(value)
        self.keys.append(text(name) + struct.pack("<I", kind) + body)

    def encode(self, value):
        if isinstance(value, bool):
            return BOOL, struct.pack("<B", value)
        if isinstance(value, int):
            return (I32, struct.pack("<i", value)) if value < 0 else (U32, struct.pack("<I", value))
        if isinstance(value, float):
            return F32, struct.pack("<f", value)
        if isinstance(value, str):
            return STRING, text(value)
        parts = [self.encode(each) for each in value]
        return ARRAY, struct.pack("<IQ", parts[0][0], len(parts)) + b"".join(body for _, body in parts)

    def tensor(self, name, shape, kind=0):
        size, values = BLOCKS[kind]
        elements = 1
        for each in shape:
            elements *= each
        info = text(name) + struct.pack("<I", len(shape)) + b"".join(struct.pack("<Q", n) for n in reversed(shape))
        self.tensors.append(info + struct.pack("<IQ", kind, len(self.data)))
        body = bytes((7 * i) % 251 for i in range(elements // values * size))
        self.data += body + bytes(-len(body) % 32)

    def write(self, path):
        head = b"GGUF" + struct.pack("<IQQ", 3, len(self.tensors), len(self.keys)) + b"".join(self.keys + self.tensors)
        path.write_bytes(head + bytes(-len(head) % 32) + self.data)


def decoder(architecture, layers=1, **more):
    file = File(architecture)
    for name, value in {"context_length": 64, "embedding_length": 32, "block_count": layers, "feed_forward_length": 32,
                        "attention.head_count": 4, "attention.head_count_kv": 2,
                        "attention.layer_norm_rms_epsilon": 1e-5, "rope.freq_base": 10000.0}.items():
        file.key("ARCH." + name, value)
    for name, value in more.items():
        file.key("ARCH." + name.replace("__", "."), value)
    file.tensor("token_embd.weight", (4, 2))
    file.tensor("output_norm.weight", (2,))
    for name in ("attn_norm", "attn_q", "ffn_down"):
        file.tensor(f"blk.0.{name}.weight", (2, 2))
    return file


def experts(file):
    for name in ("ffn_gate_exps", "ffn_up_exps", "ffn_down_exps"):
        file.tensor(f"blk.0.{name}.weight", (2, 2, 2))
    file.tensor("blk.0.ffn_gate_inp.weight", (2, 2))
    file.tensor("blk.0.ffn_gate_shexp.weight", (2, 2))
    return file


def byte_level(file, pre):
    file.key("tokenizer.ggml.model", "gpt2")
    file.key("tokenizer.ggml.pre", pre)
    file.key("tokenizer.ggml.tokens", ["a", "b", "ab", "\u0120", "<|im_end|>"])
    file.key("tokenizer.ggml.token_type", [1, 1, 1, 1, 3])
    file.key("tokenizer.ggml.merges", ["a b"])
    file.key("tokenizer.ggml.eos_token_id", 4)
    file.key("tokenizer.chat_template", "{% for m in messages %}{{ m['content'] }}{% endfor %}")
    return file


def sentence_piece(file):
    file.key("tokenizer.ggml.model", "llama")
    file.key("tokenizer.ggml.tokens", ["<unk>", "<s>", "</s>", "<0x41>", "\u2581", "a", "\u2581a", "  "])
    file.key("tokenizer.ggml.scores", [0.0, 0.0, 0.0, 0.0, -1.0, -2.0, -3.0, -4.0])
    file.key("tokenizer.ggml.token_type", [2, 3, 3, 6, 1, 1, 1, 4])
    for name, value in {"bos_token_id": 1, "eos_token_id": 2, "unknown_token_id": 0, "padding_token_id": -1,
                        "add_bos_token": True, "add_eos_token": True, "add_space_prefix": False}.items():
        file.key("tokenizer.ggml." + name, value)
    return file


def files():
    mixture = {"expert_count": 2, "expert_used_count": 1}
    yield "llama", byte_level(decoder("llama"), "llama-bpe")
    yield "llama_sentence_piece", sentence_piece(decoder("llama", attention__key_length=8))
    linear = decoder("llama", rope__scaling__type="linear", rope__scaling__factor=2.0)
    linear.tensor("rope_freqs.weight", (2,))
    yield "llama_factors", linear
    yield "llama_yarn", decoder("llama", rope__scaling__type="yarn", rope__scaling__factor=4.0, rope__scaling__yarn_beta_fast=32.0,
                                rope__scaling__original_context_length=32, rope__scaling__attn_factor=1.0)
    long = sentence_piece(decoder("phi3", attention__sliding_window=16, rope__dimension_count=4,
                                  rope__scaling__original_context_length=32))
    for name in ("short", "long"):
        long.tensor(f"rope_factors_{name}.weight", (2,))
    yield "phi3_long", long
    for name, pre in {"smollm3": "smollm", "granite": "refact", "qwen2": "qwen2", "qwen3": "deepseek-r1-qwen", "glm4": "glm4"}.items():
        yield name, byte_level(decoder(name), pre)
    yield "gemma2", sentence_piece(decoder("gemma2", attention__sliding_window=16, attn_logit_softcapping=50.0))
    yield "gemma3", decoder("gemma3", attention__sliding_window=16, attention__sliding_window_pattern=[True], rope__freq_base_swa=10000.0)
    yield "olmo2", byte_level(decoder("olmo2", attention__sliding_window=16, attention__sliding_window_pattern=4), "olmo")
    yield "mixtral", sentence_piece(experts(decoder("llama", **mixture)))
    for name in ("qwen2moe", "qwen3moe", "olmoe"):
        yield name, experts(decoder(name, expert_feed_forward_length=2, expert_weights_norm=True, **mixture))
    oss = byte_level(experts(decoder("gpt-oss", attention__sliding_window=16, expert_gating_func=3, **mixture)), "gpt-4o")
    oss.tensor("blk.0.attn_sinks.weight", (4,))
    oss.tensor("blk.0.ffn_down_exps.bias", (2, 2))
    yield "gpt_oss", oss
    hybrid = byte_level(decoder("qwen35", layers=4, ssm__time_step_rank=4, ssm__inner_size=32, ssm__group_count=2, ssm__state_size=8,
                                ssm__conv_kernel=4, full_attention_interval=4, rope__dimension_count=4), "qwen35")
    hybrid.tensor("blk.0.ssm_conv1d.weight", (2, 2))
    hybrid.tensor("blk.0.ssm_a", (2,))
    yield "qwen35", hybrid
    yarn = {"rope__scaling__type": "yarn", "rope__scaling__factor": 4.0, "rope__scaling__original_context_length": 32}
    yield "mistral3", byte_level(decoder("mistral3", attention__temperature_scale=0.1, rope__scaling__yarn_log_multiplier=1.0, **yarn), "tekken")
    latent = byte_level(experts(decoder("deepseek2", attention__key_length=6, attention__value_length=2, attention__key_length_mla=6,
                                        attention__value_length_mla=2, attention__kv_lora_rank=2, attention__q_lora_rank=2,
                                        rope__dimension_count=4, rope__scaling__yarn_log_multiplier=0.1, expert_gating_func=2,
                                        expert_shared_count=1, expert_group_count=1, expert_group_used_count=1, **mixture, **yarn)), "deepseek-v3")
    for name in ("attn_k_b", "attn_v_b"):
        latent.tensor(f"blk.0.{name}.weight", (2, 2, 2))
    latent.tensor("blk.0.exp_probs_b.bias", (2,))
    yield "deepseek2", latent
    shared = File("gemma4")
    for name, value in {"context_length": 64, "embedding_length": 32, "block_count": 2, "feed_forward_length": [32, 64],
                        "attention.head_count": 4, "attention.head_count_kv": [2, 2], "attention.layer_norm_rms_epsilon": 1e-5,
                        "attention.key_length": 8, "attention.value_length": 8, "attention.key_length_swa": 4,
                        "attention.sliding_window": 16, "attention.sliding_window_pattern": [False, False],
                        "attention.shared_kv_layers": 1, "embedding_length_per_layer_input": 2}.items():
        shared.key("ARCH." + name, value)
    for name, shape in {"token_embd": (4, 2), "per_layer_token_embd": (4, 4), "output_norm": (2,), "blk.0.attn_q": (2, 2),
                        "blk.0.layer_output_scale": (1,), "rope_freqs": (4,)}.items():
        shared.tensor(name + ".weight", shape)
    shared.key("tokenizer.ggml.model", "gemma4")
    shared.key("tokenizer.ggml.tokens", ["<unk>", "<bos>", "<eos>", "a"])
    shared.key("tokenizer.ggml.merges", ["a a"])
    shared.key("tokenizer.ggml.bos_token_id", 1)
    yield "gemma4", shared
    blocks = decoder("llama")
    for kind, (_, values) in BLOCKS.items():
        blocks.tensor(f"blk.0.ffn_up.{kind}", (1, values), kind)
    yield "every_block", blocks


folder = pathlib.Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
for name, file in files():
    file.write(folder / name)
