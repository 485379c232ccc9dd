#!/usr/bin/env python3
"""Runs another engine's llama-bench alternately with ours on one GGUF and prints the ratio of speeds, with its spread.

    tools/compare_bench.py --ours build/oxidized_gpt_oss --theirs PATH/llama-bench -m MODEL.gguf \\
        --threads 2 --runs 3 pp512 tg64 tg64@d4096

Two engines rarely fit into memory together, so each sample is a process of its own, in the order A B A B, after one
pair that only warms up. Beside every sample stands the speed at which memory could be read at that moment (`bench
ceilings`, right before and after); machines that are shared change between classes of it, and only samples of one
class are compared. Works with what prints llama-bench's JSON (-o json): llama.cpp, ik_llama.cpp. Needs Python alone.

Ours can take other options than theirs (--ours-arguments, --theirs-arguments). How the other program is told a depth
differs: --depth-arguments, with {depth} and {tokens}; the default is that of llama.cpp, for ik_llama.cpp give
"-p 0 -n 0 -gp {depth},{tokens}".
"""

import argparse
import json
import os
import re
import resource
import shlex
import statistics
import subprocess
import sys

TEST = re.compile(r"(pp|tg)([0-9]+)(?:@d([0-9]+))?")
MOST_TOKENS = 1 << 20  # of bench
CLASS_GAP = 1.15  # neighbours in speed of memory that are further apart than this belong to different classes


class Failed(Exception):
    """One line for the person."""


def parse_test(name):
    match = TEST.fullmatch(name)
    if not match:
        raise Failed(f"'{name}' is not a test that both programs know: ppN or tgN, with @dDEPTH if wanted")
    for what, digits in (("tokens", match[2]), ("the depth", match[3])):
        if digits is not None and (len(digits) > 18 or not 1 <= int(digits) <= MOST_TOKENS):
            raise Failed(f"'{name}': {what} must be from 1 to {MOST_TOKENS}")
    return match[1], int(match[2]), int(match[3] or 0)


def words_of(option, text):
    """The words of an option's value, as a shell would see them."""
    try:
        return shlex.split(text)
    except ValueError as error:
        raise Failed(f"{option}: {error}: {text}") from error


def depth_words(options, tokens, depth):
    words = words_of("--depth-arguments", options.depth_arguments)
    try:
        return [word.format(depth=depth, tokens=tokens) for word in words]
    except (LookupError, ValueError) as error:
        raise Failed(f"--depth-arguments: {options.depth_arguments}: only {{depth}} and {{tokens}} stand for "
                     f"something") from error


def run_json(command):
    """What the command prints as JSON, and how many pages it read from disk."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_majflt
    try:
        result = subprocess.run(command, capture_output=True, text=True)
    except OSError as error:
        raise Failed(f"{command[0]}: {error.strerror}") from error
    faults = resource.getrusage(resource.RUSAGE_CHILDREN).ru_majflt - before
    if result.returncode != 0:
        last = (result.stderr.strip().splitlines() or ["no message"])[-1]
        raise Failed(f"{shlex.join(command)} ended with {result.returncode}: {last}")
    try:
        return json.loads(result.stdout), faults
    except ValueError as error:
        raise Failed(f"{shlex.join(command)} printed no JSON: {error}") from error


def theirs_command(options, kind, tokens, depth):
    command = [options.theirs, "-m", options.model, "-t", str(options.threads), "-r", "1", "-o", "json"]
    if depth:
        command += depth_words(options, tokens, depth)
    if not depth or "{tokens}" not in options.depth_arguments:
        command += ["-p", str(tokens), "-n", "0"] if kind == "pp" else ["-p", "0", "-n", str(tokens)]
    return command + words_of("--theirs-arguments", options.theirs_arguments)


def theirs_speed(rows, kind, tokens):
    """Tokens a second of the one row of llama-bench's array that is the test."""
    key = "n_prompt" if kind == "pp" else "n_gen"
    found = [row for row in rows if isinstance(row, dict) and row.get(key) == tokens]
    if len(found) != 1:
        raise Failed(f"their output has {len(found)} rows with {key} = {tokens}, expected one")
    speed = found[0].get("avg_ts")
    if not isinstance(speed, (int, float)) or not speed > 0:
        raise Failed(f"their output has avg_ts = {speed!r}, expected a speed")
    return float(speed)


def ours_command(options, name):
    return [options.ours, "bench", name, "-m", options.model, "--threads", str(options.threads), "--runs", "1",
            "--json"] + words_of("--ours-arguments", options.ours_arguments)


def ours_speed(record, name):
    found = [figure for figure in record.get("figures", []) if figure.get("test") == name]
    if len(found) != 1 or not found[0].get("median"):
        raise Failed(f"our output has {len(found)} figures of {name}, expected one")
    return float(found[0]["median"])


