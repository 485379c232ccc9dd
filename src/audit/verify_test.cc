#include "audit/verify.h"

#include <gtest/gtest.h>

#include <cstring>
#include <nlohmann/json.hpp>

#include "base/sha256.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/gguf/gguf_files.h"
#include "checkpoint/model_files.h"
#include "rewrite/testing/checkpoint_test_util.h"
#include "tensor/float16.h"

namespace oxidized {
namespace {

using testing::ReadFile;
using testing::TempFolder;
using testing::WriteFile;
namespace fs = std::filesystem;

VerifyReport Verify(const fs::path& path) {
  VerifyOptions options;
  options.path = path;
  return VerifyCheckpoint(options);
}

void ExpectProblem(const VerifyReport& report, const std::string& text) {
  EXPECT_FALSE(report.sound());
  for (const std::string& problem : report.problems) {
    if (problem.find(text) != std::string::npos) return;
  }
  ADD_FAILURE() << "no problem says \"" << text << "\"\n" << VerifyText(report);
}

// A sound model whose bytes a test may damage.
struct Model {
  TempFolder temp;
  fs::path path;

  explicit Model(CheckpointFormat format = CheckpointFormat::kHuggingFace, DType dense = DType::kBF16) {
    SynthOptions options;
    options.preset = "tiny";
    options.num_layers = 2;
    options.format = format;
    options.types.dense = dense;
    options.out = path = temp.path() / (format == CheckpointFormat::kGguf ? "model.gguf" : "m");
    options.tokenizer_source = "tests/golden/tokenizer/tokenizer.json";
    Synthesize(options);
  }

