#include "model/weights/tensor_store.hpp"

#include <boost/test/data/test_case.hpp>

#include <cmath>
#include <limits>

#include "tests/model/model_folder.hpp"

using namespace talaria;
using namespace talaria::model;
using namespace talaria::test;
namespace bdata = boost::unit_test::data;

namespace {

/// Loading `bytes` as a file must fail with its name and `parts` in the message.
void check_rejected(const Bytes& bytes, std::vector<std::string> parts) {
  TemporaryFolder folder;
  const auto path = folder.write("broken.safetensors", bytes);
  parts.push_back(path.string());
  check_error([&] { SafetensorsFile file(path); }, Errc::model, parts);
}

struct BadHeader {
  const char* header;
  std::size_t data_bytes;
  const char* complaint;
};
std::ostream& operator<<(std::ostream& out, const BadHeader& bad) {
  return out << bad.header;
}

constexpr BadHeader kBadHeaders[] = {
    {"", 0, "JSON"},
    {"[]", 0, "no JSON object"},
    {"  {}", 0, "no JSON object"},
    {"{", 0, "not valid JSON at byte"},
    {"{} {}", 0, "not valid JSON"},
    {"{\"\xff\": 1}", 0, "not valid JSON"},
    {R"({"w":1})", 0, "\"w\""},
    {R"({"w":{}})", 0, "dtype"},
    {R"({"w":{"dtype":7,"shape":[1],"data_offsets":[0,4]}})", 4, "dtype"},
    {R"({"w":{"dtype":"F99","shape":[1],"data_offsets":[0,4]}})", 4, "F99"},
    {R"({"w":{"dtype":"F32","data_offsets":[0,4]}})", 4, "shape"},
    {R"({"w":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}})", 4, "shape"},
    {R"({"w":{"dtype":"F32","shape":[1.0],"data_offsets":[0,4]}})", 4, "shape"},
    {R"({"w":{"dtype":"F32","shape":["1"],"data_offsets":[0,4]}})", 4, "shape"},
    {R"({"w":{"dtype":"F32","shape":[1]}})", 4, "data_offsets"},
    {R"({"w":{"dtype":"F32","shape":[1],"data_offsets":[0]}})", 4, "data_offsets"},
    {R"({"w":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}})", 4, "data_offsets"},
    {R"({"w":{"dtype":"F32","shape":[1],"data_offsets":[0,18446744073709551616]}})", 4,
     "data_offsets"},
    {R"({"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 7, "truncated"},
    {R"({"w":{"dtype":"F32","shape":[1],"data_offsets":[0,8]}})", 8, "[1] needs 4 bytes"},
    {R"({"w":{"dtype":"BF16","shape":[3],"data_offsets":[0,4]}})", 4, "[3] needs 6 bytes"},
    {R"({"w":{"dtype":"F4","shape":[3],"data_offsets":[0,1]}})", 1, "needs 1 bytes"},
    // 2^62 * 4 bytes is 0 modulo 2^64.
    {R"({"w":{"dtype":"F32","shape":[4611686018427387904],"data_offsets":[0,0]}})", 0, "too large"},
    {R"({"w":{"dtype":"U8","shape":[4294967296,4294967296],"data_offsets":[0,0]}})", 0,
     "too large"},
    {R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)"
     R"("b":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}})",
     6, "inside the tensor"},
    {R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)"
     R"("b":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})",
     4, "inside the tensor"},
    {R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)"
     R"("b":{"dtype":"U8","shape":[4],"data_offsets":[5,9]}})",
     9, "gap"},
    {R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[1,5]}})", 5, "gap"},
    {R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})", 5, "end at byte 4 of 5"},
    {"{}", 1, "end at byte 0 of 1"},
    {R"({"a":{"dtype":"U8","shape":[0],"data_offsets":[2,2]},)"
     R"("b":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})",
     4, "inside the tensor"},
    {R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
     R"("a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})",
     1, "twice"},
    {R"({"a":{"dtype":"U8","dtype":"F32","shape":[1],"data_offsets":[0,1]}})", 1, "twice"},
    {R"({"__metadata__":[]})", 0, "__metadata__"},
    {R"({"__metadata__":{"format":1}})", 0, "__metadata__"},
    {R"({"a\n\u0007b":1})", 0, "a??b"},
};

} // namespace

BOOST_DATA_TEST_CASE(a_damaged_header_is_an_error_naming_file_and_fault, bdata::make(kBadHeaders),
                     bad) {
  check_rejected(safetensors_file(bad.header, Bytes(bad.data_bytes)), {bad.complaint});
}

BOOST_AUTO_TEST_CASE(a_damaged_length_is_an_error_naming_the_file) {
  check_rejected({}, {"too few"});
  check_rejected(Bytes(7), {"too few"});
  check_rejected(Bytes(8), {"JSON"});
  check_rejected({1, 0, 0, 0, 0, 0, 0, 0}, {"exceeds"});
  check_rejected(Bytes(20, 0xff), {"100 MB"});
  const std::string pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n";
  check_rejected(Bytes(pointer.begin(), pointer.end()), {"git lfs pull"});
}

