// Long work of the library (reading a model into memory, writing a checkpoint) asks here whether it should
// end. Who installs signal handlers says so; without a check nothing is ever interrupted.
#pragma once

namespace oxidized {

// Thrown through library code, which cleans up as for any exception. Not an Error: nothing went wrong.
struct Interrupted {};

void SetInterruptCheck(bool (*wanted)());  // called from any thread
void ThrowIfInterrupted();

}  // namespace oxidized
