"""Batches of packed conversations. Batch i depends on the seed and i alone, whoever makes it."""

import multiprocessing
import os
import traceback

import numpy as np

import conversation
import split

ROW = 3072  # tokens; a conversation lies in one row whole
LEARNED = 0.3  # most of a batch's tokens that can be learned; the rest of such a batch is left out


def encoder(path):
    from tokenizers import Tokenizer

    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    tokenizer = Tokenizer.from_file(path)  # special tokens are recognised; no text of ours contains one

    def encode(samples):
        texts = [t for s in samples for t in (conversation.render_prompt(s), conversation.render_reply(s))]
        ids = [e.ids for e in tokenizer.encode_batch(texts, add_special_tokens=False)]
        return list(zip(ids[::2], ids[1::2]))

    return encode


def pack(samples, encode, rows):
    """Arrays [rows, ROW]: tokens, positions (-1: padding), conversation number. Then, flat: the places whose next token is
    learned, and that token (-100 for places that only fill up).
    """
    tokens = np.zeros((rows, ROW), np.int32)
    positions = np.full((rows, ROW), -1, np.int32)
    documents = np.full((rows, ROW), -1, np.int32)
    learned = np.zeros((rows, ROW), bool)
    used, row, tasks = 0, 0, []
    while row < rows:
        chunk = [next(samples) for _ in range(64)]
        for s, (prompt, reply) in zip(chunk, encode(chunk)):
            n = len(prompt) + len(reply)
            if n > ROW:
                continue
            if used + n > ROW:
                row, used = row + 1, 0
                if row == rows:
                    break
            tokens[row, used : used + n] = prompt + reply
            positions[row, used : used + n] = np.arange(n)
            documents[row, used : used + n] = len(tasks)
            learned[row, used + len(prompt) - 1 : used + n - 1] = True
            tasks.append((s.task, s.effort))
            used += n
    places, targets = np.zeros(int(LEARNED * rows * ROW), np.int32), np.full(int(LEARNED * rows * ROW), -100, np.int32)
    found = np.flatnonzero(learned)[: len(places)]
    places[: len(found)], targets[: len(found)] = found, tokens.reshape(-1)[found + 1]
    return tokens, positions, documents, places, targets, tasks


def _worker(path, seed, rows, jobs, done):
    try:
        encode = encoder(path)
        for i in iter(jobs.get, None):
            done.put((i, pack(split.of_batch(seed, i), encode, rows)[:5]))
    except Exception:
        done.put((None, traceback.format_exc()))


def batches(path, seed, rows, first, last, workers):
    context = multiprocessing.get_context("spawn")
    jobs, done = context.Queue(), context.Queue()
    for _ in range(workers):
        context.Process(target=_worker, args=(path, seed, rows, jobs, done), daemon=True).start()
    waiting, ahead = {}, first
    for i in range(first, last):
        while ahead < min(last, i + 3 * workers):
            jobs.put(ahead)
            ahead += 1
        while i not in waiting:
            n, batch = done.get()
            if n is None:
                raise RuntimeError(f"a batch could not be made\n{batch}")
            waiting[n] = batch
        yield waiting.pop(i)
