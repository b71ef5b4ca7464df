#include "model/weights/gguf_model.hpp"

#include <boost/test/data/test_case.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <fstream>
#include <functional>

#include "core/random.hpp"
#include "model/chat_template.hpp"
#include "model/tokenizer.hpp"
#include "model/weights/gguf_tokenizer.hpp"
#include "model/weights/model_files.hpp"
#include "model/weights/plan_file.hpp"
#include "model/weights/pooling.hpp"
#include "tests/model/gguf_writer.hpp"
#include "tests/model/model_folder.hpp"
#include "tests/support/models.hpp"

using namespace talaria;
using namespace talaria::model;
using namespace talaria::test;
namespace bdata = boost::unit_test::data;
namespace fs = std::filesystem;
using nlohmann::json;

BOOST_AUTO_TEST_SUITE(gguf)

namespace {

constexpr std::array<const char*, 4> kFiles{"llama3-f16", "llama3-bf16", "llama3-q8_0",
                                            "wide-q4_k_m"};

fs::path file_of(const std::string& name) {
  return tests::kSource / "tests" / "data" / "gguf" / (name + ".gguf");
}

json read_json(const fs::path& path) {
  std::ifstream in(path);
  return json::parse(in);
}

std::span<const u8> bytes_of(const std::string& text) {
  return {reinterpret_cast<const u8*>(text.data()), text.size()};
}

std::string sha256_of(const TensorView& tensor) {
  std::vector<float> values(tensor.elements());
  tensor.read(0, values);
  return to_hex(
      sha256({reinterpret_cast<const u8*>(values.data()), values.size() * sizeof(float)}));
}

/// A tiny Llama with everything that a file has, in 2 layers of width 32.
GgufWriter small_model(u32 embedding_type = 0) {
  GgufWriter out;
  out.string("general.architecture", "llama").integer("general.alignment", 32);
  out.integer("llama.context_length", 64).integer("llama.embedding_length", 32);
  out.integer("llama.block_count", 2).integer("llama.feed_forward_length", 32);
  out.list<u32>("llama.attention.head_count", GgufWriter::kU32, {4, 4});
  out.integer("llama.attention.head_count_kv", 2);
  out.number("llama.attention.layer_norm_rms_epsilon", 1e-5f);
  out.string("tokenizer.ggml.model", "gpt2").string("tokenizer.ggml.pre", "gpt-2");
  out.strings("tokenizer.ggml.tokens", {"a", "b", "ab", "<end>"});
  out.list<i32>("tokenizer.ggml.token_type", GgufWriter::kI32, {1, 1, 1, 3});
  out.strings("tokenizer.ggml.merges", {"a b"});
  out.integer("tokenizer.ggml.eos_token_id", 3);
  const auto filled = [](std::size_t count) { return std::vector<float>(count, 0.5f); };
  const std::string block = GgufWriter::raw<u16>(0x3c00) + std::string(32, '\x05');
  if (embedding_type == 8)
    out.tensor("token_embd.weight", {4, 32}, 8, block + block + block + block);
  else
    out.floats("token_embd.weight", {4, 32}, filled(128));
  out.floats("output_norm.weight", {32}, filled(32));
  for (const char* layer : {"blk.0.", "blk.1."}) {
    const std::string at = layer;
    out.floats(at + "attn_norm.weight", {32}, filled(32));
    out.floats(at + "ffn_norm.weight", {32}, filled(32));
    for (const char* square : {"attn_q", "attn_output", "ffn_gate", "ffn_up", "ffn_down"})
      out.floats(at + square + ".weight", {32, 32}, filled(1024));
    for (const char* half : {"attn_k", "attn_v"})
      out.floats(at + half + ".weight", {16, 32}, filled(512));
  }
  return out;
}

/// Everything that loading does.
void load(const fs::path& path) {
  const ModelFiles files(path);
  const arch::ModelPlan plan = parse_model_plan(files.texts().get("config.json"));
  const TensorStore store(files);
  for (const arch::Linear& linear : plan.linears) load_linear(store, linear, WeightFormat::int8);
  load_enclave_tensors(store, plan);
  const EmbeddingTable table(store, plan);
  Tokenizer::load(files.texts()).encode("ab ab", true);
}

/// Loads, or says in one line that the model is at fault.
void load_or_refuse(const fs::path& path) {
  try {
    load(path);
  } catch (const Error& error) {
    BOOST_TEST(to_string(error.code()) == std::string(to_string(Errc::model)));
    BOOST_TEST(std::string(error.what()).find('\n') == std::string::npos);
  }
}

} // namespace

