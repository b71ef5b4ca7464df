#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <string>
#include <vector>

#include "tests/settings/config_fixture.hpp"

using namespace talaria;
using tests::ConfigFolder;
using tests::kFullPipeline;

namespace {

/// A mistake put into the full file in place of `text`, and the line it must cause.
struct Mistake {
  const char* text;
  const char* replacement;
  const char* complaint;
};

const Mistake kMistakes[] = {
    // keys
    {"scheme: hybrid", "shceme: hybrid",
     "F:4:3: masking.shceme: unknown key; did you mean 'scheme'?"},
    {"reply: switched", "colour: blue",
     "F:7:3: masking.colour: unknown key; expected scheme, parameters, weights, reply, integrity, "
     "pool, hybrid or padding"},
    {"serve: {", "served: {", "F:21:1: served: unknown key; did you mean 'serve'?"},
    {"integrity: none", "scheme: clear",
     "F:10:3: masking.scheme: repeated; expected once, and it stands in line 4 already"},
    {"micro_batches: 4, ", "micro_batches: 4, micro_batches: 4, ",
     "F:11:31: pipeline.micro_batches: repeated; expected once, and it stands in line 11 already"},
    {"integrity: none", "? [a, b]\n  : none",
     "F:10:5: masking: a list as a key; expected scheme, parameters, weights, reply, integrity, "
     "pool, hybrid or padding"},
    {"model: model\n", "", "F:1:1: model: missing; it is required"},
    {"name: gpu-b, ", "", "F:14:5: workers[1].name: missing; it is required"},
    {"ca: certs/ca.pem, ", "", "F:20:1: tls.ca: missing; it is required"},
    // types
    {"scheme: hybrid", "scheme: [hybrid]",
     "F:4:3: masking.scheme: is a list; expected lattice, hybrid or clear"},
    {"scheme: hybrid",
     "scheme:", "F:4:3: masking.scheme: is nothing; expected lattice, hybrid or clear"},
    {"rows_ahead: 4096", "rows_ahead: {a: 1}",
     "F:8:11: masking.pool.rows_ahead: is a mapping; expected a whole number from 0 to 1048576"},
    {"rows_ahead: 4096", "rows_ahead: '4096'",
     "F:8:23: masking.pool.rows_ahead: is '4096'; expected a whole number from 0 to 1048576, "
     "without "
     "quotes"},
    {"{ rank_ratio: 0.25 }", "0.25",
     "F:9:11: masking.hybrid: is '0.25'; expected a mapping with rank_ratio"},
    {"{ listen: 127.0.0.1:8000 }", "~",
     "F:21:1: serve: is nothing; expected a mapping with listen, tls, attestation, receipts, "
     "insecure, allow_special, hosts, origins, keys, model_name, lora_modules, per_client, stream "
     "or "
     "limits"},
    // values
    {"S46", "S47", "F:5:15: masking.parameters: is 'S47'; expected S48, S46, S40, S54, R48 or R43"},
    {"int16", "int4", "F:6:12: masking.weights: is 'int4'; expected int8 or int16"},
    {"switched", "short", "F:7:10: masking.reply: is 'short'; expected full or switched"},
    {"none", "hope", "F:10:14: masking.integrity: is 'hope'; expected freivalds or none"},
    {"4096", "1048577",
     "F:8:23: masking.pool.rows_ahead: is '1048577'; expected a whole number from 0 to 1048576"},
    {"2GiB", "2GB",
     "F:8:37: masking.pool.memory: is '2GB'; expected auto, or bytes, like 2GiB, 512MiB, 64KiB or "
     "1000000"},
    {"threads: 3", "threads: 65",
     "F:8:52: masking.pool.threads: is '65'; expected a whole number from 0 to 64"},
    {"0.25", "0",
     "F:9:25: masking.hybrid.rank_ratio: is '0'; expected a number above 0 and up to 1"},
    {"0.25", "1.5",
     "F:9:25: masking.hybrid.rank_ratio: is '1.5'; expected a number above 0 and up to 1"},
    {"0.25", "nan",
     "F:9:25: masking.hybrid.rank_ratio: is 'nan'; expected a number above 0 and up to 1"},
    {"micro_batches: 4", "micro_batches: 0",
     "F:11:28: pipeline.micro_batches: is '0'; expected a whole number from 1 to 64"},
    {"max_rows: 512", "max_rows: 65537",
     "F:11:41: pipeline.max_rows: is '65537'; expected a whole number from 1 to 65536"},
    {"prefill_chunk: 64", "prefill_chunk: 6.4",
     "F:11:61: pipeline.prefill_chunk: is '6.4'; expected a whole number from 1 to 65536"},
    {"threads: 8", "threads: -1",
     "F:11:74: pipeline.threads: is '-1'; expected a whole number from 0 to 1024"},
    {"cores: \"0-3,8\"", "cores: 3-1",
     "F:11:84: pipeline.cores: is '3-1'; expected processors like 0-3,8"},
    {"listen: 127.0.0.1:8000", "listen: 8000",
     "F:21:18: serve.listen: is '8000'; expected HOST:PORT or unix:/PATH"},
    {"127.0.0.1:9400", "127.0.0.256:9400",
     "F:22:23: telemetry.metrics: is '127.0.0.256:9400'; expected HOST:PORT"},
    // workers
    {"gpu-a", "gpu a",
     "F:13:13: workers[0].name: is 'gpu a'; expected 1 to 64 letters, digits, '-', '_' and '.'"},
    {"name: gpu-b", "name: gpu-a",
     "F:14:13: workers[1].name: 'gpu-a' is the name of the worker in line 13 already; expected a "
     "name "
     "of its own"},
    {"10.0.0.5:7600", "10.0.0.5",
     "F:13:29: workers[0].address: is '10.0.0.5'; expected HOST:PORT with a port from 1 to 65535"},
    {"10.0.0.5:7600", "10.0.0.5:0",
     "F:13:29: workers[0].address: is '10.0.0.5:0'; expected HOST:PORT with a port from 1 to "
     "65535"},
    {"10.0.0.5:7600", "10.0.0.5:65536",
     "F:13:29: workers[0].address: is '10.0.0.5:65536'; expected HOST:PORT with a port from 1 to "
     "65535"},
    {"[fd00::6]:7601", "fd00::6:7601",
     "F:14:29: workers[1].address: is 'fd00::6:7601'; expected HOST:PORT with a port from 1 to "
     "65535"},
    {"cuda:0", "gpu",
     "F:13:52: workers[0].device: is 'gpu'; expected cpu, auto, cuda or cuda:N,N..."},
    {"cuda:0", "'cuda:1,256'",
     "F:13:52: workers[0].device: is 'cuda:1,256'; expected cpu, auto, cuda or cuda:N,N..."},
    {"cuda:0", "'cuda:0,'",
     "F:13:52: workers[0].device: is 'cuda:0,'; expected cpu, auto, cuda or cuda:N,N..."},
    {"0-15", "15-0",
     "F:13:68: workers[0].layers: is '15-0'; expected A-B with A <= B <= 65535, one number, or "
     "all"},
    {"0-15", "0-",
     "F:13:68: workers[0].layers: is '0-'; expected A-B with A <= B <= 65535, one "
     "number, or all"},
    {"role: replica", "role: backup",
     "F:19:11: workers[2].role: is 'backup'; expected primary or replica"},
    {"16-31", "10-31",
     "F:14:71: workers[1].layers: 10-31 overlaps the layers 0-15 of 'gpu-a' in line 13; expected "
     "each "
     "layer on one primary worker"},
    {"0-15", "0-20",
     "F:14:71: workers[1].layers: 16-31 overlaps the layers 0-20 of 'gpu-a' in line 13; expected "
     "each "
     "layer on one primary worker"},
    {"0-15", "0-100",
     "F:14:71: workers[1].layers: 16-31 overlaps the layers 0-100 of 'gpu-a' in line 13; expected "
     "each layer on one primary worker"},
    {"16-31", "18-31",
     "F:14:71: workers[1].layers: starts at layer 18; expected a primary worker for 16-17 too"},
    {"0-15", "1-15",
     "F:13:68: workers[0].layers: starts at layer 1; expected a primary worker for 0 too"},
    {"tls: { ca: certs/ca.pem, cert: certs/enclave.pem, key: certs/enclave.key }\n", "",
     "F:12:1: workers: no tls; expected tls: { ca, cert, key } with workers"},
};

std::string with(std::string_view text, std::string_view replacement) {
  std::string yaml(kFullPipeline);
  const std::size_t at = yaml.find(text);
  BOOST_TEST_REQUIRE(at != std::string::npos, "the full file lacks '" << text << "'");
  return yaml.replace(at, text.size(), replacement);
}

} // namespace

