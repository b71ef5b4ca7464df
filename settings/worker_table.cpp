#include "config/scalars.hpp"
#include "core/cores.hpp"
#include "settings/forms.hpp"
#include "settings/network_forms.hpp"
#include "settings/table.hpp"

namespace talaria::settings {

namespace {

using config::WorkerNode;

void add_work(std::vector<WorkerSetting>& rows) {
  rows.push_back(row("name", node_name(), member(&WorkerNode::name),
                     "its name in logs and reports; no other worker's")
                     .required());
  rows.push_back(row("address", worker_address(), member(&WorkerNode::address),
                     "where it listens; no other worker's")
                     .required());
  rows.push_back(row("device", text(config::is_device, "cpu, auto, cuda or cuda:N,N..."),
                     member(&WorkerNode::device), "what it multiplies on"));
  rows.push_back(row("layers", layers(), member(&WorkerNode::layers),
                     "the layers it holds; the last layer brings the head. Primary workers hold "
                     "every layer once")
                     .required()
                     .by_default(""));
  rows.push_back(row("columns", columns(), member(&WorkerNode::columns),
                     "the share it holds of the columns of each matrix, counted from 1"));
  rows.push_back(row("role",
                     choice_of<WorkerNode::Role>({{"primary", WorkerNode::Role::primary},
                                                  {"replica", WorkerNode::Role::replica}}),
                     member(&WorkerNode::role),
                     "replica: asked only when no primary worker can be"));
  rows.push_back(row("addresses", choice_of<bool>({{"one", false}, {"each", true}}),
                     member(&WorkerNode::each_address),
                     "each: every address of its name is a worker of its own that holds the same "
                     "(a headless service); somebody else starts them"));
  rows.push_back(row("threads", whole<std::size_t>(0, kMaxThreads), member(&WorkerNode::threads),
                     "threads of a product; 0: all cores"));
  rows.push_back(row("cores", text(config::is_core_list, config::kCoreList),
                     member(&WorkerNode::cores), "processors of its machine to keep to")
                     .by_default("any"));
  rows.push_back(row("tls_name", text(is_host_name, "a host name or an IP address"),
                     member(&WorkerNode::tls_name), "the name in its certificate")
                     .by_default("the host of its address"));
}

void add_start(std::vector<WorkerSetting>& rows) {
  rows.push_back(row("start",
                     choice_of<WorkerNode::Start>({{"local", WorkerNode::Start::local},
                                                   {"ssh", WorkerNode::Start::ssh},
                                                   {"never", WorkerNode::Start::never}}),
                     member(&WorkerNode::start),
                     "who starts it: talaria on this machine, talaria over ssh, somebody else")
                     .by_default("ssh if `ssh` is given; local for loopback; else never"));
  rows.push_back(row("ssh", text(config::is_ssh_target, "HOST or USER@HOST"),
                     member(&WorkerNode::ssh), "its machine, for start: ssh"));
  rows.push_back(row("program", path(), member(&WorkerNode::program), "talaria-worker over there")
                     .by_default("launch.program, or over ssh the one in the path"));
  rows.push_back(
      row("model", path(), member(&WorkerNode::model), "the model over there").by_default("model"));
  rows.push_back(
      row("cert", path(), member(&WorkerNode::cert), "its certificate; start: ssh needs it")
          .by_default("HOST.pem beside tls.ca"));
  rows.push_back(
      row("key", path(), member(&WorkerNode::key), "its private key; start: ssh needs it")
          .by_default("HOST.key beside tls.ca"));
  rows.push_back(row("ca", path(), member(&WorkerNode::ca),
                     "certificate of the authority that signed the enclave's")
                     .by_default("tls.ca, or over ssh ca.pem beside cert"));
  rows.push_back(row("require_attestation", path(), member(&WorkerNode::require_attestation),
                     "the policy, over there, of the evidence that it demands of enclaves"));
  rows.push_back(row("seen_collateral", path(), member(&WorkerNode::seen_collateral),
                     "with that: a file over there, of this worker alone, that keeps the dates of "
                     "the newest collateral; older is refused"));
  rows.push_back(row("fetch_collateral", path(), member(&WorkerNode::fetch_collateral),
                     "with that: a folder over there; AMD and Intel are asked for collateral that "
                     "evidence lacks, and learn of the enclave's machine"));
  rows.push_back(row("seal_secret", path(), member(&WorkerNode::seal_secret),
                     "with that: a file over there of 64 hexadecimal digits, of which enclaves get "
                     "keys for their hints (hints.seal)"));
}

} // namespace

const std::vector<WorkerSetting>& worker_table() {
  static const std::vector<WorkerSetting> all = [] {
    std::vector<WorkerSetting> rows;
    add_work(rows);
    add_start(rows);
    return rows;
  }();
  return all;
}

} // namespace talaria::settings
