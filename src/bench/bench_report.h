// What `bench` prints: one set of figures as a table for people, as markdown, CSV and JSON.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "bench/figure.h"
#include "kernels/cpu/ceilings.h"

namespace oxidized::cli {

struct BenchReport {
  struct Team {
    int threads = 0;
    std::string tier;    // of the instructions that the ceilings are those of
    std::string device;  // "" when no model was loaded
    Ceilings ceilings;
  };
  // How the model's weights were held while the tests ran.
  struct Weights {
    bool mapped = true;                  // false: read into memory
    int64_t converted_bytes = 0;         // of what lies in no file: made when the model was opened
    int64_t packed_bytes = 0;            // of dense weights in 12 bits; 0: none
    bool packed_file = false;            // these out of a file
    std::string arrangement = "stored";  // or the form that the device gave some of them (PreparedWeights)
    int64_t arranged_bytes = 0;
    int64_t expert_slots = 0;  // with --expert-memory: so many experts are in memory at once; 0: all
    int64_t stored_experts = 0, slot_bytes = 0;
  };
  std::string model;                             // "" when none was opened
  std::string executor, precision, activations;  // "" when no test ran the model
  std::optional<Weights> weights;                // likewise
  std::string tier;                              // of the kernels that the tests use; "": they use none
  uint64_t seed = 0;
  int32_t runs = 0;
  std::vector<Team> teams;
  std::vector<Figure> figures;
};

enum class BenchFormat : uint8_t { kTable, kMarkdown, kCsv, kJson };

// `stages`: where the time of each test's steps went, too (not in CSV, which has one kind of row).
std::string Print(const BenchReport& report, BenchFormat format, bool stages);

}  // namespace oxidized::cli
