#include "model/jinja/text_format.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

#include "model/utf8.hpp"

namespace talaria::model::jinja {

namespace {

constexpr std::size_t max_field = 4096; // of a width or precision

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

/// One %... of a format.
struct Conversion {
  std::string name; // of %(name)s
  std::string flags;
  std::size_t width = 0;
  std::optional<std::size_t> precision;
  char kind = 0;
};

class PrintfFormat {
public:
  PrintfFormat(const MarkedText& format, const Value& arguments, const Site& site)
      : format_(format), text_(format.text()), arguments_(arguments), site_(site) {}

  MarkedText run() {
    for (std::size_t percent = 0; (percent = text_.find('%', at_)) != std::string::npos;) {
      out_.append(format_, at_, percent);
      at_ = percent + 1;
      const Conversion conversion = parse();
      if (conversion.kind == '%')
        out_.append("%");
      else
        write(conversion);
      site_.charge_text(out_.size() / 64);
    }
    out_.append(format_, at_, text_.size());
    const List* tuple = list_of_arguments();
    if (!named_ && arguments_.dict() == nullptr &&
        next_ < (tuple != nullptr ? tuple->items.size() : 1))
      site_.fail("not all arguments of % are used");
    site_.charge_text(out_.size());
    return std::move(out_);
  }

private:
  char peek() const {
    if (at_ >= text_.size()) site_.fail("a format ends inside of a conversion");
    return text_[at_];
  }
  std::size_t digits() {
    std::size_t value = 0;
    while (is_digit(peek())) {
      value = value * 10 + static_cast<std::size_t>(text_[at_++] - '0');
      if (value > max_field) site_.fail("a format asks for more than {} characters", max_field);
    }
    return value;
  }

  Conversion parse() {
    Conversion out;
    if (peek() == '(') {
      const std::size_t end = text_.find(')', at_);
      if (end == std::string::npos) site_.fail("a format ends inside of a conversion");
      out.name = text_.substr(at_ + 1, end - at_ - 1);
      named_ = true;
      at_ = end + 1;
    }
    while (std::string_view("-+ 0#").find(peek()) != std::string_view::npos)
      out.flags.push_back(text_[at_++]);
    out.width = digits();
    if (peek() == '.') {
      ++at_;
      out.precision = digits();
    }
    out.kind = peek();
    ++at_;
    return out;
  }

  const List* list_of_arguments() const {
    const List* list = arguments_.list();
    return list != nullptr && list->kind == Sequence::tuple ? list : nullptr;
  }

  const Value& argument(const Conversion& conversion) {
    if (named_) {
      const Value* found = arguments_.dict() != nullptr && !conversion.name.empty()
                               ? arguments_.dict()->find(Value(conversion.name))
                               : nullptr;
      if (found == nullptr) site_.fail("% needs a mapping with the key {}", conversion.name);
      return *found;
    }
    const List* list = list_of_arguments();
    const std::size_t place = next_++;
    if (place >= (list != nullptr ? list->items.size() : 1)) site_.fail("% has too few arguments");
    return list != nullptr ? list->items[place] : arguments_;
  }

  void write(const Conversion& conversion) {
    const Value& value = argument(conversion);
    if (conversion.kind == 's' || conversion.kind == 'r')
      return pad(conversion,
                 conversion.kind == 's' ? to_text(value, site_) : representation(value, site_));
    if (!number(value)) site_.fail("%{} of {}", conversion.kind, type_name(value));
    if (std::string_view("diu").find(conversion.kind) != std::string_view::npos)
      return write_number(conversion, "lld", whole(value));
    if (std::string_view("xXo").find(conversion.kind) != std::string_view::npos) {
      if (value.integer() == nullptr || *value.integer() < 0)
        site_.fail("%{} of {} is not supported", conversion.kind, type_name(value));
      return write_number(conversion, std::string("ll") + conversion.kind, *value.integer());
    }
    if (std::string_view("fFeEgG").find(conversion.kind) != std::string_view::npos)
      return write_number(conversion, std::string(1, conversion.kind), *number(value));
    site_.fail("%{} in a format is not supported", conversion.kind);
  }

