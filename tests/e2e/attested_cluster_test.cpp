// "Attestation in ten lines" of docs/operations.md, as processes.
#include <boost/test/unit_test.hpp>
#include <httplib.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <fstream>

#include "tests/support/process.hpp"
#include "tests/support/server_certificate.hpp"
#include "tests/support/server_process.hpp"

namespace talaria::tests {

namespace {

namespace fs = std::filesystem;
using nlohmann::json;

const std::string kTalaria = TALARIA_BIN "/talaria";

/// What a server with evidence needs, and a policy that accepts it.
struct Attested {
  TemporaryFolder folder;
  fs::path sim = folder.path() / "sim";
  fs::path policy = folder.path() / "policy.yaml";

  Attested() {
    make_server_certificate(folder.path());
    BOOST_REQUIRE(run_program({kTalaria, "attest", "simulate", "init", sim}).status == 0);
  }
  ServerProcess::Access access(const std::string& more = {}) const {
    ServerProcess::Access made;
    made.tls = true;
    made.settings = ", tls: { cert: " + (folder.path() / "api.pem").string() +
                    ", key: " + (folder.path() / "api.key").string() +
                    " }, attestation: { platform: simulated, folder: " + sim.string() + more + " }";
    return made;
  }
  void write_policy(int port) const {
    httplib::SSLClient client("127.0.0.1", port);
    client.enable_server_certificate_verification(false);
    const auto answer = client.Get("/v1/attestation");
    BOOST_REQUIRE((answer && answer->status == 200));
    const fs::path evidence = folder.path() / "evidence.json";
    std::ofstream(evidence) << answer->body;
    const Finished made = run_program(
        {kTalaria, "attest", "policy", "--from", evidence, "--simulated-root", sim / "roots.pem",
         "--service", "127.0.0.1", "--ca", folder.path() / "api.pem", "-o", policy});
    BOOST_REQUIRE_MESSAGE(made.status == 0, made.err);
  }
  Finished verify(int port) const {
    return run_program({kTalaria, "attest", "verify", "--connect",
                        "127.0.0.1:" + std::to_string(port), "--policy", policy,
                        "--allow-simulated", "--json"});
  }
  Finished connect(int port, int listen, std::function<void(pid_t)> once_it_listens,
                   const std::vector<std::string>& more = {}) const {
    std::vector<std::string> command{kTalaria,
                                     "connect",
                                     "https://127.0.0.1:" + std::to_string(port),
                                     "--policy",
                                     policy,
                                     "--allow-simulated",
                                     "--listen",
                                     "127.0.0.1:" + std::to_string(listen),
                                     "--pad-requests",
                                     "1024"};
    command.insert(command.end(), more.begin(), more.end());
    return run_program(command, {}, std::move(once_it_listens));
  }
};

} // namespace

BOOST_AUTO_TEST_SUITE(attested_cluster)

BOOST_AUTO_TEST_CASE(a_client_behind_a_verifying_proxy_is_answered) {
  const Attested site;
  const ServerProcess server(TALARIA_BIN, "2>/dev/null", {}, site.access(", required: true"));
  BOOST_TEST(server.get("/v1/models") == 428);
  site.write_policy(server.port());
  const Finished verdict = site.verify(server.port());
  BOOST_REQUIRE_MESSAGE(verdict.status == 10, verdict.out + verdict.err);
  const json object = json::parse(verdict.out);
  BOOST_TEST(object["statement"]["scheme"] == "lattice");
  BOOST_TEST(object["statement"]["model"]["name"] == "talaria-tiny");
  BOOST_TEST(object["host_data"] == object["statement"]["config"]);

  const int port = free_port();
  std::string whole;
  std::string events;
  std::string said;
  std::string ready;
  const Finished proxy = site.connect(server.port(), port, [&](pid_t process) {
    httplib::Client client("127.0.0.1", port);
    client.set_read_timeout(std::chrono::minutes(2));
    const auto post = [&](const std::string& body) {
      const auto answer = client.Post("/v1/completions", body, "application/json");
      if (answer) said = answer->get_header_value("Talaria-Attestation");
      return answer && answer->status == 200 ? answer->body : std::string();
    };
    whole = post(R"({"prompt":"Once","max_tokens":4,"temperature":0})");
    events = post(R"({"prompt":"Once","max_tokens":4,"temperature":0,"stream":true})");
    if (const auto answer = client.Get("/ready")) ready = answer->body;
    ::kill(process, SIGTERM);
  });
  BOOST_TEST(proxy.status == 0, proxy.err);
  BOOST_TEST(whole.find("\"choices\"") != std::string::npos, whole);
  BOOST_TEST(events.find("data: [DONE]") != std::string::npos, events);
  BOOST_TEST(said.starts_with("SIMULATED; snp; image=\"evidence\""), said);
  BOOST_TEST(ready == R"({"status":"ready"})");
  BOOST_TEST(proxy.err.starts_with("attestation: SIMULATED."), proxy.err);
}

BOOST_AUTO_TEST_CASE(token_ids_get_the_answer_that_text_gets) {
  const Attested site;
  const ServerProcess server(TALARIA_BIN, "2>/dev/null", {}, site.access());
  site.write_policy(server.port());
  const std::string completion = R"({"prompt":["Once","There"],"max_tokens":4,"temperature":0})";
  const std::string chat =
      R"({"messages":[{"role":"user","content":"Hello"}],"max_tokens":4,"temperature":0})";
  const int port = free_port();
  json completed;
  json chatted;
  int tokenized = 0;
  const Finished proxy = site.connect(
      server.port(), port,
      [&](pid_t process) {
        httplib::Client client("127.0.0.1", port);
        client.set_read_timeout(std::chrono::minutes(2));
        const auto post = [&](const char* path, const std::string& body) {
          const auto answer = client.Post(path, body, "application/json");
          return answer ? json::parse(answer->body, nullptr, false) : json();
        };
        completed = post("/v1/completions", completion);
        chatted = post("/v1/chat/completions", chat);
        if (const auto answer = client.Post("/tokenize", R"({"prompt":"a"})", "application/json"))
          tokenized = answer->status;
        ::kill(process, SIGTERM);
      },
      {"--tokenize", model_folder("talaria-tiny").string()});
  BOOST_TEST(proxy.status == 0, proxy.err);
  const json direct = json::parse(server.post("/v1/completions", completion));
  BOOST_TEST(completed["choices"] == direct["choices"]);
  BOOST_TEST(completed["usage"] == direct["usage"]);
  const json spoken = json::parse(server.post("/v1/chat/completions", chat));
  BOOST_TEST(chatted["choices"] == spoken["choices"]);
  BOOST_TEST(chatted["usage"] == spoken["usage"]);
  BOOST_TEST(tokenized == 400);
}

namespace {

/// What `talaria connect --receipts` kept of these exchanges, in the order of the chain.
std::vector<std::string> receipts_in(const fs::path& folder) {
  std::vector<std::string> files;
  for (const auto& entry : fs::directory_iterator(folder))
    if (entry.path().filename().string().find("-000") != std::string::npos)
      files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

fs::path evidence_in(const fs::path& folder) {
  for (const auto& entry : fs::directory_iterator(folder))
    if (entry.path().filename().string().starts_with("evidence-")) return entry.path();
  return {};
}

/// The same model in all but a blank: another root.
fs::path other_model(const fs::path& folder) {
  fs::copy(model_folder("talaria-tiny"), folder, fs::copy_options::recursive);
  std::ofstream(folder / "config.json", std::ios::app) << "\n";
  return folder;
}

} // namespace

BOOST_AUTO_TEST_CASE(answers_are_computed_anew_from_their_receipts) {
  const Attested site;
  const ServerProcess server(TALARIA_BIN, "2>/dev/null", {},
                             site.access(" , required: true }, receipts: on, stream: { "
                                         "obfuscation: true"));
  site.write_policy(server.port());
  const fs::path kept = site.folder.path() / "receipts";
  // Each answer is a claim: more than a head has room for, so that the proxy asks for the receipt.
  std::string many_answers = R"({"max_tokens":2,"temperature":0,"prompt":["0")";
  for (int i = 1; i < 24; ++i) many_answers += ",\"" + std::to_string(i) + "\"";
  many_answers += "]}";
  const std::vector<std::pair<const char*, std::string>> asked{
      {"/v1/completions", R"({"prompt":"Once upon","max_tokens":9,"temperature":0})"},
      {"/v1/completions",
       R"({"prompt":"Once","max_tokens":9,"temperature":0.9,"top_p":0.9,"n":2,"best_of":3})"},
      {"/v1/chat/completions",
       R"({"messages":[{"role":"user","content":"Hello"}],"max_tokens":8,"temperature":0.7,"stream":true})"},
      {"/v1/chat/completions",
       R"({"messages":[{"role":"user","content":"Hello"}],"max_tokens":30,"temperature":0,"stop":["a"]})"},
      {"/v1/completions", many_answers},
      {"/v1/chat/completions",
       R"({"messages":[{"role":"user","content":"Hi"}],"max_tokens":40,"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{}}}}],"tool_choice":"required"})"}};
  const int port = free_port();
  std::vector<std::string> answers;
  std::vector<std::string> heads;
  const Finished proxy = site.connect(
      server.port(), port,
      [&](pid_t process) {
        httplib::Client client("127.0.0.1", port);
        client.set_read_timeout(std::chrono::minutes(2));
        for (const auto& [path, body] : asked) {
          const auto answer = client.Post(path, body, "application/json");
          answers.push_back(answer && answer->status == 200 ? answer->body : std::string());
          heads.push_back(answer ? answer->get_header_value("Talaria-Receipt") : std::string());
        }
        ::kill(process, SIGTERM);
      },
      {"--receipts", kept.string(), "--receipt-bodies"});
  BOOST_TEST(proxy.status == 0, proxy.err);
  for (const std::string& answer : answers) BOOST_TEST(!answer.empty());
  const auto files = receipts_in(kept);
  BOOST_TEST_REQUIRE(files.size() == asked.size(), proxy.err);
  BOOST_TEST(heads[0].starts_with("ey"), heads[0]);
  BOOST_TEST(heads[4].starts_with("/v1/receipts/"), heads[4]);
  BOOST_TEST(fs::file_size(files[4]) > 7U << 10U);

  // Whose they are, and that none is missing.
  std::vector<std::string> verify{kTalaria,    "receipt",           "verify",
                                  "--json",    "--allow-simulated", "--policy",
                                  site.policy, "--evidence",        evidence_in(kept)};
  verify.insert(verify.end(), files.begin(), files.end());
  const Finished whole = run_program(verify);
  BOOST_TEST(whole.status == 10, whole.out + whole.err);
  const json found = json::parse(whole.out);
  BOOST_TEST(found["receipts"].size() == asked.size());
  BOOST_TEST(found["evidence"]["statement"]["receipt_key"].is_object());
  verify.erase(std::find(verify.begin(), verify.end(), files[2]));
  const Finished gap = run_program(verify);
  BOOST_TEST(gap.status == 9);
  BOOST_TEST(json::parse(gap.out)["check"] == "receipt-gap");

  // That they are what the model answers.
  const auto replay = [](const std::string& file, const std::vector<std::string>& more,
                         const fs::path& model) {
    std::vector<std::string> command{kTalaria,  "receipt", "replay", file,
                                     "--model", model,     "--json"};
    command.insert(command.end(), more.begin(), more.end());
    return run_program(command);
  };
  const fs::path model = model_folder("talaria-tiny");
  for (const std::string& file : files) {
    const Finished same = replay(file, {}, model);
    BOOST_TEST(same.status == 0, file + same.out + same.err);
  }
  BOOST_TEST(replay(files[0], {"--prompt", "Once upon"}, model).status == 0);
  BOOST_TEST(replay(files[0], {"--prompt", "Once, upon"}, model).status == 9);
  BOOST_TEST(replay(files[2], {"--prompt", "Hello"}, model).status == 0);
  BOOST_TEST(replay(files[3], {"--prompt", "Hello"}, model).status == 2); // stop strings
  const Finished other = replay(files[0], {}, other_model(site.folder.path() / "other"));
  BOOST_TEST(other.status == 8);
  BOOST_TEST(other.err.find("another model gives other answers") != std::string::npos, other.err);
}

