// What every header here begins with: which names the library shows, and the version of its binary interface.
#pragma once

// The namespace v1 is that version: it is in the name of every function and type, so that a program never
// runs with a library of another interface, and behind liboxidized.so. It goes up whenever a struct or a
// signature changes. For programs it is inline: oxidized::v1::Model is oxidized::Model.
#ifdef OXIDIZED_INNER  // the library's own sources, where oxidized:: has other things of these names
#define OXIDIZED_INLINE
#else
#define OXIDIZED_INLINE inline
#endif

#if defined(__GNUC__)
#define OXIDIZED_API __attribute__((visibility("default")))
#define OXIDIZED_HIDDEN __attribute__((visibility("hidden")))
#else
#define OXIDIZED_API
#define OXIDIZED_HIDDEN
#endif
