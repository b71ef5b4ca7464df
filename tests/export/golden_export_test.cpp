// examples/cluster-fleet.yaml for every launcher, as it was when somebody last read it.
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "export/kubernetes.hpp"
#include "export/slurm.hpp"
#include "export/systemd.hpp"
#include "tests/export/export_fixture.hpp"
#include "tests/export/read_back.hpp"

namespace talaria {

namespace {

namespace fs = std::filesystem;
namespace bdata = boost::unit_test::data;

const fs::path kSource = TALARIA_SOURCE_DIR;
const fs::path kGolden = kSource / "tests/golden/export";

exporting::Cluster example() {
  const fs::path file = kSource / "examples/cluster-fleet.yaml";
  const std::string text = tests::content(file);
  auto cluster = exporting::make_cluster(tests::config_elsewhere(text, file), text, "");
  cluster.sizes =
      exporting::ModelSizes{{4'000'000'000, 4'500'000'000, 8'500'000'000}, 30'000'000'000};
  return cluster;
}

std::vector<exporting::OutputFile> files_of(const std::string& target) {
  const exporting::Cluster cluster = example();
  if (target == "slurm") return slurm_files(cluster, {});
  if (target == "systemd") return systemd_files(cluster, {{"10.0.0.1"}, {}, "/usr/bin"});
  exporting::KubernetesOptions options;
  options.image = "registry.example/talaria:test";
  options.runtime_class = "kata-qemu-snp";
  options.worker_nodes = {{"talaria.example/pool", "workers"}};
  return kubernetes_files(cluster, options);
}

/// Templates of the chart stand in export/chart; the version is not what this test is about.
bool is_compared(const std::string& path) {
  return path.find("chart/") == path.npos || path == "chart/values.yaml";
}

} // namespace

/// TALARIA_UPDATE_GOLDEN=1 writes the files anew: read the difference.
BOOST_DATA_TEST_CASE(the_example_looks_as_it_was_read,
                     bdata::make({"kubernetes", "slurm", "systemd"}), target) {
  const fs::path folder = kGolden / target;
  std::size_t compared = 0;
  for (const exporting::OutputFile& file : files_of(target)) {
    if (!is_compared(file.path)) continue;
    const fs::path golden = folder / file.path;
    if (std::getenv("TALARIA_UPDATE_GOLDEN") != nullptr) {
      fs::create_directories(golden.parent_path());
      std::ofstream(golden, std::ios::binary) << file.text;
    }
    BOOST_TEST(tests::content(golden) == file.text, golden.string());
    ++compared;
  }
  std::size_t there = 0;
  for (const auto& entry : fs::recursive_directory_iterator(folder))
    there += entry.is_regular_file() ? 1 : 0;
  BOOST_TEST(there == compared, "tests/golden/export holds a file that is no longer written");
}

} // namespace talaria
