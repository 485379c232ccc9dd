// What a mapped file that lost its bytes does to a program is SIGBUS: here it becomes one line and the exit
// code of a bad file.
#pragma once

namespace oxidized::cli {

void InstallBusErrorHandler();

}  // namespace oxidized::cli
