#include "cli/perplexity/base_file.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <filesystem>

#include <fmt/format.h>

#include "core/error.hpp"
#include "core/file_descriptor.hpp"

namespace talaria::cli {

namespace {

static_assert(std::endian::native == std::endian::little, "the file's numbers are little-endian");

constexpr std::string_view kMagic = "_logits_";
constexpr float kRange = 16; ///< of log probabilities
constexpr float kSteps = 65535;
constexpr std::size_t kHead = 4; ///< numbers of a row before its tokens: two floats

/// Sizes beyond which a header is taken for damaged.
constexpr u32 kMaxVocab = 1U << 24;
constexpr u32 kMaxWindow = 1U << 24;

void put_number(std::ofstream& out, u32 number) {
  out.write(reinterpret_cast<const char*>(&number), sizeof number);
}

/// Of a name that nobody foresees, so that no link waits there; 0600, as the text's tokens are in
/// it.
std::string new_file_beside(const std::string& file) {
  std::error_code ignored;
  const auto there = std::filesystem::symlink_status(file, ignored);
  if (std::filesystem::exists(there) && !std::filesystem::is_regular_file(there))
    throw Error(Errc::io, fmt::format("{}: is there and no regular file; name another", file));
  std::string name = file + ".XXXXXX";
  const FileDescriptor made(::mkostemp(name.data(), O_CLOEXEC));
  if (made.get() < 0) throw Error(Errc::io, fmt::format("{}: cannot be written", file));
  return name;
}

} // namespace

void pack_row(std::span<const float> logits, std::span<u16> row) {
  const auto [least, most] = std::minmax_element(logits.begin(), logits.end());
  const float top = *most;
  const float floor = std::max(*least, top - kRange);
  double sum = 0;
  for (const float logit : logits) sum += std::exp(double{logit} - top);
  const float scale = (top - floor) / kSteps;
  const std::array<float, 2> head{scale, static_cast<float>(floor - top - std::log(sum))};
  std::fill(row.begin(), row.end(), u16{0});
  std::memcpy(row.data(), head.data(), sizeof head);
  if (scale == 0) return; // all are equal
  for (std::size_t i = 0; i < logits.size(); ++i) {
    const float steps = (std::max(logits[i], floor) - floor) / scale;
    row[kHead + i] = static_cast<u16>(std::min(std::nearbyint(steps), kSteps));
  }
}

void unpack_row(std::span<const u16> row, std::span<float> out) {
  std::array<float, 2> head{};
  std::memcpy(head.data(), row.data(), sizeof head);
  for (std::size_t i = 0; i < out.size(); ++i)
    out[i] = head[0] * static_cast<float>(row[kHead + i]) + head[1];
}

BaseWriter::BaseWriter(std::string file, const BaseText& text)
    : file_(std::move(file)), partial_(new_file_beside(file_)), out_(partial_, std::ios::binary) {
  out_.write(kMagic.data(), static_cast<std::streamsize>(kMagic.size()));
  put_number(out_, text.window);
  put_number(out_, text.vocab);
  put_number(out_, static_cast<u32>(text.windows()));
  for (const u32 token : text.tokens) put_number(out_, token);
  check(out_.good());
}

BaseWriter::~BaseWriter() {
  std::error_code ignored;
  std::filesystem::remove(partial_, ignored);
}

void BaseWriter::check(bool good) const {
  if (!good) throw Error(Errc::io, fmt::format("{}: cannot be written", file_));
}

void BaseWriter::add(std::span<const u16> rows) {
  out_.write(reinterpret_cast<const char*>(rows.data()),
             static_cast<std::streamsize>(rows.size_bytes()));
  check(out_.good());
}

void BaseWriter::finish() {
  out_.close();
  check(out_.good());
  std::error_code failure;
  std::filesystem::rename(partial_, file_, failure);
  check(!failure);
}

BaseReader::BaseReader(std::string file) : file_(std::move(file)), in_(file_, std::ios::binary) {
  std::error_code failure;
  const u64 bytes = std::filesystem::file_size(file_, failure);
  if (failure || !in_.is_open())
    throw Error(Errc::io, fmt::format("{}: cannot be read; give a file of --save-base, or of "
                                      "llama.cpp's --save-all-logits",
                                      file_));
  read_text(bytes);
}

u32 BaseReader::number() {
  u32 out = 0;
  in_.read(reinterpret_cast<char*>(&out), sizeof out);
  return out;
}

void BaseReader::read_text(u64 bytes) {
  const auto refuse = [&](const std::string& why) {
    throw Error(Errc::usage, fmt::format("{}: {}; write it again with --save-base", file_, why));
  };
  std::array<char, kMagic.size()> magic{};
  in_.read(magic.data(), magic.size());
  if (!in_ || !std::equal(magic.begin(), magic.end(), kMagic.begin()))
    refuse("holds no log probabilities (it does not begin with \"_logits_\")");
  text_.window = number();
  text_.vocab = number();
  const u64 windows = number();
  if (!in_) refuse("ends in its header");
  if (text_.window < BaseText::kMinWindow || text_.window > kMaxWindow)
    refuse(fmt::format("says windows of {} tokens", text_.window));
  if (text_.vocab == 0 || text_.vocab > kMaxVocab)
    refuse(fmt::format("says a vocabulary of {}", text_.vocab));
  const u64 of_window = text_.window * sizeof(u32) + text_.scored() * text_.stride() * sizeof(u16);
  const u64 header = kMagic.size() + 3 * sizeof(u32);
  if (windows == 0 || windows > bytes / of_window || header + windows * of_window != bytes)
    refuse(fmt::format("has {} bytes, which {} windows do not make", bytes, windows));
  text_.tokens.resize(windows * text_.window);
  for (u32& token : text_.tokens) token = number();
  if (!in_) refuse("ends in its tokens");
  for (const u32 token : text_.tokens)
    if (token >= text_.vocab) refuse("names a token beyond its vocabulary");
}

std::vector<u16> BaseReader::next() {
  std::vector<u16> rows(text_.scored() * text_.stride());
  in_.read(reinterpret_cast<char*>(rows.data()),
           static_cast<std::streamsize>(rows.size() * sizeof(u16)));
  if (!in_) throw Error(Errc::io, fmt::format("{}: cannot be read to its end", file_));
  return rows;
}

} // namespace talaria::cli
