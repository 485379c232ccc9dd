#!/usr/bin/env python3
"""Makes the tokenizer's goldens in tests/golden/tokenizer; not needed to run the tests.

  strings.json           alphabets, phrases and separators from which test strings are drawn (here and in C++)
  tokenizer.json         a small byte-level BPE with o200k's split pattern and the Harmony special tokens
  ranks.tiktoken         the same tokens as a tiktoken rank file
  *.hashes.json          hashes of the ids that the packages `tokenizers` and `tiktoken` give for the strings
  manifest.json          versions and sha256

Usage:  tokenizer_golden.py train            strings.json, tokenizer.json, ranks.tiktoken (trained on this repository)
        tokenizer_golden.py hash [O200K]     the hashes; O200K is the path of o200k_base.tiktoken
        tokenizer_golden.py show N [O200K]   string N and its ids
Needs:  pip install tiktoken tokenizers regex, Python's own Unicode tables at 14.0 (Python 3.11)
"""

import base64
import hashlib
import json
import pathlib
import platform
import sys
import unicodedata

REPO = pathlib.Path(__file__).resolve().parent.parent
FOLDER = REPO / "tests/golden/tokenizer"
STRINGS = 24_000
BATCH = 10  # strings per hash
VOCABULARY = 3072
O200K_SHA256 = "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d"

UPPER = r"\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}"
LOWER = r"\p{Ll}\p{Lm}\p{Lo}\p{M}"
SUFFIX = "(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
PATTERN = "|".join([
    rf"[^\r\n\p{{L}}\p{{N}}]?[{UPPER}]*[{LOWER}]+{SUFFIX}",
    rf"[^\r\n\p{{L}}\p{{N}}]?[{UPPER}]+[{LOWER}]*{SUFFIX}",
    r"\p{N}{1,3}",
    r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
    r"\s*[\r\n]+",
    r"\s+(?!\S)",
    r"\s+",
])

# Ids 199998 to 200018 of o200k_harmony, in order.
NAMED = {0: "startoftext", 1: "endoftext", 4: "return", 5: "constrain", 7: "channel", 8: "start", 9: "end",
         10: "message", 14: "call", 20: "endofprompt"}
SPECIALS = [f"<|{NAMED.get(i, f'reserved_{199998 + i}')}|>" for i in range(21)]

BLOCKS = {
    "latin": (0x41, 0x17F), "latin_extended": (0x180, 0x24F), "ipa": (0x250, 0x2FF), "marks": (0x300, 0x36F),
    "greek": (0x370, 0x3FF), "cyrillic": (0x400, 0x52F), "armenian": (0x531, 0x58A), "hebrew": (0x591, 0x5F4),
    "arabic": (0x600, 0x6FF), "syriac": (0x700, 0x74A), "devanagari": (0x900, 0x97F), "bengali": (0x980, 0x9FB),
    "gurmukhi": (0xA01, 0xA76), "tamil": (0xB82, 0xBFA), "telugu": (0xC00, 0xC7F), "kannada": (0xC80, 0xCF2),
    "malayalam": (0xD00, 0xD7F), "sinhala": (0xD81, 0xDF4), "thai": (0xE01, 0xE5B), "lao": (0xE81, 0xEDF),
    "tibetan": (0xF00, 0xFDA), "myanmar": (0x1000, 0x109F), "georgian": (0x10A0, 0x10FF), "ethiopic": (0x1200, 0x139F),
    "cherokee": (0x13A0, 0x13FD), "khmer": (0x1780, 0x17F9), "mongolian": (0x1800, 0x18AA),
    "phonetic": (0x1D00, 0x1DBF), "latin_additional": (0x1E00, 0x1EFF), "greek_extended": (0x1F00, 0x1FFE),
    "punctuation": (0x2000, 0x206F), "superscripts": (0x2070, 0x20BF), "letterlike": (0x2100, 0x218B),
    "arrows_math": (0x2190, 0x22FF), "boxes": (0x2500, 0x26FF), "glagolitic": (0x2C00, 0x2C5F),
    "coptic": (0x2C80, 0x2CFF), "cjk_punctuation": (0x3000, 0x303F), "hiragana": (0x3041, 0x309F),
    "katakana": (0x30A0, 0x30FF), "hangul_jamo": (0x3131, 0x318E), "cjk": (0x4E00, 0x9FA5), "yi": (0xA000, 0xA48C),
    "vai": (0xA500, 0xA62B), "hangul": (0xAC00, 0xD7A3), "presentation": (0xFB00, 0xFDFB),
    "fullwidth": (0xFF01, 0xFFEE), "linear_b": (0x10000, 0x100FA), "gothic": (0x10330, 0x1034A),
    "deseret": (0x10400, 0x1044F), "cuneiform": (0x12000, 0x12399), "musical": (0x1D100, 0x1D1E8),
    "math_letters": (0x1D400, 0x1D7FF), "adlam": (0x1E900, 0x1E95F), "emoji": (0x1F300, 0x1F64F),
    "transport": (0x1F680, 0x1F6FC), "more_emoji": (0x1F900, 0x1F9FF), "cjk_b": (0x20000, 0x2A6DD),
    "controls": (0x00, 0x1F), "ascii": (0x20, 0x7E), "latin1": (0x7F, 0xFF), "private": (0xE000, 0xE0FF),
    "variation": (0xFE00, 0xFE0F), "specials": (0xFFF9, 0xFFFD),
}

