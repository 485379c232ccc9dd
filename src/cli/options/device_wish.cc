#include "cli/options/device_wish.h"

#include <algorithm>

#include "base/error.h"
#include "base/log.h"

namespace oxidized::cli {

std::shared_ptr<DeviceWish> DeviceWish::Add(Command& command, DeviceChoice& choice) {
  const std::shared_ptr<DeviceWish> wish(new DeviceWish(choice));
  wish->device_.given =
      command
          .Add("--device",
               {DeviceWords(),
                [wish](const std::string& text) {
                  const auto named = ParseDeviceChoice(text);
                  if (!named) NoneOf(text, DeviceWords() + ", or one of several as in cuda:1");
                  wish->device_.choice = *named;
                  wish->device_.written = "--device " + text;
                }},
               "What computes: a row of `devices`, one of several as in cuda:1; reference is the scalar, "
               "exact, "
               "slow specification. auto: a GPU if there is one and the model fits, else the CPU")
          .given();
  constexpr const char* kWords = "auto|cpu|reference";
  wish->executor_.given = command
                              .Add("--executor",
                                   {kWords,
                                    [wish](const std::string& text) {
                                      if (text != "auto" && text != "cpu" && text != "reference")
                                        NoneOf(text, kWords);
                                      wish->executor_.choice = *ParseDeviceChoice(text);
                                      wish->executor_.written = "--executor " + text;
                                    }},
                                   "The same as --device, as earlier versions called it")
                              .given();
  command.AfterParsing([wish] { wish->Settle(); });
  return wish;
}

void DeviceWish::AddUseMetal(Command& command) {
  use_metal_.given =
      command
          .AddFlag("--use-metal", metal_,
                   "Older name for --device metal, with --device auto where there is no Metal; "
                   "=false: --device cpu",
                   "BOOL")
          .given();
}

// The reference computes on the CPU, so that the wider word may stand beside the narrower one.
bool DeviceWish::Agree(const DeviceChoice& wide, const DeviceChoice& narrow) {
  return wide.automatic() || narrow.automatic() || wide == narrow ||
         (wide.name == "cpu" && narrow.name == "reference");
}

void DeviceWish::Settle() {
  Command::Source nearest = Command::Source::kNobody;
  for (const Way* way : {&device_, &executor_, &use_metal_}) nearest = std::max(nearest, way->given.source());
  if (nearest == Command::Source::kNobody) return;
  use_metal_.choice = {metal_ ? "metal" : "cpu"};
  use_metal_.written = metal_ ? "--use-metal" : "--use-metal=false";

  const Way* chosen = nullptr;
  for (const Way* way : {&use_metal_, &device_, &executor_}) {  // from the widest to the narrowest
    if (way->given.source() != nearest) continue;
    if (chosen != nullptr && !Agree(chosen->choice, way->choice)) {
      Fail(ErrorKind::kUsage, "{} contradicts {}: they say the same thing", way->written, chosen->written);
    }
    if (chosen == nullptr || !way->choice.automatic()) chosen = way;
  }
  choice_ = chosen->choice;
  if (chosen == &use_metal_ && choice_.name == "metal") {
    const DeviceAvailability metal = DeviceNamed("metal").available();
    if (!metal.instances.empty()) return;
    choice_ = {};
    Log(LogLevel::kWarning,
        "--use-metal: {}; as with --device auto, the CPU is used where there is no other GPU", metal.why_not);
  }
}

}  // namespace oxidized::cli