  i64 whole(const Value& value) const {
    if (value.integer() != nullptr) return *value.integer();
    if (!(std::abs(*value.real()) < 9e18)) site_.fail("a float is too large for %d");
    return static_cast<i64>(*value.real());
  }

  template <class Number>
  void write_number(const Conversion& conversion, const std::string& kind, Number value) {
    if (conversion.flags.find('#') != std::string::npos && kind.back() == 'o')
      site_.fail("%#o in a format is not supported");
    std::string pattern = "%" + conversion.flags;
    if (conversion.width != 0) pattern += std::to_string(conversion.width);
    if (conversion.precision) pattern += "." + std::to_string(*conversion.precision);
    pattern += kind;
    std::vector<char> buffer(2 * max_field + 512);
    const int length = std::snprintf(buffer.data(), buffer.size(), pattern.c_str(), value);
    if (length < 0 || static_cast<std::size_t>(length) >= buffer.size())
      site_.fail("a number is too long for a format");
    out_.append(std::string_view(buffer.data(), static_cast<std::size_t>(length)));
  }

  void pad(const Conversion& conversion, MarkedText value) {
    const std::string& text = value.text();
    if (conversion.precision) {
      std::size_t end = 0;
      for (std::size_t i = 0; i < *conversion.precision && end < text.size(); ++i)
        end += utf8::step(text, end).length;
      value = value.part(0, end);
    }
    const std::size_t length = utf8::length(value.text());
    const std::string blanks(conversion.width > length ? conversion.width - length : 0, ' ');
    const bool left = conversion.flags.find('-') != std::string::npos;
    if (!left) out_.append(blanks);
    out_.append(value);
    if (left) out_.append(blanks);
  }

  const MarkedText& format_;
  const std::string& text_;
  const Value& arguments_;
  const Site& site_;
  std::size_t at_ = 0;
  std::size_t next_ = 0;
  bool named_ = false;
  MarkedText out_;
};

} // namespace

MarkedText printf_format(const MarkedText& format, const Value& arguments, const Site& site) {
  return PrintfFormat(format, arguments, site).run();
}

MarkedText brace_format(const MarkedText& format, const ArgumentValues& arguments,
                        const Site& site) {
  const std::string& text = format.text();
  MarkedText out;
  std::size_t next = 0;
  bool automatic = false;
  bool manual = false;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t brace = std::min(text.find_first_of("{}", at), text.size());
    out.append(format, at, brace);
    if (brace == text.size()) break;
    if (brace + 1 < text.size() && text[brace + 1] == text[brace]) {
      out.append(format, brace, brace + 1);
      at = brace + 2;
      continue;
    }
    const std::size_t end = text.find('}', brace);
    if (text[brace] == '}' || end == std::string::npos) site.fail("a format has a single brace");
    const std::string name = text.substr(brace + 1, end - brace - 1);
    if (name.find_first_of(".[]:!{") != std::string::npos)
      site.fail("a format with more than a name in braces is not supported");
    const bool numbered = !name.empty() && std::all_of(name.begin(), name.end(), is_digit);
    automatic |= name.empty();
    manual |= numbered;
    if (automatic && manual) site.fail("a format mixes {{}} and {{0}}");
    if (numbered && name.size() > 8) site.fail("a format has too few arguments");
    const std::size_t place = name.empty() ? next++ : numbered ? std::stoul(name) : ~std::size_t{0};
    out.append(to_text(arguments.required(place, name, site), site));
    site.charge_text(out.size() / 64);
    at = end + 1;
  }
  site.charge_text(out.size());
  return out;
}

} // namespace talaria::model::jinja
