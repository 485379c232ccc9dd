// What the program reads as text, from files and from standard input. base/text_input.h says which encodings
// are taken.
#pragma once

#include <chrono>
#include <string>

namespace oxidized::cli {

// The open descriptor that a path names: N of /dev/fd/N, as a shell's <(...) makes them, 0 of /dev/stdin; -1:
// none.
int DescriptorOf(const std::string& path);

// The whole of a regular file, or of standard input for "-", or of a pipe that was handed on open
// (DescriptorOf). Other pipes and devices are refused. Throws Error(kBadFile), Interrupted.
std::string ReadInput(const std::string& path);

// What stands on standard input beside a prompt that came in another way. A file is read to its end. A pipe
// or a socket may be one that nobody means to write to (whoever starts a program often hands on its own): its
// first byte or its end must come within `patience`, then all of it is read. Anything else holds nothing: a
// terminal, /dev/null and other devices, a closed one. Throws Error(kBadFile), Interrupted.
struct PipedInput {
  std::string text;
  bool silent = false;  // a pipe that was given up
};
PipedInput ReadPiped(std::chrono::milliseconds patience);

// The next line of standard input, without its end; false: there is none. Throws Error(kBadFile),
// Interrupted.
bool ReadLine(std::string& line);

}  // namespace oxidized::cli
