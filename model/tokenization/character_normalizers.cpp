#include "model/tokenization/character_normalizers.hpp"

#include <algorithm>
#include <iterator>
#include <optional>

#include "model/unicode.hpp"
#include "model/utf8.hpp"

namespace talaria::model {

namespace {

/// What `change` appends for each character, (code point, its bytes, out).
template <class Change>
MarkedText by_character(const MarkedText& text, Change change) {
  return text.map([&](std::string_view run) {
    std::string out;
    for (std::size_t at = 0; at < run.size();) {
      const utf8::Step next = utf8::step(run, at);
      change(next.code_point, run.substr(at, next.length), out);
      at += next.length;
    }
    return out;
  });
}

bool is_among(char32_t c, std::initializer_list<std::pair<char32_t, char32_t>> ranges) {
  return std::any_of(ranges.begin(), ranges.end(),
                     [c](const auto& range) { return c >= range.first && c <= range.second; });
}

/// Each character by itself, so that a sigma at the end of a word is a sigma.
MarkedText lowercase(const MarkedText& text) {
  return by_character(text, [](char32_t c, std::string_view bytes, std::string& out) {
    if (c < 0x80)
      out.push_back(c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : static_cast<char>(c));
    else
      out += unicode::lower(bytes);
  });
}

MarkedText without_accents(const MarkedText& text) {
  return by_character(text, [](char32_t c, std::string_view bytes, std::string& out) {
    if (c < 0x80 || !unicode::is_nonspacing_mark(c)) out += bytes;
  });
}

class Lowercase final : public Normalizer {
public:
  MarkedText apply(MarkedText text) const override { return lowercase(text); }
  std::size_t shrinks() const override { return 4; } // U+212A is k
};

/// Every mark, where BERT's normalizer drops those without a width only.
class StripAccents final : public Normalizer {
public:
  MarkedText apply(MarkedText text) const override {
    return by_character(text, [](char32_t c, std::string_view bytes, std::string& out) {
      if (c < 0x80 || !unicode::is_mark(c)) out += bytes;
    });
  }
  std::size_t shrinks() const override { return 0; }
};

class StripBlanks final : public Normalizer {
public:
  StripBlanks(bool left, bool right) : left_(left), right_(right) {}
  MarkedText apply(MarkedText text) const override {
    const std::string& all = text.text();
    std::size_t begin = 0;
    std::size_t end = all.size();
    for (std::size_t at = 0; left_ && at < all.size(); begin = at) {
      const utf8::Step next = utf8::step(all, at);
      if (!unicode::is_white_space(next.code_point)) break;
      at += next.length;
    }
    while (right_ && end > begin) {
      std::size_t at = end - 1;
      while (at > begin && (static_cast<unsigned char>(all[at]) & 0xC0) == 0x80) --at;
      if (!unicode::is_white_space(utf8::step(all, at).code_point)) break;
      end = at;
    }
    return text.part(begin, end);
  }
  std::size_t shrinks() const override { return 0; }

private:
  bool left_, right_;
};

/// Control characters are dropped, blanks of other kinds become spaces.
class Nmt final : public Normalizer {
public:
  MarkedText apply(MarkedText text) const override {
    return by_character(text, [](char32_t c, std::string_view bytes, std::string& out) {
      if (is_among(c,
                   {{0x1, 0x8}, {0xB, 0xB}, {0xE, 0x1F}, {0x7F, 0x7F}, {0x8F, 0x8F}, {0x9F, 0x9F}}))
        return;
      const bool blank = is_among(c, {{0x9, 0xA},
                                      {0xC, 0xD},
                                      {0x1680, 0x1680},
                                      {0x200B, 0x200F},
                                      {0x2028, 0x2029},
                                      {0x2581, 0x2581},
                                      {0xFEFF, 0xFEFF},
                                      {0xFFFD, 0xFFFD}});
      blank ? out.push_back(' ') : void(out += bytes);
    });
  }
  std::size_t shrinks() const override { return 0; }
};

bool is_chinese(char32_t c) {
  return is_among(c, {{0x4E00, 0x9FFF},
                      {0x3400, 0x4DBF},
                      {0x20000, 0x2A6DF},
                      {0x2A700, 0x2B73F},
                      {0x2B740, 0x2B81F},
                      {0x2B920, 0x2CEAF},
                      {0xF900, 0xFAFF},
                      {0x2F800, 0x2FA1F}});
}

class BertNormalizer final : public Normalizer {
public:
  explicit BertNormalizer(const JsonNode& node)
      : cleans_(node["clean_text"].boolean_or(true)),
        parts_chinese_(node["handle_chinese_chars"].boolean_or(true)),
        lowers_(node["lowercase"].boolean_or(true)),
        strips_accents_(node["strip_accents"].boolean_or(lowers_)) {}

  MarkedText apply(MarkedText text) const override {
    if (cleans_) text = clean(text);
    if (parts_chinese_) text = part_chinese(text);
    if (strips_accents_)
      text = without_accents(text.map(
          [](std::string_view run) { return unicode::normalize(run, unicode::NormalForm::nfd); },
          unicode::normalize(text.text(), unicode::NormalForm::nfd)));
    return lowers_ ? lowercase(text) : text;
  }
  std::size_t shrinks() const override { return 0; }

private:
  static MarkedText clean(const MarkedText& text) {
    return by_character(text, [](char32_t c, std::string_view bytes, std::string& out) {
      const bool blank = c == '\t' || c == '\n' || c == '\r' || unicode::is_white_space(c);
      const bool kept_control = c == '\t' || c == '\n' || c == '\r';
      if (c == 0 || c == 0xFFFD || (!kept_control && unicode::is_control(c))) return;
      blank ? out.push_back(' ') : void(out += bytes);
    });
  }
  static MarkedText part_chinese(const MarkedText& text) {
    return by_character(text, [](char32_t c, std::string_view bytes, std::string& out) {
      const bool chinese = is_chinese(c);
      if (chinese) out.push_back(' ');
      out += bytes;
      if (chinese) out.push_back(' ');
    });
  }

  bool cleans_, parts_chinese_, lowers_, strips_accents_;
};

} // namespace

std::unique_ptr<Normalizer> parse_character_normalizer(const JsonNode& node) {
  const std::string& type = node["type"].string();
  if (type == "Lowercase") return std::make_unique<Lowercase>();
  if (type == "StripAccents") return std::make_unique<StripAccents>();
  if (type == "Nmt") return std::make_unique<Nmt>();
  if (type == "BertNormalizer") return std::make_unique<BertNormalizer>(node);
  if (type == "Strip")
    return std::make_unique<StripBlanks>(node["strip_left"].boolean_or(true),
                                         node["strip_right"].boolean_or(true));
  return nullptr;
}

} // namespace talaria::model
