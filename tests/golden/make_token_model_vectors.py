#!/usr/bin/env python3
"""Writes token_model_vectors.json: what the Hugging Face `tokenizers` library (its Node package,
`npm install tokenizers@0.23`) makes of texts by Unigram and WordPiece models, with the normalizers,
pre-tokenizers, decoders and post-processors that they come with.

    make_token_model_vectors.py DIRECTORY_WITH_NODE_MODULES [TEXTS]"""
import base64
import json
import pathlib
import random
import struct
import subprocess
import sys

here = pathlib.Path(__file__).resolve().parent
chosen = random.Random(20261130)


def special(id_, content):
    return {"id": id_, "content": content, "single_word": False, "lstrip": False, "rstrip": False,
            "normalized": False, "special": True}


def document(model, normalizer, pre_tokenizer, decoder, added, post=None):
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added,
            "normalizer": normalizer, "pre_tokenizer": pre_tokenizer, "post_processor": post,
            "decoder": decoder, "model": model}


SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = ("the quick brown fox jumps over lazy dog hello world un ##able ##ing ##s ##ed play run "
         "##ning 1 2 12 ##3 . , ! ? ' - 漢 字 é e ##\u0301 do not n't 'm 's a ##a ##b c ##c it ##' "
         "straße ß ##ße σ ##ς ##σ ı i").split()
WORD_IDS = {token: id_ for id_, token in enumerate(SPECIAL + list(dict.fromkeys(WORDS)))}
BERT_ADDED = [special(WORD_IDS[token], token) for token in SPECIAL]
BERT = {"type": "BertPreTokenizer"}
BERT_DECODER = {"type": "WordPiece", "prefix": "##", "cleanup": True}
BERT_POST = {"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]}

PIECES = [["<unk>", 0.0], ["<s>", 0.0], ["</s>", 0.0], ["▁", -2.0], ["▁the", -3.5], ["▁he", -4],
          ["llo", -4.2], ["▁hello", -6.1], ["▁world", -5.9], ["wor", -4.9], ["ld", -4.4],
          ["a", -3.1], ["b", -3.3], ["ab", -6.4], ["ba", -6.3], ["aba", -9.5], ["e", -2.9],
          ["h", -3.4], ["l", -3.4], ["o", -3.2], ["r", -3.3], ["w", -3.9], ["d", -3.8], ["t", -3.0],
          ["s", -3.0], ["▁a", -3.6], [".", -3.0], [",", -3.2], ["1", -4], ["2", -4], ["12", -7.9],
          ["é", -6], ["▁▁", -4.0], ["漢", -8], ["字", -8], ["ing", -4.0], ["n", -3.1], ["i", -3.2],
          ["g", -3.8], ["'s", -4.1], ["▁'", -5]]
BYTES = [["<0x%02X>" % byte, -12.0] for byte in range(256)]
METASPACE = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}
PIECE_ADDED = [special(0, "<unk>"), special(1, "<s>"), special(2, "</s>")]
ROBERTA_POST = {"type": "RobertaProcessing", "sep": ["</s>", 2], "cls": ["<s>", 1],
                "trim_offsets": True, "add_prefix_space": False}


def words(**fields):
    return {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100, "vocab": WORD_IDS, **fields}


def bert(**fields):
    return {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True,
            "strip_accents": None, "lowercase": True, **fields}


def pieces(extra=(), **fields):
    return {"type": "Unigram", "unk_id": 0, "vocab": [*PIECES, *extra], **fields}


def sequence(*steps, of="normalizers"):
    return {"type": "Sequence", of: list(steps)}


def double_array(table):
    """A trie of the keys in Darts' form, as units of 32 bits."""
    trie = {}
    for key, value in table.items():
        node = trie
        for byte in key.encode():
            node = node.setdefault(byte, {})
        node["value"] = value
    units, used = {0: 0}, {0}

    def place(node, at):
        children = sorted(key for key in node if key != "value")
        labels = ([0] if "value" in node else []) + children
        base = 1
        while any(base ^ label in used for label in labels):
            base += 1
        used.update(base ^ label for label in labels)
        units[at] = units.get(at, 0) | (base ^ at) << 10 | (256 if "value" in node else 0)
        if "value" in node:
            units[base] = 1 << 31 | node["value"]
        for child in children:
            units[base ^ child] = child
        for child in children:
            place(node[child], base ^ child)

    place(trie, 0)
    return [units.get(i, 0) for i in range((max(units) | 255) + 1)]


def precompiled():
    replacements, table = b"", {}
    for key, value in {"ﬁ": "fi", "Ａ": "A", "\t": " ", "\n": " ", "\r": " ", "\u00a0": " ",
                       "①": "1", "e\u0301": "é", "ｶﾞ": "ガ", "½": "1/2", "\u200b": "", "A\u030a": "Å",
                       "㍿": "株式会社"}.items():
        table[key] = len(replacements)
        replacements += value.encode() + b"\0"
    units = double_array(table)
    trie = struct.pack("<%dI" % len(units), *units)
    return {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(
        struct.pack("<I", len(trie)) + trie + replacements).decode()}


def without_type(model):
    return {key: value for key, value in model.items() if key != "type"}


