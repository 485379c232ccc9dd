#include "tensor/dtype.h"

#include "base/error.h"

namespace oxidized {
namespace {

struct Row {
  DType dtype;
  const char* name;
  int bits;
};

constexpr Row kTable[] = {
    {DType::kF64, "F64", 64},       {DType::kF32, "F32", 32},       {DType::kF16, "F16", 16},
    {DType::kBF16, "BF16", 16},     {DType::kF8E5M2, "F8_E5M2", 8}, {DType::kF8E4M3, "F8_E4M3", 8},
    {DType::kF8E8M0, "F8_E8M0", 8}, {DType::kF4, "F4", 4},          {DType::kI64, "I64", 64},
    {DType::kI32, "I32", 32},       {DType::kI16, "I16", 16},       {DType::kI8, "I8", 8},
    {DType::kU64, "U64", 64},       {DType::kU32, "U32", 32},       {DType::kU16, "U16", 16},
    {DType::kU8, "U8", 8},          {DType::kBool, "BOOL", 8},      {DType::kC64, "C64", 64},
};

struct BlockRow {
  DType dtype;
  const char* name;
  StoredBlock block;
};
constexpr BlockRow kBlockTable[] = {
    {DType::kGgmlMxfp4, "MXFP4", {32, 17}}, {DType::kQ8_0, "Q8_0", {32, 34}},
    {DType::kQ4_0, "Q4_0", {32, 18}},       {DType::kQ4_1, "Q4_1", {32, 20}},
    {DType::kQ5_0, "Q5_0", {32, 22}},       {DType::kQ5_1, "Q5_1", {32, 24}},
    {DType::kIq4Nl, "IQ4_NL", {32, 18}},    {DType::kQ4K, "Q4_K", {256, 144}},
    {DType::kQ5K, "Q5_K", {256, 176}},      {DType::kQ6K, "Q6_K", {256, 210}},
};
const BlockRow& BlockRowOf(DType dtype) {
  return kBlockTable[static_cast<size_t>(dtype) - static_cast<size_t>(DType::kGgmlMxfp4)];
}

}  // namespace

bool IsBlockType(DType dtype) { return dtype >= DType::kGgmlMxfp4; }

int Bits(DType dtype) {
  OX_CHECK(!IsBlockType(dtype));
  return kTable[static_cast<size_t>(dtype)].bits;
}

StoredBlock BlockOf(DType dtype) {
  if (IsBlockType(dtype)) return BlockRowOf(dtype).block;
  const int bits = Bits(dtype);
  return bits < 8 ? StoredBlock{8 / bits, 1} : StoredBlock{1, bits / 8};
}

const char* Name(DType dtype) {
  return IsBlockType(dtype) ? BlockRowOf(dtype).name : kTable[static_cast<size_t>(dtype)].name;
}

std::optional<DType> ParseDType(std::string_view name) {
  for (const Row& row : kTable) {
    if (name == row.name) return row.dtype;
  }
  return std::nullopt;
}

}  // namespace oxidized
