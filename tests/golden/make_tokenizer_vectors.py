#!/usr/bin/env python3
"""Writes tokenizer_vectors.json: what the Hugging Face `tokenizers` library (its Node package,
`npm install tokenizers@0.23`) makes of texts, for tokenizers of many shapes. Each is a base with some
fields replaced: models/talaria-tiny, or the small SentencePiece-style one below.

    make_tokenizer_vectors.py DIRECTORY_WITH_NODE_MODULES"""
import json
import pathlib
import random
import subprocess
import sys

here = pathlib.Path(__file__).resolve().parent
tiny = json.loads((here / "../../models/talaria-tiny/tokenizer.json").read_text())
chosen = random.Random(20240611)

LLAMA3 = tiny["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"]
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
O200K = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
         r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+"
         r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}"
         r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
KANA = r"[一-龥\u3040-ゟ゠-ヿ]+"


def split(pattern, behavior="Isolated", invert=False, kind="Regex"):
    return {"type": "Split", "pattern": {kind: pattern}, "behavior": behavior, "invert": invert}


def byte_level(prefix=False, regex=False):
    return {"type": "ByteLevel", "add_prefix_space": prefix, "trim_offsets": True,
            "use_regex": regex}


def steps(*list_):
    return {"type": "Sequence", "pretokenizers": list(list_)}


def added(id_, content, **options):
    return {"id": id_, "content": content, "single_word": False, "lstrip": False, "rstrip": False,
            "normalized": False, "special": True, **options}


