#include "export/names.hpp"

#include <algorithm>
#include <set>
#include <span>

#include "core/digest.hpp"

namespace talaria::exporting {

namespace {

bool is_lower(char c) {
  return c >= 'a' && c <= 'z';
}
bool is_label_character(char c) {
  return is_lower(c) || (c >= '0' && c <= '9');
}

std::string digest_suffix(const std::string& name) {
  const auto* bytes = reinterpret_cast<const u8*>(name.data());
  return "-" + to_hex(sha256({bytes, name.size()})).substr(0, 6);
}

/// Lower case, other characters as '-', none doubled or at an end; may be empty.
std::string kept_characters(std::string_view name) {
  std::string out;
  for (char c : name) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c | 0x20);
    if (is_label_character(c))
      out += c;
    else if (!out.empty() && out.back() != '-')
      out += '-';
  }
  while (!out.empty() && out.back() == '-') out.pop_back();
  if (out.empty() || !is_lower(out.front())) out.insert(0, out.empty() ? "x" : "x-");
  return out;
}

std::string cut_to(std::string text, std::size_t length) {
  text.resize(std::min(text.size(), length));
  while (text.back() == '-') text.pop_back();
  return text;
}

} // namespace

bool is_dns_label(std::string_view text, std::size_t max) {
  return !text.empty() && text.size() <= max && is_lower(text.front()) && text.back() != '-' &&
         std::all_of(text.begin(), text.end(),
                     [](char c) { return is_label_character(c) || c == '-'; });
}

std::vector<std::string> dns_labels(const std::vector<std::string>& names, std::size_t max,
                                    const std::vector<std::string>& reserved) {
  std::set<std::string> taken(reserved.begin(), reserved.end());
  const std::set<std::string> not_free = taken;
  const auto stays = [&](const std::string& name) {
    return is_dns_label(name, max) && !not_free.contains(name);
  };
  for (const std::string& name : names)
    if (stays(name)) taken.insert(name);
  std::vector<std::string> labels;
  for (const std::string& name : names) {
    std::string label = name;
    if (!stays(name)) {
      label = kept_characters(name);
      if (label.size() > max || taken.contains(label)) {
        const std::string suffix = digest_suffix(name);
        label = cut_to(label, max - suffix.size()) + suffix;
      }
      taken.insert(label);
    }
    labels.push_back(std::move(label));
  }
  return labels;
}

} // namespace talaria::exporting
