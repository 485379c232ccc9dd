// Options of experts on demand, for every command that runs a model (docs/moe.md).
#include "cli/options/command.h"

namespace oxidized::cli {

void AddExpertMemoryOptions(Command& command, ExpertMemoryOptions& options) {
  command.Add(
      "--expert-memory",
      {"BYTES|%",
       [&options](const std::string& text) {
         options.budget = ParseExpertBudget(text);
         if (!options.budget)
           throw BadValue{fmt::format("'{}' is not an amount like 4GiB, 500MB, 123456789 or 25%", text)};
       }},
      "Keep at most so much of the experts in memory, as bytes (4GiB) or a share (25%), and read the "
      "others when they are needed; all other weights are read into memory. The results stay the "
      "same [all of them]");
  std::map<std::string, EvictionRule> rules;
  for (const EvictionRuleInfo& rule : EvictionRules()) rules[rule.name] = rule.rule;
  command.Add("--expert-eviction", Choice(options.eviction, rules),
              "Which expert makes room, with --expert-memory: lru, frequency (uses that fade), lfu-da [lru]");
  command.AddFlag("--expert-prefetch", options.prefetch,
                  "Read the experts that the next layer will probably want before it asks, with "
                  "--expert-memory [true]",
                  "BOOL");
  command.AddRules({{{"--expert-eviction", "--expert-prefetch"},
                     OptionRule::Kind::kNeeds,
                     {"--expert-memory", "--benchmark-moe"}}});
}

}  // namespace oxidized::cli