def sentence_piece():
    vocab = {"<unk>": 0, "<s>": 1, "</s>": 2}
    for byte in range(256):
        vocab["<0x%02X>" % byte] = len(vocab)
    for character in "abcdefghilmnoprstuwyé▁.,'12":
        vocab.setdefault(character, len(vocab))
    merges = []
    for pair in ("▁ t|h e|▁t he|l l|e l|el l|ell o|h ello|▁ h|▁h ello|o r|w or|l d|wor ld|▁ wor|▁ ▁|"
                 "▁▁ ▁▁|a b|b a|ab a|he ll|hel l|hell o|e r|o w|▁ a").split("|"):
        left, right = pair.split(" ")
        if left in vocab and right in vocab:
            vocab.setdefault(left + right, len(vocab))
            merges.append([left, right])
    special = {token: {"id": token, "ids": [vocab[token]], "tokens": [token]}
               for token in ("<s>", "</s>")}
    around = [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
              {"SpecialToken": {"id": "</s>", "type_id": 0}}]
    return {"version": "1.0", "truncation": None, "padding": None,
            "added_tokens": [added(0, "<unk>"), added(1, "<s>"), added(2, "</s>")],
            "normalizer": {"type": "Sequence", "normalizers": [
                {"type": "Prepend", "prepend": "▁"},
                {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]},
            "pre_tokenizer": None,
            "post_processor": {"type": "TemplateProcessing", "single": around, "pair": [
                {"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
                "special_tokens": special},
            "decoder": {"type": "Sequence", "decoders": [
                {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
                {"type": "ByteFallback"}, {"type": "Fuse"},
                {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
            "model": {"type": "BPE", "dropout": None, "unk_token": "<unk>",
                      "continuing_subword_prefix": None, "end_of_word_suffix": None,
                      "fuse_unk": True, "byte_fallback": True, "ignore_merges": False,
                      "vocab": vocab, "merges": merges}}


piece = sentence_piece()
bases = {"talaria-tiny": tiny, "sentence-piece": piece}


def tokenizers():
    def of_tiny(name, **fields):
        return name, "talaria-tiny", fields

    def of_piece(name, **fields):
        return name, "sentence-piece", fields

    yield of_tiny("GPT-2", pre_tokenizer=byte_level(False, True))
    yield of_tiny("GPT-2 with prefix space", pre_tokenizer=byte_level(True, True))
    yield of_tiny("Qwen2", pre_tokenizer=steps(split(QWEN2), byte_level()),
                  normalizer={"type": "NFC"})
    yield of_tiny("o200k", pre_tokenizer=steps(split(O200K), byte_level()))
    yield of_tiny("digits and kana", normalizer={"type": "NFKC"}, pre_tokenizer=steps(
        split(KANA), {"type": "Digits", "individual_digits": True}, byte_level(False, True)))
    yield of_tiny("NFD, runs of digits", normalizer={"type": "NFD"}, pre_tokenizer=steps(
        {"type": "Digits", "individual_digits": False}, byte_level()))
    yield of_tiny("script and negations", normalizer={"type": "NFKD"}, pre_tokenizer=steps(
        split(r"\p{Han}+|[^\S\n]+|\S"), byte_level()))
    yield of_tiny("empty matches", pre_tokenizer=steps(split(r"x*"), byte_level()))
    for behavior in ("Isolated", "Removed", "MergedWithPrevious", "MergedWithNext", "Contiguous"):
        for invert in (False, True):
            yield of_tiny(f"{behavior}, invert {invert}", pre_tokenizer=steps(
                split(r"[aeiou ]|\p{N}", behavior, invert), byte_level()))
        yield of_tiny(f"{behavior} of a string", pre_tokenizer=steps(
            split(" ", behavior, False, "String"), byte_level()))
    for options in ({"lstrip": True}, {"rstrip": True}, {"single_word": True},
                    {"normalized": True, "special": False},
                    {"normalized": True, "special": False, "lstrip": True, "rstrip": True,
                     "single_word": True}):
        yield of_tiny(f"added tokens {options}", normalizer={"type": "NFC"}, added_tokens=tiny[
            "added_tokens"] + [added(4096, "foo", **options), added(4097, "foo bar", **options),
                               added(4098, "é!", **options), added(4099, "<mask>", lstrip=True)])
    yield of_piece("Llama-2")
    yield of_piece("Llama-2 without byte fallback", model={**piece["model"], "byte_fallback": False})
    yield of_piece("unknown tokens not fused", model={
        **piece["model"], "byte_fallback": False, "fuse_unk": False})
    yield of_piece("no unknown token", model={
        **piece["model"], "byte_fallback": False, "unk_token": None})
    yield of_piece("merges ignored for whole words", model={**piece["model"], "ignore_merges": True})
    for scheme in ("always", "first", "never"):
        for cuts in (False, True):
            space = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme,
                     "split": cuts}
            yield of_piece(f"Metaspace {scheme}, split {cuts}", normalizer=None,
                           pre_tokenizer=space, decoder=space)
    yield of_piece("no decoder", decoder=None)


fragments = [" ", "  ", "\n", "\r\n", "\t", "a", "A b", "foo", " foo ", "foo bar", "é", "e\u0301",
             "é!", "ﬁ", "ſ", "'s", "'ſ", "'S", "'LL", "'ll", "12", "1234", "٣", "½", "hello world",
             "the", "<s>", "</s>", "<mask>", " <mask> ", "<|im_end|>", "漢字", "カナ", "ひらがな",
             "\u0085", "\u00a0", "\u180e", "\u200b", "\u2028", "\u3000", "\x1c", "😀", "\u0000", "K",
             "İ", "ǅ", "ⅷ", "_", "-", "...", "!?", "▁", "xx", "aba", "क्षि", "\u0301", "$", "\u202f",
             "ß", "\u200d", "<0x41>", "A"]
texts = ["", " ", "Hello world's 1234567 'twas", "foo foobar barfoo foo.", "hello  hello   world\n",
         "  \n \n\t x", "don't DON'T 'ſ 'S"] + ["".join(
             chosen.choice(fragments) for _ in range(chosen.randrange(1, 12))) for _ in range(43)]

cases = []
for name, base, fields in tokenizers():
    whole = {**bases[base], **fields}
    size = 1 + max([*whole["model"]["vocab"].values(), *(t["id"] for t in whole["added_tokens"])])
    # Decoding: ids that form no byte sequences of their own, since the library and this project
    # mark ill-formed UTF-8 differently behind a byte fallback.
    low = 259 if base == "sentence-piece" else 0
    ids = [[chosen.randrange(low, size) for _ in range(6)] for _ in range(10)]
    cases.append({"name": name, "base": base, "fields": fields, "ids": ids})

script = """
const {Tokenizer} = require('tokenizers');
const input = JSON.parse(require('fs').readFileSync(0));
(async () => {
  const out = [];
  for (const one of input.cases) {
    const tokenizer = Tokenizer.fromString(JSON.stringify(one.whole));
    const result = {encoded: [], decoded: []};
    for (const text of input.texts)
      result.encoded.push((await tokenizer.encode(text, null, {addSpecialTokens: true})).getIds());
    for (const ids of one.ids) result.decoded.push(await tokenizer.decode(ids, true));
    out.push(result);
  }
  console.log(JSON.stringify(out));
})()
"""
request = {"texts": texts, "cases": [
    {"whole": {**bases[one["base"]], **one["fields"]}, "ids": one["ids"]} for one in cases]}
answer = json.loads(subprocess.run(["node", "-e", script], input=json.dumps(request), text=True,
                                   cwd=sys.argv[1], check=True, capture_output=True).stdout)
for one, result in zip(cases, answer):
    one["encoded"] = result["encoded"]
    one["decoded"] = result["decoded"]
(here / "tokenizer_vectors.json").write_text(json.dumps(
    {"sentence-piece": piece, "texts": texts, "tokenizers": cases}, ensure_ascii=True,
    separators=(",", ":")).replace('{"name"', '\n{"name"') + "\n")