BOOST_AUTO_TEST_CASE(deep_nesting_is_refused_before_it_costs_memory) {
  check_rejected(safetensors_file("{\"a\":" + std::string(1'000'000, '['), {}), {"nested"});
}

BOOST_AUTO_TEST_CASE(every_truncation_of_a_good_file_is_an_error) {
  const Bytes whole =
      safetensors_file(TestTensors{{"a", {{2, 3}, {1, 2, 3, 4, 5, 6}}}, {"b", {{1}, {7}}}}, "F32");
  for (std::size_t size = 0; size < whole.size(); ++size)
    check_error([&] { parse_safetensors(std::span(whole).first(size), "cut.safetensors"); },
                Errc::model, {"cut.safetensors"});
  BOOST_TEST(parse_safetensors(whole, "whole").size() == 2u);
}

BOOST_AUTO_TEST_CASE(no_single_changed_byte_of_the_header_is_read_out_of_bounds) {
  const Bytes whole =
      safetensors_file(TestTensors{{"a", {{2, 3}, {1, 2, 3, 4, 5, 6}}}, {"b", {{1}, {7}}}}, "F32");
  std::size_t accepted = 0;
  for (std::size_t at = 0; at < whole.size() - 28; ++at) {
    for (const u8 change : {u8{1}, u8{2}, u8{16}, u8{128}}) {
      Bytes changed = whole;
      changed[at] ^= change;
      try {
        for (const auto& [name, view] : parse_safetensors(changed, "changed")) {
          std::vector<float> values(view.elements());
          view.read(0, values);
          ++accepted;
        }
      } catch (const Error& error) {
        BOOST_TEST(to_string(error.code()) == std::string("model"));
      }
    }
  }
  BOOST_TEST(accepted > 0u); // a changed name is still a file
}

BOOST_AUTO_TEST_CASE(a_file_that_cannot_be_mapped_is_an_error_naming_it) {
  TemporaryFolder folder;
  const auto missing = folder.path() / "missing.safetensors";
  check_error([&] { SafetensorsFile file(missing); }, Errc::model,
              {missing.string(), "No such file"});
  check_error([&] { SafetensorsFile file(folder.path()); }, Errc::model, {folder.path().string()});
}

BOOST_AUTO_TEST_CASE(scalars_empty_tensors_metadata_and_padding_are_accepted) {
  const std::string header =
      R"({"__metadata__":{"format":"pt"},"none":{"dtype":"F32","shape":[0,9],"data_offsets":[4,4]},)"
      R"("one":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}   )";
  const Bytes bytes = safetensors_file(header, f32_bytes({2.5f}));
  const auto tensors = parse_safetensors(bytes, "file");
  BOOST_TEST(tensors.size() == 2u);
  BOOST_TEST(tensors.at("none").elements() == 0u);
  std::vector<float> one(1);
  tensors.at("one").read(0, one);
  BOOST_TEST(one[0] == 2.5f);
  std::vector<float> two(2);
  check_error([&] { tensors.at("one").read(0, two); }, Errc::internal, {"one"});
  check_error([&] { tensors.at("one").read(2, {}); }, Errc::internal, {"one"});
}

BOOST_AUTO_TEST_CASE(all_f16_values_widen_exactly) {
  Bytes data;
  for (u32 half = 0; half < 65536; ++half) {
    data.push_back(static_cast<u8>(half));
    data.push_back(static_cast<u8>(half >> 8));
  }
  // One pad byte in front of the data makes every element unaligned.
  const Bytes bytes =
      safetensors_file(R"({"h":{"dtype":"F16","shape":[65536],"data_offsets":[0,131072]}} )", data);
  const auto tensors = parse_safetensors(bytes, "file");
  std::vector<float> values(65536);
  tensors.at("h").read(0, values);
  for (u32 half = 0; half < 65536; ++half) {
    const int exponent = (half >> 10) & 31;
    const int fraction = half & 1023;
    double expected =
        exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25);
    if (exponent == 31) expected = fraction == 0 ? INFINITY : NAN;
    if ((half & 0x8000u) != 0) expected = -expected;
    const float got = values[half];
    const bool same = std::isnan(expected) ? std::isnan(got)
                                           : got == static_cast<float>(expected) &&
                                                 std::signbit(got) == ((half & 0x8000u) != 0);
    BOOST_TEST_REQUIRE(same, "half " << half << " became " << got);
  }
}

BOOST_AUTO_TEST_CASE(bf16_is_the_upper_half_of_f32_and_f32_is_itself) {
  std::vector<float> values;
  for (u32 half = 0; half < 65536; half += 7) values.push_back(std::bit_cast<float>(half << 16));
  const std::size_t count = values.size();
  for (const char* dtype : {"BF16", "F32"}) {
    const Bytes bytes = safetensors_file(TestTensors{{"w", {{count}, values}}}, dtype);
    const auto tensors = parse_safetensors(bytes, "file");
    std::vector<float> got(count - 5); // from the middle
    tensors.at("w").read(3, got);
    BOOST_TEST(std::memcmp(got.data(), values.data() + 3, got.size() * 4) == 0, dtype);
  }
}