BOOST_AUTO_TEST_CASE(another_program_is_refused_before_anything_is_sent) {
  const Attested site;
  const std::string measured(96, '5');
  {
    const ServerProcess server(TALARIA_BIN, "2>/dev/null", {},
                               site.access(", measurement: \"" + measured + "\""));
    site.write_policy(server.port());
  }
  const ServerProcess other(TALARIA_BIN, "2>/dev/null", {}, site.access());
  const Finished verdict = site.verify(other.port());
  BOOST_TEST(verdict.status == 8);
  BOOST_TEST(json::parse(verdict.out)["check"] == "image");
  const Finished proxy = site.connect(other.port(), free_port(), nullptr);
  BOOST_TEST(proxy.status == 8);
  BOOST_TEST(proxy.out.empty());
  BOOST_TEST(proxy.err.find("measurement") != std::string::npos, proxy.err);
}

BOOST_AUTO_TEST_CASE(flags_and_policies_that_cannot_be_used_are_told) {
  const Attested site;
  std::ofstream(site.policy) << "version: 1\nname: p\nevidence: [simulated]\nimages: any\n"
                                "simulated: { root: sim/roots.pem }\n";
  const Finished nobody = site.connect(1, 0, nullptr);
  BOOST_TEST(nobody.status == 2);
  BOOST_TEST(nobody.err.find("service: missing") != std::string::npos, nobody.err);
  const Finished plain =
      run_program({kTalaria, "connect", "http://127.0.0.1:1", "--policy", site.policy});
  BOOST_TEST(plain.status == 2);
  const Finished neither = run_program({kTalaria, "attest", "verify", "--policy", site.policy});
  BOOST_TEST(neither.status == 2);
  BOOST_TEST(neither.err.find("--connect") != std::string::npos, neither.err);
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace talaria::tests
