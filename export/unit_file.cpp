#include "export/unit_file.hpp"

#include <algorithm>

#include "core/error.hpp"
#include "export/yaml_writer.hpp"

namespace talaria::exporting {

namespace {

bool is_setting(const std::string& line, std::string_view key) {
  return line.size() > key.size() && line.starts_with(key) && line[key.size()] == '=';
}

[[noreturn]] void fail(std::string_view key) {
  throw Error(Errc::internal, "the shipped unit has no " + std::string(key) + "=");
}

} // namespace

UnitFile::UnitFile(std::string_view text) {
  bool continues = false;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string line(text.substr(0, end));
    if (continues)
      lines_.back() += '\n' + line;
    else
      lines_.push_back(line);
    continues = line.ends_with('\\');
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

void UnitFile::set(std::string_view key, const std::string& value) {
  const auto is_this = [&](const std::string& line) { return is_setting(line, key); };
  const auto first = std::find_if(lines_.begin(), lines_.end(), is_this);
  if (first == lines_.end()) fail(key);
  auto rest = first;
  if (!value.empty()) {
    *rest++ = std::string(key) + '=' + value;
  } else { // what is said about it goes as well
    while (rest != lines_.begin() && (rest - 1)->starts_with('#')) --rest;
    rest = lines_.erase(rest, first);
  }
  lines_.erase(std::remove_if(rest, lines_.end(), is_this), lines_.end());
}

void UnitFile::add_after(std::string_view after, const std::string& line) {
  for (auto at = lines_.end(); at != lines_.begin();)
    if (is_setting(*--at, after)) {
      lines_.insert(at + 1, line);
      return;
    }
  fail(after);
}

void UnitFile::set_comment(std::string_view text) {
  const auto end = std::find_if(lines_.begin(), lines_.end(),
                                [](const std::string& line) { return !line.starts_with('#'); });
  lines_.erase(lines_.begin(), end);
  std::string comment = comment_lines(text, "");
  comment.pop_back();
  lines_.insert(lines_.begin(), comment);
}

std::string UnitFile::text() const {
  std::string out;
  for (const std::string& line : lines_) out += line + '\n';
  return out;
}

} // namespace talaria::exporting