PHRASES = [
    "The quick brown fox jumps over the lazy dog.", "A mixture of experts routes every token to four of them.",
    "don't", "DON'T", "I'LL", "we'Ve", "it's", "they're", "she'd", "I'm", "o'clock", "'s", "'ſ", "'S", "'re", "’s", "''ll",
    "What is 2 + 2?", "Answer: 3.14159", "12345678", "1,234,567.89", "２０２５年", "½ cup", "x² + y³",
    "def main(argv):\n    return [x ** 2 for x in argv if x]\n", "for (int i = 0; i < n; ++i) {\n\tsum += a[i];\n}\n",
    "{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Zürich\"}}", "https://example.org/a/b?c=d&e=f#g",
    "SELECT * FROM users WHERE id = 42;", "camelCaseIdentifier", "HTTPServerError", "snake_case_name", "ÉCOLE",
    "naïve café", "cafe\u0301", "e\u0301\u0302\u0323", "Straße und Flüsse", "Größenverhältnisse", "ﬁne ligature",
    "Le modèle répond à la question posée.", "El modelo responde a la pregunta.", "Il modello risponde subito.",
    "Das Modell beantwortet die Frage.", "Model odpowiada na pytanie.", "Modell svarar på frågan.",
    "Модель отвечает на вопрос.", "Το μοντέλο απαντά στην ερώτηση.", "Mô hình trả lời câu hỏi.",
    "المودل يجيب عن السؤال.", "המודל עונה על השאלה.", "मॉडल प्रश्न का उत्तर देता है।", "மாதிரி பதிலளிக்கிறது.",
    "โมเดลตอบคำถาม", "模型回答问题。", "日本語のテキストです。", "モデルは質問に答えます。", "모델이 질문에 답합니다.",
    "日A", "A日b", "ǅungla", "ǈ", "İstanbul", "ΣΊΣΥΦΟΣ", "🙂👍🏽", "👩‍👩‍👧‍👦", "🇩🇪🇫🇷", "💖", "1️⃣",
    "\u0301 A B", "A\u0301B\u0301c", "\u200b", "\u180e", "\ufeff", "\u0000", "\x1f", "\u00ad", "\ufffd",
    "...", "!!!", "???/\r\n", "-->", "====", "////\n\n", "**bold**", "```", "|---|", "$5.00", "100%", "@user", "#tag",
    "   ", "     x", "\t\t", "\n\n\n", " \n \n ", "\r\n\r\n", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "ABABABABABABABABABABABABABABABABABAB", "<|", "|>", "<|start|", "assistant", "analysis", "final", "commentary",
    " to=functions.get_weather", *SPECIALS[:3], *[f"<|{n}|>" for n in NAMED.values()], "<|reserved_200001|>",
]

