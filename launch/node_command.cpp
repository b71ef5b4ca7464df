#include "launch/node_command.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <memory>
#include <system_error>

#include "core/error.hpp"
#include "core/file_descriptor.hpp"

namespace talaria::launch {
namespace {

namespace fs = std::filesystem;
using config::WorkerNode;

constexpr int kConnectMilliseconds = 1000;

std::string worker_program(const fs::path& named, const WorkerNode& node) {
  if (!named.empty()) return named.string();
  if (node.start == WorkerNode::Start::ssh) return "talaria-worker";
  std::error_code ignored;
  return (fs::read_symlink("/proc/self/exe", ignored).parent_path() / "talaria-worker").string();
}

std::vector<std::string> worker_command(const config::PipelineConfig& config,
                                        const WorkerNode& node) {
  const config::NodeFiles files = config::node_files(config, node);
  std::vector<std::string> words{worker_program(files.program, node)};
  const auto add = [&words](const char* flag, std::string value) {
    words.emplace_back(flag);
    words.push_back(std::move(value));
  };
  add("--listen", to_string(node.address));
  add("--model", files.model.string());
  add("--device", node.device);
  add("--layers", to_string(node.layers));
  if (node.columns.count > 1) add("--columns", to_string(node.columns));
  if (node.threads > 0) add("--threads", fmt::format("{}", node.threads));
  if (!node.cores.empty()) add("--cores", node.cores);
  add("--weights", config.masking.weights);
  add("--parameters", config.masking.parameters);
  add("--cert", files.cert.string());
  add("--key", files.key.string());
  // A key that this program makes at its start is vouched for by evidence, and by no authority.
  const bool is_evidence_enough = config.tls && config.tls->is_ephemeral && node.ca.empty() &&
                                  !node.require_attestation.empty();
  if (!is_evidence_enough) add("--ca", files.ca.string());
  if (!node.require_attestation.empty()) {
    add("--require-attestation", node.require_attestation.string());
    if (config.serve.attestation && config.serve.attestation->platform == "simulated")
      words.emplace_back("--allow-simulated");
    if (!node.seen_collateral.empty()) add("--seen-collateral", node.seen_collateral.string());
    if (!node.fetch_collateral.empty()) add("--fetch-collateral", node.fetch_collateral.string());
    if (!node.seal_secret.empty()) add("--seal-secret", node.seal_secret.string());
  }
  if (config.tls && config.tls->enclave_name != config::Tls().enclave_name)
    add("--enclave-name", config.tls->enclave_name);
  add("--name", node.name);
  if (!config.launch.node_traces.empty() && node.start == WorkerNode::Start::local)
    add("--trace", (config.launch.node_traces / (node.name + ".json")).string());
  add("--progress", "json");
  words.emplace_back("--exit-with-stdin");
  return words;
}

void replace_all(std::string& text, std::string_view what, const std::string& with) {
  for (std::size_t at = text.find(what); at != text.npos; at = text.find(what, at + with.size()))
    text.replace(at, what.size(), with);
}

/// A socket that is connecting: whether it gets there in time.
bool connects(int fd, const addrinfo& address) {
  if (::connect(fd, address.ai_addr, address.ai_addrlen) == 0) return true;
  if (errno != EINPROGRESS) return false;
  pollfd waiting{fd, POLLOUT, 0};
  if (::poll(&waiting, 1, kConnectMilliseconds) != 1) return false;
  int error = 0;
  socklen_t size = sizeof error;
  return ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0;
}

} // namespace

std::string quote_for_shell(const std::string& word) {
  constexpr std::string_view kPlain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                      "0123456789-_./:@%+=,";
  if (!word.empty() && word.find_first_not_of(kPlain) == std::string::npos) return word;
  std::string quoted = word;
  replace_all(quoted, "'", "'\\''");
  return "'" + quoted + "'";
}

std::vector<std::string> node_command(const config::PipelineConfig& config,
                                      const WorkerNode& node) {
  std::vector<std::string> command = worker_command(config, node);
  if (node.start != WorkerNode::Start::ssh) return command;
  std::string line;
  for (const std::string& word : command) line += (line.empty() ? "" : " ") + quote_for_shell(word);
  // A shell that stays in between would not notice the end of the session.
  line.insert(0, "exec ");
  auto words = config::split_words(config.launch.ssh);
  if (!words) throw Error(Errc::config, "launch.ssh: a quote is left open");
  for (std::string& word : *words) {
    if (word == "{command}")
      word = line;
    else
      replace_all(word, "{ssh}", node.ssh);
  }
  return *words;
}

void check_local_files(const config::PipelineConfig& config, std::size_t index) {
  const WorkerNode& node = config.workers.at(index);
  const config::NodeFiles files = config::node_files(config, node);
  const auto require = [&](const char* key, const fs::path& path, const std::string& advice) {
    std::error_code ignored;
    if (!path.empty() && fs::exists(path, ignored)) return;
    throw Error(Errc::config,
                fmt::format("{}:{}: workers[{}].{}: '{}' is not there; {}", config.file.string(),
                            node.line, index, key, path.string(), advice));
  };
  const std::string make = fmt::format("talaria certs init {} --hosts {} makes it",
                                       files.ca.parent_path().string(), node.address.host);
  require("program", worker_program(files.program, node), "name talaria-worker in launch.program");
  const bool made_up = files.model.string().starts_with("random:"); // as talaria-worker takes it
  if (!made_up) require("model", files.model, "expected a model folder");
  require("cert", files.cert, make);
  require("key", files.key, make);
  require("ca", files.ca, make);
  if (!node.require_attestation.empty())
    require("require_attestation", node.require_attestation,
            "expected the policy that this worker demands of enclaves");
}

bool is_listening(const WorkerNode& node) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (::getaddrinfo(node.address.host.c_str(), std::to_string(node.address.port).c_str(), &hints,
                    &found) != 0)
    return false;
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> addresses(found, ::freeaddrinfo);
  for (const addrinfo* address = found; address != nullptr; address = address->ai_next) {
    const FileDescriptor fd(
        ::socket(address->ai_family, address->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (fd && connects(fd.get(), *address)) return true;
  }
  return false;
}

} // namespace talaria::launch
