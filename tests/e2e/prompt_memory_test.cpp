// After an answer, neither prompt nor answer is anywhere in the memory of the gateway.
#include <boost/test/unit_test.hpp>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "tests/support/process.hpp"
#include "tests/support/server_certificate.hpp"
#include "tests/support/server_process.hpp"

namespace talaria {

namespace {

const std::filesystem::path kBin = TALARIA_BIN;

struct Range {
  std::size_t begin = 0;
  std::size_t end = 0;
  std::string what;
};

std::vector<Range> writable_memory(pid_t pid) {
  std::vector<Range> ranges;
  std::ifstream maps("/proc/" + std::to_string(pid) + "/maps");
  for (std::string line; std::getline(maps, line);) {
    Range range;
    std::string permissions;
    char dash = 0;
    std::istringstream words(line);
    words >> std::hex >> range.begin >> dash >> range.end >> permissions;
    if (permissions.size() < 2 || permissions[1] != 'w') continue;
    range.what = line;
    ranges.push_back(std::move(range));
  }
  return ranges;
}

/// Where `texts` stand in the memory of another process.
std::vector<std::string> found_in_memory(pid_t pid, const std::vector<std::string>& texts) {
  std::vector<std::string> found;
  std::ifstream memory("/proc/" + std::to_string(pid) + "/mem", std::ios::binary);
  BOOST_TEST_REQUIRE(memory.is_open(), "needs root, as CI has it: the process is not dumpable");
  std::string piece;
  for (const Range& range : writable_memory(pid)) {
    constexpr std::size_t kPiece = std::size_t{16} << 20;
    for (std::size_t at = range.begin; at < range.end; at += kPiece) {
      piece.resize(std::min(kPiece + 256, range.end - at)); // overlaps: nothing falls between
      memory.clear();
      memory.seekg(static_cast<std::streamoff>(at));
      memory.read(piece.data(), static_cast<std::streamsize>(piece.size()));
      piece.resize(static_cast<std::size_t>(memory.gcount()));
      for (const std::string& text : texts)
        if (const auto where = piece.find(text); where != std::string::npos)
          found.push_back(text + " in " + range.what + ", offset " +
                          std::to_string(at + where - range.begin));
    }
  }
  return found;
}

using Access = tests::ServerProcess::Access;

void check_that_nothing_stays(const Access& access) {
  tests::ServerProcess server(kBin, "", {}, access);
  // Longer than what strings keep inside themselves; no two pieces alike.
  const std::string prompt = "zanzibar quartz obelisk 7391 vexing jukebox gryphon";
  const auto ask = [&](const std::string& body) {
    const std::string answer = server.post("/v1/chat/completions", body);
    BOOST_TEST_REQUIRE(!answer.empty());
    return answer;
  };
  const std::string whole = ask(R"({"messages":[{"role":"user","content":")" + prompt +
                                R"("}],"max_tokens":48,"ignore_eos":true,"temperature":0})");
  const std::string text =
      nlohmann::json::parse(whole).at("choices").at(0).at("message").at("content");
  BOOST_TEST_REQUIRE(text.size() > 40U);
  ask(R"({"messages":[{"role":"user","content":")" + prompt +
      R"("}],"max_tokens":48,"ignore_eos":true,"temperature":0,"stream":true})");
  // Ordinary traffic reuses what was freed; a few requests are enough to end the last request.
  for (int i = 0; i < 3; ++i) BOOST_TEST(server.get("/health") == 200);
  std::vector<std::string> secrets{prompt.substr(0, 24), prompt.substr(24), text.substr(4, 24)};
  if (!access.key.empty()) secrets.push_back(access.key);
  const bool gone =
      tests::eventually([&] { return found_in_memory(server.pid(), secrets).empty(); });
  if (!gone)
    for (const auto& place : found_in_memory(server.pid(), secrets)) BOOST_TEST_MESSAGE(place);
  BOOST_TEST(gone);
  BOOST_TEST(server.stop() == 0);
}

} // namespace

BOOST_AUTO_TEST_CASE(nothing_of_a_prompt_or_an_answer_stays_in_memory) {
  check_that_nothing_stays({});
}

// OpenSSL's records, zlib's window, the table of keys and what is read from each header.
BOOST_AUTO_TEST_CASE(nothing_stays_of_what_came_compressed_over_tls_with_a_key) {
  const tests::TemporaryFolder folder;
  const auto file = [&](const char* name) { return (folder.path() / name).string(); };
  const tests::Finished added =
      tests::run_program({kBin / "talaria", "keys", "add", "alice", "--file", file("keys")});
  BOOST_TEST_REQUIRE(added.status == 0, added.err);
  const std::string key = added.out.substr(0, added.out.find('\n'));
  tests::make_server_certificate(folder.path());
  Access access;
  access.settings = ", keys: " + file("keys") + ", tls: { cert: " + file("api.pem") +
                    ", key: " + file("api.key") + " }";
  access.tls = true;
  access.compress = true;
  access.key = key;
  check_that_nothing_stays(access);
}

} // namespace talaria
