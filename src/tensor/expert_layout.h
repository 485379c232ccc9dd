// How an expert's matrix W [rows, cols] lies in memory: one row a layout, for everybody who has to know.
// Readers of files say which one they found (checkpoint/), weights in memory of our own are rearranged from
// one to another (model/arrange.h), kernels and executors ask what they can read, audit and rewrite where a
// block's scale is.
//
// Not the stored type: values of kRows and kTransposed have a DType of their own. MXFP4 is always 17 bytes
// for 32 elements, 16 of codes (tensor/mxfp4.h) and one of scale; a layout only says where these lie.
#pragma once

#include <cstdint>

namespace oxidized {

enum class ExpertLayout : uint8_t {
  kMxfp4,        // codes [rows, cols/32, 16] bytes, scales [rows, cols/32] bytes
  kGgmlMxfp4,    // [rows, cols/32, 17] bytes: scale, then 16 bytes; low nibbles elements 0..15, high 16..31
  kOllamaMxfp4,  // [rows, cols/32, 17] bytes: scale, then 16 bytes in the nibble order of kMxfp4
  kInterleavedMxfp4,  // panels of 32 rows (tensor/interleaved.h), scales apart if they were
  kGroupedMxfp4,      // rows whose blocks are grouped (tensor/grouped_mxfp4.h), scales likewise
  kRows,              // values [rows, cols] of a type (F32, BF16, F16 or Q8_0)
  kTransposed,        // values [cols, rows] of a type (F32, BF16, F16): the dequantised Hugging Face form
};

// In a block's byte b: elements 2b (low) and 2b + 1 (high), as the published safetensors have it; b and b
// + 16.
enum class NibbleOrder : uint8_t { kPublished, kGgml };

// Where a block's scale lies.
enum class ScalePlace : uint8_t {
  kNone,         // not MXFP4
  kOwnMatrix,    // in a matrix of their own
  kBeforeBlock,  // each before its block
  kMoved,        // beside the codes of its row or panel; in the matrix of their own where there was one
};

// What enters a product with it.
struct LayoutReaders {
  bool f32, bf16, int8;
};

struct ExpertLayoutRow {
  ExpertLayout layout;
  const char* name;  // "interleaved"
  bool in_files;     // else made in memory
  ScalePlace scales;
  NibbleOrder nibbles;    // of a block's 16 bytes; of kMoved: as each of these headers says
  LayoutReaders readers;  // activations whose products read it; kGroupedMxfp4: on tiers that say so
  // Of what is made in memory: the matrix's rows are a multiple of this, and only scales in this range are
  // taken, since beyond it the products want care (half of it is not a normal number; bf16 does not hold all
  // its values).
  int32_t row_multiple;
  uint8_t lowest_scale, highest_scale;

  constexpr bool mxfp4() const { return scales != ScalePlace::kNone; }
};

// clang-format off
inline constexpr ExpertLayoutRow kExpertLayouts[] = {
    // layout                           name           file?  scales                    nibbles                  f32    bf16   int8     rows scales
    {ExpertLayout::kMxfp4,            "published",   true,  ScalePlace::kOwnMatrix,   NibbleOrder::kPublished, {true,  true,  true},  1,  0, 255},
    {ExpertLayout::kGgmlMxfp4,        "ggml",        true,  ScalePlace::kBeforeBlock, NibbleOrder::kGgml,      {true,  true,  true},  1,  0, 255},
    {ExpertLayout::kOllamaMxfp4,      "ollama",      true,  ScalePlace::kBeforeBlock, NibbleOrder::kPublished, {true,  true,  true},  1,  0, 255},
    {ExpertLayout::kInterleavedMxfp4, "interleaved", false, ScalePlace::kMoved,       NibbleOrder::kPublished, {false, false, true},  32, 2, 254},
    {ExpertLayout::kGroupedMxfp4,     "grouped",     false, ScalePlace::kMoved,       NibbleOrder::kPublished, {false, true,  false}, 1,  2, 252},
    {ExpertLayout::kRows,             "rows",        true,  ScalePlace::kNone,        NibbleOrder::kPublished, {true,  false, false}, 1,  0, 0},
    {ExpertLayout::kTransposed,       "transposed",  true,  ScalePlace::kNone,        NibbleOrder::kPublished, {true,  false, false}, 1,  0, 0},
};
// clang-format on

constexpr const ExpertLayoutRow& LayoutRow(ExpertLayout layout) {
  return kExpertLayouts[static_cast<int>(layout)];
}
constexpr bool IsMxfp4(ExpertLayout layout) { return LayoutRow(layout).mxfp4(); }

}  // namespace oxidized