BOOST_DATA_TEST_CASE(every_tensor_has_the_reference_values, bdata::make(kFiles), name) {
  const json reference = read_json(tests::kReferences / "gguf" / name / "tensors.json");
  for (const GgufFile& file : {GgufFile::open(file_of(name)), GgufFile::sealed(file_of(name))}) {
    BOOST_TEST(file.header().tensors.size() == reference.size());
    for (const GgufTensor& tensor : file.header().tensors) {
      const json& expected = reference.at(tensor.name);
      BOOST_TEST(tensor.type->name == expected.at("type").get<std::string>());
      BOOST_TEST(tensor.shape == expected.at("shape").get<std::vector<std::size_t>>(),
                 boost::test_tools::per_element());
      BOOST_TEST(sha256_of(file.view(tensor)) == expected.at("sha256_float32").get<std::string>(),
                 tensor.name);
    }
  }
}

// F16 holds the bf16 weights of the folder but for steps below 2^-24.
BOOST_AUTO_TEST_CASE(tensors_of_a_file_are_those_of_the_folder_it_was_made_of) {
  const TensorStore folder(tests::model_folder("llama3"));
  const GgufModel file(file_of("llama3-f16"));
  BOOST_TEST(file.tensors().size() > 10U);
  for (const auto& [name, tensor] : file.tensors()) {
    const TensorView& expected = folder.get(name, tensor.shape);
    std::vector<float> ours(tensor.elements());
    std::vector<float> theirs(tensor.elements());
    tensor.read(0, ours);
    expected.read(0, theirs);
    float worst = 0;
    for (std::size_t i = 0; i < ours.size(); ++i)
      worst = std::max(worst, std::abs(ours[i] - theirs[i]));
    BOOST_TEST(worst <= 0x1p-25f, name << " differs by " << worst);
  }
}

BOOST_AUTO_TEST_CASE(a_part_of_a_tensor_is_that_part) {
  const GgufModel file(file_of("wide-q4_k_m"));
  auto rng = ChaChaRng::from_system();
  for (const char* name : {"model.layers.0.self_attn.q_proj.weight",
                           "model.layers.0.self_attn.v_proj.weight", "model.embed_tokens.weight"}) {
    const TensorView& tensor = file.tensors().at(name);
    std::vector<float> whole(tensor.elements());
    tensor.read(0, whole);
    TensorReader reader(tensor);
    for (int i = 0; i < 50; ++i) {
      const std::size_t begin = rng.below(whole.size());
      std::vector<float> part(rng.below(std::min<u64>(whole.size() - begin, 1000)) + 1);
      reader.read(begin, part);
      BOOST_TEST(
          std::equal(part.begin(), part.end(), whole.begin() + static_cast<std::ptrdiff_t>(begin)));
    }
  }
}

// Values computed by hand from ggml's block formats.
BOOST_AUTO_TEST_CASE(blocks_of_the_older_and_rarer_types) {
  const auto decode = [](u32 id, const std::string& block) {
    const GgufType& type = *find_gguf_type(id);
    BOOST_TEST(block.size() == type.bytes);
    std::vector<float> out(type.values);
    type.decode(bytes_of(block).data(), 1, out.data());
    return out;
  };
  const std::string one = GgufWriter::raw<u16>(0x3c00);
  const std::string two = GgufWriter::raw<u16>(0x4000);
  const std::string nibbles = std::string(1, '\x3f') + std::string(15, '\0');
  auto x = decode(3, two + one + nibbles); // Q4_1: 2 q + 1
  BOOST_TEST((x[0] == 31 && x[1] == 1 && x[16] == 7));
  const std::string fifth = GgufWriter::raw<u32>(0x00010001); // of values 0 and 16
  x = decode(6, two + fifth + nibbles);                       // Q5_0: 2 (q - 16)
  BOOST_TEST((x[0] == 30 && x[1] == -32 && x[16] == 6));
  x = decode(7, two + one + fifth + nibbles); // Q5_1: 2 q + 1
  BOOST_TEST((x[0] == 63 && x[1] == 1 && x[16] == 39));
  // Q5_K: group 0 has scale 3 and minimum 1, group 4 scale 0x21 and minimum 0x12
  std::string scales(12, '\0');
  scales[0] = '\x83'; // low six bits: 3; upper two: those of group 4's scale
  scales[4] = '\x41';
  scales[8] = '\x21';
  std::string bits(32, '\0');
  bits[0] = '\x11'; // fifth bit of value 0 in groups 0 and 4
  std::string low(128, '\0');
  low[0] = '\x02';
  low[64] = '\x04';
  x = decode(13, one + two + scales + bits + low);
  BOOST_TEST((x[0] == 3 * 18 - 2 && x[1] == -2));
  BOOST_TEST((x[128] == 0x21 * 20 - 2 * 0x12 && x[129] == -2 * 0x12));
  x = decode(39, std::string(1, '\x80') + std::string(1, '\x9f') + std::string(15, '\0'));
  BOOST_TEST((x[0] == -12 && x[16] == -1 && x[1] == 0)); // MXFP4: 2 times -6, -0.5
}

