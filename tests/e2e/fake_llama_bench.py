#!/usr/bin/env python3
"""Stands in for another engine's llama-bench: takes its arguments, measures nothing, prints its JSON.

FAKE_BENCH says how: "ok", "rows" (a second row of the same test), "zero" (a speed of 0), "text" (no JSON), "fails".
Each call is noted in FAKE_BENCH_LOG.
"""

import json
import os
import sys

SPEED = {"pp": 40.0, "tg": 5.0}


def main():
    arguments = dict(zip(sys.argv[1::2], sys.argv[2::2]))
    with open(os.environ["FAKE_BENCH_LOG"], "a", encoding="utf-8") as log:
        log.write(" ".join(sys.argv[1:]) + "\n")
    mode = os.environ.get("FAKE_BENCH", "ok")
    if mode == "fails":
        print("error: failed to load model", file=sys.stderr)
        return 1
    if mode == "text":
        print("| model | t/s |")
        return 0
    prompt, generated = int(arguments["-p"]), int(arguments["-n"])
    row = {"model_filename": arguments["-m"], "n_threads": int(arguments["-t"]), "n_prompt": prompt,
           "n_gen": generated, "n_depth": int(arguments.get("-d", 0)),
           "avg_ts": 0.0 if mode == "zero" else SPEED["pp" if prompt else "tg"]}
    print(json.dumps([row, row] if mode == "rows" else [row]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
