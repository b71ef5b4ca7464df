#include <fmt/format.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <string_view>

#include "cli/commands.hpp"
#include "core/console.hpp"
#include "core/embedded_file.hpp"
#include "core/error.hpp"

TALARIA_EMBED(talaria_shipped_grafana, TALARIA_DASHBOARDS "/grafana-dashboard.json");
TALARIA_EMBED(talaria_shipped_rules, TALARIA_DASHBOARDS "/prometheus-rules.yaml");
TALARIA_EMBED(talaria_shipped_prometheus, TALARIA_DASHBOARDS "/prometheus.yaml");

namespace talaria::cli {

namespace {

struct ShippedFile {
  std::string_view name;
  std::string_view content;
};

std::array<ShippedFile, 3> shipped_files() {
  return {{{"grafana-dashboard.json", TALARIA_EMBEDDED(talaria_shipped_grafana)},
           {"prometheus-rules.yaml", TALARIA_EMBEDDED(talaria_shipped_rules)},
           {"prometheus.yaml", TALARIA_EMBEDDED(talaria_shipped_prometheus)}}};
}

struct ExportFlags {
  std::filesystem::path folder;
  bool force = false;
};

/// A full disk leaves the file that was there.
void write_shipped(const std::filesystem::path& path, std::string_view content) {
  const std::filesystem::path partial = path.string() + ".partial";
  std::ofstream out(partial, std::ios::binary | std::ios::trunc);
  out << content;
  out.close();
  std::error_code failure;
  if (out) std::filesystem::rename(partial, path, failure);
  if (out && !failure) return;
  std::filesystem::remove(partial, failure);
  throw Error(Errc::io, path.string() + ": cannot be written; choose another folder");
}

int export_dashboards(const ExportFlags& flags) {
  std::error_code failure;
  std::filesystem::create_directories(flags.folder, failure);
  if (failure)
    throw Error(Errc::io, fmt::format("{}: the folder cannot be made: {}", flags.folder.string(),
                                      failure.message()));
  for (const ShippedFile& file : shipped_files())
    if (!flags.force && std::filesystem::exists(flags.folder / file.name))
      throw Error(Errc::io, fmt::format("{}: it exists, perhaps with changes; --force writes it "
                                        "anew",
                                        (flags.folder / file.name).string()));
  for (const ShippedFile& file : shipped_files()) {
    write_shipped(flags.folder / file.name, file.content);
    print_out("{}\n", (flags.folder / file.name).string());
  }
  return 0;
}

} // namespace

void add_dashboards_command(CLI::App& app, Action& chosen) {
  auto flags = std::make_shared<ExportFlags>();
  CLI::App* command =
      app.add_subcommand("dashboards", "What Grafana and Prometheus need to show a gateway");
  command->require_subcommand(1);
  CLI::App* write = command->add_subcommand(
      "export", "Write a Grafana dashboard, Prometheus rules and a Prometheus configuration");
  write->add_option("-o,--output", flags->folder, "folder to write them into")->required();
  write->add_flag("--force", flags->force, "write over files that exist");
  write->callback([flags, &chosen] {
    chosen = [flags](InterruptWatch&) { return export_dashboards(*flags); };
  });
}

} // namespace talaria::cli