def probe(options):
    record, _ = run_json([options.ours, "bench", "ceilings", "--threads", str(options.threads), "--json",
                          "--ceiling-seconds", "0.1"])
    return float(record["teams"][0]["read_gb_per_s"])


def classes(probes):
    """The class of each probe, 0 the slowest: sorted, cut where neighbours are far apart."""
    order = sorted(probes)
    cuts = [high for low, high in zip(order, order[1:]) if high > CLASS_GAP * low]
    return [sum(value >= cut for cut in cuts) for value in probes]


def measure(options, name):
    """Samples of both, alternating: {who, speed, probe, faults}."""
    kind, tokens, depth = parse_test(name)
    sides = {
        "ours": (ours_command(options, name), lambda record: ours_speed(record, name)),
        "theirs": (theirs_command(options, kind, tokens, depth), lambda rows: theirs_speed(rows, kind, tokens)),
    }
    samples = []
    before = None
    for run in range(options.runs + 1):
        for who, (command, speed_of) in sides.items():
            if run > 0 and before is None:
                before = probe(options)
            record, faults = run_json(command)
            speed = speed_of(record)
            if run == 0:
                continue
            after = probe(options)
            samples.append({"who": who, "speed": speed, "probe": (before + after) / 2, "faults": faults})
            before = after
            print(f"{name} {who}: {speed:.2f} tokens/s, memory {samples[-1]['probe']:.1f} GB/s", file=sys.stderr)
    for sample, number in zip(samples, classes([s["probe"] for s in samples])):
        sample["class"] = number
    return samples


def compare(samples):
    """For each class of probes with samples of both: medians, and the ratio with its lowest and highest value."""
    rows = []
    for number in sorted({s["class"] for s in samples}):
        speeds = {who: [s["speed"] for s in samples if s["class"] == number and s["who"] == who]
                  for who in ("ours", "theirs")}
        probes = [s["probe"] for s in samples if s["class"] == number]
        row = {"probe_min_gb_per_s": min(probes), "probe_max_gb_per_s": max(probes), "ours": speeds["ours"],
               "theirs": speeds["theirs"], "ratio": None}
        if speeds["ours"] and speeds["theirs"]:
            row["ratio"] = statistics.median(speeds["ours"]) / statistics.median(speeds["theirs"])
            row["ratio_min"] = min(speeds["ours"]) / max(speeds["theirs"])
            row["ratio_max"] = max(speeds["ours"]) / min(speeds["theirs"])
        rows.append(row)
    return rows


def middle(speeds):
    return f"{statistics.median(speeds):.2f} ({min(speeds):.2f}..{max(speeds):.2f})" if speeds else "-"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ours", required=True, help="this project's program")
    parser.add_argument("--theirs", required=True, help="a llama-bench")
    parser.add_argument("-m", "--model", required=True, help="a GGUF file that both read")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of both")
    parser.add_argument("--runs", type=int, default=3, help="pairs after the one that warms up [3]")
    parser.add_argument("--ours-arguments", default="", help="further options of ours, in one word")
    parser.add_argument("--theirs-arguments", default="", help="further options of theirs, in one word")
    parser.add_argument("--depth-arguments", default="-d {depth}", help="how theirs is told a depth")
    parser.add_argument("--json", action="store_true", help="every sample, as JSON")
    parser.add_argument("tests", nargs="*", metavar="TEST", help="ppN or tgN, with @dDEPTH [pp512 tg64]")
    options = parser.parse_args()
    try:
        if options.runs < 1 or options.threads < 1:
            raise Failed("--runs and --threads begin at 1")
        tests = options.tests or ["pp512", "tg64"]
        for name in tests:  # before the first of them runs
            kind, tokens, depth = parse_test(name)
            ours_command(options, name)
            theirs_command(options, kind, tokens, depth)
        depth_words(options, 1, 1)
        results = []
        for name in tests:
            samples = measure(options, name)
            results.append({"test": name, "samples": samples, "classes": compare(samples)})
    except Failed as failure:
        print(f"compare_bench: {failure}", file=sys.stderr)
        return 1

    if options.json:
        print(json.dumps(results))
        return 0
    print("| test | memory GB/s | ours tokens/s | theirs tokens/s | ours / theirs |")
    print("|---|---|---|---|---|")
    for result in results:
        for row in result["classes"]:
            ratio = "no pair of this class"
            if row["ratio"] is not None:
                ratio = f"{row['ratio']:.3f} ({row['ratio_min']:.3f}..{row['ratio_max']:.3f})"
            print(f"| {result['test']} | {row['probe_min_gb_per_s']:.1f}..{row['probe_max_gb_per_s']:.1f} "
                  f"| {middle(row['ours'])} | {middle(row['theirs'])} | {ratio} |")
    faults = sum(s["faults"] for result in results for s in result["samples"])
    if faults:
        print(f"compare_bench: warning: {faults} pages were read from disk during the samples, loading included; "
              f"the model may not fit into the page cache", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
