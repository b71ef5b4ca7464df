#include "model/jinja/json_value.hpp"

#include <nlohmann/json.hpp>

namespace talaria::model::jinja {

namespace {

class ValueBuilder final : public nlohmann::json_sax<nlohmann::json> {
public:
  ValueBuilder(Origin origin, const Site& site) : origin_(origin), site_(site) {}

  bool null() override { return put(None{}); }
  bool boolean(bool value) override { return put(Value(value)); }
  bool number_integer(number_integer_t value) override { return put(Value(i64{value})); }
  bool number_unsigned(number_unsigned_t value) override {
    constexpr u64 kMax = ~u64{0} >> 1;
    return value > kMax ? put(Value(static_cast<double>(value)))
                        : put(Value(static_cast<i64>(value)));
  }
  bool number_float(number_float_t value, const string_t&) override { return put(Value(value)); }
  bool string(string_t& value) override { return put(text(value)); }
  bool binary(binary_t&) override { return false; }
  bool start_object(std::size_t) override { return open(); }
  bool start_array(std::size_t) override { return open(); }
  bool key(string_t& name) override {
    open_.back().keys.push_back(text(name));
    return true;
  }
  bool end_object() override {
    Level level = close();
    std::vector<std::pair<Value, Value>> items;
    for (std::size_t i = 0; i < level.values.size(); ++i)
      items.emplace_back(std::move(level.keys[i]), std::move(level.values[i]));
    return put(Value::dict(std::move(items), site_));
  }
  bool end_array() override { return put(Value::list(close().values, Sequence::list, site_)); }
  bool parse_error(std::size_t, const std::string&, const nlohmann::json::exception&) override {
    throw Error(Errc::usage, "a value for the chat template is not valid JSON");
  }

  Value take() { return std::move(root_); }

private:
  struct Level {
    std::vector<Value> keys, values;
  };
  Value text(const std::string& value) const { return MarkedText(value, origin_); }
  bool put(Value value) {
    site_.charge(1);
    if (open_.empty())
      root_ = std::move(value);
    else
      open_.back().values.push_back(std::move(value));
    return true;
  }
  bool open() {
    if (open_.size() >= static_cast<std::size_t>(max_nesting))
      throw Error(Errc::usage, "a value for the chat template is nested too deeply");
    open_.emplace_back();
    return true;
  }
  Level close() {
    Level level = std::move(open_.back());
    open_.pop_back();
    return level;
  }

  const Origin origin_;
  const Site& site_;
  Value root_{None{}};
  std::vector<Level> open_;
};

} // namespace

Value from_json(std::string_view text, Origin origin, const Site& site) {
  ValueBuilder builder(origin, site);
  nlohmann::json::sax_parse(text, &builder);
  return builder.take();
}

} // namespace talaria::model::jinja
