#!/usr/bin/env python3
"""Reads the routing traces of --moe-trace with NumPy, and prints what they hold.

    tools/moe_trace.py FILE [--json]

As a module: Trace(path) has .header, and .records, a structured array that maps the file (nothing is copied): fields
sequence, step, position, token, phase [N], and layer [N, L] with experts [K] (0xffff: none), weights [K], margin, dropped,
rerouted and, if the trace has them, logits [E]. summary() computes every figure of docs/moe.md from the records alone,
without this program's code. The format is in docs/moe.md.
"""

import argparse
import json
import math
import struct
import sys

import numpy as np

MAGIC, VERSION = b"OXMOETRC", 1
NO_EXPERT = 0xFFFF
NEAR_TIES = (0.001, 0.01, 0.1, 1.0)
PREFILL, DECODE = 0, 1
# What this program takes: lists of Python's numbers are long in memory. Pairs of experts are left out beyond theirs.
MOST_COUNTS, MOST_PAIRS = 1 << 20, 1 << 22


class Trace:
    def __init__(self, path):
        """Raises OSError, and ValueError for what is not a whole header of a trace."""
        with open(path, "rb") as file:
            head = file.read(64)
            size = file.seek(0, 2)
        if len(head) < 64 or head[:8] != MAGIC:
            raise ValueError(f"{path}: no routing trace")
        version, header_bytes, record_bytes, layers, experts, k, usable, flags, expert_bytes = struct.unpack(
            "<8IQ", head[8:48]
        )
        if version != VERSION:
            raise ValueError(f"{path}: trace version {version}, this reads {VERSION}")
        # The bounds of src/moe/trace.cc.
        if not (1 <= layers <= 1024 and 1 <= experts <= 1 << 14 and 1 <= usable <= experts and 1 <= k <= min(usable, 256)
                and flags <= 1 and expert_bytes <= 1 << 50):
            raise ValueError(f"{path}: the header is damaged ({layers} layers, {experts} experts, {usable} usable, "
                             f"{k} a token, flags {flags:#x})")
        if any(head[48:64]):
            raise ValueError(f"{path}: the header is damaged: bytes 48 to 63 are not zero")
        if layers * experts > MOST_COUNTS:
            raise ValueError(f"{path}: {layers} layers of {experts} experts, this reads {MOST_COUNTS} experts in all at most")
        if not 64 <= header_bytes <= size:
            raise ValueError(f"{path}: the header is damaged: it says it has {header_bytes} bytes, the file has {size}")
        # Before NumPy makes a type of it: that takes memory for each field.
        needed = 20 + layers * (4 * k + 6 + (4 * experts if flags & 1 else 0))
        if record_bytes != needed:
            raise ValueError(f"{path}: the header is damaged: records of {record_bytes} bytes, its shape needs {needed}")
        self.header = {"layers": layers, "experts": experts, "experts_per_token": k, "usable_experts": usable,
                       "logits": bool(flags & 1), "expert_bytes": expert_bytes}
        layer = [("experts", "<u2", (k,)), ("weights", "<f2", (k,)), ("margin", "<f4"), ("dropped", "u1"),
                 ("rerouted", "u1")]
        if flags & 1:
            layer.append(("logits", "<f4", (experts,)))
        record = np.dtype([("sequence", "<u4"), ("step", "<u4"), ("position", "<u4"), ("token", "<i4"), ("phase", "u1"),
                           ("zero", "u1", (3,)), ("layer", layer, (layers,))])
        assert record.itemsize == record_bytes
        count = (size - header_bytes) // record_bytes
        self.torn_bytes = (size - header_bytes) % record_bytes
        if count == 0:
            self.records = np.zeros(0, record)
        else:
            self.records = np.memmap(path, record, "r", header_bytes, (count,))


def gini(counts):
    """Mean absolute difference of all pairs over twice the mean."""
    x = np.sort(counts.astype(np.float64))  # in order, element i is the larger one i times and the smaller one n - 1 - i times
    n = len(x)
    return float(((2 * np.arange(n) - n + 1) * x).sum() / (n * x.sum())) if x.sum() else 0.0


def pairs_fit(header):
    return header["layers"] * header["experts"] * (header["experts"] - 1) // 2 <= MOST_PAIRS


def pairs(uses, tokens, experts):
    """How many tokens used both, for every two experts in order."""
    used = np.zeros((tokens, experts), np.float32)
    used.ravel()[uses] = 1
    return (used.T @ used)[np.triu_indices(experts, 1)].astype(np.int64).tolist()


