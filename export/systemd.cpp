#include "export/systemd.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "config/scalars.hpp"
#include "core/address.hpp"
#include "core/error.hpp"
#include "export/assets.hpp"
#include "export/machine_places.hpp"
#include "export/names.hpp"
#include "export/shell.hpp"
#include "export/unit_file.hpp"

namespace talaria::exporting {

namespace {

using config::WorkerNode;

constexpr u16 kFirstFreePort = 1024; ///< below it takes a capability

bool lies_in(const std::string& path, std::string_view folder) {
  return path.starts_with(folder) && (path.size() == folder.size() || path[folder.size()] == '/');
}

/// What ProtectHome= and PrivateTmp= hide.
bool is_hidden(const std::string& path) {
  for (const char* folder : {"/home", "/root", "/run/user", "/tmp", "/var/tmp"})
    if (lies_in(path, folder)) return true;
  return false;
}

/// Like systemd_word(); a ':' separates source and destination in such a list.
std::string path_word(const std::string& path) {
  std::string escaped;
  for (const char c : path) escaped += c == ':' ? "\\:" : std::string(1, c);
  return systemd_word(escaped);
}

void show_hidden_paths(UnitFile& unit, const std::vector<std::string>& paths) {
  std::string bind;
  for (const std::string& path : paths)
    if (is_hidden(path)) bind += (bind.empty() ? "" : " ") + path_word(path);
  if (bind.empty()) return;
  unit.set("ProtectHome", "tmpfs");
  unit.add_after("ProtectHome", "BindReadOnlyPaths=" + bind);
}

/// Replaces the shipped example of who may talk to it.
void set_addresses(UnitFile& unit, const std::vector<std::string>& allowed) {
  unit.set("IPAddressAllow", "");
  if (allowed.empty()) {
    unit.set("IPAddressDeny", "");
    return;
  }
  std::string line;
  for (const std::string& address : allowed) line += (line.empty() ? "" : " ") + address;
  unit.add_after("IPAddressDeny", "IPAddressAllow=" + line);
}

void allow_low_port(UnitFile& unit, u16 port) {
  if (port >= kFirstFreePort || port == 0) return;
  unit.set("CapabilityBoundingSet", "CAP_NET_BIND_SERVICE");
  unit.set("AmbientCapabilities", "CAP_NET_BIND_SERVICE");
  unit.set("PrivateUsers", "no"); // a capability of its own user namespace opens no port
}

void allow_gpus(UnitFile& unit, const std::string& device) {
  if (device == "cpu") return;
  unit.set("PrivateDevices", "no");
  unit.set("MemoryDenyWriteExecute", "no"); // the driver makes code
  unit.add_after("PrivateDevices",
                 "DevicePolicy=closed\nDeviceAllow=char-nvidia rw\n"
                 "DeviceAllow=char-nvidiactl rw\nDeviceAllow=char-nvidia-frontend rw\n"
                 "DeviceAllow=char-nvidia-uvm rw\nDeviceAllow=char-nvidia-caps r");
}

std::string worker_unit_name(const Cluster& cluster, std::size_t index) {
  return fmt::format("talaria-worker-{}-{}.service", cluster.name, cluster.worker_labels[index]);
}

std::string worker_unit_text(const Cluster& cluster, std::size_t index,
                             const SystemdOptions& options) {
  const WorkerNode& node = cluster.config.workers[index];
  const config::NodeFiles files = config::node_files(cluster.config, node);
  const std::string program =
      node.program.empty() ? options.bin + "/talaria-worker" : node.program.string();
  std::vector<std::string> words =
      worker_command(cluster, node, to_string(node.address), program, node.device, node.threads);
  if (!node.cores.empty()) words.insert(words.end(), {"--cores", node.cores});
  std::string command;
  for (const std::string& word : words)
    command += (command.empty() ? "" : " ") + systemd_word(word);
  UnitFile unit(worker_unit());
  unit.set_comment("The worker '" + node.name + "' of the cluster " + cluster.name +
                   ", by talaria export.");
  unit.set("Description", fmt::format("Talaria worker {} of {}", node.name, cluster.name));
  unit.set("ExecStart", command);
  std::vector<std::string> paths;
  for (const auto& path : {files.model, files.cert, files.key, files.ca, node.require_attestation})
    if (!path.empty()) paths.push_back(worker_path(node, path));
  show_hidden_paths(unit, paths);
  allow_gpus(unit, node.device);
  allow_low_port(unit, node.address.port);
  std::vector<std::string> allowed = options.gateway_addresses;
  if (allowed.empty() && is_loopback(node.address.host)) allowed = {"localhost"};
  set_addresses(unit, allowed);
  return unit.text();
}

std::vector<std::string> gateway_paths(const GatewayPlaces& places) {
  std::vector<std::string> paths{places.model};
  if (!places.ca.empty()) paths.push_back(places.ca);
  for (const auto& path :
       {places.cert, places.key, places.api_cert, places.api_key, places.keys, places.attestation})
    if (path) paths.push_back(*path);
  return paths;
}

/// Folders that the gateway writes into, beyond those that the shipped unit gives it.
std::string written_folders(const GatewayPlaces& places) {
  std::vector<std::string> folders;
  for (const auto& folder : {places.hints, places.trace})
    if (folder) folders.push_back(*folder);
  if (const auto socket = config::parse_unix_path(places.listen))
    folders.push_back(std::filesystem::path(*socket).parent_path().string());
  std::string out;
  for (const std::string& folder : folders)
    if (!lies_in(folder, "/var/cache/talaria") && !lies_in(folder, "/var/lib/talaria") &&
        !lies_in(folder, "/run/talaria-gateway"))
      out += (out.empty() ? "" : " ") + path_word(folder);
  return out;
}

u16 port_of(const std::optional<std::string>& address) {
  const auto parsed = address ? parse_address(*address) : std::nullopt;
  return parsed ? parsed->port : u16{0};
}

/// Whom the gateway talks to, if that is known to the last address; else nobody.
std::vector<std::string> gateway_filter(const Cluster& cluster, const GatewayPlaces& places,
                                        const SystemdOptions& options) {
  std::vector<std::string> allowed{"localhost"};
  for (const WorkerNode& node : cluster.config.workers) {
    if (is_loopback(node.address.host)) continue;
    if (!is_ip_address(node.address.host)) return {};
    allowed.push_back(node.address.host);
  }
  for (const auto& address : {std::optional(places.listen), places.metrics}) {
    const auto parsed = address ? parse_address(*address) : std::nullopt;
    const bool is_local = !parsed || is_loopback(parsed->host);
    if (!is_local && options.client_addresses.empty()) return {};
  }
  allowed.insert(allowed.end(), options.client_addresses.begin(), options.client_addresses.end());
  return allowed;
}

std::string gateway_unit_text(const Cluster& cluster, const GatewayPlaces& places,
                              const SystemdOptions& options) {
  UnitFile unit(enclave_unit());
  unit.set_comment("The gateway of the cluster " + cluster.name +
                   ", in the confidential VM, by talaria export.");
  unit.set("Description", "Talaria gateway of " + cluster.name);
  unit.set("ExecStart", systemd_word(options.bin + "/talaria-enclave") + " serve /etc/talaria/" +
                            cluster.name + "/pipeline.yaml");
  show_hidden_paths(unit, gateway_paths(places));
  const std::string folders = written_folders(places);
  if (!folders.empty()) unit.add_after("CacheDirectoryMode", "ReadWritePaths=" + folders);
  for (const auto& address : {std::optional(places.listen), places.metrics})
    allow_low_port(unit, port_of(address));
  set_addresses(unit, gateway_filter(cluster, places, options));
  return unit.text();
}

void check_addresses(const char* flag, const std::vector<std::string>& addresses) {
  for (const std::string& text : addresses) {
    const std::size_t slash = text.find('/');
    const auto bits =
        slash == text.npos ? std::optional<u64>(0) : config::parse_whole(text.substr(slash + 1));
    const std::string host = text.substr(0, slash);
    const u64 most = host.find(':') == host.npos ? 32 : 128;
    if (!is_ip_address(host) || !bits || *bits > most)
      throw Error(Errc::usage,
                  fmt::format("{}: expected an IP address or a prefix like 10.0.0.0/24", flag));
  }
}

std::string systemd_readme(const Cluster& cluster,
                           const std::map<std::string, std::vector<std::size_t>>& hosts,
                           const std::vector<std::string>& folders, const SystemdOptions& options) {
  std::string out =
      fmt::format("# {} under systemd\nMade by `talaria export systemd` from `{}`. Every unit has "
                  "the whole sandbox of "
                  "packaging/systemd. No file here holds a secret; files of models and "
                  "certificates are expected where the "
                  "pipeline.yaml has them, keys with mode 0600 and of the unit's user.\n\n"
                  "On every machine, once: `install -m 644 sysusers.d/talaria.conf "
                  "/usr/lib/sysusers.d/ && systemd-sysusers`\n\n"
                  "| machine | folder | units |\n|---|---|---|\n| the confidential VM | gateway | "
                  "talaria-gateway-{}.service |\n",
                  cluster.name, cluster.config.file.filename().string(), cluster.name);
  std::size_t folder = 0;
  for (const auto& [host, workers] : hosts) {
    out += fmt::format("| {} | workers/{} | ", host, folders[folder++]);
    for (std::size_t i = 0; i < workers.size(); ++i)
      out += (i > 0 ? ", " : "") + worker_unit_name(cluster, workers[i]);
    out += " |\n";
  }
  out += fmt::format(
      "\nWorkers first:\n\n    install -m 644 workers/HOST/*.service /etc/systemd/system/\n"
      "    systemctl daemon-reload && systemctl enable --now talaria-worker-{0}-NAME\n\n"
      "then the gateway:\n\n    install -D -m 644 gateway/pipeline.yaml "
      "/etc/talaria/{0}/pipeline.yaml\n"
      "    install -m 644 gateway/*.service /etc/systemd/system/\n"
      "    systemctl daemon-reload && systemctl enable --now talaria-gateway-{0}\n\n"
      "Workers come and go without a restart of the gateway: start new ones, put the new "
      "pipeline.yaml in the place of the old one, and the gateway takes over its `workers` within "
      "seconds (`systemctl reload talaria-gateway-{0}`: at once). The journal says when those that "
      "are not in it any more have left; stop them then.\n\n"
      "- No socket activation: the gateway opens its ports itself, so that it listens to nobody "
      "before it can "
      "answer, and knows itself which address it has.\n",
      cluster.name);
  if (options.gateway_addresses.empty())
    out +=
        "- Units of workers on other machines let any address in: `--gateway-address` narrows that "
        "(`IPAddressAllow=`).\n";
  out += "- Where the gateway's unit has no `IPAddressAllow=`, workers have names and not "
         "addresses, or clients "
         "may be anywhere: `--client-address` and addresses in the file narrow that.\n";
  return out;
}

constexpr const char* kUsers = R"(# Users of Talaria's units.
u talaria - "Talaria gateway" /var/lib/talaria
u talaria-worker - "Talaria worker"
)";

} // namespace