BOOST_AUTO_TEST_CASE(every_shortened_file_is_refused) {
  const TemporaryFolder folder;
  const GgufWriter model = small_model();
  const std::string file = model.file();
  const std::string head = model.header();
  load(folder.write("whole.gguf", file));
  for (std::size_t length = 0; length < file.size(); length += length < head.size() ? 1 : 997)
    check_error([&] { parse_gguf_header(bytes_of(file).first(length), "short.gguf"); }, Errc::model,
                {"short.gguf"});
}

BOOST_DATA_TEST_CASE(shortened_real_files_are_refused, bdata::make(kFiles), name) {
  std::ifstream in(file_of(name), std::ios::binary);
  const std::string file(std::istreambuf_iterator<char>(in), {});
  for (std::size_t length = 0; length < file.size(); length += 7919)
    check_error([&] { parse_gguf_header(bytes_of(file).first(length), "short.gguf"); }, Errc::model,
                {"short.gguf"});
}

BOOST_AUTO_TEST_CASE(random_damage_is_refused_or_loads) {
  const TemporaryFolder folder;
  auto rng = ChaChaRng::from_system();
  const std::string whole = small_model(8).file();
  const std::size_t head = small_model(8).header().size();
  for (int i = 0; i < 800; ++i) {
    std::string file = whole;
    for (u64 j = rng.below(3) + 1; j > 0; --j) {
      const u64 kind = rng.below(3);
      char& byte = file[rng.below(head)];
      byte = kind == 0 ? static_cast<char>(rng.below(256))
                       : static_cast<char>(byte ^ (1 << rng.below(8)));
      if (kind == 2) file[rng.below(head)] = '\xff';
    }
    load_or_refuse(folder.write("damaged.gguf", file));
  }
}

BOOST_AUTO_TEST_CASE(the_end_of_a_message_ends_an_answer_but_in_harmony) {
  const auto ends = [](const std::vector<std::string>& tokens) {
    GgufWriter file;
    file.strings("tokenizer.ggml.tokens", tokens);
    file.list<i32>("tokenizer.ggml.token_type", GgufWriter::kI32,
                   std::vector<i32>(tokens.size(), 3));
    file.integer("tokenizer.ggml.eos_token_id", 0).integer("tokenizer.ggml.eot_token_id", 1);
    const std::string bytes = file.file();
    const GgufHeader header = parse_gguf_header(bytes_of(bytes), "ends.gguf");
    auto out = gguf_ends(GgufFields(header.metadata, "ends.gguf"));
    std::sort(out.begin(), out.end());
    return out;
  };
  using Ids = std::vector<u32>;
  BOOST_TEST((ends({"<|endoftext|>", "<|end|>", "<|user|>"}) == Ids{0, 1}));
  BOOST_TEST((ends({"<|return|>", "<|end|>", "<|call|>", "<|endoftext|>"}) == Ids{0, 2, 3}));
}