BOOST_FIXTURE_TEST_SUITE(config_mistakes, ConfigFolder)

BOOST_AUTO_TEST_CASE(a_mistake_is_named_with_its_place) {
  for (const Mistake& mistake : kMistakes)
    BOOST_TEST(complaint(with(mistake.text, mistake.replacement)) == mistake.complaint);
}

BOOST_AUTO_TEST_CASE(the_full_file_itself_has_no_mistake) {
  BOOST_TEST(complaint(kFullPipeline) == "");
}

BOOST_AUTO_TEST_CASE(missing_files_are_named_where_they_stand) {
  const std::string model = complaint(with("model: model", "model: modle"));
  BOOST_TEST(model.starts_with("F:2:8: model: '"), model);
  BOOST_TEST(model.ends_with("/modle' is not there; expected a model folder or a GGUF file"),
             model);
  const std::string certificate = complaint(with("certs/ca.pem", "certs/nobody.pem"));
  BOOST_TEST(certificate.starts_with("F:20:12: tls.ca: '"), certificate);
  BOOST_TEST(
      certificate.ends_with("cannot be read; expected a PEM file (talaria certs init makes them)"));
  const std::string folder = complaint(with("certs/enclave.key", "certs"));
  BOOST_TEST(folder.starts_with("F:20:56: tls.key: '"), folder);
  const std::string trace = complaint(with("traces/", "certs/ca.pem"));
  BOOST_TEST(trace.starts_with("F:22:46: telemetry.trace: '"), trace);
}

