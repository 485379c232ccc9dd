// `tokenize` and `detokenize`: text to ids and back, one text or JSON lines.
#include <limits>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "cli/options/command.h"
#include "cli/options/token_ids.h"
#include "cli/terminal/input.h"
#include "cli/terminal/terminal.h"
#include "tokenizer/decode.h"

namespace oxidized::cli {
namespace {

using Json = nlohmann::json;

struct TokenizeOptions {
  RuntimeOptions runtime;  // model and tokenizer paths only
  std::vector<std::string> input;
  bool jsonl = false;
  bool specials = false;  // the text of special tokens becomes those tokens
};
struct DetokenizeOptions {
  RuntimeOptions runtime;
  std::vector<std::string> input;
  bool jsonl = false;
};

// Calls `answer` with each line's JSON value; what it returns is printed as one line.
template <typename Answer>
void EachJsonLine(Answer answer) {
  std::string line, out;
  for (int64_t number = 1; ReadLine(line); ++number) {
    try {
      out = answer(Json::parse(line)).dump(-1, ' ', false, Json::error_handler_t::replace);
    } catch (const Json::exception& error) {
      Fail(ErrorKind::kBadFile, "standard input, line {}: {}", number, error.what());
    }
    WriteAnswer(out + "\n");
  }
}

// nlohmann would round a fraction and wrap a large number around.
std::vector<int32_t> Ids(const Json& line) {
  if (!line.is_array())
    Fail(ErrorKind::kBadFile, "standard input: expected an array of ids, found {}", line.type_name());
  std::vector<int32_t> ids;
  for (const Json& id : line) {
    if (!id.is_number_integer() || id.get<int64_t>() < 0 ||
        id.get<int64_t>() > std::numeric_limits<int32_t>::max()) {
      Fail(ErrorKind::kBadFile, "standard input: {} is not a token id", id.dump());
    }
    ids.push_back(id.get<int32_t>());
  }
  return ids;
}

std::string OneInput(const std::vector<std::string>& words) {
  if (words.empty() || (words.size() == 1 && words[0] == "-")) return ReadInput("-");
  std::string text = words[0];
  for (size_t i = 1; i < words.size(); ++i) text += " " + words[i];
  return text;
}

OptionRule JsonlReadsStandardInput(const char* words) {
  return {{"--jsonl"}, OptionRule::Kind::kContradicts, {words}, "it reads standard input"};
}

int Tokenize(const TokenizeOptions& o) {
  const auto tokenizer = OpenTokenizer(o.runtime.tokenizer_path, o.runtime.model_path, o.runtime.download);
  const auto encode = [&](const std::string& text) {
    return o.specials ? tokenizer->EncodeWithSpecials(text) : tokenizer->Encode(text);
  };
  if (o.jsonl) {
    EachJsonLine([&](const Json& line) { return Json(encode(line.get<std::string>())); });
    return 0;
  }
  std::string out;
  for (const int32_t id : encode(OneInput(o.input))) out += (out.empty() ? "" : " ") + std::to_string(id);
  WriteAnswer(out + "\n");
  return 0;
}

int Detokenize(const DetokenizeOptions& o) {
  const auto tokenizer = OpenTokenizer(o.runtime.tokenizer_path, o.runtime.model_path, o.runtime.download);
  if (o.jsonl) {
    EachJsonLine([&](const Json& line) { return Json(Decode(Ids(line), *tokenizer)); });
    return 0;
  }
  // Nothing is added: the text is exactly that of the ids.
  WriteAnswer(Decode(ParseIds(OneInput(o.input), "ids", ErrorKind::kUsage), *tokenizer));
  return 0;
}

}  // namespace

Action AddTokenize(Command& command) {
  auto o = std::make_shared<TokenizeOptions>();
  AddTokenizerOptions(command, o->runtime);
  command.AddPositional("text", Words(o->input, "TEXT"), "Text; - reads standard input");
  command.AddFlag("--jsonl", o->jsonl,
                  "Each line of standard input is a JSON string, each line out an array of ids");
  command.AddRules({JsonlReadsStandardInput("text")});
  command.AddFlag("--specials", o->specials, "The text of a special token becomes that token");
  return [o] { return Tokenize(*o); };
}

Action AddDetokenize(Command& command) {
  auto o = std::make_shared<DetokenizeOptions>();
  AddTokenizerOptions(command, o->runtime);
  command.AddPositional("ids", Words(o->input, "IDS"), "Ids separated by spaces; - reads standard input");
  command.AddFlag("--jsonl", o->jsonl,
                  "Each line of standard input is an array of ids, each line out a JSON string");
  command.AddRules({JsonlReadsStandardInput("ids")});
  return [o] { return Detokenize(*o); };
}

}  // namespace oxidized::cli