  // Puts bytes at an offset of a tensor.
  void Damage(const std::string& tensor, int64_t offset, const std::string& bytes) const {
    int64_t begin = -1;
    fs::path file = path;
    if (fs::is_directory(path)) {
      const ModelFiles files = OpenModelFiles(path, std::nullopt);
      begin = files.tensors.find(tensor)->second.entry.begin;
      file = path / "model.safetensors";
    } else {
      begin = OpenGgufFiles(path).tensors.find(tensor)->second.entry.begin;
    }
    std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
    stream.seekp(begin + offset);
    stream.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    ASSERT_TRUE(stream.good());
  }
};

std::string Bf16(float value) {
  const uint16_t bits = FloatToBf16(value);
  return {reinterpret_cast<const char*>(&bits), sizeof(bits)};
}

TEST(Verify, ASoundModelHasNoProblem) {
  for (const CheckpointFormat format :
       {CheckpointFormat::kHuggingFace, CheckpointFormat::kOriginal, CheckpointFormat::kGguf}) {
    const Model model(format);
    VerifyOptions options;
    options.path = model.path;
    int64_t done = 0, total = 0;
    options.progress = [&](int64_t now, int64_t all) {
      EXPECT_GE(now, done);
      done = now;
      total = all;
    };
    const VerifyReport report = VerifyCheckpoint(options);
    EXPECT_TRUE(report.sound()) << VerifyText(report);
    EXPECT_EQ(done, total);
    EXPECT_GT(report.values, 1'000'000);
    EXPECT_GE(report.files.size(), 1u);
    for (const VerifiedFile& file : report.files) {
      EXPECT_EQ(file.sha256,
                Sha256OfFile(fs::is_directory(model.path) ? model.path / file.name : model.path));
    }
    const auto json = nlohmann::json::parse(VerifyJson(report));
    EXPECT_EQ(json["sound"], true);
    EXPECT_EQ(json["files"].size(), report.files.size());
  }
}

TEST(Verify, FindsEveryBadValue) {
  const Model model;
  const std::string layer = "model.layers.1.";
  model.Damage(layer + "self_attn.q_proj.weight", 2 * (5 * 128 + 7), Bf16(NAN));
  model.Damage(layer + "self_attn.q_proj.weight", 2 * (9 * 128 + 7), Bf16(NAN));
  model.Damage("model.norm.weight", 2 * 3, Bf16(INFINITY));
  model.Damage("lm_head.weight", 2 * (3135 * 128 + 127), Bf16(-INFINITY));
  model.Damage(layer + "mlp.experts.gate_up_proj_scales", (3 * 256 + 11) * 4 + 2, "\xFF");
  model.Damage(layer + "mlp.experts.down_proj_scales", (7 * 128 + 127) * 4 + 3, "\xC8");
  model.Damage(layer + "mlp.experts.down_proj_bias", 2 * (2 * 128 + 9), Bf16(NAN));
  const VerifyReport report = Verify(model.path);
  EXPECT_EQ(report.problem_count, 6);
  ExpectProblem(report, "layer 1, query weight: 2 NaN, the first at row 5, column 7");
  ExpectProblem(report, "final norm: 1 infinite value, the first at index 3");
  ExpectProblem(report, "unembedding: 1 infinite value, the first at row 3135, column 127");
  ExpectProblem(report, "layer 1, expert 3, gate_up: 1 block with the scale byte 255");
  ExpectProblem(report, "the first at row 11, column 64");
  ExpectProblem(report, "layer 1, expert 7, down: 1 block whose scale makes weights larger than 65536");
  ExpectProblem(report, "layer 1, expert 2, down bias: 1 NaN, the first at index 9");
}

TEST(Verify, FindsBadValuesOfGguf) {
  const Model model(CheckpointFormat::kGguf, DType::kQ8_0);
  model.Damage("blk.0.ffn_up_exps.weight", ((2 * 128 + 5) * 4 + 1) * 17, "\xFF");
  model.Damage("blk.0.attn_output.weight", (3 * 8 + 2) * 34,
               std::string("\x00\x7C", 2));  // an infinite scale
  const VerifyReport report = Verify(model.path);
  ExpectProblem(report, "layer 0, expert 2, gate_up (up): 1 block with the scale byte 255");
  ExpectProblem(report, "the first at row 5, column 32");
  ExpectProblem(report, "layer 0, attention output weight:");
}

TEST(Verify, ListsABoundedNumber) {
  const Model model;
  for (int expert = 0; expert < 8; ++expert) {
    for (int l = 0; l < 2; ++l) {
      for (const char* part : {"gate_up", "down"}) {
        model.Damage(fmt::format("model.layers.{}.mlp.experts.{}_proj_scales", l, part),
                     expert * (part[0] == 'g' ? 256 : 128) * 4, "\xFF");
      }
    }
  }
  VerifyOptions options;
  options.path = model.path;
  options.most_problems = 5;
  const VerifyReport report = VerifyCheckpoint(options);
  EXPECT_EQ(report.problem_count, 32);
  EXPECT_EQ(report.problems.size(), 5u);
  EXPECT_NE(VerifyText(report).find("and 27 more"), std::string::npos);
}

TEST(Verify, ComparesDigests) {
  const Model model;
  const std::string digest = Sha256OfFile(model.path / "model.safetensors");
  WriteFile(model.path / "SHA256SUMS",
            digest + "  model.safetensors\n" + std::string(64, '0') + " *config.json\nx\n");
  VerifyReport report = Verify(model.path);
  EXPECT_EQ(report.problem_count, 1);
  ExpectProblem(report, "config.json: its digest is");
  ExpectProblem(report, "(SHA256SUMS)");

  // A Hugging Face cache: snapshots of links to blobs named by SHA-256, small files by git's SHA-1.
  const fs::path blobs = model.temp.path() / "cache/blobs",
                 snapshot = model.temp.path() / "cache/snapshots/1";
  fs::create_directories(blobs);
  fs::create_directories(snapshot);
  const auto link = [&](const std::string& name, const std::string& blob) {
    if (!fs::exists(blobs / blob)) fs::copy_file(model.path / name, blobs / blob);
    fs::create_symlink("../../blobs/" + blob, snapshot / name);
  };
  link("model.safetensors", digest);
  const std::string config = ReadFile(model.path / "config.json");
  Digest git(Digest::Algorithm::kSha1);
  git.Update("blob " + std::to_string(config.size()) + std::string(1, '\0') + config);
  link("config.json", git.FinishHex());
  report = Verify(snapshot);
  EXPECT_TRUE(report.sound()) << VerifyText(report);
  for (const VerifiedFile& file : report.files)
    EXPECT_EQ(file.expected_by, "the Hugging Face cache") << file.name;
  WriteFile(blobs / digest, ReadFile(blobs / digest).replace(100'000, 1, "?"));
  ExpectProblem(Verify(snapshot), "model.safetensors: its digest is");
  ExpectProblem(Verify(snapshot), "delete " + fs::canonical(blobs / digest).string() + " and pull");
  fs::remove(snapshot / "config.json");
  link("generation_config.json", std::string(40, 'a'));
  fs::copy_file(model.path / "config.json", snapshot / "config.json");
  ExpectProblem(Verify(snapshot), "generation_config.json: its digest is");
}

TEST(Verify, ABlobOfOllamaIsCalledByItsDigest) {
  const testing::TempFolder temp;
  fs::create_directories(temp.path() / "blobs");
  WriteFile(temp.path() / "content", "GGUF");
  const fs::path blob = temp.path() / "blobs" / ("sha256-" + Sha256OfFile(temp.path() / "content"));
  WriteFile(blob, "GGUF");
  EXPECT_TRUE(Verify(blob).files.at(0).matches);
  EXPECT_EQ(Verify(blob).files.at(0).expected_by, "the blob's name in Ollama's store");
  WriteFile(blob, "GGUG");
  ExpectProblem(Verify(blob), "its digest is");
  ExpectProblem(Verify(blob), "delete " + fs::canonical(blob).string() + " and let ollama pull");
}

TEST(Verify, WhatCannotBeOpenedIsStillRead) {
  const Model model;
  fs::resize_file(model.path / "model.safetensors", fs::file_size(model.path / "model.safetensors") - 10);
  const VerifyReport report = Verify(model.path);
  EXPECT_EQ(report.format, "");
  ExpectProblem(report, "model.safetensors");
  EXPECT_EQ(report.files.size(), 4u);
  EXPECT_EQ(report.files[2].sha256, Sha256OfFile(model.path / "model.safetensors"));
  testing::ExpectError(ErrorKind::kBadFile, {"absent", "no such file"},
                       [&] { Verify(model.path / "absent"); });
}

TEST(Verify, TheTokenizerMustFit) {
  const Model model;
  auto tokenizer = nlohmann::json::parse(ReadFile(model.path / "tokenizer.json"));
  for (auto& token : tokenizer["added_tokens"]) {
    if (token["content"] == "<|channel|>") token["content"] = "<|canal|>";
    if (token["content"] == "<|endofprompt|>") token["id"] = 4000;
  }
  WriteFile(model.path / "tokenizer.json", tokenizer.dump());
  const VerifyReport report = Verify(model.path);
  ExpectProblem(report, "the tokenizer has ids up to 4000, the model's vocab_size is 3136");
  ExpectProblem(report, "the tokenizer lacks <|channel|>");
  ExpectProblem(report, "no text for 44 ids");
}

}  // namespace
}  // namespace oxidized