BOOST_AUTO_TEST_CASE(hostile_headers_are_refused_by_name) {
  const auto refused = [](const std::string& file, const std::vector<std::string>& parts) {
    check_error([&] { parse_gguf_header(bytes_of(file), "x.gguf"); }, Errc::model, parts);
  };
  using W = GgufWriter;
  refused("GGML" + std::string(40, '\0'), {"x.gguf", "not a GGUF file"});
  refused("GGUF" + W::raw<u32>(1) + std::string(40, '\0'), {"version 1"});
  refused("GGUF" + W::raw<u32>(0x03000000) + std::string(40, '\0'), {"big-endian"});
  refused("GGUF" + W::raw<u32>(3) + W::raw<u64>(~u64{0}) + W::raw<u64>(0), {"number of tensors"});
  refused("GGUF" + W::raw<u32>(3) + W::raw<u64>(0) + W::raw<u64>(1u << 30), {"metadata keys"});
  refused(W().integer("a", 1).integer("a", 2).file(), {"key a", "twice"});
  refused(W().key("a", 77, "").file() + std::string(64, '\0'), {"key a", "type 77"});
  refused(W().key("a", W::kBool, "\2").file(), {"key a", "boolean"});
  refused(W().key("a", W::kString, W::raw(~u64{0})).file(), {"key a"});
  refused(W().key("a", W::kArray, W::raw<u32>(0) + W::raw(~u64{0})).file(), {"key a"});
  refused(W().integer("general.alignment", 0).file(), {"general.alignment"});
  refused(W().integer("general.alignment", 48).file(), {"general.alignment"});
  refused(W().tensor("t", {32}, 10, "").file(), {"tensor t", "Q2_K", "Q4_K"});
  refused(W().tensor("t", {32}, 4711, "").file(), {"tensor t", "4711"});
  refused(W().tensor("t", {33}, 8, std::string(68, 'x')).file(), {"tensor t", "Q8_0"});
  refused(W().tensor("t", {u64{1} << 40, u64{1} << 40}, 0, "").file(), {"tensor t"});
  refused(W().tensor("t", {0}, 0, "").file(), {"tensor t"});
  refused(W().tensor("t", {1, 1, 1, 1, 1}, 0, "abcd").file(), {"tensor t", "5 dimensions"});
  refused(W().tensor("t", {4096}, 0, "abcd").file(), {"tensor t", "complete"});
  refused(W().tensor("t", {1}, 0, "abcd").tensor("t", {1}, 0, "abcd").file(), {"t", "twice"});
  refused(W().tensor("s", {32}, 0, "abcd").tensor("t", {1}, 0, std::string(128, 'x')).file(),
          {"s", "t", "overlap"});
}

BOOST_AUTO_TEST_CASE(arrays_may_hold_arrays_up_to_a_depth) {
  using W = GgufWriter;
  const std::string numbers =
      W::raw<u32>(W::kU32) + W::raw<u64>(2) + W::raw<u32>(7) + W::raw<u32>(8);
  std::string nested = numbers;
  const auto wrap = [&nested] { nested = W::raw<u32>(W::kArray) + W::raw<u64>(1) + nested; };
  wrap();
  const GgufHeader header =
      parse_gguf_header(bytes_of(W().key("a", W::kArray, nested).file()), "x");
  const auto& outer = std::get<GgufValue::List>(header.metadata.at("a").is);
  const auto& inner = std::get<GgufValue::List>(outer.at(0).is);
  BOOST_TEST(std::get<u64>(inner.at(1).is) == 8U);
  for (int i = 0; i < 10000; ++i) wrap();
  const std::string deep = W().key("a", W::kArray, nested).file();
  check_error([&] { parse_gguf_header(bytes_of(deep), "x"); }, Errc::model, {"nested too deeply"});
}

BOOST_AUTO_TEST_CASE(metadata_that_make_another_model_are_refused_by_key) {
  const TemporaryFolder folder;
  const auto refused = [&](GgufWriter model, const std::vector<std::string>& parts) {
    const fs::path path = folder.write("model.gguf", model.file());
    check_error([&] { load(path); }, Errc::model, parts);
  };
  refused(GgufWriter().string("general.architecture", "rwkv7"), {"general.architecture", "rwkv7"});
  refused(small_model().integer("llama.expert_count", 8), {"llama.expert_used_count"});
  refused(small_model().string("llama.rope.scaling.type", "longrope"), {"llama.rope.scaling.type"});
  refused(small_model().integer("llama.rope.dimension_count", 4), {"llama.rope.dimension_count"});
  refused(small_model().floats("blk.0.attn_sinks.weight", {4}, {1, 2, 3, 4}), {"blk.0.attn_sinks"});
  refused(small_model().floats("rope_freqs.weight", {4}, {1, NAN, 1, 1}), {"short_factor"});
  refused(small_model().integer("split.count", 2), {"split.count"});
  GgufWriter other;
  other.string("tokenizer.ggml.model", "t5").strings("tokenizer.ggml.tokens", {"a"});
  const GgufHeader header = parse_gguf_header(bytes_of(other.file()), "t5.gguf");
  check_error([&] { gguf_tokenizer(GgufFields(header.metadata, "t5.gguf")); }, Errc::model,
              {"tokenizer.ggml.model", "t5"});
  GgufWriter unknown;
  unknown.string("tokenizer.ggml.model", "gpt2").string("tokenizer.ggml.pre", "viking");
  unknown.strings("tokenizer.ggml.tokens", {"a"});
  const GgufHeader named = parse_gguf_header(bytes_of(unknown.file()), "v.gguf");
  check_error([&] { gguf_tokenizer(GgufFields(named.metadata, "v.gguf")); }, Errc::model,
              {"tokenizer.ggml.pre", "viking"});
}

