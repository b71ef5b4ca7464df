#include "actors/worker/recorder.hpp"

#include <boost/test/unit_test.hpp>

#include <signal.h>
#include <sys/resource.h>

#include <cstring>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "core/error.hpp"
#include "core/random.hpp"
#include "kernels/modulus.hpp"
#include "tests/support/temporary_folder.hpp"

namespace talaria::worker {

namespace {

namespace fs = std::filesystem;

remo::MaskedTensor tensor_of(u32 matrix, remo::ProductKind kind, u32 rows, u32 cols,
                             const std::vector<u8>& bytes) {
  AlignedBuffer<u8> buffer(bytes.size());
  std::copy(bytes.begin(), bytes.end(), buffer.data());
  return {matrix, kind, rows, cols, std::make_shared<const AlignedBuffer<u8>>(std::move(buffer))};
}

std::vector<u8> random_bytes(std::size_t count, Rng& rng) {
  std::vector<u8> bytes(count);
  rng.fill(bytes);
  return bytes;
}

std::string slurp(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::vector<nlohmann::json> lines_of(const fs::path& folder) {
  std::vector<nlohmann::json> lines;
  std::ifstream in(folder / "requests.jsonl");
  for (std::string line; std::getline(in, line);) lines.push_back(nlohmann::json::parse(line));
  return lines;
}

/// What numpy.load makes of a file: the header's literal and the data behind it.
struct Npy {
  std::string header;
  std::string data;
};

Npy read_npy(const fs::path& path) {
  const std::string text = slurp(path);
  BOOST_TEST_REQUIRE(text.size() >= 10);
  BOOST_TEST((text.substr(0, 8) == std::string("\x93NUMPY\x01\x00", 8)));
  const std::size_t length = static_cast<u8>(text[8]) + 256 * std::size_t{static_cast<u8>(text[9])};
  BOOST_TEST((10 + length) % 64 == 0U);
  BOOST_TEST_REQUIRE(text.size() >= 10 + length);
  BOOST_TEST(text[9 + length] == '\n');
  std::string header = text.substr(10, length - 1);
  header.erase(header.find_last_not_of(' ') + 1);
  return {header, text.substr(10 + length)};
}

} // namespace

BOOST_AUTO_TEST_SUITE(recorder)

BOOST_AUTO_TEST_CASE(residues_come_back_widened_and_in_order) {
  const tests::TemporaryFolder folder;
  Recorder recorder(folder.path() / "new" / "record", nullptr);
  auto rng = seeded_rng(1);
  for (const std::size_t width : {5U, 6U, 7U, 8U}) {
    const auto bytes = random_bytes(3 * 7 * width, rng);
    recorder.record(tensor_of(4, remo::ProductKind::residues, 3, 7, bytes), "layers.1.qkv");
    const auto line = lines_of(folder.path() / "new" / "record").back();
    const Npy npy = read_npy(folder.path() / "new" / "record" / line.at("file"));
    BOOST_TEST(npy.header == "{'descr': '<u8', 'fortran_order': False, 'shape': (3, 7), }");
    BOOST_TEST_REQUIRE(npy.data.size() == 3U * 7 * 8);
    for (std::size_t i = 0; i < 21; ++i) {
      u64 value = 0;
      std::memcpy(&value, npy.data.data() + 8 * i, 8);
      BOOST_TEST(value == kernels::load_word(bytes.data() + i * width, static_cast<int>(width)));
    }
  }
  BOOST_TEST(recorder.count() == 4U);
}

BOOST_AUTO_TEST_CASE(floats_come_back_as_floats) {
  const tests::TemporaryFolder folder;
  Recorder recorder(folder.path(), nullptr); // empty folders are taken
  auto rng = seeded_rng(2);
  const auto bytes = random_bytes(2 * 100 * 4, rng);
  recorder.record(tensor_of(8, remo::ProductKind::float32, 2, 100, bytes), "lm_head");
  const Npy npy = read_npy(folder.path() / "000001-lm_head.npy");
  BOOST_TEST(npy.header == "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 100), }");
  BOOST_TEST((npy.data == std::string(bytes.begin(), bytes.end())));
}

BOOST_AUTO_TEST_CASE(each_request_has_a_line_that_says_what_it_was) {
  const tests::TemporaryFolder folder;
  Recorder recorder(folder.path(), nullptr);
  auto rng = seeded_rng(3);
  recorder.record(tensor_of(4, remo::ProductKind::residues, 1, 9, random_bytes(9 * 6, rng)),
                  "layers.1.qkv");
  recorder.record(tensor_of(5, remo::ProductKind::switched, 2, 3, random_bytes(6 * 6, rng)),
                  "layers.1.o");
  const auto lines = lines_of(folder.path());
  BOOST_TEST_REQUIRE(lines.size() == 2U);
  BOOST_TEST(lines[0].at("file") == "000001-layers.1.qkv.npy");
  BOOST_TEST(lines[0].at("kind") == "residues");
  BOOST_TEST(lines[1].at("file") == "000002-layers.1.o.npy");
  BOOST_TEST(lines[1].at("name") == "layers.1.o");
  BOOST_TEST(lines[1].at("matrix") == 5);
  BOOST_TEST(lines[1].at("layer") == 1);
  BOOST_TEST(lines[1].at("rows") == 2);
  BOOST_TEST(lines[1].at("cols") == 3);
  BOOST_TEST(lines[1].at("kind") == "switched");
  BOOST_TEST(lines[0].at("time_unix_ns").get<i64>() <= lines[1].at("time_unix_ns").get<i64>());
  BOOST_TEST(lines[0].at("time_unix_ns").get<i64>() > 1'600'000'000'000'000'000);
}

BOOST_AUTO_TEST_CASE(tensors_whose_bytes_do_not_fit_their_header_are_left_out) {
  const tests::TemporaryFolder folder;
  Recorder recorder(folder.path(), nullptr);
  const std::vector<u8> bytes(54);
  using remo::ProductKind;
  recorder.record(tensor_of(4, ProductKind::residues, 2, 5, bytes), "o"); // 5.4 bytes a value
  recorder.record(tensor_of(4, ProductKind::residues, 1, 1, bytes), "o"); // 54 bytes a value
  recorder.record(tensor_of(4, ProductKind::float32, 3, 3, bytes), "o");  // 6 bytes a float
  recorder.record(tensor_of(4, ProductKind::residues, 0, 9, {}), "o");
  recorder.record(tensor_of(4, ProductKind::residues, ~0U, ~0U, bytes), "o");
  recorder.record(remo::MaskedTensor{4, ProductKind::residues, 1, 9, nullptr}, "o");
  BOOST_TEST(fs::is_empty(folder.path()));
  recorder.record(tensor_of(4, ProductKind::residues, 1, 9, bytes), "o");
  BOOST_TEST(recorder.count() == 1U);
}

BOOST_AUTO_TEST_CASE(a_folder_that_holds_anything_is_refused) {
  const tests::TemporaryFolder folder;
  std::ofstream(folder.path() / "something") << "x";
  BOOST_CHECK_EXCEPTION(Recorder(folder.path(), nullptr), Error, [&](const Error& error) {
    return error.code() == Errc::usage &&
           std::string(error.what()).find(folder.path().string()) != std::string::npos;
  });
  BOOST_CHECK_EXCEPTION(Recorder(folder.path() / "something", nullptr), Error,
                        [](const Error& error) { return error.code() != Errc::internal; });
  BOOST_CHECK_EXCEPTION(Recorder(folder.path() / "something" / "below", nullptr), Error,
                        [](const Error& error) { return error.code() == Errc::io; });
}

BOOST_AUTO_TEST_CASE(the_recording_is_readable_by_its_owner_only) {
  const tests::TemporaryFolder folder;
  const Recorder recorder(folder.path() / "record", nullptr);
  BOOST_TEST((fs::status(folder.path() / "record").permissions() == fs::perms::owner_all));
}

BOOST_AUTO_TEST_CASE(threads_record_every_request_once) {
  const tests::TemporaryFolder folder;
  Recorder recorder(folder.path(), nullptr);
  std::vector<std::thread> threads;
  for (u32 t = 0; t < 4; ++t)
    threads.emplace_back([&recorder, t] {
      for (u32 i = 0; i < 25; ++i)
        recorder.record(tensor_of(t, remo::ProductKind::residues, 1, 2,
                                  std::vector<u8>(12, static_cast<u8>(25 * t + i))),
                        "layers.0.o");
    });
  for (auto& thread : threads) thread.join();
  std::set<u8> seen;
  std::set<std::string> files;
  for (const auto& line : lines_of(folder.path())) {
    files.insert(line.at("file").get<std::string>());
    const Npy npy = read_npy(folder.path() / line.at("file"));
    const u8 value = static_cast<u8>(npy.data[0]);
    BOOST_TEST(line.at("matrix") == value / 25);
    seen.insert(value);
  }
  BOOST_TEST(seen.size() == 100U);
  BOOST_TEST(files.size() == 100U);
}

BOOST_AUTO_TEST_CASE(a_full_disk_is_reported_once_and_ends_the_recording) {
  const tests::TemporaryFolder folder;
  std::vector<std::string> log;
  Recorder recorder(folder.path(), [&log](const std::string& line) { log.push_back(line); });
  const auto small = tensor_of(1, remo::ProductKind::residues, 1, 2, std::vector<u8>(12));
  const auto large = tensor_of(1, remo::ProductKind::residues, 100, 200, std::vector<u8>(120'000));
  recorder.record(small, "layers.0.o");

  ::signal(SIGXFSZ, SIG_IGN); // a file that grows too large stands for a full disk
  rlimit before{};
  ::getrlimit(RLIMIT_FSIZE, &before);
  const rlimit tight{50'000, before.rlim_max};
  ::setrlimit(RLIMIT_FSIZE, &tight);
  recorder.record(large, "layers.0.o");
  ::setrlimit(RLIMIT_FSIZE, &before);

  recorder.record(small, "layers.0.o");
  BOOST_TEST_REQUIRE(log.size() == 1U);
  BOOST_TEST(log[0].find("after 1 requests") != std::string::npos);
  BOOST_TEST(log[0].find("000002-layers.0.o.npy") != std::string::npos);
  BOOST_TEST(recorder.count() == 1U);
  BOOST_TEST(lines_of(folder.path()).size() == 1U);
  BOOST_TEST(!fs::exists(folder.path() / "000002-layers.0.o.npy"));
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace talaria::worker
