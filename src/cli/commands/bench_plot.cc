// The door of `bench plot`: pictures (bench/plot.h) of files that `bench --json` wrote.
#include <filesystem>

#include "base/error.h"
#include "base/output_file.h"
#include "base/printable.h"
#include "bench/plot.h"
#include "cli/options/command.h"
#include "cli/terminal/input.h"
#include "cli/terminal/terminal.h"
#include "report/svg_chart.h"

namespace oxidized::cli {
namespace {

struct PlotOptions {
  std::filesystem::path folder;
  std::vector<std::string> files;
  bool force = false;
};

// "NAME=FILE"; without a name, the file's.
BenchRecord Read(const std::string& word) {
  const size_t separator = word.find('=');
  const std::string path = separator == std::string::npos ? word : word.substr(separator + 1);
  return ParseBenchRecord(separator == std::string::npos ? std::filesystem::path(path).stem().string()
                                                         : word.substr(0, separator),
                          ReadInput(path), path);
}

int RunPlot(const PlotOptions& o) {
  std::vector<BenchRecord> records;
  for (const std::string& word : o.files) records.push_back(Read(word));
  const std::vector<BenchPicture> pictures = PicturesOf(records);
  if (pictures.empty()) Fail(ErrorKind::kUsage, "bench plot: no kind of test has two points");
  std::error_code error;
  std::filesystem::create_directories(o.folder, error);
  if (error) Fail(ErrorKind::kBadFile, "--out: {}: {}", o.folder.string(), error.message());
  for (const BenchPicture& picture : pictures) {
    const std::filesystem::path file = o.folder / (picture.name + ".svg");
    WriteOutput({file, {.sign = kPictureSign, .replace = o.force}}, picture.svg);
    WriteAnswer(Shown(file) + "\n");
  }
  return 0;
}

}  // namespace

Action AddBenchPlot(Command& command) {
  auto o = std::make_shared<PlotOptions>();
  Value folder = Path(o->folder, "DIR");
  folder.input = false;
  command.Add("--out", folder, "Folder of the pictures; one that is there is replaced").Required();
  command.AddFlag("--force", o->force,
                  "Let a picture replace any file that is there, and go where a link leads");
  command
      .AddPositional("file", Words(o->files, "NAME=FILE"),
                     "What `bench --json` wrote: a series of this name in each picture")
      .Required();
  return [o] { return RunPlot(*o); };
}

}  // namespace oxidized::cli