std::string systemd_word(std::string_view word) {
  constexpr std::string_view kPlain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                      "0123456789-_./:@+=,";
  if (!word.empty() && word.find_first_not_of(kPlain) == word.npos) return std::string(word);
  std::string out = "\"";
  for (const char c : word) {
    if (c == '%' || c == '$') out += c; // doubled: no specifier, no variable
    if (c == '"' || c == '\\') out += '\\';
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F)
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    else
      out += c;
  }
  return out + '"';
}

std::vector<OutputFile> systemd_files(const Cluster& cluster, const SystemdOptions& options) {
  check_addresses("--gateway-address", options.gateway_addresses);
  check_addresses("--client-address", options.client_addresses);
  const GatewayPlaces places = places_of_this_machine(cluster);
  std::map<std::string, std::vector<std::size_t>> hosts;
  for (std::size_t i = 0; i < cluster.config.workers.size(); ++i)
    hosts[cluster.config.workers[i].address.host].push_back(i);
  std::vector<std::string> names;
  for (const auto& [host, workers] : hosts) names.push_back(host);
  const std::vector<std::string> folders = dns_labels(names, 63);
  std::vector<OutputFile> files;
  files.push_back(
      {"gateway/pipeline.yaml", comment_lines("For the gateway, by talaria export.", "") +
                                    to_yaml(pipeline_document(cluster, places))});
  files.push_back({fmt::format("gateway/talaria-gateway-{}.service", cluster.name),
                   gateway_unit_text(cluster, places, options)});
  std::size_t folder = 0;
  for (const auto& [host, workers] : hosts) {
    for (const std::size_t i : workers)
      files.push_back({fmt::format("workers/{}/{}", folders[folder], worker_unit_name(cluster, i)),
                       worker_unit_text(cluster, i, options)});
    ++folder;
  }
  files.push_back({"sysusers.d/talaria.conf", kUsers});
  files.push_back({"README.md", systemd_readme(cluster, hosts, folders, options)});
  return files;
}

} // namespace talaria::exporting