BOOST_AUTO_TEST_CASE(a_pinned_file_is_that_file) {
  const TemporaryFolder folder;
  const std::string bytes = small_model().file();
  const fs::path path = folder.write("model.gguf", bytes);
  const Sha256Digest root = ModelFiles(path).root();
  const std::string line = "talaria model 1\n" + to_hex(sha256(bytes_of(bytes))) + " " +
                           std::to_string(bytes.size()) + " model.gguf\n";
  BOOST_TEST(to_hex(root) == to_hex(sha256(bytes_of(line))));
  BOOST_CHECK_NO_THROW(ModelFiles(path, root));
  for (const std::size_t at : {std::size_t{3}, bytes.size() / 2, bytes.size() - 1}) {
    std::string changed = bytes;
    changed[at] ^= 1;
    folder.write("model.gguf", changed);
    check_error([&] { ModelFiles(path, root); }, Errc::model, {"model_sha256"});
  }
}

// What was hashed is what is used, or an error.
BOOST_AUTO_TEST_CASE(a_file_that_changes_after_it_was_read_is_refused) {
  const TemporaryFolder folder;
  std::string bytes = small_model().file();
  const fs::path path = folder.write("model.gguf", bytes);
  const ModelFiles files(path);
  const arch::ModelPlan plan = parse_model_plan(files.texts().get("config.json"));
  bytes.back() ^= 1;
  std::fstream(path, std::ios::in | std::ios::out | std::ios::binary)
      .seekp(static_cast<std::streamoff>(bytes.size() - 1))
      .put(bytes.back());
  const TensorStore store(files);
  check_error([&] { load_linear(store, plan.linears.of(1, LinearKind::down), WeightFormat::int8); },
              Errc::model, {"was changed"});
}

BOOST_AUTO_TEST_CASE(a_split_model_is_one_model) {
  const TemporaryFolder folder;
  GgufWriter second;
  second.integer("split.no", 1).integer("split.count", 2);
  second.floats("blk.0.attn_q.bias", {32}, std::vector<float>(32, 1));
  second.floats("blk.0.attn_k.bias", {16}, std::vector<float>(16, 1));
  second.floats("blk.0.attn_v.bias", {16}, std::vector<float>(16, 1));
  const auto first = [](u32 count, u32 number) {
    return small_model().integer("split.no", number).integer("split.count", count).file();
  };
  const fs::path path = folder.write("m-00001-of-00002.gguf", first(2, 0));
  check_error([&] { ModelFiles files(path); }, Errc::model, {"m-00002-of-00002.gguf"});
  const fs::path other = folder.write("m-00002-of-00002.gguf", second.file());
  const ModelFiles files(path);
  BOOST_TEST(files.entries().size() == 2U);
  BOOST_TEST(TensorStore(files).contains("model.layers.0.self_attn.q_proj.bias"));
  BOOST_TEST(TensorStore(path).contains("model.layers.0.self_attn.q_proj.bias"));
  check_error([&] { ModelFiles part(other); }, Errc::model, {"give the first part"});
  folder.write("m-00001-of-00002.gguf", first(3, 0));
  check_error([&] { ModelFiles part(path); }, Errc::model, {"split.count"});
  folder.write("m-00001-of-00002.gguf", first(2, 1));
  check_error([&] { ModelFiles part(path); }, Errc::model, {"split.no"});
}