BOOST_AUTO_TEST_CASE(a_key_is_in_a_file_or_made_at_the_start) {
  const std::string files = ", cert: certs/enclave.pem, key: certs/enclave.key }";
  BOOST_TEST(complaint(with(files, ", identity: ephemeral }")) == "");
  const std::string none = complaint(with(files, " }"));
  BOOST_TEST(none == "F:20:1: tls.cert: missing; it is required unless identity: ephemeral\n"
                     "F:20:1: tls.key: missing; it is required unless identity: ephemeral");
  const std::string both =
      complaint(with(files, ", identity: ephemeral, key: certs/enclave.key }"));
  BOOST_TEST(both == "F:20:1: tls.key: has no place beside identity: ephemeral, which makes one at "
                     "each start");
}

BOOST_AUTO_TEST_CASE(all_mistakes_are_reported_together_in_the_order_of_the_file) {
  BOOST_TEST(
      complaint("telemetry: { metrics: nowhere }\n"
                "pipeline: { max_row: 1, threads: many }\n"
                "masking: { scheme: none }\n"
                "workers:\n"
                "  - { name: a, address: a:1, layers: 0-3 }\n"
                "  - { name: b, address: b, layers: 3-5, colour: red }\n"
                "  - { name: c, address: c:1, layers: 7 }\n") ==
      "F:1:1: model: missing; it is required\n"
      "F:1:23: telemetry.metrics: is 'nowhere'; expected HOST:PORT\n"
      "F:2:13: pipeline.max_row: unknown key; did you mean 'max_rows'?\n"
      "F:2:34: pipeline.threads: is 'many'; expected a whole number from 0 to 1024\n"
      "F:3:20: masking.scheme: is 'none'; expected lattice, hybrid or clear\n"
      "F:4:1: workers: no tls; expected tls: { ca, cert, key } with workers\n"
      "F:6:25: workers[1].address: is 'b'; expected HOST:PORT with a port from 1 to 65535\n"
      "F:6:36: workers[1].layers: 3-5 overlaps the layers 0-3 of 'a' in line 5; expected each "
      "layer on one primary worker\n"
      "F:6:41: workers[1].colour: unknown key; expected name, address, device, layers, columns, "
      "role, addresses, threads, cores, tls_name, start, ssh, program, model, cert, key, ca, "
      "require_attestation, seen_collateral, fetch_collateral or seal_secret\n"
      "F:7:38: workers[2].layers: starts at layer 7; expected a primary worker for 6 too");
}

BOOST_AUTO_TEST_CASE(replicas_alone_are_not_enough) {
  BOOST_TEST(
      complaint("model: model\n"
                "workers: [{ name: a, address: a:1, layers: all, role: replica }]\n"
                "tls: { ca: certs/ca.pem, cert: certs/enclave.pem, key: certs/enclave.key }\n") ==
      "F:2:1: workers: only replicas; expected a primary worker for every layer");
}