def layer_summary(header, layer):
    """Every figure of one layer, of records['layer'][:, l]."""
    experts, usable, k = header["experts"], header["usable_experts"], header["experts_per_token"]
    tokens = len(layer)
    rows, places = np.nonzero(layer["experts"] != NO_EXPERT)
    ids = layer["experts"][rows, places]
    if len(ids) and ids.max() >= experts:
        raise ValueError(f"a record names expert {ids.max()}, the model has {experts}")
    uses = np.unique(rows * experts + ids)  # a token and an expert that it used
    counts = np.bincount(uses % experts, minlength=experts)
    choices = int(counts.sum())
    share = counts / choices if choices else counts * 0.0
    mean = choices / experts
    positive = share[share > 0]
    figures = {
        "tokens": tokens,
        "counts": counts.tolist(),
        "share": share.tolist(),
        "frequency": (counts / max(tokens, 1)).tolist(),
        "dropped": int(layer["dropped"].sum()),
        "rerouted": int(layer["rerouted"].sum()),
        "max_over_mean": float(counts.max() / mean) if choices else 0.0,
        "variation": float(counts.std() / mean) if choices else 0.0,
        "gini": gini(counts),
        "load_entropy": float(-(positive * np.log(positive)).sum() / math.log(experts)) if choices else 0.0,
        "pairs": pairs(uses, tokens, experts) if pairs_fit(header) else None,
    }
    margins = layer["margin"][np.isfinite(layer["margin"])].astype(np.float64)
    figures["margin"] = {
        "tokens": len(margins),
        "mean": float(margins.mean()) if len(margins) else 0.0,
        "smallest": float(margins.min()) if len(margins) else None,
        "near_ties": [int((margins < np.float32(limit)).sum()) for limit in NEAR_TIES],
    }
    if header["logits"]:
        finite = np.isfinite(layer["logits"][:, :usable]).all(1)
        if not finite.all():
            figures["router_not_finite"] = int((~finite).sum())
        layer = layer[finite]  # what follows is of the others
    if header["logits"] and len(layer):
        logits = layer["logits"][:, :usable].astype(np.float64)
        p = np.exp(logits - logits.max(1, keepdims=True))
        p /= p.sum(1, keepdims=True)
        entropy = -np.where(p > 0, p * np.log(np.where(p > 0, p, 1)), 0).sum(1)
        probability = np.zeros(experts)
        probability[:usable] = p.mean(0)
        figures["probability"] = probability.tolist()
        figures["router_entropy"] = float(entropy.mean() / math.log(usable)) if usable > 1 else 0.0
        figures["switch_loss"] = float(experts * (share * probability).sum())
        # What the writer says is what the logits say.
        if usable > k:
            ordered = np.sort(layer["logits"][:, :usable], axis=1)[:, ::-1]
            if not np.array_equal(ordered[:, k - 1] - ordered[:, k], layer["margin"]):
                raise ValueError("the margins are not those of the logits")
    return figures


def summary(trace, select=None):
    """Layers' figures over all records, or over those that `select` (a mask, or a slice) picks."""
    records = trace.records if select is None else trace.records[select]
    return [layer_summary(trace.header, records["layer"][:, l]) for l in range(trace.header["layers"])]


def main():
    parser = argparse.ArgumentParser(description="What a routing trace holds.")
    parser.add_argument("file")
    parser.add_argument("--json", action="store_true", help="everything, for programs")
    arguments = parser.parse_args()
    trace = Trace(arguments.file)
    layers = summary(trace)
    if arguments.json:
        json.dump({"header": trace.header, "records": len(trace.records), "layers": layers}, sys.stdout)
        return
    h, records = trace.header, trace.records
    print(f"{len(records)} tokens ({int((records['phase'] == PREFILL).sum())} prefill) of "
          f"{len(np.unique(records['sequence']))} sequences; {h['layers']} layers, {h['experts_per_token']} of "
          f"{h['experts']} experts a token" + (", with logits" if h["logits"] else "")
          + (f"; {trace.torn_bytes} bytes of a torn record" if trace.torn_bytes else ""))
    print(f"{'layer':>5}{'choices':>9}{'busiest':>9}{'share':>8}{'max/mean':>10}{'CV':>7}{'Gini':>7}{'idle':>6}"
          f"{'margin':>9}{'<0.01':>8}")
    for number, layer in enumerate(layers):
        counts = np.array(layer["counts"])
        ties = layer["margin"]["near_ties"][1] / max(layer["margin"]["tokens"], 1)
        print(f"{number:>5}{counts.sum():>9}{counts.argmax():>9}{100 * max(layer['share']):>6.1f} %"
              f"{layer['max_over_mean']:>10.2f}{layer['variation']:>7.2f}{layer['gini']:>7.2f}{(counts == 0).sum():>6}"
              f"{layer['margin']['mean']:>9.3f}{100 * ties:>6.1f} %")


if __name__ == "__main__":
    try:
        main()
    except (OSError, ValueError) as error:
        sys.exit(f"moe_trace.py: {error}")
