"""Trains the model and writes it in the published form.

  python train.py --tokenizer tokenizer.json --out FOLDER --steps N [--resume STATE]
  python train.py --tokenizer tokenizer.json --out FOLDER --minutes M

Linear warm-up, then a linear decay to zero. The last part trains with the values that the checkpoint will hold (MXFP4
experts, bf16 for the rest, gradients straight through), so that writing it loses nothing. STATE (state.pt) is written as
it goes; a run that was cut resumes from it. On a GPU attention is the fused kernel; on a CPU it is dense and slow.
"""

import argparse
import collections
import json
import time
from pathlib import Path

import torch
import torch.nn.functional as F

import data
import export
import model as M
import split

SEED = 5


def fused_attention(q, k, v, mask):
    from torch.nn.attention.flex_attention import flex_attention

    return flex_attention(q, k, v, block_mask=mask, enable_gqa=True, return_lse=True)


def fused_masks(documents):
    from torch.nn.attention.flex_attention import create_block_mask

    B, T = documents.shape

    def sliding(b, h, i, j):
        return (documents[b, i] == documents[b, j]) & (i >= j) & (i - j < M.WINDOW)

    def full(b, h, i, j):
        return (documents[b, i] == documents[b, j]) & (i >= j)

    return tuple(create_block_mask(f, B, None, T, T, device=documents.device) for f in (sliding, full))


class Trainer:
    def __init__(self, o):
        self.o = o
        self.gpu = torch.cuda.is_available()
        self.device = "cuda" if self.gpu else "cpu"
        self.model = M.initial(SEED).to(self.device)
        self.names = [n for n, _ in self.model.named_parameters()]
        self.p = [p for _, p in self.model.named_parameters()]
        self.low = torch.bfloat16 if self.gpu else torch.float32
        self.attention, self.masks = (fused_attention, fused_masks) if self.gpu else (M.dense_attention, M.dense_masks)
        self.table = M.rope_table(self.model, data.ROW, self.device)
        decay = [p for p in self.p if p.dim() > 1]
        rest = [p for p in self.p if p.dim() <= 1]
        groups = [{"params": decay, "weight_decay": 0.05}, {"params": rest, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=0.0, betas=(0.9, 0.97), eps=1e-10, fused=self.gpu)
        self.forward, self.quantise = self.plain_forward, self.plain_quantise
        if self.gpu:
            self.forward = torch.compile(self.plain_forward, dynamic=False)
            self.quantise = torch.compile(self.plain_quantise, dynamic=False)

    def plain_quantise(self, p):
        return {n: M.stored(n, w) for n, w in p.items()}

    def plain_forward(self, p, tokens, positions, documents):
        return M.forward(p, tokens, positions, self.table, self.masks(documents), self.attention, self.low)

    def move(self, batch):
        return [torch.from_numpy(a).to(self.device, non_blocking=True).long() for a in batch]

    def losses(self, batch, quantised):
        tokens, positions, documents, learned = self.move(batch)
        p = dict(zip(self.names, self.p))
        logits, balance = self.forward(self.quantise(p) if quantised else p, tokens, positions, documents)
        where = learned[:, :-1].bool()
        kept, target = logits[:, :-1][where].float(), tokens[:, 1:][where]
        return F.cross_entropy(kept, target), balance, (kept, target, documents[:, :-1][where])

    def evaluate(self, held_out, quantised):
        """Share of held-out replies of which greedy decoding would give every token, by task."""
        right, all_, total = collections.Counter(), collections.Counter(), 0.0
        for *batch, tasks in held_out:
            loss, _, (kept, target, documents) = self.losses(batch, quantised)
            total += loss.item() / len(held_out)
            wrong = set(documents[kept.detach().argmax(-1) != target].tolist())
            for i, (task, effort) in enumerate(tasks):
                for key in (task.rstrip("0123456789"), effort, "all"):
                    all_[key] += 1
                    right[key] += i not in wrong
        return total, {k: round(100 * right[k] / all_[k], 1) for k in sorted(all_)}

    def save(self, step):
        state = {"step": step, "p": [p.data for p in self.p], "optimizer": self.optimizer.state_dict()}
        torch.save(state, self.o.out / "state.partial")
        (self.o.out / "state.partial").rename(self.o.out / "state.pt")

    def train(self):
        o, start = self.o, 0
        if o.resume:
            state = torch.load(o.resume, map_location=self.device)
            start = state["step"]
            self.optimizer.load_state_dict(state["optimizer"])
            for p, saved in zip(self.p, state["p"]):
                p.data.copy_(saved)
        encode = data.encoder(o.tokenizer)
        held_out = [data.pack(split.samples(999 + i, held_out=True), encode, o.rows) for i in range(o.eval_batches)]
        began = mark = at_100 = time.time()
        seen = 0
        for step, batch in enumerate(data.batches(o.tokenizer, SEED, o.rows, start, o.steps, o.workers), start):
            rate = o.rate * min((step + 1) / 300, (o.steps - step) / o.steps)
            for group in self.optimizer.param_groups:
                group["lr"] = rate
            quantised = step >= 0.6 * o.steps
            loss, balance, _ = self.losses(batch, quantised)
            (loss + 0.01 * balance).backward()
            torch.nn.utils.clip_grad_norm_(self.p, 1.0)
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
            seen += 1
            if o.minutes and step == start + 200:
                o.steps = step + int((o.minutes * 60 - 40 - (time.time() - began)) * 100 / (time.time() - at_100))
                print(f"{o.steps} steps", flush=True)
            if step == start + 100:
                at_100 = time.time()
            if step % 100 == 0 or step == start + 20:
                now = time.time()
                print(f"step {step} loss {loss.item():.4f} balance {balance.item():.3f} "
                      f"{seen / (now - mark):.1f} steps/s {now - began:.0f} s", flush=True)  # fmt: skip
                mark, seen = now, 0
            if (step + 1) % o.eval_every == 0 or step + 1 == o.steps:
                total, shares = self.evaluate(held_out, quantised)
                print(f"step {step + 1} held out: loss {total:.4f} {json.dumps(shares)}", flush=True)
                self.save(step + 1)
                export.write({n: p.data for n, p in zip(self.names, self.p)}, o.tokenizer, o.out / "model")
                mark, seen = time.time(), 0
            if step + 1 == o.steps:
                break


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokenizer", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=1_000_000)
    parser.add_argument("--minutes", type=float, help="choose the steps so that the run takes so long on this machine")
    parser.add_argument("--resume", type=Path)
    parser.add_argument("--rows", type=int, default=64, help="of 1024 tokens in a batch")
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--workers", type=int, default=14)
    parser.add_argument("--eval-every", type=int, default=1000)
    parser.add_argument("--eval-batches", type=int, default=10)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    Trainer(options).train()
