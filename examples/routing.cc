// Which experts an answer used: a row a layer, the share of its choices that each expert served.
//
//   routing MODEL QUESTION
#include <cstdio>

#include "oxidized/model.h"

int main(int argc, char** argv) {
  if (argc != 3) return std::fputs("usage: routing MODEL QUESTION\n", stderr), 2;
  try {
    oxidized::OpenOptions options;
    options.model_path = argv[1];
    const oxidized::Model model = oxidized::Model::Open(options);
    oxidized::Chat chat;
    chat.messages.push_back(oxidized::UserMessage(argv[2]));
    const oxidized::Answer answer = model.Generate({.prompt = chat, .temperature = 0.0});

    std::printf("%s\n\nlayer  tokens  evenness  share of each expert\n", answer.text.c_str());
    const std::vector<oxidized::LayerRouting>& layers = answer.routing.decode;
    for (std::size_t layer = 0; layer < layers.size(); ++layer) {
      const oxidized::LayerRouting& routing = layers[layer];
      const double choices = static_cast<double>(routing.tokens) * model.info().experts_per_token;
      std::printf("%5zu  %6lld  %8.3f ", layer, static_cast<long long>(routing.tokens), routing.evenness);
      for (const std::int64_t count : routing.counts)
        std::printf(" %4.1f%%", choices > 0 ? 100.0 * static_cast<double>(count) / choices : 0.0);
      std::printf("\n");
    }
  } catch (const oxidized::Error& error) {
    std::fprintf(stderr, "routing: %s\n%s\n", error.what(), error.what_to_do());
    return static_cast<int>(error.kind());
  }
}