BOOST_AUTO_TEST_CASE(a_file_that_is_not_yaml_is_refused_with_the_place) {
  BOOST_TEST(
      complaint("model: model\npipeline: { threads: 1\n").starts_with("F:3:1: not valid YAML: "));
  BOOST_TEST(complaint("model: model\n\tmasking: x\n").starts_with("F:2:"));
  BOOST_TEST(complaint("model: \"model\n").starts_with("F:"));
  BOOST_TEST(complaint("model: *nobody\n").starts_with("F:1:8: not valid YAML: "));
}

BOOST_AUTO_TEST_CASE(a_document_that_is_not_a_mapping_is_refused) {
  const std::string expected = "expected a mapping with model, model_sha256, task, masking, "
                               "enclave, pipeline, workers, tls, serve, chat, telemetry, faults, "
                               "hints or launch";
  BOOST_TEST(complaint("") == "F:1:1: is nothing; " + expected);
  BOOST_TEST(complaint("# only a comment\n") == "F:1:1: is nothing; " + expected);
  BOOST_TEST(complaint("- model\n") == "F:1:1: is a list; " + expected);
  BOOST_TEST(complaint("model\n") == "F:1:1: is 'model'; " + expected);
}

BOOST_AUTO_TEST_CASE(a_second_document_is_refused) {
  BOOST_TEST(complaint("model: model\n---\nmodel: model\n")
                 .ends_with("a second document; expected one document in the file"));
}

BOOST_AUTO_TEST_CASE(aliases_are_refused) {
  BOOST_TEST(complaint("model: &m model\nmasking: { scheme: *m }\n") ==
             "F:2:20: an alias; expected the value itself, written out");
}

BOOST_AUTO_TEST_CASE(what_is_not_text_is_refused_with_the_place) {
  BOOST_TEST(complaint("model: model\nserve: \x04\n") ==
             "F:2:8: a control character; only text is allowed here");
  BOOST_TEST(complaint(std::string_view("model: m\0", 9)) ==
             "F:1:9: a control character; only text is allowed here");
  for (const char* bytes : {"\xFF", "\xC0\xAF", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xE2\x82"})
    BOOST_TEST(complaint(std::string("model: ") + bytes) ==
               "F:1:8: not UTF-8; save the file as UTF-8");
}

BOOST_AUTO_TEST_CASE(oversized_and_deeply_nested_files_are_refused) {
  const std::size_t limit = std::size_t{1} << 20;
  BOOST_TEST(complaint("model: model\n" + std::string(limit, '\n')) ==
             "F:1:1: is larger than 1 MiB; a pipeline file is a page of text");
  BOOST_TEST(complaint("model: model\n" + std::string(limit - 13, '\n')) == "");
  BOOST_TEST(complaint("model: " + std::string(17, '[') + std::string(17, ']')) ==
             "F:1:23: nested more than 16 levels deep");
  BOOST_TEST(complaint("model: " + std::string(4000, '[')).starts_with("F:1:"));
  BOOST_TEST(complaint("model: " + std::string(5000, 'm')) ==
             "F:1:4097: the line is longer than 4096 bytes; break it");
  std::string lines;
  while (lines.size() + 2 < limit) lines += "[\n";
  BOOST_TEST(complaint(lines).starts_with("F:"));
}

BOOST_AUTO_TEST_CASE(a_message_never_holds_more_than_a_hundred_mistakes_or_a_long_value) {
  std::string yaml = "model: model\n";
  for (int i = 0; i < 150; ++i) yaml += "wrong" + std::to_string(i) + ": 1\n";
  const std::string many = complaint(yaml);
  BOOST_TEST(std::count(many.begin(), many.end(), '\n') == 100);
  BOOST_TEST(many.ends_with("\nF: and 50 more problems"));

  std::string longer = "masking: { scheme: ";
  for (int i = 0; i < 500; ++i) longer += "\xC3\xA9";
  const std::string shortened_value = complaint("model: model\n" + longer + "x }\n");
  BOOST_TEST(shortened_value.find("\xC3\xA9...'; expected lattice") != std::string::npos);
  BOOST_TEST(shortened_value.size() < 150u);
  BOOST_TEST(complaint("model: model\nmasking: { scheme: \"a\\nb\\e\" }\n") ==
             "F:2:20: masking.scheme: is 'a?b?'; expected lattice, hybrid or clear");
}

BOOST_AUTO_TEST_SUITE_END()
