// A chat: each line of standard input is a message, answers stream to standard output. A function that the
// model may call is run here.
//
//   chat MODEL
#include <iostream>
#include <string>

#include "oxidized/model.h"

namespace {

std::string Weather(const std::string& arguments) {
  std::cout << "[get_weather " << arguments << "]\n";
  return R"({"temperature": 18, "condition": "sunny"})";
}

bool Show(const oxidized::Delta& delta) {
  if (delta.kind == oxidized::Delta::Kind::kAnswer) std::cout << delta.text << std::flush;
  return static_cast<bool>(std::cout);  // nobody reads: the answer ends
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return std::cerr << "usage: chat MODEL\n", 2;
  try {
    oxidized::OpenOptions options;
    options.model_path = argv[1];
    const oxidized::Model model = oxidized::Model::Open(options);

    oxidized::Chat chat;
    chat.functions.push_back(
        {.name = "get_weather",
         .description = "Gets the current weather in a city.",
         .parameters = R"({"type": "object", "properties": {"location": {"type": "string"}},
                                                "required": ["location"]})"});
    oxidized::Request request;
    request.temperature = 0.0;
    for (std::string line; std::getline(std::cin, line);) {
      chat.messages.push_back(oxidized::UserMessage(line));
      for (bool more = true; more;) {
        request.prompt = chat;
        const oxidized::Answer answer = model.Generate(request, Show);
        chat.messages.insert(chat.messages.end(), answer.messages.begin(), answer.messages.end());
        more = answer.end == oxidized::End::kToolCall;
        if (more) {
          const oxidized::Message call = chat.messages.back();
          chat.messages.push_back(oxidized::ToolMessage(call, Weather(call.text)));
        }
      }
      std::cout << "\n";
    }
  } catch (const oxidized::Error& error) {
    std::cerr << "chat: " << error.what() << "\n" << error.what_to_do() << "\n";
    return static_cast<int>(error.kind());
  }
}