BOOST_DATA_TEST_CASE(the_tokenizer_is_that_of_the_folder, bdata::make(kFiles), name) {
  const fs::path folder = tests::model_folder("llama3");
  const Tokenizer expected = Tokenizer::load(folder);
  const Tokenizer ours = Tokenizer::load(file_of(name));
  BOOST_TEST(ours.vocab_size() == expected.vocab_size());
  for (u32 id = 0; id < expected.vocab_size(); ++id) {
    BOOST_TEST_REQUIRE(ours.token(id) == expected.token(id));
    BOOST_TEST_REQUIRE(ours.is_special(id) == expected.is_special(id));
  }
  std::ifstream in(tests::kReferences / "heldout.txt", std::ios::binary);
  std::vector<std::string> texts{"",
                                 " ",
                                 "  a\r\n\n b",
                                 "I'LL we'Ve 12345 x٣٤",
                                 "e\u0301 \u00e9 \u4f60",
                                 "a<|eot_id|>b <|begin_of_text|>"};
  for (std::string line; std::getline(in, line) && texts.size() < 500;) texts.push_back(line);
  for (const std::string& text : texts)
    for (const bool special : {false, true}) {
      const auto ids = ours.encode(text, special);
      BOOST_TEST_REQUIRE(ids == expected.encode(text, special), text);
      BOOST_TEST_REQUIRE(ours.decode(ids, false) == expected.decode(ids, false));
    }
  const auto chat = ChatTemplate::load(file_of(name));
  const auto folder_chat = ChatTemplate::load(folder);
  BOOST_TEST_REQUIRE((chat && folder_chat));
  const std::vector<ChatMessage> messages{{"system", "Be brief."}, {"user", "Who are you?"}};
  BOOST_TEST(chat->render(messages, true) == folder_chat->render(messages, true));
}

// SentencePiece: pieces are put together by score, unknown characters become bytes.
BOOST_AUTO_TEST_CASE(a_sentence_piece_tokenizer_merges_by_score) {
  GgufWriter file;
  std::vector<std::string> tokens{"<unk>", "<s>", "</s>"};
  std::vector<i32> types{2, 3, 3};
  std::vector<float> scores{0, 0, 0};
  for (int byte = 0; byte < 256; ++byte) {
    std::array<char, 8> text{};
    std::snprintf(text.data(), text.size(), "<0x%02X>", static_cast<unsigned>(byte));
    tokens.emplace_back(text.data());
    types.push_back(6);
    scores.push_back(0);
  }
  const std::string blank = "\xe2\x96\x81";
  const u32 first = static_cast<u32>(tokens.size());
  const std::vector<std::pair<std::string, float>> pieces{
      {blank, -10}, {"a", -11}, {"b", -12}, {"c", -13}, {"bc", -1}, {"ab", -2}, {blank + "a", -3}};
  for (const auto& [piece, score] : pieces) {
    tokens.push_back(piece);
    types.push_back(1);
    scores.push_back(score);
  }
  file.string("tokenizer.ggml.model", "llama").strings("tokenizer.ggml.tokens", tokens);
  file.list<i32>("tokenizer.ggml.token_type", GgufWriter::kI32, types);
  file.list<float>("tokenizer.ggml.scores", GgufWriter::kF32, scores);
  file.integer("tokenizer.ggml.bos_token_id", 1).integer("tokenizer.ggml.eos_token_id", 2);
  const GgufHeader header = parse_gguf_header(bytes_of(file.file()), "sp.gguf");
  const GgufTokenizer texts = gguf_tokenizer(GgufFields(header.metadata, "sp.gguf"));
  const Tokenizer tokenizer = Tokenizer::parse(texts.tokenizer, "sp.gguf");
  // "bc" (-1) is made before "ab" (-2), then "_a" (-3).
  const std::vector<u32> expected{1, first + 6, first + 4};
  BOOST_TEST(tokenizer.encode("abc", true) == expected, boost::test_tools::per_element());
  const std::vector<u32> with_byte{first, 3 + u32{'d'}, first + 5};
  BOOST_TEST(tokenizer.encode("dab", false) == with_byte, boost::test_tools::per_element());
  BOOST_TEST(tokenizer.decode(tokenizer.encode("abc dab", true), true) == "abc dab");
}

