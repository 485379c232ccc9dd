// Many questions in common steps: one a line of standard input, one line of standard output each, in order.
//
//   batch MODEL
#include <iostream>
#include <string>
#include <vector>

#include "oxidized/model.h"

int main(int argc, char** argv) {
  if (argc != 2) return std::cerr << "usage: batch MODEL\n", 2;
  try {
    oxidized::OpenOptions options;
    options.model_path = argv[1];
    options.context = 2048;
    options.max_sequences = 16;  // answers computed at a time; more wait
    options.kv_tokens = 16 * 2048;
    const oxidized::Model model = oxidized::Model::Open(options);

    std::vector<oxidized::Request> requests;
    for (std::string line; std::getline(std::cin, line);) {
      oxidized::Chat chat;
      chat.messages.push_back(oxidized::UserMessage(line));
      requests.push_back({.prompt = chat, .temperature = 0.0});
    }
    for (const oxidized::Answer& answer : model.GenerateMany(requests)) {
      std::cout << oxidized::Name(answer.end) << ": " << (answer.error ? answer.error->what() : answer.text)
                << "\n";
    }
  } catch (const oxidized::Error& error) {
    std::cerr << "batch: " << error.what() << "\n" << error.what_to_do() << "\n";
    return static_cast<int>(error.kind());
  }
}
