"""Trains the model's own byte-level BPE on generated conversations and writes tokenizer.json.

  python tokenizer.py OUT/tokenizer.json

The split pattern is o200k's. No token holds two digits: the training split isolates each one, so numbers are read and
written digit by digit. Special tokens have their published names and follow the ordinary ones in the published order.
"""

import sys
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

import conversation
import split

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tokenizer_golden import PATTERN, SPECIALS  # noqa: E402

VOCABULARY = 2048  # special tokens included
CONVERSATIONS = 40_000
SEED = 20


def corpus():
    draw = split.samples(SEED)
    for _ in range(CONVERSATIONS):
        s = next(draw)
        parts = [m.content for m in s.context + s.reply] + [conversation.render_developer(s)]
        yield from (part for part in parts if part)
    for _ in range(2000):  # headers and the system message, which are always the same
        yield from (
            conversation.render_system(s),
            "assistant",
            " to=",
            "commentary",
            "analysis",
            "final",
            "json",
            "developer",
            "system",
            "user",
        )


def train():
    tokenizer = Tokenizer(models.BPE(ignore_merges=True))

    def pieces(pattern):
        return pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(pattern), "isolated"),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        )

    tokenizer.pre_tokenizer = pieces(PATTERN.replace(r"\p{N}{1,3}", r"\p{N}"))
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=VOCABULARY - len(SPECIALS), initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(corpus(), trainer)
    tokenizer.pre_tokenizer = pieces(PATTERN)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in SPECIALS])
    assert tokenizer.get_vocab_size() == VOCABULARY
    return tokenizer


if __name__ == "__main__":
    train().save(sys.argv[1])
