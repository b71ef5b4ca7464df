// Any bytes as what a model answers: thoughts, text and calls are the same however it is cut into
// pieces, every call begins once and ends, and what is no call is lost nowhere.
// The first byte says whose calls they are, the second how large the pieces.

#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gateway/answer_parser.hpp"
#include "gateway/tool_prompt.hpp"

namespace {

using namespace talaria::gateway;

void require(bool kept) {
  if (!kept) std::abort();
}

struct Answer {
  std::string text;
  std::string reasoning;
  std::vector<std::pair<std::string, std::string>> calls; ///< names and arguments
  bool operator==(const Answer&) const = default;
};

class Reader {
public:
  Reader(const AnswerContents& contents, bool inside) : parser_(contents, inside) {}

  Answer read(std::string_view answer, std::size_t step) {
    for (std::size_t at = 0; at < answer.size(); at += step)
      take(parser_.push(answer.substr(at, step)));
    take(parser_.finish());
    require(!open_);
    return std::move(out_);
  }

private:
  void take(const AnswerParts& parts) {
    out_.text += parts.text;
    out_.reasoning += parts.reasoning;
    for (const CallPiece& piece : parts.calls) {
      require(piece.begins != open_);
      require(piece.begins != piece.id.empty());
      open_ = !piece.ends;
      if (piece.begins) out_.calls.emplace_back(piece.name, "");
      out_.calls.back().second += piece.arguments;
    }
  }

  AnswerParser parser_;
  Answer out_;
  bool open_ = false;
};

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const std::string_view answer(reinterpret_cast<const char*>(data) + 2, size - 2);
  AnswerContents contents;
  constexpr std::uint8_t kNoCalls = 6;
  if (data[0] % 7 != kNoCalls) contents.calls = static_cast<ToolSyntax>(data[0] % 7);
  contents.parallel = (data[1] & 0x80) == 0;
  contents.thoughts = (data[1] & 0x40) != 0;
  const bool inside = (data[1] & 0x20) != 0;
  const Answer whole = Reader(contents, inside).read(answer, answer.size() + 1);
  const Answer pieces = Reader(contents, inside).read(answer, 1 + data[1] % 8);
  require(whole == pieces);
  if (!contents.any()) require(whole.text == answer);
  require(contents.parallel || whole.calls.size() <= 1);
  return 0;
}