SEPARATORS = [" ", " ", " ", " ", "  ", "\n", "\n\n", "\r\n", "\t", " \n", "\n ", ", ", ". ", "-", "_", "/", "'", "\u00a0",
              "\u3000", "\u2028", "\u0085", "\u2009", "\u1680", "\u205f", " \u00a0 ", "\x0b", "\x0c", "\x1c"]


class Random:
    """SplitMix64, and the drawing of strings: kept in step with src/tokenizer/test_strings.h."""

    def __init__(self, seed):
        self.state = seed

    def below(self, n):
        mask = (1 << 64) - 1
        self.state = (self.state + 0x9E3779B97F4A7C15) & mask
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        return (z ^ (z >> 31)) % n

    def pick(self, values):
        return values[self.below(len(values))]


def character(random, ranges):
    low, high = random.pick(ranges)
    return chr(low + random.below(high - low + 1))


def make_string(number, data):
    random = Random(number)
    text = ""
    for _ in range(1 + random.below(8)):
        kind = random.below(10)
        if kind < 4:
            ranges = random.pick(data["alphabets"])["ranges"]
            for _ in range(1 + random.below(8)):
                text += character(random, ranges)
        elif kind < 7:
            text += random.pick(data["phrases"])
        elif kind == 7:
            phrase = random.pick(data["phrases"])
            text += phrase * (2 + random.below(5))
        elif kind == 8:
            for _ in range(1 + random.below(7)):
                text += chr(0x30 + random.below(10))
        else:
            for _ in range(1 + random.below(4)):
                text += character(random, random.pick(data["alphabets"])["ranges"])
        if random.below(3) > 0:
            text += random.pick(data["separators"])
    return text


def stable_ranges(low, high):
    """The code points whose category is the same in Unicode 14 (Python's and PCRE2 10.42's tables) and today."""
    import regex

    assert unicodedata.unidata_version == "14.0.0", "needs Python 3.11"
    ranges = []
    for code in range(low, high + 1):
        category = unicodedata.category(chr(code))
        if category in ("Cn", "Cs") or not regex.fullmatch(rf"\p{{{category}}}", chr(code)):
            continue
        if ranges and ranges[-1][1] == code - 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    return ranges


def write_json(name, value):
    (FOLDER / name).write_text(json.dumps(value, ensure_ascii=True, indent=0, separators=(",", ":")) + "\n")


def strings_data():
    return json.loads((FOLDER / "strings.json").read_text())


