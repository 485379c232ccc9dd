// `serve`: a model behind HTTP. Opens the port first, so that a port in use is said at once; then the model.
#include <sys/resource.h>

#include "base/file_in_use.h"
#include "base/interrupt.h"
#include "base/printable.h"
#include "checkpoint/locate.h"
#include "cli/commands/terminal_model.h"
#include "cli/options/command.h"
#include "cli/options/date.h"
#include "cli/options/device_wish.h"
#include "cli/terminal/terminal.h"
#include "server/server.h"

namespace oxidized::cli {
namespace {

constexpr int32_t kMaxSequences = 16;

struct ServeOptions {
  RuntimeOptions runtime;
  server::ServerOptions server;
  DateWish date;
};

// A connection is a descriptor; the usual soft limit of 1024 is for programs that use select.
void AllowManyConnections() {
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur >= files.rlim_max) return;
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);  // refused: there are fewer
}

std::unique_ptr<Runtime> Load(const ServeOptions& options, SideStream& side) {
  RuntimeOptions runtime = options.runtime;
  runtime.device.read_ahead = true;
  runtime.check = [&](const ModelConfig& config) { CheckRouting(options.server.routing, config); };
  runtime.device.progress = [&](PrepareStage stage, int64_t done, int64_t total) {
    side.Status(ProgressText(stage, options.runtime.device, done, total));
    ThrowIfInterrupted();
  };
  side.Status("opening the model");
  auto loaded = Runtime::Load(runtime);
  side.Status("");
  side.Line(fmt::format("model: {} ({}), executor: {}", Shown(loaded->checkpoint().path),
                        loaded->checkpoint().format, loaded->executor().Info().device));
  WarnOfRouting(options.server.routing, loaded->checkpoint().config);
  for (const std::filesystem::path& file : FilesOfModel(loaded->checkpoint().path)) KeepInUse(file);
  KeepInUse(options.runtime.tokenizer_path);
  return loaded;
}

int Serve(const ServeOptions& options) {
  AllowManyConnections();
  SideStream side(/*color=*/false);
  server::ServerOptions wanted = options.server;
  wanted.version = OXIDIZED_VERSION;
  wanted.date = [&options] { return options.date.Now(); };
  wanted.model_path = options.runtime.model_path;
  server::Server server(std::move(wanted));
  const auto runtime = Load(options, side);
  ThrowIfInterrupted();  // from Run on signals are the server's
  WriteAnswer(fmt::format("listening on http://{}\n", server.address()));
  side.Line(fmt::format(
      "try: curl http://{}/v1/chat/completions {}-d '{{\"messages\": [{{\"role\": \"user\", \"content\": "
      "\"What is 12 + 30?\"}}]}}'",
      server.address(),
      options.server.api_keys.empty() && options.server.api_key_file.empty() ? "" : "-H 'x-api-key: KEY' "));
  server.Run(*runtime);
  return 0;
}

void AddOptions(Command& c, ServeOptions& o) {
  AddModelOptions(c, o.runtime);
  c.AddPositional("model", Path(o.runtime.model_path, "MODEL"), "The same as --model-path");
  AddExecutorOptions(c, o.runtime);
  o.runtime.speculation = SpeculationOptions::Auto();
  AddSpeculationOptions(c, o.runtime.speculation);
  o.runtime.device.limits.max_sequences = kMaxSequences;
  c.Add("--max-sequences", Number(o.runtime.device.limits.max_sequences, 1, 1024),
        "Answers that are computed together, which share the memory of one --context [16]");
  c.Add("--date", Date(o.date), "Date in the system message: YYYY-MM-DD, none, or today [today]");

  c.Group("Server");
  server::ServerOptions& server = o.server;
  c.Add("--host", Text(server.host, "ADDRESS"),
        "Name or address to listen at; 0.0.0.0: every network of this machine, best with a key [127.0.0.1]");
  c.Add("--port", Number(server.port, 0, 65535), "0 takes one that is free, and says which [8080]");
  c.Add("--api-key", Words(server.api_keys, "KEY"),
        "Who asks must name this key; may be given again. Other users can see it in the process list: in "
        "$OXIDIZED_API_KEY or a file they cannot");
  c.Add("--api-key-file", Path(server.api_key_file, "FILE"), "Keys, one a line; read again on SIGHUP");
  c.Add("--served-model-name", Words(server.model_names, "NAME"),
        "The model's name for clients; may be given again [that of its folder, file or repository]");
  c.Add("--max-queue", Number(server.max_queue, 0, 3000),
        "Answers that may wait for others to end; one more gets status 429 [256]");
  c.Add("--max-body", Number(server.max_body_bytes, 1, 1 << 30, "BYTES"),
        "Size of a request at most; a larger one gets status 413 [16777216]");
  c.Add("--drain-timeout", Number(server.drain_seconds, 0, 1 << 20, "S"),
        "Seconds that answers may take to end after SIGTERM [30]");

  c.Group("Experts");
  AddRoutingOptions(c, server.routing, o.runtime.device.experts);
  c.AddRules({{{"model"}, OptionRule::Kind::kContradicts, {"--model-path"}, "both name the model"}});
}

}  // namespace

Action AddServe(Command& command) {
  auto options = std::make_shared<ServeOptions>();
  AddOptions(command, *options);
  return [options] { return Serve(*options); };
}

}  // namespace oxidized::cli