// Gemma 4: pieces of SentencePiece, which merges put together in their order.
BOOST_AUTO_TEST_CASE(a_tokenizer_of_gemma4_merges_pieces) {
  const std::string blank = "\xe2\x96\x81";
  const std::vector<std::string> tokens{"<unk>",  "<bos>", "<eos>", blank,        "a",
                                        "b",      "c",     "ab",    blank + "ab", "abc",
                                        "<turn>", "\n",    "\n\n",  "<0xC3>",     "<0xBC>"};
  const std::vector<i32> types{2, 3, 3, 1, 1, 1, 1, 1, 1, 1, 4, 1, 1, 6, 6};
  GgufWriter file;
  file.string("tokenizer.ggml.model", "gemma4").strings("tokenizer.ggml.tokens", tokens);
  file.list<i32>("tokenizer.ggml.token_type", GgufWriter::kI32, types);
  file.strings("tokenizer.ggml.merges", {"a b", blank + " ab", "ab c", "\n \n"});
  file.integer("tokenizer.ggml.bos_token_id", 1).integer("tokenizer.ggml.eos_token_id", 2);
  file.boolean("tokenizer.ggml.add_space_prefix", false);
  const GgufHeader header = parse_gguf_header(bytes_of(file.file()), "gemma.gguf");
  const GgufTokenizer texts = gguf_tokenizer(GgufFields(header.metadata, "gemma.gguf"));
  const Tokenizer tokenizer = Tokenizer::parse(texts.tokenizer, "gemma.gguf");
  const std::vector<u32> expected{1, 9, 8, 6, 3, 3, 12, 13, 14, 10};
  const std::string text = "abc abc  \n\n\xc3\xbc<turn>";
  BOOST_TEST(tokenizer.encode(text, true) == expected, boost::test_tools::per_element());
  BOOST_TEST(tokenizer.decode(expected, true) == text);
}

// The kinds of DeepSeek differ in what they take numbers and marks for.
BOOST_AUTO_TEST_CASE(pre_tokenizers_of_deepseek_cut_by_their_names) {
  const auto ids = [](const char* name) {
    GgufWriter file;
    // Bytes 0x20 and 0x0a are shown as U+0120 and U+010A.
    const std::string blank = "\xc4\xa0";
    file.string("tokenizer.ggml.model", "gpt2").string("tokenizer.ggml.pre", name);
    file.strings("tokenizer.ggml.tokens",
                 {"1", "2", "12", "122", "1221", "a", "!", "!a", blank, blank + "a", "\xc4\x8a"});
    file.strings("tokenizer.ggml.merges", {"1 2", "12 2", "122 1", "! a", blank + " a"});
    const GgufHeader header = parse_gguf_header(bytes_of(file.file()), "d.gguf");
    const GgufTokenizer texts = gguf_tokenizer(GgufFields(header.metadata, "d.gguf"));
    return Tokenizer::parse(texts.tokenizer, "d.gguf").encode("1221 a!a\n", false);
  };
  const std::vector<u32> all{4, 9, 6, 5, 10};
  const std::vector<u32> single{0, 1, 1, 0, 9, 6, 5, 10};
  const std::vector<u32> threes{3, 0, 9, 7, 10};
  BOOST_TEST(ids("deepseek-llm") == all, boost::test_tools::per_element());
  BOOST_TEST(ids("deepseek-coder") == single, boost::test_tools::per_element());
  BOOST_TEST(ids("deepseek-v3") == threes, boost::test_tools::per_element());
}

/// What llama.cpp's converter writes of embedding models, in the words of sentence-transformers.
BOOST_AUTO_TEST_CASE(the_pooling_of_a_file_is_the_one_that_counts) {
  const auto pooling_of = [](const GgufWriter& model) {
    const TemporaryFolder folder;
    const GgufModel read(folder.write("model.gguf", model.file()));
    const TextFiles texts = read.texts();
    return pooling_for(Task::embed, texts, parse_model_plan(texts.get("config.json")));
  };
  const auto with = [&](u32 type) {
    return pooling_of(small_model().integer("llama.pooling_type", type));
  };
  BOOST_TEST((pooling_of(small_model())->kind == PoolingKind::last));
  BOOST_TEST((with(0)->kind == PoolingKind::last));
  BOOST_TEST((with(1)->kind == PoolingKind::mean));
  BOOST_TEST((with(3)->kind == PoolingKind::last));
  BOOST_TEST(with(1)->normalise);
  for (const auto& [type, word] : {std::pair{2U, "pooling_mode"}, std::pair{4U, "pooling_mode"},
                                   std::pair{5U, "pooling_type"}})
    check_error([&] { with(type); }, Errc::model, {word});
}

BOOST_AUTO_TEST_SUITE_END()
