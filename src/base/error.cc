#include "base/error.h"

#include <cstdio>
#include <cstdlib>

namespace oxidized {
namespace {

constexpr std::string_view kBehindComponent = ": ", kBeforeExpected = ", expected ";

// `format` up to its first `mark`, in letters; all of it where there is no such mark.
std::string UpTo(std::string_view format, size_t mark, fmt::format_args args) {
  return fmt::vformat(format.substr(0, mark), args);
}

Fault Parts(std::string_view format, fmt::format_args args) {
  Fault fault;
  const std::string text = fmt::vformat(format, args);
  size_t begin = 0, end = text.size();
  const size_t component = format.find(kBehindComponent);
  if (component != format.npos && format.substr(0, component).find(' ') == format.npos) {
    fault.component = UpTo(format, component, args);
    begin = fault.component.size() + kBehindComponent.size();
  }
  if (const size_t expected = format.rfind(kBeforeExpected); expected != format.npos) {
    end = UpTo(format, expected, args).size();
    fault.expected = text.substr(end + kBeforeExpected.size());
  }
  fault.found = text.substr(begin, end - begin);
  return fault;
}

std::string Name(Setting setting) { return std::string(NameOf(setting)); }

}  // namespace

std::string Fault::Text(const Spelling& spelling) const {
  std::string text;
  const auto add = [&](std::string_view between, const std::string& part) {
    if (part.empty()) return;
    if (!text.empty()) text += between;
    text += part;
  };
  if (setting != Setting::kNone) add("", spelling(setting) + (value.empty() ? "" : " " + value));
  add(kBehindComponent, component);
  add(kBehindComponent, found);
  add(kBeforeExpected, expected);
  for (const Remedy& remedy : remedies)
    add(&remedy == &remedies.front() ? "; " : ", or ", remedy.Text(spelling));
  return text;
}

Error::Error(ErrorKind kind, Fault fault)
    : std::runtime_error(fault.Text(Name)), kind_(kind), fault_(std::move(fault)) {}

Error::Error(ErrorKind kind, const std::string& message) : Error(kind, Fault{.found = message}) {}

Error::Error(const RequestError& error)
    : Error(error.kind, Fault{.setting = error.setting, .found = error.message}) {}

namespace internal {

void Throw(ErrorKind kind, fmt::string_view format, fmt::format_args args) {
  throw Error(kind, Parts({format.data(), format.size()}, args));
}

// The one line that a library writes to the terminal: nothing comes after it.
void CheckFailed(const char* file, int line, const char* condition) {
  std::fprintf(stderr, "%s:%d: invariant broken: %s (this is a defect, please report it)\n", file, line,
               condition);
  std::abort();
}

}  // namespace internal
}  // namespace oxidized
