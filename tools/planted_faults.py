#!/usr/bin/env python3
"""Plants one fault after the other in a copy of the engine and expects its tests to fail.

    tools/planted_faults.py [--only NAME] [--keep FOLDER] [--jobs N]

What two steps in flight must not do (docs/adr/0009-two-steps-in-flight.md) is a table here: the text that is right and
what it becomes. A fault that no test notices, or whose text is no longer in the code, is an error. Takes some minutes:
each fault is a build of the engine's tests.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENGINE = "src/engine/"
FAKE = "src/executor/testing/fake_executor.cc"
TEST = ("engine_test", "src/engine/engine_test")
TESTS = "*TwoSteps*"

# name: [(file, right, wrong), ...]
FAULTS = {
    "void samples are skipped": [
        (ENGINE + "advance.cc", "subspan(rows.first_sample)", "subspan(rows.first_sample - skipped_)"),
        (ENGINE + "advance.cc", "if (s.finished || rows.rows == 0) continue;",
         "if (&rows == step.rows().data()) skipped_ = 0;\n    if (s.finished || rows.rows == 0) {\n"
         "      skipped_ += static_cast<size_t>(rows.scored + rows.drawn);\n      continue;\n    }"),
        (ENGINE + "advance.cc", "constexpr const char* kNotFinite", "size_t skipped_ = 0;\nconstexpr const char* kNotFinite"),
    ],
    "a sequence is freed while its rows run": [
        (ENGINE + "step_in_flight.cc", "record.sequence = s.shared_from_this();",
         "record.sequence = std::shared_ptr<Sequence>(std::shared_ptr<Sequence>(), &s);"),
    ],
    "blocks are given back before the last step has ended": [
        (ENGINE + "scheduler.cc", "const int64_t rows = ChunkOf(RowsAhead(*sequence), prefill_budget);\n",
         "const int64_t rows = ChunkOf(RowsAhead(*sequence), prefill_budget);\n"
         "    for (size_t g = 0; rows == 0 && g < pools_.size(); ++g) sequence->tables[g].ReleaseAll(pools_[g]);\n"),
    ],
    "windows slide with what is planned": [
        (ENGINE + "scheduler.cc", "ReleaseBefore(sequence.computed - window + 1", "ReleaseBefore(sequence.planned() - window + 1"),
    ],
    "a slot is reset out of turn": [
        (FAKE, "  call.reused.assign(reused.begin(), reused.end());\n  Add(std::move(call));",
         "  call.reused.assign(reused.begin(), reused.end());\n  Run(call);"),
    ],
    "blocks are copied out of turn": [
        (FAKE, "  call.copies.assign(copies.begin(), copies.end());\n  Add(std::move(call));",
         "  call.copies.assign(copies.begin(), copies.end());\n  Run(call);"),
    ],
    "a sequence is preempted while its rows run": [
        (ENGINE + "scheduler.cc",
         "possible = i + 1 == running_.size() && sequence->in_flight == 0;",
         "if (i + 1 < running_.size()) Preempt(running_.back(), plan);"),
    ],
    "a prefix is kept with rows that run still": [
        (ENGINE + "scheduler.cc", "first(static_cast<size_t>(sequence.computed))",
         "first(std::min(sequence.tokens.size(), static_cast<size_t>(sequence.planned())))"),
    ],
    "a draw that forced tokens made void is taken": [
        (ENGINE + "advance.cc", "const bool whole = s.computed == static_cast<int64_t>(s.tokens.size());",
         "const bool whole = rows.drawn > 0 || s.computed == static_cast<int64_t>(s.tokens.size());"),
    ],
    "a void draw that is not finite ends its request": [
        (ENGINE + "advance.cc", "if (!drawn.empty()) finite &= drawn[0].finite;",
         "for (int32_t i = 0; i < rows.drawn; ++i) finite &= samples[static_cast<size_t>(rows.scored + i)].finite;"),
    ],
    "the last sampled token is fed behind a draft": [
        (ENGINE + "engine.cc", "|| running.error || running.drafts()", "|| running.error"),
        (ENGINE + "engine.cc", "return !speculation_.Holds(scheduler_.running()) && ", "return "),
    ],
    "a sample that is not finite is fed as -1": [
        (FAKE, "sampled.finite && !sampled.empty_mask ? sampled.token : 0", "sampled.finite && !sampled.empty_mask ? sampled.token : -1"),
    ],
    "the error of step n+1 comes before the tokens of step n": [
        (ENGINE + "engine.cc", "    step.error = std::current_exception();\n",
         "    step.error = std::current_exception();\n"
         "    for (const StepRows& rows : step.rows()) Fail(*rows.sequence, step.error);\n"),
    ],
    "a failed step ends those of the step behind": [
        (ENGINE + "engine.cc", "    step.Forget();\n    return;\n",
         "    for (const StepRows& rows : steps_[1 - oldest_].rows()) Fail(*rows.sequence, std::current_exception());\n"
         "    step.Forget();\n    return;\n"),
    ],
    "masks are swapped": [
        (ENGINE + "step_in_flight.cc", "  masks_given = true;\n", "  masks_given = true;\n  std::reverse(masks_.begin(), masks_.end());\n"),
    ],
    "masks are asked for before the token they follow": [
        (ENGINE + "engine.cc", "  if (PlanAhead()) Launch();\n",
         "  if (PlanAhead()) {\n    Launch();\n    GiveMasks(steps_[1 - oldest_]);\n  }\n"),
    ],
    "void rows are counted": [
        (ENGINE + "engine.cc", "if (r.sequence->finished || r.rows == 0) continue;", "if (r.rows == 0) continue;"),
    ],
    "rows of an ended request are observed": [
        (ENGINE + "advance.cc", "if (s.finished || rows.rows == 0) continue;",
         "if (s.finished) {\n      for (RoutingObserver* o : s.request.routing_observers) o->OnRows({});\n      continue;\n    }"),
    ],
    "a row is computed behind the last token": [
        (ENGINE + "scheduler.cc", "sequence.GoesOn(info_.max_context) ? 1 : 0", "sequence.request.max_new_tokens > 0 ? 1 : 0"),
    ],
    "sinks do not hold the next step": [
        (ENGINE + "engine.cc", "sequence->holds_steps = request.logits != nullptr || request.taps != nullptr ||",
         "sequence->holds_steps ="),
    ],
    "a capacity does not hold the next step": [
        (ENGINE + "engine.cc", "request.routing.strategy->DependsOnStep(request.routing) ||\n                          (sequence",
         "(sequence"),
    ],
    "a mask that cannot come late does not hold the next step": [
        (ENGINE + "engine.cc", "(sequence->may_mask && !info().late_masks)", "false"),
    ],
    "a damaged prompt is kept": [
        (ENGINE + "advance.cc", "if (finite) scheduler_.KeepPrefix(s);", "scheduler_.KeepPrefix(s);"),
    ],
    "what one request throws ends the step": [
        (ENGINE + "advance.cc", "      Fail(s, std::current_exception());\n    }",
         "      for (const StepRows& r : step.rows()) Fail(*r.sequence, std::current_exception());\n    }"),
    ],
    "an empty mask is sampled from": [
        (ENGINE + "advance.cc", "if (drawn[i].empty_mask) return", "if (false) return"),
    ],
    "policies are numbered in a byte": [
        (ENGINE + "step_in_flight.cc", "policy_.push_back(static_cast<int32_t>(policy - policies_.begin()));",
         "policy_.push_back(static_cast<uint8_t>(policy - policies_.begin()));"),
    ],
    "adapters share keys and values": [
        (ENGINE + "engine.cc", "const Variant variant{routing, request.adapter};", "const Variant variant{routing, -1};"),
    ],
    "the moment between steps has a step running": [
        (ENGINE + "engine.cc", "  if (between_steps_ && since_between_ + 1 >= between_every_) return false;\n", ""),
        (ENGINE + "engine.cc", "++since_between_ >= between_every_ && in_flight_ == 0", "++since_between_ >= between_every_"),
    ],
    "an engine goes without its steps": [
        (ENGINE + "engine.cc", "  for (; in_flight_ > 0; --in_flight_", "  for (; in_flight_ > 1; --in_flight_"),
    ],
    "two steps never overlap": [
        (ENGINE + "engine.cc", "if (most_in_flight_ < 2 ||", "if (most_in_flight_ < 3 ||"),
    ],
}


def run(command, folder, seconds):
    try:
        return subprocess.run(command, cwd=folder, timeout=seconds, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    except subprocess.TimeoutExpired:
        return None


def failed_tests(output):
    names = [line.split("]", 1)[1].split(",")[0].split("/")[1] for line in output.splitlines()
             if line.startswith("[  FAILED  ]") and line.count("/") >= 1]
    names += [line.split("]", 1)[1].split()[0] for line in output.splitlines()
              if line.startswith("[  FAILED  ]") and "/" not in line and "." in line]
    return sorted(set(names))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", help="a part of the fault's name")
    parser.add_argument("--keep", help="a folder for the copy, used again the next time")
    parser.add_argument("--jobs", default="2")
    options = parser.parse_args()
    copy = Path(options.keep or tempfile.mkdtemp(prefix="planted-faults-"))
    copy.mkdir(parents=True, exist_ok=True)
    target, program = TEST
    bad = 0
    try:
        files = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
        for name in files.stdout.split("\n"):
            source, place = ROOT / name, copy / name
            if not name or not source.is_file():
                continue
            if place.exists() and place.read_bytes() == source.read_bytes():
                continue
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, place)
        build = ["ninja", "-C", "build-debug", "-j", options.jobs, target]
        for command in (["cmake", "--preset", "debug"], build, [f"build-debug/{program}"]):
            done = run(command, copy, 1800)
            if done is None or done.returncode != 0:
                print(f"without a fault: {' '.join(command)} fails\n{done.stdout[-3000:] if done else 'too slow'}")
                return 1
        for name, edits in FAULTS.items():
            if options.only and options.only not in name:
                continue
            originals = {}
            missing = False
            for file, right, wrong in edits:
                text = (copy / file).read_text()
                originals.setdefault(file, text)
                missing |= text.count(right) != 1
                (copy / file).write_text(text.replace(right, wrong))
            verdict = "NOT FOUND in the code"
            if not missing:
                built = run(build, copy, 1800)
                if built is None or built.returncode != 0:
                    verdict = "DOES NOT BUILD\n" + (built.stdout[-1500:] if built else "")
                else:
                    done = run([f"build-debug/{program}", "--gtest_brief=1", "--gtest_fail_fast", f"--gtest_filter={TESTS}"], copy, 300)
                    if done is None:
                        verdict = "caught: never ends"
                    elif done.returncode == 0:
                        verdict = "NOT CAUGHT"
                    elif done.returncode < 0 or "invariant broken" in done.stdout:
                        lines = [line for line in done.stdout.splitlines() if "invariant broken" in line]
                        verdict = f"caught: {lines[-1].split('/')[-1] if lines else 'signal %d' % -done.returncode}"
                    else:
                        names = failed_tests(done.stdout)
                        verdict = f"caught by {', '.join(names)}"
            bad += not verdict.startswith("caught")
            print(f"{name}: {verdict}", flush=True)
            for file, text in originals.items():
                (copy / file).write_text(text)
    finally:
        if not options.keep:
            shutil.rmtree(copy, ignore_errors=True)
    print(f"{bad} of the faults are not caught" if bad else "every fault is caught")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
