// What is logged while it lives, a message a line, with settings by their names.
#pragma once

#include <string>

#include "base/log.h"

namespace oxidized::testing {

class LogCapture {
 public:
  LogCapture() {
    SetLogSink([this](LogLevel, const Fault& message) {
      text_ += message.Text([](Setting setting) { return std::string(NameOf(setting)); }) + "\n";
    });
  }
  ~LogCapture() { SetLogSink(nullptr); }
  LogCapture(const LogCapture&) = delete;
  LogCapture& operator=(const LogCapture&) = delete;
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

}  // namespace oxidized::testing
