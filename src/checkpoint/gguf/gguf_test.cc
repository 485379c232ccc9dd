// The container: what is read, and a corpus of files that lie about themselves.
#include "checkpoint/gguf/gguf.h"

#include <gtest/gtest.h>

#include "checkpoint/gguf/gguf_test_util.h"
#include "rewrite/testing/checkpoint_test_util.h"
#include "tensor/float16.h"

namespace oxidized {
namespace {

using namespace testing;

constexpr ErrorKind kBad = ErrorKind::kBadFile;
constexpr ErrorKind kUnsupported = ErrorKind::kUnsupported;

Gguf Parse(const std::string& file) {
  return ParseGguf({reinterpret_cast<const std::byte*>(file.data()), file.size()}, "f.gguf");
}

void ExpectBad(ErrorKind kind, const std::string& file, const std::vector<std::string>& parts) {
  ExpectError(kind, parts, [&] { Parse(file); });
}

// Two tensors and a value of every type.
GgufBuilder Sample() {
  GgufBuilder gguf;
  gguf.Value("u8", 0, Raw(uint8_t{200})).Value("i8", 1, Raw(int8_t{-3})).U16("u16", 65535);
  gguf.Value("i16", 3, Raw(int16_t{-300})).U32("u32", 7).Value("i32", 5, Raw(int32_t{-7})).F32("f32", 0.5f);
  gguf.Value("bool", 7, Raw(uint8_t{1})).String("string", "hé").Strings("strings", {"a", "", "ccc"});
  gguf.Value("u64", 10, Raw(uint64_t{1} << 63))
      .Value("i64", 11, Raw(int64_t{-1}))
      .Value("f64", 12, Raw(0.25));
  gguf.I32s("i32s", {1, -1}).Array("bools", 7, 2, {'\0', '\1'}).Strings("none", {});
  gguf.Tensor("a", {2, 32}, kGgufQ8_0, std::string(68, 'q')).Tensor("b", {3}, kGgufF32, std::string(12, 'f'));
  return gguf;
}

TEST(Gguf, ValuesAndTensorsAreFound) {
  for (const uint32_t version : {2u, 3u}) {
    GgufBuilder builder = Sample();
    builder.version = version;
    const std::string file = builder.Build();
    const Gguf gguf = Parse(file);
    EXPECT_EQ(gguf.version, version);
    ASSERT_EQ(gguf.values.size(), 16u);
    EXPECT_EQ(gguf.Find("absent"), nullptr);
    const GgufValue& u64 = *gguf.Find("u64");
    EXPECT_EQ(u64.type, GgufType::kU64);
    EXPECT_FALSE(u64.is_array);
    EXPECT_EQ(LoadUnaligned<uint64_t>(u64.bytes.data()), uint64_t{1} << 63);
    const GgufValue& i32s = *gguf.Find("i32s");
    EXPECT_TRUE(i32s.is_array);
    EXPECT_EQ(i32s.count, 2);
    EXPECT_EQ(i32s.bytes.size(), 8u);
    std::vector<std::string> texts;
    GgufStrings strings(*gguf.Find("strings"));
    for (std::string_view text; strings.Next(text);) texts.emplace_back(text);
    EXPECT_EQ(texts, (std::vector<std::string>{"a", "", "ccc"}));

    ASSERT_EQ(gguf.tensors.size(), 2u);
    const GgufTensor& a = gguf.tensors[0];
    EXPECT_EQ(a.name, "a");
    EXPECT_EQ(a.dtype, DType::kQ8_0);
    EXPECT_EQ(a.shape, (std::vector<int64_t>{2, 32}));
    EXPECT_EQ(file.substr(static_cast<size_t>(a.begin), 68), std::string(68, 'q'));
    EXPECT_EQ(a.end - a.begin, 68);
    const GgufTensor& b = gguf.tensors[1];
    EXPECT_EQ(b.begin, a.begin + 96);
    EXPECT_EQ(file.substr(static_cast<size_t>(b.begin), 12), std::string(12, 'f'));
  }
}

TEST(Gguf, AlignmentIsTheFilesOwn) {
  for (const uint32_t alignment : {1u, 8u, 64u, 4096u}) {
    GgufBuilder builder = Sample();
    builder.U32("general.alignment", alignment).alignment = alignment;
    const std::string file = builder.Build();
    const Gguf gguf = Parse(file);
    EXPECT_EQ(gguf.tensors[0].begin % alignment, 0);
    EXPECT_EQ(file[static_cast<size_t>(gguf.tensors[1].begin)], 'f');
  }
}

TEST(Gguf, CutAnywhereIsAnErrorNeverACrash) {
  const std::string file = Sample().Build();
  const int64_t last = Parse(file).tensors[1].end;
  for (int64_t size = 0; size < last; ++size) {
    ExpectBad(kBad, file.substr(0, static_cast<size_t>(size)), {"f.gguf: "});
  }
  EXPECT_EQ(Parse(file.substr(0, static_cast<size_t>(last))).tensors.size(), 2u) << "padding may be missing";
}

TEST(Gguf, OtherVersionsAreNamed) {
  ExpectBad(kBad, "GGML" + std::string(40, '\0'), {"begins with \"GGML\"", "\"GGUF\""});
  for (const auto& [version, part] : {std::pair<uint32_t, const char*>{0, "version 0"},
                                      {1, "version 1, expected 2 or 3: convert it again"},
                                      {4, "version 4"},
                                      {0x03000000, "byte-swapped"},
                                      {0x02000000, "big-endian"}}) {
    GgufBuilder builder = Sample();
    builder.version = version;
    ExpectBad(kUnsupported, builder.Build(), {part});
  }
}

TEST(Gguf, TensorTypesThatAreNotReadAreNamedAsGgmlNamesThem) {
  for (const auto& [type, name] : {std::pair<uint32_t, const char*>{5, "Q4_3"},
                                   {9, "Q8_1"},
                                   {10, "Q2_K"},
                                   {11, "Q3_K"},
                                   {15, "Q8_K"},
                                   {16, "IQ2_XXS"},
                                   {17, "IQ2_XS"},
                                   {18, "IQ3_XXS"},
                                   {19, "IQ1_S"},
                                   {21, "IQ3_S"},
                                   {22, "IQ2_S"},
                                   {23, "IQ4_XS"},
                                   {29, "IQ1_M"},
                                   {31, "Q4_0_4_4"},
                                   {34, "TQ1_0"},
                                   {35, "TQ2_0"},
                                   {40, "NVFP4"},
                                   {41, "Q1_0"},
                                   {42, "Q2_0"}}) {
    GgufBuilder builder = Sample();
    builder.tensors()[0].type = type;
    ExpectBad(kUnsupported, builder.Build(), {"\"a\" is", name, "take a file with MXFP4"});
  }
  GgufBuilder builder = Sample();
  builder.tensors()[0].type = 43;
  ExpectBad(kBad, builder.Build(), {"\"a\" has type 43"});
  for (const auto& [type, dtype] : {std::pair{2u, DType::kQ4_0},
                                    {3u, DType::kQ4_1},
                                    {6u, DType::kQ5_0},
                                    {7u, DType::kQ5_1},
                                    {20u, DType::kIq4Nl},
                                    {39u, DType::kGgmlMxfp4}}) {
    const auto bytes = static_cast<size_t>(BlockOf(dtype).bytes);
    GgufBuilder one;
    EXPECT_EQ(Parse(one.Tensor("t", {32}, type, std::string(bytes, 'x')).Build()).tensors[0].dtype, dtype);
  }
}

TEST(Gguf, CountsAreNotBelieved) {
  const std::string tail(24, '\0');
  for (const int64_t huge : {int64_t{-1}, INT64_MAX, int64_t{1} << 40, int64_t{1} << 62}) {
    ExpectBad(kBad, "GGUF" + Raw(3) + Raw(huge) + Raw(int64_t{0}) + tail, {"tensors"});
    ExpectBad(kBad, "GGUF" + Raw(3) + Raw(int64_t{0}) + Raw(huge) + tail, {"metadata values"});
  }
  // Within the limits but not within the file.
  ExpectBad(kBad, "GGUF" + Raw(3) + Raw(int64_t{100'000}) + Raw(int64_t{0}) + tail, {"tensor name"});
  for (const uint64_t count : {uint64_t{1} << 32, uint64_t{1} << 61, (uint64_t{1} << 61) + 1, UINT64_MAX}) {
    for (const uint32_t type : {0u, 5u, 8u, 10u}) {
      GgufBuilder builder;
      ExpectBad(kBad, builder.Array("k", type, count, std::string(64, '\0')).Build(), {"\"k\" claims"});
    }
  }
}

TEST(Gguf, StringsStayInsideTheFile) {
  for (const uint64_t length :
       {uint64_t{1000}, uint64_t{1} << 31, uint64_t{1} << 63, UINT64_MAX, UINT64_MAX - 7}) {
    GgufBuilder value, key, element, tensor;
    ExpectBad(kBad, value.Value("k", 8, Raw(length) + "abc").Build(), {"a string at byte"});
    ExpectBad(kBad, element.Array("k", 8, 2, RawString("a") + Raw(length)).Build(), {"a string at byte"});
    key.values().push_back(Raw(length) + "abcdefgh");
    ExpectBad(kBad, key.Build(), {"a metadata key at byte"});
    ExpectBad(kBad, "GGUF" + Raw(3) + Raw(int64_t{1}) + Raw(int64_t{0}) + Raw(length) + std::string(40, 'n'),
              {"a tensor name at byte"});
  }
}

TEST(Gguf, NamesAreCheckedAndDiffer) {
  GgufBuilder empty_key, twice_key, not_utf8, lines;
  ExpectBad(kBad, empty_key.U32("", 1).Build(), {"a metadata key of 0 bytes"});
  ExpectBad(kBad, twice_key.U32("k", 1).U32("x", 1).String("k", "v").Build(), {"\"k\" appears twice"});
  ExpectBad(kBad, not_utf8.U32("\xff\xfe", 1).Build(), {"is not UTF-8"});
  ExpectBad(kBad, lines.U32("a\nb", 1).U32("a\nb", 1).Build(), {"a\\x0ab"});
  for (const std::string& name : {std::string(), std::string(64, 'n')}) {
    GgufBuilder builder = Sample();
    builder.tensors()[1].name = name;
    ExpectBad(kBad, builder.Build(), {"a tensor name of " + std::to_string(name.size()) + " bytes"});
  }
  GgufBuilder builder = Sample();
  builder.tensors()[1].name = "a";
  ExpectBad(kBad, builder.Build(), {"tensor \"a\" appears twice"});
}

TEST(Gguf, ValueTypesAreChecked) {
  GgufBuilder unknown, nested, deep, bad_bool, bad_bools;
  ExpectBad(kBad, unknown.Value("k", 13, "").Build(), {"\"k\" has value type 13"});
  ExpectBad(kBad, nested.Array("k", 9, 1, Raw(4) + Raw(uint64_t{1}) + Raw(1)).Build(), {"array of arrays"});
  ExpectBad(kBad, deep.Array("k", 13, 1, "").Build(), {"value type 13"});
  ExpectBad(kBad, bad_bool.Value("k", 7, {'\2'}).Build(), {"\"k\" holds a bool of 2"});
  ExpectBad(kBad, bad_bools.Array("k", 7, 3, {'\0', '\1', '\xff'}).Build(), {"a bool of 255"});
}

TEST(Gguf, AlignmentMustBeAPowerOfTwo) {
  for (const uint32_t alignment : {0u, 3u, 33u, 0xFFFFFFFFu}) {
    GgufBuilder builder = Sample();
    ExpectBad(kBad, builder.U32("general.alignment", alignment).Build(),
              {"general.alignment is " + std::to_string(alignment)});
  }
  GgufBuilder wrong_type = Sample(), array = Sample(), huge = Sample();
  ExpectBad(kBad, wrong_type.U16("general.alignment", 32).Build(), {"general.alignment is not a u32"});
  ExpectBad(kBad, array.I32s("general.alignment", {}).Build(), {"general.alignment is not a u32"});
  ExpectBad(kBad, huge.U32("general.alignment", 1u << 31).Build(),
            {"\"a\" needs 68 bytes from byte 2147483648"});
}

TEST(Gguf, ShapesAreChecked) {
  const auto with_shape = [](std::vector<int64_t> shape, uint32_t type = kGgufF32) {
    GgufBuilder builder = Sample();
    builder.tensors()[1].shape = std::move(shape);
    builder.tensors()[1].type = type;
    return builder.Build();
  };
  ExpectBad(kBad, with_shape({1, 1, 1, 1, 3}), {"\"b\" has 5 dimensions"});
  ExpectBad(kBad, with_shape({-3}), {"shape [-3] overflows"});
  ExpectBad(kBad, with_shape({int64_t{1} << 32, int64_t{1} << 32}), {"overflows"});
  ExpectBad(kBad, with_shape({int64_t{1} << 62}), {"overflows"});  // in bytes only
  ExpectBad(kBad, with_shape({int64_t{1} << 21, int64_t{1} << 21, int64_t{1} << 22}), {"overflows"});
  ExpectBad(kBad, with_shape({INT64_MAX, INT64_MAX, 0}), {"overflows"});
  ExpectBad(kBad, with_shape({int64_t{1} << 40}), {"\"b\" needs 4398046511104 bytes"});
  ExpectBad(kBad, with_shape({33}, kGgufQ8_0), {"rows of 33 elements", "Q8_0 blocks of 32"});
  ExpectBad(kBad, with_shape({8, 48}, kGgufMxfp4), {"rows of 48 elements", "MXFP4 blocks of 32"});
  EXPECT_EQ(Parse(with_shape({3, 1, 1, 1})).tensors[1].shape.size(), 4u);
  EXPECT_EQ(Parse(with_shape({0})).tensors[1].end, Parse(with_shape({0})).tensors[1].begin);
}

TEST(Gguf, OffsetsFollowEachOther) {
  const std::string good = Sample().Build();
  // The offset is the last field of a description; the data of "b" begin 96 bytes after those of "a".
  const size_t at = good.find(RawString("b")) + 9 + 4 + 8 + 4;
  ASSERT_EQ(good.substr(at, 8), Raw(uint64_t{96}));
  for (const uint64_t offset : {uint64_t{0}, uint64_t{64}, uint64_t{95}, uint64_t{128}, good.size() + 1,
                                UINT64_MAX, uint64_t{1} << 63}) {
    std::string file = good;
    file.replace(at, 8, Raw(offset));
    ExpectBad(kBad, file, {"\"b\" lies at offset " + std::to_string(offset)});
  }
}

}  // namespace
}  // namespace oxidized
