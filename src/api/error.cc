#include "oxidized/error.h"

#include <filesystem>
#include <new>

#include "api/guard.h"
#include "base/error.h"

namespace oxidized::v1 {
namespace {

struct KindRow {
  ErrorKind kind;
  oxidized::ErrorKind inner;
  const char* what_to_do;
};
constexpr KindRow kKinds[] = {
    {ErrorKind::kInternal, oxidized::ErrorKind::kInternal, "Report it as a defect of the library."},
    {ErrorKind::kUsage, oxidized::ErrorKind::kUsage,
     "Change the option or argument that the message names; the headers say which values it takes."},
    {ErrorKind::kBadFile, oxidized::ErrorKind::kBadFile,
     "Compare the file or conversation with what was expected; `oxidized_gpt_oss inspect PATH` shows what a "
     "file holds. Download a damaged file again."},
    {ErrorKind::kNoMemory, oxidized::ErrorKind::kNoMemory,
     "Ask for less: a shorter context, fewer sequences, a smaller expert_memory, a smaller model."},
    {ErrorKind::kContextFull, oxidized::ErrorKind::kContextFull,
     "Shorten the prompt, or open the model with a longer context."},
    {ErrorKind::kRequestFailed, oxidized::ErrorKind::kRequestFailed,
     "Verify the model's files (`oxidized_gpt_oss verify PATH`): damaged weights are the usual cause. The "
     "model "
     "can be asked again."},
    {ErrorKind::kUnsupported, oxidized::ErrorKind::kUnsupported,
     "Use another device or option: this build or device cannot do what was asked for."},
    {ErrorKind::kNetwork, oxidized::ErrorKind::kNetwork,
     "Try again: what was fetched is kept, and the download goes on there."},
};
constexpr bool SameValues() {
  for (const KindRow& row : kKinds) {
    if (static_cast<int>(row.kind) != static_cast<int>(row.inner)) return false;
  }
  return true;
}
static_assert(SameValues());

ErrorKind KindOf(oxidized::ErrorKind inner) {
  for (const KindRow& row : kKinds) {
    if (row.inner == inner) return row.kind;
  }
  return ErrorKind::kInternal;  // the other kinds are exit codes of the program
}

}  // namespace

Error::Error(ErrorKind kind, const std::string& what) : std::runtime_error(what), kind_(kind) {}
Error::~Error() = default;

const char* Error::what_to_do() const noexcept {
  for (const KindRow& row : kKinds) {
    if (row.kind == kind_) return row.what_to_do;
  }
  return kKinds[0].what_to_do;
}

Error ErrorOf(const RequestError& error) { return {KindOf(error.kind), error.message}; }

void RethrowAsError() {
  try {
    throw;
  } catch (const Error&) {
    throw;
  } catch (const oxidized::Error& error) {
    throw Error(KindOf(error.kind()), error.what());
  } catch (const std::bad_alloc&) {
    throw Error(ErrorKind::kNoMemory, "out of memory");
  } catch (const std::filesystem::filesystem_error& error) {
    throw Error(ErrorKind::kBadFile, error.path1().string() + ": " + error.code().message());
  } catch (const std::exception& error) {
    throw Error(ErrorKind::kInternal, error.what());
  } catch (...) {
    throw Error(ErrorKind::kInternal, "an exception of unknown type");
  }
}

}  // namespace oxidized::v1
