#include "cli/options/spellings.h"

#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <sstream>

#include "base/error.h"
#include "cli/options/nearest.h"

namespace oxidized::cli {
namespace {

OptionInfo Taking(std::vector<std::string> names, std::string value) {
  return {.names = std::move(names), .value = std::move(value), .needs_value = true, .help = "", .group = ""};
}
OptionInfo Flag(std::string name, std::string value = "") {
  return {
      .names = {std::move(name)}, .value = std::move(value), .needs_value = false, .help = "", .group = ""};
}

const OptionTable kTable = {
    {.name = "",
     .help = "",
     .options = {Taking({"-m", "--model-path"}, "PATH"), Taking({"-t", "--tokenizer-path"}, "PATH"),
                 Taking({"-p", "--prompt"}, "TEXT"), Taking({"--max-tokens"}, "N"),
                 Taking({"--context"}, "N"), Taking({"--temperature"}, "N"), Taking({"--threads"}, "N"),
                 Flag("--interactive"), Flag("--json"), Flag("--help"), Flag("--use-mmap", "BOOL"),
                 Flag("--show-reasoning", "dim|plain|hidden")},
     .positionals = {}},
    {.name = "inspect",
     .help = "",
     .options = {Flag("--json"), Flag("--help")},
     .positionals = {Taking({"path"}, "PATH")}},
    {.name = "bench",
     .help = "",
     .options = {Taking({"-m", "--model-path"}, "PATH"), Taking({"--runs"}, "N"), Flag("--help")},
     .positionals = {Taking({"test"}, "TEST")}},
    {.name = "bench moe", .help = "", .options = {Taking({"-m", "--model-path"}, "PATH")}, .positionals = {}},
    {.name = "list", .help = "", .options = {Flag("--help")}, .positionals = {}},
};

// Words are separated by '|' where one holds a space.
std::vector<std::string> Split(const std::string& text) {
  const char between = text.find('|') == std::string::npos ? ' ' : '|';
  std::vector<std::string> words;
  std::istringstream in(text);
  for (std::string word; std::getline(in, word, between);) words.push_back(word);
  return words;
}

TEST(Spellings, OtherProgramsWordsBecomeOurs) {
  const std::pair<const char*, const char*> cases[] = {
      {"-n 32 -p x", "--max-tokens 32 -p x"},
      {"-c 4096 --temp 0", "--context 4096 --temperature 0"},
      {"--ctx-size=4096", "--context=4096"},
      {"--max_tokens 3 --max_tokens=3", "--max-tokens 3 --max-tokens=3"},
      {"--no-mmap -p x", "--use-mmap=false -p x"},
      {"-hf a/b -p x", "--model-path hf:a/b -p x"},
      {"--hf-repo=a/b", "--model-path=hf:a/b"},
      {"-t 2 -p x", "--threads 2 -p x"},
      {"-t /nonexistent/2", "-t /nonexistent/2"},
      {"--use-mmap false -p x", "--use-mmap=false -p x"},
      {"--show-reasoning dim", "--show-reasoning=dim"},
      {"--show-reasoning bench", "--show-reasoning bench"},
      {"-p -n", "-p -n"},  // a value
      {"-p chat", "-p chat"},
      {"-- -n 3", "-- -n 3"},
      {"chat", "--interactive"},
      {"chat M --temp 0", "--temperature 0 --model-path M --interactive"},
      {"-m M chat", "-m M --interactive"},
      {"run M why not", "--model-path|M|--prompt|why not"},
      {"run -m M why", "-m M --prompt why"},
      {"run M --json why", "--json --model-path M --prompt why"},
      {"run --help", "--help"},
      {"help", "--help"},
      {"help bench moe", "bench moe --help"},
      {"version", "--version"},
      {"ls", "list"},
      {"-tb 2 -p x", "--threads 2 -p x"},
      {"help bnech", "bnech"},
      {"show M --json", "inspect M --json"},
      {"inspect -m M", "inspect M"},
      {"-m M inspect --json", "inspect M --json"},
      {"-m M bench --runs 2", "bench -m M --runs 2"},
      {"-m M bench moe", "bench moe -m M"},
      {"-p x bench", "-p x bench"},  // refused by the parser: bench has no prompt
      {"bench -n 3", "bench -n 3"},
      {"nothing -n 3", "nothing -n 3"},
      {"-m", "-m"},
      {"-hf", "--model-path"},
  };
  for (const auto& [theirs, ours] : cases) {
    const std::string got = fmt::format("{}", fmt::join(InOurWords(Split(theirs), kTable), "|"));
    EXPECT_EQ(got, fmt::format("{}", fmt::join(Split(ours), "|"))) << theirs;
  }
  EXPECT_TRUE(InOurWords({}, kTable).empty());
}

TEST(Spellings, WhatMeansNothingIsAnsweredByWhatDoes) {
  const auto says = [](const std::string& word, const std::string& command,
                       const std::vector<std::string>& all = {}) {
    return WhatIsMeant(word, command, kTable, all);
  };
  EXPECT_EQ(says("--temperatur", ""),
            "--temperatur is not an option; the nearest is --temperature (--help lists the options)");
  EXPECT_EQ(says("--runs", ""), "--runs is not an option, but of `bench` (--help lists the options)");
  EXPECT_EQ(says("--temp", "bench"),
            "--temp is --temperature here, and not an option of `bench` (bench --help lists the options)");
  EXPECT_EQ(says("-n", "bench"), "-n: tests are named by what they do: bench pp512 tg128");
  EXPECT_NE(says("-ngl", "").find("--device auto"), std::string::npos);
  EXPECT_NE(says("quantize", "").find("convert"), std::string::npos);
  EXPECT_EQ(says("bnech", ""),
            "'bnech' is not a command; the nearest is `bench` (--help lists the commands)");
  EXPECT_EQ(says("what is it", ""), "'what is it' is not a command; a question is asked with --prompt TEXT");
  EXPECT_EQ(says("maybe", "", {"--use-mmap", "maybe"}), "--use-mmap maybe: expected --use-mmap=BOOL");
  EXPECT_EQ(says("xyzzy\x1b[31m", ""), "'xyzzy\\x1b[31m' is not a command (--help lists the commands)");
}

TEST(Spellings, ALetterWithItsValueIsNotAnotherProgramsWord) {
  for (const char* word : {"-mu", "-hff"}) {
    try {
      InOurWords({word, "x"}, kTable);
      ADD_FAILURE() << word;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kUsage);
    }
  }
}

TEST(Nearest, FarNamesAreNotMeant) {
  const std::vector<std::string> names = {"bench", "inspect", "list"};
  EXPECT_EQ(Nearest("insp", names), "inspect");
  EXPECT_EQ(Nearest("lsit", names), "list");
  EXPECT_EQ(Nearest("frobnicate", names), "");
  EXPECT_EQ(Nearest("", names), "");
  EXPECT_EQ(Nearest(std::string(10000, 'b'), names), "");
}

}  // namespace
}  // namespace oxidized::cli