def tokenizers():
    def of_words(name, model, normalizer, pre_tokenizer, decoder=BERT_DECODER, post=BERT_POST):
        return name, document(model, normalizer, pre_tokenizer, decoder, BERT_ADDED, post)

    def of_pieces(name, model, normalizer=None, space=METASPACE, pre_tokenizer=METASPACE, post=None):
        return name, document(model, normalizer, pre_tokenizer, space, PIECE_ADDED, post)

    yield of_words("BERT", words(), bert(), BERT)
    yield of_words("BERT, cased", words(), bert(lowercase=False), BERT,
                   {**BERT_DECODER, "cleanup": False})
    yield of_words("short words, accents stripped", words(max_input_chars_per_word=4), bert(
        strip_accents=True, lowercase=False, handle_chinese_chars=False), BERT)
    yield of_words("accents kept", words(), bert(strip_accents=False, clean_text=False), BERT)
    yield of_words("Whitespace", words(), sequence(
        {"type": "NFD"}, {"type": "StripAccents"}, {"type": "Lowercase"}), {"type": "Whitespace"})
    yield of_words("WhitespaceSplit", words(), {"type": "Strip", "strip_left": True,
                                                "strip_right": True},
                   {"type": "WhitespaceSplit"}, post=None)
    for behavior in ("Isolated", "Removed", "MergedWithPrevious", "MergedWithNext", "Contiguous"):
        yield of_words("Punctuation " + behavior, words(), {"type": "Lowercase"}, sequence(
            {"type": "CharDelimiterSplit", "delimiter": " "},
            {"type": "Punctuation", "behavior": behavior}, of="pretokenizers"), post=None)
    yield of_words("WordPiece by its fields", without_type(words()), bert(), BERT)
    yield of_pieces("Unigram", pieces(), post=ROBERTA_POST)
    yield of_pieces("Unigram with bytes", pieces(BYTES, byte_fallback=True))
    yield of_pieces("Unigram with some bytes", pieces(BYTES[:200], byte_fallback=True))
    yield of_pieces("XLM-RoBERTa", pieces(), sequence(precompiled(), {
        "type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}), METASPACE, sequence(
            {"type": "WhitespaceSplit"}, METASPACE, of="pretokenizers"), ROBERTA_POST)
    yield of_pieces("Precompiled", pieces([["A", -5.0], ["f", -4.0], ["ガ", -6.0], ["/", -5.0]]),
                    precompiled())
    yield of_pieces("Nmt", pieces(), sequence(
        {"type": "Nmt"}, {"type": "NFKC"}, {"type": "Strip", "strip_left": False,
                                            "strip_right": True}, {"type": "Lowercase"}),
                    pre_tokenizer={**METASPACE, "prepend_scheme": "first"})
    yield of_pieces("Unigram by its fields", without_type(pieces()))
    yield of_pieces("ties", pieces([["abab", -12.8], ["bab", -9.6], ["aa", -6.2], ["aaa", -9.3],
                                    ["<unk>x", -1.0]]), space=None, pre_tokenizer=None)
    yield of_pieces("another unknown token", pieces(unk_id=3))


fragments = [" ", "  ", "\n", "\t", "the", "The", "quick", "unable", "playing", "runs", "hello",
             "Hello", "HELLO", "world", "a", "ab", "aba", "abab", "aaa", "12", "123", "1.", "don't",
             "do not", "I'm", "it's", ",", ".", "!?", "漢字", "漢", "é", "e\u0301", "É", "straße",
             "Σ", "ΣΑΣ", "ς", "İ", "ı", "ﬁ", "Ａ", "①", "½", "\u200b", "\u00a0", "\u00ad", "\u0000",
             "\u0007", "\ufffd", "\ue000", "\u0378", "😀", "👍🏽", "ｶﾞ", "㍿", "\r\n", "A\u030a", "Å",
             "क्षि", "각", "\u1100\u1161\u11a8", "▁", "'s", "<s>", "</s>", "<unk>", "[MASK]", "[UNK]",
             "x", "_", "-", "\u2028", "\u3000", "¿", "«", "\u20dd", "\u0903", "Ⓐ", "²", "\u200d", "K"]
count = int(sys.argv[2]) if len(sys.argv) > 2 else 60
texts = ["", "  ", " hello world.", "The quick brown fox jumps over the lazy dog!"] + ["".join(
    chosen.choice(fragments) for _ in range(chosen.randrange(1, 10))) for _ in range(count)]

cases = []
for name, whole in tokenizers():
    size = min(len(whole["model"]["vocab"]), len(WORD_IDS))
    if "unk_id" in whole["model"]:
        size = len(PIECES)  # no bytes, which are no characters in this order
    ids = [[chosen.randrange(0, size) for _ in range(7)] for _ in range(10)]
    cases.append({"name": name, "whole": whole, "ids": ids})

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
answer = json.loads(subprocess.run(
    ["node", "-e", script], input=json.dumps({"texts": texts, "cases": cases}), text=True,
    cwd=sys.argv[1], check=True, capture_output=True).stdout)
for one, result in zip(cases, answer):
    one.update(result)
(here / "token_model_vectors.json").write_text(json.dumps(
    {"texts": texts, "tokenizers": cases}, ensure_ascii=True,
    separators=(",", ":")).replace('{"name"', '\n{"name"') + "\n")
