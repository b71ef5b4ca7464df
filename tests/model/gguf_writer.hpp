#pragma once

#include <bit>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "core/integers.hpp"

namespace talaria::test {

/// Puts together a GGUF file, whatever it says.
class GgufWriter {
public:
  enum Type : u32 { kU32 = 4, kI32 = 5, kF32 = 6, kBool = 7, kString = 8, kArray = 9 };

  template <class T>
  static std::string raw(T value) {
    std::string out(sizeof(T), '\0');
    std::memcpy(out.data(), &value, sizeof(T));
    return out;
  }
  static std::string text(const std::string& value) { return raw<u64>(value.size()) + value; }

  GgufWriter& key(const std::string& name, u32 type, const std::string& value) {
    keys_ += text(name) + raw(type) + value;
    ++key_count_;
    return *this;
  }
  GgufWriter& integer(const std::string& name, u32 value) { return key(name, kU32, raw(value)); }
  GgufWriter& number(const std::string& name, float value) { return key(name, kF32, raw(value)); }
  GgufWriter& boolean(const std::string& name, bool value) {
    return key(name, kBool, std::string(1, value ? '\1' : '\0'));
  }
  GgufWriter& string(const std::string& name, const std::string& value) {
    return key(name, kString, text(value));
  }
  GgufWriter& strings(const std::string& name, const std::vector<std::string>& values) {
    std::string body = raw<u32>(kString) + raw<u64>(values.size());
    for (const std::string& value : values) body += text(value);
    return key(name, kArray, body);
  }
  template <class T>
  GgufWriter& list(const std::string& name, u32 type, const std::vector<T>& values) {
    std::string body = raw(type) + raw<u64>(values.size());
    for (const T value : values) body += raw(value);
    return key(name, kArray, body);
  }

  /// `shape` slowest first; `data` in the format of `type`.
  GgufWriter& tensor(const std::string& name, const std::vector<u64>& shape, u32 type,
                     const std::string& data) {
    infos_ += text(name) + raw(static_cast<u32>(shape.size()));
    for (auto size = shape.rbegin(); size != shape.rend(); ++size) infos_ += raw(*size);
    infos_ += raw(type) + raw<u64>(data_.size());
    data_ += data + std::string((32 - data.size() % 32) % 32, '\0');
    ++tensor_count_;
    return *this;
  }
  GgufWriter& floats(const std::string& name, const std::vector<u64>& shape,
                     const std::vector<float>& values) {
    std::string data(values.size() * sizeof(float), '\0');
    if (!values.empty()) std::memcpy(data.data(), values.data(), data.size());
    return tensor(name, shape, 0, data);
  }

  std::string header() const {
    return "GGUF" + raw<u32>(3) + raw(tensor_count_) + raw(key_count_) + keys_ + infos_;
  }
  std::string file() const {
    const std::string head = header();
    return head + std::string((32 - head.size() % 32) % 32, '\0') + data_;
  }

private:
  std::string keys_, infos_, data_;
  u64 key_count_ = 0, tensor_count_ = 0;
};

} // namespace talaria::test