def train():
    import tokenizers
    from tokenizers import models, pre_tokenizers, trainers, decoders

    write_json("strings.json", {
        "alphabets": [{"name": name, "ranges": stable_ranges(*block)} for name, block in BLOCKS.items()],
        "phrases": PHRASES,
        "separators": SEPARATORS,
    })
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(tokenizers.Regex(PATTERN), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=VOCABULARY, min_frequency=2, show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    files = sorted([*REPO.glob("docs/*.md"), *REPO.glob("src/*/*.h"), *REPO.glob("src/*/*.cc")])
    tokenizer.train_from_iterator([file.read_text() for file in files] + PHRASES * 3, trainer)
    assert tokenizer.get_vocab_size() == VOCABULARY, tokenizer.get_vocab_size()
    tokenizer.add_special_tokens([tokenizers.AddedToken(text, special=True, normalized=False) for text in SPECIALS])
    tokenizer.save(str(FOLDER / "tokenizer.json"), pretty=False)

    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    byte_of = {chr(byte): byte for byte in printable} | {chr(0x100 + i): byte for i, byte in enumerate(others)}
    tokens = sorted((id, text) for text, id in tokenizer.get_vocab(with_added_tokens=False).items())
    lines = [f"{base64.b64encode(bytes(byte_of[c] for c in text)).decode()} {id}\n" for id, text in tokens]
    (FOLDER / "ranks.tiktoken").write_text("".join(lines))


def encoders(o200k):
    """{file name: {mode: text -> ids}}"""
    import tiktoken
    import tokenizers

    def from_ranks(path, specials):
        lines = [line.split() for line in pathlib.Path(path).read_text().splitlines()]
        ranks = {base64.b64decode(token): int(rank) for token, rank in lines}
        return tiktoken.Encoding("golden", pat_str=PATTERN, mergeable_ranks=ranks, special_tokens=specials)

    path = str(FOLDER / "tokenizer.json")
    ordinary, special = tokenizers.Tokenizer.from_file(path), tokenizers.Tokenizer.from_file(path)
    ordinary.encode_special_tokens = True
    small = from_ranks(FOLDER / "ranks.tiktoken", {})
    result = {
        "tokenizer.hashes.json": {
            "ordinary": lambda text: ordinary.encode(text).ids,
            "with_specials": lambda text: special.encode(text).ids,
        },
        "ranks.hashes.json": {"ordinary": small.encode_ordinary, "with_specials": small.encode_ordinary},
    }
    if o200k:
        assert hashlib.sha256(pathlib.Path(o200k).read_bytes()).hexdigest() == O200K_SHA256
        specials = {f"<|reserved_{id}|>": id for id in range(199998, 201088) if id - 199998 not in NAMED or id == 200018}
        large = from_ranks(o200k, specials | {text: 199998 + i for i, text in enumerate(SPECIALS)})
        result["o200k.hashes.json"] = {
            "ordinary": large.encode_ordinary,
            "with_specials": lambda text: large.encode(text, allowed_special="all"),
        }
    return result


def hash_ids(list_of_ids):
    """FNV-1a, 64 bits, over the ids as four little-endian bytes, with ff ff ff ff after each string."""
    value = 0xCBF29CE484222325
    for ids in list_of_ids:
        for id in [*ids, 0xFFFFFFFF]:
            for byte in id.to_bytes(4, "little"):
                value = ((value ^ byte) * 0x100000001B3) & ((1 << 64) - 1)
    return f"{value:016x}"


def write_hashes(o200k):
    data = strings_data()
    strings = [make_string(number, data) for number in range(STRINGS)]
    for name, modes in encoders(o200k).items():
        hashes = {"strings": STRINGS, "batch": BATCH}
        for mode, encode in modes.items():
            hashes[mode] = [hash_ids(map(encode, strings[at:at + BATCH])) for at in range(0, STRINGS, BATCH)]
        write_json(name, hashes)
    write_manifest()


def write_manifest():
    import regex
    import tiktoken
    import tokenizers

    files = sorted(path for path in FOLDER.iterdir() if path.name != "manifest.json")
    manifest = {
        "script": "tools/tokenizer_golden.py",
        "versions": {"python": platform.python_version(), "tiktoken": tiktoken.__version__,
                     "tokenizers": tokenizers.__version__, "regex": regex.__version__},
        "o200k_base.tiktoken": O200K_SHA256,
        "sha256": {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files},
    }
    (FOLDER / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")


def show(number, o200k):
    text = make_string(number, strings_data())
    print(json.dumps(text))
    for name, modes in encoders(o200k).items():
        for mode, encode in modes.items():
            print(name, mode, encode(text))


def main(arguments):
    match arguments:
        case ["train"]:
            train()
        case ["hash", *o200k]:
            write_hashes(o200k[0] if o200k else None)
        case ["show", number, *o200k]:
            show(int(number), o200k[0] if o200k else None)
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