BOOST_AUTO_TEST_CASE(a_tensor_that_is_no_weight_is_an_error_only_when_asked_for) {
  TemporaryFolder folder;
  folder.write("model.safetensors",
               safetensors_file(R"({"ids":{"dtype":"I64","shape":[1],"data_offsets":[0,8]},)"
                                R"("w":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}})",
                                Bytes(12)));
  const TensorStore store(folder.path());
  BOOST_TEST(store.get("w", {1}).elements() == 1u);
  BOOST_TEST(store.contains("ids"));
  BOOST_TEST(store.total_bytes() == 4u);
  check_error([&] { store.get("ids", {1}); }, Errc::model, {"ids", "I64", folder.path().string()});
}

BOOST_AUTO_TEST_CASE(absent_tensors_and_wrong_shapes_are_errors_naming_both_shapes) {
  TemporaryFolder folder;
  folder.write("model.safetensors",
               safetensors_file(TestTensors{{"w", {{2, 3}, std::vector<float>(6)}}}, "F32"));
  const TensorStore store(folder.path());
  BOOST_TEST(!store.contains("v"));
  check_error([&] { store.get("v", {2, 3}); }, Errc::model, {"v", "missing"});
  check_error(
      [&] {
        store.get("w", {3, 2});
      },
      Errc::model, {"w", "[2, 3]", "[3, 2]", (folder.path() / "model.safetensors").string()});
  check_error([&] { store.get("w", {6}); }, Errc::model, {"[2, 3]", "[6]"});
}

namespace {

/// Two shards and an index whose weight_map is `map`.
void write_shards(const TemporaryFolder& folder, const nlohmann::json& map) {
  folder.write("s1.safetensors", safetensors_file(TestTensors{{"a", {{1}, {1}}}}, "F32"));
  folder.write("s2.safetensors",
               safetensors_file(TestTensors{{"b", {{1}, {2}}}, {"c", {{1}, {3}}}}, "BF16"));
  folder.write("model.safetensors.index.json", nlohmann::json{{"weight_map", map}}.dump());
}

} // namespace

BOOST_AUTO_TEST_CASE(shards_are_found_through_the_index_and_survive_a_move) {
  TemporaryFolder folder;
  write_shards(folder, {{"a", "s1.safetensors"}, {"b", "s2.safetensors"}, {"c", "s2.safetensors"}});
  TensorStore first(folder.path());
  const TensorStore store(std::move(first));
  float value = 0;
  for (const auto& [name, expected] : std::map<std::string, float>{{"a", 1}, {"b", 2}, {"c", 3}}) {
    store.get(name, {1}).read(0, {&value, 1});
    BOOST_TEST(value == expected);
  }
  BOOST_TEST(store.total_bytes() == 8u);
}

BOOST_AUTO_TEST_CASE(a_wrong_index_is_an_error_naming_it) {
  const std::vector<std::pair<nlohmann::json, std::vector<std::string>>> cases = {
      {{{"a", "s3.safetensors"}}, {"s3.safetensors", "missing"}},
      {{{"a", "s2.safetensors"}}, {"\"a\"", "s2.safetensors"}},
      {{{"z", "s1.safetensors"}}, {"\"z\"", "s1.safetensors"}},
      {{{"a", "../s1.safetensors"}}, {"\"a\""}},
      {{{"a", ".."}}, {"\"a\""}},
      {{{"a", 1}}, {"\"a\""}},
      {nlohmann::json::object(), {"weight_map"}},
      {nlohmann::json::array(), {"weight_map"}},
  };
  for (auto [map, parts] : cases) {
    TemporaryFolder folder;
    write_shards(folder, map);
    parts.push_back((folder.path() / "model.safetensors.index.json").string());
    check_error([&] { TensorStore store(folder.path()); }, Errc::model, parts);
  }
  TemporaryFolder folder;
  for (const char* text : {"", "{", "[]", "{}", R"({"weight_map":{"a":"s1","a":"s2"}})"}) {
    const auto path = folder.write("model.safetensors.index.json", text);
    check_error([&] { TensorStore store(folder.path()); }, Errc::model, {path.string()});
  }
}

BOOST_AUTO_TEST_CASE(a_truncated_shard_is_an_error_naming_the_shard) {
  TemporaryFolder folder;
  write_shards(folder, {{"a", "s1.safetensors"}, {"b", "s2.safetensors"}});
  std::filesystem::resize_file(folder.path() / "s2.safetensors",
                               std::filesystem::file_size(folder.path() / "s2.safetensors") - 1);
  check_error([&] { TensorStore store(folder.path()); }, Errc::model,
              {(folder.path() / "s2.safetensors").string()});
}

BOOST_AUTO_TEST_CASE(a_folder_without_weights_is_an_error_saying_what_is_understood) {
  TemporaryFolder folder;
  check_error([&] { TensorStore store(folder.path()); }, Errc::model,
              {folder.path().string(), "model.safetensors", "model.safetensors.index.json"});
  folder.write("pytorch_model.bin", "x");
  check_error([&] { TensorStore store(folder.path()); }, Errc::model, {"convert"});
}
