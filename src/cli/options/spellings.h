// The command line in the words of people who know llama.cpp, Ollama or vLLM: what means something here is
// put into our words before the parser sees it, and what does not gets an answer that names what does. A
// table of data each; the parser's own words go before them.
#pragma once

#include <string>
#include <vector>

#include "cli/options/option_table.h"

namespace oxidized::cli {

// `words`: without the program's name. Puts into our words
// - commands: chat [MODEL], run MODEL [PROMPT...], show, ls, download, help [COMMAND], version;
// - options of other programs that mean the same (-n 32, --ctx-size=4096, -hf org/name, --no-mmap), and
//   --max_tokens for --max-tokens;
// - a value behind a flag (--use-mmap false) into --use-mmap=false;
// - options before a command that are options of that command: behind it.
// Nothing behind a "--" is touched, nor what the parser knows already. Throws Error(kUsage) for a word of one
// dash that the parser would take for a letter and its value.
std::vector<std::string> InOurWords(std::vector<std::string> words, const OptionTable& table);

// What to say to `word`, which no command and no option of `command` ("": the program) expects: what is meant
// most likely, and where to look. `all`: the words in which it stands.
std::string WhatIsMeant(const std::string& word, const std::string& command, const OptionTable& table,
                        const std::vector<std::string>& all);

}  // namespace oxidized::cli
