"""Trains the model and writes it in the published form.

  python train.py --tokenizer tokenizer.json --out FOLDER --steps N [--resume STATE]
  python train.py --tokenizer tokenizer.json --out FOLDER --minutes M
  python train.py --tokenizer tokenizer.json --out FOLDER --steps N --weights CHECKPOINT --quantised-from 0   goes on from it

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


def fused_attention(q, k, v, documents, sliding):
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention

    def near(b, h, i, j):
        return (documents[b, i] == documents[b, j]) & (i >= j) & (i - j < M.WINDOW)

    def before(b, h, i, j):
        return (documents[b, i] == documents[b, j]) & (i >= j)

    B, T = documents.shape
    mask = create_block_mask(near if sliding else before, B, None, T, T, device=documents.device)
    return flex_attention(q, k, v, block_mask=mask, enable_gqa=True, return_lse=True)


class Trainer:
    def __init__(self, o):
        self.o = o
        self.gpu = torch.cuda.is_available()
        self.device = "cuda" if self.gpu else "cpu"
        self.model = M.initial(SEED).to(self.device)
        self.names = [n for n, _ in self.model.named_parameters()]
        self.p = [p for _, p in self.model.named_parameters()]
        self.low = torch.bfloat16 if self.gpu else torch.float32
        self.attention = fused_attention if self.gpu else M.dense_attention
        self.table = M.rope_table(self.model, data.ROW, self.device)
        decay = [p for p in self.p if p.dim() > 1]
        rest = [p for p in self.p if p.dim() <= 1]
        groups = [{"params": decay, "weight_decay": 0.05}, {"params": rest, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=0.0, betas=(0.9, 0.97), eps=1e-10, fused=self.gpu)
        self.layers = (M.layer, M.quantised_layer)
        if self.gpu:
            self.layers = tuple(torch.compile(f, dynamic=False) for f in self.layers)

    def move(self, batch):
        return [torch.from_numpy(a).to(self.device, non_blocking=True).long() for a in batch]

    def losses(self, batch, quantised):
        tokens, positions, documents, places, targets = self.move(batch)
        p = dict(zip(self.names, self.p))
        logits, balance = M.forward(
            p, tokens, positions, documents, self.table, self.attention, self.low, places, quantised, self.layers
        )
        return F.cross_entropy(logits.float(), targets), balance, (logits, targets, documents.reshape(-1)[places])

    def evaluate(self, held_out, quantised):
        """Share of held-out replies of which greedy decoding would give every token, by task."""
        right, all_, total = collections.Counter(), collections.Counter(), 0.0
        for *batch, tasks in held_out:
            loss, _, (logits, targets, documents) = self.losses(batch, quantised)
            total += loss.item() / len(held_out)
            wrong = set(documents[(logits.detach().argmax(-1) != targets) & (targets >= 0)].tolist())
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
        if o.weights:
            saved = export.read(o.weights)
            for name, p in zip(self.names, self.p):
                p.data.copy_(saved[name])
        encode = data.encoder(o.tokenizer)
        held_out = [data.pack(split.samples(999 + i, held_out=True), encode, o.rows) for i in range(o.eval_batches)]
        began = mark = at_100 = time.time()
        seen = 0
        for step, batch in enumerate(data.batches(o.tokenizer, o.seed, o.rows, start, o.steps, o.workers), start):
            rate = o.rate * min((step + 1) / o.warm_up, (o.steps - step) / o.steps)
            for group in self.optimizer.param_groups:
                group["lr"] = rate
            quantised = step >= o.quantised_from * o.steps
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
    parser.add_argument("--weights", type=Path, help="begin with those of this checkpoint")
    parser.add_argument("--quantised-from", type=float, default=0.6, help="share of the steps after which stored values are used")
    parser.add_argument("--warm-up", type=int, default=300, help="steps")
    parser.add_argument("--seed", type=int, default=SEED, help="of the conversations")
    parser.add_argument("--rows", type=int, default=22, help="of data.ROW tokens in a batch")
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--workers", type=int, default=14)
    parser.add_argument("--eval-every", type=int, default=2000)
    parser.add_argument("--eval-batches", type=int, default=6)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    Trainer(options).train()
