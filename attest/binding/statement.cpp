#include "attest/binding/statement.hpp"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "attest/evidence/encodings.hpp"
#include "attest/evidence/strict_json.hpp"
#include "core/error.hpp"

namespace talaria::attest {
namespace {

using nlohmann::json;

constexpr std::size_t kLongestText = 256;

[[noreturn]] void refuse_statement(const std::string& what) {
  refuse(Stage::policy, "statement", what);
}

bool is_line(std::string_view text) {
  return text.size() <= kLongestText &&
         std::ranges::all_of(text, [](char c) { return c >= ' ' && c <= '~'; });
}

/// Takes the fields of one object, each once and all of them.
class Fields {
public:
  Fields(const json& object, std::string what) : object_(object), what_(std::move(what)) {
    if (!object.is_object()) refuse_statement(what_ + " is no object");
  }

  const json& take(const char* name) {
    const auto found = object_.find(name);
    if (found == object_.end()) refuse_statement(what_ + " has no " + name);
    ++taken_;
    return *found;
  }
  std::string text(const char* name) {
    const json& value = take(name);
    if (!value.is_string() || !is_line(value.get<std::string>()))
      refuse_statement(std::string(name) + " is no line of printable ASCII");
    return value.get<std::string>();
  }
  std::array<u8, 32> digest(const char* name) { return bytes(name, from_hex(text(name))); }
  std::array<u8, 32> base64(const char* name) { return bytes(name, from_base64url(text(name))); }
  void finish() const {
    if (taken_ != object_.size()) refuse_statement(what_ + " has a field that is not known");
  }

private:
  static std::array<u8, 32> bytes(const char* name, const std::optional<std::vector<u8>>& read) {
    std::array<u8, 32> value{};
    if (!read || read->size() != value.size())
      refuse_statement(std::string(name) + " does not have 32 bytes");
    std::ranges::copy(*read, value.begin());
    return value;
  }

  const json& object_;
  std::string what_;
  std::size_t taken_ = 0;
};

void take_model(const json& object, Statement& statement) {
  Fields model(object, "model");
  statement.model = model.text("name");
  statement.model_root = model.digest("root");
  model.finish();
}

void take_adapters(const json& list, Statement& statement) {
  if (!list.is_array() || list.empty()) refuse_statement("adapters is no list of some");
  for (const json& each : list) {
    Fields fields(each, "an adapter");
    AdapterClaim& adapter = statement.adapters.emplace_back();
    adapter.name = fields.text("name");
    adapter.root = fields.digest("root");
    fields.finish();
  }
}

void take_receipt_key(const json& object, Statement& statement) {
  Fields key(object, "receipt_key");
  if (key.text("kty") != "OKP" || key.text("crv") != "Ed25519")
    refuse_statement("receipt_key is not Ed25519");
  statement.receipt_key = key.base64("x");
  key.finish();
}

Statement read_statement(std::string_view text) {
  const json object = strict_json(text, kMaxStatementBytes, Stage::policy, "statement");
  Fields fields(object, "the statement");
  if (fields.take("v") != 1) refuse_statement("its version is not 1");
  Statement statement;
  statement.service = fields.text("service");
  statement.instance = fields.digest("instance");
  statement.software = fields.text("software");
  statement.binary = fields.digest("binary");
  statement.configuration = fields.digest("config");
  take_model(fields.take("model"), statement);
  if (object.contains("adapters")) take_adapters(fields.take("adapters"), statement);
  statement.weights = fields.text("weights");
  statement.scheme = fields.text("scheme");
  statement.parameters = fields.text("parameters");
  statement.integrity = fields.text("integrity");
  statement.padding = fields.text("padding");
  if (object.contains("receipt_key")) take_receipt_key(fields.take("receipt_key"), statement);
  statement.tls_key = fields.digest("tls_key");
  const auto issued = parse_time(fields.text("issued"));
  if (!issued) refuse_statement("issued is no time");
  statement.issued = *issued;
  fields.finish();
  return statement;
}

} // namespace

std::string to_json(const Statement& statement) {
  for (const std::string* text :
       {&statement.service, &statement.software, &statement.model, &statement.weights,
        &statement.scheme, &statement.parameters, &statement.integrity, &statement.padding})
    if (!is_line(*text))
      throw Error(Errc::usage, "a text of the statement is no line of 256 printable characters");
  nlohmann::ordered_json object{
      {"v", 1},
      {"service", statement.service},
      {"instance", to_hex(statement.instance)},
      {"software", statement.software},
      {"binary", to_hex(statement.binary)},
      {"config", to_hex(statement.configuration)},
      {"model", {{"name", statement.model}, {"root", to_hex(statement.model_root)}}},
      {"weights", statement.weights},
      {"scheme", statement.scheme},
      {"parameters", statement.parameters},
      {"integrity", statement.integrity},
      {"padding", statement.padding},
      {"tls_key", to_hex(statement.tls_key)},
      {"issued", to_text(statement.issued)}};
  for (const AdapterClaim& adapter : statement.adapters) {
    if (!is_line(adapter.name))
      throw Error(Errc::usage, "an adapter's name is no line of 256 printable characters");
    object["adapters"].push_back({{"name", adapter.name}, {"root", to_hex(adapter.root)}});
  }
  if (statement.receipt_key)
    object["receipt_key"] = {
        {"kty", "OKP"}, {"crv", "Ed25519"}, {"x", to_base64url(*statement.receipt_key)}};
  std::string text = object.dump();
  if (text.size() > kMaxStatementBytes)
    throw Error(Errc::usage, "the statement has more than 8 KiB; serve fewer adapters "
                             "(serve.lora_modules), or give them shorter names");
  return text;
}

Parsed<Statement> parse_statement(std::string_view text) {
  return guarded([text] { return read_statement(text); });
}

} // namespace talaria::attest
