#!/usr/bin/env python3
"""Writes remo_vectors.json: the lattice scheme step by step, for fixed small secrets and toy rings.

Usage: python3 tests/golden/make_vectors.py   (standard library; deterministic: the file does not change)

Everything here is exact integer arithmetic written as plainly as possible; it shares no code and no
algorithm with the C++ side. Vectors in the transform domain are in natural order: index m holds the
value at psi^(2m+1).
"""
import hashlib, json, math, pathlib, random, struct

ETA, TAU = 21, 9.5
P40 = 2**40 - 87  # the largest prime below 2^40
SETS = {  # q and the modulus of switched replies; then p, where masks are rounded
    'S48': (2**48 - 2**14 + 1, 2**32),
    'S46': (2**46 - 2**19 + 2**14 + 1, 2**32),
    'S40': (2**40 - 9 * 2**14 + 1, 2**32),
    'S54': (2**54 - 2**24 + 1, 2**40),
    'R48': (2**48 - 2**14 + 1, 2**32, P40),
    'R43': (2**43 - 13311, 2**32, P40),
}
RELEASE_SEED = b'talaria 0.1 public matrix'


def root(n, q):
    """psi, of order 2n: a power of the least quadratic non-residue."""
    g = next(a for a in range(2, 999) if pow(a, (q - 1) // 2, q) == q - 1)
    return pow(g, (q - 1) // (2 * n), q)


def ntt(a, q):
    n, psi = len(a), root(len(a), q)
    return [sum(a[i] * pow(psi, i * (2 * m + 1), q) for i in range(n)) % q for m in range(n)]


def inverse_ntt(a, q):
    n, psi = len(a), root(len(a), q)
    scale = pow(n, -1, q)
    return [scale * sum(a[m] * pow(psi, -i * (2 * m + 1), q) for m in range(n)) % q
            for i in range(n)]


def expand_a(seed, k, d_in, n, q, p=None):
    """[k][d_in][n] by SHAKE-256 and rejection."""
    need, bits = k * d_in * n, q.bit_length()
    xof = hashlib.shake_256(seed + b'|A|%d|%d|%d|%d' % (k, d_in, n, q) + (b'|%d' % p if p else b''))
    drawn = need + need // 64 + 64
    raw = (word >> (64 - bits) for word in struct.unpack('<%dQ' % drawn, xof.digest(8 * drawn)))
    values = iter([value for value in raw if value < q][:need])
    return [[[next(values) for _ in range(n)] for _ in range(d_in)] for _ in range(k)]


def centered(a, q):
    a %= q
    return a - q if a > q // 2 else a


def signed_limbs(c, q):
    """Digits in [-128, 127], least first: how a GPU with signed int8 sees a word."""
    count = (q.bit_length() + 7) // 8
    c = centered(c, q)
    if c > 127 * ((256**count - 1) // 255): c -= q
    digits = []
    for _ in range(count):
        digits.append((c + 128) % 256 - 128)
        c = (c - digits[-1]) >> 8
    assert c == 0
    return digits


def limb_product(c, w, q):
    """One product per limb, recombined by Horner: must equal c W mod q."""
    digits = [[signed_limbs(value, q) for value in row] for row in c]
    out = []
    for row in digits:
        acc = [0] * len(w[0])
        for limb in reversed(range(len(row[0]))):
            for j in range(len(acc)):
                part = sum(row[i][limb] * w[i][j] for i in range(len(w)))
                acc[j] = (256 * acc[j] + part) % q
        out.append(acc)
    return out


def rounded(a, b):
    """round(a / b) for b > 0, halves upward."""
    return (2 * a + b) // (2 * b)


def bounds(w, q, q_down, p=None):
    """With p: for words modulo p, whose masks are rounded."""
    norm = math.sqrt(max(sum(row[j] ** 2 for row in w) for j in range(len(w[0]))))
    words = p or q
    error = math.sqrt(ETA / 2 * (p / q) ** 2 + 1 / 12) if p else math.sqrt(ETA / 2)
    noise = TAU * error * norm + words / (2 * q_down) + (1.5 if p else 1)
    bits = math.ceil(math.log2(2 * noise + 2))
    return norm, noise, bits, min((words / 2 - noise - 1) / (2**bits * norm), 2**29)


def filled(draw, *shape):
    return [filled(draw, *shape[1:]) for _ in range(shape[0])] if shape else draw()


def case(name, n, k, d_in, d_out, rows, seed):
    q, q_down, *rounds = SETS[name]
    p = rounds[0] if rounds else None
    rng = random.Random(seed)
    ints = lambda low, high, *shape: filled(lambda: rng.randrange(low, high), *shape)
    coins = lambda: rng.getrandbits(ETA).bit_count()
    cbd = lambda *shape: filled(lambda: coins() - coins(), *shape)
    w = ints(-127, 128, d_in, d_out)
    norm, noise, bits, limit = bounds(w, q, q_down, p)
    a = expand_a(RELEASE_SEED, k, d_in, n, q, p)
    hint = [[[sum(a[kk][i][m] * w[i][j] for i in range(d_in)) % q for m in range(n)]
             for j in range(d_out)] for kk in range(k)]
    s, e = cbd(k, n), cbd(d_in, n)
    s_ntt = [ntt(poly, q) for poly in s]

    def masks(matrix, count):
        return [inverse_ntt([sum(s_ntt[kk][m] * matrix[kk][i][m] for kk in range(k)) % q
                             for m in range(n)], q) for i in range(count)]

    u = [[(value + noise_) % q for value, noise_ in zip(poly, e[i])]
         for i, poly in enumerate(masks(a, d_in))]
    v = masks(hint, d_out)
    mask_words = {}
    if p:  # from here on everything is modulo p
        mask_words = {'p': p, 'unrounded_u': u, 'unrounded_v': v}
        u, v = ([[rounded(value * p, q) % p for value in poly] for poly in part] for part in (u, v))
        q = p

    used = ints(0, n, rows)
    largest = int(limit / math.sqrt(d_in)) - 1
    x = ints(-largest, largest + 1, rows, d_in)
    c = [[((x[r][i] << bits) + u[i][used[r]]) % q for i in range(d_in)] for r in range(rows)]
    y = [[sum(c[r][i] * w[i][j] for i in range(d_in)) % q for j in range(d_out)] for r in range(rows)]
    assert limb_product(c, w, q) == y
    switched = [[rounded(value * q_down, q) % q_down for value in row] for row in y]

    def decode(row, r):
        return [rounded(centered(row[j] - v[j][used[r]], q), 2**bits) for j in range(d_out)]

    decoded = [decode(y[r], r) for r in range(rows)]
    assert decoded == [[sum(x[r][i] * w[i][j] for i in range(d_in)) for j in range(d_out)]
                       for r in range(rows)]
    assert decoded == [decode([rounded(value * q, q_down) for value in switched[r]], r)
                       for r in range(rows)]
    z = ints(0, q, 3 if p else 2, d_out)
    q_masks = SETS[name][0]
    poly = ints(0, q_masks, n)
    return {
        'name': name, 'q': q_masks, **mask_words, 'reply_modulus': q_down, 'n': n, 'k': k, 'd_in': d_in, 'd_out': d_out,
        'psi': root(n, q_masks), 'polynomial': poly, 'polynomial_ntt': ntt(poly, q_masks),
        'weights': w, 'column_norm': norm, 'noise': noise, 'delta_bits': bits,
        'activation_norm': limit, 'a': a, 'hint': hint, 'secret': s, 'errors': e,
        'u': u, 'v': v, 'used_rows': used, 'x': x, 'ciphertext': c,
        'limbs': [[signed_limbs(value, q) for value in row] for row in c],
        'reply': y, 'switched_reply': switched, 'decoded': decoded, 'z': z,
        't': [[sum(w[i][j] * zz[j] for j in range(d_out)) % q for i in range(d_in)] for zz in z],
    }


def expansion_digest(name, n, k, d_in):
    """SHA-256 of A for a real set, [k][d_in][n] as 8-byte little-endian words."""
    q, _, *p = SETS[name]
    a = expand_a(RELEASE_SEED, k, d_in, n, q, *p)
    words = b''.join(value.to_bytes(8, 'little') for rows in a for row in rows for value in row)
    return {'name': name, 'd_in': d_in, 'sha256': hashlib.sha256(words).hexdigest()}


def expansion_with_rejections():
    """A small modulus far below the next power of two: one word in sixteen is rejected."""
    q, n, k, d_in = 7681, 8, 2, 3
    return {'q': q, 'n': n, 'k': k, 'd_in': d_in, 'a': expand_a(RELEASE_SEED, k, d_in, n, q)}


def main():
    vectors = {
        'seed': RELEASE_SEED.decode(),
        'cases': [case('S48', 16, 3, 5, 4, 3, 1), case('S46', 16, 2, 7, 3, 3, 2),
                  case('S40', 8, 2, 3, 9, 2, 3), case('S54', 32, 1, 4, 5, 3, 4),
                  case('S48', 8, 9, 1, 1, 2, 5), case('R48', 16, 3, 6, 4, 3, 6),
                  case('R43', 32, 2, 5, 3, 3, 7)],
        'rejections': expansion_with_rejections(),
        'expansions': [expansion_digest('S48', 256, 9, 3), expansion_digest('S46', 256, 8, 2),
                       expansion_digest('S40', 256, 7, 2), expansion_digest('S54', 256, 10, 2),
                       expansion_digest('R48', 256, 9, 3), expansion_digest('R43', 512, 4, 2)],
    }
    path = pathlib.Path(__file__).with_name('remo_vectors.json')
    cases = ',\n'.join(json.dumps(value, separators=(',', ':')) for value in vectors['cases'])
    path.write_text('{"seed":%s,\n"cases":[\n%s],\n"rejections":%s,\n"expansions":%s}\n' % (
        json.dumps(vectors['seed']), cases, json.dumps(vectors['rejections']),
        json.dumps(vectors['expansions'])))
    print(path, path.stat().st_size, 'bytes')


if __name__ == '__main__': main()
