"""Log probabilities of a text by the shipped model in float64, in the file format of llama.cpp's perplexity tool.

    make_base.py TOKENS.json WINDOW OUT    (TOKENS.json: the ids of a text, beginning-of-text in front)

Written apart from the program: numpy, one window at a time, no cache. Weights are the checkpoint's bf16, widened; rotary
angles are in float32, as published implementations have them. Prints the perplexity of what is scored: the second half of
each window."""
import json, os, struct, sys
import numpy as np

MODEL = os.path.join(os.path.dirname(os.path.abspath(__file__)), '../../../../models/talaria-tiny')


def weights():
    raw = open(os.path.join(MODEL, 'model.safetensors'), 'rb').read()
    size = struct.unpack('<Q', raw[:8])[0]
    out = {}
    for name, entry in json.loads(raw[8:8 + size]).items():
        if name == '__metadata__':
            continue
        begin, end = entry['data_offsets']
        bits = np.frombuffer(raw[8 + size + begin:8 + size + end], '<u2').astype('<u4') << 16
        out[name] = bits.view('<f4').astype(np.float64).reshape(entry['shape'])
    return out


class Model:
    def __init__(self):
        self.c = json.load(open(os.path.join(MODEL, 'config.json')))
        self.w = weights()
        self.dim = self.c['head_dim']
        self.freq = (1.0 / np.float32(self.c['rope_theta']) ** (np.arange(0, self.dim, 2, dtype=np.float32) / np.float32(self.dim))).astype(np.float32)

    def norm(self, x, name):
        return self.w[name] * x / np.sqrt((x * x).mean(-1, keepdims=True) + self.c['rms_norm_eps'])

    def lin(self, x, name):
        return x @ self.w[name].T

    def rope(self, x):  # [T, heads, dim]; halves turn together
        angle = (np.arange(len(x), dtype=np.float32)[:, None] * self.freq).astype(np.float32)
        cos, sin = np.cos(angle).astype(np.float64)[:, None], np.sin(angle).astype(np.float64)[:, None]
        a, b = x[..., :self.dim // 2], x[..., self.dim // 2:]
        return np.concatenate([a * cos - b * sin, b * cos + a * sin], -1)

    def attention(self, x, p):
        heads, kv, n = self.c['num_attention_heads'], self.c['num_key_value_heads'], len(x)
        q = self.rope(self.lin(x, p + 'q_proj.weight').reshape(n, heads, self.dim))
        k = self.rope(self.lin(x, p + 'k_proj.weight').reshape(n, kv, self.dim))
        v = self.lin(x, p + 'v_proj.weight').reshape(n, kv, self.dim)
        out = np.empty_like(q)
        for h in range(heads):
            s = q[:, h] @ k[:, h * kv // heads].T / np.sqrt(self.dim)
            s[np.triu_indices(n, 1)] = -np.inf
            s = np.exp(s - s.max(-1, keepdims=True))
            out[:, h] = s / s.sum(-1, keepdims=True) @ v[:, h * kv // heads]
        return self.lin(out.reshape(n, -1), p + 'o_proj.weight')

    def log_probabilities(self, ids):
        x = self.w['model.embed_tokens.weight'][ids]
        for l in range(self.c['num_hidden_layers']):
            p = 'model.layers.%d.' % l
            x = x + self.attention(self.norm(x, p + 'input_layernorm.weight'), p + 'self_attn.')
            a = self.norm(x, p + 'post_attention_layernorm.weight')
            g = self.lin(a, p + 'mlp.gate_proj.weight')
            u = self.lin(a, p + 'mlp.up_proj.weight')
            x = x + self.lin(g / (1 + np.exp(-g)) * u, p + 'mlp.down_proj.weight')
        z = self.lin(self.norm(x, 'model.norm.weight'), 'model.embed_tokens.weight')
        z = z - z.max(-1, keepdims=True)
        return z - np.log(np.exp(z).sum(-1, keepdims=True))


def packed(row):
    least = max(row.min(), row.max() - 16)
    scale = np.float32((row.max() - least) / 65535)
    steps = np.rint((np.maximum(row, least) - least) / np.float64(scale)).clip(0, 65535)
    return struct.pack('<ff', scale, np.float32(least)) + steps.astype('<u2').tobytes()


def main():
    ids, window, out = json.load(open(sys.argv[1])), int(sys.argv[2]), sys.argv[3]
    count = len(ids) // window
    ids = np.array(ids[:count * window]).reshape(count, window)
    model, first, loss = Model(), window // 2, []
    vocab = model.c['vocab_size']
    assert vocab % 2 == 0
    with open(out, 'wb') as f:
        f.write(b'_logits_' + struct.pack('<III', window, vocab, count) + ids.astype('<u4').tobytes())
        for one in ids:
            asked = one[:-1].copy()
            asked[0] = model.c['bos_token_id']
            rows = model.log_probabilities(asked)[first:]
            f.write(b''.join(packed(r) for r in rows))
            loss += [-r[t] for r, t in zip(rows, one[first + 1:])]
    print('%d positions, perplexity %.6f' % (len(loss), np.exp(np.mean(loss))))


if __name__ == '__main__':
    main()
